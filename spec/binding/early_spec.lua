--- 0-RTT of two connections in memory: what is read twice, what settings are remembered, and what is sent again.
local core = require "neap.core"
local helper = require "helper"
local pair = require "binding.pair"
local q = require "neap.lowlevel"

local NOW = 1767225600 -- the wall clock of pair.config
local CLIENT, SERVER = "192.0.2.1:1000", "192.0.2.2:443"
local GET = { ":method", "GET", ":scheme", "https", ":authority", "localhost", ":path", "/" }
local KEY = ("0123456789abcdef"):rep(4)
local MAX_FIELD_SECTION_SIZE, CAPACITY, BLOCKED, CONNECT, DATAGRAM = 6, 1, 7, 8, 0x33

local folder

local function config(options)
  local given = { early_data = true }
  for name, value in pairs(options or {}) do given[name] = value end
  return pair.config(given)
end

-- A server whose tickets others with the same file can open.
local function sharing(options)
  local path = folder .. "/tickets"
  helper.write_file(path, KEY .. "\n")
  local given = { ticket_key_file = path, strike_file = folder .. "/strikes" }
  for name, value in pairs(options or {}) do given[name] = value end
  return config(given)
end

-- What a client sends before it hears anything, and a server that has not seen it.
local function begin(client_config, speaks)
  local conn = assert(q.connect(client_config, "localhost", SERVER, { from = CLIENT, at = 1 }))
  return { client = conn, h3 = speaks ~= false and assert(core.h3(conn)) or nil, now = 1 }
end

-- Everything that the client has to say now.
local function flight(self)
  local datagrams = {}
  while true do
    local bytes = self.client:send(self.now)
    if not bytes then return datagrams end
    datagrams[#datagrams + 1] = bytes
  end
end

local function accept(server_config, bytes)
  return assert(q.accept(server_config, assert(q.header_info(bytes)), q.random_cid(server_config, 8),
    { from = CLIENT, to = SERVER, at = 1 }))
end

-- Takes datagrams to and fro until nobody has one.
local function pump(self, server_config)
  local moved
  repeat
    moved = false
    for from, to in pairs { client = "server", server = "client" } do
      while self[from] do
        local bytes, info = self[from]:send(self.now)
        if not bytes then break end
        moved = true
        if not self[to] then self[to] = accept(server_config, bytes) end
        self[to]:recv(bytes, { from = info.from, to = info.to, at = self.now })
      end
    end
  until not moved
  return self
end

local function events(h3)
  local list = {}
  while true do
    local kind, stream, code = h3:poll()
    if not kind then return list end
    list[#list + 1] = (kind .. " " .. (type(stream) == "number" and stream or "")
      .. (type(code) == "number" and (" 0x%x"):format(code) or "")):gsub(" $", "")
  end
end

-- A variable-length integer in 8 bytes, or in 1.
local function varint(value)
  if value < 64 then return string.char(value) end
  local bytes = {}
  for i = 8, 1, -1 do
    bytes[i] = value % 256
    value = math.floor(value / 256)
  end
  bytes[1] = bytes[1] + 192
  local text = ""
  for i = 1, 8 do text = text .. string.char(bytes[i]) end
  return text
end

local function settings(list)
  local payload = ""
  for _, one in ipairs(list) do payload = payload .. varint(one[1]) .. varint(one[2]) end
  return "\0\4" .. varint(#payload) .. payload
end

-- A server that the spec plays sends its control stream.
local function say_settings(self, list)
  local id = assert(self.server:stream_open("uni"))
  self.server:stream_send(id, settings(list))
end

-- The client gets sessions of a server that said these settings (nil: as neap does).
local function meet(client_config, server_config, list)
  local self = pump(begin(client_config), server_config)
  if list then say_settings(self, list) else core.h3(self.server) end
  pump(self, server_config)
  events(self.h3)
  self.client:close(0x100)
  pump(self, server_config)
end

describe("a first flight with early data", function()
  before_each(function() folder = helper.make_dir() end)
  after_each(function() helper.remove_dir(folder) end)

  -- The flight of a client with a session, which asks for something.
  local function record(server_config)
    local client_config = config()
    meet(client_config, server_config)
    local self = begin(client_config)
    assert(self.h3:send_request(GET, true))
    return flight(self)
  end

  -- How many of so many times a server reads a flight early.
  local function replay(server_config, datagrams, times)
    local read = 0
    for _ = 1, times do
      local server = accept(server_config, datagrams[1])
      for _, bytes in ipairs(datagrams) do server:recv(bytes, { from = CLIENT, to = SERVER, at = 1 }) end
      if server:early() == "accepted" then
        assert.same({ 2, 0 }, { server:readable_next(), server:readable_next() })
        assert.is_true(server:stream_is_early(0))
        read = read + 1
      else
        assert.equal("rejected", server:early())
        assert.is_nil(server:readable_next())
      end
      server:close(0)
    end
    return read
  end

  -- covers: rfc8446#8.1
  it("has no ticket keys read again that its register knows too little of", function()
    local server = config() -- the register is its own
    local path = folder .. "/new keys"
    helper.write_file(path, KEY .. "\n")
    local cert, key = pair.certificate()
    local function reload(options)
      local given = { cert = cert, key = key, ca = cert, early_data = true }
      for name, value in pairs(options) do given[name] = value end
      return server:reload(given)
    end
    local ok, message, code = reload { ticket_key_file = path }
    assert.same({ nil, "in use" }, { ok, code })
    assert.matches("new keys: with early_data they need strike_file from the start", message, 1, true)
    assert.is_true(reload {})
    helper.write_file(path, KEY .. "\n12\n")
    ok, message = reload { ticket_key_file = path }
    assert.is_nil(ok)
    assert.matches("1 to 4 lines of 64 hex digits", message, 1, true)
    assert.is_true(sharing():reload { cert = cert, key = key, ticket_key_file = folder .. "/tickets" })
  end)

  it("is read once however often it comes", function()
    local server_config = config()
    assert.equal(1, replay(server_config, record(server_config), 1000))
  end)

  -- covers: rfc8446#8.3
  it("is read once by all servers that share a register, one after the other and side by side", function()
    sharing { wall_clock = NOW - 100 }
    local first, second = sharing(), sharing()
    local datagrams = record(first)
    assert.equal(1, replay(second, datagrams, 500) + replay(first, datagrams, 500))
    datagrams = record(second)
    assert.equal(1, replay(first, datagrams, 1))
    first, second = nil, nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    for _ = 1, 3 do assert.equal(0, replay(sharing(), datagrams, 10)) end
  end)

  it("is not read by a server whose register has just begun", function()
    local server_config = sharing()
    local datagrams = record(server_config)
    assert.equal(0, replay(server_config, datagrams, 10))
    assert.equal(0, replay(sharing { wall_clock = NOW + 5 }, datagrams, 10))
  end)

  it("is not read when its register is full, and the handshake goes on", function()
    local server_config = config { strike_entries = 16 }
    local read = 0
    for _ = 1, 20 do
      local datagrams = record(server_config)
      read = read + replay(server_config, datagrams, 2)
    end
    assert.equal(16, read)
  end)

  it("is not read once the register is gone", function()
    sharing { wall_clock = NOW - 100 }
    local server_config = sharing()
    local one, other = record(server_config), record(server_config)
    assert.equal(1, replay(server_config, one, 10))
    os.remove(folder .. "/strikes")
    assert.equal(0, replay(server_config, other, 10))
  end)
end)

describe("HTTP/3 with early data", function()
  before_each(function() folder = helper.make_dir() end)
  after_each(function() helper.remove_dir(folder) end)

  -- The client comes again and asks early; the server, which the spec plays, says these settings. Why it ended.
  local function come_again(first, second)
    local client_config, server_config = config(), config()
    meet(client_config, server_config, first)
    local self = begin(client_config)
    assert.equal(0, self.h3:send_request(GET, true))
    pump(self, server_config)
    assert.equal("accepted", self.client:early())
    say_settings(self, second)
    pump(self, server_config)
    events(self.h3)
    local why = self.client:error()
    return why and why.name
  end

  -- covers: rfc9114#7.2.4.2.12 rfc9114#7.2.4.2.13 rfc9204#3.2.3.3
  it("ends when the server lowers a setting that was remembered, or leaves it out", function()
    local all = { { MAX_FIELD_SECTION_SIZE, 1000 }, { CAPACITY, 4096 }, { BLOCKED, 16 }, { CONNECT, 1 },
      { DATAGRAM, 1 } }
    assert.is_nil(come_again(all, all))
    for i, one in ipairs(all) do
      local id = one[1]
      local name = id == CAPACITY and "QPACK_DECODER_STREAM_ERROR" or "H3_SETTINGS_ERROR"
      local function with(value)
        local list = {}
        for k, other in ipairs(all) do list[k] = other end
        list[i] = value and { id, value } or { 0x21, 0 }
        return list
      end
      assert.equal(name, come_again(all, with(one[2] - 1)), id)
      assert.equal(name, come_again(all, with(nil)), id)
      assert.equal(id == CAPACITY and name or nil, come_again(all, with(one[2] + 1)), id)
    end
  end)

  -- covers: rfc9204#3.2.3.2 rfc9114#7.2.4.2.9
  it("takes settings that were not there before, unless a bound is new", function()
    assert.is_nil(come_again({}, { { CAPACITY, 4096 }, { BLOCKED, 16 }, { CONNECT, 1 }, { DATAGRAM, 1 },
      { 0x21, 5 } }))
    assert.equal("H3_SETTINGS_ERROR", come_again({}, { { MAX_FIELD_SECTION_SIZE, 2 ^ 30 } }))
    assert.is_nil(come_again({ { 0x4444, 5 } }, {})) -- of one that it does not know nothing is remembered
  end)

  -- covers: rfc9114#7.2.4.2.1 rfc9114#7.2.4.2.6
  it("sends no more early than the server took before", function()
    local client_config, server_config = config(), config()
    meet(client_config, server_config, { { MAX_FIELD_SECTION_SIZE, 200 } })
    local self = begin(client_config)
    local long = {}
    for i, text in ipairs(GET) do long[i] = text end
    long[#long + 1], long[#long + 2] = "x", ("y"):rep(200)
    local _, _, code = self.h3:send_request(long, true)
    assert.equal("limit", code)
    assert.equal(0, self.h3:send_request(GET, true))
  end)

  -- covers: rfc9114#7.2.4.2.8 rfc9114#7.2.4.2.10
  it("is passed over by a server that tells other settings than its ticket promised", function()
    sharing { wall_clock = NOW - 100 }
    local function outcome(size)
      local first, second, client_config = sharing(), sharing(), config()
      assert(first:set_h3 { max_field_section_size = 4000 })
      assert(second:set_h3 { max_field_section_size = size })
      meet(client_config, first, { { MAX_FIELD_SECTION_SIZE, 4000 } })
      local self = begin(client_config)
      self.h3:send_request(GET, true)
      pump(self, second)
      assert.is_true(self.client:is_resumed())
      return self.client:early()
    end
    assert.equal("accepted", outcome(4000))
    assert.equal("rejected", outcome(3999))
    assert.equal("rejected", outcome(nil))
  end)

  -- The bytes that a server gets on a stream.
  local function stream_bytes(server, id)
    local parts = {}
    while true do
      local bytes, fin = server:stream_recv(id)
      if not bytes then return table.concat(parts), false end
      parts[#parts + 1] = bytes
      if fin then return table.concat(parts), true end
    end
  end

  it("sends the same bytes again on the first streams when the server did not read them", function()
    local client_config, server_config = config(), config()
    local fields = { ":method", "POST", ":scheme", "https", ":authority", "localhost", ":path", "/a?b=c",
      "content-length", "9", "x-secret", "of the client's" }
    local function post(h3)
      local stream = h3:send_request(fields)
      if not stream then return nil end
      assert.equal(9, h3:send_body(stream, "some body", true))
      return stream
    end
    meet(client_config, server_config)
    local self = begin(client_config)
    assert.same({ 0, 4 }, { post(self.h3), post(self.h3) })
    pump(self, server_config)
    assert.equal("accepted", self.client:early())
    local early, has_ended = stream_bytes(self.server, 0)
    assert.is_true(has_ended)
    meet(client_config, server_config)
    self = begin(client_config)
    assert.same({ 0, 4 }, { post(self.h3), post(self.h3) })
    -- A register that knows it: the flight comes twice.
    local datagrams, copies = flight(self), {}
    for i, bytes in ipairs(datagrams) do copies[i] = bytes .. "" end
    local other = accept(server_config, copies[1])
    for _, bytes in ipairs(copies) do other:recv(bytes, { from = CLIENT, to = SERVER, at = 1 }) end
    assert.equal("accepted", other:early())
    self.server = accept(server_config, datagrams[1])
    for _, bytes in ipairs(datagrams) do self.server:recv(bytes, { from = CLIENT, to = SERVER, at = 1 }) end
    pump(self, server_config)
    assert.equal("rejected", self.client:early())
    assert.is_nil(self.server:readable_next())
    -- Nothing can be asked before it was told what became of the first ones.
    assert.is_nil(post(self.h3))
    assert.same({ "established", "reset 0 0x10b", "reset 4 0x10b" }, events(self.h3))
    assert.same({ 0, 4 }, { post(self.h3), post(self.h3) })
    pump(self, server_config)
    assert.same({ early, true }, { stream_bytes(self.server, 0) })
    assert.same({ early, true }, { stream_bytes(self.server, 4) })
    -- And the control stream is there again.
    assert.equal("\0\4", stream_bytes(self.server, 2):sub(1, 2))
    local h3 = core.h3(self.server)
    assert.is_table(events(h3))
    assert.is_nil(self.server:error())
  end)

  it("lets nobody but HTTP/3 begin again, whose streams these are", function()
    local client_config = config()
    sharing { wall_clock = NOW - 100 }
    meet(client_config, sharing())
    local self = begin(client_config)
    assert.equal(0, self.h3:send_request(GET, false))
    pump(self, sharing { early_data = false })
    assert.equal("rejected", self.client:early())
    assert.same({ nil, "in use" }, { self.client:begin_again(), (select(3, self.client:begin_again())) })
    events(self.h3)
    self.h3:cancel(0, 0x10c)
    pump(self)
  end)

  it("begins its control stream again though nothing was asked early", function()
    local client_config = config()
    sharing { wall_clock = NOW - 100 }
    meet(client_config, sharing())
    local self = pump(begin(client_config), sharing { early_data = false })
    assert.equal("rejected", self.client:early())
    events(self.h3)
    assert.equal(0, self.h3:send_request(GET, true))
    pump(self)
    local h3 = core.h3(self.server)
    assert.same({ "established", "settings", "headers 0", "finished 0" }, events(h3))
  end)
end)
