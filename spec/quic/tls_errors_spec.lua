--- What a peer reads in CONNECTION_CLOSE when its TLS is not as RFC 8446 and RFC 9001 want it (RFC 9001 §4.8): the
--- codes of both roles, through whole connections.
local hostile = require("support.hostile_tls")
local messages = require("tls.messages")

local APPLICATION = 3
local PROTOCOL_VIOLATION = 0x0a
local UNEXPECTED_MESSAGE, HANDSHAKE_FAILURE, ILLEGAL_PARAMETER, DECODE_ERROR = 0x10a, 0x128, 0x12f, 0x132
local DECRYPT_ERROR, PROTOCOL_VERSION, MISSING_EXTENSION, UNSUPPORTED_EXTENSION = 0x133, 0x146, 0x16d, 0x16e
local NO_APPLICATION_PROTOCOL = 0x178

local KEY_UPDATE = messages.build(messages.KEY_UPDATE, "\0")
local END_OF_EARLY_DATA = messages.build(messages.END_OF_EARLY_DATA, "")

local set = messages.set_extension

--- In place of the first message of a kind.
local function instead(kind, change)
  local done = false
  return function(_, of, message)
    if of ~= kind or done then return nil end
    done = true
    return type(change) == "string" and change or change(message)
  end
end

local function edited(kind, change)
  return instead(kind, function(message) return messages.edit(message, change) end)
end

local function before(kind, bytes) return instead(kind, function(message) return bytes .. message end) end

local function flipped(message)
  return message:sub(1, -2) .. string.char((message:byte(-1) + 1) % 256)
end

local function ticket(extensions)
  return messages.build(messages.NEW_SESSION_TICKET, ("\0"):rep(8) .. "\1n" .. "\0\6ticket"
    .. messages.vector(extensions, 2))
end

local CLIENT_HELLO, SERVER_HELLO = messages.CLIENT_HELLO, messages.SERVER_HELLO
local ENCRYPTED = messages.ENCRYPTED_EXTENSIONS
local CERTIFICATE, VERIFY, FINISHED = messages.CERTIFICATE, messages.CERTIFICATE_VERIFY, messages.FINISHED

local function hello(change) return edited(CLIENT_HELLO, change) end
local function answer(change) return edited(SERVER_HELLO, change) end
local function encrypted(change) return edited(ENCRYPTED, change) end

describe("a server closes a connection", function()
  local function it_says(title, code, change, after, options)
    it(("with 0x%x: %s"):format(code, title), function()
      assert.equal(code, (hostile.meet("client", change, after, options)))
    end)
  end

  it("not when all is right (the control for what follows)", function()
    local code, complete = hostile.meet("client")
    assert.is_nil(code)
    assert.is_true(complete)
  end)

  -- covers: rfc9001#6.3 rfc9001#4.8.1 rfc8446#6.2.1 rfc8446#6.2.2 rfc8446#6.2.4
  it_says("TLS KeyUpdate in place of ClientHello", UNEXPECTED_MESSAGE, instead(CLIENT_HELLO, KEY_UPDATE))
  it_says("TLS KeyUpdate in Handshake packets", UNEXPECTED_MESSAGE, before(FINISHED, KEY_UPDATE))
  it_says("TLS KeyUpdate in 1-RTT packets", UNEXPECTED_MESSAGE, nil, { APPLICATION, KEY_UPDATE })
  -- covers: rfc9001#8.3.1
  it_says("EndOfEarlyData in Handshake packets", UNEXPECTED_MESSAGE, before(FINISHED, END_OF_EARLY_DATA))
  it_says("EndOfEarlyData in 1-RTT packets", UNEXPECTED_MESSAGE, nil, { APPLICATION, END_OF_EARLY_DATA })
  it_says("Finished in place of ClientHello", UNEXPECTED_MESSAGE,
    instead(CLIENT_HELLO, messages.build(FINISHED, ("f"):rep(32))))
  it_says("change_cipher_spec as a record of TLS over TCP", UNEXPECTED_MESSAGE,
    instead(CLIENT_HELLO, "\20\3\3\0\1\1"))
  it_says("a Certificate that it did not ask for", UNEXPECTED_MESSAGE,
    before(FINISHED, messages.build(CERTIFICATE, "\0\0\0\0")))
  it_says("a ticket from a client", UNEXPECTED_MESSAGE, nil, { APPLICATION, ticket("") })
  it_says("ClientHello once more, in Handshake packets", UNEXPECTED_MESSAGE,
    before(FINISHED, messages.build(CLIENT_HELLO, "")))

  -- covers: rfc9001#8.1.2 rfc9001#8.1.6 rfc9000#7.2
  it_says("ClientHello without ALPN", NO_APPLICATION_PROTOCOL, hello(set(16, nil)))
  it_says("ALPN with names of others alone", NO_APPLICATION_PROTOCOL, hello(set(16, "\0\3\2h2")))
  it_says("ALPN whose name begins as ours", NO_APPLICATION_PROTOCOL, hello(set(16, "\0\3\2tt")))
  it_says("ALPN with a name cut off", DECODE_ERROR, hello(set(16, "\0\2\2t")))

  -- covers: rfc9001#8.2.1
  it_says("ClientHello without transport parameters", MISSING_EXTENSION, hello(set(57, nil)))
  it_says("transport parameters under the number of drafts alone", MISSING_EXTENSION, hello(function(m)
    set(0xffa5, messages.extension(m, 57))(m)
    set(57, nil)(m)
  end))
  it_says("ClientHello without key_share", MISSING_EXTENSION, hello(set(51, nil)))
  it_says("ClientHello without supported_groups", MISSING_EXTENSION, hello(set(10, nil)))
  it_says("ClientHello without signature_algorithms", MISSING_EXTENSION, hello(set(13, nil)))

  -- covers: rfc9001#8.4.1 rfc9001#8.4.2
  it_says("a session id, as for middle boxes", PROTOCOL_VIOLATION, hello(function(m) m.session = ("s"):rep(32) end))
  -- covers: rfc9001#4.2.1 rfc9001#4.2.2
  it_says("TLS 1.2 at most", PROTOCOL_VERSION, hello(set(43, "\2\3\3")))
  it_says("no supported_versions, as before TLS 1.3", PROTOCOL_VERSION, hello(set(43, nil)))
  it_says("SSL 3.0", PROTOCOL_VERSION, hello(function(m) m.version = "\3\0" end))
  it_says("compression", ILLEGAL_PARAMETER, hello(function(m) m.compressions = "\1\0" end))

  -- covers: rfc8446#2.1.1
  it_says("no suite in common", HANDSHAKE_FAILURE, hello(function(m) m.suites = "\192\43\0\255" end))
  -- covers: rfc9001#5.3.1
  it_says("TLS_AES_128_CCM_8_SHA256 alone", HANDSHAKE_FAILURE, hello(function(m) m.suites = "\19\5" end))
  it_says("no group in common", HANDSHAKE_FAILURE, hello(function(m)
    set(10, "\0\2\1\0")(m)
    set(51, "\0\0")(m)
  end))
  it_says("no signature scheme in common", HANDSHAKE_FAILURE, hello(set(13, "\0\2\2\1")))
  it_says("a key share that is no public key", ILLEGAL_PARAMETER, hello(function(m)
    set(51, "\0\36\0\29\0\32" .. ("\0"):rep(32))(m)
  end))
  it_says("an extension twice", ILLEGAL_PARAMETER, hello(function(m)
    table.insert(m.extensions, { 16, messages.extension(m, 16) })
  end))
  it_says("pre_shared_key before other extensions", ILLEGAL_PARAMETER, hello(function(m)
    table.insert(m.extensions, 1, { 45, "\1\1" })
    table.insert(m.extensions, 1, { 41, "\0\7\0\1x\0\0\0\0\0\33\32" .. ("b"):rep(32) })
  end))
  it_says("server_name with something behind its list", DECODE_ERROR, hello(function(m)
    m.extensions[1][2] = m.extensions[1][2] .. "\0\9\0\9"
    table.insert(m.extensions, { 0x4321, "" })
  end))

  it_says("Finished that does not fit", DECRYPT_ERROR, instead(FINISHED, flipped))
  it_says("Finished of another size", DECODE_ERROR, instead(FINISHED, messages.build(FINISHED, ("f"):rep(31))))
  -- covers: rfc9001#4.1.3.3
  it_says("handshake data behind Finished, in Handshake packets", PROTOCOL_VIOLATION,
    instead(FINISHED, function(message) return message .. KEY_UPDATE end))
end)

describe("a client closes a connection", function()
  local function it_says(title, code, change, after, options)
    it(("with 0x%x: %s"):format(code, title), function()
      assert.equal(code, (hostile.meet("server", change, after, options)))
    end)
  end

  it("not when all is right (the control for what follows)", function()
    local code, complete = hostile.meet("server")
    assert.is_nil(code)
    assert.is_true(complete)
  end)

  it_says("TLS KeyUpdate in place of ServerHello", UNEXPECTED_MESSAGE, instead(SERVER_HELLO, KEY_UPDATE))
  it_says("TLS KeyUpdate in Handshake packets", UNEXPECTED_MESSAGE, before(ENCRYPTED, KEY_UPDATE))
  it_says("TLS KeyUpdate in 1-RTT packets", UNEXPECTED_MESSAGE, nil, { APPLICATION, KEY_UPDATE })
  it_says("EndOfEarlyData in Handshake packets", UNEXPECTED_MESSAGE, before(FINISHED, END_OF_EARLY_DATA))
  it_says("EndOfEarlyData in 1-RTT packets", UNEXPECTED_MESSAGE, nil, { APPLICATION, END_OF_EARLY_DATA })
  it_says("a ClientHello", UNEXPECTED_MESSAGE, instead(SERVER_HELLO, messages.build(CLIENT_HELLO, "")))
  it_says("a ticket in Handshake packets", UNEXPECTED_MESSAGE, before(ENCRYPTED, ticket("")))
  it_says("no Certificate", UNEXPECTED_MESSAGE, instead(CERTIFICATE, ""))
  it_says("no CertificateVerify", UNEXPECTED_MESSAGE, instead(VERIFY, ""))
  it_says("Finished alone", UNEXPECTED_MESSAGE, function(_, kind)
    return (kind == CERTIFICATE or kind == VERIFY) and "" or nil
  end)
  -- covers: rfc9001#4.4.5
  it_says("CertificateRequest in 1-RTT packets", PROTOCOL_VIOLATION, nil,
    { APPLICATION, messages.build(messages.CERTIFICATE_REQUEST, "\0\0\0") })

  it_says("a session id that it did not send", ILLEGAL_PARAMETER, answer(function(m) m.session = ("s"):rep(32) end))
  -- covers: rfc9001#4.2.1
  it_says("TLS 1.2", PROTOCOL_VERSION, answer(set(43, nil)))
  it_says("a version that it did not offer", ILLEGAL_PARAMETER, answer(set(43, "\3\5")))
  it_says("a suite that it did not offer", ILLEGAL_PARAMETER, answer(function(m) m.suite = "\19\5" end))
  it_says("compression", ILLEGAL_PARAMETER, answer(function(m) m.compression = "\1" end))
  it_says("ServerHello without key_share", MISSING_EXTENSION, answer(set(51, nil)))
  it_says("a share of a group that it did not share", ILLEGAL_PARAMETER, answer(set(51, "\0\23\0\1\4")))
  it_says("a share that is no public key", ILLEGAL_PARAMETER, answer(set(51, "\0\29\0\32" .. ("\0"):rep(32))))
  it_says("a pre-shared key that it did not offer", UNSUPPORTED_EXTENSION, answer(set(41, "\0\0")))
  it_says("an extension that it did not ask for", UNSUPPORTED_EXTENSION, answer(set(0x4321, "")))
  it_says("ServerHello that ends early", DECODE_ERROR, instead(SERVER_HELLO, function(message)
    return messages.build(SERVER_HELLO, messages.body(message):sub(1, -2))
  end))

  -- covers: rfc9001#8.1.3 rfc9001#8.1.7
  it_says("EncryptedExtensions without ALPN", NO_APPLICATION_PROTOCOL, encrypted(set(16, nil)))
  it_says("a protocol that it did not offer", NO_APPLICATION_PROTOCOL, encrypted(set(16, "\0\3\2h2")))
  it_says("two protocols", DECODE_ERROR, encrypted(set(16, "\0\4\1t\1t")))
  it_says("EncryptedExtensions without transport parameters", MISSING_EXTENSION, encrypted(set(57, nil)))
  it_says("key_share in EncryptedExtensions", ILLEGAL_PARAMETER, encrypted(set(51, "\0\29")))
  it_says("EncryptedExtensions with what it did not ask for", UNSUPPORTED_EXTENSION, encrypted(set(0x4321, "")))
  it_says("early data that it did not send", UNSUPPORTED_EXTENSION, encrypted(set(42, "")))

  it_says("an empty Certificate", DECODE_ERROR, instead(CERTIFICATE, messages.build(CERTIFICATE, "\0\0\0\0")))
  it_says("a Certificate with a request's context", ILLEGAL_PARAMETER, instead(CERTIFICATE, function(message)
    return messages.build(CERTIFICATE, "\1c" .. messages.body(message):sub(2))
  end))
  it_says("a Certificate that is none", 0x12a, instead(CERTIFICATE,
    messages.build(CERTIFICATE, "\0\0\0\9\0\0\4junk\0\0")))
  it_says("a signature that does not fit", DECRYPT_ERROR, instead(VERIFY, flipped))
  it_says("a signature by rsa_pkcs1_sha256", ILLEGAL_PARAMETER, instead(VERIFY, function(message)
    return messages.build(VERIFY, "\4\1" .. messages.body(message):sub(3))
  end))
  it_says("Finished that does not fit", DECRYPT_ERROR, instead(FINISHED, flipped))
  it_says("Finished of another size", DECODE_ERROR, instead(FINISHED, messages.build(FINISHED, ("f"):rep(33))))
  -- covers: rfc9001#4.6.1.2
  it_says("a ticket for early data of another size", PROTOCOL_VIOLATION, nil,
    { APPLICATION, ticket("\0\42\0\4\0\0\64\0") })
  it_says("a ticket that is malformed", DECODE_ERROR, nil,
    { APPLICATION, messages.build(messages.NEW_SESSION_TICKET, "\0") })

  local function retry(group, suite)
    local random = "\207\33\173\116\229\154\97\17\190\29\140\2\30\101\184\145"
      .. "\194\162\17\22\122\187\140\94\7\158\9\226\200\168\51\156"
    return messages.build(SERVER_HELLO, "\3\3" .. random .. "\0" .. (suite or "\19\1") .. "\0"
      .. messages.vector("\0\43\0\2\3\4" .. (group and "\0\51\0\2" .. group or ""), 2))
  end
  it_says("a HelloRetryRequest for the group that it shared", ILLEGAL_PARAMETER, instead(SERVER_HELLO, retry("\0\29")))
  it_says("a HelloRetryRequest for a group that it did not offer", ILLEGAL_PARAMETER,
    instead(SERVER_HELLO, retry("\1\0")))
  it_says("a HelloRetryRequest that asks for nothing", ILLEGAL_PARAMETER, instead(SERVER_HELLO, retry(nil)))
  -- covers: rfc8446#4.1.3.9
  it_says("a second HelloRetryRequest", UNEXPECTED_MESSAGE, instead(SERVER_HELLO, retry("\0\23") .. retry("\0\24")))
end)
