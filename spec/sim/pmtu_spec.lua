-- The datagram size of a path (DPLPMTUD) in virtual time: found, lost, and found again.
local sim = require "neap.sim"
local transfer = require "sim.transfer"

local MEGABYTE = 1000000
local EXACT = 8 -- bytes: the search ends there

local function start(link, most, options)
  options = options or {}
  local path = { delay = 0.005, queue = 1000 }
  for name, value in pairs(link) do path[name] = value end
  return transfer.new(options.seed or 1, path, options.size or MEGABYTE, {
    max_send_udp_payload_size = most, max_udp_payload_size = options.takes, keep_alive = options.keep_alive,
    send_buffer = options.send_buffer or 20000,
  }, options.id_size)
end

-- Figures of both sides.
local function sides(run)
  return { client = run.client.conn:stats(), server = run.server_conn:stats() }
end

describe("a transfer", function()
  -- covers: rfc9000#14.2.1 rfc9000#14.2.3 rfc9000#14.3.1
  it("goes on in the largest datagrams that the path carries, on both sides", function()
    for mtu = 1200, 1500, 13 do
      local run = start({ mtu = mtu })
      run.finish(60)
      for name, stats in pairs(sides(run)) do
        local size, most = stats.max_udp_payload_size, math.min(mtu, 1452)
        assert.is_true(size <= most and size >= most - EXACT, ("%s, mtu %d: %d"):format(name, mtu, size))
        assert.equal(0, stats.packets_lost, "a probe is no loss among others")
        assert.equal(0, stats.pto_count)
        assert.equal(0, stats.black_holes)
      end
      run.sim:close()
    end
  end)

  it("needs one probe where the path carries the most", function()
    local run = start({ mtu = 1452 })
    run.finish(60)
    for _, stats in pairs(sides(run)) do
      assert.same({ 1452, 1, 0 }, { stats.max_udp_payload_size, stats.size_probes_sent, stats.size_probes_lost })
    end
    run.sim:close()
  end)

  it("goes on in jumbo frames, where the option says so", function()
    for _, case in ipairs{ { 8972, 8972 }, { 65507, 65527 }, { 8000, 8972 }, { 1472, 65527 }, { 4000, 4000 } } do
      local mtu, most = case[1], case[2]
      local run = start({ mtu = mtu }, most, { send_buffer = 262144 })
      run.finish(60)
      for name, stats in pairs(sides(run)) do
        local size = stats.max_udp_payload_size
        assert.is_true(size <= mtu and size >= mtu - 1000, ("%s, mtu %d: %d"):format(name, mtu, size))
        assert.equal(0, stats.black_holes)
      end
      run.sim:close()
    end
  end)

  it("sends no larger ones than the peer takes, and none but of 1200 bytes when told so", function()
    for _, case in ipairs{ { nil, 1300, 1300 }, { 9000, 2000, 2000 }, { 1200, nil, 1200 } } do
      local largest = 0
      local run = start({ filter = function(bytes) largest = math.max(largest, #bytes) end }, case[1],
        { takes = case[2] })
      run.finish(60)
      for _, stats in pairs(sides(run)) do assert.equal(case[3], stats.max_udp_payload_size) end
      assert.equal(case[3], largest)
      run.sim:close()
    end
  end)

  it("finds the size also where probes are lost by chance", function()
    for seed = 1, 12 do
      local mtu = 1240 + seed * 20
      local run = start({ mtu = mtu, loss = 0.05 }, nil, { seed = seed })
      run.finish(600)
      for name, stats in pairs(sides(run)) do
        local size = stats.max_udp_payload_size
        assert.is_true(size <= mtu and size >= math.min(mtu, 1452) - 60, ("%s, seed %d: %d"):format(name, seed, size))
        assert.equal(0, stats.black_holes, "seed " .. seed)
      end
      run.sim:close()
    end
  end)

  it("begins no search on a connection that carries next to nothing", function()
    local run = start({}, nil, { size = 2000 })
    run.finish(60)
    for _, stats in pairs(sides(run)) do assert.equal(0, stats.size_probes_sent) end
    run.sim:close()
  end)
end)

describe("a black hole in the middle of a transfer", function()
  -- covers: rfc8899#4.3.1
  it("is left for 1200 bytes within a second or two, and the transfer ends", function()
    for _, mtu in ipairs{ 1200, 1210, 1300, 1400, 1440 } do
      local run = start({ rate = 1e6 })
      run.sim:run(function()
        return run.server_conn and run.server_conn:stats().max_udp_payload_size == 1452
          and run.client.conn:stats().max_udp_payload_size == 1452
      end, 60)
      local from = run.sim:time()
      run.link.up.mtu, run.link.down.mtu = mtu, mtu
      run.sim:run(function()
        local found = sides(run)
        return found.client.black_holes == 1 and found.server.black_holes == 1
      end, 3)
      run.finish(30)
      assert.is_true(run.sim:time() - from < 12, ("mtu %d: %.3f s"):format(mtu, run.sim:time() - from))
      for _, stats in pairs(sides(run)) do assert.equal(1, stats.black_holes) end
      run.sim:close()
    end
  end)

  it("is left upwards later, and to the most when the path carries it again", function()
    local run = start({ rate = 2e5 }, nil, { keep_alive = 1 })
    local conn = run.client.conn
    run.sim:run(function() return conn:stats().max_udp_payload_size == 1452 end, 60)
    run.link.up.mtu = 1300
    run.sim:run(function() return conn:stats().black_holes == 1 end, 10)
    local hole = run.sim:time()
    assert.equal(1200, conn:stats().max_udp_payload_size)
    run.sim:run(function() return conn:stats().max_udp_payload_size > 1200 end, 30)
    assert.is_true(run.sim:time() - hole >= 10)
    run.sim:run(60)
    local size = conn:stats().max_udp_payload_size
    assert.is_true(size <= 1300 and size >= 1300 - EXACT, size)
    run.link.up.mtu = 1500
    run.sim:run(660)
    assert.same({ 1452, 1 }, { conn:stats().max_udp_payload_size, conn:stats().black_holes })
    run.sim:close()
  end)
end)

describe("a router's PTB messages", function()
  it("make the search exact and short", function()
    for _, mtu in ipairs{ 1280, 1372, 1420, 1444 } do
      local run = start({ mtu = mtu, ptb = true })
      run.finish(60)
      for name, stats in pairs(sides(run)) do
        assert.equal(mtu, stats.max_udp_payload_size, name)
        assert.is_true(stats.size_probes_sent <= 5, stats.size_probes_sent)
      end
      run.sim:close()
    end
  end)

  it("find the connections that searched last, however many search", function()
    local lab, done = sim.new(), 0
    local data = transfer.pattern(60000)
    local server = lab:server{ on_conn = function(conn)
      for id in conn.readable_next, conn do
        if conn:stream_recv(id) then conn:stream_send(id, data, true) end
      end
    end }
    local clients = {}
    for i = 1, 40 do
      local link = lab:link{ delay = 0.005, down = { mtu = 1300, ptb = true } }
      local asked = false
      clients[i] = lab:client{ link = link, server = server, on_conn = function(conn)
        if conn:is_established() and not asked then
          asked = true
          conn:stream_send(assert(conn:stream_open()), "go", true)
        end
        for id in conn.readable_next, conn do
          for _, fin in function() return conn:stream_recv(id) end do
            if fin then done = done + 1 end
          end
        end
      end }
    end
    lab:run(function() return done == #clients end, 60)
    local tried = 0
    for _, client in ipairs(clients) do
      tried = tried + client.link.down.lost
      assert.equal(0, client.conn:stats().black_holes)
    end
    assert.is_true(tried >= #clients)
    lab:close()
  end)

  it("end a black hole sooner", function()
    local function time(seed, ptb)
      local run = start({ rate = 1e6, ptb = ptb }, nil, { seed = seed })
      run.sim:run(function() return run.client.conn:stats().max_udp_payload_size == 1452 end, 60)
      local from = run.sim:time()
      run.link.up.mtu = 1300
      run.sim:run(function() return run.client.conn:stats().black_holes == 1 end, 10)
      local took = run.sim:time() - from
      run.sim:close()
      return took
    end
    -- Now and then it is found as soon without.
    local with, without = 0, 0
    for seed = 1, 8 do
      with, without = with + time(seed, true), without + time(seed, false)
    end
    assert.is_true(with < without / 2, ("%g s, %g s without"):format(with, without))
  end)

  -- covers: rfc9000#14.2.1.3 rfc9000#14.2.1.4 rfc9000#14.2.1.5 rfc8899#4.6.1.2 rfc8899#4.6.1.3 rfc8899#4.6.1.5
  -- covers: rfc9000#14.2.1.2
  it("are those that name the address and quote the connection ID", function()
    local function probes(change, id_size)
      local seen
      local run = start({ down = { mtu = 1300, filter = function(bytes)
        if #bytes == 1452 then seen = bytes:sub(1, 528) end
      end } }, nil, { id_size = id_size })
      run.sim:go(function(lab)
        while true do
          lab:sleep(0.001)
          if seen then run.server.endpoint:too_big(change(run.client.address, seen)) end
        end
      end)
      run.finish(60)
      local stats = run.server_conn:stats()
      run.sim:close()
      return stats.size_probes_sent
    end
    local alone = probes(function(to) return to, 1300, "" end)
    assert.is_true(alone > 8, alone)
    assert.is_true(probes(function(to, quoted) return to, 1300, quoted end) <= 5)
    for name, change in pairs{
      ["another address"] = function(_, quoted) return "10.2.0.3:50000", 1300, quoted end,
      ["another port"] = function(_, quoted) return "10.2.0.2:50001", 1300, quoted end,
      ["another connection ID"] = function(to, quoted)
        return to, 1300, quoted:sub(1, 4) .. string.char((quoted:byte(5) + 1) % 256) .. quoted:sub(6)
      end,
      ["a long header"] = function(to, quoted) return to, 1300, "\200" .. quoted:sub(2) end,
      ["too little"] = function(to, quoted) return to, 1300, quoted:sub(1, 8) end,
    } do
      assert.equal(alone, probes(change), name)
    end
    -- A client without IDs: there is nothing that one off the path could not know.
    local unnamed = probes(function(to) return to, 1300, "" end, 0)
    assert.is_true(unnamed > 8, unnamed)
    assert.equal(unnamed, probes(function(to, quoted) return to, 1300, quoted end, 0))
  end)

  -- covers: rfc9000#14.2.1.6
  it("from an attacker change nothing, whatever they quote", function()
    local seen -- how the last datagram of the server began: one on the path may quote it
    local run = start({ rate = 1e6, down = { filter = function(bytes)
      if #bytes > 1000 then seen = bytes:sub(1, 528) end
    end } })
    run.sim:run(function() return run.server_conn and run.server_conn:stats().max_udp_payload_size == 1452 end, 60)
    local client, count = run.client.address, 0
    run.sim:go(function(lab)
      while true do
        lab:sleep(0.005)
        for _, passes in ipairs{ 0, 68, 1199, 1200, 1300, 1451, 1452, 9000, 65535 } do
          for _, quoted in ipairs{ "", seen, ("\64"):rep(100), ("\255"):rep(528) } do
            run.server.endpoint:too_big(client, passes, quoted)
            run.server.endpoint:too_big("203.0.113.1:1", passes, quoted)
            count = count + 1
          end
        end
      end
    end)
    run.finish(60)
    local stats = run.server_conn:stats()
    assert.is_true(count > 1000)
    assert.same({ 1452, 0 }, { stats.max_udp_payload_size, stats.black_holes })
    run.sim:close()
  end)
end)

describe("a client whose address changes", function()
  local function rebound(address)
    local run = start({ rate = 1e5, queue = 20, mtu = 1400, ptb = true })
    run.sim:run(function() return run.server_conn and run.server_conn:stats().max_udp_payload_size == 1400 end, 60)
    run.sim:run(1)
    local before = run.server_conn:stats()
    run.client:rebind(address)
    run.sim:run(function() return run.server_conn:stats().path_changes == 1 end, 10)
    local at_once = run.server_conn:stats().max_udp_payload_size
    run.finish(120)
    local after = run.server_conn:stats()
    run.sim:close()
    assert.equal(0, after.black_holes)
    return before, at_once, after
  end

  -- covers: rfc9000#14.2.6
  it("to another host has another path, which begins anew", function()
    local before, at_once, after = rebound("10.9.0.2:50000")
    assert.equal(1200, at_once)
    assert.equal(1400, after.max_udp_payload_size)
    assert.is_true(after.size_probes_sent > before.size_probes_sent)
  end)

  it("in its port alone is behind a NAT, and goes on", function()
    local before, at_once, after = rebound("10.2.0.2:50001")
    assert.equal(before.max_udp_payload_size, at_once)
    assert.equal(before.max_udp_payload_size, after.max_udp_payload_size)
  end)
end)

describe("a lost probe on a connection that falls silent", function()
  it("is forgotten with the rest", function()
    local run = start({ mtu = 1400 }, nil, { size = 40000 })
    run.finish(60)
    run.sim:run(5)
    for name, stats in pairs(sides(run)) do
      assert.equal(0, stats.bytes_in_flight, name)
      assert.equal(0, stats.pto_count, name)
    end
    run.sim:close()
  end)
end)
