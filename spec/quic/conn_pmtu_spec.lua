local net = require("support.quic_net")

-- A pair that keeps the size of the largest datagram of the client, and the first one above 1200 bytes of both.
local function watched(options)
  local p = net.pair(options)
  local seen = { largest = 0 }
  p.filter = function(direction, datagram)
    if direction == "up" then seen.largest = math.max(seen.largest, #datagram) end
    if #datagram > 1200 and not seen.first then
      seen.first = {
        size = #datagram, header = datagram:byte(1),
        sender = p[direction == "up" and "client" or "server"]:info(),
      }
    end
    return datagram
  end
  return p, seen
end

describe("a probe of the datagram size", function()
  it("is the first datagram above 1200 bytes, one of 1-RTT, once the handshake is confirmed", function()
    for seed = 1, 10 do
      local p, seen = watched({ seed = seed, loss = 0.2 })
      p:handshake()
      assert(p:transfer("client", ("x"):rep(200000)))
      assert.equal(1452, seen.first.size)
      assert.is_true(seen.first.header < 0x80)
      assert.is_true(seen.first.sender.confirmed)
      p:free()
    end
  end)

  it("is not sent into a buffer that is smaller", function()
    local p, seen = watched()
    p:handshake()
    local client = p.client
    p.client = setmetatable({
      burst = function(_, now)
        local datagram, second = client:send(now, 1300)
        if not datagram then return nil, second end
        return datagram, #datagram, net.SERVER
      end,
    }, { __index = function(_, name) return function(_, ...) return client[name](client, ...) end end })
    assert(p:transfer("client", ("x"):rep(200000)))
    assert.equal(1200, seen.largest)
    p:free()
  end)

  it("is padding and a PING, which bring the peer nothing and cost nothing", function()
    local p = watched()
    p:handshake()
    assert(p:transfer("client", ("x"):rep(200000)))
    assert.is_true(p.server:stats().unproductive < 10)
    assert.equal("none", p.server:info().by)
    p:free()
  end)
end)
