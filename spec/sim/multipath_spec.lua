-- Several paths at a time (draft-ietf-quic-multipath) over links of their own, in virtual time.
local simulation = require "neap.sim"

local WIFI, MOBILE = "10.2.0.9:50000", "10.3.0.9:50001"
local RATE = 10e6 / 8

--- A server that sends `size` bytes as soon as the second path is open, and a client that reads them and has two links.
-- `act(run)` is called after each piece. run: sim, client, server_conn, wifi, mobile, got, events, began.
local function download(options)
  local run = { got = 0, events = {}, server_events = {} }
  local sim = simulation.new{ seed = options.seed or 1 }
  local wifi = sim:link(options.wifi or { delay = 0.01, rate = RATE, queue = 100 })
  local mobile = sim:link(options.mobile or { delay = 0.03, rate = RATE, queue = 100 })
  local piece, sent, id = ("0123456789abcdef"):rep(4096), 0, nil
  run.sim, run.wifi, run.mobile, run.size = sim, wifi, mobile, options.size or 4e6
  local function note(list, conn)
    local event = conn:path_event()
    while event do
      list[#list + 1] = ("%s %d"):format(event.kind, event.path_id)
      if list == run.events and event.kind == "path_opened" then run.is_open = true end
      event = conn:path_event()
    end
  end
  local scheduler = options.scheduler
  run.server = sim:server{ initial_max_path_id = 2, keep_alive = 5, path_scheduler = scheduler, on_conn = function(conn)
    run.server_conn = conn
    note(run.server_events, conn)
    if not run.is_open then return end
    id = id or conn:stream_open("uni")
    run.began = run.began or sim:time()
    while sent < run.size do
      local from = sent % 16
      local most = math.min(#piece - from, run.size - sent)
      local taken = conn:stream_send(id, piece:sub(from + 1, from + most))
      if not taken or taken == 0 then return end
      sent = sent + taken
    end
  end }
  run.client = sim:client{ server = run.server, address = WIFI, link = wifi, initial_max_path_id = 2,
    path_scheduler = scheduler, on_conn = function(conn)
      for stream in conn.readable_next, conn do
        for bytes in function() return (conn:stream_recv(stream)) end do
          if #bytes == 0 then break end
          local at = run.got % 16
          run.is_wrong = run.is_wrong or bytes:sub(1, 16) ~= (piece:sub(at + 1, at + math.min(16, #bytes)))
          run.got = run.got + #bytes
        end
      end
      note(run.events, conn)
      if not run.path_id and conn:is_confirmed() then
        run.path_id = conn:open_path{ address = MOBILE, backup = options.backup }
      end
      if options.act then options.act(run) end
    end }
  run.client:add_address(MOBILE, { link = mobile })
  sim:run(function() return run.is_open end, 10)
  run.server:touch()
  run.server.on_conn(run.server_conn or {})
  sim:run(function() return run.got == run.size end, options.most or 60)
  run.took = sim:time() - run.began
  assert.falsy(run.is_wrong)
  return run
end

local function path(conn, id)
  for _, one in ipairs(conn:paths()) do
    if one.path_id == id then return one end
  end
end

describe("two paths of 10 Mbit/s with different round-trip times", function()
  -- Payload is 1452 of 1480 bytes on the wire, less some for headers.
  it("carry 85 % of what both carry ideally", function()
    for seed = 1, 3 do
      local run = download{ seed = seed, size = 20e6 }
      local rate = run.size / run.took
      assert.is_true(rate >= 0.85 * 2 * RATE, ("%.0f of %.0f"):format(rate, 2 * RATE))
      for id = 0, 1 do
        assert.is_true(path(run.server_conn, id).bytes_acked > 0.35 * run.size, id)
        assert.is_true(path(run.server_conn, id).is_open)
      end
      run.sim:close()
    end
  end)

  it("carry an upload likewise", function()
    local sim = simulation.new{ seed = 1 }
    local wifi = sim:link{ delay = 0.01, rate = RATE, queue = 100 }
    local mobile = sim:link{ delay = 0.03, rate = RATE, queue = 100 }
    local size, sent, got, id, began, is_open = 10e6, 0, 0, nil, nil, nil
    local server = sim:server{ initial_max_path_id = 1, on_conn = function(conn)
      for stream in conn.readable_next, conn do
        for bytes in function() return (conn:stream_recv(stream)) end do got = got + #bytes end
      end
    end }
    local piece = ("u"):rep(65536)
    local client = sim:client{ server = server, address = WIFI, link = wifi, initial_max_path_id = 1,
      on_conn = function(conn)
        if not is_open and conn:is_confirmed() then is_open = conn:open_path{ address = MOBILE } end
        if not is_open or #conn:paths() < 2 or not conn:paths()[2].is_open then return end
        began = began or sim:time()
        id = id or conn:stream_open("uni")
        while sent < size do
          local taken = conn:stream_send(id, piece:sub(1, size - sent))
          if not taken or taken == 0 then return end
          sent = sent + taken
        end
      end }
    client:add_address(MOBILE, { link = mobile })
    sim:run(function() return got == size end, 60)
    assert.is_true(size / (sim:time() - began) >= 0.85 * 2 * RATE, size / (sim:time() - began))
    sim:close()
  end)
end)

describe("a download over two paths", function()
  it("goes on when one leads nowhere in the middle of it, and that one is given up", function()
    for _, victim in ipairs{ "wifi", "mobile" } do
      local run = download{ size = 10e6, act = function(run)
        if run.got > 3e6 and not run.is_cut then
          run.is_cut = true
          run[victim]:set{ cut = true }
        end
      end }
      -- 3 MB by both, 7 MB by one, and what the other had in flight is missed for a PTO.
      assert.is_true(run.took < 3e6 / (2 * RATE) + 7e6 / RATE + 2, run.took)
      run.sim:run(60)
      assert.equal(1, #run.client.conn:paths(), victim)
      assert.equal(victim == "wifi" and 1 or 0, run.client.conn:paths()[1].path_id)
      run.sim:close()
    end
  end)

  it("uses a path again that answers again", function()
    local run = download{ size = 16e6, act = function(run)
      if run.got > 3e6 and not run.is_cut then
        run.is_cut = true
        run.mobile:set{ cut = true }
        run.sim:at(run.sim:time() + 1, function() run.mobile:set{ cut = false } end)
      end
    end }
    assert.is_true(path(run.server_conn, 1).is_open)
    assert.is_true(path(run.server_conn, 1).bytes_acked > 4e6, path(run.server_conn, 1).bytes_acked)
    run.sim:close()
  end)

  it("leaves a backup alone while the other answers, and uses it alone when that does not", function()
    local run = download{ size = 6e6, backup = true, act = function(run)
      if run.got > 3e6 and not run.is_cut then
        run.is_cut = true
        run.before = run.mobile.down.delivered_bytes
        run.wifi:set{ cut = true }
      end
    end }
    assert.is_true(run.before < 20000, run.before)
    assert.is_true(run.mobile.down.delivered_bytes > 2.9e6)
    run.sim:close()
  end)

  it("goes by a path that is a backup no more", function()
    local run = download{ size = 8e6, backup = true, act = function(run)
      if run.got > 2e6 and not run.is_changed then
        run.is_changed = assert(run.client.conn:set_path_status(run.path_id, "available"))
      end
    end }
    assert.is_true(run.mobile.down.delivered_bytes > 2e6, run.mobile.down.delivered_bytes)
    assert.same({ "path_opened 1", "path_status 1" },
      { run.server_events[1], run.server_events[#run.server_events] })
    run.sim:close()
  end)

  it("loses nothing when either side abandons a path in the middle", function()
    for _, by in ipairs{ "client", "server" } do
      for id = 0, 1 do
        local run = download{ size = 6e6, act = function(run)
          if run.got > 2e6 and not run.is_closed then
            local conn = by == "client" and run.client.conn or run.server_conn
            run.is_closed = assert(conn:close_path(id))
            run.server:touch()
          end
        end }
        run.sim:run(5)
        assert.equal(1, #run.client.conn:paths())
        assert.equal(1 - id, run.client.conn:paths()[1].path_id)
        assert.equal(("path_closed %d"):format(id), run.events[#run.events])
        assert.equal(("path_closed %d"):format(id), run.server_events[#run.server_events])
        run.sim:close()
      end
    end
  end)

  it("goes on through key updates, with packets of both phases on both paths", function()
    local run
    run = download{ size = 8e6, act = function(now)
      if now.got > (now.updates or 0) * 2e6 + 1e6 and now.server_conn:update_keys() then
        now.updates = (now.updates or 0) + 1
        now.server:touch()
      end
    end }
    assert.is_true((run.updates or 0) >= 3, run.updates)
    assert.equal(run.updates, run.client.conn:stats().key_updates)
    assert.equal(0, run.client.conn:stats().packets_forged)
    run.sim:close()
  end)

  it("has no packets taken for lost that only went by the slower path", function()
    local run = download{ wifi = { delay = 0.005, rate = RATE, queue = 1000 },
      mobile = { delay = 0.15, rate = RATE, queue = 1000 }, size = 6e6 }
    local stats = run.server_conn:stats()
    assert.equal(0, stats.spurious_losses)
    assert.is_true(run.mobile.down.delivered_bytes > 1e6)
    run.sim:close()
  end)

  it("comes through whatever is lost, doubled, late and reordered, with 100 seeds", function()
    for seed = 1, 100 do
      local function weather(salt)
        local n = (seed * 7 + salt * 13) % 10
        return { delay = 0.005 + 0.01 * n, rate = (2 + n) * 1e6 / 8, queue = 20 + 10 * n, loss = (seed % 5) * 0.01,
          duplicate = (seed % 3) * 0.01, reorder = (seed % 4) * 0.01, jitter = 0.002 * (seed % 3) }
      end
      local run = download{ seed = seed, wifi = weather(1), mobile = weather(2), size = 3e5, most = 120 }
      assert.equal(run.size, run.got, seed)
      run.sim:close()
    end
  end)
end)

describe("the scheduler redundant", function()
  -- Requests of one packet's answer: what is lost on one path came by the other.
  local function slowest(scheduler)
    local sim = simulation.new{ seed = 1 }
    local wifi = sim:link{ delay = 0.02, loss = 0.08 }
    local mobile = sim:link{ delay = 0.025, loss = 0.08 }
    local times, asked_at, is_open = {}, nil, false
    local server = sim:server{ initial_max_path_id = 1, path_scheduler = scheduler, on_conn = function(conn)
      for stream in conn.readable_next, conn do
        local bytes, fin = conn:stream_recv(stream)
        if bytes and (fin or #bytes > 0) then conn:stream_send(stream, ("a"):rep(800), true) end
      end
    end }
    local client
    client = sim:client{ server = server, address = WIFI, link = wifi, initial_max_path_id = 1,
      path_scheduler = scheduler, on_conn = function(conn)
        if not is_open and conn:is_confirmed() then is_open = conn:open_path{ address = MOBILE } end
        for stream in conn.readable_next, conn do
          local bytes, fin = conn:stream_recv(stream)
          if bytes and fin and asked_at then
            times[#times + 1] = sim:time() - asked_at
            asked_at = nil
          end
        end
      end }
    client:add_address(MOBILE, { link = mobile })
    sim:run(function() return is_open and #client.conn:paths() == 2 and client.conn:paths()[2].is_open end, 20)
    for _ = 1, 300 do
      local id = client.conn:stream_open("bidi")
      asked_at = sim:time()
      client.conn:stream_send(id, "q", true)
      client:touch()
      sim:run(function() return not asked_at end, 30)
      sim:run(0.2)
    end
    table.sort(times)
    local copied = client.conn:stats().stream_frames_copied
    sim:close()
    return times[#times - 10], copied
  end

  it("halves what the slowest of a hundred requests take under loss", function()
    local before, none = slowest("min_rtt")
    local after, some = slowest("redundant")
    assert.equal(0, none)
    assert.is_true(some > 200, some)
    assert.is_true(after <= before / 2, ("%.0f ms, and %.0f ms without"):format(after * 1000, before * 1000))
  end)

  it("carries as much as the better path does, twice", function()
    local run = download{ scheduler = "redundant", size = 4e6 }
    local rate = run.size / run.took
    assert.is_true(rate > 0.8 * RATE and rate < 1.2 * RATE, rate)
    assert.is_true(run.server_conn:stats().stream_frames_copied > 1000)
    run.sim:close()
  end)

  it("repeats what is on a path ID that took the place of another", function()
    local sim = simulation.new{ seed = 1 }
    local wifi, mobile = sim:link{ delay = 0.05 }, sim:link{ delay = 0.01 }
    local options = { initial_max_path_id = 1, path_scheduler = "redundant" }
    local server = sim:server{ initial_max_path_id = 1, on_conn = function(conn)
      for stream in conn.readable_next, conn do
        for bytes in function() return (conn:stream_recv(stream)) end do
          if #bytes == 0 then break end
        end
      end
    end }
    options.server, options.address, options.link = server, WIFI, wifi
    local client = sim:client(options)
    client:add_address(MOBILE, { link = mobile })
    sim:run(2)
    for round = 1, 2 do
      local id = assert(client.conn:open_path{ address = MOBILE })
      assert.equal(round, id)
      sim:run(1)
      local before = client.conn:stats().stream_frames_copied
      for _ = 1, 50 do
        client.conn:stream_send(assert(client.conn:stream_open("uni")), ("q"):rep(3000), true)
        client:touch()
        sim:run(0.2)
      end
      assert.is_true(client.conn:stats().stream_frames_copied - before > 100, round)
      client.conn:close_path(id)
      sim:run(3)
    end
    sim:close()
  end)
end)

describe("two paths that share a bottleneck", function()
  --- The share of a link of 10 Mbit/s that a connection with two paths over it has beside a connection with one.
  local function share(controller, couple_paths, seed)
    local sim = simulation.new{ seed = seed }
    local link = sim:link{ delay = 0.015, rate = RATE, queue = 50 }
    local piece, got = ("x"):rep(65536), {}
    local function flow(which, options)
      got[which] = 0
      options.server = sim:server{ initial_max_path_id = 1, max_idle_timeout = 600, on_conn = function(conn)
        for stream in conn.readable_next, conn do
          for bytes in function() return (conn:stream_recv(stream)) end do
            if #bytes == 0 then break end
            got[which] = got[which] + #bytes
          end
        end
      end }
      options.link, options.initial_max_path_id, options.max_idle_timeout = link, 1, 600
      options.congestion_control, options.couple_paths = controller, couple_paths
      local id
      options.on_conn = function(conn)
        if which == "both" and conn:is_confirmed() then conn:open_path{ address = MOBILE } end
        if conn:is_established() then id = id or conn:stream_open("uni") end
        local taken = id and conn:stream_send(id, piece, false)
        while taken == #piece do taken = conn:stream_send(id, piece, false) end
        for _ in conn.writable_next, conn do end
      end
      return sim:client(options)
    end
    local both = flow("both", { address = WIFI })
    both:add_address(MOBILE, { link = link })
    flow("one", {})
    sim:run(10)
    local before = { both = got.both, one = got.one }
    sim:run(60)
    sim:close()
    local of_both, of_one = got.both - before.both, got.one - before.one
    assert.is_true(of_both + of_one > 0.9 * RATE * 60, (of_both + of_one) / RATE / 60)
    return of_both / (of_both + of_one)
  end

  for _, controller in ipairs{ "newreno", "cubic" } do
    it("take together what one connection takes, with " .. controller, function()
      for seed = 1, 2 do
        local of_all = share(controller, true, seed)
        assert.is_true(of_all >= 0.35 and of_all <= 0.6, of_all)
      end
      local uncoupled = share(controller, false, 1)
      assert.is_true(uncoupled > 0.63, uncoupled)
    end)
  end
end)
