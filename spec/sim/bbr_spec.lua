-- BBRv3 on links in virtual time: what it carries, beside CUBIC, and how long its queue is.
local flows = require "sim.flows"

local MEGABIT = 1e6 / 8

-- Megabits a second of each flow, after `warm` seconds; and the flows, closed, with the statistics of the first.
local function run(seed, link, controllers, warm, seconds, config)
  local all = flows.new(seed, link, controllers, config)
  all.rates(warm)
  local rates = all.rates(seconds)
  for i, rate in ipairs(rates) do rates[i] = rate / MEGABIT end
  all.stats = all.clients[1].conn:stats()
  all.sim:close()
  return rates, all
end

local function link(rate, delay, queue, loss)
  return { rate = rate * MEGABIT, delay = delay, queue = queue, up = { loss = loss or 0 } }
end

local function mean(seeds, ...)
  local sum = 0
  for seed = 1, seeds do sum = sum + run(seed, ...)[1] end
  return sum / seeds
end

local function at_least(least, got)
  if got < least then error(("%.2f, and not %.2f"):format(got, least), 2) end
end

describe("BBR", function()
  it("carries 9.3 of a link's 10 Mbit/s where the queue has 25 datagrams, and loses few", function()
    for seed = 1, 2 do
      local rates, all = run(seed, link(10, 0.015, 25), { "bbr" }, 5, 20)
      at_least(9.3, rates[1])
      assert.is_true(all.stats.packets_lost < all.stats.packets_sent / 100)
    end
  end)

  it("shares the link with CUBIC, and with its own kind", function()
    for seed = 1, 2 do
      for _, other in ipairs{ "cubic", "bbr" } do
        local rates = run(seed, link(10, 0.015, 25), { "bbr", other }, 5, 60)
        local share = rates[1] / (rates[1] + rates[2])
        assert.is_true(share >= 0.35 and share <= 0.65, ("beside %s: %.2f"):format(other, share))
        at_least(9.3, rates[1] + rates[2])
      end
    end
  end)

  -- Datagrams of 9000 bytes, so that seven seconds are 80,000 of them and not half a million.
  it("fills a gigabit over 100 ms with one datagram in 10,000 lost, which CUBIC does not", function()
    local config = { max_send_udp_payload_size = 9000, send_buffer = 2 ^ 26, initial_max_data = 2 ^ 26,
      initial_max_stream_data_uni = 2 ^ 26 }
    at_least(800, run(1, link(1000, 0.05, 1400, 0.0001), { "bbr" }, 3, 3, config)[1])
    assert.is_true(run(1, link(1000, 0.05, 1400, 0.0001), { "cubic" }, 4, 3, config)[1] < 500)
  end)

  it("keeps a short link of 10 Mbit/s full where two datagrams in a hundred are lost", function()
    at_least(9, mean(3, link(10, 0.003, 100, 0.02), { "bbr" }, 3, 20))
  end)

  it("carries several times what CUBIC does where the way is longer, or faster, and lossy", function()
    at_least(1.6, mean(2, link(10, 0.015, 100, 0.02), { "bbr" }, 3, 20) /
      mean(2, link(10, 0.015, 100, 0.02), { "cubic" }, 3, 20))
    local bbr = mean(1, link(50, 0.01, 200, 0.005), { "bbr" }, 3, 15)
    at_least(0.75 * 50, bbr)
    at_least(3, bbr / mean(1, link(50, 0.01, 200, 0.005), { "cubic" }, 3, 15))
  end)

  it("leaves a queue of half a second empty: the round trip stays below 2.5 of the least", function()
    local function longest(controller)
      local all = flows.new(1, link(10, 0.015, 500), { controller })
      local most = 0
      for _ = 1, 150 do
        all.rates(0.1)
        most = math.max(most, all.clients[1].conn:stats().rtt_smoothed)
      end
      local stats = all.clients[1].conn:stats()
      all.sim:close()
      return most / stats.rtt_min
    end
    assert.is_true(longest("bbr") < 2.5)
    at_least(10, longest("cubic"))
  end)

  it("goes on as before when a NAT changes the port", function()
    local all = flows.new(1, link(10, 0.015, 60), { "bbr" })
    all.rates(5)
    all.clients[1]:rebind("10.2.0.9:50001")
    at_least(9, all.rates(2)[1] / MEGABIT)
    assert.equal(1, all.clients[1].server.endpoint:stats().connections)
    all.sim:close()
  end)

  it("follows a link that becomes ten times as fast, and slow again", function()
    local all = flows.new(1, link(5, 0.015, 60), { "bbr" })
    all.rates(4)
    all.link.up.rate = 50 * MEGABIT
    all.rates(4)
    at_least(0.9 * 50, all.rates(4)[1] / MEGABIT)
    all.link.up.rate = 5 * MEGABIT
    all.rates(8)
    at_least(0.85 * 5, all.rates(6)[1] / MEGABIT)
    assert.is_true(all.clients[1].conn:stats().rtt_smoothed < 0.2)
    all.sim:close()
  end)

  it("keeps to what a policer lets through, and loses little to it", function()
    local rate, most = 10 * MEGABIT, 20000
    local tokens, last = most, 0
    local function police(bytes, _, now)
      tokens, last = math.min(most, tokens + (now - last) * rate), now
      if tokens < #bytes then return false end
      tokens = tokens - #bytes
    end
    local policed = { rate = 100 * MEGABIT, delay = 0.015, queue = 100, up = { filter = police } }
    local rates, all = run(1, policed, { "bbr" }, 3, 12)
    at_least(8.5, rates[1])
    assert.is_true(all.stats.packets_lost < all.stats.packets_sent / 25)
  end)

  it("comes back after three seconds in which nothing came through", function()
    local all = flows.new(1, link(10, 0.015, 60), { "bbr" })
    local is_down = false
    local function pass() if is_down then return false end end
    all.link.up.filter, all.link.down.filter = pass, pass
    all.rates(4)
    is_down = true
    all.rates(3)
    is_down = false
    all.rates(3)
    at_least(9.3, all.rates(3)[1] / MEGABIT)
    all.sim:close()
  end)

  it("is the same in every run of a seed, and not in those of another", function()
    local function hash(seed)
      local _, all = run(seed, link(10, 0.015, 25), { "bbr", "bbr" }, 3, 3)
      return all.sim.hash
    end
    assert.equal(hash(9), hash(9))
    assert.is_true(hash(9) ~= hash(10))
  end)
end)
