--- 0-RTT at a server's endpoint, which routes it, proves addresses, and sees first flights again.
local net = require("support.quic_net")

local quic, MS = net.quic, net.MS
local SERVER, CLIENT, bytes = net.SERVER, net.CLIENT, net.bytes
local CERTIFICATE = 4 -- what the application is asked
local TICKET_KEY = ("t"):rep(32)

--- A server's endpoint, and clients that come to it one after the other. options: server, client (config options),
--- names (of the client's protocols).
local function world(options)
  options = options or {}
  local self = { now = 1000 * MS }
  local function with_early(given)
    local out = { early_data = 1 }
    for name, value in pairs(given or {}) do out[name] = value end
    return out
  end
  self.config = net.config(with_early(options.server), 11, true)
  self.config:register()
  self.config:ticket_keys(TICKET_KEY)
  self.client_config = net.config(with_early(options.client), 12)
  if options.names then self.client_config:alpn((table.unpack or unpack)(options.names)) end
  self.endpoint = assert(quic.endpoint(self.config, true))

  function self.connect()
    self.conn = assert(quic.client(self.client_config, "localhost", CLIENT, SERVER, self.now))
    return self.conn
  end

  --- The datagrams that the client has to send now.
  function self.flight()
    local list = {}
    while true do
      local datagram = self.conn:send(self.now)
      if not datagram then return list end
      list[#list + 1] = datagram
    end
  end

  function self.give(datagram, endpoint)
    assert.equal(0, (endpoint or self.endpoint):recv(datagram, CLIENT, SERVER, self.now))
  end

  --- What the endpoint sends goes to the client.
  function self.answer()
    while true do
      local train, segment = self.endpoint:send(self.now, 65536)
      if not train then return end
      for at = 1, #train, segment do self.conn:recv(train:sub(at, math.min(at + segment - 1, #train)), self.now) end
    end
  end

  --- The server's side of the connections with something new: what streams 0 have, and whether that is early.
  function self.serve()
    local said = {}
    while true do
      local conn = self.endpoint:next()
      if not conn then return said end
      local id = conn:readable_next()
      while id do
        local text, fin = conn:stream_recv(id)
        said[#said + 1] = { text, conn:stream_is_early(id), conn:info().established }
        if fin then conn:stream_send(id, "answer", true) end
        id = conn:readable_next()
      end
    end
  end

  --- So many round trips of 10 ms; what was served.
  function self.run(rounds)
    local served = {}
    for _ = 1, rounds or 10 do
      for _, datagram in ipairs(self.flight()) do self.give(datagram) end
      for _, one in ipairs(self.serve()) do served[#served + 1] = one end
      self.answer()
      self.now = self.now + 10 * MS
      if (self.conn:timeout() or math.huge) <= self.now then self.conn:on_timeout(self.now) end
    end
    return served
  end

  --- The client closes, and the endpoint has done with it.
  function self.leave()
    self.conn:close(true, 0)
    self.run(2)
    self.conn:free()
    self.conn = nil
  end

  function self.free()
    if self.conn then self.conn:free() end
    self.endpoint:free()
    self.config:free()
    self.client_config:free()
    assert.equal(0, self.config:memory().live)
    assert.equal(0, self.client_config:memory().live)
  end

  self.connect()
  self.run()
  assert.is_true(self.conn:info().confirmed)
  self.leave()
  self.connect()
  return self
end

local function ask(w, text)
  local id = assert(w.conn:open(true))
  assert.equal(#text, w.conn:stream_send(id, text, true))
end

describe("an endpoint", function()
  it("names a connection with early data before its handshake is complete", function()
    local w = world()
    ask(w, "question")
    local flight = w.flight()
    assert.equal(1, #flight)
    w.give(flight[1])
    assert.same({ { "question", true, false } }, w.serve())
    w.answer()
    assert.same({ "answer", true }, { w.conn:stream_recv(0) })
    w.run(3)
    assert.same({ "accepted", true }, { w.conn:info().early, w.conn:info().confirmed })
    w.free()
  end)

  it("routes 0-RTT packets by the destination of the first Initial", function()
    local w = world()
    ask(w, ("x"):rep(5000))
    local flight = w.flight()
    assert.is_true(#flight >= 4)
    for _, datagram in ipairs(flight) do w.give(datagram) end
    local size = 0
    for _, one in ipairs(w.serve()) do
      assert.is_true(one[2])
      size = size + #one[1]
    end
    assert.equal(5000, size)
    w.free()
  end)

  it("drops those that come before the first Initial, and the client sends what was in them again", function()
    local w = world()
    ask(w, ("x"):rep(5000))
    local flight = w.flight()
    for i = #flight, 1, -1 do w.give(flight[i]) end
    local size = 0
    local function add(served)
      for _, one in ipairs(served) do size = size + #one[1] end
    end
    add(w.serve())
    assert.is_true(size < 2000)
    w.answer()
    add(w.run(30))
    assert.equal(5000, size)
    assert.same({ "accepted", true }, { w.conn:info().early, w.conn:info().confirmed })
    w.free()
  end)

  it("proves the address first where it is told to, and reads early data after it", function()
    local w = world({ server = { retry = 1 } })
    ask(w, "question")
    assert.same({ { "question", true, false } }, w.run(4))
    assert.equal("accepted", w.conn:info().early)
    assert.is_true(w.conn:info().confirmed)
    w.free()
  end)

  -- covers: rfc8446#8.3
  it("reads a flight once, however often it comes, and to whichever endpoint of the config", function()
    local w = world()
    ask(w, "do this once")
    local flight = w.flight()
    local others = {}
    for i = 1, 200 do others[i] = assert(quic.endpoint(w.config, true)) end
    local count = 0
    for i = 0, #others do
      for _ = 1, 5 do w.give(flight[1], others[i]) end
      local endpoint = others[i] or w.endpoint
      while true do
        local conn = endpoint:next()
        if not conn then break end
        while conn:readable_next() do count = count + 1 end
      end
    end
    assert.equal(1, count)
    for _, endpoint in ipairs(others) do endpoint:free() end
    w.free()
  end)

  -- covers: rfc8446#8.3
  it("judges the age of a flight when its ClientHello is whole, however slowly that comes", function()
    local names = { "t" } -- so many that the hello takes two datagrams
    for i, size in ipairs({ 255, 255, 255, 246 }) do names[i + 1] = tostring(i):rep(size) end
    local w = world({ names = names })
    ask(w, "do this once")
    local flight = w.flight()
    assert.equal(2, #flight)
    local function reads(pause)
      local endpoint = assert(quic.endpoint(w.config, true))
      w.config:forget_struck() -- what the register forgot because it was noted long enough
      w.give(flight[1], endpoint)
      w.config:clock(1800000000 + pause)
      w.give(flight[2], endpoint)
      local count = 0
      while true do
        local conn = endpoint:next()
        if not conn then break end
        while conn:readable_next() do count = count + 1 end
      end
      endpoint:free()
      w.config:clock(1800000000)
      return count
    end
    assert.same({ 1, 1, 0, 0 }, { reads(0), reads(9), reads(12), reads(25) })
    w.free()
  end)

  -- covers: rfc8446#8.3
  it("judges the age of a flight when a ClientHello that waited for an answer is looked at again", function()
    local w = world()
    local config = net.config({ early_data = 1 }, 13, true)
    config:register()
    config:ticket_keys(TICKET_KEY)
    assert.equal(0, config:ask(CERTIFICATE))
    ask(w, "do this once")
    local flight = w.flight()
    local function reads(pause)
      local endpoint = assert(quic.endpoint(config, true))
      config:forget_struck()
      w.give(flight[1], endpoint)
      config:clock(1800000000 + pause)
      local conn = assert(endpoint:next())
      assert.equal(0, conn:answer(CERTIFICATE, conn:question().id))
      local count = 0
      while conn:readable_next() do count = count + 1 end
      endpoint:free()
      config:clock(1800000000)
      return count
    end
    assert.same({ 1, 1, 0, 0 }, { reads(0), reads(9), reads(12), reads(25) })
    config:free()
    w.free()
  end)

  it("keeps no more than a few packets without keys, however many come, and nothing of rejected ones", function()
    local w = world()
    ask(w, ("x"):rep(3000))
    local flight = w.flight()
    w.give(flight[1])
    local header = quic.header(flight[1], 8)
    local conn = assert(w.endpoint:next())
    local before = conn:stats()
    local forged = "\208\0\0\0\1" .. string.char(#header.dcid) .. header.dcid .. string.char(#header.scid)
      .. header.scid .. "\68\0" .. ("f"):rep(1024)
    for _ = 1, 10000 do w.give(forged) end
    local after = conn:stats()
    assert.equal(before.kept, after.kept)
    assert.equal(before.packets_dropped + 10000, after.packets_dropped)
    assert.equal("none", conn:info().by)
    for i = 2, #flight do w.give(flight[i]) end
    assert.is_true(conn:stats().stream_bytes_received >= 3000)
    w.run(5)
    assert.is_true(w.conn:info().confirmed)
    w.leave()
    w.config:ticket_keys(("k"):rep(32))
    w.connect()
    ask(w, ("x"):rep(3000))
    for _, datagram in ipairs(w.flight()) do w.give(datagram) end
    repeat conn = w.endpoint:next() until not conn or conn:info().early == "rejected"
    assert.equal(0, conn:stats().kept)
    assert.equal(0, conn:stats().stream_bytes_received)
    w.free()
  end)
end)

describe("what 0-RTT packets bring before the address is proved", function()
  local MOST = 98304 -- for the streams of a connection
  local NO_TOKENS = { token_lifetime = 0 } -- which prove it

  --- Give the frames in 0-RTT packets.
  local function inject(w, frames)
    local parts, size = {}, 0
    for i, frame in ipairs(frames) do
      parts[#parts + 1], size = frame, size + #frame
      if size > 1050 or i == #frames then
        w.give(w.conn:inject(net.APPLICATION, table.concat(parts)))
        parts, size = {}, 0
      end
    end
  end

  --- A client that has sent its ClientHello and the beginning of a question; and how much memory is in use then.
  local function begun()
    local w = world({ server = NO_TOKENS })
    local id = assert(w.conn:open(true))
    w.conn:stream_send(id, "question", false)
    for _, datagram in ipairs(w.flight()) do w.give(datagram) end
    return w, w.config:memory().used
  end

  --- Two bytes at every boundary of two rooms, on ten streams.
  local function far_apart(first)
    local frames = {}
    for stream = first, first + 9 do
      for k = 1, 255 do frames[#frames + 1] = bytes(0x0e, stream * 4, k * 4096 - 1, 2, "xy") end
    end
    return frames
  end

  it("takes little memory, all of which is counted", function()
    local w, before = begun()
    local counted = w.endpoint:stats().early_bytes
    inject(w, far_apart(0))
    local taken = w.config:memory().used - before
    assert.is_true(taken > MOST / 2 and taken < MOST + 16384, taken)
    assert.is_true(w.endpoint:stats().early_bytes - counted > taken * 3 / 4)
    w.free()
  end)

  it("takes little as streams without data, too", function()
    for _, options in ipairs({ { 0x04, 7, 0 }, { 0x05, 7 }, { 0x11, 1048576 }, { 0x15, 0 } }) do
      local w = world({ server = { initial_max_streams_bidi = 1000, token_lifetime = 0 } })
      for _, datagram in ipairs(w.flight()) do w.give(datagram) end
      local frames = {}
      for i = 0, 999 do frames[#frames + 1] = bytes(options[1], i * 4, (table.unpack or unpack)(options, 2)) end
      local before = w.config:memory().used
      inject(w, frames)
      local taken = w.config:memory().used - before
      assert.is_true(taken > MOST / 2 and taken < MOST + 16384, taken)
      w.free()
    end
  end)

  it("goes on where it was refused once the address is proved", function()
    local w = world()
    local ids, size = {}, 2000
    for i = 1, 10 do
      ids[i] = assert(w.conn:open(true))
      w.conn:stream_send(ids[i], ("q"):rep(size), true)
    end
    local first = w.flight()
    w.give(first[1])
    inject(w, far_apart(10))
    for i = 2, #first do w.give(first[i]) end
    local got = 0
    for _, one in ipairs(w.run(100)) do got = got + #(one[1] or "") end
    assert.is_true(w.conn:info().confirmed)
    assert.equal(10 * size, got)
    assert.equal(0, w.endpoint:stats().early_bytes)
    w.free()
  end)
end)
