--- Our engine against GnuTLS in one process, both roles, without records.
local helper = require("helper")
local units = require("neap.units")
local fixtures = require("tls.fixtures")
local messages = require("tls.messages")

local gnutls = units.tls_gnutls
local LEVELS = { 0, 2, 3 }
local CIPHERS = {
  { "AES-128-GCM", fixtures.SUITES.AES_128_GCM },
  { "AES-256-GCM", fixtures.SUITES.AES_256_GCM },
  { "CHACHA20-POLY1305", fixtures.SUITES.CHACHA20_POLY1305 },
}
local GROUPS = {
  { "X25519", fixtures.GROUPS.X25519 },
  { "SECP256R1", fixtures.GROUPS.P256 },
  { "SECP384R1", fixtures.GROUPS.P384 },
}
local KINDS = { "deep", unpack(fixtures.KINDS) }

local function priority(cipher, groups, signatures)
  local out = "NORMAL:-VERS-ALL:+VERS-TLS1.3:%DISABLE_TLS13_COMPAT_MODE"
  if cipher then out = out .. ":-CIPHER-ALL:+" .. cipher end
  if groups then
    out = out .. ":-GROUP-ALL"
    for _, group in ipairs(groups) do out = out .. ":+GROUP-" .. group end
  end
  if signatures then out = out .. ":-SIGN-ALL:+SIGN-" .. table.concat(signatures, ":+SIGN-") end
  return out
end

local function take_secrets(peer, into)
  for _, s in ipairs(peer:secrets()) do into[s.level .. s.direction] = s.secret end
end

-- Move bytes both ways until nobody has any: what went wrong, or nil; all messages; the secrets of both.
local function run(ours, theirs, fragment)
  local seen, secrets = {}, { ours = {}, theirs = {} }
  local function move(from, to, who)
    local moved = 0
    for _, level in ipairs(LEVELS) do
      local bytes = from:output(level)
      moved = moved + #bytes
      for _, message in ipairs(messages.split(bytes)) do
        table.insert(seen, { from = who, level = level, kind = messages.kind(message), message = message })
      end
      local size = fragment or #bytes
      for at = 1, #bytes, math.max(size, 1) do
        local ok, code, reason = to:receive(level, bytes:sub(at, at + size - 1))
        if not ok then return nil, { to = who == "ours" and "theirs" or "ours", code = code, reason = reason } end
      end
    end
    take_secrets(ours, secrets.ours)
    take_secrets(theirs, secrets.theirs)
    return moved
  end
  repeat
    local one, failure = move(ours, theirs, "ours")
    if not one then return failure, seen, secrets end
    local two, other = move(theirs, ours, "theirs")
    if not two then return other, seen, secrets end
  until one + two == 0
  return nil, seen, secrets
end

local function count(seen, from, kind)
  local n = 0
  for _, m in ipairs(seen) do
    if m.from == from and m.kind == kind then n = n + 1 end
  end
  return n
end

local function check_equal(secrets)
  for _, level in ipairs({ 2, 3 }) do
    assert.truthy(secrets.ours[level .. "read"])
    assert.equal(helper.hex(secrets.theirs[level .. "write"]), helper.hex(secrets.ours[level .. "read"]))
    assert.equal(helper.hex(secrets.theirs[level .. "read"]), helper.hex(secrets.ours[level .. "write"]))
  end
end

local function their_server(options)
  local certificate = fixtures.certificates()[options.kind or "p256"]
  return gnutls.new({
    chain = certificate[1], key = certificate[2],
    priority = priority(options.cipher, options.groups, options.signatures),
    alpn = options.alpn or "h3", params = options.params or "gnutls server params",
    request_certificate = options.request_certificate, compress = options.compress,
  })
end

local function their_client(options)
  return gnutls.new({
    client = true, roots = fixtures.certificates().ca[1], name = options.name or "example.test",
    priority = priority(options.cipher, options.groups), alpn = options.alpn or "h3",
    params = options.params or "gnutls client params", one_share = true,
    compress = options.compress,
  })
end

local COMPRESSED_CERTIFICATE = 25
-- GnuTLS may be built without zlib: it says so when it is to use it.
local can_compress = gnutls.available and units.tls.has_compression() and pcall(their_client, { compress = true })

local function check_done(ours, theirs, suite, group, params)
  local info = ours:info()
  assert.is_true(info.complete)
  assert.is_true(theirs:info().complete)
  assert.equal("h3", info.alpn)
  assert.equal("h3", theirs:info().alpn)
  assert.equal(suite, info.suite)
  assert.equal(group, info.group)
  assert.equal(params.theirs, info.params)
  assert.equal(params.ours, theirs:info().params)
end

describe("a client of ours with a server of GnuTLS", function()
  local function client(options)
    return assert(assert(fixtures.client_config(options)):client("example.test", "our params", fixtures.now))
  end

  local function combination(cipher, group, kind, fragment)
    local ours = client({ suites = { cipher[2] }, groups = { group[2] } })
    local theirs = their_server({ cipher = cipher[1], groups = { group[1] }, kind = kind })
    local failure, _, secrets = run(ours, theirs, fragment)
    assert.is_nil(failure and failure.to .. ": " .. failure.reason)
    check_done(ours, theirs, cipher[2], group[2], { ours = "our params", theirs = "gnutls server params" })
    check_equal(secrets)
  end

  if not gnutls.available then
    it("is compared with GnuTLS", function() pending("needs GnuTLS: libgnutls28-dev") end)
    return
  end

  for _, cipher in ipairs(CIPHERS) do
    for _, group in ipairs(GROUPS) do
      it("agrees on " .. cipher[1] .. " and " .. group[1], function() combination(cipher, group) end)
    end
  end

  for _, kind in ipairs(KINDS) do
    it("takes a certificate of kind " .. kind, function()
      combination(CIPHERS[1], GROUPS[1], kind)
    end)
  end

  it("agrees when every byte comes alone", function() combination(CIPHERS[2], GROUPS[2], "rsa", 1) end)

  it("follows a HelloRetryRequest", function()
    for _, group in ipairs({ GROUPS[2], GROUPS[3] }) do
      local ours = client({ groups = { fixtures.GROUPS.X25519, group[2] } })
      local theirs = their_server({ groups = { group[1] } })
      local failure, seen, secrets = run(ours, theirs)
      assert.is_nil(failure and failure.reason)
      assert.equal(2, count(seen, "ours", messages.CLIENT_HELLO))
      assert.equal(2, count(seen, "theirs", messages.SERVER_HELLO))
      assert.equal(group[2], ours:info().group)
      check_equal(secrets)
    end
  end)

  -- covers: rfc8446#4.4.2.3 rfc8446#4.4.2.4
  it("answers a CertificateRequest with an empty Certificate", function()
    local ours = client()
    local theirs = their_server({ request_certificate = true })
    local failure, seen, secrets = run(ours, theirs)
    assert.is_nil(failure and failure.reason)
    assert.equal(1, count(seen, "theirs", messages.CERTIFICATE_REQUEST))
    assert.equal(1, count(seen, "ours", messages.CERTIFICATE))
    assert.is_true(theirs:info().complete)
    check_equal(secrets)
  end)

  -- covers: rfc8446#4.4.3.5
  it("answers one with a signature of a scheme that it lists, and with no certificate without a key for one", function()
    for name, scheme in pairs({ ["RSA-PSS-RSAE-SHA384"] = "\8\5", ["RSA-PSS-RSAE-SHA512"] = "\8\6",
      ["ECDSA-SECP384R1-SHA384"] = "\5\3", ["ECDSA-SECP521R1-SHA512"] = false }) do
      local ours = client({ certificate = { "clientp384", "clientrsa" } })
      local theirs = their_server({ request_certificate = true, signatures = { "ECDSA-SECP256R1-SHA256", name } })
      local failure, seen = run(ours, theirs)
      assert.is_nil(failure and failure.to .. ": " .. failure.reason)
      assert.equal(1, count(seen, "ours", messages.CERTIFICATE))
      assert.equal(scheme and 1 or 0, count(seen, "ours", messages.CERTIFICATE_VERIFY))
      for _, m in ipairs(seen) do
        if m.from == "ours" and m.kind == messages.CERTIFICATE_VERIFY then
          assert.equal(scheme, messages.body(m.message):sub(1, 2))
        end
      end
    end
  end)

  it("shows the first certificate that is signed as one lists, or else the first", function()
    for names, expected in pairs({
      [{ "ECDSA-SECP256R1-SHA256" }] = "client",
      [{ "ECDSA-SECP256R1-SHA256", "RSA-PSS-RSAE-SHA256" }] = "client",
      [{ "ECDSA-SECP256R1-SHA256", "RSA-SHA256" }] = "clientbyrsa",
    }) do
      local ours = client({ certificate = { "clientbyrsa", "client" } })
      local failure, seen = run(ours, their_server({ request_certificate = true, signatures = names }))
      assert.is_nil(failure and failure.to .. ": " .. failure.reason)
      for _, m in ipairs(seen) do
        if m.from == "ours" and m.kind == messages.CERTIFICATE then
          local name = assert(m.message:match("\12.(client%l*)0Y")) -- the subject, before its key
          assert.equal(expected, name)
        end
      end
    end
  end)

  it("takes a compressed certificate", function()
    if not can_compress then return pending("needs zlib here and in GnuTLS") end
    for _, kind in ipairs(KINDS) do
      local ours = client({ compression = true })
      local failure, seen, secrets = run(ours, their_server({ compress = true, kind = kind }))
      assert.is_nil(failure and failure.to .. ": " .. failure.reason)
      assert.equal(1, count(seen, "theirs", COMPRESSED_CERTIFICATE))
      assert.is_true(ours:info().complete)
      check_equal(secrets)
    end
  end)

  it("takes a certificate that an RSA authority signed", function()
    local ours = client({ roots = fixtures.certificates().rsaca[1] })
    local theirs = their_server({ kind = "byrsa" })
    local failure = run(ours, theirs)
    assert.is_nil(failure and failure.to .. ": " .. failure.reason)
    assert.is_true(ours:info().complete)
  end)

  it("gets its alert when no protocol is common", function()
    local failure = run(client(), their_server({ alpn = "other" }))
    assert.same({ "theirs", 120 }, { failure.to, failure.code })
  end)
end)

describe("a server of ours with a client of GnuTLS", function()
  local function server(options)
    return assert(assert(fixtures.server_config(options)):server("our params", fixtures.now))
  end

  local function combination(cipher, group, kind, fragment)
    local ours = server({ suites = { cipher[2] }, groups = { group[2] }, certificate = kind })
    local theirs = their_client({ cipher = cipher[1], groups = { group[1] } })
    local failure, _, secrets = run(ours, theirs, fragment)
    assert.is_nil(failure and failure.to .. ": " .. failure.reason)
    check_done(ours, theirs, cipher[2], group[2], { ours = "our params", theirs = "gnutls client params" })
    assert.equal("example.test", ours:info().server_name)
    check_equal(secrets)
  end

  if not gnutls.available then
    it("is compared with GnuTLS", function() pending("needs GnuTLS: libgnutls28-dev") end)
    return
  end

  it("sends a compressed certificate", function()
    if not can_compress then return pending("needs zlib here and in GnuTLS") end
    for _, kind in ipairs(KINDS) do
      local ours = server({ compression = true, certificate = kind })
      local failure, seen, secrets = run(ours, their_client({ compress = true }))
      assert.is_nil(failure and failure.to .. ": " .. failure.reason)
      assert.equal(1, count(seen, "ours", COMPRESSED_CERTIFICATE))
      assert.is_true(ours:info().complete)
      check_equal(secrets)
    end
  end)

  for _, cipher in ipairs(CIPHERS) do
    for _, group in ipairs(GROUPS) do
      it("agrees on " .. cipher[1] .. " and " .. group[1], function() combination(cipher, group) end)
    end
  end

  for _, kind in ipairs(KINDS) do
    it("shows a certificate of kind " .. kind, function()
      combination(CIPHERS[1], GROUPS[1], kind)
    end)
  end

  it("agrees when every byte comes alone", function() combination(CIPHERS[3], GROUPS[3], "p384", 1) end)

  it("asks again for a group that it has", function()
    for _, group in ipairs({ GROUPS[2], GROUPS[3] }) do
      local ours = server({ groups = { group[2] } })
      local theirs = their_client({ groups = { "X25519", group[1] } })
      local failure, seen, secrets = run(ours, theirs)
      assert.is_nil(failure and failure.to .. ": " .. failure.reason)
      assert.equal(2, count(seen, "theirs", messages.CLIENT_HELLO))
      assert.equal(2, count(seen, "ours", messages.SERVER_HELLO))
      assert.equal(group[2], ours:info().group)
      check_equal(secrets)
    end
  end)

  it("refuses a client whose protocols it does not have", function()
    local failure = run(server(), their_client({ alpn = "other" }))
    assert.same({ "ours", 0x100 + 120 }, { failure.to, failure.code })
  end)

  it("is refused for a name that its certificate does not have", function()
    local failure = run(server(), their_client({ name = "wrong.test" }))
    assert.equal("theirs", failure.to)
  end)
end)

describe("an external pre-shared key", function()
  if not gnutls.available then
    it("is compared with GnuTLS", function() pending("needs GnuTLS: libgnutls28-dev") end)
    return
  end

  local KEY, IDENTITY = ("a key of 32 byte"):rep(2), "sensor 7"
  -- For GnuTLS external keys are always of SHA-256.
  local PRIORITY = "NORMAL:-VERS-ALL:+VERS-TLS1.3:-KX-ALL:+ECDHE-PSK:%DISABLE_TLS13_COMPAT_MODE"

  local function theirs(is_client, key)
    return gnutls.new({ client = is_client, name = is_client and "example.test" or nil, priority = PRIORITY,
      alpn = "h3", params = "gnutls params", one_share = true, psk_identity = IDENTITY, psk_key = key or KEY })
  end

  local function ours(side, key)
    local psks = { { IDENTITY, key or KEY, 256 } }
    if side == "client" then
      local config = assert(fixtures.client_config({ psks = psks, roots = "" }))
      return assert(config:client("example.test", "our params", fixtures.now))
    end
    return assert(assert(fixtures.server_config({ psks = psks, certificate = {} })):server("our params", fixtures.now))
  end

  local function check(side)
    local mine, peer = ours(side), theirs(side == "server")
    local failure, seen, secrets = run(mine, peer)
    assert.is_nil(failure and failure.to .. ": " .. failure.reason)
    assert.is_true(mine:info().complete)
    assert.is_true(peer:info().complete)
    assert.equal(IDENTITY, mine:info().psk_identity)
    assert.equal(0, count(seen, "ours", messages.CERTIFICATE) + count(seen, "theirs", messages.CERTIFICATE))
    check_equal(secrets)
  end

  it("is what a client of ours and a server of GnuTLS agree by", function() check("client") end)
  it("is what a server of ours and a client of GnuTLS agree by", function() check("server") end)

  it("does not do when it is another", function()
    local failure = run(ours("server"), theirs(true, ("b"):rep(32)))
    assert.same({ "ours", 0x100 + 51 }, { failure.to, failure.code })
    failure = run(ours("client"), theirs(false, ("b"):rep(32)))
    assert.equal("theirs", failure.to)
  end)
end)
