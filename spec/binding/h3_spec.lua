local core = require "neap.core"
local pair = require "binding.pair"

local REQUEST = { ":method", "GET", ":scheme", "https", ":authority", "localhost", ":path", "/a" }

-- A pair with HTTP/3 on both sides, whose SETTINGS have been exchanged.
local function new_pair(options)
  local both = pair.new(options)
  both.asking, both.answering = core.h3(both.client), core.h3(both.server)
  both:pump()
  return both
end

-- All events that wait, as lists.
local function events(h3)
  local list = {}
  while true do
    local event = { h3:poll() }
    if not event[1] then return list, event[3] end
    list[#list + 1] = event
  end
end

describe("h3", function()
  it("sees the peer's SETTINGS", function()
    local both = new_pair()
    assert.is_nil(both.asking:peer_setting(6))
    assert.same({ { "established" }, { "settings" } }, (events(both.asking)))
    assert.is_number(both.asking:peer_setting(6)) -- SETTINGS_MAX_FIELD_SECTION_SIZE
    assert.same({}, (events(both.asking)))
  end)

  it("carries a request and its response", function()
    local both = new_pair()
    events(both.asking)
    events(both.answering)
    local stream = assert(both.asking:send_request(REQUEST, true))
    assert.equal(1, both.asking:open_requests())
    assert.same({ requests = 1, open_requests = 1, glitches = 0, glitches_held = 0, priority_updates = 0,
      partial_bytes = 0 }, both.asking:stats())
    both:pump()
    assert.same({ { "headers", stream, REQUEST, true, false }, { "finished", stream } }, (events(both.answering)))
    assert.equal(5, both.answering:respond(stream, 200, { "content-type", "text/plain" }, "hello", 5))
    both:pump()
    local list = events(both.asking)
    assert.same({ "headers", stream, { ":status", "200", "content-length", "5", "content-type", "text/plain" }, false,
      false }, list[1])
    assert.same({ "data", stream }, list[2])
    assert.equal("hello", both.asking:recv_body(stream))
    assert.same({ nil, "done", "again" }, { both.asking:recv_body(stream) })
    assert.same({ { "finished", stream } }, (events(both.asking)))
    assert.equal(0, both.asking:open_requests())
  end)

  it("gives events in one list, requests as values and a block of fields", function()
    local both, list = new_pair(), {}
    both.asking:send_request({ ":method", "GET", ":scheme", "https", ":authority", "localhost", ":path", "/a?b=c?d",
      "accept", "text/html", "x-get", "1", "x-get", "2" }, true)
    both.asking:send_request({ ":method", "PUT", ":scheme", "http", ":path", "/%61", "host", "other", "get", "" })
    both.asking:send_request({ ":method", "CONNECT", ":authority", "far:1" })
    both:pump()
    assert.same({ 5 * 11, false, false }, { both.answering:events(list) })
    assert.same({ "established", "settings" }, { list[1], list[12] })
    local function at(place) return { (table.unpack or unpack)(list, place, place + 10) } end
    local first, second, third = at(23), at(34), at(45)
    assert.same({ "request", 0, true, "GET", "/a?b=c?d", "/a", "b=c?d", "localhost", "https" },
      { (table.unpack or unpack)(first, 1, 9) })
    assert.same({ "accept", "text/html", "x-get", "1", "x-get", "2" }, core.field_list(first[10]))
    assert.same({ accept = "text/html", ["x-get"] = "1" }, core.field_set(first[10], {}))
    assert.same({ "request", 4, false, "PUT", "/%61", false, false, "other", "http" },
      { (table.unpack or unpack)(second, 1, 9) })
    assert.same({ host = "other" }, core.field_set(second[10], { get = true }))
    assert.same({ "request", 8, false, "CONNECT", "", false, false, "far:1", false, false, false }, third)
    assert.same({ 0, false, false }, { both.answering:events(list) })
    for _, bad in ipairs { "x", first[10]:sub(1, -2), ("\255"):rep(12), "\1\0\0\0" .. ("\255"):rep(8) } do
      assert.has_error(function() core.field_list(bad) end)
      assert.has_error(function() core.field_set(bad, {}) end)
    end
  end)

  it("gives no more events at once than its list holds, and the rest with the next call", function()
    local both, list, seen = new_pair(), {}, 0
    for _ = 1, 70 do both.asking:send_request(REQUEST, true) end
    both:pump()
    local used, is_more = both.answering:events(list)
    assert.same({ 32 * 11, true }, { used, is_more })
    while used > 0 do
      for i = 1, used, 11 do seen = seen + (list[i] == "request" and 1 or 0) end
      used = both.answering:events(list)
    end
    assert.equal(70, seen)
  end)

  it("calls a path plain that has one spelling", function()
    local Router = require "neap.router"
    local both, list = new_pair(), {}
    both.answering:events(list)
    for _, path in ipairs { "/", "/a", "/a/", "/a/b.c", "//", "/a//b", "/.", "/./a", "/a/..", "/.well-known", "/a.",
      "/%61", "/a b", "/a\\b", "/~!$&'()*+,;=:@-_", "/\195\169", "*", "/[", "/|", "/^" } do
      local stream = both.asking:send_request(
        { ":method", "OPTIONS", ":scheme", "https", ":authority", "a", ":path", path }, true)
      if stream then
        both:pump()
        if both.answering:events(list) > 0 and list[1] == "request" and list[6] then
          assert.same({ path, path }, { list[6], Router.normalize(path) })
        elseif list[1] == "request" then
          assert.is_true(Router.normalize(path) ~= path or path:find("/.", 1, true) ~= nil, path)
        end
      end
    end
  end)

  it("carries bodies, informational responses and trailers", function()
    local both = new_pair()
    local stream = both.asking:send_request({ ":method", "POST", ":scheme", "https", ":authority", "localhost", ":path",
      "/", "content-length", 4 })
    assert.is_true(both.asking:body_capacity(stream) > 1000)
    assert.equal(4, both.asking:send_body(stream, "body", true))
    both:pump()
    events(both.answering)
    assert.equal("bo", both.answering:recv_body(stream, 2))
    assert.equal("dy", both.answering:recv_body(stream, 2))
    assert.is_true(both.answering:send_response(stream, { ":status", "103" }))
    assert.is_true(both.answering:send_response(stream, { ":status", 200 }))
    assert.equal(1, both.answering:send_body(stream, "x"))
    assert.is_true(both.answering:send_trailers(stream, { "x-sum", "1" }))
    both:pump()
    local list, code = events(both.asking)
    assert.equal("again", code)
    assert.same({ "settings" }, list[2])
    assert.same({ "headers", stream, { ":status", "103" }, false, true }, list[3])
    assert.same({ "headers", stream, { ":status", "200" }, false, false }, list[4])
    assert.same({ "data", stream }, list[5])
    both.asking:recv_body(stream)
    assert.same({ { "trailers", stream, { "x-sum", "1" } }, { "finished", stream } }, (events(both.asking)))
  end)

  it("lets go on after back pressure", function()
    local both = new_pair{ send_buffer = 2000 }
    local stream = both.asking:send_request(REQUEST, true)
    both:pump()
    events(both.answering)
    local body, got = ("0123456789"):rep(1000), ""
    local taken = assert(both.answering:respond(stream, 200, nil, body, #body))
    assert.is_true(taken < #body)
    both:run(function()
      for _, event in ipairs(events(both.answering)) do
        if event[1] == "writable" and taken < #body then
          taken = taken + (both.answering:send_body(stream, body:sub(taken + 1), true) or 0)
        end
      end
      events(both.asking)
      local bytes = both.asking:recv_body(stream)
      while bytes do
        got = got .. bytes
        bytes = both.asking:recv_body(stream)
      end
      both:pump()
      return #got == #body
    end)
    assert.equal(body, got)
  end)

  it("cancels requests and stops bodies with their codes", function()
    local both = new_pair()
    local stream = both.asking:send_request(REQUEST)
    both:pump()
    events(both.answering)
    assert.is_true(both.asking:cancel(stream, 0x10c))
    both:pump()
    local seen = {}
    for _, event in ipairs(events(both.answering)) do seen[event[1]] = event[3] end
    assert.equal(0x10c, seen.reset)

    stream = both.asking:send_request(REQUEST)
    both:pump()
    events(both.answering)
    assert.is_true(both.answering:stop_body(stream, 0x100))
    both:pump()
    seen = {}
    for _, event in ipairs(events(both.asking)) do seen[event[1]] = event[3] end
    assert.equal(0x100, seen.stopped)
  end)

  it("takes error codes by their names, here and where connections are closed", function()
    local both = new_pair()
    for name, number in pairs { request_cancelled = 0x10c, internal_error = 0x102, version_fallback = 0x110 } do
      assert.equal(number, core.http_code(name))
      assert.equal(number, core.http_code(number))
      local stream = both.asking:send_request(REQUEST)
      both:pump()
      events(both.answering)
      both.asking:cancel(stream, name)
      both:pump()
      local seen = {}
      for _, event in ipairs(events(both.answering)) do seen[event[1]] = event[3] end
      assert.equal(number, seen.reset)
    end
    for _, unknown in ipairs { "H3_NO_ERROR", "", "268" } do
      assert.has_error(function() both.asking:cancel(0, unknown) end)
      assert.has_error(function() both.client:close(unknown) end)
    end
    assert.has_error(function() both.client:close("no_error", "", false) end)
    both.client:close("excessive_load", "")
    both:pump()
    assert.equal("H3_EXCESSIVE_LOAD", both.server:error().name)
  end)

  it("says goodbye", function()
    local both = new_pair()
    assert.is_true(both.answering:goaway())
    both:pump()
    local last
    for _, event in ipairs(events(both.asking)) do last = event end
    assert.equal("goaway", last[1])
    assert.is_number(last[2])
    local _, _, code = both.asking:send_request(REQUEST, true)
    assert.equal("closed", code)
  end)

  it("refuses field sections that RFC 9114 forbids, and raises for what is none", function()
    local both = new_pair()
    for _, fields in ipairs{ {}, { ":method", "GET" }, { "x", "y" }, { "Upper", "x" } } do
      local stream, message, code = both.asking:send_request(fields, true)
      assert.is_nil(stream)
      assert.is_string(message)
      assert.equal("argument", code)
    end
    local many = {}
    for i = 1, 600 do many[i] = "x" end
    for _, fields in ipairs{ { "odd" }, { "x", {} }, { "x", true }, "text", many } do
      assert.has_error(function() both.asking:send_request(fields, true) end)
    end
    assert.has_error(function() both.answering:respond(0, 100) end)
  end)

  it("is refused without memory, with a code", function()
    local refused = 0
    -- What is left when not even a stream's room is there any more is now more and now less than what is asked for.
    for limit = 300000, 300512, 16 do
      local both = pair.new { memory_limit = limit, initial_max_streams_bidi = 10000 }
      for id in function() return (both.client:stream_open("bidi")) end do
        both.client:stream_send(id, ("x"):rep(65536))
      end
      local h3, message, code = core.h3(both.client)
      if not h3 then
        refused = refused + 1
        assert.equal("memory", code)
        assert.is_string(message)
      end
    end
    assert.is_true(refused > 0)
  end)

  it("belongs to one connection, and gives it back", function()
    local both = new_pair()
    assert.equal(both.client, both.asking:conn())
    local again = core.h3(both.client)
    assert.same({ { "established" }, { "settings" } }, (events(again)))
    assert.same({}, (events(both.asking)))
  end)

  it("keeps its connection alive", function()
    local both = new_pair()
    local h3, server, answering = both.asking, both.server, both.answering
    both.client, both.asking = nil, nil
    collectgarbage()
    collectgarbage()
    local stream = assert(h3:send_request(REQUEST, true))
    local bytes = h3:conn():send(both.now)
    server:recv(bytes, { at = both.now })
    local list = events(answering)
    assert.equal(stream, list[#list][2])
  end)
end)
