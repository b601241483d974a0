-- Which response goes first (RFC 9218), as bytes on the wire have it.
local core = require("neap.core")
local exchange = require("spec.http.exchange")
local pair = require("binding.pair")

local BODY = ("x"):rep(20000)

local function request(value)
  local fields = { ":method", "GET", ":scheme", "https", ":authority", "localhost", ":path", "/" }
  if value then
    fields[9], fields[10] = "priority", value
  end
  return fields
end

local function new_pair()
  local both = pair.new()
  both.asking, both.answering = core.h3(both.client), core.h3(both.server)
  both:pump()
  repeat until not both.asking:poll()
  repeat until not both.answering:poll()
  return both
end

-- The server's first events, and nothing is sent.
local function hear(both)
  both:pump()
  repeat until not both.answering:poll()
end

-- The server answers these requests in turn, and hears what the client says in meanwhile(): the order in which their
-- responses begin, "+1", and end, "-1".
local function order(both, streams, fields, meanwhile)
  for i, stream in ipairs(streams) do
    assert.equal(#BODY, both.answering:respond(stream, 200, fields and fields[i] or {}, BODY, #BODY))
  end
  local list, had = {}, {}
  both.now = both.now + 1
  if meanwhile then
    meanwhile()
    local bytes, info = both.client:send(both.now)
    both.server:recv(bytes, { from = info.from, to = info.to, at = both.now })
    repeat until not both.answering:poll()
  end
  for _ = 1, 1000 do
    local bytes, info = both.server:send(both.now)
    if bytes then
      both.client:recv(bytes, { from = info.from, to = info.to, at = both.now })
      repeat
        local kind, stream = both.asking:poll()
        if kind == "data" then
          while both.asking:recv_body(stream) do end
          for i, other in ipairs(streams) do
            if other == stream and not had[i] then
              had[i] = true
              list[#list + 1] = "+" .. i
            end
          end
        elseif kind == "finished" then
          for i, other in ipairs(streams) do
            if other == stream then list[#list + 1] = "-" .. i end
          end
        end
      until not kind
    end
    local back, about = both.client:send(both.now)
    while back do
      both.server:recv(back, { from = about.from, to = about.to, at = both.now })
      back, about = both.client:send(both.now)
    end
    both.now = both.now + 0.001
    for _, conn in ipairs({ both.client, both.server }) do
      if conn:timeout(both.now) == 0 then conn:on_timeout(both.now) end
    end
    if #list == 2 * #streams then break end
  end
  return table.concat(list, " ")
end

-- Asks with these values of `priority`; false: none.
local function ask(both, values)
  local streams = {}
  for i, value in ipairs(values) do streams[i] = assert(both.asking:send_request(request(value or nil), true)) end
  hear(both)
  return streams
end

local function order_of(...)
  local both = new_pair()
  return order(both, ask(both, { ... }))
end

describe("responses", function()
  it("of which nobody said anything take turns", function()
    assert.equal("+1 +2 -1 -2", order_of(false, false))
    assert.equal("+1 +2 -1 -2", order_of("u=11111111111111111111", "?")) -- are no Dictionaries
  end)

  -- covers: rfc9218#10.1 rfc9218#10.2 rfc9218#10.3 rfc9218#10.4
  it("go by urgency, then one after the other, and take turns where they are incremental", function()
    assert.equal("+2 -2 +1 -1", order_of("u=4", "u=2"))
    assert.equal("+1 -1 +2 -2", order_of("u=2", "u=2"))
    assert.equal("+1 +2 -1 -2", order_of("u=2, i", "u=2, i"))
    assert.equal("+1 -1 +2 -2 +3 -3", order_of("", "u=3, i=?0", "u=5, i"))
  end)

  it("go as the server says where it says anything, by a field or by itself", function()
    local both = new_pair()
    assert.equal("+2 -2 +1 -1", order(both, ask(both, { "u=1", "u=5" }), { {}, { "priority", "u=0" } }))
    both = new_pair()
    -- That it is incremental is still the client's.
    assert.equal("+1 +2 -1 -2", order(both, ask(both, { "u=1, i", "u=5, i" }), { {}, { "priority", "u=1" } }))
    both = new_pair()
    local streams = ask(both, { "u=1", "u=5" })
    assert.is_true(both.answering:set_priority(streams[2], 0, false))
    assert.same({ 5, false }, { both.answering:priority(streams[2]) })
    assert.equal("+2 -2 +1 -1", order(both, streams))
  end)

  -- covers: rfc9218#7.3
  it("go by what came ahead of their requests, of which the newest 16 are kept, whatever the requests say", function()
    local both = pair.new()
    both.answering = core.h3(both.server)
    local function update(id, value) return exchange.frame(0xf0700, exchange.varint(id) .. value) end
    local control = assert(both.client:stream_open("uni"))
    local frames = { "\0", exchange.settings(), update(0, "u=6"), update(4, "u=1"), update(4, "u=2, i") }
    for id = 8, 64, 4 do frames[#frames + 1] = update(id, "u=5") end
    both.client:stream_send(control, table.concat(frames), false)
    hear(both)
    local list = {}
    for _, value in ipairs({ "u=7", "u=7", "u=7", "" }) do
      local id = assert(both.client:stream_open("bidi"))
      local fields = exchange.with(exchange.GET, { "priority", value })
      both.client:stream_send(id, exchange.headers(fields), true)
      hear(both)
      local urgency, incremental = both.answering:priority(id)
      list[#list + 1] = urgency .. (incremental and ", i" or "")
    end
    assert.same({ "7", "2, i", "5", "5" }, list)
  end)

  it("go as the client says since, also when all of them is queued, and what the server said stays then too", function()
    local both = new_pair()
    local streams = ask(both, { "u=4", "u=4", "u=4", "u=4" })
    assert.is_true(both.answering:set_priority(streams[4], 5, false))
    local fields = { {}, {}, { "priority", "u=3" }, {} }
    assert.equal("+2 -2 +3 -3 +4 -4 +1 -1", order(both, streams, fields, function()
      for i, urgency in ipairs{ 7, 2, 6, 0 } do
        assert.is_true(both.asking:set_priority(streams[i], urgency, false))
      end
    end))
  end)

  it("go by what came ahead, whatever comes for requests that are over", function()
    local both = pair.new()
    both.answering = core.h3(both.server)
    local function update(id, value) return exchange.frame(0xf0700, exchange.varint(id) .. value) end
    local control = assert(both.client:stream_open("uni"))
    both.client:stream_send(control, "\0" .. exchange.settings(), false)
    hear(both)
    local function get()
      local id = assert(both.client:stream_open("bidi"))
      both.client:stream_send(id, exchange.headers(exchange.GET), true)
      hear(both)
      return id
    end
    local late = {}
    for i = 1, 17 do
      local id = get()
      assert.equal(0, both.answering:respond(id, 200, {}, "", 0))
      both:pump()
      while both.client:stream_recv(id) do end
      late[i] = update(id, "u=5")
    end
    both.client:stream_send(control, update(17 * 4, "u=2") .. table.concat(late), false)
    hear(both)
    assert.same({ 2, false }, { both.answering:priority(get()) })
  end)

  it("go as the client says since, but what the server said stays", function()
    local both = new_pair()
    local streams = ask(both, { "u=4", "u=4", "u=4" })
    assert.is_true(both.answering:set_priority(streams[3], 3, false))
    assert.is_true(both.asking:set_priority(streams[2], 1, false))
    assert.is_true(both.asking:set_priority(streams[3], 7, false))
    hear(both)
    assert.same({ 1, false }, { both.answering:priority(streams[2]) })
    assert.same({ 7, false }, { both.answering:priority(streams[3]) })
    assert.equal("+2 -2 +3 -3 +1 -1", order(both, streams))
    assert.same({ nil, "state" }, { (both.asking:set_priority(streams[2], 1, false)),
      select(3, both.asking:set_priority(streams[2], 1, false)) })
    assert.equal("argument", (select(3, both.answering:set_priority(streams[2], 8, false))))
  end)
end)
