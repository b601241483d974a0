-- Clients for which much is queued and that take nothing of it, beside one that does: what is queued has a bound for
-- all of them, and little of it waits for credit.
local net = require("support.quic_net")

local MS = net.MS
local LIMIT, STREAMS = 8 * 1048576, 100
local BUDGET, FLOOR, LEAST, AHEAD = math.floor(LIMIT / 3), 65536, 2048, 16384

local function gather(client)
  local party = { config = net.config({ memory_limit = LIMIT }, 99, true), pairs = {} }
  function party:join(own)
    local seed = #self.pairs + 1
    local p = net.pair({ seed = seed, server_config = self.config, client = own or client }):handshake()
    self.pairs[seed] = p
    return p
  end
  function party:leave()
    for _, p in ipairs(self.pairs) do p:free() end
    assert.equal(0, self.config:memory().send_held)
    self.config:free()
    assert.equal(0, self.config:memory().live)
  end
  return party
end

--- The client asks on so many streams, and the server answers each with as much as is taken: how much that is.
local function answer(p, count)
  local body, taken = ("b"):rep(65536), 0
  p.asked = {}
  for i = 1, count do
    p.asked[i] = assert(p.client:open(true))
    p.client:stream_send(p.asked[i], "big", true)
  end
  p:run(function()
    local id = p.server:readable_next()
    while id do
      p.server:stream_recv(id)
      local part
      repeat
        part = p.server:stream_send(id, body, false) or 0
        taken = taken + math.max(part, 0)
      until part <= 0
      id = p.server:readable_next()
    end
  end, 1000 * MS)
  return taken
end

describe("responses that nobody takes", function()
  it("are little where there is no credit, and have a bound for all connections", function()
    local all = gather({ initial_max_stream_data_bidi_local = 0, initial_max_data = 10000, max_connection_window = 0,
      max_stream_window = 0 })
    assert.equal(BUDGET, all.config:memory().send_most)
    for i = 1, 5 do
      local before = all.config:memory().send_held
      answer(all:join(), STREAMS)
      local held = all.config:memory().send_held
      assert.is_true(held - before <= STREAMS * AHEAD, held - before)
      assert.is_true(held <= BUDGET + i * FLOOR, held)
    end
    assert.is_true(all.config:memory().send_held > BUDGET / 2)
    assert.is_true(all.config:bounds().send_ahead >= STREAMS, all.config:bounds().send_ahead)
    assert.is_true(all.config:memory().used < LIMIT / 2)
    -- Whoever takes what is sent has it.
    local honest = all:join({})
    local data = ("honest "):rep(149797):sub(1, 1048576)
    assert.equal(data, (honest:transfer("server", data)))
    for _, p in ipairs(all.pairs) do assert.equal("none", p.server:info().by) end
    all:leave()
  end)

  it("have the same bound where credit is given and nothing acknowledged", function()
    local all = gather()
    for i = 1, 40 do
      local p = all:join()
      -- The client is heard, and hears nothing.
      p.drop = function(direction) return direction == "down" end
      answer(p, 10)
      assert.is_true(all.config:memory().send_held <= BUDGET + i * (FLOOR + 10 * LEAST), all.config:memory().send_held)
    end
    assert.is_true(all.config:memory().send_held > BUDGET)
    -- The last of them have what each has in any case.
    assert.is_true(all.config:bounds().send_budget >= 100, all.config:bounds().send_budget)
    assert.equal(0, all.config:bounds().send_ahead)
    local honest = all:join()
    local data = ("honest "):rep(149797):sub(1, 1048576)
    assert.equal(data, (honest:transfer("server", data)))
    all:leave()
  end)

  it("do not hold up the one that is read, of the same connection", function()
    local all = gather({ initial_max_stream_data_bidi_local = 0 })
    for _ = 1, 5 do answer(all:join(), STREAMS) end
    local last = all.pairs[5]
    local data = ("read "):rep(209716):sub(1, 1048576)
    assert.equal(data, (last:transfer("server", data)))
    all:leave()
  end)

  it("go on when they are taken after all", function()
    local all = gather({ initial_max_stream_data_bidi_local = 20000, initial_max_data = 50000 })
    local p = all:join()
    local size, done, sent, got = 300000, 0, {}, {}
    for _ = 1, 10 do
      local id = assert(p.client:open(true))
      p.client:stream_send(id, "big", true)
      sent[id], got[id] = 0, 0
    end
    local body = ("b"):rep(size)
    local function serve(id)
      local part
      repeat
        part = sent[id] < size and p.server:stream_send(id, body:sub(sent[id] + 1), true) or 0
        sent[id] = sent[id] + math.max(part, 0)
      until part <= 0
    end
    -- The server waits to be told.
    assert.is_true(p:run(function()
      for _, next_one in ipairs({ "readable_next", "writable_next" }) do
        local id = p.server[next_one](p.server)
        while id do
          p.server:stream_recv(id)
          serve(id)
          id = p.server[next_one](p.server)
        end
      end
      for id in pairs(got) do
        local text, fin = p.client:stream_recv(id)
        got[id] = got[id] + (text and #text or 0)
        if fin == true then done = done + 1 end
      end
      return done == 10
    end, 60000 * MS), done)
    for id in pairs(got) do assert.equal(size, got[id]) end
    all:leave()
  end)

  it("are counted exactly when any allocation fails", function()
    for at = 1, 150, 7 do
      local all = gather({ initial_max_stream_data_bidi_local = 5000 })
      local p = all:join()
      all.config:fail_at(at)
      answer(p, 4)
      all.config:fail_at(-1)
      answer(p, 4)
      all:leave()
    end
  end)
end)
