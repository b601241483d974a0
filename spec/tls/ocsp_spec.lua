--- OCSP responses that servers show with their certificate (RFC 6960, RFC 8446 §4.4.2.1), made by the openssl program.
local authority = require("crypto.authority")
local fixtures = require("tls.fixtures")
local helper = require("helper")
local messages = require("tls.messages")
local pair = require("tls.pair")
local tls = require("neap.units").tls

local alert, vector = pair.alert, messages.vector
local STATUS_REQUEST, DAY = 5, 86400
local IF_PRESENT, REQUIRED = 1, 2

local SCRIPT = [[
set -e
cd %s
printf 'basicConstraints=CA:false\nkeyUsage=digitalSignature\nextendedKeyUsage=OCSPSigning\nnoCheck=ignored\n' >right.ext
printf 'basicConstraints=CA:false\nkeyUsage=digitalSignature\nextendedKeyUsage=serverAuth\n' >wrong.ext
responder() { # name, signer, extensions
  openssl req -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -keyout $1.key -out $1.csr -subj "/CN=$1" 2>/dev/null
  openssl x509 -req -in $1.csr -CA $2.pem -CAkey $2.key -CAcreateserial -days 30 -sha256 -extfile $3 -out $1.pem 2>/dev/null
}
responder delegate ca right.ext
responder usurper ca wrong.ext
responder foreign stranger right.ext
serial() { openssl x509 -in $1.pem -noout -serial | cut -d= -f2; }
line() { printf '%%s\t350101000000Z\t%%s\t%%s\tunknown\t/CN=%%s\n' "$1" "$3" "$(serial $2)" "$2"; }
line V p256 '' >good.txt
line R p256 260101000000Z,keyCompromise >revoked.txt
line V other '' >none.txt
respond() { # file, index, signer, certificate, options
  file=$1 index=$2 signer=$3 certificate=$4
  shift 4
  openssl ocsp -issuer ca.pem -cert $certificate.pem -no_nonce -reqout request.der $hash >/dev/null 2>&1
  openssl ocsp -index $index.txt -CA ca.pem -rsigner $signer.pem -rkey $signer.key -reqin request.der \
    -respout $file.der "$@" >/dev/null 2>&1
}
hash=
respond good good ca p256 -ndays 7
respond good_key good ca p256 -ndays 7 -resp_key_id
respond endless good ca p256
respond bare good ca p256 -ndays 7 -resp_no_certs
respond revoked revoked ca p256 -ndays 7
respond unknown none ca p256 -ndays 7
respond other none ca other -ndays 7
respond delegated good delegate p256 -ndays 7
respond delegated_key good delegate p256 -ndays 7 -resp_key_id
respond usurped good usurper p256 -ndays 7
respond foreign good foreign p256 -ndays 7
respond alone good delegate p256 -ndays 7 -resp_no_certs
hash=-sha256
openssl ocsp -issuer ca.pem -sha256 -cert p256.pem -no_nonce -reqout request.der >/dev/null 2>&1
openssl ocsp -index good.txt -CA ca.pem -rsigner ca.pem -rkey ca.key -reqin request.der -respout good_sha256.der \
  -ndays 7 >/dev/null 2>&1
]]

local NAMES = { "good", "good_key", "good_sha256", "bare", "endless", "revoked", "unknown", "other", "delegated",
  "delegated_key", "usurped", "foreign", "alone" }
local responses = {}

-- The server's configs get their staple below tls.config, past the check that it is about the certificate.
local function with(staple, client, more)
  local options = { client = { ocsp = client }, server = { staple = staple } }
  for name, value in pairs(more or {}) do options[name] = value end
  return options
end

local function accepted(options)
  local p = pair.new(options)
  local ok, failure = p:run()
  assert.is_true(ok, failure and failure.reason)
  return p
end

local function refused(code, options)
  local ok, failure = pair.new(options):run()
  assert.is_nil(ok)
  assert.same({ "client", alert(code) }, { failure.side, failure.code }, failure.reason)
  return failure.reason
end

-- The extensions of the entries of a Certificate.
local function entries(message)
  local body, list = messages.body(message), {}
  local at = 1 + 1 + 3
  local function number(size)
    local value = 0
    for i = at, at + size - 1 do value = value * 256 + body:byte(i) end
    at = at + size
    return value
  end
  while at <= #body do
    local size = number(3)
    local der = body:sub(at, at + size - 1)
    at = at + size
    size = number(2)
    list[#list + 1] = { der = der, extensions = messages.read_extensions(body:sub(at, at + size - 1)) }
    at = at + size
  end
  return list
end

local function write_entries(list)
  local out = {}
  for i, entry in ipairs(list) do
    out[i] = vector(entry.der, 3) .. vector(messages.write_extensions(entry.extensions), 2)
  end
  return messages.build(messages.CERTIFICATE, "\0" .. vector(table.concat(out), 3))
end

local function certificate_of(p)
  for _, entry in ipairs(p.seen) do
    if messages.kind(entry.message) == messages.CERTIFICATE then return entries(entry.message) end
  end
end

-- A server that shows `staple` whatever it is, to a client with this demand.
local function shown(staple, demand, more)
  local options = with(nil, demand, more)
  options.filter = function(side, _, message)
    if side ~= "server" or messages.kind(message) ~= messages.CERTIFICATE then return message end
    local list = entries(message)
    list[1].extensions = { { STATUS_REQUEST, "\1" .. vector(staple, 3) } }
    return write_entries(list)
  end
  return options
end

-- The content of the first element of some bytes, and what is behind it.
local function open(der)
  local size, at = der:byte(2), 3
  if size >= 0x80 then
    local count = size - 0x80
    size = 0
    for i = 3, 2 + count do size = size * 256 + der:byte(i) end
    at = 3 + count
  end
  return der:sub(at, at + size - 1), der:sub(at + size)
end

local function element(tag, content)
  local size = #content < 0x80 and string.char(#content) or #content < 0x100 and string.char(0x81, #content)
    or string.char(0x82, math.floor(#content / 256), #content % 256)
  return string.char(tag) .. size .. content
end

-- The response with other times, which its issuer signs; it has no certificates.
local function postponed(response, this_update, next_update)
  local _, bytes = open((open(response)))
  local type_and_basic = open((open(bytes)))
  local _, basic = open(type_and_basic)
  basic = open((open(basic)))
  local inner, rest = open(basic)
  local times = {}
  inner = inner:gsub("\24\15%d+Z", function(time)
    times[#times + 1] = time
    return #times == 2 and "\24\15" .. this_update or #times == 3 and "\24\15" .. next_update or time
  end)
  local tbs, dir = element(0x30, inner), helper.make_dir()
  helper.write_file(dir .. "/tbs", tbs)
  helper.write_file(dir .. "/key", fixtures.certificates().ca[2])
  local quoted = helper.quote(dir)
  local output, status = helper.run(("openssl dgst -sha256 -sign %s/key -out %s/signature %s/tbs"):format(
    quoted, quoted, quoted))
  local signature = helper.read_file(dir .. "/signature")
  helper.remove_dir(dir)
  assert(status == 0, output)
  local algorithm = element(0x30, (open(rest)))
  basic = element(0x30, tbs .. algorithm .. element(0x03, "\0" .. signature))
  local oid = element(0x06, (open(type_and_basic)))
  return element(0x30, "\10\1\0" .. element(0xa0, element(0x30, oid .. element(0x04, basic))))
end

-- What the client says of it: the first alert. A staple that is fine leads to 51, for the transcripts differ.
local FINE = 51

describe("an OCSP response", function()
  setup(function()
    local dir = helper.make_dir()
    local certificates = fixtures.certificates()
    for _, name in ipairs({ "ca", "stranger", "p256", "other" }) do
      helper.write_file(dir .. "/" .. name .. ".pem", certificates[name][1])
      helper.write_file(dir .. "/" .. name .. ".key", certificates[name][2])
    end
    local output, status = helper.run("( " .. SCRIPT:format(helper.quote(dir)) .. " )")
    for _, name in ipairs(NAMES) do responses[name] = helper.read_file(dir .. "/" .. name .. ".der") end
    helper.remove_dir(dir)
    assert(status == 0, "openssl could not make the responses: " .. output)
  end)

  it("counts whatever its times are where nobody knows the time, and is checked for all else", function()
    local function at(staple, now)
      return with(responses[staple], REQUIRED, { now = now, server_now = fixtures.now })
    end
    for _, name in ipairs({ "good", "delegated" }) do
      refused(113, at(name, fixtures.now + 8 * DAY))
      accepted(at(name, -1))
    end
    assert.matches("revoked", refused(44, at("revoked", -1)))
    refused(113, at("usurped", -1))
    refused(113, at("foreign", -1))
  end)

  it("says between which times it counts where nobody knows the time, five minutes around its own included", function()
    local dates = accepted(with(postponed(responses.bare, "20400101000000Z", "20400108000000Z"), REQUIRED,
      { now = -1, server_now = fixtures.now })).client:info().unchecked_dates
    assert.equal("2039-12-31 23:55", os.date("!%Y-%m-%d %H:%M", dates[1]))
    assert.is_true(dates[2] < dates[1]) -- that is the certificate's
    local p = accepted(with(responses.good, REQUIRED, { now = -1, server_now = fixtures.now }))
    dates = p.client:info().unchecked_dates
    assert.is_true(math.abs(dates[2] - fixtures.now - 7 * DAY) < 3600 + 120)
    -- As where the time is known.
    accepted(with(responses.good, REQUIRED, { now = dates[2], server_now = fixtures.now }))
    refused(113, with(responses.good, REQUIRED, { now = dates[2] + 1, server_now = fixtures.now }))
  end)

  it("is asked for when the client is told to, and shown with the leaf alone", function()
    local p = accepted(with(responses.good, nil))
    assert.same({}, certificate_of(p)[1].extensions)
    for _, demand in ipairs({ IF_PRESENT, REQUIRED }) do
      p = accepted(with(responses.good, demand))
      local hello = messages.read(p.seen[1].message)
      assert.equal("\1\0\0\0\0", messages.extension(hello, STATUS_REQUEST))
      assert.same({ { STATUS_REQUEST, "\1" .. vector(responses.good, 3) } }, certificate_of(p)[1].extensions)
    end
  end)

  it("is required, or checked where it is", function()
    accepted(with(nil, IF_PRESENT))
    assert.matches("shows no OCSP response", refused(113, with(nil, REQUIRED)))
  end)

  it("is good by the issuer's signature or by one whom the issuer authorised, by name or by key", function()
    for _, name in ipairs({ "good", "good_key", "good_sha256", "endless", "delegated", "delegated_key" }) do
      accepted(with(responses[name], REQUIRED))
    end
  end)

  it("travels in a compressed certificate too", function()
    for _, staple in ipairs({ responses.good, false }) do
      accepted({ client = { ocsp = IF_PRESENT, compression = true },
        server = { staple = staple or nil, compression = true } })
    end
    local client = assert(fixtures.client_config({ ocsp = REQUIRED, compression = true }))
    local plain = assert(fixtures.client_config({ compression = true }))
    local server = assert(fixtures.server_config({ staple = responses.good, compression = true }))
    for _ = 1, 2 do -- each kind of client in turn: what was compressed for one is not sent to the other
      accepted({ client = client, server = server })
      accepted({ client = plain, server = server })
    end
  end)

  it("ends the handshake when it says that the certificate is revoked, or not known", function()
    assert.matches("revoked", refused(44, with(responses.revoked, IF_PRESENT)))
    assert.matches("not know", refused(113, with(responses.unknown, IF_PRESENT)))
  end)

  it("must be of somebody who may say it", function()
    assert.matches("authorised", refused(113, with(responses.usurped, IF_PRESENT)))
    assert.matches("authorised", refused(113, with(responses.foreign, IF_PRESENT)))
    assert.matches("authorised", refused(113, with(responses.alone, IF_PRESENT)))
  end)

  it("must be about the certificate", function()
    assert.matches("other certificates", refused(113, shown(responses.other, IF_PRESENT)))
  end)

  it("must be of now", function()
    assert.matches("too old", refused(113, shown(responses.good, IF_PRESENT, { now = fixtures.now + 8 * DAY })))
    assert.matches("too old", refused(113, shown(responses.endless, IF_PRESENT, { now = fixtures.now + 2 * DAY })))
    local later = responses.good:gsub("\24\15(%d%d%d%d)", function(year) return ("\24\15%d"):format(year + 1) end)
    assert.matches("future", refused(113, shown(later, IF_PRESENT)))
  end)

  it("is not shown any more when its next update is due", function()
    local p = accepted(with(responses.good, IF_PRESENT, { now = fixtures.now + 8 * DAY }))
    assert.same({}, certificate_of(p)[1].extensions)
    refused(113, with(responses.good, REQUIRED, { now = fixtures.now + 8 * DAY }))
  end)

  it("is refused when any byte of it is another, is missing or is too many", function()
    local good = responses.bare -- certificates in it that nobody needs are not looked at
    assert.equal(alert(FINE), select(2, pair.new(shown(good, IF_PRESENT)):run()).code)
    for at = 1, #good, 7 do
      local flipped = string.char((good:byte(at) + 128) % 256)
      local _, failure = pair.new(shown(good:sub(1, at - 1) .. flipped .. good:sub(at + 1), IF_PRESENT)):run()
      assert.is_true(failure.code == alert(113) or failure.code == alert(44), ("byte %d: %s"):format(at, failure.code))
    end
    for _, bad in ipairs({ good .. "\0", good:sub(1, -2), good:sub(1, 40), "x", "\48\3\10\1\0", "\48\3\10\1\3" }) do
      refused(113, shown(bad, IF_PRESENT))
    end
  end)

  -- covers: rfc8446#4.4.2.1.1
  it("is a CertificateStatus of its form, and comes only when it was asked for", function()
    local function code(demand, data)
      local options = shown("", demand)
      options.filter = function(side, _, message)
        if side ~= "server" or messages.kind(message) ~= messages.CERTIFICATE then return message end
        local list = entries(message)
        list[1].extensions = { { STATUS_REQUEST, data } }
        return write_entries(list)
      end
      local _, failure = pair.new(options):run()
      return failure.code
    end
    local good = "\1" .. vector(responses.good, 3)
    assert.equal(alert(110), code(nil, good))
    assert.equal(alert(FINE), code(IF_PRESENT, good))
    assert.equal(alert(47), code(IF_PRESENT, "\2" .. good:sub(2)))
    for _, bad in ipairs({ "", "\1", "\1\0\0\0", good .. "\0", good:sub(1, -2) }) do
      assert.equal(alert(50), code(IF_PRESENT, bad))
    end
  end)

  it("is asked for in a status_request of its form, else the server says so", function()
    local function code(data)
      local _, failure = pair.tampered(with(responses.good), "client", messages.CLIENT_HELLO, function(message)
        return messages.edit(message, messages.set_extension(STATUS_REQUEST, data))
      end)
      return failure.code, failure.side
    end
    for _, bad in ipairs({ "", "\1", "\1\0\0", "\1\0\0\0\0x", "\1\0\1\0\0" }) do
      assert.same({ alert(50), "server" }, { code(bad) })
    end
    for _, other in ipairs({ "\2", "\0\1\2" }) do -- of other types nothing is known: passed over, and not answered
      assert.same({ alert(FINE), "client" }, { code(other) })
    end
    assert.same({ alert(110), "client" }, { code("\1\0\0\0\0") })
  end)

  -- RFC 7633 §4.2.3
  it("is required of a certificate that says so, by clients that ask for one", function()
    local ca = authority.new()
    finally(function() ca:remove() end)
    local root = ca:issue { name = "root", extensions = authority.CA }
    local function shake(features, demand, more)
      local leaf = ca:issue { name = "leaf", issuer = "root",
        extensions = authority.SERVER .. (features and "\ntlsfeature=" .. features or "") }
      local client = { seed = ("c"):rep(32), alpn = { "h3" }, roots = root.pem, ocsp = demand }
      for name, value in pairs(more or {}) do client[name] = value == "leaf" and leaf.pem or value end
      local p = pair.new { client = assert(tls.config(client)), name = "tide.example", now = os.time() + 3600,
        server = assert(tls.config { seed = ("s"):rep(32), alpn = { "h3" }, identities = { { leaf.pem, leaf.key } } }) }
      local ok, failure = p:run()
      return ok, failure and failure.code, failure and failure.reason
    end
    for _, features in ipairs { "status_request", "status_request_v2, status_request" } do
      local ok, code, reason = shake(features, IF_PRESENT)
      assert.same({ nil, alert(113) }, { ok, code })
      assert.matches("says that there is one", reason)
      assert.is_true((shake(features))) -- one that does not ask
    end
    assert.equal(alert(113), (select(2, shake("critical, status_request", IF_PRESENT))))
    assert.is_true((shake("critical, 10", IF_PRESENT))) -- it is understood, and asks for nothing of ours
    assert.is_true((shake("10", IF_PRESENT)))
    assert.is_true((shake(nil, IF_PRESENT)))
    local _, code, reason = shake("status_request", IF_PRESENT, { roots = "leaf" })
    assert.equal(alert(113), code, reason)
  end)

  it("needs an issuer: a pin alone, or a root as the leaf, does not do where it is required", function()
    local pin = fixtures.certificates().pin
    assert.matches("no roots", refused(113, { client = { ocsp = REQUIRED, roots = "", pin = pin },
      server = { staple = responses.good } }))
    local leaf = fixtures.certificates().p256[1]
    assert.matches("no issuer", refused(113, { client = { ocsp = REQUIRED, roots = leaf },
      server = { staple = responses.good } }))
  end)

  it("is required of a session as well: one that was known by less is not offered", function()
    local server = assert(fixtures.server_config({ resumption = true }))
    local client = assert(fixtures.client_config({ resumption = true }))
    accepted({ client = client, server = server })
    local strict = assert(fixtures.client_config({ resumption = true, ocsp = REQUIRED }))
    local _, saved = client:sessions()
    assert.equal(0, strict:load_sessions(saved))
    refused(113, { client = strict, server = server })
  end)

  it("of another certificate, or above the limit, is not taken by a server", function()
    local config, code = fixtures.server_config({ staple = responses.other })
    assert.same({ nil, -13 }, { config, code })
    for _, bad in ipairs({ "x", responses.good:sub(1, -2) }) do
      config, code = fixtures.server_config({ staple = bad })
      assert.same({ nil, -13 }, { config, code })
    end
    config = fixtures.server_config({ staple = ("x"):rep(16385) })
    assert.is_nil(config)
  end)
end)
