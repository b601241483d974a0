--- Project x509-limbo's public cases of chain verification: each as it expects, or with the reason why not. The time
--- and the verdict of each are left in limbo.txt of the build's folder.
local certificates = require("neap.units").certificates
local crypto = require("neap.units").crypto
local helper = require("spec.helper")

local ISSUING = "a rule for who issues certificates; nothing unsafe follows for who checks them"
local WEB = "a rule of the web's authorities (CA/B forum) beyond RFC 5280; private authorities need not know it"
local SIGNS = "RFC 8446 §4.4.2.2: a key in TLS 1.3 must be allowed to sign, and this one may sign certificates only"
local COMMON_NAME = "common names are not looked at (RFC 9525 §2), so it is no matter what they say"
local SUFFIXES = "the list of public suffixes is not known to neap: authorities have to heed it"
local DEPTH = "there is no option for the depth: chains of LIMIT_TLS_CHAIN certificates are tried"

--- Where neap decides otherwise, on purpose.
local DIFFERENT = {
  ["pathlen::validation-ignores-pathlen-in-leaf"] = SIGNS,
  ["pathlen::max-chain-depth-0-exhausted"] = DEPTH,
  ["pathlen::max-chain-depth-1-exhausted"] = DEPTH,
  ["rfc5280::aki::critical-aki"] = ISSUING,
  ["rfc5280::aki::leaf-missing-aki"] = ISSUING,
  ["rfc5280::aki::intermediate-missing-aki"] = ISSUING,
  ["rfc5280::aki::cross-signed-root-missing-aki"] = ISSUING,
  ["rfc5280::ski::critical-ski"] = ISSUING,
  ["rfc5280::ski::root-missing-ski"] = ISSUING,
  ["rfc5280::ski::intermediate-missing-ski"] = ISSUING,
  ["rfc5280::nc::permitted-dns-match-noncritical"] = "constraints are applied, critical or not",
  ["rfc5280::nc::invalid-dnsname-leading-period"] = "the widespread reading: what is below the name, and not the name",
  ["rfc5280::nc::not-allowed-in-ee-noncritical"] = ISSUING,
  ["rfc5280::nc::not-allowed-in-ee-critical"] = ISSUING,
  ["rfc5280::pc::ica-noncritical-pc"] = "no policy is asked for, so what constrains policies says nothing",
  ["rfc5280::san::noncritical-with-empty-subject"] = ISSUING,
  ["rfc5280::san::underscore-dns"] = "names with an underscore are in use; a host is compared letter by letter",
  ["rfc5280::serial::zero"] = "RFC 5280 §4.1.2.2 asks to take such certificates; nothing hangs on the number",
  ["rfc5280::root-non-critical-basic-constraints"] = ISSUING,
  ["rfc5280::leaf-ku-keycertsign"] = "it issues nothing all the same: an issuer must say that it is an authority",
  ["rfc5280::ca-as-leaf"] = SIGNS,
  ["webpki::aki::root-with-aki-missing-keyidentifier"] = WEB,
  ["webpki::aki::root-with-aki-authoritycertissuer"] = WEB,
  ["webpki::aki::root-with-aki-authoritycertserialnumber"] = WEB,
  ["webpki::aki::root-with-aki-all-fields"] = WEB,
  ["webpki::aki::root-with-aki-ski-mismatch"] = WEB,
  ["webpki::cn::ipv4-hex-mismatch"] = COMMON_NAME,
  ["webpki::cn::ipv4-leading-zeros-mismatch"] = COMMON_NAME,
  ["webpki::cn::ipv6-uppercase-mismatch"] = COMMON_NAME,
  ["webpki::cn::ipv6-uncompressed-mismatch"] = COMMON_NAME,
  ["webpki::cn::ipv6-non-rfc5952-mismatch"] = COMMON_NAME,
  ["webpki::cn::punycode-not-in-san"] = COMMON_NAME,
  ["webpki::cn::utf8-vs-punycode-mismatch"] = COMMON_NAME,
  ["webpki::cn::not-in-san"] = COMMON_NAME,
  ["webpki::cn::case-mismatch"] = COMMON_NAME,
  ["webpki::eku::ee-anyeku"] = WEB,
  ["webpki::eku::ee-critical-eku"] = WEB,
  ["webpki::eku::ee-without-eku"] = WEB,
  ["webpki::eku::root-has-eku"] = WEB,
  ["webpki::san::public-suffix-multi-label-wildcard-san"] = SUFFIXES,
  ["webpki::san::public-suffix-private-namespace-wildcard-san"] = SUFFIXES,
  ["webpki::san::san-critical-with-nonempty-subject"] = WEB,
  ["webpki::malformed-aia"] = "where an issuer's certificate could be fetched is not read",
  ["webpki::forbidden-rsa-not-divisible-by-8-in-root"] = WEB,
  ["webpki::forbidden-rsa-key-not-divisible-by-8-in-leaf"] = WEB,
  ["webpki::ee-basicconstraints-ca"] = WEB,
}
-- PSA has no RSA keys but of whole bytes.
if crypto.providers()[1]:find("Mbed TLS$") and crypto.backend():find("^Mbed TLS 4") then
  DIFFERENT["webpki::forbidden-rsa-not-divisible-by-8-in-root"] = nil
end

--- "2024-01-31T12:00:00+00:00" as seconds since 1970.
local function seconds(text)
  local year, month, day, hour, minute, second = text:match("^(%d+)-(%d+)-(%d+)T(%d+):(%d+):(%d+)%.?%d*%+00:00$")
  local from_march = month > "02" and year or year - 1
  local march_month = (month + 9) % 12
  local days = 365 * from_march + math.floor(from_march / 4) - math.floor(from_march / 100)
    + math.floor(from_march / 400) + math.floor((153 * march_month + 2) / 5) + day - 719469
  return ((days * 24 + hour) * 60 + minute) * 60 + second
end

--- Fields that are absent or null are nil.
local function text_of(value) return type(value) == "string" and value or nil end

describe("x509-limbo", function()
  local context = crypto.new(("l"):rep(32))
  local document = helper.read_shared("x509-limbo/limbo.json")
  local record, seen = {}, {}

  if not document then
    it("agrees", function() helper.shared("x509-limbo/limbo.json", pending) end)
    return
  end

  local function verify(case)
    local options = { chain = certificates.ders(context, case.peer_certificate), roots = case.trusted_certs }
    for _, pem in ipairs(case.untrusted_intermediates) do
      table.insert(options.chain, certificates.ders(context, pem)[1])
    end
    options.crls = case.crls
    options.name = type(case.expected_peer_name) == "table" and text_of(case.expected_peer_name.value) or nil
    options.is_client = case.validation_kind == "CLIENT"
    options.now = text_of(case.validation_time) and seconds(case.validation_time) or os.time()
    local start = os.clock()
    local ok, _, reason = certificates.verify(context, options)
    return ok == true, reason or "", (os.clock() - start) * 1000
  end

  for _, case in ipairs(require("cjson").decode(document).testcases) do
    seen[case.id] = true
    local different = DIFFERENT[case.id]
    it(("%s about %s"):format(different and "differs" or "agrees", case.id), function()
      local accepted, reason, spent = verify(case)
      table.insert(record, ("%-72s %-7s %-8s %6.2f ms  %s"):format(case.id, case.expected_result,
        accepted and "accepted" or "refused", spent, different and "differs: " .. different or reason))
      local expected = case.expected_result == "SUCCESS"
      if different then expected = not expected end
      assert.equal(expected, accepted, reason)
    end)
  end

  it("has 194 cases, and all that are excepted are among them", function()
    local count = 0
    for _ in pairs(seen) do count = count + 1 end
    assert.equal(194, count)
    for id in pairs(DIFFERENT) do assert.is_true(seen[id], id) end
  end)

  teardown(function() helper.write_file(helper.build_dir .. "/limbo.txt", table.concat(record, "\n") .. "\n") end)
end)
