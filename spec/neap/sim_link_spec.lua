-- What links do besides delay and chance: queues, marks, outages, traffic of others, and ways over several of them.
local neap = require "neap"
local probe = require "support.link_probe"
local sim = require "neap.sim"

local ECT1, ECT0, CE = 1, 2, 3 -- RFC 3168 §5
local full = ("x"):rep(1000)

describe("the queue of a link", function()
  it("marks what comes above a threshold, where its sender understands that", function()
    local lab, send, arrived, link = probe{ rate = 1000, mark_above = 2 }
    for i = 1, 5 do send(full, nil, i == 5 and 0 or ECT0) end
    lab:run(10)
    local marks = {}
    for i, one in ipairs(arrived) do marks[i] = one.ecn end
    assert.same({ ECT0, ECT0, ECT0, CE, 0 }, marks)
    assert.equal(1, link.up.marked)
  end)

  -- A load of 1.5 times the rate for 20 s; returns what arrived late, and the link.
  local function overload(options, ecn)
    options.rate, options.queue = 100000, 10000
    local lab, send, arrived, link = probe(options)
    lab:go(function()
      for _ = 1, 3000 do
        send(full, nil, ecn)
        lab:sleep(1 / 150)
      end
    end)
    lab:run(20)
    return arrived, link
  end

  it("is kept short by CoDel, which drops ever more often, and grows without it", function()
    local _, tail = overload{}
    local _, codel = overload{ discipline = "codel", target = 0.005, interval = 0.1 }
    assert.equal(0, tail.up.dropped_early)
    assert.is_true(tail.up.longest > 900, tail.up.longest)
    assert.is_true(codel.up.dropped_early > 200, codel.up.dropped_early)
    assert.is_true(codel.up.longest < tail.up.longest * 0.9, codel.up.longest)
  end)

  it("drops by CoDel at the times of RFC 8289: after an interval above the target, then by its control law", function()
    local lab, send, arrived = probe{ rate = 100000, queue = 10000, discipline = "codel" }
    for i = 1, 300 do send(("%04d"):format(i) .. full:sub(5)) end
    lab:run(10)
    local came, missing = {}, {}
    for _, one in ipairs(arrived) do came[tonumber(one.bytes:sub(1, 4))] = true end
    for i = 1, 300 do
      if not came[i] then missing[#missing + 1] = i end
    end
    -- One leaves each 10 ms. The second has waited 10 ms: the interval begins, and is over with the twelfth, after
    -- 0.11 s; the next 0.1 s later, then 0.1 / sqrt(2), 0.1 / sqrt(3) …
    assert.equal(12, missing[1])
    local due, count = 0.11, 1
    for i = 2, 6 do
      due = due + 0.1 / math.sqrt(count)
      count = count + 1
      local at = (missing[i] - i) * 0.01 -- so many left before it
      assert.is_true(at >= due - 1e-9 and at < due + 0.01, ("%d: %g, %g"):format(i, at, due))
    end
  end)

  it("marks by CoDel instead of dropping, what understands it", function()
    local arrived, link = overload({ discipline = "codel", mark = true }, ECT1)
    assert.equal(0, link.up.dropped_early)
    assert.is_true(link.up.marked > 200, link.up.marked)
    local marks = 0
    for _, one in ipairs(arrived) do marks = marks + (one.ecn == CE and 1 or 0) end
    assert.is_true(marks > 100)
    local _, dropping = overload({ discipline = "codel", mark = true }, 0)
    assert.is_true(dropping.up.dropped_early > 200)
  end)

  it("is filled by traffic of others, which is counted apart", function()
    local lab, send, arrived, link = probe{ rate = 100000, queue = 10,
      up = { cross = { rate = 200000, size = 1000, on = 1, off = 1, from = 1, to = 4 } } }
    local lost_at = {}
    lab:go(function()
      for i = 1, 600 do
        local before = link.up.overflowed - link.up.crossed_lost
        send(("%04d"):format(i))
        if link.up.overflowed - link.up.crossed_lost > before then
          lost_at[math.floor(lab:time())] = true
        end
        lab:sleep(0.01)
      end
    end)
    lab:run(10)
    assert.is_true(lost_at[1] and lost_at[3])
    assert.same({ nil, nil, nil, nil }, { lost_at[0], lost_at[2], lost_at[4], lost_at[5] })
    assert.is_true(link.up.crossed >= 399 and link.up.crossed <= 402, link.up.crossed)
    assert.is_true(#arrived < 600 and link.up.sent == 600)
  end)

  it("is one for all who are behind the link", function()
    local lab = sim.new{ seed = 3 }
    local link = lab:link{ delay = 0.01, rate = 1e6, queue = 20 }
    local server = lab:server{ on_conn = function(conn)
      for id in conn.readable_next, conn do
        while conn:stream_recv(id) do end -- luacheck: ignore
      end
    end }
    local clients, first = {}, {}
    for i = 1, 2 do
      clients[i] = lab:client{ server = server, on_conn = function(conn)
        if not conn:is_established() then return end
        first[i] = first[i] or conn:stream_open()
        while conn:stream_send(first[i], full, false) do end -- luacheck: ignore
      end }
    end
    lab:run(5)
    local total = 0
    for i = 1, 2 do total = total + clients[i].conn:stats().bytes_sent end
    assert.is_true(link.up.bytes == total)
    assert.is_true(link.up.overflowed > 0 and link.up.longest == 20)
    assert.is_true(link.up.delivered_bytes <= 5e6 and link.up.delivered_bytes > 4e6, link.up.delivered_bytes)
    lab:close()
  end)
end)

describe("a link", function()
  it("bleaches, changes or drops what ECN has set", function()
    for verdict, expected in pairs{ pass = { 0, ECT1, ECT0, CE }, bleach = { 0, 0, 0, 0 }, ect1 = { 0, ECT1, ECT1, CE },
      drop = { 0 } } do
      local lab, send, arrived = probe{ ecn = verdict }
      for ecn = 0, 3 do send("x", nil, ({ [0] = 0, ECT1, ECT0, CE })[ecn]) end
      lab:run(1)
      local got = {}
      for i, one in ipairs(arrived) do got[i] = one.ecn end
      assert.same(expected, got)
    end
  end)

  it("takes no more in a row than its loss_burst", function()
    local lab, send, arrived = probe{ loss = 0.9, loss_burst = 2 }
    for i = 1, 3000 do send(tostring(i)) end
    lab:run(1)
    local last, longest = 0, 0
    for _, one in ipairs(arrived) do
      longest = math.max(longest, tonumber(one.bytes) - last - 1)
      last = tonumber(one.bytes)
    end
    assert.equal(2, longest)
    assert.is_true(#arrived < 1200)
  end)

  it("is out by schedule and by word, and changes while it runs", function()
    local lab, send, arrived, link = probe{ outages = { { 1, 2 }, { 3, 4 } } }
    lab:at(5, function() link:set{ cut = true } end)
    lab:at(6, function() link:set{ cut = false, delay = 0.5, down = { loss = 1 } } end)
    lab:go(function()
      for i = 0, 79 do
        send(tostring(i))
        lab:sleep(0.1)
      end
    end)
    lab:run(10)
    local seconds = {}
    for _, one in ipairs(arrived) do
      local second = math.floor(tonumber(one.bytes) / 10 + 0.01)
      seconds[second] = (seconds[second] or 0) + 1
    end
    assert.is_true(seconds[0] >= 9 and seconds[2] >= 9 and seconds[4] >= 9 and seconds[7] >= 9)
    assert.is_true((seconds[1] or 0) <= 1 and (seconds[3] or 0) <= 1 and (seconds[5] or 0) <= 1)
    assert.is_true(math.abs(arrived[#arrived].at - 7.9 - 0.5) < 0.01)
    assert.same({ 1, 0 }, { link.down.loss, link.up.loss })
    assert.error_matches(function() link:set{ delay = -1 } end, "option 'delay' must be")
    assert.error_matches(function() link:set{ up = { rate = 0 } } end, "option 'rate' must be")
    assert.error_matches(function() link:set{ cross = { size = 1 } } end, "option 'cross' must be")
    assert.error_matches(function() link:set{ outages = { { 2, 1 } } } end, "option 'outages' must be")
  end)

  it("has a new rate from the next datagram on", function()
    local lab, send, arrived, link = probe{ rate = 1000 }
    for _ = 1, 4 do send(full) end
    lab:at(1.5, function() link:set{ rate = 10000 } end)
    lab:run(10)
    local at = {}
    for i, one in ipairs(arrived) do at[i] = math.floor(one.at * 1000 + 0.5) / 1000 end
    assert.same({ 1, 2, 2.1, 2.2 }, at)
  end)

  it("counts", function()
    local lab, send, _, link = probe{ duplicate = 1, corrupt = 1, reorder = 1, mtu = 500 }
    send("small")
    send(full)
    lab:run(1)
    local stats = link:stats("up")
    assert.same({ 2, 1, 1, 1, 1, 2, 2 }, { stats.sent, stats.lost, stats.too_big, stats.duplicated, stats.corrupted,
      stats.delivered, stats.reordered })
    assert.error_matches(function() link:stats("sideways") end, 'a direction is "up" or "down"')
  end)
end)

describe("a network of several links", function()
  it("takes what is between two hosts up to where their ways meet, and down", function()
    local lab = sim.new()
    local trunk = lab:link{ delay = 0.1 }
    local left = lab:link{ delay = 0.01, behind = trunk }
    local right = lab:link{ delay = 0.02, behind = trunk }
    local far = lab:link{ delay = 0.4 }
    local a, b = lab:host("a.example", { link = left }), lab:host("b.example", { link = right })
    local c, d = lab:host("c.example", { link = far }), lab:host("d.example", { link = left })
    for _, host in ipairs{ a, b, c, d } do
      host:go(function() assert(neap.quic.listen{ alpn = "x", port = 1000 }) end)
    end
    lab:run(0)
    local function round_trip(from, to)
      return from:run(function()
        local begun = neap.now()
        assert(neap.quic.connect(to .. ":1000", { alpn = "x" })):close()
        return math.floor((neap.now() - begun) * 1000 + 0.5)
      end)
    end
    assert.equal(60, round_trip(a, "b.example"))
    assert.equal(1020, round_trip(c, "a.example"))
    assert.equal(1020, round_trip(a, "c.example"))
    assert.equal(0, round_trip(a, "d.example")) -- as on one switch
    assert.equal(0, round_trip(a, "a.example"))
    assert.is_true(trunk.up.sent > 0 and right.up.sent > 0 and far.down.sent > 0)
    assert.error_matches(function() lab:link{ behind = sim.new():link() } end, "option 'behind' must be a link of this")
    lab:close()
  end)

  it("carries what is sent by an address of the client's own behind another link", function()
    local lab = sim.new()
    local wire, radio = lab:link{ delay = 0.01 }, lab:link{ delay = 0.05 }
    local server = lab:server()
    local client = lab:client{ server = server, link = wire }
    client:add_address("10.9.0.1:50000", { link = radio })
    lab:run(function() return client.conn:is_confirmed() end)
    local sent = radio.up.sent
    local conn = assert(client.endpoint:connect("localhost", server.address, { from = "10.9.0.1:50000", at = lab.now }))
    client:touch()
    lab:run(function() return conn:is_established() end)
    assert.is_true(radio.up.sent > sent and radio.down.sent > 0)
    client:remove_address("10.9.0.1:50000")
    assert.error_matches(function() client:remove_address("10.9.0.1:50000") end, "the node has no address")
    lab:close()
  end)

  it("rebinds a client by schedule", function()
    local lab = sim.new()
    lab:link{ delay = 0.01 }
    local server = lab:server()
    local client = lab:client{ server = server, keep_alive = 0.5, rebind = { { at = 2, address = "10.2.9.9:1234" } } }
    lab:run(1)
    local conn
    server.on_conn = function(one) conn = one end
    lab:run(5)
    assert.equal("10.2.9.9:1234", conn:peer())
    assert.equal("10.2.9.9:1234", client.address)
    lab:close()
  end)
end)

describe("what a server sends to an address that proved nothing", function()
  it("is counted by the simulation", function()
    local lab = sim.new()
    lab:link{ delay = 0.01 }
    local server = lab:server()
    local first
    lab.default_link.up.filter = function(bytes)
      if first then return false end -- nothing of the client's but its first datagram comes
      first = bytes
    end
    lab:client{ server = server }
    lab:run(5)
    local ratio, address = lab:amplification()
    assert.is_true(ratio > 0.5 and ratio <= 3, ratio)
    assert.equal("10.2.0.2:50000", address)
    -- One that answers more is seen.
    require("neap.sim.amplification").on_sent(lab.amplified,
      { sender = server, to = "10.2.0.2:50000", size = 10000, bytes = "" })
    assert.is_true(lab:amplification() > 3)
    lab:close()
  end)
end)
