--- 0-RTT between two connections in virtual time (RFC 9001 §4.6, §4.9.3, RFC 9000 §7.4.1).
local net = require("support.quic_net")

local quic, MS = net.quic, net.MS
local ZERO_RTT = 1

local function config(options, seed, is_server)
  local given = { early_data = 1 }
  for name, value in pairs(options or {}) do given[name] = value end
  local made = net.config(given, seed, is_server)
  if is_server then made:register() end
  return made
end

-- A client and a server that have met: configs, connect(options) for pairs of theirs, done() frees them.
local function acquaintance(options)
  options = options or {}
  local a = { client = config(options.client, 11, false), server = config(options.server, 12, true), seed = 0 }
  function a.connect(more)
    a.seed = a.seed + 1
    local given = { client_config = a.client, server_config = a.server, seed = a.seed }
    for name, value in pairs(more or {}) do given[name] = value end
    return net.pair(given)
  end
  function a.done()
    for _, side in ipairs({ "client", "server" }) do
      a[side]:free()
      assert.equal(0, a[side]:memory().live)
    end
  end
  local p = a.connect()
  assert.equal("none", p.client:info().early)
  p:handshake()
  p:settle(100 * MS)
  p:free()
  return a
end

-- What a server reads of a client's stream, and what it answers when that has ended: what came, behind each other.
local function serve(p, streams)
  local server = p.server
  if not server then return end
  while true do
    local id = server:readable_next()
    if not id then return end
    local stream = streams[id]
      or { text = "", early = server:stream_is_early(id), established = server:info().established,
        alpn = server:info().alpn }
    streams[id] = stream
    while not stream.ended do
      local bytes, fin = server:stream_recv(id)
      if not bytes then break end
      stream.text = stream.text .. bytes
      stream.ended = fin
      if fin then server:stream_send(id, "answer to " .. #stream.text, true) end
    end
  end
end

-- Ask on a new stream; the id.
local function ask(p, text)
  local id = assert(p.client:open(true))
  assert.equal(#text, p.client:stream_send(id, text, true))
  return id
end

-- Run until the answer is there: it, what the server saw, and how long it took.
local function answer(p, id, most)
  local streams, text = {}, ""
  local begin = p.now
  local done = p:run(function()
    serve(p, streams)
    while true do
      local bytes, fin = p.client:stream_recv(id)
      if not bytes then return false end
      text = text .. bytes
      if fin then return true end
    end
  end, most or 20000 * MS)
  assert.is_true(done, "no answer: " .. p.client:info().by .. " " .. p.client:info().reason)
  return text, streams, p.now - begin
end

-- The types of the packets in a datagram with their headers: those of long headers.
local function types(bytes)
  local list = {}
  while #bytes > 0 and bytes:byte(1) >= 0x80 do
    local kind = math.floor(bytes:byte(1) / 16) % 4
    list[#list + 1] = kind
    local at = 6
    at = at + 1 + bytes:byte(at)
    at = at + 1 + bytes:byte(at)
    local function varint()
      local size = 2 ^ math.floor(bytes:byte(at) / 64)
      local value = bytes:byte(at) % 64
      for i = at + 1, at + size - 1 do value = value * 256 + bytes:byte(i) end
      at = at + size
      return value
    end
    if kind == 0 then
      local size = varint()
      at = at + size
    end
    local size = varint()
    bytes = bytes:sub(at + size)
  end
  return list
end

local function has(list, value)
  for _, one in ipairs(list) do
    if one == value then return true end
  end
  return false
end

local function states(p)
  return { p.client:info().early, p.server and p.server:info().early }
end

describe("0-RTT", function()
  -- covers: rfc9001#5.6.5 rfc9001#5.6.7 rfc9001#4.9.3.1 rfc9000#17.2.3.3
  it("is read before the handshake is complete, and answered in one round trip", function()
    local a = acquaintance()
    local up = {}
    local p = a.connect({ filter = function(direction, bytes)
      if direction == "up" then up[#up + 1] = types(bytes) end
      if direction == "down" then assert.is_false(has(types(bytes), ZERO_RTT)) end
      return bytes
    end })
    assert.is_true(p.client:info().is_early)
    assert.same({ "offered" }, states(p))
    assert.equal("t", p.client:info().alpn)
    local id = ask(p, "question")
    assert.equal(0, id)
    local text, streams, took = answer(p, id)
    assert.equal("answer to 8", text)
    assert.equal(20 * MS, took)
    assert.same({ text = "question", ended = true, early = true, established = false, alpn = "t" }, streams[0])
    p:handshake()
    assert.same({ "accepted", "accepted" }, states(p))
    assert.is_false(p.client:info().is_early)
    assert.is_false(p.server:stream_is_early(0))
    assert.is_true(p.client:info().resumed)
    assert.same({ 0, ZERO_RTT }, up[1])
    for i = 2, #up do assert.is_false(has(up[i], ZERO_RTT)) end
    assert(p:transfer("client", ("x"):rep(100000)))
    assert(p:transfer("server", ("x"):rep(100000)))
    p:free()
    a.done()
  end)

  it("is there again in the next connection, and the next", function()
    local a = acquaintance()
    for _ = 1, 4 do
      local p = a.connect()
      local text = answer(p, ask(p, "again"))
      assert.equal("answer to 5", text)
      p:handshake()
      assert.same({ "accepted", "accepted" }, states(p))
      p:settle(100 * MS)
      p:free()
    end
    a.done()
  end)

  it("is there again for a client that leaves with the answer, each time", function()
    local a = acquaintance()
    for _ = 1, 5 do
      local p = a.connect()
      assert.equal("offered", p.client:info().early)
      assert.equal("answer to 5", (answer(p, ask(p, "again"))))
      assert.is_false(p.server:info().established)
      p:free()
    end
    a.done()
  end)

  -- covers: rfc9221#3.7
  -- covers: rfc9000#7.4.1.7
  it("may have streams of both kinds, with data on each, where the server's options are as they are", function()
    local a = acquaintance()
    local p = a.connect()
    for _, bidi in ipairs({ true, false }) do
      local id = assert(p.client:open(bidi))
      assert.equal(4000, p.client:stream_send(id, ("x"):rep(4000), true))
    end
    local took, early = 0, true
    assert(p:run(function()
      if not p.server then return false end
      for id in function() return p.server:readable_next() end do
        early = early and p.server:stream_is_early(id)
        local bytes = p.server:stream_recv(id)
        while bytes and #bytes > 0 do
          took = took + #bytes
          bytes = p.server:stream_recv(id)
        end
      end
      return took == 8000
    end))
    assert.is_true(early)
    p:handshake():free()
    a.done()
  end)

  it("leaves tickets with the round trip of the session, as long as the server has measured none", function()
    local a = acquaintance()
    for _ = 1, 2 do
      local p = a.connect()
      assert(p:run(function(pair) return pair.server ~= nil end))
      assert.near(20 * MS, p.server:stats().rtt, 2 * MS)
      p:handshake()
      assert.same({ "accepted", "accepted" }, states(p))
      p:free()
    end
    a.done()
  end)

  it("carries datagrams, no larger than the client remembers that the server takes", function()
    local a = acquaintance({ server = { max_datagram_frame_size = 100 } })
    local p = a.connect()
    assert.equal(97, p.client:datagram_max())
    assert(p.client:datagram(("x"):rep(97)))
    p:run(function(x) return x.server and x.server:read_datagram() end, 15 * MS)
    assert.equal(1, p.server:datagram_stats().received)
    assert.is_false(p.server:info().established)
    p:handshake()
    assert.same({ "accepted", "accepted" }, states(p))
    p:free()
    a.done()
  end)

  it("carries more than a packet, as far as window and limits go", function()
    -- With a send buffer that takes all of it, whatever the credit.
    local a = acquaintance({ server = { initial_max_stream_data_bidi_remote = 50000 },
      client = { send_buffer = 100000 } })
    local p = a.connect()
    local id = assert(p.client:open(true))
    local text = ("0123456789"):rep(10000)
    local taken = p.client:stream_send(id, text, true)
    assert.equal(#text, taken)
    local said = answer(p, id)
    assert.equal("answer to 100000", said)
    p:handshake()
    assert.same({ "accepted", "accepted" }, states(p))
    p:free()
    a.done()
  end)

  -- covers: rfc9000#7.4.1.4 rfc9000#7.4.1.10
  it("keeps to the limits that the client remembers", function()
    local a = acquaintance({ server = { initial_max_streams_bidi = 2, initial_max_streams_uni = 1,
      initial_max_data = 1000 } })
    a.server:set("initial_max_streams_bidi", 3)
    a.server:set("initial_max_data", 5000)
    local p = a.connect()
    assert.equal(0, p.client:open(true))
    assert.equal(4, p.client:open(true))
    assert.is_nil((p.client:open(true)))
    assert.equal(2, p.client:open(false))
    assert.is_nil((p.client:open(false)))
    p.client:stream_send(0, ("x"):rep(3000), true)
    p:flush()
    assert.is_true(p.bytes.up < 2600, p.bytes.up)
    assert.equal("answer to 3000", (answer(p, 0)))
    p:handshake()
    assert.same({ "accepted", "accepted" }, states(p))
    assert.equal(8, p.client:open(true))
    p:free()
    a.done()
  end)

  -- covers: rfc9001#5.6.1 rfc8446#E.5.3
  it("is not there without the option, on either side, nor without a register", function()
    local without = { early_data = 0 }
    for side, options in pairs({ client = { client = without }, server = { server = without } }) do
      local a = acquaintance(options)
      local p = a.connect()
      assert.is_false(p.client:info().is_early, side)
      assert.is_nil((p.client:open(true)))
      p:handshake()
      assert.same({ "none", "none" }, states(p))
      assert.is_true(p.client:info().resumed)
      p:free()
      a.done()
    end
    local client, server = config(nil, 21, false), net.config({ early_data = 1 }, 22, true)
    for _ = 1, 2 do
      local p = net.pair({ client_config = client, server_config = server }):handshake()
      assert.equal("none", p.client:info().early)
      p:settle(100 * MS)
      p:free()
    end
    client:free()
    server:free()
  end)

  -- covers: rfc8446#E.5.4
  it("tells its owner when the answer came", function()
    local a = acquaintance()
    local p = a.connect()
    p.client:news()
    p:run(function(x) return x.client:info().early == "accepted" end)
    assert.is_true(p.client:news() % 2 == 1)
    p:free()
    a.done()
  end)
end)

describe("0-RTT on a bad path", function()
  -- covers: rfc9000#12.2.2
  it("makes no two packets of one kind for a datagram: what is of one level goes together", function()
    local coalesced = 0
    for seed = 1, 12 do
      local a = acquaintance()
      local p = a.connect({ seed = seed, loss = 0.2, filter = function(_, bytes)
        local seen = {}
        for _, kind in ipairs(types(bytes)) do
          assert.is_nil(seen[kind], seed)
          seen[kind] = true
        end
        coalesced = coalesced + (next(seen, next(seen)) and 1 or 0)
        return bytes
      end })
      answer(p, ask(p, ("x"):rep(5000)))
      p:handshake():free()
      a.done()
    end
    assert.is_true(coalesced >= 12, coalesced)
  end)

  it("comes with the first flight that is not lost, or after the handshake", function()
    for lost = 1, 6 do
      local a = acquaintance()
      local p = a.connect({ drop = function(direction, index) return direction == "up" and index <= lost end })
      local text = answer(p, ask(p, ("x"):rep(5000)))
      assert.equal("answer to 5000", text, lost)
      p:handshake()
      assert.same({ "accepted", "accepted" }, states(p), lost)
      p:free()
      a.done()
    end
  end)

  -- covers: rfc9000#17.2.3.1
  it("goes again with the Initial that a probe repeats", function()
    for _, size in ipairs({ 100, 3000, 12000 }) do
      local a = acquaintance()
      local p
      p = a.connect({ drop = function(direction) return direction == "up" and p.now < 1500 * MS end })
      local text, streams, took = answer(p, ask(p, ("x"):rep(size)))
      assert.equal("answer to " .. size, text)
      assert.is_true(streams[0].early, size)
      assert.is_true(took < (size < 3000 and 1025 or 1200) * MS, took / MS)
      p:handshake()
      p:free()
      a.done()
    end
  end)

  it("comes though the server's first flight is lost, or anything else", function()
    for lost = 1, 4 do
      local a = acquaintance()
      local p = a.connect({ drop = function(direction, index) return direction == "down" and index == lost end })
      assert.equal("answer to 5000", (answer(p, ask(p, ("x"):rep(5000)))))
      p:handshake()
      p:free()
      a.done()
    end
    for seed = 1, 30 do
      local a = acquaintance()
      local p = a.connect({ seed = seed, loss = 0.3, duplicate = 0.1, reorder = 0.3 })
      local ids = { ask(p, ("x"):rep(5000)), ask(p, ("y"):rep(3000)) }
      assert.equal("answer to 5000", (answer(p, ids[1], 60000 * MS)), seed)
      p:handshake()
      p:free()
      a.done()
    end
  end)

  it("may come before the whole ClientHello: it waits, so far as there is room", function()
    local long = ("long"):rep(60)
    local a = acquaintance({ client = { alpn = long }, server = { alpn = long } })
    a.server:session_data(("d"):rep(256))
    a.connect():handshake():settle(100 * MS):free()
    local p = a.connect()
    local id = ask(p, ("x"):rep(20000))
    local flight = {}
    repeat
      flight[#flight + 1] = p.client:send(p.now)
    until #flight == 10
    assert.same({ 0 }, types(flight[1]))
    assert.same({ 0, ZERO_RTT }, types(flight[2]))
    for i = 2, 10 do p:deliver("up", flight[i]) end
    assert.equal("none", p.server:info().early)
    assert.equal(8, p.server:stats().kept)
    assert.equal(0, p.server:stats().stream_bytes_received)
    p:deliver("up", flight[1])
    assert.equal("accepted", p.server:info().early)
    assert.is_true(p.server:stats().stream_bytes_received > 7000)
    assert.equal("answer to 20000", (answer(p, id)))
    p:free()
    a.done()
  end)

  it("that comes in another order than it was sent is read in the order of its streams", function()
    for seed = 1, 10 do
      local a = acquaintance()
      local p = a.connect({ seed = seed, reorder = 0.9 })
      assert.equal("answer to 9000", (answer(p, ask(p, ("x"):rep(9000)))))
      p:handshake()
      assert.same({ "accepted", "accepted" }, states(p), seed)
      p:free()
      a.done()
    end
  end)

  -- covers: rfc9001#4.9.3.3 rfc9001#4.9.3.4
  it("is still read for three PTOs when the handshake is complete, and not after", function()
    for _, is_read in ipairs({ true, false }) do
      local a = acquaintance()
      local late, p
      p = a.connect({ filter = function(direction, bytes)
        if direction == "up" and not late and types(bytes)[1] == ZERO_RTT then
          late = bytes
          return false
        end
        return bytes
      end })
      local id = ask(p, ("x"):rep(2500))
      p:run(function(x) return x.server and x.server:info().established end)
      assert.is_string(late)
      assert.is_true(p.server:info().has_early_key)
      if not is_read then
        p:settle(5000 * MS)
        assert.is_false(p.server:info().has_early_key)
      end
      local before = p.server:stats()
      p:deliver("up", late)
      local after = p.server:stats()
      if is_read then
        assert.equal(before.packets_received + 1, after.packets_received)
        assert.equal(before.packets_dropped, after.packets_dropped)
      else
        assert.equal(before.packets_dropped + 1, after.packets_dropped)
      end
      assert.equal("answer to 2500", (answer(p, id)))
      p:free()
      a.done()
    end
  end)
end)

describe("0-RTT to a server that asks for its certificate", function()
  local function waits_for_the_answer(options)
    local CERTIFICATE = 4
    local client, server = config({ use_preferred_address = 0 }, 31, false), config(options, 32, true)
    assert.equal(0, server:ask(CERTIFICATE))
    local function asked(p) return p.server and p.server:question() ~= nil end
    local function reply(p) assert.equal(0, p.server:answer(CERTIFICATE, p.server:question().id)) end
    local p = net.pair({ client_config = client, server_config = server })
    assert.is_true(p:run(asked))
    reply(p)
    p:handshake():settle(100 * MS):free()

    p = net.pair({ client_config = client, server_config = server, seed = 2 })
    local id = ask(p, ("x"):rep(3000))
    assert.is_true(p:run(asked))
    p:settle(5 * MS)
    assert.equal("none", p.server:info().early)
    assert.is_true(p.server:stats().kept >= 3)
    assert.is_nil((p.server:readable_next()))
    p.server:news()
    reply(p)
    assert.equal("accepted", p.server:info().early)
    assert.equal(3000, p.server:stats().stream_bytes_received)
    assert.is_true(p.server:news() % 4 >= 2) -- readable
    local text, streams = answer(p, id)
    assert.equal("answer to 3000", text)
    assert.is_true(streams[id].early)
    p:free()
    client:free()
    server:free()
  end

  it("waits for the answer, and is read at once behind it", function() waits_for_the_answer() end)

  it("does so where the server has a preferred address", function()
    waits_for_the_answer({ preferred_address = { v4 = "192.0.2.50:4433" } })
  end)
end)

describe("rejected 0-RTT", function()
  -- The client lets go of what it had, begins again and asks once more.
  local function replay(p, text)
    p:run(function(x) return x.client:info().early == "rejected" end, 10000 * MS)
    assert.same({ "rejected", "rejected" }, states(p))
    assert.is_nil((p.client:open(true)))
    assert.equal(0, p.client:begin_again())
    assert.equal(-19, p.client:begin_again())
    p:run(function(x) return x.client:info().established end, 10000 * MS)
    local id = ask(p, text)
    assert.equal(0, id)
    local said, streams = answer(p, id)
    assert.equal(text, streams[0].text)
    return said, streams
  end

  -- covers: rfc9001#5.6.4 rfc8446#4.2.10.13 rfc8446#4.2.10.14 rfc8446#4.2.10.15 rfc9000#17.2.3.2 rfc9001#4.6.2.3
  it("is forgotten: the same question on the same stream, under new keys, is read once", function()
    local a = acquaintance()
    a.server:set("early_data", 0)
    local p = a.connect()
    ask(p, ("first"):rep(1000))
    local numbers = {}
    p:flush()
    numbers[1] = p.client:stats().next_number
    assert.is_true(numbers[1] > 0)
    local said = replay(p, ("first"):rep(1000))
    assert.equal("answer to 5000", said)
    p:handshake()
    assert.equal(0, p.client:stats().in_flight)
    assert.is_true(p.client:stats().next_number > numbers[1])
    assert.is_true(p.client:info().resumed)
    assert(p:transfer("client", ("x"):rep(100000)))
    assert(p:transfer("server", ("x"):rep(100000)))
    p:free()
    a.done()
  end)

  it("is forgotten on a bad path too", function()
    for seed = 1, 20 do
      local a = acquaintance()
      a.server:set("early_data", 0)
      local p = a.connect({ seed = seed, loss = 0.25, duplicate = 0.1, reorder = 0.3 })
      ask(p, ("first"):rep(1000))
      assert.equal("answer to 5000", (replay(p, ("again"):rep(1000))), seed)
      p:handshake()
      assert(p:transfer("client", ("x"):rep(30000)))
      p:free()
      a.done()
    end
  end)

  it("leaves nothing to do where nothing was sent", function()
    local a = acquaintance()
    a.server:set("early_data", 0)
    local p = a.connect()
    p:handshake()
    assert.same({ "rejected", "rejected" }, states(p))
    assert.equal(-19, p.client:begin_again())
    assert.equal("answer to 3", (answer(p, ask(p, "one"))))
    p:free()
    a.done()
  end)

  it("keeps what the server sends meanwhile", function()
    local a = acquaintance()
    a.server:set("early_data", 0)
    local p = a.connect()
    ask(p, "early")
    p:run(function(x) return x.server and x.server:info().early == "rejected" end)
    local id = assert(p.server:open(false))
    p.server:stream_send(id, "hello", true)
    p:handshake()
    assert.equal(0, p.client:begin_again())
    assert.same({ "hello", true }, { p.client:stream_recv(id) })
    assert.equal("answer to 3", (answer(p, ask(p, "one"))))
    p:free()
    a.done()
  end)

  it("is what a HelloRetryRequest, another certificate and other ticket keys lead to", function()
    for what, change in pairs({
      certificate = function(server)
        local maker = quic.config(99)
        local certificate, key = maker:make_certificate("localhost")
        maker:free()
        local other = quic.config(33)
        other:alpn("t")
        other:certificate(certificate, key)
        other:set("early_data", 1)
        other:register()
        server:free()
        return other
      end,
      group = function(server)
        server:group(0x18)
        return server
      end,
      keys = function(server)
        server:ticket_keys(("k"):rep(32))
        return server
      end,
    }) do
      local a = acquaintance()
      a.server = change(a.server)
      local p = a.connect()
      ask(p, "early")
      assert.equal("answer to 5", (replay(p, "early")), what)
      assert.equal(what == "group", p.client:info().resumed)
      p:free()
      a.done()
    end
  end)

  -- covers: rfc9000#7.4.1.6 rfc9000#7.4.1.9 rfc9221#3.8
  it("is what lower limits lead to, one by one, and not higher ones", function()
    local limits = {
      active_connection_id_limit = 4, initial_max_data = 10485760, initial_max_stream_data_bidi_local = 1048576,
      initial_max_stream_data_bidi_remote = 1048576, initial_max_stream_data_uni = 1048576,
      initial_max_streams_bidi = 100, initial_max_streams_uni = 100, max_idle_timeout = 30000,
      max_datagram_frame_size = 1200,
    }
    for name, value in pairs(limits) do
      for more, expected in pairs({ [-1] = "rejected", [1] = "accepted" }) do
        local a = acquaintance({ server = limits })
        assert.equal(0, a.server:set(name, value + more), name)
        local p = a.connect()
        p:handshake()
        assert.same({ expected, expected }, states(p), name .. more)
        p:free()
        a.done()
      end
    end
    for name, values in pairs({ max_udp_payload_size = { 65527, 65526 }, reset_stream_at = { 1, 0 },
      disable_active_migration = { 0, 1 } }) do
      local a = acquaintance({ server = { [name] = values[1] } })
      a.server:set(name, values[2])
      local p = a.connect():handshake()
      assert.same({ "rejected", "rejected" }, states(p), name)
      p:free()
      a.done()
    end
  end)

  it("is what other data of the layer above leads to", function()
    local a = acquaintance()
    assert.equal(0, a.server:session_data("settings"))
    local p = a.connect():handshake()
    assert.same({ "rejected", "rejected" }, states(p))
    p:settle(100 * MS)
    p:free()
    p = a.connect():handshake()
    assert.same({ "accepted", "accepted" }, states(p))
    p:free()
    a.done()
  end)

  it("has datagrams that nobody hears of again lost", function()
    local a = acquaintance({ server = { max_datagram_frame_size = 1000 } })
    a.server:set("early_data", 0)
    local p = a.connect()
    local id = assert(p.client:datagram("early", { notify = true }))
    p:flush()
    assert.same({}, p.client:fates())
    p:handshake()
    assert.same({ id, "lost" }, p.client:fates())
    assert(p.client:datagram("later"))
    p:settle(100 * MS)
    assert.equal("later", p.server:read_datagram())
    p:free()
    a.done()
  end)

  -- covers: rfc9001#4.6.2.1
  it("is dropped by the server without a word", function()
    local a = acquaintance()
    a.server:set("early_data", 0)
    local p = a.connect()
    ask(p, ("x"):rep(5000))
    p:flush()
    p:run(function(x) return x.server and x.server:info().early == "rejected" end)
    p:settle(15 * MS)
    assert.equal(0, p.server:stats().kept)
    assert.is_true(p.server:stats().packets_dropped >= 4)
    assert.equal("none", p.server:info().by)
    p:free()
    a.done()
  end)

  -- covers: rfc9001#9.2.1
  it("is what becomes of every repetition of a first flight", function()
    local a = acquaintance()
    local p = a.connect()
    ask(p, "do this once")
    local flight = assert(p.client:send(p.now))
    local accepted = 0
    for i = 1, 20 do
      local server = quic.accept(a.server, flight, ("R%07d"):format(i), nil, net.SERVER, net.CLIENT, p.now)
      server:recv(flight, p.now)
      local info = server:info()
      if info.early == "accepted" then
        accepted = accepted + 1
        assert.same({ "do this once", true }, { server:stream_recv(0) })
      else
        assert.equal("rejected", info.early)
        assert.is_nil((server:readable_next()))
      end
      server:free()
    end
    assert.equal(1, accepted)
    p:free()
    a.done()
  end)
end)

describe("a client's 0-RTT", function()
  -- covers: rfc9000#17.2.3.1 rfc9000#17.2.3.2
  it("goes again after a Retry, to the new destination, with new numbers", function()
    local a = acquaintance()
    local p = a.connect()
    local id = ask(p, ("x"):rep(3000))
    local first = p.client:send(p.now)
    assert.same({ 0, ZERO_RTT }, types(first))
    while p.client:send(p.now) do end
    local number = p.client:stats().next_number
    p.client:recv(assert(quic.retry(a.server, first, "retryscid", net.CLIENT)), p.now)
    local second = p.client:send(p.now)
    assert.same({ 0, ZERO_RTT }, types(second))
    local _, destination = p.client:ids()
    assert.equal("retryscid", destination)
    assert.is_true(p.client:stats().next_number > number)
    local original = assert(quic.validate_token(a.server, second, net.CLIENT))
    p.server = quic.accept(a.server, second, "retryscid", original, net.SERVER, net.CLIENT, p.now)
    p:deliver("up", second)
    local text, streams = answer(p, id)
    assert.equal("answer to 3000", text)
    assert.is_true(streams[id].early)
    p:handshake()
    assert.same({ "accepted", "accepted" }, states(p))
    p:free()
    a.done()
  end)

  it("is over with version negotiation", function()
    local a = acquaintance()
    local p = a.connect()
    ask(p, "question")
    local first = p.client:send(p.now)
    local header = quic.header(first, 8)
    p.client:recv("\128\0\0\0\0" .. string.char(#header.scid) .. header.scid .. string.char(#header.dcid) .. header.dcid
      .. "\250\250\250\250", p.now)
    assert.equal("version", p.client:info().by)
    assert.is_nil((p.client:send(p.now)))
    p:free()
    a.done()
  end)

  -- covers: rfc9001#5.6.6
  it("is not read by a client", function()
    local a = acquaintance()
    local p = a.connect()
    ask(p, "question")
    local first = p.client:send(p.now)
    local dropped = p.client:stats().packets_dropped
    -- As if it came back: to our connection ID.
    local early = first:match("^.*$")
    p.client:recv(early, p.now)
    assert.is_true(p.client:stats().packets_dropped > dropped)
    assert.equal("none", p.client:info().by)
    p:free()
    a.done()
  end)

  it("does not tell the application's code where an Initial ends the connection", function()
    local a = acquaintance()
    local p = a.connect()
    ask(p, "question")
    p.client:close(true, 7, "no")
    p:run(function(x) return x.server and x.server:info().by ~= "none" end, 1000 * MS)
    assert.same({ "peer", 0x0c }, { p.server:info().by, p.server:info().code })
    p:free()
    a.done()
  end)

  it("knows what the layer above wanted to remember", function()
    local a = acquaintance()
    local p = a.connect():handshake()
    assert.equal(-3, p.client:session_data(("x"):rep(257)))
    assert.equal(0, p.client:session_data("settings"))
    assert.equal(-19, p.server:session_data("settings"))
    p:settle(100 * MS)
    p:free()
    p = a.connect()
    assert.equal(-19, p.client:session_data("soon"))
    assert.equal("settings", p.client:session_data())
    p:handshake()
    assert.equal("", p.client:session_data())
    p:free()
    a.done()
  end)

  -- covers: rfc9000#7.4.1.5 rfc9221#3.9
  it("has the server held to its limits: PROTOCOL_VIOLATION", function()
    for _, name in ipairs({ "initial_max_data", "initial_max_stream_data_bidi_local",
      "initial_max_stream_data_bidi_remote", "initial_max_stream_data_uni", "initial_max_streams_bidi",
      "initial_max_streams_uni", "active_connection_id_limit", "max_datagram_frame_size",
      "reset_stream_at" }) do
      local a = acquaintance({ server = { max_datagram_frame_size = 1000 } })
      local p = a.connect()
      p.on_accept = function(server) server:lower_parameter(name) end
      p:run(function(x) return x.client:info().by ~= "none" end, 1000 * MS)
      assert.same({ "local", 0x0a }, { p.client:info().by, p.client:info().code }, name)
      p:free()
      a.done()
    end
  end)
end)

describe("a 0-RTT packet", function()
  -- What the server says to a packet of this payload.
  local function says(payload, options)
    local a = acquaintance()
    local p = a.connect()
    p:deliver("up", p.client:send(p.now))
    p:inject("client", net.APPLICATION, payload, options)
    local info = p.server:info()
    p:free()
    a.done()
    return info.by, info.code
  end

  -- covers: rfc9001#8.3.2 rfc9000#12.5.6
  it("may not have every frame", function()
    for what, payload in pairs({
      ack = net.bytes(2, 0, 0, 0, 0), crypto = net.bytes(6, 0, 1, "x"), new_token = net.bytes(7, 1, "x"),
      path_response = "\27" .. ("x"):rep(8), retire_connection_id = net.bytes(25, 0), handshake_done = net.bytes(30),
    }) do
      local by, code = says(payload .. ("\0"):rep(4))
      assert.same({ "local", 0x0a }, { by, code }, what)
    end
  end)

  it("may have the others", function()
    for what, payload in pairs({
      ping = net.bytes(1), stream = net.bytes(10, 0, 1, "x"), reset_stream = net.bytes(4, 0, 0, 0),
      stop_sending = net.bytes(5, 0, 0), max_data = net.bytes(16, 100), max_streams = net.bytes(18, 100),
      data_blocked = net.bytes(20, 100), path_challenge = "\26" .. ("x"):rep(8),
    }) do
      local by = says(payload .. ("\0"):rep(4))
      assert.equal("none", by, what)
    end
  end)

  it("has reserved bits that are zero", function()
    assert.same({ "local", 0x0a }, { says("\1\0\0\0\0", { bits = 0x0c }) })
  end)

  -- covers: rfc9000#17.2.3.5
  it("is held to the limits", function()
    assert.same({ "local", 4 }, { says(net.bytes(10, 400, 1, "x")) })
  end)

  -- covers: rfc9000#13.2.6.3
  it("is acknowledged in a 1-RTT packet", function()
    local a = acquaintance()
    local p = a.connect()
    ask(p, "question")
    p:handshake()
    assert.equal(0, p.client:stats().eliciting_in_flight)
    assert.equal(0, p.client:stats().packets_lost)
    p:free()
    a.done()
  end)
end)

describe("what 0-RTT takes", function()
  it("is nothing of an idle connection's memory", function()
    local function idle(early)
      local a = acquaintance({ client = { early_data = early }, server = { early_data = early } })
      local p = a.connect()
      if early == 1 then ask(p, "question") end
      p:handshake()
      if early == 1 then
        assert.equal("answer to 8", (answer(p, 0)))
      else
        assert.equal("answer to 8", (answer(p, ask(p, "question"))))
      end
      p:settle(20000 * MS)
      local used = { p.server_config:memory().used }
      p:free()
      a.done()
      return used
    end
    assert.same(idle(0), idle(1))
  end)

  it("is given back where an allocation fails, wherever that is", function()
    for _, side in ipairs({ "client", "server" }) do
      for at = 1, 60 do
        local a = acquaintance()
        a[side]:fail_at(at)
        local made, p = pcall(a.connect)
        if made then
          local opened = p.client:open(true)
          if opened then p.client:stream_send(opened, ("x"):rep(3000), true) end
          p:run(function(x) serve(x, {}) return x.client:info().confirmed end, 3000 * MS)
          a[side]:fail_at(-1)
          p:settle(20000 * MS)
          p:free()
        end
        a[side]:fail_at(-1)
        a.done()
      end
    end
  end)
end)
