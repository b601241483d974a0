local net = require("support.quic_net")

local MS = net.MS

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

-- A path that loses what is above 1200 bytes, and much else until a probe went in the least window.
local function lossy(seed)
  local random = net.random(seed)
  local p, least = nil, 2 * 1200
  local path = {}
  p = net.pair({ seed = seed, filter = function(direction, datagram)
    if direction == "up" then return datagram end
    if #datagram > 1200 then
      if path.is_lossy and p.server:stats().window == least then
        path.is_lossy, path.clean_at = false, p.now
      end
      return false
    end
    return not (path.is_lossy and random() < 0.4) and datagram
  end })
  return p:handshake(), path
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

  it("that is lost in the least window holds no data back, though the peer is never silent", function()
    for seed = 1, 5 do
      local p, path = lossy(seed)
      path.is_lossy = true
      local up, down = p.client:open(false), p.server:open(false)
      assert.equal(200000, p.server:stream_send(down, ("x"):rep(200000), true))
      local got, fin = 0, false
      local function read()
        while p.server:readable_next() do p.server:stream_recv(up) end
        while p.client:readable_next() do end
        for data, is_last in function() return p.client:stream_recv(down) end do
          got, fin = got + #data, is_last
          if #data == 0 or fin then break end
        end
        return fin
      end
      local function listen(time)
        for _ = 1, time / (100 * MS) do
          p.client:stream_send(up, "hello", false)
          if p:run(read, 100 * MS) then return end
        end
      end
      repeat listen(100 * MS) until path.clean_at or fin
      assert.is_false(fin)
      local before = got
      listen(1000 * MS)
      assert.is_true(got >= before + 20 * 1200, got - before)
      p:free()
    end
  end)
end)
