--- Certificates for specs, made once a run with the openssl program, and configs that use them.
local helper = require("helper")
local tls = require("neap.units").tls

local fixtures = {}

fixtures.SUITES = { AES_128_GCM = 0x1301, AES_256_GCM = 0x1302, CHACHA20_POLY1305 = 0x1303 }
fixtures.GROUPS = { P256 = 0x17, P384 = 0x18, X25519 = 0x1d }
-- An hour from now: certificates that are made meanwhile are valid then.
fixtures.now = os.time() + 3600

local SCRIPT = [[
set -e
cd %s
request() { # name, key type, options
  name=$1; shift
  openssl req -nodes -newkey "$@" -keyout "$name.key" -out "$name.csr" -subj "/CN=$name" 2>/dev/null
}
sign() { # name, signer, extensions, days
  printf '%%b' "$3" >"$1.ext"
  openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -CAcreateserial -days ${4:-365} -sha256 \
    -extfile "$1.ext" -out "$1.pem" 2>/dev/null
}
root() { # name, key type, options
  name=$1; shift
  openssl req -x509 -nodes -newkey "$@" -keyout "$name.key" -out "$name.pem" -days 3650 -sha256 \
    -subj "/CN=$name" -addext basicConstraints=critical,CA:true -addext keyUsage=critical,keyCertSign 2>/dev/null
}
p256="ec -pkeyopt ec_paramgen_curve:P-256"
names='subjectAltName=DNS:example.test,DNS:*.wild.test,IP:192.0.2.1,IP:2001:db8::1\n'
leaf="basicConstraints=critical,CA:false\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n$names"
root ca $p256
root stranger $p256
root rsaca rsa:2048
request p256 $p256
request p384 ec -pkeyopt ec_paramgen_curve:P-384
request rsa rsa:2048
request ed25519 ed25519
for kind in p256 p384 rsa ed25519; do sign $kind ca "$leaf"; done
request byrsa $p256
sign byrsa rsaca "$leaf"
request other $p256
sign other ca "$(printf '%%s' "$leaf" | sed 's/example.test/other.test/; s/wild.test/other-wild.test/')"
clientleaf="$(printf '%%s' "$leaf" | sed s/serverAuth/clientAuth/)"
request client $p256
sign client ca "$clientleaf"
request middle $p256
sign middle ca 'basicConstraints=critical,CA:true,pathlen:0\nkeyUsage=critical,keyCertSign\n'
request deep $p256
sign deep middle "$leaf"
request clientdeep $p256
sign clientdeep middle "$clientleaf"
request brief $p256
sign brief ca 'basicConstraints=critical,CA:true,pathlen:0\nkeyUsage=critical,keyCertSign\n' 10
request clientbrief $p256
sign clientbrief brief "$clientleaf"
request clientrsa rsa:2048
sign clientrsa ca "$clientleaf"
request clientbyrsa $p256
sign clientbyrsa rsaca "$clientleaf"
request clientp384 ec -pkeyopt ec_paramgen_curve:P-384
sign clientp384 ca "$clientleaf"
request clienthuge $p256
more=$(for i in $(seq 1 100); do printf ',DNS:a-name-that-is-only-there-to-be-long-%%d.test' $i; done)
sign clienthuge ca "${clientleaf%%??}$more\n"
request clientunknown $p256
sign clientunknown stranger "$clientleaf"
request unknown $p256
sign unknown stranger "$leaf"
openssl x509 -in p256.pem -noout -pubkey | openssl pkey -pubin -outform DER | openssl dgst -sha256 -binary >p256.pin
]]

local made

--- All certificates: name -> { chain, key } in PEM; ca and stranger are roots, unknown is of the latter, deep comes by
--- way of an intermediate; what begins with client is for clients (clienthuge has a leaf of 5 KiB, clientbare is
--- clientdeep without its intermediate).
function fixtures.certificates()
  if made then return made end
  local dir = helper.make_dir()
  local output, status = helper.run(SCRIPT:format(helper.quote(dir)))
  local function read(name) return assert(helper.read_file(dir .. "/" .. name)) end
  local certificates
  if status == 0 then
    certificates = { pin = read("p256.pin") }
    for _, name in ipairs({ "ca", "stranger", "p256", "p384", "rsa", "ed25519", "other", "client", "deep", "rsaca",
      "byrsa", "unknown", "clientdeep", "clientbrief", "clientrsa", "clientp384", "clientbyrsa", "clienthuge",
      "clientunknown" }) do
      certificates[name] = { read(name .. ".pem"), read(name .. ".key") }
    end
    certificates.deep[1] = certificates.deep[1] .. read("middle.pem")
    certificates.clientbare = { certificates.clientdeep[1], certificates.clientdeep[2] }
    certificates.clientdeep[1] = certificates.clientdeep[1] .. read("middle.pem")
    certificates.clientbrief[1] = certificates.clientbrief[1] .. read("brief.pem")
  end
  helper.remove_dir(dir)
  assert(status == 0, "openssl could not make the certificates: " .. output)
  made = certificates
  return made
end

local function with_defaults(options, defaults)
  local out = {}
  for k, v in pairs(defaults) do out[k] = v end
  for k, v in pairs(options or {}) do out[k] = v end
  return out
end

local function identities(names, options)
  local list = {}
  for i, name in ipairs(type(names) == "string" and { names } or names) do
    local chain, key = unpack(fixtures.certificates()[name])
    list[i] = { chain, key, later = options.later, staple = options.staple }
  end
  return list
end

--- A server's config; options.certificate is a name or a list of names (default p256); with options.later their
--- keys are elsewhere. Where it asks for certificates (options.ask: 1 requests, 2 requires), those of the test root are
--- good unless options.client_roots says otherwise.
function fixtures.server_config(options)
  options = with_defaults(options, { seed = ("s"):rep(32), alpn = { "h3" }, keylog = true })
  options.identities = identities(options.certificate or "p256", options)
  if options.ask and options.client_roots == nil then options.client_roots = fixtures.certificates().ca[1] end
  return tls.config(options)
end

--- A client's config; it trusts the test root unless options.roots says otherwise, and has no certificate unless
--- options.certificate names some.
function fixtures.client_config(options)
  options = with_defaults(options, {
    seed = ("c"):rep(32), alpn = { "h3" }, keylog = true, roots = fixtures.certificates().ca[1],
  })
  if options.certificate then options.identities = identities(options.certificate, options) end
  return tls.config(options)
end

--- Kinds of keys that this build can sign with; Ed25519 comes from libsodium.
fixtures.KINDS = { "p256", "p384", "rsa" }
if require("neap.units").crypto.has_ed25519() then table.insert(fixtures.KINDS, "ed25519") end

return fixtures
