--- Attacks on the transport that need more than one frame out of place; the rest is in the files of the code that
--- stands against it.
local net = require("support.quic_net")
local fixtures = require("tls.fixtures")
local messages = require("tls.messages")
local pair = require("tls.pair")

local quic, MS = net.quic, net.MS
local bytes = net.bytes
local CERTIFICATE = 4 -- what the application is asked
local INITIAL, HANDSHAKE, APPLICATION = net.INITIAL, net.HANDSHAKE, net.APPLICATION

--- A server endpoint on its own; `asks`: the kinds of what its application is asked.
local function endpoint(options, asks)
  local self = { now = 1000 * MS, config = net.config(options, 21, true), client_config = net.config({}, 22) }
  if asks then assert.equal(0, self.config:ask(asks)) end
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
  it("that fail at once counts as a flood too", function()
    local e = endpoint({ handshake_rate = 0 })
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

describe("what comes before an address is proved", function()
  it("is held up to one sum for all, and each has 8,192 bytes of it in any case", function()
    local e = endpoint({ handshake_rate = 0 })
    local conns = {}
    --- CRYPTO out of order, 60,000 bytes from each.
    local function fill(index)
      local conn, address = e.client(index)
      conns[#conns + 1] = conn
      for at = 1, 60 do
        e.give(conn:inject(INITIAL, bytes(0x06, at * 1000, 1000, ("x"):rep(1000)), { pad = 1200 }), address)
      end
    end
    for index = 1, 134 do
      fill(index)
    end
    local full = e.endpoint:stats().early_bytes
    assert.is_true(full > 134 * 60000 and full <= 8388608, full)
    for index = 135, 300 do
      fill(index)
    end
    local more = e.endpoint:stats().early_bytes
    assert.is_true(more <= 8388608 + 166 * 8192, more)
    assert.is_true(more >= 8388608 - 2500 + 160 * 6000, more)
    -- Whoever says hello is served meanwhile.
    local conn, address = e.client(400)
    for _ = 1, 10 do
      while true do
        local datagram = conn:send(e.now)
        if not datagram then break end
        e.give(datagram, address)
      end
      for _, datagram in ipairs(e.flush()[address] or {}) do
        conn:recv(datagram, e.now)
      end
      e.now = e.now + 10 * MS
    end
    assert.is_true(conn:info().confirmed)
    -- And all of it goes with those who held it.
    e.now = e.now + 11000 * MS
    e.flush()
    assert.equal(0, e.endpoint:stats().early_bytes)
    conn:free()
    for _, each in ipairs(conns) do
      each:free()
    end
    e.free()
  end)
end)

describe("what is held of those who proved no address", function()
  --- So many clients, each with the Initials of frames(connection): what each takes of the memory that is not counted,
  --- and what is counted of all.
  local function held_by(count, options, frames, asks)
    local e = endpoint(options, asks)
    local conns, before = {}, e.config:memory().used
    for index = 1, count do
      local conn, address = e.client(index)
      conns[index] = conn
      for _, frame in ipairs(frames(conn)) do e.give(conn:inject(INITIAL, frame, { pad = 1200 }), address) end
    end
    local counted = e.endpoint:stats().early_bytes
    local held = e.config:memory().used - before
    for _, conn in ipairs(conns) do conn:free() end
    e.free()
    return (held - counted) / count, counted
  end

  --- One datagram of CRYPTO that takes a room in every chunk.
  local function far_apart()
    local parts = {}
    for i = 1, 60 do parts[i] = bytes(0x06, i * 1056 + 7, 1, "x") end
    return { table.concat(parts) }
  end

  local function near() return { bytes(0x06, 7, 1, "x") } end

  local first = pair.new({ client = fixtures.client_config({}), server = fixtures.server_config({}) }).client
    :output(pair.INITIAL)

  --- CRYPTO frames with a ClientHello that was edited.
  local function hello(edit)
    local message, frames = messages.edit(first, edit), {}
    for at = 0, #message - 1, 1000 do
      local part = message:sub(at + 1, at + 1000)
      frames[#frames + 1] = bytes(0x06, at, #part, part)
    end
    return frames
  end

  local function hello_of(size)
    local frames = hello(function(m) m.extensions[#m.extensions + 1] = { 0x2a2b, ("x"):rep(size) } end)
    return function() return frames end
  end

  --- … with a transport parameter that nobody knows.
  local function hello_with_params(size)
    return function(conn)
      local scid = quic.header(conn:inject(INITIAL, "\1", { pad = 1200 }), 8).scid
      return hello(messages.set_extension(57, bytes(15, #scid, scid, 31 * 100 + 27, size, ("x"):rep(size))))
    end
  end

  it("is CRYPTO with all the memory that it takes, however far apart it lies", function()
    local options = { handshake_rate = 0, memory_limit = 1e9 }
    local bare = held_by(100, options, near)
    local beside, counted = held_by(100, options, far_apart)
    -- The classes of the pool take a little more than they are asked for.
    assert.is_true(beside < bare + counted / 100 / 10, ("%d bytes are not counted, of others %d"):format(beside, bare))
    assert.is_true(counted > 100 * 20000, counted)
    local _, all = held_by(1000, options, far_apart)
    assert.is_true(all < 8388608 + 1000 * 8192, all)
  end)

  it("is a ClientHello too that waits for an answer of the application's", function()
    local options = { handshake_rate = 0, alpn = "h3" }
    local bare = held_by(100, options, hello_of(10), CERTIFICATE)
    local beside, counted = held_by(100, options, hello_of(60000), CERTIFICATE)
    assert.is_true(counted > 100 * 60000, counted)
    assert.is_true(beside < bare + 500, ("%d bytes are not counted, of others %d"):format(beside, bare))
    local _, all = held_by(400, options, hello_of(60000), CERTIFICATE)
    assert.is_true(all < 8388608 + 400 * 8192, all)
  end)

  it("is nothing of transport parameters once they are read, of which more than 4,096 bytes are refused", function()
    local options = { handshake_rate = 0, alpn = "h3" }
    local bare = held_by(100, options, hello_with_params(10))
    local beside, counted = held_by(100, options, hello_with_params(4000))
    assert.equal(0, counted)
    assert.is_true(beside < bare + 500, ("%d bytes are held, of others %d"):format(beside, bare))
    for size, code in pairs({ [4000] = 0, [4096] = 8 }) do
      local e = endpoint(options)
      local conn, address = e.client(1)
      for _, frame in ipairs(hello_with_params(size)(conn)) do
        e.give(conn:inject(INITIAL, frame, { pad = 1200 }), address)
      end
      local told = e.endpoint:next()
      assert.equal(code, told and told:info().by ~= "none" and told:info().code or 0, size)
      conn:free()
      e.free()
    end
  end)

  it("leaves memory for honest clients, however much grows when it has begun", function()
    local e = endpoint({ memory_limit = 16 * 1048576, handshake_rate = 0 })
    local conns, addresses = {}, {}
    for index = 1, 600 do
      conns[index], addresses[index] = e.client(index)
      e.give(conns[index]:inject(INITIAL, near()[1], { pad = 1200 }), addresses[index])
    end
    local begun = e.config:memory().used
    assert.equal(600, e.endpoint:stats().half_open)
    for index, conn in ipairs(conns) do
      e.give(conn:inject(INITIAL, far_apart()[1], { pad = 1200 }), addresses[index])
    end
    assert.is_true(e.config:memory().used > begun + 600 * 2000)
    local conn, address = e.client(1000)
    for _ = 1, 10 do
      while true do
        local datagram = conn:send(e.now)
        if not datagram then break end
        e.give(datagram, address)
      end
      for _, datagram in ipairs(e.flush()[address] or {}) do conn:recv(datagram, e.now) end
      e.now = e.now + 10 * MS
    end
    assert.is_true(conn:info().confirmed)
    conn:free()
    for _, each in ipairs(conns) do each:free() end
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

  it("when its connection is gone starts no second one either, with the token of a Retry or without", function()
    for retry = 0, 1 do
      local e = endpoint({ retry = retry })
      local conn, address = e.client(1)
      local first = {}
      for _ = 1, 10 do
        while true do
          local datagram = conn:send(e.now)
          if not datagram then break end
          if quic.header(datagram, 8).type == INITIAL then table.insert(first, datagram) end
          e.give(datagram, address)
        end
        for _, datagram in ipairs(e.flush()[address] or {}) do
          conn:recv(datagram, e.now)
        end
        e.now = e.now + 10 * MS
      end
      assert.is_true(conn:info().confirmed)
      local server = e.endpoint:next()
      server:close(true, 0)
      e.endpoint:release(server)
      e.flush() -- the closing period begins with what it says
      e.now = e.now + 3000 * MS
      e.flush()
      assert.equal(0, e.endpoint:stats().connections)
      assert.equal(0, e.endpoint:stats().routes)
      assert.equal(0, e.endpoint:stats().first_packets_repeated)
      -- What the connection began with: without a Retry the first of all, which went to a destination of the client's.
      e.give(first[1 + retry], address)
      assert.equal(1, e.endpoint:stats().accepted, retry)
      assert.equal(1, e.endpoint:stats().first_packets_repeated)
      local _, size = e.flush()
      assert.equal(0, size)
      conn:free()
      e.free()
    end
  end)
end)

describe("the first packet after a Retry", function()
  it("begins one handshake only: not another when its client has left in between", function()
    local e = endpoint({ retry = 1 })
    local conn, address = e.client(1)
    e.give(conn:send(e.now), address)
    conn:recv(e.flush()[address][1], e.now)
    local initial = conn:send(e.now)
    conn:free()
    e.give(initial, address)
    local _, size = e.flush()
    assert.is_true(size >= 1200)
    e.now = e.now + 11000 * MS
    e.flush()
    e.endpoint:release(e.endpoint:next())
    assert.equal(0, e.endpoint:stats().connections)
    -- The clock of tokens has stood still.
    e.give(initial, address)
    assert.equal(1, e.endpoint:stats().accepted)
    _, size = e.flush()
    assert.equal(0, size)
    e.free()
  end)
end)

describe("a stream with more gaps than are kept", function()
  -- covers: rfc9000#21.7.1 rfc9000#13.1.1
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
    assert.is_true(p.server:floods().packets_refused >= 1400, p.server:floods().packets_refused)
    assert.is_true(p.server:stats().receive_held > 0)
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

describe("any frames in any order", function()
  -- Numbers at which something happens, and some between.
  local edges = {
    0, 1, 2, 3, 4, 5, 8, 63, 64, 255, 1000, 16383, 16384, 1048575, 1048576, 10485760, 2 ^ 30, 2 ^ 48, 2 ^ 52,
  }
  local MOST = ("\255"):rep(8) -- 2^62-1

  local mild -- most seeds keep to what does not end the connection at once
  local function any(random)
    if mild then return math.floor(random() * 60) end
    if random() < 0.05 then return MOST end
    if random() < 0.6 then return edges[1 + math.floor(random() * #edges)] end
    return math.floor(random() * 300)
  end
  local mine, theirs -- the bits of streams that the hostile side opened, and of the others
  local function id(random)
    local low = random() < 0.7 and mine or mild and theirs or math.floor(random() * 4)
    return 4 * math.floor(random() * 3) + low
  end
  local function text(random, size) return ("x"):rep(size or math.floor(random() * 20)) end
  local function data(random)
    local s = text(random)
    return #s, s
  end

  -- By type: the fields behind it.
  local frames = {
    [0x00] = function() end,
    [0x01] = function() end,
    [0x02] = function(r) return math.floor(r() * (mild and 3 or 40)), any(r), 0, 0 end,
    [0x03] = function(r) return math.floor(r() * 3), any(r), 0, 0, any(r), any(r), any(r) end,
    [0x04] = function(r) return id(r), any(r), mild and 50 or any(r) end,
    [0x05] = function(r) return id(r), any(r) end,
    [0x06] = function(r) return math.floor(r() * 100) + (mild and 40 or 0), data(r) end,
    [0x07] = data,
    [0x0a] = function(r) return id(r), data(r) end,
    [0x0b] = function(r) return id(r), mild and bytes(50, text(r, 50)) or bytes(data(r)) end,
    [0x0e] = function(r) return id(r), mild and math.floor(r() * 30) or any(r), data(r) end,
    [0x0f] = function(r)
      local size = math.floor(r() * 20)
      return id(r), 50 - size, size, text(r, size)
    end,
    [0x10] = function(r) return any(r) end,
    [0x11] = function(r) return id(r), any(r) end,
    [0x12] = function(r) return any(r) end,
    [0x13] = function(r) return any(r) end,
    [0x14] = function(r) return any(r) end,
    [0x15] = function(r) return id(r), any(r) end,
    [0x16] = function(r) return any(r) end,
    [0x17] = function(r) return any(r) end,
    [0x18] = function(r)
      local sequence = math.floor(r() * 8)
      return sequence, math.floor(r() * (sequence + 1)), ("\8%08d"):format(sequence), ("%016d"):format(sequence)
    end,
    [0x19] = function(r) return math.floor(r() * 6) end,
    [0x1a] = function() return "12345678" end,
    [0x1b] = function() return "12345678" end,
    [0x1e] = function() end,
  }
  local types = {}
  for kind in pairs(frames) do types[#types + 1] = kind end
  table.sort(types)

  -- What ends a connection sooner or later, whoever sends it.
  local deadly = { [0x02] = true, [0x03] = true, [0x07] = true, [0x18] = true, [0x19] = true, [0x1e] = true }

  local function payload(random)
    local parts = {}
    for i = 1, 1 + math.floor(random() * 6) do
      local kind = types[1 + math.floor(random() * #types)]
      while mild and deadly[kind] and random() < 0.98 do kind = types[1 + math.floor(random() * #types)] end
      parts[i] = bytes(kind, frames[kind](random))
    end
    local all = table.concat(parts)
    if not mild and random() < 0.1 then all = all:sub(1, math.floor(random() * #all)) end
    return #all > 0 and all or "\1"
  end

  --- What an application may do, sensible or not.
  local function act(random, conn)
    local what, stream = math.floor(random() * 7), id(random)
    if what == 0 then conn:open(random() < 0.5)
    elseif what == 1 then conn:stream_send(stream, text(random, math.floor(random() * 3000)), random() < 0.3)
    elseif what == 2 then conn:stream_recv(stream)
    elseif what == 3 then conn:shutdown(stream, false, 7)
    elseif what == 4 then conn:shutdown(stream, true, 8)
    elseif what == 5 then conn:readable_next()
    else conn:writable_next() end
  end

  it("end in an error or in nothing, never in a crash, a spin or a leak", function()
    local ended, packets = 0, 0
    for seed = 1, tonumber(os.getenv("NEAP_FUZZ_SEEDS") or 200) do
      local random = net.random(seed)
      mild = seed % 4 > 0
      local p = net.pair({ seed = seed, delay = MS, server = { source_connection_id_size = 8 } })
      local from = random() < 0.5 and "client" or "server"
      local victim = from == "client" and "server" or "client"
      local stage = math.floor(random() * 8)
      if stage == 0 then
        p:run(function(x) return x.client:info().established end)
      else
        p:handshake()
      end
      mine, theirs = from == "client" and 0 or 1, from == "client" and 1 or 0
      for _ = 1, 3 do if p[victim] then p[victim]:open(true) end end
      -- The hostile side does not answer: it knows nothing of what is said in its name.
      p.drop = function(direction) return direction == (from == "client" and "down" or "up") end
      for _ = 1, 40 do
        packets = packets + 1
        local space = stage > 0 and APPLICATION or from == "client" and HANDSHAKE or APPLICATION
        if not p.server or p.client:info().by ~= "none" or p.server:info().by ~= "none" then break end
        p:inject(from, space, payload(random))
        for _ = 1, 3 do act(random, p[victim]) end
        if random() < 0.3 then p:run(nil, math.floor(random() * 20) * MS) end
        if stage == 0 and p.server:info().confirmed then stage = 1 end
      end
      if p[victim]:info().by ~= "none" then ended = ended + 1 end
      p:run(nil, 2000 * MS)
      p:free()
    end
    assert.is_true(ended > 30, ended)
    assert.is_true(packets > 1000, packets)
  end)
end)

describe("two honest sides", function()
  --- Something that an application may do with the streams that it has.
  local function act(random, conn, streams)
    for _ = 1, 20 do
      local id = conn:readable_next()
      if not id or id < 0 then break end
      streams[#streams + 1] = id
    end
    local id = #streams > 0 and streams[1 + math.floor(random() * #streams)]
    local what = random()
    if what < 0.2 or not id then
      local opened = conn:open(random() < 0.6)
      if opened and opened >= 0 then streams[#streams + 1] = opened end
    elseif what < 0.55 then
      conn:stream_send(id, ("d"):rep(math.floor(random() * 9000)), random() < 0.3)
    elseif what < 0.9 then
      conn:stream_recv(id)
    else
      conn:shutdown(id, random() < 0.5, 9)
    end
  end

  it("never accuse each other, whatever is lost and whatever their applications do", function()
    for seed = 1, tonumber(os.getenv("NEAP_FUZZ_SEEDS") or 60) do
      local random = net.random(seed + 7)
      local small = { initial_max_streams_bidi = 3, initial_max_streams_uni = 2, initial_max_data = 20000,
        initial_max_stream_data_bidi_local = 7000, initial_max_stream_data_bidi_remote = 6000,
        initial_max_stream_data_uni = 5000, send_buffer = 8000 }
      local p = net.pair({ seed = seed, delay = 5 * MS, server = small, client = small })
      p:handshake()
      p.loss, p.reorder, p.duplicate = random() * 0.25, random() * 0.3, random() * 0.2
      local streams = { client = {}, server = {} }
      for step = 1, 150 do
        local side = random() < 0.5 and "client" or "server"
        act(random, p[side], streams[side])
        if random() < 0.5 then p:run(nil, random() * 15 * MS) end
        if step % 40 == 0 then p[side]:update_keys() end
      end
      p:run(nil, 3000 * MS)
      for _, side in ipairs({ "client", "server" }) do
        local info = p[side]:info()
        assert.equal("none", info.by, ("seed %d, %s: %d %s"):format(seed, side, info.code, info.reason))
      end
      p:free()
    end
  end)
end)
