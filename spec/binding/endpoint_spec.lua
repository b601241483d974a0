local core = require "neap.core"
local pair = require "binding.pair"

local CLIENT, SERVER = "192.0.2.1:1000", "192.0.2.2:443"

-- A server and a client endpoint in memory; move() carries datagrams until there are none.
local function new_pair(server_options)
  local self = { now = 1 }
  self.config = pair.config(server_options)
  self.server, self.client = core.endpoint(self.config, true), core.endpoint(pair.config(), false)

  local function carry(from, to)
    local bytes, info = from:send(self.now)
    if not bytes then return false end
    repeat
      for first = 1, #bytes, info.segment_size do
        to:recv(bytes:sub(first, first + info.segment_size - 1), { from = info.from, to = info.to, at = self.now })
      end
      bytes, info = from:send(self.now)
    until not bytes
    return true
  end

  function self.move()
    local moved
    repeat
      moved = carry(self.client, self.server)
      moved = carry(self.server, self.client) or moved
    until not moved
  end

  function self.connect()
    return assert(self.client:connect("localhost", SERVER, { from = CLIENT, at = self.now }))
  end

  return self
end

-- All connections with news, each once.
local function news(endpoint)
  local list, seen = {}, {}
  for conn in endpoint.next, endpoint do
    if not seen[conn] then list[#list + 1] = conn end
    seen[conn] = true
  end
  return list
end

describe("an endpoint", function()
  it("shows first packets, and does with them what it is told", function()
    local both = new_pair()
    both.server:ask_arrivals(true)
    local conn = both.connect()
    both.move()
    assert.same({}, news(both.server))
    local id, info = both.server:next_arrival()
    assert.same({ CLIENT, SERVER, 1, false, 0, 0 },
      { info.from, info.to, info.version, info.has_token, info.half_open, info.connections })
    assert.same({ 1200, 8 }, { info.size, #info.scid })
    assert.is_nil((both.server:next_arrival()))
    assert.has_error(function() both.server:admit(id, "perhaps") end)
    assert.has_error(function() both.server:admit(-1, "accept") end)
    assert.is_true(both.server:admit(id, "accept", both.now))
    assert.equal("in use", select(3, both.server:admit(id, "accept", both.now)))
    both.move()
    assert.is_true(conn:is_established())
    both.server:ask_arrivals(false)
    local other = both.connect()
    both.move()
    assert.is_true(other:is_established())
    both.server:close()
    assert.is_nil((both.server:next_arrival()))
    assert.equal("closed", select(3, both.server:admit(id, "accept")))
    both.client:close()
  end)

  it("accepts connections and gives the same userdata each time", function()
    local both = new_pair()
    local conn = both.connect()
    both.move()
    local accepted = news(both.server)
    assert.equal(1, #accepted)
    assert.same({ conn }, news(both.client))
    assert.is_true(conn:is_established())
    assert.is_true(accepted[1]:is_server())
    local id = conn:stream_open()
    conn:stream_send(id, "hello", true)
    both.move()
    assert.same(accepted, news(both.server))
    assert.equal(64, both.server:stats().receive_held) -- a grain of memory, for five bytes
    assert.equal("hello", (accepted[1]:stream_recv(id)))
    assert.equal(1, both.server:stats().accepted)
    assert.equal(0, both.server:stats().receive_held)
    assert.equal(1, both.server:stats().connections)
    assert.matches("server", tostring(both.server))
  end)

  it("shows a closed connection once more, already given back", function()
    local both = new_pair()
    local conn = both.connect()
    both.move()
    local accepted = news(both.server)[1]
    news(both.client)
    conn:close(5, "done")
    both.move()
    assert.same({ accepted }, news(both.server))
    assert.is_true(accepted:is_draining())
    both.now = both.now + 20
    both.move()
    assert.same({ accepted }, news(both.server))
    assert.is_true(accepted:is_closed())
    assert.equal("done", accepted:error().reason)
    assert.same({}, news(both.server))
    assert.equal(0, both.server:stats().connections)
  end)

  it("keeps the datagrams and timers of its connections to itself", function()
    local both = new_pair()
    local conn = both.connect()
    for _, method in ipairs{ "send", "timeout", "on_timeout", "deadline" } do
      assert.error_matches(function() conn[method](conn, 1) end, "endpoint")
    end
    assert.is_number(both.client:timeout(1))
    assert.is_number(both.client:deadline())
    assert.is_nil(both.server:timeout(1))
    assert.is_nil(both.server:address())
  end)

  it("refuses new connections when told to", function()
    local both = new_pair()
    both.server:refuse(true)
    local conn = both.connect()
    both.move()
    assert.equal(0, #news(both.server))
    assert.equal("CONNECTION_REFUSED", conn:error().name)
    assert.equal(1, both.server:stats().refused)
    both.server:refuse(false)
    conn = both.connect()
    both.move()
    assert.is_true(conn:is_established())
  end)

  it("connects with other configs than its own", function()
    local both = new_pair{ alpn = "special" }
    local conn = assert(both.client:connect("localhost", SERVER,
      { from = CLIENT, at = 1, config = pair.config{ alpn = "special" } }))
    collectgarbage()
    both.move()
    assert.equal("special", conn:alpn())
  end)

  it("gives connections back on release", function()
    local both = new_pair()
    local conn = both.connect()
    both.move()
    conn:close()
    conn:release()
    both.move()
    assert.equal("peer", news(both.server)[1]:error().by)
    assert.is_true(conn:is_closed())
  end)

  it("raises for datagrams without addresses", function()
    local both = new_pair()
    assert.has_error(function() both.server:recv("x", { at = 1 }) end)
    assert.has_error(function() both.server:recv("x", { from = CLIENT, to = SERVER }) end)
    assert.has_error(function() both.server:recv("x") end)
  end)

  it("believes ICMP of its first packet alone, that nobody is there, and until somebody answers", function()
    local both = new_pair()
    local conn = both.connect()
    news(both.client)
    local bytes = both.client:send(both.now)
    for _, case in ipairs{
      { "192.0.2.3:443", bytes }, -- another address
      { SERVER, bytes:sub(1, 6) .. "x" .. bytes:sub(8) }, -- another destination connection ID, which nobody can guess
      { SERVER, bytes:sub(1, 6) }, { SERVER, "" }, { SERVER, "\64" .. bytes:sub(2) },
    } do
      both.client:unreachable(case[1], case[2])
      assert.is_false(conn:is_unreachable())
    end
    both.client:unreachable(SERVER, bytes:sub(1, 528))
    assert.is_true(conn:is_unreachable())
    assert.same({ conn }, news(both.client))
    both.client:unreachable(SERVER, bytes)
    assert.same({}, news(both.client))
    assert.is_false(conn:is_draining())
    both.server:recv(bytes, { from = CLIENT, to = SERVER, at = both.now })
    both.move()
    assert.is_true(conn:is_established())
    assert.is_false(conn:is_unreachable())
    both.client:unreachable(SERVER, bytes)
    assert.is_false(conn:is_unreachable())
  end)

  it("believes ICMP no more when a Retry or Version Negotiation packet has come, which is an answer too", function()
    for kind, options in pairs{ retries = { retry = "always" }, version_negotiations = { versions = "v2" } } do
      local both = new_pair(options)
      local conn = both.connect()
      local bytes = both.client:send(both.now)
      both.client:unreachable(SERVER, bytes)
      assert.is_true(conn:is_unreachable())
      both.server:recv(bytes, { from = CLIENT, to = SERVER, at = both.now })
      local answer, info = both.server:send(both.now)
      -- Another tag, and a list with the version that was sent: no answers.
      both.client:recv(answer .. "\0\0\0\1", { from = info.from, to = info.to, at = both.now })
      assert.is_true(conn:is_unreachable())
      both.client:recv(answer, { from = info.from, to = info.to, at = both.now })
      assert.equal(1, both.server:stats()[kind .. "_sent"])
      assert.is_false(conn:is_unreachable())
      both.client:unreachable(SERVER, bytes)
      both.client:unreachable(SERVER, (both.client:send(both.now)))
      assert.is_false(conn:is_unreachable())
    end
  end)
end)
