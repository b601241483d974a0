--- Attacks on the transport that need more than one frame out of place; the rest is in the files of the code that
--- stands against it.
local net = require("support.quic_net")

local quic, MS = net.quic, net.MS
local bytes = net.bytes
local INITIAL, HANDSHAKE, APPLICATION = net.INITIAL, net.HANDSHAKE, net.APPLICATION

--- A server endpoint on its own.
local function endpoint(options)
  local self = { now = 1000 * MS, config = net.config(options, 21, true), client_config = net.config({}, 22) }
  self.endpoint = assert(quic.endpoint(self.config, true))

  function self.client(index)
    local address = ("198.51.%d.%d:%d"):format(100 + math.floor(index / 250), index % 250 + 1, 1000 + index)
    return assert(quic.client(self.client_config, "localhost", address, net.SERVER, self.now)), address
  end

  function self.give(datagram, from)
    assert.equal(0, self.endpoint:recv(datagram, from, net.SERVER, self.now))
  end

  --- What the endpoint sends, by address; all of it in bytes.
  function self.flush()
    local out, size = {}, 0
    while true do
      local train, segment, to = self.endpoint:send(self.now, 65536)
      if not train then return out, size end
      out[to] = out[to] or {}
      size = size + #train
      for at = 1, #train, segment do
        table.insert(out[to], train:sub(at, math.min(at + segment - 1, #train)))
      end
    end
  end

  function self.free()
    self.endpoint:free()
    self.config:free()
    self.client_config:free()
    assert.equal(0, self.config:memory().live)
    assert.equal(0, self.client_config:memory().live)
  end
  return self
end

describe("a flood of first packets", function()
  -- covers: rfc9000#21.2
  it("that fail at once counts as a flood too", function()
    local e = endpoint()
    for index = 1, 4200 do
      local conn, address = e.client(index)
      -- A Finished where a ClientHello has to be: its sender does not have to be where it says.
      e.give(conn:inject(INITIAL, bytes(0x06, 0, 4, "\20\0\0\0"), { pad = 1200 }), address)
      conn:free()
      if index % 64 == 0 then
        e.flush()
        -- The application lets go of what has failed.
        while true do
          local failed = e.endpoint:next()
          if not failed then break end
          e.endpoint:release(failed)
        end
      end
    end
    assert.is_true(e.endpoint:stats().connections <= 4096, e.endpoint:stats().connections)
    assert.is_true(e.endpoint:stats().retries_sent >= 100)
    e.now = e.now + 20000 * MS
    e.flush()
    assert.equal(0, e.endpoint:stats().half_open)
    e.free()
  end)
end)

describe("a first packet that comes again", function()
  -- covers: rfc9000#5.2.2
  it("when its handshake is long confirmed starts no second one", function()
    local e = endpoint()
    local conn, address = e.client(1)
    local first = conn:send(e.now)
    e.give(first, address)
    for _ = 1, 10 do
      local out = e.flush()
      for _, datagram in ipairs(out[address] or {}) do
        conn:recv(datagram, e.now)
      end
      e.now = e.now + 10 * MS
      while true do
        local datagram = conn:send(e.now)
        if not datagram then break end
        e.give(datagram, address)
      end
    end
    assert.is_true(conn:info().confirmed)
    e.give(first, address)
    e.give(first, "203.0.113.9:9")
    assert.equal(1, e.endpoint:stats().accepted)
    local _, size = e.flush()
    assert.equal(0, size)
    conn:free()
    e.free()
  end)
end)

describe("a stream with more gaps than are kept", function()
  -- covers: rfc9000#21.7
  it("costs the packets past the bound, which come again, and not the connection", function()
    local p = net.pair():handshake()
    for i = 1, 2000 do
      p:inject("client", APPLICATION, bytes(0x0e, 0, 2 * i, 1, "x"))
    end
    assert.equal("none", p.server:info().by)
    -- A packet that was not taken is not acknowledged, so that its sender knows.
    local last = p.client:stats().next_number - 1
    p:inject("client", APPLICATION, bytes(0x0e, 0, 0, 1, "x"))
    assert.is_false(p.server:has_received(APPLICATION, last))
    assert.is_true(p.server:has_received(APPLICATION, last + 1))
    p:free()
  end)

  it("is what an overshoot of slow start makes, and the transfer goes on", function()
    local p = net.pair({ delay = 25 * MS, client = { send_buffer = 33554432 } })
    p:handshake()
    -- Every second packet of a long flight is lost, once.
    local odd, lost = false, 0
    p.drop = function(direction, _, datagram)
      if direction == "down" or #datagram < 1000 or p.client:stats().window < 2000000 then return false end
      odd = not odd
      if odd and lost < 1500 then
        lost = lost + 1
        return true
      end
      return false
    end
    local data = ("0123456789abcdef"):rep(10 * 65536)
    assert.is_true(data == p:transfer("client", data))
    assert.is_true(lost > 600, lost)
    p:free()
  end)
end)

describe("the end of a handshake", function()
  it("said twice in one packet is the end of it", function()
    local p = net.pair()
    local finished
    p.filter = function(direction, datagram)
      if direction == "up" and p.client:info().established then
        finished = true
        return nil
      end
      return datagram
    end
    p:run(function() return finished end)
    local message = p.client:handshake_data(HANDSHAKE)
    local frame = bytes(0x06, 0, #message, message)
    p:inject("client", HANDSHAKE, frame .. frame)
    assert.equal("none", p.server:info().by)
    assert.is_true(p.server:info().confirmed)
    p:free()
  end)
end)
