local core = require "neap.core"
local pair = require "binding.pair"

describe("a connection", function()
  it("says what it is", function()
    local both = pair.new{ alpn = { "one", "two" } }
    assert.is_false(both.client:is_server())
    assert.is_true(both.server:is_server())
    assert.is_true(both.client:is_established())
    assert.is_false(both.client:is_draining())
    assert.is_false(both.client:is_closed())
    assert.is_nil(both.client:error())
    assert.equal("one", both.client:alpn())
    assert.equal("localhost", both.server:server_name())
    assert.equal(1, both.client:version())
    assert.equal("192.0.2.2:443", both.client:peer())
    assert.equal("192.0.2.1:1000", both.client:local_address())
    assert.matches("^neap.conn: .* client 192.0.2.2:443 established$", tostring(both.client))
    local source, destination, original = both.client:ids()
    assert.equal(8, #source)
    assert.equal(8, #destination)
    assert.is_true(#original >= 8)
    local ours = {}
    for _, id in ipairs(both.server:source_ids()) do ours[id] = true end
    assert.is_true(ours[destination])
    local stats = both.client:stats()
    assert.is_true(stats.packets_sent > 0 and stats.bytes_sent >= 1200)
    assert.is_number(stats.rtt_smoothed)
  end)

  it("has the congestion controller that the option names", function()
    for option, name in pairs{ cubic = "cubic", newreno = "newreno", bbr = "bbr" } do
      local both = pair.new{ congestion_control = option }
      assert.equal(name, both.client:stats().congestion_control)
      assert.equal(name, both.server:stats().congestion_control)
    end
    assert.equal("cubic", pair.new().client:stats().congestion_control)
    assert.has_error(function() pair.config{ congestion_control = "reno" } end,
      "option 'congestion_control' must be newreno, cubic, bbr or steered")
  end)

  it("updates its keys, and not twice before the peer has followed", function()
    local both = pair.new()
    local function say(from, to)
      local id = assert(from:stream_open())
      from:stream_send(id, "hello", true)
      both:pump()
      assert.equal("hello", (to:stream_recv(id)))
    end
    say(both.client, both.server)
    assert.is_true(both.client:update_keys())
    assert.equal("again", (select(3, both.client:update_keys())))
    both:pump()
    assert.same({ 1, 1 }, { both.client:stats().key_updates, both.server:stats().key_updates })
    say(both.server, both.client)
    both.client:close()
    assert.equal("closed", (select(3, both.client:update_keys())))
  end)

  it("carries streams both ways", function()
    local both = pair.new()
    local id = assert(both.client:stream_open())
    assert.equal(5, both.client:stream_send(id, "hello", true))
    both:pump()
    assert.equal(id, both.server:readable_next())
    assert.is_nil(both.server:readable_next())
    local listed = {}
    for each in both.server:readable() do listed[#listed + 1] = each end
    assert.same({ id }, listed)
    assert.same({ "hel", false }, { both.server:stream_recv(id, 3) })
    assert.same({ "lo", true }, { both.server:stream_recv(id) })
    assert.is_true(both.server:stream_finished(id))
    assert.equal(0, both.server:stream_send(id, "", true))
    both:pump()
    assert.equal(id, both.client:readable_next())
    assert.same({ "", true }, { both.client:stream_recv(id) })
    local uni = assert(both.client:stream_open("uni"))
    assert.equal(2, uni)
    local _, _, code = both.client:stream_recv(uni)
    assert.equal("state", code)
  end)

  it("resets a stream behind bytes that are delivered", function()
    local both = pair.new()
    local id = assert(both.client:stream_open())
    both.client:stream_send(id, "hello world")
    assert.is_true(both.client:stream_reset_at(id, 7, 5))
    both:pump()
    assert.same({ "hello", false }, { both.server:stream_recv(id) })
    assert.same({ "reset", 7 }, { select(3, both.server:stream_recv(id)) })
    assert.equal("argument", select(3, both.client:stream_reset_at(id, 7, 6)))
    local other = assert(both.client:stream_open())
    both.client:stream_send(other, "all of it")
    assert.is_true(both.client:stream_reset_at(other, 8))
    both:pump()
    assert.equal("all of it", both.server:stream_recv(other))
    assert.is_true(both.client:stream_set_priority(other, 1, true))
    assert.is_true(both.client:stream_set_low_water(assert(both.client:stream_open()), 1000))
  end)

  it("carries datagrams both ways, and says what became of them", function()
    local both = pair.new{ max_datagram_frame_size = 65535 }
    assert.is_true(both.client:datagram_max() > 1100)
    local id = assert(both.client:datagram_send("hello", { notify = true, urgency = 1, deadline = both.now + 1 }))
    assert.equal(id + 1, both.client:datagram_send("again"))
    both:pump()
    assert.equal(5, both.server:datagram_size())
    assert.equal("hello", both.server:datagram_recv())
    assert.equal("again", both.server:datagram_recv())
    assert.same({ "done", "again" }, { select(2, both.server:datagram_recv()) })
    both:run(function() return both.client:datagram_stats().acked == 2 end)
    assert.same({ id, "acked" }, { both.client:datagram_fate() })
    assert.is_nil(both.client:datagram_fate())
    assert.equal("short", select(3, both.client:datagram_send(("x"):rep(2000))))
    assert.has_error(function() both.client:datagram_send("x", { urgency = 8 }) end)
    assert.equal(10, both.server:datagram_stats().bytes_received)
    both = pair.new()
    assert.equal("unsupported", select(3, both.client:datagram_send("x")))
  end)

  it("counts what the peer may still send and what waits to be read", function()
    local both = pair.new{ initial_max_data = 1000 }
    local function figures()
      local stats = both.server:stats()
      -- The memory for it has a grain, and nothing of it stays.
      assert.is_true(stats.receive_held >= stats.receive_unread and stats.receive_held < stats.receive_unread + 512)
      assert.equal(stats.receive_unread == 0, stats.receive_held == 0)
      assert.equal(stats.receive_held, both.config:memory().receive_held)
      return { stats.receive_credit, stats.receive_unread }
    end
    assert.same({ 1000, 0 }, figures())
    local id = both.client:stream_open()
    both.client:stream_send(id, ("x"):rep(300), true)
    both:pump()
    assert.same({ 700, 300 }, figures())
    both.server:stream_recv(id, 100)
    assert.same({ 700, 200 }, figures())
    both.server:stream_shutdown(id, "read")
    assert.same({ 700, 0 }, figures())
  end)

  it("gives nil, done, again when there is nothing", function()
    local both = pair.new()
    local id = both.client:stream_open()
    assert.same({ nil, "done", "again" }, { both.client:stream_recv(id) })
    assert.same({ nil, "done", "again" }, { both.client:send(both.now) })
  end)

  it("says how much a stream takes, and when it goes on", function()
    local both = pair.new{ initial_max_stream_data_bidi_remote = 1000, max_stream_window = 1000, send_buffer = 1000 }
    local id = both.client:stream_open()
    assert.equal(1000, both.client:stream_capacity(id))
    assert.equal(1000, both.client:stream_send(id, ("x"):rep(1500), true))
    assert.same({ nil, "done", "again" }, { both.client:stream_send(id, "y") })
    both:pump()
    both.server:stream_recv(id)
    both:run(function() return both.client:writable_next() == id end)
    assert.is_true(both.client:stream_capacity(id) > 0)
    local listed = {}
    for each in both.client:writable() do listed[#listed + 1] = each end
    assert.same({ id }, listed)
  end)

  it("hands resets and stops over with their codes", function()
    local both = pair.new()
    local id = both.client:stream_open()
    both.client:stream_send(id, "x")
    both:pump()
    assert.is_nil(both.client:stream_error(id, "read"))
    assert.is_true(both.server:stream_shutdown(id, "read", 11))
    assert.is_true(both.server:stream_shutdown(id, "write", 12))
    both:pump()
    local _, _, code, number = both.client:stream_recv(id)
    assert.same({ "reset", 12 }, { code, number })
    _, _, code, number = both.client:stream_send(id, "y")
    if code ~= "stopped" then assert.equal("state", code) else assert.equal(11, number) end
    assert.has_error(function() both.client:stream_shutdown(id, "both") end)
  end)

  it("counts the streams that are left", function()
    local both = pair.new{ initial_max_streams_bidi = 2, initial_max_streams_uni = 3 }
    assert.equal(2, both.client:streams_left())
    both.client:stream_open()
    assert.equal(1, both.client:streams_left("bidi"))
    both.client:stream_open()
    local id, _, code = both.client:stream_open()
    assert.is_nil(id)
    assert.equal("limit", code)
  end)

  it("is flushed when the peer has acknowledged every stream that was ended", function()
    local both = pair.new()
    local client = both.client
    assert.is_true(client:is_flushed())
    local open, ended = client:stream_open(), client:stream_open()
    client:stream_send(open, "goes on")
    assert.is_true(client:is_flushed())
    client:stream_send(ended, ("x"):rep(30000), true)
    assert.is_false(client:is_flushed())
    client:send(both.now)
    assert.is_false(client:is_flushed())
    both:run(function() return client:is_flushed() end)
    client:stream_shutdown(open, "write", 1)
    assert.is_false(client:is_flushed())
    both:run(function() return client:is_flushed() end)
    client:stream_send(client:stream_open(), "x", true)
    client:close()
    assert.is_true(client:is_flushed())
    client:release()
    assert.is_true(client:is_flushed())
  end)

  it("closes with a code and a reason that the peer sees", function()
    local both = pair.new()
    assert.is_true(both.client:close(77, "enough"))
    both:pump()
    assert.is_true(both.server:is_draining())
    assert.same({ by = "peer", code = 77, name = core.error_name(77, true), is_application = true, reason = "enough",
      frame_type = 0 }, both.server:error())
    assert.equal("local", both.client:error().by)
    local _, _, code = both.client:stream_open()
    assert.equal("closed", code)
    both:run(function() return both.client:is_closed() and both.server:is_closed() end)
    _, _, code = both.client:close()
    assert.equal("closed", code)
  end)

  it("ends by itself when it is idle", function()
    local both = pair.new{ max_idle_timeout = 5 }
    assert.is_true(both.client:deadline() > both.now)
    both:run(function() return both.client:is_closed() end)
    assert.equal("idle", both.client:error().by)
  end)

  it("is dead after release: the rest says closed", function()
    local both = pair.new()
    local h3 = core.h3(both.client)
    both.client:release()
    assert.is_true(both.client:is_closed())
    assert.equal("local", both.client:error().by)
    for _, call in ipairs{
      function() return both.client:stream_open() end, function() return both.client:stream_send(0, "x") end,
      function() return both.client:stream_recv(0) end, function() return both.client:stats() end,
      function() return both.client:send(1) end, function() return both.client:close() end,
      function() return both.client:recv("x", { at = 1 }) end, function() return both.client:peer() end,
      function() return both.client:ids() end, function() return h3:poll() end,
      function() return h3:send_request({}, true) end, function() return core.h3(both.client) end,
    } do
      local result, _, code = call()
      assert.is_nil(result)
      assert.equal("closed", code)
    end
    assert.is_nil(both.client:readable_next())
    assert.matches("closed$", tostring(both.client))
  end)

  it("raises for what is misused", function()
    local both = pair.new()
    local client = both.client
    for _, call in ipairs{
      function() client:stream_send(-1, "x") end, function() client:stream_send(1.5, "x") end,
      function() client:stream_send("no", "x") end, function() client:stream_send(0, {}) end,
      function() client:stream_recv(0, 0) end, function() client:recv("x") end, function() client:recv("x", {}) end,
      function() client:recv(("x"):rep(70000), { at = 1 }) end, function() client:send() end,
      function() client:send(-1) end, function() client:send(0 / 0) end, function() client:stream_open("both") end,
      function() client:recv("x", { at = 1, from = "nowhere" }) end,
      function() client.send(both, 1) end, function() client.send(io.stdout, 1) end,
      function() core.h3(client, { size = 1 }) end, function() core.connect(client, "x", "192.0.2.1:1") end,
      function() core.connect(both.config, "x", "example.org:443") end,
      function() core.accept(both.config, {}, "", { from = "192.0.2.1:1" }) end,
      function() core.accept(both.config, { dcid = ("x"):rep(21), scid = "" }, "", { from = "192.0.2.1:1" }) end,
    } do
      assert.has_error(call)
    end
  end)

  it("takes any bytes as a datagram", function()
    local both = pair.new()
    for size = 0, 1500, 7 do
      both.client:recv(("\127"):rep(size), { at = both.now })
      both.server:recv(("\64"):rep(size), { at = both.now })
    end
    local id = both.client:stream_open()
    both.client:stream_send(id, "still here", true)
    both:pump()
    assert.equal("still here", (both.server:stream_recv(id)))
  end)
end)
