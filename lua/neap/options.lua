--- Options that are the library's own: one row each, checked when they are given. The rest is for core.config, which
-- checks its own and refuses unknown names.
--
--   local OWN = { port = options.whole(0, 65535), read_timeout = options.timeout(60) }
local nearest = require "neap.nearest"

local options = {}

--- Those options of core.config that are no row of core/quic/options.h: name and text, for lists.
options.MATERIAL = {
  { "cert", "the certificate chain of a server, or of a client for servers that ask: PEM, DER or a path" },
  { "key", "its private key: PEM, DER or a path" },
  { "certs", "more of both, chosen by the name or the authority that the peer asks for: a list of { cert =, key = }" },
  { "ocsp_file", "path of an OCSP response in DER that is shown with `cert`; in `certs` with theirs" },
  { "sign", "signs for certificates without key: function(bytes, scheme, name, question)" },
  { "psk", "external pre-shared keys: a client's { identity =, key = }; a server's { [identity] = key }, or "
    .. "function(identity)" },
  { "verify_client", "decides about a client, behind `client_ca` or without: function(certificate, question, conn)" },
  { "verify_server", "decides about a server, beside roots and pins or without: function(der, question)" },
  { "certificate", "a function(name): { cert =, key =, ocsp_file = } of a name, or nil for those above; it may wait" },
  { "ca", "roots that a peer's certificate may lead to: PEM, a file, a folder, true for the system's; one or a list" },
  { "client_ca", "roots that a client's certificate has to lead to: PEM, a file or a folder, one or a list" },
  { "pins", "SHA-256 of the public keys that a peer may have: sha256//BASE64, 32 bytes, 64 hex digits; one or a list" },
  { "crl", "revocation lists: what they name is refused: PEM, DER or a path, one or a list" },
  { "groups", "of the key exchange, best first: X25519MLKEM768 (OpenSSL 3.5), x25519, secp256r1, secp384r1; all but "
    .. "the first for clients, and all for servers, unless told" },
  { "cipher_suites", "of TLS, best first: TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384, "
    .. "TLS_CHACHA20_POLY1305_SHA256; all unless told, ChaCha20 first where the CPU has no instructions for AES" },
  { "alpn", "the application's protocols, one or a list; app:listen and neap.client say h3 by themselves" },
  { "versions", "of QUIC, v1 or v2 or their numbers, best first; a server that was told goes over to the first that a "
    .. "client offers, else it speaks either as the client begins" },
  { "keylog", "path of a file that TLS secrets are appended to; $SSLKEYLOGFILE unless told" },
  { "qlog", "folder for traces of connections (qlog), a file each; $QLOGDIR unless told" },
  { "qlog_every", "one connection in so many is traced" },
  { "qlog_limit", "bytes of one trace, 0: no bound; 64 MiB unless told" },
  { "qlog_files", "traces that may be in the folder, 0: no bound; 10000 unless told" },
  { "qlog_total", "bytes that all of them may have, 0: no bound; 1 GiB unless told" },
  { "preferred_address", "where a server's clients go once they are connected: an address with a port, at which it "
    .. "listens, too, or one of IPv4 and one of IPv6" },
  { "static_secret", "32 bytes or 64 hex digits that the keys of Retry tokens and stateless resets are made of" },
  { "connection_id_prefix", "our connection IDs begin with these bytes, which everybody sees, and are random behind" },
  { "quic_lb", "our connection IDs lead a load balancer here (draft-ietf-quic-load-balancers): "
    .. "{ config_id =, server_id =, nonce_length =, key =, length_encoding = }" },
  { "ticket_key_file", "path of 1 to 4 keys of tickets: lines of 64 hex digits, the first seals; as secret as `key`" },
  { "token_key_file", "path of 1 to 4 keys of address validation tokens, as those of tickets; servers with one file "
    .. "take each other's" },
  { "strike_file", "path of a register of early data that was read; all with one `ticket_key_file` share it" },
  { "memory_limit", "bytes for all connections, 0: no bound; a quarter of the machine's or the cgroup's unless told" },
  { "seed", "all randomness follows from it: for simulations only" },
  { "wall_clock", "seconds since 1970, fixed: for simulations only" },
}

-- What one role alone looks at. Given to the other it would do nothing, although somebody may think that it protects.
local ONLY = {
  client = {
    "address_tokens",
    "ca", "pins", "verify_peer", "verify_server", "ocsp", "ocsp_required", "original_version",
    "use_preferred_address",
  },
  server = {
    "client_ca", "client_certificate", "verify_client", "certificate", "certificate_ttl", "ocsp_file", "strike_file",
    "strike_entries", "ticket_key_file", "ticket_lifetime",
    "token_key_file", "token_lifetime", "token_entries", "retry", "retry_above", "handshake_rate", "max_connections",
    "quic_lb", "preferred_address",
  },
}

local ROLE = {} -- name → the role that it is for
for role, names in pairs(ONLY) do
  for _, name in ipairs(names) do ROLE[name] = role end
end

local INSTEAD = { -- of the other role's
  ca = "a server checks its clients by `client_ca`", verify_server = "a server has `verify_client`",
  verify_peer = "a server has `client_certificate`", client_ca = "a client checks servers by `ca`",
  verify_client = "a client has `verify_server`",
}

-- Without roots no certificate is looked at by these.
local function check_roots(config, level)
  local has_roots = config.verify_peer ~= false and (config.ca or not (config.pins or config.psk))
  for _, name in ipairs { "crl", "ocsp", "ocsp_required" } do
    if config[name] and not has_roots then
      local text = "option '%s' checks nothing without roots: give `ca` (true: the system's), and leave verify_peer on"
      error(text:format(name), level + 1)
    end
  end
  if config.ca and config.verify_peer == false then
    error("option 'ca' checks nothing with verify_peer = false", level + 1)
  end
end

-- What is asked of every server's certificate. One that takes the key shows none; `ca` is for those that do not.
local function check_psk(config, level)
  for _, name in ipairs { "pins", "ocsp_required", "verify_server" } do
    if config.psk and config[name] then
      local text = "option '%s' cannot hold beside `psk`: a server that takes the key shows no certificate"
      error(text:format(name), level + 1)
    end
  end
  for _, name in ipairs { "cert", "certs" } do
    if config.psk and config[name] and not config.ca then
      local text = "option '%s' is never shown beside `psk` without `ca`: a server that takes the key asks for none"
      error(text:format(name), level + 1)
    end
  end
end

-- Of a client's certificates nobody asks for an OCSP response.
local function check_rows(config, level)
  for _, row in ipairs(type(config.certs) == "table" and config.certs or {}) do
    if type(row) == "table" and row.ocsp_file then error("option 'ocsp_file' is a server's", level + 1) end
  end
end

-- Early data is read by tickets, and noted where it was read. Who turns it off says so with early_data = false.
local function check_early_data(config, level)
  for _, name in ipairs { "strike_file", "strike_entries" } do
    if config[name] ~= nil and config.early_data == nil then
      error(("option '%s' needs `early_data`"):format(name), level + 1)
    end
  end
  if config.early_data and (config.resumption == false or config.ticket_lifetime == 0) then
    error("option 'early_data' needs sessions: `resumption`, and a server's `ticket_lifetime` above 0", level + 1)
  end
end

-- Signatures are asked for where a key is elsewhere.
local function check_sign(config, level)
  if config.sign == nil or config.certificate then return end
  if config.cert and config.key == nil then return end
  for _, one in ipairs(type(config.certs) == "table" and config.certs or {}) do
    if type(one) == "table" and one.cert and one.key == nil then return end
  end
  error("option 'sign' is never asked: it signs for certificates without `key`, and there is none", level + 1)
end

-- Of a server's, what does nothing where the option is not there that it belongs to.
local function check_server(config, level)
  if config.crl and config.client_certificate == nil then
    error("option 'crl' needs `client_certificate`: a server looks into it for its clients' certificates", level + 1)
  end
  if config.crl and config.client_certificate ~= "none" and not config.client_ca then
    error("option 'crl' checks nothing without roots: give `client_ca`", level + 1)
  end
  local is_psk_alone = config.psk and not (config.cert or config.certs or config.certificate)
  if is_psk_alone and (config.client_certificate or "none") ~= "none" then
    error("option 'client_certificate' asks nobody: a server with `psk` alone has handshakes without certificates",
      level + 1)
  end
  for _, name in ipairs { "ticket_key_file", "ticket_lifetime" } do
    if config.resumption == false and (config[name] or 0) ~= 0 then
      error(("option '%s' needs `resumption`"):format(name), level + 1)
    end
  end
  if config.certificate_ttl ~= nil and not config.certificate then
    error("option 'certificate_ttl' needs `certificate`, the function", level + 1)
  end
end

--- Refuses, at the caller's level, options of a config that only the other role looks at, or that do
-- nothing beside the others. `role`: "client" or "server".
function options.of_role(role, config, level)
  for name in pairs(config) do
    local other = ROLE[name]
    if other and other ~= role then
      local instead = INSTEAD[name]
      error(("option '%s' is a %s's%s"):format(name, other, instead and ": " .. instead or ""), level + 1)
    end
  end
  check_early_data(config, level + 1)
  check_sign(config, level + 1)
  if role == "server" then check_server(config, level + 1) end
  if config.crl_grace and config.crl_grace ~= 0 and not config.crl then
    error("option 'crl_grace' needs `crl`", level + 1)
  end
  if role ~= "client" then return end
  check_psk(config, level + 1)
  check_rows(config, level + 1)
  check_roots(config, level + 1)
end

--- What an option of core.options() is when nobody sets it, in words: its default, or what it follows then.
function options.preset(option)
  local followed = option.text:match("; not set: (.*)$")
  if followed then return followed end
  return option.unit == "seconds" and ("%.14g"):format(option.default) or tostring(option.default):gsub("%.0$", "")
end

--- Whether a key may be the text of one: hex digits alone, of 16 bytes or more.
function options.is_hex_text(key)
  return #key >= 32 and #key % 2 == 0 and not key:find("%X")
end

--- A row: what the value must be in words, `is(value)` that tells, and the default (nil: none).
function options.row(must_be, is, default)
  return { must_be = must_be, is = is, default = default }
end

--- A value of a Lua type; `or_false`: or false, which turns it off.
function options.of(kind, default, or_false)
  return options.row(("a %s%s"):format(kind, or_false and " or false" or ""), function(value)
    return type(value) == kind or (or_false and value == false)
  end, default)
end

local function is_number(value, least, greatest)
  return type(value) == "number" and value >= least and value <= greatest
end

--- A number of `noun` between bounds.
function options.number(noun, least, greatest, default)
  local range = greatest < math.huge and (" from %g to %g"):format(least, greatest) or (" from %g"):format(least)
  return options.row(noun .. range, function(value) return is_number(value, least, greatest) end, default)
end

--- A whole number between bounds (nil: as large as a double can count).
function options.whole(least, greatest, default)
  local range = greatest and ("from %d to %d"):format(least, greatest) or ("from %d"):format(least)
  return options.row("a whole number " .. range, function(value)
    return is_number(value, least, greatest or 2 ^ 53) and value % 1 == 0
  end, default)
end

--- How long something may take; math.huge: for ever.
function options.timeout(default)
  return options.row("seconds above 0", function(value) return type(value) == "number" and value > 0 end, default)
end

local function must_be(name, row, level)
  error(("option '%s' must be %s"):format(name, row.must_be), level + 1)
end

--- Refuses, at the caller's level, names that are no row and values that are not what their row says. `what` they are
-- options of, in words.
function options.check(given, rows, what, level)
  if type(given) ~= "table" then error(("options of %s are a table"):format(what), level + 1) end
  for name, value in pairs(given) do
    local row = rows[name]
    if not row then
      error(("unknown option '%s' of %s%s"):format(tostring(name), what, nearest.hint(name, rows, "'")), level + 1)
    end
    if not row.is(value) then must_be(name, row, level + 1) end
  end
end

-- Tables are copied with all that is in them: a reload reads the options again, whatever has become of their owner's.
local function copied(value)
  if type(value) ~= "table" then return value end
  local copy = {}
  for name, one in pairs(value) do copy[name] = copied(one) end
  return copy
end

--- Splits an options table (nil: none): what has a row, checked and with its defaults, and a copy of the rest. `level`
-- is that of who gave it, as error() counts for the caller.
function options.split(given, rows, level)
  local mine, config = {}, {}
  if given ~= nil and type(given) ~= "table" then error("options are a table", level + 1) end
  for name, row in pairs(rows) do mine[name] = row.default end
  for name, value in pairs(given or {}) do
    local row = rows[name]
    if row and not row.is(value) then must_be(name, row, level + 1) end
    if row then mine[name] = value else config[name] = copied(value) end
  end
  return mine, config
end

--- The options of something that has no others: checked, with what is meant without them; errors at the caller's level.
function options.fill(given, rows, what, level)
  options.check(given or {}, rows, what, level + 1)
  local filled = {}
  for name, row in pairs(rows) do filled[name] = row.default end
  for name, value in pairs(given or {}) do filled[name] = value end
  return filled
end

--- A variable of the environment; nil also when it is empty, as it is where scripts unset it.
function options.variable(name)
  local value = os.getenv(name)
  return value ~= "" and value or nil
end

--- What a config has from the environment unless it was told.
function options.from_environment(config)
  config.keylog = config.keylog or options.variable("SSLKEYLOGFILE")
  config.qlog = config.qlog or options.variable("QLOGDIR")
end

return options
