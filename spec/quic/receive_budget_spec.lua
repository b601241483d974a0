-- Connections whose data no one reads, beside one whose data is read: the memory that they share has room for both.
local net = require("support.quic_net")

local MS = net.MS
local LIMIT, HOSTILE, STREAMS = 3 * 1048576, 7, 4
local BUDGET, FLOOR, DATAGRAM = LIMIT / 2, 65536, 1500

local options = {
  memory_limit = LIMIT,
  initial_max_data = 524288,
  initial_max_stream_data_bidi_remote = 262144,
  initial_max_stream_data_uni = 262144,
}

--- Connections to one server's config.
local function gather(own)
  local party = { config = net.config(own or options, 99, true), pairs = {} }
  function party:join()
    local seed = #self.pairs + 1
    local p = net.pair({ seed = seed, server_config = self.config }):handshake()
    self.pairs[seed] = p
    return p
  end
  function party:leave()
    for _, p in ipairs(self.pairs) do p:free() end
    assert.equal(0, self.config:memory().receive_held)
    self.config:free()
    assert.equal(0, self.config:memory().live)
  end
  function party:held()
    local sum = 0
    for _, p in ipairs(self.pairs) do sum = sum + p.server:stats().receive_held end
    assert.equal(sum, self.config:memory().receive_held)
    return sum
  end
  return party
end

--- The client sends what it may on streams that no one reads.
local function pour(p)
  local body = ("h"):rep(65536)
  p.hoard, p.given = {}, 0
  for i = 1, STREAMS do p.hoard[i] = assert(p.client:open(true)) end
  p:run(function()
    for _, id in ipairs(p.hoard) do
      local taken
      repeat
        taken = p.client:stream_send(id, body, false) or 0
        p.given = p.given + math.max(taken, 0)
      until taken <= 0
    end
  end, 2000 * MS)
end

--- Reads the hoard; says how much it was.
local function read_all(p)
  local count = 0
  for _, id in ipairs(p.hoard) do
    local part
    repeat
      part = p.server:stream_recv(id)
      count = count + (part and #part or 0)
    until not part or #part == 0
  end
  return count
end

describe("what no one reads", function()
  it("stays within one bound for all connections of a config, beside which others are served", function()
    local all = gather()
    assert.equal(BUDGET, all.config:memory().receive_most)
    for i = 1, HOSTILE do
      pour(all:join())
      assert.is_true(all:held() <= BUDGET + i * (FLOOR + STREAMS * DATAGRAM), all:held())
    end
    assert.is_true(all:held() >= BUDGET)
    -- Each has its part, also who came when all was used up.
    for _, p in ipairs(all.pairs) do assert.is_true(p.server:stats().receive_held >= FLOOR) end
    local honest = all:join()
    local data = ("honest "):rep(149797):sub(1, 1048576)
    assert.equal(data, (honest:transfer("client", data)))
    assert.equal(0, honest.server:stats().receive_held)
    -- Nobody was closed for it.
    for _, p in ipairs(all.pairs) do
      assert.equal("none", p.server:info().by)
      assert.equal("none", p.client:info().by)
    end
    all:leave()
  end)

  --- STREAM frames of two bytes around every boundary of 4 KiB of a stream's window, which takes both rooms whole.
  local function spread(p, id)
    local parts, size = {}, 0
    local function leave()
      p:inject("client", net.APPLICATION, table.concat(parts))
      parts, size = {}, 0
    end
    for k = 1, 255 do
      local frame = net.bytes(0x0e, id, k * 4096 - 1, 2, "xy")
      if size + #frame > 1100 then leave() end
      parts[#parts + 1], size = frame, size + #frame
    end
    leave()
  end

  it("takes no more than half of memory_limit, whatever it looks like", function()
    local limit = 32 * 1048576
    local all = gather({ memory_limit = limit })
    local start = all.config:memory().used
    for _ = 1, 4 do
      local p = all:join()
      for stream = 0, 9 do spread(p, stream * 4) end
    end
    local used = all.config:memory().used - start
    assert.is_true(used <= limit / 2 + 4 * FLOOR, used)
    assert.is_true(all:held() >= limit / 2 and all:held() <= used)
    local honest = all:join()
    assert.equal("question", (honest:transfer("client", "question")))
    all:leave()
  end)

  it("goes on where it was refused when it is read", function()
    local all = gather()
    for _ = 1, HOSTILE do pour(all:join()) end
    local last = all.pairs[HOSTILE]
    local before = last.server:stats().receive_held
    assert.is_true(before < FLOOR + STREAMS * DATAGRAM)
    -- The others still hold what they have; this one's reader has all that the client gave, though slowly.
    local count = 0
    assert.is_true(last.given > options.initial_max_data)
    assert.is_true(last:run(function(p)
      count = count + read_all(p)
      return count == p.given
    end, 120000 * MS), count)
    for i = 1, HOSTILE - 1 do assert.is_true(read_all(all.pairs[i]) > 0) end
    assert.is_true(all:held() < BUDGET)
    all:leave()
  end)

  it("is counted exactly when any allocation fails", function()
    for at = 1, 150, 7 do
      local all = gather()
      local p = all:join()
      all.config:fail_at(at)
      pour(p)
      all:held()
      all.config:fail_at(-1)
      read_all(p)
      all:held()
      all:leave()
    end
  end)
end)
