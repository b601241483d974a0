--- Attacks that live on numbers: what a million of them cost, or a thousand runs.
local crypto = require("neap.units").crypto
local net = require("support.quic_net")
local paths_tokens = require("neap.units").paths_tokens

local quic, MS, bytes = net.quic, net.MS, net.bytes
local APPLICATION = net.APPLICATION

describe("a million tokens that nobody gave", function()
  it("prove nothing, whatever their length and content", function()
    local tokens = paths_tokens.tokens(("%032d"):format(1))
    local good = tokens:seal("\192\0\2\1", 443, "original", "retryscid", 1, 1800000000)
    local random, noise = net.random(1), {}
    for i = 1, 65536 do noise[i] = string.char(math.floor(random() * 256)) end
    noise = table.concat(noise)
    local taken = 0
    for i = 0, 999999 do
      -- Some begin as a good one does, or end so.
      local from, size = 1 + i * 31 % 64000, i % 601
      local token = noise:sub(from, from + size - 1)
      if i % 4 == 1 then token = good:sub(1, i % #good) .. token end
      if i % 4 == 2 then token = token .. good:sub(1 + i % #good) end
      local opened = tokens:open(token, "\192\0\2\1", 443, 1800000000)
      if type(opened) == "string" and token ~= good then taken = taken + 1 end
    end
    assert.equal(0, taken)
  end)
end)

describe("a hundred thousand first packets that fail", function()
  it("leave no memory behind", function()
    local config, now = net.config({ handshake_rate = 0 }, 61, true), 1000 * MS
    local endpoint = assert(quic.endpoint(config, true))
    local sealer = crypto.new(("h"):rep(32))
    local frames = {
      bytes(0x06, 0, 4, "\99\0\0\0"), bytes(0x06, 0, 8, "\1\0\0\4\3\3\0\0"), bytes(0x10, 5), bytes(0x1c, 0, 0, 0),
      bytes(0x02, 9, 0, 0, 9), "\6\64", bytes(0x06, 2 ^ 40, 1, "x"),
    }
    local before
    for i = 1, 100000 do
      local dcid = ("%08d"):format(i)
      local head = "\195\0\0\0\1\8" .. dcid .. "\8clientid\0\68\150\0\0\0\1"
      local payload = frames[1 + i % #frames]
      payload = payload .. ("\0"):rep(1154 - #payload)
      local packet = crypto.seal(sealer, crypto.key_initial(1, dcid), head, 4, 1, payload)
      endpoint:recv(packet, "198.51.100.7:" .. i % 60000 + 1, net.SERVER, now)
      while endpoint:send(now) do end
      for conn in function() return endpoint:next() end do
        if conn:info().by ~= "none" then endpoint:release(conn) end
      end
      if i % 1000 == 0 then
        now = now + 12000 * MS
        while endpoint:send(now) do end
        for conn in function() return endpoint:next() end do endpoint:release(conn) end
        now = now + 12000 * MS
        while endpoint:send(now) do end
      end
      if i == 10000 then before = config:memory().used end
    end
    local stats = endpoint:stats()
    assert.same({ 0, 0, 0 }, { stats.connections, stats.routes, stats.half_open })
    assert.equal(100000, stats.accepted + stats.accept_failures + stats.udp_datagrams_dropped)
    assert.is_true(stats.accepted > 90000, stats.accepted)
    assert.is_true(config:memory().used <= before, config:memory().used - before)
    endpoint:free()
    config:free()
  end)
end)

describe("a peer that acknowledges ahead of what came", function()
  -- covers: rfc9000#21.4.1
  it("is found out within two windows, in 990 of 1,000 runs and more", function()
    local found, most = 0, 0
    local server_config, client_config = net.config({}, 71, true), net.config({}, 72)
    for seed = 1, 1000 do
      local p = net.pair({ seed = seed, server_config = server_config, client_config = client_config }):handshake()
      local id, sent = p.server:open(false), 0
      local window = p.server:stats().window
      p.drop = function(direction) return direction == "down" end
      while p.server:info().by == "none" and sent < 2 * window do
        local before = p.server:stats().bytes_sent
        p.server:stream_send(id, ("x"):rep(20000), false)
        while p.server:send(p.now) do end
        sent = sent + p.server:stats().bytes_sent - before
        window = math.max(window, p.server:stats().window)
        p.now = p.now + 30 * MS
        local last = p.server:stats().next_number - 1
        p:inject("client", APPLICATION, bytes(0x02, last, 0, 0, last))
      end
      local info = p.server:info()
      if info.by == "local" and info.code == 0x0a then found = found + 1 end
      most = math.max(most, sent / window)
      p:free()
    end
    server_config:free()
    client_config:free()
    assert.is_true(found >= 990, found)
  end)
end)

describe("a million PATH_CHALLENGE frames", function()
  it("have their last few answered, and cost no memory, while nothing is acknowledged", function()
    local p = net.pair():handshake()
    p.drop = function(direction) return direction == "down" end
    local frame, sent, count, most = {}, 0, 0, 0
    for i = 1, 120 do frame[i] = bytes(0x1a, ("%08d"):format(i)) end
    frame = table.concat(frame)
    local before = p.server_config:memory().used
    while count < 1000000 do
      p:inject("client", APPLICATION, frame)
      count = count + 120
      p.now = p.now + 120 * MS -- as often as it is forgiven
      local had = sent
      while p.server:send(p.now) do sent = sent + 1 end
      most = math.max(most, sent - had)
      if count % 12000 == 0 then
        assert.is_true(p.server_config:memory().used <= before + 65536, p.server_config:memory().used - before)
      end
    end
    assert.equal("none", p.server:info().by)
    local floods = p.server:floods()
    assert.equal(count, floods.path_challenges_received)
    assert.is_true(floods.path_responses_dropped >= count - 4 * count / 120)
    assert.is_true(most <= 4, most)
    p:free()
  end)
end)

describe("a million DATAGRAM frames", function()
  it("leave as many as the queue takes, the newest, and the others are counted", function()
    local p = net.pair({ server = { max_datagram_frame_size = 65535, datagram_receive_count = 100 } }):handshake()
    local frame = bytes(0x31, 1, "x"):rep(400) -- empty ones bring nothing, and are the end before that
    local before = p.server_config:memory().used
    for _ = 1, 2500 do p:inject("client", APPLICATION, frame) end
    assert.equal("none", p.server:info().by)
    assert.equal(1000000 - 100, p.server:floods().datagrams_dropped)
    assert.is_true(p.server_config:memory().used <= before + 65536)
    local read = 0
    while p.server:read_datagram() do read = read + 1 end
    assert.equal(100, read)
    p:free()
  end)

  it("that are given wait in a queue of bounded size, likewise", function()
    local p = net.pair({ server = { max_datagram_frame_size = 65535 },
      client = { max_datagram_frame_size = 65535, datagram_send_count = 100 } }):handshake()
    local before = p.client_config:memory().used
    for _ = 1, 1000000 do p.client:datagram("") end
    assert.equal(1000000 - 100, p.client:floods().datagrams_dropped)
    assert.is_true(p.client_config:memory().used <= before + 65536)
    p:free()
  end)
end)
