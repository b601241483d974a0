local fixtures = require("tls.fixtures")
local messages = require("tls.messages")
local pair = require("tls.pair")

describe("handshake bytes", function()
  it("may come in any fragmentation", function()
    for _, size in ipairs({ 1, 2, 3, 4, 5, 7, 64, 100, 999 }) do
      for _, kind in ipairs({ "p256", "deep" }) do
        local p = pair.new({
          fragment = size, client = { groups = { 0x1d, 0x17 } }, server = { groups = { 0x17 }, certificate = kind },
        })
        local ok, failure = p:run()
        assert.is_nil(failure and failure.reason)
        assert.is_true(ok)
      end
    end
  end)

  it("may end anywhere in a message and go on later", function()
    local client = assert(fixtures.client_config())
    local server = assert(fixtures.server_config())
    for part = 1, 40 do
      local p = pair.new({ handshakes = {
        assert(client:client("example.test", "p", fixtures.now)), assert(server:server("p", fixtures.now)),
      } })
      p:move("client", "server", 0)
      p:move("server", "client", 0)
      local flight = p.server:output(2)
      local at = math.floor((#flight - 1) * part / 40)
      assert.is_true(p:deliver("client", 2, flight:sub(1, at)))
      assert.is_false(p.client:info().complete)
      assert.is_true(p:deliver("client", 2, flight:sub(at + 1)))
      assert.is_true(p.client:info().complete)
      p.client:free()
      p.server:free()
    end
  end)

  it("of size zero change nothing", function()
    local p = pair.new()
    for _, side in ipairs({ "client", "server" }) do
      for level = 0, 3 do assert.is_true(p[side]:receive(level, "")) end
    end
    assert.is_true(p:run())
  end)
end)

describe("a handshake message", function()
  local function server()
    local config = assert(fixtures.server_config())
    local handshake = assert(config:server("p", fixtures.now))
    config:used()
    return handshake, config
  end

  it("above the limit is refused as soon as its length is there", function()
    for _, size in ipairs({ 0xffffff, 0x1000000 - 4, 65536 - 3, 65537 }) do
      local handshake, config = server()
      local ok, code = handshake:receive(0, "\1" .. messages.bytes(size, 3) .. "12345")
      assert.same({ nil, pair.alert(47) }, { ok, code })
      assert.equal(0, (select(2, config:used())))
      handshake, config = server()
      for _, byte in ipairs({ 1, 255, 255 }) do assert.is_true(handshake:receive(0, string.char(byte))) end
      ok, code = handshake:receive(0, "\255")
      assert.same({ nil, pair.alert(47) }, { ok, code })
      assert.is_true((select(2, config:used())) <= 128)
    end
  end)

  it("costs memory for what arrived, not for what it declares", function()
    local handshake, config = server()
    local before = config:used()
    assert.is_true(handshake:receive(0, "\1" .. messages.bytes(60000, 3) .. "12345"))
    local used, largest = config:used()
    assert.is_true(used - before <= 128)
    assert.is_true(largest <= 128)
    for arrived = 1000, 50000, 1000 do
      assert.is_true(handshake:receive(0, ("x"):rep(1000)))
      used, largest = config:used()
      assert.is_true(used - before <= 2 * (arrived + 64))
      assert.is_true(largest <= 2 * (arrived + 64))
    end
    handshake:free()
    assert.is_true((config:used()) < before)
  end)

  it("of the largest size is taken", function()
    local client = assert(assert(fixtures.client_config()):client("example.test", "p", fixtures.now))
    local hello = client:output(0)
    local function padded(size)
      return messages.edit(hello, messages.set_extension(21, ("\0"):rep(size - #hello - 4)))
    end
    local handshake = server()
    assert.equal(65536, #padded(65536))
    assert.is_true(handshake:receive(0, padded(65536)))
    assert.equal(3, #handshake:secrets())
    handshake = server()
    assert.equal(pair.alert(47), (select(2, handshake:receive(0, padded(65537)))))
  end)

  it("of a kind that is not expected is refused at its first byte, without being stored", function()
    local handshake, config = server()
    local ok, code = handshake:receive(0, "\20\0\255")
    assert.same({ nil, pair.alert(10) }, { ok, code })
    assert.equal(0, (select(2, config:used())))
  end)
end)
