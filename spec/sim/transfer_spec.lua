-- Handshakes and transfers over a bad network, all in virtual time: the seed is in every message.
local sim = require "neap.sim"
local transfer = require "sim.transfer"

local MEGABYTE = 1000000

-- Loss 0 to 30 %, and the rest of the weather, from the seed alone.
local function weather(seed)
  return {
    delay = 0.002 + seed % 7 * 0.008,
    jitter = seed % 3 * 0.002,
    rate = seed % 4 == 0 and 20e6 / 8 or nil,
    queue = 30,
    loss = seed % 31 / 100,
    reorder = seed % 5 * 0.04,
    duplicate = seed % 6 * 0.03,
    corrupt = seed % 8 == 7 and 0.01 or 0,
  }
end

describe("a transfer over a bad network", function()
  for first = 1, 200, 20 do
    local name = "carries 1 MB both ways with loss of 0 to 30 %%, reordering and duplication: seeds %d to %d"
    it(name:format(first, first + 19), function()
      for seed = first, first + 19 do
        local run = transfer.new(seed, weather(seed), MEGABYTE)
        run.finish(3600)
        run.sim:close()
      end
    end)
  end

  it("gives the same trace for the same seed, and another one for another", function()
    local function trace(seed)
      local link = { delay = 0.01, loss = 0.05, reorder = 0.1, duplicate = 0.1, jitter = 0.001 }
      local run = transfer.new(seed, link, 100000)
      local time, hash = run.finish()
      local sent = run.link.up.sent + run.link.down.sent
      run.sim:close()
      return ("%.9f s, %d datagrams, hash %.0f"):format(time, sent, hash)
    end
    local seen = {}
    for seed = 1, 10 do
      local first = trace(seed)
      assert.equal(first, trace(seed), "seed " .. seed)
      assert.is_nil(seen[first], "seed " .. seed)
      seen[first] = true
    end
  end)
end)

describe("a handshake", function()
  local UDP_DATAGRAMS = 12

  -- Datagrams 1 to 12 are the client's, 13 to 24 the server's.
  local function drop(first, second)
    local up, down = {}, {}
    for _, index in ipairs{ first, second } do
      local list = index <= UDP_DATAGRAMS and up or down
      list[#list + 1] = index <= UDP_DATAGRAMS and index or index - UDP_DATAGRAMS
    end
    local run = transfer.new(3, { delay = 0.02, up = { drop = up }, down = { drop = down } }, 20000)
    run.finish(30)
    assert.is_true(run.client.conn:is_confirmed(), "the client's side is confirmed")
    assert.is_true(run.server_conn:is_confirmed(), "the server's side is confirmed")
    assert.is_true(run.link.up.sent > UDP_DATAGRAMS and run.link.down.sent > UDP_DATAGRAMS, "enough datagrams")
    run.sim:close()
  end

  for index = 1, 2 * UDP_DATAGRAMS do
    local side = index <= UDP_DATAGRAMS and "client" or "server"
    it(("completes when datagram %d of the %s is lost, alone or with any later one"):format(
      (index - 1) % UDP_DATAGRAMS + 1, side), function()
      drop(index, index)
      for other = index + 1, 2 * UDP_DATAGRAMS do drop(index, other) end
    end)
  end

  it("completes with a hundred clients at once, through a Retry each", function()
    local lab = sim.new{ seed = 11 }
    lab:link{ delay = 0.01, loss = 0.1 }
    local server = lab:server{ retry = true }
    local clients = {}
    for i = 1, 100 do clients[i] = lab:client{ server = server, handshake_timeout = 60 } end
    lab:run(function()
      for _, client in ipairs(clients) do
        if not client.conn:is_confirmed() then return false end
      end
      return true
    end)
    assert.is_true(server.endpoint:stats().retries_sent >= 100)
    assert.equal(100, server.endpoint:stats().accepted)
    lab:close()
  end)
end)
