-- Whatever is collected, closed or misused in whatever order: no crash, no leak (the sanitizers watch).
-- Row 102 of the attack table: 10^5 random calls with the collector running at random places.
local core = require "neap.core"
local pair = require "binding.pair"

local CALLS = 100000
local CLIENT, SERVER = "192.0.2.1:1000", "192.0.2.2:443"

local random = math.random

-- Values of every kind, good and bad.
local function junk(things)
  local choices = {
    function() return nil end, function() return true end, function() return random(0, 20) end,
    function() return -1 end, function() return 0.5 end, function() return 2 ^ 62 end, function() return 1 / 0 end,
    function() return 0 / 0 end, function() return "" end, function() return ("a\0b"):rep(random(1, 1000)) end,
    function() return {} end, function() return { at = 1 } end, function() return { ":method", "GET" } end,
    function() return { ":status", "200" } end, function() return print end, function() return SERVER end,
    function() return "read" end, function() return things[random(#things)] end,
    function() return { from = CLIENT, to = SERVER, at = 1 } end, function() return 1 end,
  }
  return choices[random(#choices)]()
end

local function methods_of(kind)
  local lists = {
    conn = { "recv", "send", "timeout", "deadline", "on_timeout", "is_server", "is_established", "is_confirmed",
      "is_draining", "is_closed", "close", "error", "alpn", "server_name", "version", "peer", "local_address", "ids",
      "source_ids", "stats", "release", "stream_open", "stream_send", "stream_capacity", "stream_recv",
      "stream_shutdown", "stream_error", "stream_finished", "is_flushed", "readable_next", "writable_next", "readable",
      "writable", "streams_left" },
    h3 = { "poll", "send_request", "send_response", "respond", "send_body", "body_capacity", "recv_body",
      "send_trailers", "cancel", "stop_body", "goaway", "open_requests", "peer_setting", "conn" },
    endpoint = { "next", "connect", "recv", "send", "timeout", "deadline", "refuse", "address", "stats", "close" },
    config = { "memory" },
  }
  return lists[kind]
end

local function make_things()
  local things = {}
  local function add(kind, object)
    if object then things[#things + 1] = { kind = kind, object = object } end
  end
  local config = pair.config()
  add("config", config)
  local both = pair.new()
  add("conn", both.client)
  add("conn", both.server)
  add("h3", core.h3(both.client))
  local server, client = core.endpoint(config, true), core.endpoint(config, false)
  add("endpoint", server)
  add("endpoint", client)
  local conn = client:connect("localhost", SERVER, { from = CLIENT, at = 1 })
  add("conn", conn)
  add("h3", core.h3(conn))
  for _ = 1, 3 do -- a handshake between the endpoints
    local bytes, info = client:send(1)
    while bytes do
      server:recv(bytes, { from = info.from, to = info.to, at = 1 })
      bytes, info = client:send(1)
    end
    add("conn", server:next())
    bytes, info = server:send(1)
    while bytes do
      client:recv(bytes, { from = info.from, to = info.to, at = 1 })
      bytes, info = server:send(1)
    end
  end
  return things
end

describe("objects of neap.core", function()
  it("survive random calls with random arguments while the collector runs", function()
    math.randomseed(102)
    local calls, failures = 0, 0
    while calls < CALLS do
      local things = make_things()
      for _ = 1, 500 do
        local place = random(#things)
        local thing = things[place]
        local methods = methods_of(thing.kind)
        local object = thing.object
        local arguments = {}
        local objects = {}
        for i = 1, #things do objects[i] = things[i].object end
        for i = 1, random(0, 4) do arguments[i] = junk(objects) end
        local ok, made = pcall(object[methods[random(#methods)]], object, arguments[1], arguments[2], arguments[3],
          arguments[4])
        calls = calls + 1
        if not ok then failures = failures + 1 end
        if ok and thing.kind == "endpoint" and type(made) == "userdata" then
          things[#things + 1] = { kind = "conn", object = made }
        end
        local dice = random(200)
        if dice == 1 then
          things[place] = things[#things] -- forgotten
          things[#things] = nil
          if #things == 0 then break end
        elseif dice == 2 then
          collectgarbage()
        elseif dice < 20 then
          collectgarbage("step", 1)
        end
      end
    end
    assert.is_true(failures > CALLS / 20 and failures < CALLS, failures .. " of the calls raised")
  end)

  -- Each object alone is kept while all others are collected.
  for place, name in ipairs{ "config", "client", "server", "h3" } do
    it("may be collected before " .. name, function()
      local things = make_things()
      local kept = things[place].object
      things = nil -- luacheck: ignore
      collectgarbage()
      collectgarbage()
      assert.is_string(tostring(kept))
    end)
  end

  it("of a loop may be dropped in any order while the others are used", function()
    math.randomseed(1021)
    for _ = 1, 60 do
      local config = pair.config { ca = (pair.certificate()) }
      local loop = assert(core.loop())
      local server = assert(loop:listen(config, "127.0.0.1:0"))
      local client = assert(loop:client(config))
      local conn = assert(client:connect("localhost", server:address()))
      local things = { config, loop, server, client, conn, core.h3(conn) }
      config, loop, server, client, conn = nil, nil, nil, nil, nil -- luacheck: ignore
      local uses = {
        function(thing) return thing:wait(0.001) end, function(thing) return thing:flush() end,
        function(thing) return thing:next() end, function(thing) return thing:poll() end,
        function(thing) return thing:close() end, function(thing) return thing:stats() end,
        function(thing) return thing:is_closed() end, function(thing) return thing:release() end,
        function(thing) return core.h3(thing) end, function(thing) return thing:resolve("localhost", 1) end,
        function(thing) return thing:send_request({ ":method", "GET", ":scheme", "https", ":authority", "localhost",
          ":path", "/" }, true) end,
      }
      while #things > 0 do
        for _ = 1, 12 do
          local _, made = pcall(uses[random(#uses)], things[random(#things)])
          if type(made) == "userdata" and #things < 12 then things[#things + 1] = made end
        end
        table.remove(things, random(#things))
        if #things > 6 then table.remove(things, random(#things)) end
        collectgarbage()
        collectgarbage()
      end
    end
  end)

  it("outlive their endpoint as closed", function()
    local config = pair.config()
    local endpoint = core.endpoint(config, false)
    local conn = assert(endpoint:connect("localhost", SERVER, { from = CLIENT, at = 1 }))
    local h3 = core.h3(conn)
    endpoint:close()
    assert.is_true(conn:is_closed())
    local _, _, code = h3:poll()
    assert.equal("closed", code)
    _, _, code = endpoint:connect("localhost", SERVER)
    assert.equal("closed", code)
    assert.is_nil(endpoint:next())
    endpoint:close()
  end)

  it("go on when only the connection is left of an endpoint", function()
    local endpoint = core.endpoint(pair.config(), false)
    local conn = assert(endpoint:connect("localhost", SERVER, { from = CLIENT, at = 1 }))
    endpoint = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.is_false(conn:is_closed())
    assert.equal(SERVER, conn:peer())
  end)

  it("keep connections of an endpoint that nobody holds", function()
    local config = pair.config()
    local server, client = core.endpoint(config, true), core.endpoint(config, false)
    local weak = setmetatable({ client:connect("localhost", SERVER, { from = CLIENT, at = 1 }) }, { __mode = "v" })
    collectgarbage()
    collectgarbage()
    assert.is_userdata(weak[1])
    server:recv((client:send(1)), { from = CLIENT, to = SERVER, at = 1 })
    weak[2] = server:next()
    collectgarbage()
    collectgarbage()
    assert.is_userdata(weak[2])
    weak[2]:release()
    collectgarbage()
    collectgarbage()
    assert.is_nil(weak[2])
  end)

  it("cannot be forged", function()
    local conn = pair.new().client
    assert.equal("locked", getmetatable(conn))
    assert.has_error(function() conn.peer(newproxy and newproxy() or io.stdout) end)
    assert.has_error(function() conn.peer(pair.config()) end)
    assert.has_error(function() setmetatable(conn, {}) end)
  end)
end)
