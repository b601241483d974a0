-- Congestion control in Lua: neap.cc.
local helper = require "helper"
local neap = require "neap"
local sim = require "neap.sim"
local web = require "support.web"

local count = 0
-- A name that no other spec has.
local function register(policy)
  count = count + 1
  local name = "spec-" .. count
  neap.cc.register(name, policy)
  return name
end

-- An upload in simulation for so many seconds: the client's stats, the bytes that came.
local function upload(name, seconds, link)
  local lab = sim.new{ seed = 5 }
  local got, id = 0, nil
  lab:link(link or { delay = 0.02, rate = 1e6, queue = 100 })
  local server = lab:server{ on_conn = function(conn)
    for stream in conn.readable_next, conn do
      local bytes = conn:stream_recv(stream)
      while bytes and #bytes > 0 do
        got = got + #bytes
        bytes = conn:stream_recv(stream)
      end
    end
  end }
  local client = lab:client{ server = server, congestion_control = name, on_conn = function(conn)
    if conn:is_established() and not id then id = conn:stream_open("uni") end
    while id and conn:stream_send(id, ("x"):rep(16384), false) == 16384 do end
    repeat until not conn:writable_next()
  end }
  lab:run(seconds)
  local stats = client.conn:stats()
  lab:close()
  return stats, got
end

describe("a policy", function()
  it("says how large the window is", function()
    local turns = 0
    local name = register{ on_turn = function(_, turn)
      turns = turns + 1
      assert(turn.rtt >= 0.04 and turn.rtt_min >= 0.04 and turn.rtt_smoothed > 0)
      return 20000
    end }
    local stats, got = upload(name, 5)
    assert.same({ "steered", 20000, 0 },
      { stats.congestion_control, stats.congestion_window, stats.congestion_undone })
    assert.is_true(turns > 50)
    -- A window each round trip of a little more than 40 ms.
    assert.is_true(got > 5 * 20000 / 0.05 * 0.8 and got < 5 * 20000 / 0.04, ("%d bytes"):format(got))
  end)

  it("says how fast packets leave", function()
    local name = register{ on_turn = function() return 1e6, 250000 end }
    local stats, got = upload(name, 4)
    assert.equal(250000, stats.pacing_rate)
    assert.near(4 * 250000, got, 150000)
    assert.is_true(stats.rtt_smoothed < 0.06)
  end)

  it("has a state for each connection, and sums of what happened", function()
    local seen = {}
    local name = register{
      begin = function(turn) return { acked = 0, lost = 0, first = turn.congestion_window } end,
      on_turn = function(state, turn)
        seen[state] = true
        state.acked, state.lost = state.acked + turn.acked_bytes, state.lost + turn.lost_packets
        return 300000
      end,
    }
    for _ = 1, 2 do upload(name, 3) end
    local states = 0
    for state in pairs(seen) do
      states = states + 1
      assert.is_true(state.first >= 12000)
      assert.is_true(state.acked > 1e6 and state.acked <= 3e6)
      assert.is_true(state.lost > 0)
    end
    assert.equal(2, states)
  end)

  it("gives windows of two datagrams to 2^40 bytes, whatever it says", function()
    for said, is in pairs{ [0] = 2, [1e300] = 2 ^ 40, [math.huge] = 2 ^ 40 } do
      local stats = upload(register{ on_turn = function() return said, 1e5 end }, 1)
      assert.equal(is > 2 and is or 2 * stats.max_udp_payload_size, stats.congestion_window)
    end
  end)

  it("is left for CUBIC, for good and with one line in the log, where it fails", function()
    local bad = {
      ["what it says is no number"] = function() return "large" end,
      ["it says nothing"] = function() end,
      ["it says NaN"] = function() return 0 / 0 end,
      ["it says less than nothing"] = function() return -1 end,
      ["its rate is NaN"] = function() return 20000, 0 / 0 end,
      ["it has an error"] = function() error("out of ideas\nand lines") end,
      ["it waits"] = function() coroutine.yield() end,
    }
    for what, on_turn in pairs(bad) do
      local calls = 0
      local name = register{ on_turn = function(...)
        calls = calls + 1
        if calls < 3 then return 15000 end
        return on_turn(...)
      end }
      local stats, got
      local lines = web.logged(function() stats, got = upload(name, 5) end)
      assert.equal(3, calls, what)
      assert.is_true(got > 3e6, what)
      assert.is_true(stats.congestion_window ~= 15000, what)
      local _, found = lines:gsub("congestion control '" .. name:gsub("%-", "%%-") .. "' failed", "")
      assert.equal(1, found, what)
      assert.equal("steered", stats.congestion_control)
    end
  end)

  -- covers: rfc9000#9.4.2 rfc9000#9.4.3
  it("begins anew on a new path, which starts with an initial window, and again where that is left", function()
    local begun, firsts = {}, 0
    local name = register{
      begin = function(turn)
        table.insert(begun, turn.congestion_window)
        return { first = true }
      end,
      on_turn = function(state, turn)
        assert(state.first == turn.is_new_path)
        firsts = firsts + (state.first and 1 or 0)
        state.first = false
        return 1000000
      end,
    }
    local lab = sim.new{ seed = 1 }
    lab:link{ delay = 0.02, rate = 10e6, queue = 2000 }
    local server, client = lab:host("server.example"), lab:host("client.example")
    local conn
    server:go(function()
      assert(neap.quic.listen{ port = 4433, alpn = "x", congestion_control = name }):on_connection(function(c)
        conn = c
        local stream = c:open_uni_stream()
        while stream:write(("x"):rep(50000)) do end
      end)
    end)
    client:run(function()
      local c = assert(neap.quic.connect("server.example:4433", { alpn = "x", keep_alive = 0.1 }))
      c:on_stream(function(stream) for _ in stream:chunks() do end end)
      neap.sleep(1)
      assert.same({ 1, 1, 1000000 }, { #begun, firsts, conn:stats().congestion_window })
      client:rebind() -- another port: the same way
      neap.sleep(1)
      assert.same({ 1, 1, 1000000 }, { #begun, firsts, conn:stats().congestion_window })
      client:rebind("198.51.100.7")
      neap.sleep(1)
      assert.same({ 2, 2, 1000000 }, { #begun, firsts, conn:stats().congestion_window })
      c:close()
    end)
    lab:close()
    for _, window in ipairs(begun) do assert.is_true(window < 100000, "a window of " .. window) end
  end)

  it("does not undo persistent congestion in its turn", function()
    local after
    local name = register{ on_turn = function(_, turn)
      if turn.is_persistent then
        after = false
      elseif after == false then
        after = turn.congestion_window / turn.max_udp_payload_size
      end
      return 200000
    end }
    upload(name, 8, { delay = 0.02, rate = 1e6, queue = 100, up = { outages = { { 2, 5 } } } })
    assert.equal(2, after)
  end)

  it("that fails in its begin is left as well", function()
    local stats
    local lines = web.logged(function()
      stats = upload(register{ begin = function() error("no state") end, on_turn = function() return 3000 end }, 2)
    end)
    assert.matches("no state", lines)
    assert.is_true(stats.congestion_window > 12000)
  end)

  it("leaves connections to CUBIC for which its begin returns false", function()
    local calls = 0
    local name = register{ begin = function() return false end, on_turn = function()
      calls = calls + 1
      return 3000
    end }
    local stats, got
    local lines = web.logged(function() stats, got = upload(name, 5) end)
    assert.same({ 0, "" }, { calls, lines })
    assert.is_true(got > 3e6 and stats.congestion_window > 12000)
  end)

  it("that fails after a window without bounds leaves one that was in use", function()
    local calls = 0
    local name = register{ on_turn = function()
      calls = calls + 1
      if calls < 3 then return math.huge end
      error "out of ideas"
    end }
    local stats
    web.logged(function() stats = upload(name, 0.5) end)
    assert.equal(3, calls)
    assert.is_true(stats.congestion_window < 1e6)
  end)

  it("may say less than a byte a second, which is one", function()
    assert.equal(1, upload(register{ on_turn = function() return 1e6, 0.5 end }, 1).pacing_rate)
  end)

  it("gives equal runs in simulation", function()
    local name = register{ on_turn = function(state, turn)
      state.n = (state.n or 0) + 1
      return 20000 + state.n % 7 * 3000 + turn.acked_bytes
    end }
    local one, two = upload(name, 3), upload(name, 3)
    assert.same(one, two)
  end)

  it("serves over sockets, beside clients that have another", function()
    local turns = 0
    local name = register{ on_turn = function()
      turns = turns + 1
      return 100000
    end }
    local body = ("x"):rep(1000000)
    web.with_app(function(app)
      app:get("/", function(req)
        local stats = req._session.conn:stats()
        assert(stats.congestion_control == "steered")
        return body
      end)
    end, function(client, url)
      local r = assert(client:get(url))
      assert.is_true(r:body() == body)
      assert.is_true(turns > 0)
    end, { congestion_control = name })
  end)

  it("needs a name that is free, and a function", function()
    local function fails(message, ...)
      local ok, err = pcall(neap.cc.register, ...)
      assert.is_false(ok)
      assert.matches(message, err)
    end
    local policy = { on_turn = function() return 1 end }
    for _, name in ipairs{ "cubic", "newreno", "bbr", "steered", register(policy) } do
      fails("is there already", name, policy)
    end
    for _, name in ipairs{ "", "a b", 7, false } do fails("letters, digits", name, policy) end
    fails("function on_turn", "new", {})
    fails("function on_turn", "new", "text")
    fails("begin must be", "new", { on_turn = policy.on_turn, begin = 7 })
    fails("no 'on_turns'", "new", { on_turn = policy.on_turn, on_turns = policy.on_turn })
    local ok, message = pcall(neap.lowlevel.config, { congestion_control = "unheard-of" })
    assert.is_false(ok)
    assert.matches("must be newreno, cubic, bbr or steered, or of neap.cc.register: spec%-1, ", message)
    local name = "steered"
    for _, fn in ipairs{
      function() neap.client{ congestion_control = name }:get("https://127.0.0.1:9/") end,
      function() neap.app():listen{ port = 0, congestion_control = name } end,
      function() neap.quic.listen{ port = 0, alpn = "x", congestion_control = name } end,
    } do
      assert.error_matches(function() web.run(fn) end, "by the name that neap.cc.register gave it")
    end
  end)
end)

describe("a connection that the script steers", function()
  local pair = require "binding.pair"

  it("has turns, windows and rates", function()
    local both = pair.new{ congestion_control = "steered" }
    local id = assert(both.client:stream_open("uni"))
    both.client:stream_send(id, ("x"):rep(5000), true)
    both:pump()
    local turn = assert(both.client:take_turn())
    assert.is_true(turn.acked_bytes >= 5000)
    assert.equal(0, turn.lost_packets)
    assert.is_false(turn.is_persistent)
    assert.is_true(turn.is_new_path)
    assert.is_nil(both.client:policy())
    local into = {}
    assert.same({ nil, "done", "again" }, { both.client:take_turn(into) })
    assert.is_true(both.client:steer(50000, 1e6))
    assert.same({ 50000, 1e6 }, { both.client:stats().congestion_window, both.client:stats().pacing_rate })
    id = assert(both.client:stream_open("uni"))
    both.client:stream_send(id, ("x"):rep(5000), true)
    both:pump()
    assert.is_false(assert(both.client:take_turn(into)).is_new_path)
    assert.is_true(both.client:steer_no_more())
    assert.equal(12000, both.client:stats().congestion_window) -- little of it was in use
    assert.is_true(both.client:stats().pacing_rate ~= 1e6)
    for _, wrong in ipairs{ -1, 0 / 0, "x", false } do
      assert.is_false((pcall(both.client.steer, both.client, wrong)))
    end
  end)

  it("is one whose option says so", function()
    local both = pair.new()
    for _, call in ipairs{ "take_turn", "steer_no_more" } do
      local _, _, code = both.client[call](both.client)
      assert.equal("in use", code)
    end
    local _, _, code = both.client:steer(50000)
    assert.equal("in use", code)
    both.client:close(0, "", true)
    _, _, code = both.client:steer(50000)
    assert.equal("closed", code)
  end)
end)

describe("examples/cc.lua", function()
  it("has a shorter queue than CUBIC on the same link", function()
    local output, status = helper.run("timeout 100 env " .. require("support.program").neap .. " run "
      .. helper.source_dir .. "/examples/cc.lua")
    assert.equal(0, status, output)
    local cubic, ours = output:match("cubic +%S+ Mbit/s, +(%d+) ms.*short%-queue +%S+ Mbit/s, +(%d+) ms")
    assert.is_true(tonumber(ours) * 2 < tonumber(cubic), output)
  end)
end)
