--- Trace events in Lua: of raw connections, clients, servers, the low level and in simulations.
local helper = require "spec.helper"
local leash = require "spec.support.leash"
local neap = require "neap"
local pair = require "spec.binding.pair"
local q = require "neap.lowlevel"
local quic = require "neap.quic"
local schema = require "qlog.schema"
local simulation = require "neap.sim"

local it = require("qlog.traces").needed(it, pending)

local function drain(conn)
  local list, counts = {}, {}
  local event, dropped = q.trace_event(conn)
  while event do
    assert.is_nil(schema.refuse(event))
    list[#list + 1] = event
    counts[event.name] = (counts[event.name] or 0) + 1
    event, dropped = q.trace_event(conn)
  end
  return list, counts, dropped
end

describe("conn:trace", function()
  it("keeps the events of qlog, with its names and fields, and of those that are asked for", function()
    local made = pair.new()
    assert.is_true(made.client:trace())
    assert.is_true(made.server:trace{ events = { "quic:packet_received", "quic:connection_closed" } })
    assert.is_nil((q.trace_event(made.client)))
    made.client:ping()
    made:pump()
    made.client:close(7, "enough")
    made:pump()
    local list, counts = drain(made.client)
    assert.equal("quic:connection_started", list[1].name)
    assert.is_true(counts["quic:packet_sent"] >= 2)
    assert.equal(1, counts["quic:connection_closed"])
    local _, of_server = drain(made.server)
    assert.is_true(of_server["quic:packet_received"] >= 2)
    assert.equal(1, of_server["quic:connection_closed"])
    assert.is_nil(of_server["quic:packet_sent"])
  end)

  it("lets the oldest go when nobody takes them, and counts that", function()
    local made = pair.new()
    made.client:trace{ bytes = 4096 }
    for _ = 1, 100 do
      made.client:ping()
      made:pump()
      made.now = made.now + 0.01
    end
    local list, _, dropped = drain(made.client)
    assert.is_true(#list > 5 and #list < 100, #list)
    assert.is_true(dropped > 100)
    assert.is_true(list[#list].time > 900)
  end)

  it("goes on beside a trace in a file, and ends without it", function()
    require("qlog.traces").in_folder(function(folder)
      local made = pair.new{ qlog = folder }
      for _ = 1, 2 do
        assert.is_true(made.server:trace())
        made.client:ping()
        made:pump()
        assert.is_true(made.server:trace(false))
        assert.is_nil((q.trace_event(made.server)))
      end
      made.client:ping()
      made:pump()
      local before = made.server:stats().packets_received
      made.client, made.server = nil, nil
      collectgarbage()
      collectgarbage()
      local traces = require "qlog.traces"
      local _, _, counts = traces.read((traces.side(folder, "server")))
      assert.equal(before, counts["quic:packet_received"])
    end)
  end)

  it("refuses what names no events", function()
    local made = pair.new()
    for _, wrong in ipairs{ { events = {} }, { events = { "packet_sent" } }, { events = { 1 } }, { bytes = 1 } } do
      assert.has_error(function() made.client:trace(wrong) end)
    end
    made.client:close(0, "")
    assert.is_true(made.client:trace())
  end)

  it("is for 256 connections of a config at a time", function()
    local config, conns = pair.config(), {}
    for i = 1, 257 do conns[i] = assert(q.connect(config, "localhost", "192.0.2.2:443")) end
    for i = 1, 256 do assert.is_true(conns[i]:trace{ bytes = 4096 }) end
    local ok, message, code = conns[257]:trace()
    assert.same({ message = "256 connections are traced", code = "limit" }, { ok, message = message, code = code })
    assert.is_true(conns[256]:trace()) -- which begins anew
    assert.is_true(conns[1]:trace(false))
    assert.is_true(conns[257]:trace())
    assert.is_nil((conns[1]:trace()))
    conns[2] = nil
    collectgarbage()
    assert.is_true(conns[1]:trace())
  end)
end)

describe("on_trace", function()
  -- A simulation and its hosts server.example and client.example.
  local function two_hosts(down)
    local lab = simulation.new{ seed = 1 }
    local link = lab:link{ delay = 0.01, down = down }
    return lab, lab:host("server.example"), lab:host("client.example", { link = link })
  end

  it("tells a raw connection's events until it is told not to, and its last one", function()
    local lab, server, client = two_hosts()
    local heard, early, ends = {}, {}, nil
    server:go(function()
      local listener = assert(quic.listen{ alpn = "echo", port = 4433, on_trace = function(event, trace)
        if event.name == "quic:connection_closed" then ends = { event.data.initiator, trace.peer } end
      end })
      listener:on_connection(function(connection)
        connection:on_stream(function(stream) stream:write(stream:read_all()) end)
      end)
    end)
    client:run(function()
      local connection = assert(quic.connect("server.example:4433", { alpn = "echo", on_trace = function(event)
        early[#early + 1] = event.name
      end }))
      neap.sleep(0.1)
      assert.is_true(connection:on_trace(function(event, trace)
        assert.equal(0, trace.dropped)
        heard[event.name] = (heard[event.name] or 0) + 1
      end, { events = { "quic:stream_data_moved", "quic:packet_sent" } }))
      local stream = assert(connection:open_stream())
      stream:write("hello")
      stream:finish()
      assert.equal("hello", stream:read_all())
      neap.sleep(0.1)
      local before = heard["quic:packet_sent"]
      connection:on_trace(nil)
      connection:ping()
      neap.sleep(0.1)
      assert.equal(before, heard["quic:packet_sent"])
      connection:close(3, "")
      neap.sleep(1)
    end)
    lab:close()
    assert.equal("quic:connection_started", early[1])
    assert.is_true(heard["quic:stream_data_moved"] >= 3)
    assert.same({ "remote", ends and ends[2] }, ends)
  end)

  it("of a client and a server tells HTTP/3's", function()
    local lab, server, client = two_hosts()
    local created, parsed = 0, 0
    server:go(function()
      local app = neap.app()
      app:get("/", function() return "hello" end)
      assert(app:listen{ port = 443, on_trace = function(event)
        if event.name == "http3:frame_parsed" then parsed = parsed + 1 end
      end })
    end)
    client:run(function()
      local function count() created = created + 1 end
      local own = neap.client{ on_trace = count, trace_events = { "http3:frame_created" } }
      assert.equal("hello", own:get("https://server.example/"):body())
      assert.equal("hello", own:get("https://server.example/"):body())
      own:close()
    end)
    lab:close()
    assert.same({ 3, 3 }, { created, parsed }) -- SETTINGS, two requests
  end)

  it("of a server is for 32 clients at a time whose address is not proved, and for others once they are", function()
    local is_cut, traced, count = true, {}, 0
    local lab, server, client = two_hosts{ filter = function() if is_cut then return false end end }
    server:go(function()
      local app = neap.app()
      app:get("/", function() return "hello" end)
      assert(app:listen{ port = 443, retry = "never", on_trace = function(_, trace)
        if not traced[trace] then count = count + 1 end
        traced[trace] = true
      end })
    end)
    client:run(function()
      for _ = 1, 40 do
        neap.go(function() neap.client{}:get("https://server.example/") end)
      end
      neap.sleep(0.5)
      assert.equal(32, count)
      is_cut = false
      neap.sleep(5)
      assert.equal(40, count)
    end)
    lab:close()
  end)

  it("gives back what it takes when the connection is over, before that is collected", function()
    local lab, server, client = two_hosts()
    server:go(function() assert(quic.listen{ alpn = "x", port = 4433 }) end)
    client:run(function()
      local connection = assert(quic.connect("server.example:4433", { alpn = "x" }))
      local conn = connection._conn
      connection:on_trace(function() neap.sleep(0.02) end, { bytes = 4096 })
      for _ = 1, 50 do
        connection:ping()
        neap.sleep(0.001)
      end
      connection:close()
      local _, before = conn:trace_next()
      neap.sleep(10)
      local _, after = conn:trace_next()
      assert.is_true(before > 0, before)
      assert.equal(0, after)
    end)
    lab:close()
  end)

  it("is over for a connection when the function fails, which is told as any task's error", function()
    local lab, server, client = two_hosts()
    local calls, is_connected = 0, false
    server:go(function() assert(quic.listen{ alpn = "x", port = 4433 }) end)
    client:go(function()
      assert(quic.connect("server.example:4433", { alpn = "x", on_trace = function()
        calls = calls + 1
        error("oops")
      end }))
      is_connected = true
    end)
    assert.error_matches(function() lab:run(1) end, "oops")
    lab:run(1)
    lab:close()
    assert.same({ 1, true }, { calls, is_connected })
  end)

  it("may wait: what comes meanwhile is kept", function()
    local lab, server, client = two_hosts()
    local running, most, count = 0, 0, 0
    server:go(function() assert(quic.listen{ alpn = "x", port = 4433 }) end)
    client:run(function()
      local connection = assert(quic.connect("server.example:4433", { alpn = "x" }))
      connection:on_trace(function()
        running, count = running + 1, count + 1
        most = math.max(most, running)
        neap.sleep(0.05)
        running = running - 1
      end, { events = { "quic:packet_sent" } })
      for _ = 1, 10 do
        connection:ping()
        neap.sleep(0.01)
      end
      neap.sleep(2)
    end)
    lab:close()
    assert.equal(1, most)
    assert.is_true(count >= 5, count)
  end)
end)

describe("examples/trace.lua", function()
  it("shows what a client does", function()
    local dir = helper.make_dir()
    finally(function() helper.remove_dir(dir) end)
    local neap_program = helper.quote(helper.build_dir) .. "/neap"
    helper.write_file(dir .. "/server.lua", [[
      local app = require("neap").app()
      app:get("/", function() return "hello" end)
      assert(app:listen{ host = "127.0.0.1", port = 0 })
    ]])
    local process = leash.start(("env HOME=%s %s run %s/server.lua"):format(dir, neap_program, dir), dir .. "/log")
    local url = leash.wait_until(function()
      return (helper.read_file(process.log) or ""):match("listening on (%S+)\n")
    end)
    local output, status = helper.run(("timeout 20 %s run %s/examples/trace.lua %s http3:frame_parsed"):format(
      neap_program, helper.source_dir, url))
    leash.stop(process)
    assert.equal(0, status, output)
    assert.match('ms  127%.0%.0%.1:%d+  http3:frame_parsed  {.*"headers"', output)
    assert.match("status 200, 5 bytes\n", output)
    assert.is_nil(output:find("quic:", 1, true))
  end)
end)
