-- Many connections with bulk on many streams at once, behind a link that carries a part of what they could send.
local core = require "neap.core"
local pair = require "binding.pair"

local CLIENT, SERVER = "192.0.2.1:1000", "192.0.2.2:443"
local CONNECTIONS, STREAMS = 24, 10
local BUFFER = 8192          -- bytes a stream may hold
local ROUND = 0.01           -- half a round trip
local CARRIED = 240000       -- bytes that the server's link carries in one: an eighth of what all may have in flight
local ROUNDS = 100
local PIECE = ("tide"):rep(BUFFER / 4)

local function move(from, to, now, most)
  local sum = 0
  while sum < most do
    local bytes, info = from:send(now)
    if not bytes then return end
    sum = sum + #bytes
    for first = 1, #bytes, info.segment_size do
      to:recv(bytes:sub(first, first + info.segment_size - 1), { from = info.from, to = info.to, at = now })
    end
  end
end

local function fill(conn, id)
  repeat
    local taken = conn:stream_send(id, PIECE)
  until not taken or taken < #PIECE
end

local function serve(server)
  for conn in server.next, server do
    for id in conn.readable_next, conn do
      conn:stream_recv(id)
      fill(conn, id)
    end
    for id in conn.writable_next, conn do fill(conn, id) end
  end
end

-- Bytes of each stream, by connection and ID.
local function read(client, got)
  for conn in client.next, client do
    for id in conn.readable_next, conn do
      local bytes = conn:stream_recv(id)
      while bytes and #bytes > 0 do
        got[conn][id] = (got[conn][id] or 0) + #bytes
        bytes = conn:stream_recv(id)
      end
    end
  end
end

describe("bulk on all streams of many connections at once", function()
  it("is shared by connections and by streams within a fifth, in bounded memory", function()
    local limit = CONNECTIONS * (65536 + STREAMS * 2 * BUFFER)
    local config = pair.config({ send_buffer = BUFFER, memory_limit = limit, handshake_rate = 0 })
    local server, client = core.endpoint(config, true), core.endpoint(pair.config(), false)
    local now, got = 1, {}
    for _ = 1, CONNECTIONS do got[assert(client:connect("localhost", SERVER, { from = CLIENT, at = now }))] = {} end

    local function round()
      move(client, server, now, math.huge)
      serve(server)
      move(server, client, now, CARRIED)
      read(client, got)
      now = now + ROUND
    end
    for _ = 1, 10 do round() end
    for conn in pairs(got) do
      assert.is_true(conn:is_confirmed())
      for _ = 1, STREAMS do conn:stream_send(assert(conn:stream_open()), "x", true) end
    end
    local most = 0
    for _ = 1, ROUNDS do
      round()
      most = math.max(most, config:memory().reserved)
    end

    local sum, connections, streams = 0, {}, {}
    for _, bytes in pairs(got) do
      local all = 0
      for _, count in pairs(bytes) do
        streams[#streams + 1] = count
        all = all + count
      end
      connections[#connections + 1] = all
      sum = sum + all
    end
    assert.is_true(sum > 0.9 * CARRIED * (ROUNDS - 2), sum)
    assert.equal(CONNECTIONS * STREAMS, #streams)
    for _, all in ipairs(connections) do
      assert.is_true(math.abs(all * CONNECTIONS / sum - 1) <= 0.2, all * CONNECTIONS / sum)
    end
    for _, count in ipairs(streams) do
      assert.is_true(math.abs(count * #streams / sum - 1) <= 0.2, count * #streams / sum)
    end
    assert.is_true(most <= limit)
    assert.equal(0, config:memory().refused)
    server:close()
    client:close()
  end)
end)
