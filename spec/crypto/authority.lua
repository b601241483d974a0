--- Certificates for specs, made by the openssl program in a folder of their own.
local helper = require("spec.helper")
local certificates = require("neap.units").certificates
local crypto = require("neap.units").crypto

local authority = {}
authority.__index = authority

local KEYS = {
  p256 = "EC -pkeyopt ec_paramgen_curve:P-256",
  p384 = "EC -pkeyopt ec_paramgen_curve:P-384",
  p521 = "EC -pkeyopt ec_paramgen_curve:P-521",
  rsa1024 = "RSA -pkeyopt rsa_keygen_bits:1024",
  rsa2048 = "RSA -pkeyopt rsa_keygen_bits:2048",
  rsa4096 = "RSA -pkeyopt rsa_keygen_bits:4096",
  rsa4104 = "RSA -pkeyopt rsa_keygen_bits:4104",
  rsa4096_e32 = "RSA -pkeyopt rsa_keygen_bits:4096 -pkeyopt rsa_keygen_pubexp:4294967291",
  rsa_e3 = "RSA -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_pubexp:3",
  rsa_e32 = "RSA -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_pubexp:4294967291",
  rsa_e33 = "RSA -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_pubexp:8589934587",
  rsa_pss = "RSA-PSS -pkeyopt rsa_keygen_bits:2048",
  ed25519 = "ED25519",
  ed448 = "ED448",
}

--- What an authority's and a server's certificate usually say.
authority.CA = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign"
authority.SERVER = "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=serverAuth\n"
  .. "subjectAltName=DNS:tide.example,DNS:*.wild.example,IP:192.0.2.7,IP:2001:db8::7"

function authority.new()
  return setmetatable({ dir = helper.make_dir(), made = {} }, authority)
end

function authority:remove() helper.remove_dir(self.dir) end

local function must(command)
  local output, status = helper.run(command)
  if status ~= 0 then error(command .. "\n" .. output, 3) end
  return output
end

--- issue{ name =, issuer = (name; absent: self-signed), key = "p256", extensions = text, days =, digest =,
--- subject =, strings = (types of its strings: OpenSSL's string_mask), key_of = (another's name), is_version_1 =,
--- is_unreadable = (to us), options = more of `openssl x509` }
--- → { pem =, der =, key =, spki = (nil of what is unreadable) }
function authority:issue(spec)
  local base = self.dir .. "/" .. spec.name
  local file = helper.quote(base)
  if spec.key_of then
    helper.write_file(base .. ".key", self.made[spec.key_of].key)
  else
    must(("openssl genpkey -algorithm %s -out %s.key"):format(KEYS[spec.key or "p256"], file))
  end
  helper.write_file(base .. ".conf", "[req]\ndistinguished_name=dn\nstring_mask=" .. (spec.strings or "utf8only")
    .. "\n[dn]\n")
  must(("openssl req -new -utf8 -config %s.conf -key %s.key -subj %s -out %s.csr"):format(
    file, file, helper.quote(spec.subject or ("/CN=" .. spec.name)), file))
  local command = ("openssl x509 -req -in %s.csr -out %s.pem -days %d -set_serial %d"):format(
    file, file, spec.days or 1000, math.random(1, 2 ^ 30))
  if spec.key ~= "ed25519" or spec.issuer then
    local issuer = spec.issuer and self.made[spec.issuer]
    if not (issuer and issuer.kind == "ed25519") then command = command .. " -" .. (spec.digest or "sha256") end
  end
  if spec.extensions then
    helper.write_file(base .. ".ext", spec.extensions .. "\n")
    command = command .. (" -extfile %s.ext"):format(file)
  end
  if spec.issuer then
    local issuer = helper.quote(self.dir .. "/" .. spec.issuer)
    command = command .. (" -CA %s.pem -CAkey %s.key"):format(issuer, issuer)
  else
    command = command .. (" -signkey %s.key"):format(file)
  end
  must(command .. " " .. (spec.options or ""))
  if spec.is_version_1 then -- what old openssl makes without extensions, new ones only when they are told
    helper.run(("openssl req -config %s.conf -x509 -x509v1 -key %s.key -subj %s -days %d -out %s.pem"):format(
      file, file, helper.quote("/CN=" .. spec.name), spec.days or 1000, file))
  end
  local made = { pem = helper.read_file(base .. ".pem"), key = helper.read_file(base .. ".key"), kind = spec.key }
  made.der = certificates.ders(crypto.new(("d"):rep(32)), made.pem)[1]
  if not spec.is_unreadable then made.spki = assert(certificates.parse(made.der), spec.name).spki end
  self.made[spec.name] = made
  return made
end

local CRL_CONF = [[
[ca]
default_ca = list
[list]
database = %s.index
crlnumber = %s.number
default_md = sha256
%s
[list_extensions]
authorityKeyIdentifier = keyid
%s
]]

--- crl{ issuer =, revoked = {names or serials in hex}, hours = 24, extensions =, reason =, from =, to = (times),
--- has_extensions = true, signer = (another's name) } → PEM of a revocation list.
function authority:crl(spec)
  local signer = helper.quote(self.dir .. "/" .. (spec.signer or spec.issuer))
  local base = self.dir .. "/" .. spec.issuer .. "-list"
  local lines = {}
  for _, name in ipairs(spec.revoked or {}) do
    local serial = name
    if self.made[name] then
      serial = must(("openssl x509 -in %s.pem -noout -serial"):format(helper.quote(self.dir .. "/" .. name)))
        :match("=(%x+)")
    end
    local reason = spec.reason and "," .. spec.reason or ""
    lines[#lines + 1] = ("R\t400101000000Z\t240101000000Z%s\t%s\tunknown\t/CN=x\n"):format(reason, serial)
  end
  helper.write_file(base .. ".index", table.concat(lines))
  helper.write_file(base .. ".number", "01\n")
  helper.write_file(base .. ".conf", CRL_CONF:format(base, base,
    spec.has_extensions == false and "" or "crl_extensions = list_extensions", spec.extensions or ""))
  local file = helper.quote(base)
  must(("openssl ca -gencrl -config %s.conf -keyfile %s.key -cert %s.pem -crlhours %d -out %s.pem"):format(
    file, signer, signer, spec.hours or 24, file) .. (spec.from and " -crl_lastupdate " .. spec.from or "")
    .. (spec.to and " -crl_nextupdate " .. spec.to or ""))
  return helper.read_file(base .. ".pem")
end

return authority
