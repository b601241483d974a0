-- Loss-based controllers on a link of 10 Mbit/s with a short queue.
local flows = require "sim.flows"

local RATE = 10e6 / 8
local MEGABIT = 1e6 / 8

local function link(loss)
  return { delay = 0.015, rate = RATE, queue = 25, up = { loss = loss or 0 } }
end

local function run(seed, controllers, seconds, loss)
  local all = flows.new(seed, link(loss), controllers)
  all.rates(5)
  local rates = all.rates(seconds)
  all.sim:close()
  return rates
end

describe("CUBIC", function()
  it("carries 9.3 of the link's 10 Mbit/s, of which headers take 0.2", function()
    for seed = 1, 2 do
      local rate = run(seed, { "cubic" }, 20)[1]
      assert.is_true(rate >= 9.3 * MEGABIT, ("seed %d: %.2f Mbit/s"):format(seed, rate / MEGABIT))
    end
  end)

  it("shares the link with another flow of its kind", function()
    for seed = 1, 2 do
      local rates = run(seed, { "cubic", "cubic" }, 60)
      local share = rates[1] / (rates[1] + rates[2])
      assert.is_true(share >= 0.35 and share <= 0.65, ("seed %d: %.2f"):format(seed, share))
      assert.is_true(rates[1] + rates[2] >= 9.3 * MEGABIT)
    end
  end)

  -- covers: rfc9002#7.1
  it("leaves a NewReno flow at least a third of the link", function()
    local rates = run(1, { "cubic", "newreno" }, 60)
    assert.is_true(rates[2] / (rates[1] + rates[2]) >= 0.33)
  end)

  it("is faster than NewReno where two datagrams in a hundred are lost", function()
    local cubic, reno = 0, 0
    for seed = 1, 3 do
      cubic = cubic + run(seed, { "cubic" }, 60, 0.02)[1]
      reno = reno + run(seed, { "newreno" }, 60, 0.02)[1]
    end
    assert.is_true(cubic > reno, ("%.2f and %.2f Mbit/s"):format(cubic / 3 / MEGABIT, reno / 3 / MEGABIT))
  end)

  it("is the same in every run", function()
    local function hash()
      local all = flows.new(9, link(0.01), { "cubic", "cubic" })
      all.rates(3)
      all.sim:close()
      return all.sim.hash
    end
    assert.equal(hash(), hash())
  end)
end)

describe("a window that losses keep small", function()
  -- covers: rfc9002#7.1
  it("is filled but for 1200 bytes, with datagrams that are a little smaller, and not more", function()
    local seen = 0
    for seed = 1, 3 do
      local all = flows.new(seed, link(0.02), { "cubic" }, { pacing = false })
      all.sim:run(2)
      local reduced_at, events = all.sim.now, 0
      for _ = 1, 2000 do
        all.sim:run(0.005)
        local stats = all.clients[1].conn:stats()
        if stats.congestion_events ~= events then events, reduced_at = stats.congestion_events, all.sim.now end
        if all.sim.now > reduced_at + 0.1 then -- recovery is over
          local idle = stats.congestion_window - stats.bytes_in_flight
          assert.is_true(idle >= 0 and idle < 1200, ("seed %d: %d bytes idle"):format(seed, idle))
          seen = seen + 1
        end
      end
      all.sim:close()
    end
    assert.is_true(seen > 500, seen)
  end)
end)

describe("datagrams that overtake one another", function()
  local function counts(seed, controller)
    local all = flows.new(seed, { delay = 0.02, rate = RATE, queue = 60,
      up = { reorder = 0.02, reorder_delay = 0.015 } }, { controller })
    all.rates(5)
    local rate = all.rates(30)[1]
    local stats = all.clients[1].conn:stats()
    all.sim:close()
    return stats, rate
  end

  it("are waited for: few count as lost, and what their loss did to the window is undone", function()
    for _, controller in ipairs{ "cubic", "newreno" } do
      local stats, rate = counts(1, controller)
      assert.is_true(rate >= 8.5 * MEGABIT, ("%s: %.2f Mbit/s"):format(controller, rate / MEGABIT))
      assert.is_true(stats.spurious_losses < stats.packets_sent / 100)
      assert.is_true(stats.congestion_undone > 0)
    end
  end)
end)

describe("a sender without a pacer", function()
  -- covers: rfc9002#7.7.2 rfc9002#7.7.3
  it("sends no more than an initial window at once after silence", function()
    local simulation = require "neap.sim"
    local sim = simulation.new{ seed = 3 }
    local most, at, count, is_watched = 0, -1, 0, false
    local way = sim:link{ delay = 0.05, filter = function(bytes, _, now)
      if is_watched and #bytes > 1000 then
        if now == at then count = count + 1 else at, count = now, 1 end
        most = math.max(most, count)
      end
      return true
    end }
    local id, own, left, got = nil, nil, 3e6, 0
    local piece = ("x"):rep(65536)
    local function push(conn)
      while id and left > 0 do
        local taken = conn:stream_send(id, piece)
        if not taken or taken == 0 then break end
        left = left - taken
        if taken < #piece then break end
      end
      for _ in conn.writable_next, conn do end
    end
    local server = sim:server{ pacing = false, on_conn = function(conn)
      own = conn
      if not id and conn:is_established() then id = conn:stream_open("uni") end
      push(conn)
    end }
    sim:client{ server = server, link = way, max_connection_window = 2 ^ 26, max_stream_window = 2 ^ 26,
      on_conn = function(conn)
        for stream in conn.readable_next, conn do
          for bytes in function() return (conn:stream_recv(stream)) end do got = got + #bytes end
        end
      end }
    sim:run(20)
    assert.is_true(own:stats().congestion_window > 200000)
    local before = got
    left, is_watched = 3e6, true
    push(own)
    server:touch()
    sim:run(0.09)
    assert.is_true(most > 0 and most <= 12, most)
    sim:run(3)
    assert.is_true(got - before >= 3e6)
    sim:close()
  end)
end)
