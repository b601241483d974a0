--- What a connection and its paths have counted, in virtual time: of each side, beside what the link says.
local simulation = require "neap.sim"
local transfer = require "sim.transfer"

local SIZE = 1000000

local function sum(list, name)
  local total = 0
  for _, path in ipairs(list) do total = total + path[name] end
  return total
end

describe("the figures of a connection", function()
  for what, config in pairs{ [""] = {}, [", also where path IDs were agreed on"] = { initial_max_path_id = 2 } } do
    it("are those of its one path, and agree with the link's" .. what, function()
      local run = transfer.new(3, { delay = 0.02, rate = 2e6, queue = 60, loss = 0.02 }, SIZE, config)
      run.finish(120)
      local link = run.sim.default_link
      for name, conn in pairs{ up = run.client.conn, down = run.server_conn } do
        local stats, paths = conn:stats(), conn:paths()
        assert.equal(1, stats.paths)
        assert.equal(1, #paths)
        for _, field in ipairs{ "packets_sent", "packets_received", "packets_lost", "packets_retransmitted",
          "pto_count", "spurious_losses", "bytes_sent", "bytes_received", "bytes_lost", "bytes_acked",
          "stream_bytes_resent", "rtt_min", "rtt_max", "rtt_var", "rtt_latest", "in_flight_time", "congestion_window",
          "congestion_control" } do
          assert.equal(stats[field], paths[1][field], name .. " " .. field)
        end
        assert.is_true(stats.packets_lost > 5)
        assert.is_true(stats.stream_bytes_resent > 1000 and stats.stream_bytes_resent < SIZE / 4)
        assert.is_true(stats.bytes_acked > SIZE and stats.bytes_acked < stats.bytes_sent)
        assert.is_true(stats.rtt_min >= 0.04 and stats.rtt_min <= stats.rtt_smoothed)
        assert.is_true(stats.rtt_smoothed < stats.rtt_max and stats.rtt_latest <= stats.rtt_max)
        assert.is_true(stats.in_flight_time > 0.3 and stats.in_flight_time < run.sim.now)
        assert.equal(link:stats(name).bytes, stats.bytes_sent)
        assert.equal("loss", paths[1].startup_exit)
        assert.is_true(paths[1].startup_exit_window >= 2400)
        assert.is_true(paths[1].startup_exit_bandwidth > 0)
      end
      run.sim:close()
    end)
  end

  it("tell of bandwidth where it is measured", function()
    local run = transfer.new(1, { delay = 0.02, rate = 2e6, queue = 200 }, SIZE, { congestion_control = "bbr" })
    run.finish(60)
    local path = run.client.conn:paths()[1]
    assert.is_true(path.delivery_rate > 0 and path.max_bandwidth > 1e6 and path.max_bandwidth < 3e6)
    assert.equal("bandwidth", path.startup_exit)
    assert.is_string(path.congestion_state)
    assert.equal("bbr", path.congestion_control)
    run.sim:close()
  end)

  it("of two paths are apart, and what left on the old one stays there", function()
    local sim = simulation.new{ seed = 1 }
    sim:link{ delay = 0.01, rate = 4e6, queue = 50 }
    local wifi = sim.default_link
    local piece, sent, id, got = ("x"):rep(65536), 0, nil, 0
    local serving
    local looked = 0
    local function add_up(conn)
      local stats, paths = conn:stats(), conn:paths()
      if #paths ~= 2 then return end
      looked = looked + 1
      for _, field in ipairs{ "packets_sent", "packets_received", "bytes_sent", "bytes_received" } do
        assert.equal(stats[field], sum(paths, field), field)
      end
    end
    local server = sim:server{ on_conn = function(conn)
      serving = conn
      add_up(conn)
      if not id and conn:is_established() then id = conn:stream_open("uni") end
      while id and sent < 3e6 do
        local taken = conn:stream_send(id, piece)
        if not taken or taken == 0 then return end
        sent = sent + taken
      end
    end }
    local mobile = sim:link{ delay = 0.05, rate = 2e6, queue = 50 }
    local client, moved
    client = sim:client{ server = server, address = "10.2.0.9:50000", link = wifi, on_conn = function(conn)
      for stream in conn.readable_next, conn do
        for bytes in function() return (conn:stream_recv(stream)) end do got = got + #bytes end
      end
      if got > 1e6 and not moved then moved = assert(conn:migrate{ address = "10.3.0.9:50001" }) end
    end }
    client:add_address("10.3.0.9:50001", { link = mobile })
    sim:run(function() return got == sent and got >= 3e6 end)
    local stats, paths = client.conn:stats(), client.conn:paths()
    assert.equal(2, stats.paths)
    for _, field in ipairs{ "packets_sent", "packets_received", "bytes_sent", "bytes_received" } do
      assert.equal(stats[field], sum(paths, field), field)
    end
    for _, path in ipairs(paths) do assert.is_true(path.bytes_received > 3e5, path.bytes_received) end
    assert.is_true(looked > 0)
    stats, paths = serving:stats(), serving:paths()
    assert.is_true(stats.path_challenges_received >= 1)
    assert.is_true(paths[1].stream_bytes_resent > 0)
    assert.is_true(stats.stream_bytes_resent > paths[1].stream_bytes_resent)
    assert.is_true(stats.bytes_sent > paths[1].bytes_sent + 3e5)
    sim:close()
  end)
end)

describe("what streams and datagrams did", function()
  it("is counted on both sides, by the same sums", function()
    local lab = simulation.new{ seed = 1 }
    local neap = require "neap"
    lab:link{ delay = 0.02, rate = 2e6 }
    local server, client = lab:host("server.example"), lab:host("client.example")
    local options = { port = 4433, alpn = "x", max_datagram_frame_size = 65535, datagram_receive_count = 4,
      initial_max_data = 20000, max_connection_window = 20000, initial_max_stream_data_bidi_remote = 6000,
      max_stream_window = 6000, initial_max_streams_bidi = 4 }
    local there
    server:go(function()
      neap.quic.listen(options):on_connection(function(connection)
        there = connection
        neap.sleep(1) -- datagrams wait meanwhile, and streams
        connection:on_stream(function(stream)
          local word = stream:read(1)
          if word == "s" then stream:stop(7) return end
          if word == "r" then stream:reset(8) stream:stop(8) return end
          stream:write(stream:read_all())
        end)
      end)
    end)
    client:run(function()
      local conn = assert(neap.quic.connect("server.example:4433", { alpn = "x", max_datagram_frame_size = 65535 }))
      for i = 1, 6 do assert(conn:send_datagram(("d"):rep(100 * i))) end
      local jobs = {}
      for i, word in ipairs{ "s", "r", "e", "e", "e", "e" } do
        jobs[i] = function()
          local stream = assert(conn:open_stream())
          if word ~= "e" then
            stream:write(word .. ("x"):rep(7000))
            return stream:read_all() or true
          end
          assert(stream:write("e" .. ("x"):rep(8000), { fin = true }))
          return #assert(stream:read_all())
        end
      end
      local results = neap.all(jobs)
      for i = 3, 6 do assert.equal(8000, results[i]) end
      neap.sleep(0.5)
      local ours, theirs = conn:stats(), there:stats()
      assert.same({ 6, 0, 6, 2 }, { ours.datagrams_sent, ours.datagrams_dropped, theirs.datagrams_received,
        theirs.datagrams_dropped })
      assert.same({ 6, 0, 0, 6 }, { ours.streams_opened, ours.streams_accepted, theirs.streams_opened,
        theirs.streams_accepted })
      assert.equal(ours.stream_bytes_sent, theirs.stream_bytes_received)
      assert.equal(theirs.stream_bytes_sent, ours.stream_bytes_received)
      assert.equal(4 * 8000, ours.stream_bytes_received)
      assert.is_true(ours.stream_bytes_sent > 4 * 8001)
      assert.is_true(theirs.stops_sent >= 2 and theirs.resets_sent >= 1)
      for _, name in ipairs{ "stops", "resets", "data_blocked", "stream_data_blocked", "streams_blocked" } do
        assert.equal(ours[name .. "_sent"], theirs[name .. "_received"], name)
        assert.equal(theirs[name .. "_sent"], ours[name .. "_received"], name)
        assert.is_true(ours[name .. "_sent"] + theirs[name .. "_sent"] > 0, name)
      end
    end)
    lab:close()
  end)
end)

describe("what a handshake that loses its packets did", function()
  it("is counted: a server at the amplification limit", function()
    local run = transfer.new(1, { delay = 0.02, up = { outages = { { 0.01, 6 } } } }, 1000)
    run.finish(30)
    assert.is_true(run.server_conn:stats().amplification_limited > 0)
    assert.equal(0, run.client.conn:stats().amplification_limited)
    run.sim:close()
  end)

  it("is counted: packets that waited for their keys", function()
    local run = transfer.new(1, { delay = 0.02, up = { drop = { 2 } } }, 100000)
    run.finish(30)
    assert.is_true(run.server_conn:stats().undecryptable_kept > 0)
    assert.equal(0, run.client.conn:stats().undecryptable_kept)
    run.sim:close()
  end)
end)

describe("what was refused", function()
  it("is counted for all of a server: datagram sizes of more connections than ICMP is heard about", function()
    local neap = require "neap"
    local lab = simulation.new{ seed = 1 }
    local link = lab:link{ delay = 0.01, rate = 1e7 }
    local host, client = lab:host("server.example"), lab:host("client.example", { link = link })
    local server
    host:go(function()
      local app = neap.app()
      app:get("/", { body = ("x"):rep(100000) })
      server = assert(app:listen{ port = 443 })
    end)
    client:run(function()
      for i = 1, 35 do
        local own = neap.client{}
        assert.equal(100000, #assert(own:get("https://server.example/")):body())
        own:close()
        assert.equal(math.max(0, i - 32), server:bounds().size_probes_forgotten)
      end
    end)
    lab:close()
  end)

  it("is counted: packets that bring nothing, and those that do not open", function()
    local run = transfer.new(1, { delay = 0.01 }, 1000, {})
    run.finish(10)
    local stats = run.server_conn:stats()
    for _, field in ipairs{ "packets_refused", "undecryptable_refused", "packets_forged", "paths_refused",
      "path_responses_dropped", "memory_stalls", "datagrams_dropped" } do
      assert.equal(0, stats[field], field)
    end
    run.sim:close()
  end)
end)
