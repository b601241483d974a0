-- What recovery knows of a path, where it goes on under another name.
local recovery = require("neap.units").recovery

local MS = 1000000
local APP = "application"

describe("a path that is another one under a new name", function()
  local function flight(controller)
    local r = recovery.new({ server = true, controller = controller, pacing = true, seed = 1 })
    r:set(0, { handshake_confirmed = true })
    for n = 0, 9 do r:send(APP, n, n * MS) end
    r:ack(APP, { { 0, 4 } }, 50 * MS)
    return r
  end

  for _, controller in ipairs({ "newreno", "cubic", "bbr", "steered" }) do
    it("has what was in flight there, of " .. controller, function()
      local r = flight(controller)
      local delivered = r:state().delivered
      r:move(1, 60 * MS)
      r:send(APP, 10, 60 * MS) -- a probe of the new path
      r:move(0, 60 * MS)
      r:continue(1, 61 * MS)
      assert.same({ 0, 6 * 1200, delivered }, { r:state(0).in_flight, r:state(1).in_flight, r:state(1).delivered })
      r:ack(APP, { { 5, 10 } }, 70 * MS)
      assert.same({ 0, 0, delivered + 6 * 1200 },
        { r:state(0).in_flight, r:state(1).in_flight, r:state(1).delivered })
    end)

    it("hears of losses there, and that they were none, of " .. controller, function()
      local r = flight(controller)
      r:continue(1, 60 * MS)
      for n = 10, 12 do r:send(APP, n, 60 * MS) end
      r:ack(APP, { { 9, 12 } }, 62 * MS)
      while r:fate(APP) do end
      assert.same({ 0, 4, 1 }, { r:state().in_flight, r:state().packets_lost, r:state().congestion_events })
      r:ack(APP, { { 5, 12 } }, 63 * MS)
      assert.equal(4, r:state().spurious)
      assert.equal(controller == "bbr" and 0 or 1, r:state().congestion_undone)
    end)
  end

  it("takes no rate from a probe that was sent before it was that", function()
    for _, controller in ipairs({ "bbr", "steered" }) do
      local r = recovery.new({ server = true, controller = controller, pacing = true, seed = 1 })
      r:set(0, { handshake_confirmed = true })
      local now, n = 0, 0
      local function round()
        for _ = 1, 20 do
          r:send(APP, n, now)
          n, now = n + 1, now + MS
        end
        now = now + 30 * MS
        r:ack(APP, { { n - 20, n - 1 } }, now)
        while r:fate(APP) do end
      end
      for _ = 1, 20 do round() end
      local before = r:figures()
      r:move(1, now)
      r:send(APP, n, now)
      n = n + 1
      r:move(0, now)
      r:continue(1, now)
      r:ack(APP, { { n - 1, n - 1 } }, now + 50 * MS)
      assert.is_true(r:figures().delivery_rate <= before.delivery_rate)
      assert.equal(before.max_bandwidth, r:figures().max_bandwidth)
    end
  end)

  it("does not take what it lost for its own datagram size, nor for marks that vanish", function()
    local r = recovery.new({ server = true, controller = "cubic", most = 1452 })
    r:set(0, { handshake_confirmed = true, ecn = true })
    for n = 0, 9 do r:send(APP, n, 0) end
    r:continue(1, 10 * MS)
    r:set(10 * MS, { ecn = true })
    for n = 10, 13 do r:send(APP, n, 10 * MS, { marked = n < 12 }) end
    r:ack(APP, { { 10, 13 } }, 20 * MS, 0, { ect0 = 2 })
    assert.equal(10, r:state().packets_lost)
    assert.equal("capable", r:state().ecn)
  end)
end)
