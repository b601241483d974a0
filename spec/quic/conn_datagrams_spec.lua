-- DATAGRAM frames (RFC 9221).
local net = require("support.quic_net")

local MS = net.MS
local AGAIN, ARGUMENT, CLOSED, SHORT, UNSUPPORTED, LIMIT, STATE = -1, -3, -4, -5, -14, -15, -19
local PROTOCOL_VIOLATION = 0x0a
local ON = { max_datagram_frame_size = 65535 }

local function with(options)
  local out = { max_datagram_frame_size = 65535 }
  for name, value in pairs(options or {}) do out[name] = value end
  return out
end

local function new(client, server, options)
  options = options or {}
  options.client, options.server = with(client), with(server)
  return net.pair(options):handshake()
end

local function read_all(conn)
  local list = {}
  while true do
    local bytes = conn:read_datagram()
    if not bytes then return list end
    list[#list + 1] = bytes
  end
end

local function fates(conn)
  local told, list = {}, conn:fates()
  for i = 1, #list, 2 do told[list[i]] = list[i + 1] end
  return told
end

-- A congestion window that is full, so that what is queued stays there.
local function fill(p)
  local id = p.server:open(false)
  p.server:stream_send(id, ("x"):rep(200000), false)
  p:flush()
  return id
end

describe("datagrams", function()
  -- covers: rfc9221#5.2 rfc9221#5.3 rfc9221#6.1
  it("come whole, in both directions, in the order in which they came", function()
    local p = new()
    for _, text in ipairs { "one", "", "three" } do assert(p.client:datagram(text)) end
    assert(p.server:datagram(("x"):rep(1000)))
    p:settle()
    assert.same({ "one", "", "three" }, read_all(p.server))
    assert.same({ ("x"):rep(1000) }, read_all(p.client))
    assert.same({ nil, AGAIN }, { p.client:read_datagram() })
    p:free()
  end)

  -- covers: rfc9221#3.1 rfc9000#19.21.1
  it("are not sent to who did not say that it takes them", function()
    local p = net.pair({ client = ON })
    assert.equal(AGAIN, p.client:datagram_max())
    p:handshake()
    assert.equal(UNSUPPORTED, p.client:datagram_max())
    assert.same({ nil, UNSUPPORTED }, { p.client:datagram("x") })
    p:free()
  end)

  -- covers: rfc9221#3.6
  it("may go one way only", function()
    local p = net.pair({ server = ON }):handshake()
    assert(p.client:datagram("x"))
    p:settle()
    assert.same({ "x" }, read_all(p.server))
    assert.same({ nil, UNSUPPORTED }, { p.server:datagram("x") })
    p:free()
  end)

  -- covers: rfc9221#3.3
  it("end a connection on which they were not offered: PROTOCOL_VIOLATION", function()
    local p = net.pair({ client = ON }):handshake()
    p:inject("client", net.APPLICATION, net.bytes(0x31, 1, "x", 0, 0))
    assert.same({ "local", PROTOCOL_VIOLATION }, { p.server:info().by, p.server:info().code })
    p:free()
    p = net.pair():handshake()
    p:inject("client", net.APPLICATION, net.bytes(0x30, "xxxx"))
    assert.same({ "local", PROTOCOL_VIOLATION }, { p.server:info().by, p.server:info().code })
    p:free()
  end)

  -- covers: rfc9221#3.4
  it("end a connection when their frame is larger than was offered, to the byte", function()
    for size, by in pairs({ [97] = "none", [98] = "local" }) do -- type, two bytes of length: 100 and 101
      local p = net.pair({ server = { max_datagram_frame_size = 100 } }):handshake()
      p:inject("client", net.APPLICATION, net.bytes(0x31, "\64" .. string.char(size), ("x"):rep(size)))
      assert.equal(by, p.server:info().by)
      if by == "local" then assert.equal(PROTOCOL_VIOLATION, p.server:info().code) end
      p:free()
    end
    for size, by in pairs({ [99] = "none", [100] = "local" }) do -- without a length
      local p = net.pair({ server = { max_datagram_frame_size = 100 } }):handshake()
      p:inject("client", net.APPLICATION, net.bytes(0x30, ("x"):rep(size)))
      assert.equal(by, p.server:info().by)
      p:free()
    end
  end)

  -- covers: rfc9221#3.2
  it("are no larger than the peer takes, and than the path", function()
    local p = net.pair({ server = { max_datagram_frame_size = 100 } }):handshake()
    assert.equal(97, p.client:datagram_max())
    assert.same({ nil, SHORT }, { p.client:datagram(("x"):rep(98)) })
    assert(p.client:datagram(("x"):rep(97)))
    p:settle()
    assert.equal(97, #p.server:read_datagram())
    p:free()
    for most, payload in pairs({ [1] = UNSUPPORTED, [2] = 0, [3] = 1, [65] = 63, [66] = 63, [67] = 64 }) do
      p = net.pair({ server = { max_datagram_frame_size = most } }):handshake()
      assert.equal(payload, p.client:datagram_max(), most)
      p:free()
    end
    -- Some say with the largest number there is that they take any.
    local largest = ("\255"):rep(8)
    for _, size in ipairs({ net.varint(65535), net.varint(2 ^ 30 + 4), net.varint(2 ^ 30 + 5), largest }) do
      p = net.pair({ server = { max_datagram_frame_size = 65535 } })
      p.on_accept = function(server)
        local params = server:params()
        local at = assert(params:find("\32\4\128\0\255\255", 1, true))
        server:params(params:sub(1, at) .. string.char(#size) .. size .. params:sub(at + 6))
      end
      p:handshake()
      assert.is_true(p.client:datagram_max() > 1000, size)
      p:free()
    end
    p = new({ max_send_udp_payload_size = 1200 })
    local most = p.client:datagram_max()
    assert.equal(1200 - 1 - 8 - 4 - 16 - 3, most)
    assert(p.client:datagram(("x"):rep(most)))
    p:settle()
    assert.equal(most, #p.server:read_datagram())
    p:free()
  end)

  it("may be as large as the path has become", function()
    local p = new({ max_send_udp_payload_size = 1452 })
    p:transfer("client", ("x"):rep(300000))
    assert.equal(1452 - 1 - 8 - 4 - 16 - 3, p.client:datagram_max())
    p:free()
  end)

  -- covers: rfc9221#5.4.1 rfc9221#5.1 rfc9000#19.21.3
  it("wait for the congestion window, and go before streams that are not more urgent then", function()
    local p = new()
    local id = fill(p)
    assert(p.server:datagram("behind", { urgency = 4 }))
    assert(p.server:datagram("before"))
    local data, order = 0, {}
    p:run(function()
      for _, text in ipairs(read_all(p.client)) do order[#order + 1] = { text, data } end
      local bytes = p.client:stream_recv(id)
      data = data + (bytes and #bytes or 0)
      return data == 200000 and #order == 2
    end)
    assert.equal("before", order[1][1])
    assert.is_true(order[1][2] < 20000, order[1][2])
    assert.equal("behind", order[2][1])
    assert.is_true(order[2][2] > 198000, order[2][2])
    p:free()
  end)

  -- covers: rfc9221#5.1.1
  it("go by their urgency among each other", function()
    local p = new()
    fill(p)
    for _, urgency in ipairs { 5, 1, 3, 1, 0 } do
      assert(p.server:datagram(tostring(urgency), { urgency = urgency }))
    end
    assert.same({ nil, ARGUMENT }, { p.server:datagram("x", { urgency = 8 }) })
    p:settle(2000 * MS)
    local got = read_all(p.client)
    while #got < 5 do
      p:settle(1000 * MS)
      for _, text in ipairs(read_all(p.client)) do got[#got + 1] = text end
      assert(p.client:stream_recv(3))
    end
    assert.equal("01135", table.concat(got))
    p:free()
  end)

  it("have their turn beside streams that fill every packet, however large they are", function()
    local p = new()
    local id, got = p.client:open(false), 0
    p.client:stream_send(id, ("x"):rep(250000), false)
    for _ = 1, 20 do
      assert(p.client:datagram(("y"):rep(p.client:datagram_max())))
      assert(p.server:datagram("keeps acknowledgements coming"))
      p:settle(20 * MS)
      got = got + #read_all(p.server)
    end
    p:settle(500 * MS)
    assert.equal(20, got + #read_all(p.server))
    p:free()
  end)

  -- covers: rfc9221#5.2.1 rfc9000#19.21.3
  it("are acknowledged no sooner than other frames are", function()
    local p = new({}, { max_ack_delay = 100 }, { delay = 50 * MS })
    local before = p.server:stats().packets_sent
    p.client:datagram("x")
    p:settle(120 * MS)
    assert.equal(before, p.server:stats().packets_sent)
    p:settle(100 * MS)
    assert.equal(before + 1, p.server:stats().packets_sent)
    p:free()
  end)

  it("are not sent again when they are lost", function()
    local p = new()
    p.drop = function(direction) return direction == "up" end
    assert(p.client:datagram("lost"))
    p:flush()
    p.drop = nil
    assert(p.client:datagram("comes"))
    p:settle(2000 * MS)
    assert.same({ "comes" }, read_all(p.server))
    local n = p.client:datagram_stats()
    assert.same({ 2, 1, 1 }, { n.sent, n.acked, n.lost })
    p:free()
  end)

  it("are told once, of packets that come twice", function()
    local p = new({}, {}, { duplicate = 1 })
    assert(p.client:datagram("x"))
    p:settle()
    assert.same({ "x" }, read_all(p.server))
    p:free()
  end)

  it("belong to the layer above where there is one", function()
    local p = new()
    p.client:set_owner(true)
    assert.same({ nil, STATE }, { p.client:datagram("x") })
    assert.equal(STATE, p.client:datagram_max())
    assert.same({ nil, STATE }, { p.client:read_datagram() })
    assert.is_true(p.client:datagram_parts("in parts") > 0)
    p.client:set_owner(false)
    p:settle()
    assert.same({ "in parts" }, read_all(p.server))
    p:free()
  end)

  it("end with their connection, both ways, and their counters do not", function()
    local p = new()
    fill(p)
    assert(p.server:datagram("never", { notify = true }))
    assert(p.client:datagram("unread"))
    p:settle(15 * MS)
    p.server:close(true, 0, "")
    assert.same({ nil, CLOSED }, { p.server:datagram("x") })
    assert.same({ nil, CLOSED }, { p.server:read_datagram() })
    assert.same({}, p.server:fates())
    assert.equal(1, p.server:datagram_stats().received)
    p:settle()
    p:free()
  end)
end)

describe("what became of a datagram", function()
  -- covers: rfc9221#5.2.2 rfc9221#5.2.3
  it("is told, once, to who asks", function()
    local p = new()
    p.drop = function(direction) return direction == "up" end
    local lost = p.client:datagram("lost", { notify = true })
    p:flush()
    p.drop = nil
    local acked = p.client:datagram("acked", { notify = true })
    p.client:datagram("nobody asks")
    p.client:news()
    p:settle(2000 * MS)
    assert.same({ [lost] = "lost", [acked] = "acked" }, fates(p.client))
    assert.same({}, fates(p.client))
    p:free()
  end)

  it("is not that it is lost while only a probe was sent", function()
    local p = new({}, {}, { delay = 100 * MS })
    p.delay = 2000 * MS -- far above what was measured
    local id = p.client:datagram("late", { notify = true })
    p:settle(1900 * MS)
    assert.is_true(p.client:stats().pto_count > 0)
    assert.same({}, fates(p.client))
    p:settle(5000 * MS)
    assert.same({ [id] = "acked" }, fates(p.client))
    p:free()
  end)

  it("is that it was dropped, when its deadline is over", function()
    local p = new()
    fill(p)
    local now = p.now
    local late = p.server:datagram("late", { deadline = now + 1 * MS, urgency = 7, notify = true })
    local early = p.server:datagram("early", { deadline = now + 5000 * MS, notify = true })
    local over = p.server:datagram("over", { deadline = now, notify = true })
    assert.is_true(p.server:timeout() <= now + 1 * MS)
    p:settle(2 * MS)
    assert.same({ [late] = "dropped", [over] = "dropped" }, fates(p.server))
    assert.equal(2, p.server:datagram_stats().expired)
    p:settle(500 * MS)
    assert.same({ [early] = "acked" }, fates(p.server))
    assert.same({ "early" }, read_all(p.client))
    p:free()
  end)

  it("wakes nobody when there is no deadline any more", function()
    local p = new()
    assert(p.client:datagram("x", { deadline = p.now + 50 * MS }))
    p:settle(5000 * MS)
    assert.is_true((p.client:timeout() or math.huge) > p.now + 1000 * MS)
    p:free()
  end)

  it("is asked for 1024 times at most, and then no more until it was told", function()
    local p = new({ datagram_send_count = 2000 })
    p.drop = function() return true end
    for _ = 1, 1024 do assert(p.client:datagram("x", { notify = true })) end
    assert.same({ nil, LIMIT }, { p.client:datagram("x", { notify = true }) })
    assert(p.client:datagram("nobody asks"))
    p.drop = nil
    p:settle(3000 * MS)
    assert.equal(2048, #p.client:fates())
    assert(p.client:datagram("x", { notify = true }))
    p:free()
  end)
end)

describe("the queue of datagrams to be sent", function()
  it("has its bounds, in count: the oldest of the least urgent gives way", function()
    local p = new({}, { datagram_send_count = 3 })
    fill(p)
    local function queue(urgency) return p.server:datagram("x", { urgency = urgency, notify = true }) end
    local a, b, c = queue(3), queue(5), queue(5)
    local d = queue(3)
    assert.same({ [b] = "dropped" }, fates(p.server))
    local e = queue(5)
    assert.same({ [c] = "dropped" }, fates(p.server))
    local f = queue(2)
    assert.same({ [e] = "dropped" }, fates(p.server))
    assert.same({ nil, LIMIT }, { queue(4) }) -- the others are more urgent
    assert.same({}, fates(p.server))
    queue(3)
    assert.same({ [a] = "dropped" }, fates(p.server))
    assert.same({ 4, 4 }, { p.server:datagram_stats().dropped, p.server:floods().datagrams_dropped })
    assert.is_truthy(d and f)
    p:free()
  end)

  it("and in bytes, memory of its own included, which all connections count together", function()
    local p = new({}, { datagram_send_bytes = 3000 })
    fill(p)
    local _, before = p.server:budgets()
    for _ = 1, 4 do assert(p.server:datagram(("x"):rep(900))) end
    local _, held = p.server:budgets()
    assert.is_true(held - before > 2700 and held - before <= 3000, held - before)
    assert.equal(1, p.server:datagram_stats().dropped)
    p.server:close(true, 0, "")
    assert.equal(0, (select(2, p.server:budgets())))
    p:free()
    p = new({}, { datagram_send_bytes = 900 })
    fill(p)
    assert.same({ nil, LIMIT }, { p.server:datagram(("x"):rep(900)) })
    p:free()
  end)

  it("drops what the path does not take any more", function()
    local p = new({}, { max_send_udp_payload_size = 1452 })
    assert(p:transfer("server", ("x"):rep(300000)))
    p:settle(2000 * MS)
    local most = p.server:datagram_max()
    assert.is_true(most > 1300, "most is " .. most)
    p.drop = function(direction, _, bytes) return direction == "down" and #bytes > 1200 end
    for _ = 1, 4 do fill(p) end
    assert(p.server:datagram(("x"):rep(most), { notify = true, urgency = 7 }))
    assert.is_true(p:run(function() return #p.server:fates() > 0 end, 60000 * MS))
    assert.equal(1, p.server:datagram_stats().too_large)
    assert.is_true(p.server:datagram_max() < 1200)
    p:free()
  end)
end)

describe("the queue of datagrams that came", function()
  -- covers: rfc9221#5.3.1
  it("has its bounds, in count and bytes: the oldest gives way", function()
    local p = new({}, { datagram_receive_count = 3 })
    for n = 1, 5 do p.client:datagram(tostring(n)) end
    p:settle()
    assert.same({ "3", "4", "5" }, read_all(p.server))
    assert.same({ 5, 2 }, { p.server:datagram_stats().received, p.server:datagram_stats().received_dropped })
    p:free()
    p = new({}, { datagram_receive_bytes = 2000 })
    for n = 1, 5 do p.client:datagram(tostring(n):rep(900)) end
    p:settle()
    local held = p.server:budgets()
    assert.is_true(held > 1800 and held <= 2000, held)
    local got = read_all(p.server)
    assert.same({ 2, "4" }, { #got, got[1]:sub(1, 1) })
    assert.equal(0, (p.server:budgets()))
    p:free()
  end)

  it("takes none that is larger than all of it", function()
    local p = new({}, { datagram_receive_bytes = 100 })
    p.client:datagram(("x"):rep(100))
    p:settle()
    assert.same({}, read_all(p.server))
    assert.equal(1, p.server:datagram_stats().received_dropped)
    p:free()
  end)

  it("gives none that has no room, and keeps it", function()
    local p = new()
    p.client:datagram(("x"):rep(100))
    p:settle()
    assert.same({ nil, SHORT }, { p.server:read_datagram(99) })
    assert.equal(100, #p.server:read_datagram(100))
    p:free()
  end)

  it("is no work that brings nothing, for a peer that sends many", function()
    local p = new()
    for _ = 1, 3000 do
      p.client:datagram("x")
      p:flush()
      if _ % 50 == 0 then p:settle(30 * MS) end
    end
    p:settle()
    assert.equal("none", p.server:info().by)
    assert.is_true(p.server:stats().unproductive < 100)
    p:free()
  end)
end)
