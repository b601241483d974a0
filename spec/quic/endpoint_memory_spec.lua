-- A server whose memory does not carry all that come at once.
local net = require("support.quic_net")

local quic, MS = net.quic, net.MS
local SERVER = net.SERVER

--- A server endpoint that answers each request with "fine", under a limit and with the pool of builds for use. Where it
-- `idles`, clients stay when they are answered.
local function server(limit, more)
  local self = { now = 1000 * MS, clients = {}, asked = 0, served = 0, refused = 0, silent = 0 }
  local options = { memory_limit = limit, handshake_rate = 0 }
  for name, value in pairs(more or {}) do options[name] = value end
  self.config = net.config(options, 21, true)
  self.client_config = net.config({ handshake_timeout = 8000 }, 22)
  self.endpoint = assert(quic.endpoint(self.config, true))

  --- A client that asks once, and closes when it is answered.
  function self.ask()
    self.asked = self.asked + 1
    local address = ("198.51.100.%d:%d"):format(self.asked % 250 + 1, 1000 + self.asked)
    local conn = assert(quic.client(self.client_config, "localhost", address, SERVER, self.now))
    self.clients[address] = { conn = conn }
  end

  local function forget(address)
    self.clients[address].conn:free()
    self.clients[address] = nil
  end

  local function drive_client(address, client)
    local conn = client.conn
    local info = conn:info()
    if info.by ~= "none" then
      if client.fine then
        self.served = self.served + 1
      elseif info.by == "peer" then
        self.refused = self.refused + 1
      else
        self.silent = self.silent + 1
      end
      conn:send(self.now)
      return forget(address)
    end
    if info.confirmed and not client.id then
      client.id = conn:open(true)
      conn:stream_send(client.id, "ask", true)
    end
    local got, fin = nil, nil
    if client.id and not client.fine then got, fin = conn:stream_recv(client.id) end
    if got and fin then
      client.fine = got == "fine"
      if not self.idles then conn:close(true, 0) end
    end
    for _ = 1, 100 do
      local datagram = conn:send(self.now)
      if not datagram then break end
      -- Without memory for a connection this says so; it must not be the end.
      self.endpoint:recv(datagram, address, SERVER, self.now)
    end
  end

  local function drive_server()
    for conn in function() return self.endpoint:next() end do
      if conn:info().by ~= "none" then
        self.endpoint:release(conn)
      else
        for id in function() return conn:readable_next() end do
          local got, fin = conn:stream_recv(id)
          if got and fin then conn:stream_send(id, "fine", true) end
        end
        self.endpoint:touch(conn)
      end
    end
    for _ = 1, 100000 do
      local train, segment, to = self.endpoint:send(self.now, 65536)
      if not train then return end
      for at = 1, #train, segment do
        local client = self.clients[to]
        if client then client.conn:recv(train:sub(at, math.min(at + segment - 1, #train)), self.now) end
      end
    end
    error("the endpoint sends without end")
  end

  --- So many milliseconds of round trips of 10 ms.
  function self.run(milliseconds)
    local till = self.now + milliseconds * MS
    while self.now < till do
      for address, client in pairs(self.clients) do drive_client(address, client) end
      drive_server()
      self.now = self.now + 10 * MS
      for _, client in pairs(self.clients) do
        if (client.conn:timeout() or math.huge) <= self.now then client.conn:on_timeout(self.now) end
      end
    end
  end

  --- Clients that leave after their first datagram.
  function self.knock(count)
    for i = 1, count do
      local address = ("203.0.113.%d:9"):format(i)
      local conn = assert(quic.client(self.client_config, "localhost", address, SERVER, self.now))
      self.endpoint:recv(conn:send(self.now), address, SERVER, self.now)
      conn:free()
    end
  end

  function self.free()
    for address in pairs(self.clients) do forget(address) end
    self.endpoint:free()
    self.config:free()
    self.client_config:free()
    assert.equal(0, self.config:memory().live)
  end
  return self
end

describe("a server with little memory", function()
  it("serves every client of bursts that are more than it can carry at once", function()
    local s = server(200000)
    for burst = 1, 10 do
      for _ = 1, 24 do s.ask() end
      s.run(4000)
      assert.equal(burst * 24, s.served, "clients served")
    end
    assert.equal(0, s.endpoint:stats().half_open)
    assert.equal(0, s.config:memory().refused)
    s.free()
  end)

  it("carries all that it accepts to the end of their handshakes", function()
    local s = server(200000)
    for _ = 1, 24 do s.ask() end
    s.run(100)
    assert.is_true(s.endpoint:stats().accepted >= 4)
    assert.equal(s.endpoint:stats().accepted, s.served)
    s.free()
  end)

  it("serves again when those that hang in their handshakes are given up", function()
    local s = server(200000)
    s.knock(100)
    s.run(10)
    -- Their addresses are not proved: they do not get all of the memory.
    assert.equal(0, s.served)
    s.ask()
    s.run(100)
    assert.equal(1, s.served)
    assert.is_true(s.endpoint:stats().half_open >= 2)
    s.run(12000)
    assert.equal(0, s.endpoint:stats().connections)
    for _ = 1, 24 do s.ask() end
    s.run(4000)
    assert.equal(25, s.served)
    s.free()
  end)

  it("refuses when it has no memory for longer than a handshake may take", function()
    local s = server(36000, { handshake_timeout = 2000 })
    for _ = 1, 10 do s.ask() end
    s.run(1900)
    assert.equal(0, s.refused)
    s.run(6000)
    assert.equal(10, s.refused)
    assert.is_true(s.endpoint:stats().refused >= 10)
    assert.equal(0, s.endpoint:stats().accepted)
    s.free()
  end)
end)

describe("connections that have come to rest", function()
  it("have no holes between them that their handshakes left", function()
    local s = server(2 ^ 26)
    local before = s.config:memory()
    s.idles = true
    for _ = 1, 16 do
      for _ = 1, 32 do s.ask() end
      s.run(50)
    end
    s.run(3000)
    assert.equal(512, s.endpoint:stats().connections)
    assert.equal(0, s.endpoint:stats().half_open)
    local after = s.config:memory()
    local used, reserved = after.used - before.used, after.reserved - before.reserved
    -- Not in use: what is left of the two blocks that are being carved, empty ones that are kept, the ends of others.
    assert.is_true(reserved - used <= 6 * 65536 + used / 50, ("%d of %d bytes in use"):format(used, reserved))
    s.free()
  end)
end)
