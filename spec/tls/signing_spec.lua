--- A server whose key lives elsewhere and answers later.
local fixtures = require("tls.fixtures")
local messages = require("tls.messages")
local pair = require("tls.pair")

local CRYPTO, NO_MEMORY = -12, -2

--- A pair whose server waits for its signature, and what it sent before.
local function waiting(options)
  local p = pair.new({ server = options })
  assert.is_false(p:run())
  return p
end

local function kinds(p)
  local list = {}
  for _, seen in ipairs(p.seen) do
    if seen.from == "server" then table.insert(list, messages.kind(seen.message)) end
  end
  return list
end

describe("a server whose key answers later", function()
  for _, certificate in ipairs({ "p256", "rsa" }) do
    it("sends what comes before the signature and goes on when it is there, with a key of " .. certificate, function()
      local p = waiting({ certificate = certificate, later = 3 })
      assert.same({ messages.SERVER_HELLO, messages.ENCRYPTED_EXTENSIONS, messages.CERTIFICATE }, kinds(p))
      for i = 1, 3 do
        local ok, is_signing = p.server:resume()
        assert.is_true(ok)
        assert.equal(i < 3, is_signing)
        p:take_secrets("server")
        assert.equal(i == 3, p:run())
      end
      assert.same({ messages.SERVER_HELLO, messages.ENCRYPTED_EXTENSIONS, messages.CERTIFICATE,
        messages.CERTIFICATE_VERIFY, messages.FINISHED }, kinds(p))
      local ok, is_signing = p.server:resume()
      assert.same({ true, false }, { ok, is_signing })
    end)
  end

  it("has the secrets to read and write its handshake meanwhile, and no others", function()
    local p = waiting({ later = 1 })
    assert.is_not_nil(p.secrets.server["2write"])
    assert.is_not_nil(p.secrets.server["2read"])
    assert.equal(2, #p.secrets.server)
  end)

  it("takes nothing of the client meanwhile", function()
    local p = waiting({ later = 1 })
    local ok, code = p.server:receive(pair.INITIAL, "\1\0\0\0")
    assert.same({ nil, pair.alert(10) }, { ok, code })
    ok, code = p.server:resume()
    assert.same({ nil, pair.alert(10) }, { ok, code })
  end)

  it("fails when there is no signature in the end", function()
    local p = waiting({ later = -1 })
    local ok, code, reason = p.server:resume()
    assert.same({ nil, CRYPTO, "the handshake could not be signed" }, { ok, code, reason })
    assert.equal(0, #p.server:secrets())
    assert.same({ nil, CRYPTO }, { (p.server:resume()), (select(2, p.server:resume())) })
  end)

  it("may go while it is waited for", function()
    waiting({ later = 1 }).server:free()
  end)

  it("leaks nothing, wherever memory ends", function()
    local config = assert(fixtures.server_config({ later = 1 }))
    local count, ok, code = 0
    local used = config:used()
    repeat
      local client = assert(fixtures.client_config():client("example.test", "client params", fixtures.now))
      local server = assert(config:server("server params", fixtures.now))
      config:fail_after(count)
      ok, code = server:receive(pair.INITIAL, client:output(pair.INITIAL))
      if ok then ok, code = server:resume() end
      config:fail_after(nil)
      if not ok then assert.equal(NO_MEMORY, code) end
      server:free()
      assert.equal(used, (config:used()))
      count = count + 1
    until ok
    assert.is_true(count > 3)
  end)
end)
