--- Attacks on a server endpoint by those who begin connections: what they leave behind, and for how long.
local crypto = require("neap.units").crypto
local net = require("support.quic_net")

local quic, MS, bytes = net.quic, net.MS, net.bytes
local INITIAL, HANDSHAKE = net.INITIAL, net.HANDSHAKE

--- A server endpoint on its own, and the configs of both sides.
local function world(options)
  local self = { now = 1000 * MS, config = net.config(options, 61, true), clients = net.config({}, 62) }
  self.endpoint = assert(quic.endpoint(self.config, true))

  function self.client(port)
    local address = "198.51.100.9:" .. port
    return assert(quic.client(self.clients, "localhost", address, net.SERVER, self.now)), address
  end

  function self.give(datagram, address)
    assert.equal(0, self.endpoint:recv(datagram, address or "203.0.113.5:5", net.SERVER, self.now))
  end

  --- All that waits to be sent, as datagrams; who has ended is let go of.
  function self.flush()
    local out = {}
    while true do
      local train, segment, to = self.endpoint:send(self.now)
      if not train then break end
      for at = 1, #train, segment or 1 do
        table.insert(out, { to = to, bytes = train:sub(at, math.min(at + segment - 1, #train)) })
      end
    end
    for conn in function() return self.endpoint:next() end do
      if conn:info().by ~= "none" then self.endpoint:release(conn) end
    end
    return out
  end

  function self.free()
    self.endpoint:free()
    self.config:free()
    self.clients:free()
    assert.equal(0, self.config:memory().live)
  end
  return self
end

local function grown(w, before) return w.config:memory().used - before end

describe("a destination of a first packet", function()
  it("of any length is answered or dropped, and nothing of it is kept, with Retry and without", function()
    for retry = 0, 1 do
      local w = world({ retry = retry, handshake_rate = 0 })
      local before = w.config:memory().used
      for size = 0, 255 do
        w.give("\192\0\0\0\1" .. string.char(size) .. ("d"):rep(size) .. "\8clientid\0\68\208" .. ("x"):rep(1232))
        local answers = w.flush()
        local is_valid = size >= 8 and size <= 20
        assert.equal(retry == 1 and is_valid and 1 or 0, #answers, size)
        for _, answer in ipairs(answers) do assert.is_true(#answer.bytes <= 3 * 1200) end
      end
      local stats = w.endpoint:stats()
      assert.same({ 0, 0, retry * 13 }, { stats.connections, stats.routes, stats.retries_sent })
      assert.equal(256 - retry * 13, stats.udp_datagrams_dropped)
      assert.is_true(grown(w, before) < 65536, grown(w, before))
      w.free()
    end
  end)

  it("with a token of any length is answered or dropped, and nothing of it is kept", function()
    local w = world({ handshake_rate = 0 })
    for size = 0, 1150 do
      local token = ("t"):rep(size)
      w.give(("\192\0\0\0\1\8destinat\8clientid" .. net.varint(size) .. token .. "\64\30" .. ("x"):rep(1300)))
      w.give("\192\0\0\0\1\8destinat\8clientid" .. net.varint(65535) .. token .. ("x"):rep(1200))
      w.flush()
    end
    local stats = w.endpoint:stats()
    assert.same({ 0, 0, 2 * 1151 }, { stats.connections, stats.accepted, stats.udp_datagrams_dropped })
    w.free()
  end)
end)

describe("a first flight that fails", function()
  --- Each as the frames of an Initial, or the client's options.
  local FAILS = {
    ["no frames"] = "", ["an unknown frame"] = bytes(31 * 1000 + 27), ["a frame of 1-RTT"] = bytes(0x10, 5),
    ["a frame that is cut"] = "\6\64", ["no ClientHello"] = bytes(0x06, 0, 4, "\99\0\0\0"),
    ["a ClientHello of 16 MiB"] = bytes(0x06, 0, 4, "\1\255\255\255"),
    ["a ClientHello that ends early"] = bytes(0x06, 0, 8, "\1\0\0\4\3\3\0\0"),
    ["CRYPTO far ahead"] = bytes(0x06, 2 ^ 40, 1, "x"), ["CONNECTION_CLOSE"] = bytes(0x1c, 0, 0, 0),
    ["an acknowledgement of what was not sent"] = bytes(0x02, 9, 0, 0, 9),
  }

  it("leaves nothing when its connection is over, however it fails and however often", function()
    local w = world({ handshake_rate = 0 })
    local before, port = nil, 1000
    for round = 1, 12 do
      for _, frames in pairs(FAILS) do
        port = port + 1
        local conn, address = w.client(port)
        w.give(conn:inject(INITIAL, frames, { pad = 1200 }), address)
        conn:free()
      end
      w.flush()
      w.now = w.now + 12000 * MS
      w.flush()
      w.flush()
      assert.same({ 0, 0, 0 },
        { w.endpoint:stats().connections, w.endpoint:stats().routes, w.endpoint:stats().half_open })
      if round == 2 then before = w.config:memory().used end
    end
    assert.equal(0, grown(w, before))
    assert.equal(port - 1000, w.endpoint:stats().accepted + w.endpoint:stats().accept_failures)
    w.free()
  end)

  it("takes no memory for the length that it declares", function()
    local w = world({ handshake_rate = 0 })
    local bare, address = w.client(1)
    w.give(bare:inject(INITIAL, bytes(1), { pad = 1200 }), address)
    w.flush()
    local one = w.config:memory().used
    for _, length in ipairs({ "\0\255\255", "\1\0\0", "\255\255\255" }) do
      local conn, at = w.client(2)
      local before = w.config:memory().used
      w.give(conn:inject(INITIAL, bytes(0x06, 0, 4, "\1" .. length), { pad = 1200 }), at)
      assert.is_true(grown(w, before) < 32768, grown(w, before))
      conn:free()
    end
    assert.is_true(one > 0)
    bare:free()
    w.free()
  end)

  it("ends with CRYPTO_BUFFER_EXCEEDED where it is more ahead than is kept, at each level", function()
    for _, space in ipairs({ INITIAL, HANDSHAKE }) do
      for offset, code in pairs({ [65535] = 0, [65536 + 1300] = 0x0d, [2 ^ 61] = 0x0d }) do
        local p = net.pair()
        p:run(function(x)
          return space == INITIAL and x.server ~= nil or x.client:info().established
        end)
        p:inject("client", space, bytes(0x06, offset, 1, "x"), { pad = 1200 })
        assert.equal(code, p.server:info().by == "local" and p.server:info().code or 0, offset)
        p:free()
      end
    end
  end)
end)

describe("packets behind a good one in a datagram", function()
  it("leave nothing, whoever they are for and whatever they are", function()
    local w = world({ handshake_rate = 0 })
    local conn, address = w.client(1)
    local first = conn:send(w.now)
    w.give(first, address)
    local server = w.endpoint:next()
    w.flush()
    local before, dropped = w.config:memory().used, w.endpoint:stats().udp_datagrams_dropped
    local packets_dropped = server:stats().packets_dropped
    local junk = ("\224\0\0\0\1\8aaaaaaaa\8bbbbbbbb\64\30" .. ("x"):rep(30)):rep(9)
    for i = 1, 2000 do w.give(first .. junk:sub(1, 100 + i % #junk), address) end
    assert.equal(before, w.config:memory().used)
    assert.equal(1, w.endpoint:stats().connections)
    assert.equal(dropped, w.endpoint:stats().udp_datagrams_dropped) -- the connection counts its packets
    assert.is_true(server:stats().packets_dropped >= packets_dropped + 2000)
    conn:free()
    w.free()
  end)
end)

describe("a client that stalls", function()
  -- How many of its datagrams arrive, and how many it hears; `first`: what is in its first one.
  local STAGES = {
    { 1, 0, first = bytes(1) }, { 1, 0, first = bytes(0x06, 0, 9, "\1\0\1\0\3\3abc") }, { 1, 0 }, { 5, 0 }, { 99, 0 },
    { 1, 1 }, { 1, 99 },
  }

  it("at any stage of its handshake is forgotten when its time is over", function()
    for stage, case in ipairs(STAGES) do
      local w = world({ handshake_timeout = 5000 })
      local conn, address = w.client(1)
      local begun, given, heard = w.now, 0, 0
      local function offer(datagram)
        given = given + 1
        if given <= case[1] then w.give(datagram, address) end
      end
      if case.first then offer(conn:inject(INITIAL, case.first, { pad = 1200 })) end
      for _ = 1, 60 do
        for datagram in function() return conn:send(w.now) end do offer(datagram) end
        for _, answer in ipairs(w.flush()) do
          heard = heard + 1
          if heard <= case[2] then conn:recv(answer.bytes, w.now) end
        end
        if w.endpoint:stats().connections == 0 then break end
        w.now = w.now + 100 * MS
        if (conn:timeout() or math.huge) <= w.now then conn:on_timeout(w.now) end
      end
      local stats = w.endpoint:stats()
      assert.same({ 1, 0, 0, 0 }, { stats.accepted, stats.connections, stats.half_open, stats.early_bytes }, stage)
      assert.is_true(w.now - begun <= 5500 * MS, (w.now - begun) / MS)
      conn:free()
      w.free()
    end
  end)
end)

describe("datagrams of no bytes", function()
  it("are dropped and counted, each, whoever they come from", function()
    local w = world()
    local conn, address = w.client(1)
    w.give(conn:send(w.now), address)
    w.flush()
    local before = w.endpoint:stats()
    local count = 100000
    for i = 1, count do w.give("", i % 2 == 0 and address or nil) end
    local after = w.endpoint:stats()
    assert.same({ count, count, 1 }, { after.udp_datagrams_received - before.udp_datagrams_received,
      after.udp_datagrams_dropped - before.udp_datagrams_dropped, after.connections })
    assert.same({}, w.flush())
    conn:free()
    w.free()
  end)
end)

describe("many connection IDs that a weak hash would put together", function()
  it("are found as fast as others: the chains of an endpoint follow a key of its own", function()
    -- Equal sums and equal last bytes, as hashes without a key have them.
    local w, sealer = world({ handshake_rate = 0 }), crypto.new(("h"):rep(32))
    for i = 1, 3000 do
      local a, b = i % 251, math.floor(i / 251)
      local dcid = string.char(a, 250 - a, b, 250 - b) .. "same"
      local client = crypto.key_initial(1, dcid)
      local head = "\195\0\0\0\1\8" .. dcid .. "\8clientid\0\68\150\0\0\0\1"
      local payload = bytes(0x06, 5, 1, "x") .. ("\0"):rep(1150)
      w.give(crypto.seal(sealer, client, head, 4, 1, payload), "198.51.100.7:" .. i)
    end
    local stats = w.endpoint:stats()
    assert.equal(3000, stats.accepted)
    assert.is_true(stats.routes >= 3000 and stats.longest_chain <= 12, stats.longest_chain)
    w.free()
  end)
end)
