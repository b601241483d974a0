-- BBRv3: traces over a bottleneck in virtual time, each step held against a model made from the draft's text.
local bbr_model = require "recovery.bbr_model"
local recovery = require("neap.units").recovery
local link = require "recovery.link"

local MS = 1e6
local SECOND = 1e9
local MBIT = 1e6 / 8

local function near(expected, got, part, what)
  if expected == got or math.abs(expected - got) <= math.max(part * math.abs(expected), 4) then return end
  error(("%s: the model has %.3f, not %.3f"):format(what, expected, got), 2)
end

-- What the one in C has and the model has, and what they are called there.
local VALUES = {
  bw = "bw", max_bw = "max_bw", min_rtt = "min_rtt", window = "cwnd", pacing_rate = "pacing_rate",
  bw_shortterm = "bw_shortterm", inflight_shortterm = "inflight_shortterm", inflight_longterm = "inflight_longterm",
  extra_acked = "extra_acked", max_inflight = "max_inflight", send_quantum = "quantum", round_count = "round_count",
  probe_rtt_min_delay = "probe_rtt_min_delay", cycle_count = "cycle", bw_latest = "bw_latest",
}

local function compare(self, states)
  local b, m = self.r:bbr(), self.model
  local at = ("at %.6f s, in %s"):format(self.now / SECOND, b.state)
  if b.state ~= m.state then error(("%s the model is in %s"):format(at, m.state), 2) end
  for here, there in pairs(VALUES) do
    near(m[there], b[here] or math.huge, 1e-4, at .. " " .. here)
  end
  if m.rate > 0 then near(m.rate, self.r:figures().delivery_rate, 1e-4, at .. " delivery_rate") end
  if states[#states] ~= b.state then states[#states + 1] = b.state end
end

-- A link whose every ACK is looked at; returns it and the list of states that it went through.
local function traced(options)
  local states = {}
  options.after_ack = function(self) compare(self, states) end
  local self = link.new(options)
  self.model = bbr_model.new(self.size, self.r:state().window, self.now, function()
    local b = self.r:bbr()
    return b.rounds_since_probe_up, b.bw_probe_wait
  end)
  return self, states
end

local function is_followed(states, ...)
  local at = 1
  for _, state in ipairs{ ... } do
    while states[at] and states[at] ~= state do at = at + 1 end
    if not states[at] then return false end
    at = at + 1
  end
  return true
end

-- Whether so many of a thousand are lost, drawn from a seed.
local function random_loss(permille, seed)
  local x = seed or 1
  return function()
    x = (x * 16807) % 2147483647
    return x % 1000 < permille
  end
end

-- Sends for `on` seconds, is silent for `off`.
local function in_turns(on, off)
  local busy, period = math.floor(on * SECOND), math.floor((on + off) * SECOND)
  return function(now, self)
    local at = (now - SECOND) % period
    self.hungry_at = now - at + period
    return at < busy
  end
end

-- No more than this a second, in datagrams.
local function trickle(rate)
  return function(now, self)
    local due = math.floor((now - SECOND) * rate / SECOND / self.size)
    self.hungry_at = SECOND + math.ceil((self.sent + 1) * self.size * SECOND / rate) + 1
    return self.sent < due
  end
end

describe("BBR beside its model", function()
  local function check(options, seconds, ...)
    local self, states = traced(options)
    self:run(seconds)
    assert.is_true(is_followed(states, ...), table.concat(states, " "))
    return self, states
  end

  it("goes through all its states over a link of 10 Mbit/s", function()
    local self = check({ rate = 10 * MBIT }, 12, "startup", "drain", "down", "cruise", "refill", "up", "down", "cruise",
      "probe_rtt", "cruise", "refill")
    assert.is_true(self.delivered > 0.96 * 12 * 10 * MBIT)
    assert.is_true(self.r:state().packets_lost == 0)
  end)

  it("leaves Startup by losses where the queue is short, and learns how much the path takes", function()
    local self = check({ rate = 10 * MBIT, delay = 30 * MS, queue = 25 * 1200 }, 12,
      "startup", "drain", "down", "cruise", "refill", "up", "down")
    assert.equal("loss", self.r:figures().exit_reason)
    local most = 10 * MBIT * 0.03 + 26 * 1200
    assert.is_true(self.r:bbr().inflight_longterm <= most * 1.02)
    assert.is_true(self.delivered > 0.96 * 12 * 10 * MBIT)
    assert.is_true(self.overflowed < self.sent / 100)
  end)

  it("takes what losses by chance leave", function()
    for _, permille in ipairs{ 3, 10, 20 } do
      local self = check({ rate = 20 * MBIT, delay = 30 * MS, drop = random_loss(permille) }, 6,
        "startup", "drain", "down", "refill")
      assert.is_true(self.delivered > (permille == 3 and 0.85 or 0.4) * 6 * 20 * MBIT, tostring(self.delivered))
    end
  end)

  it("restarts from idle at the bandwidth that it knows, and counts silence for ProbeRTT", function()
    local self, states = check({ rate = 10 * MBIT, hungry = in_turns(1.5, 6) }, 17,
      "startup", "drain", "cruise", "refill")
    assert.is_false(is_followed(states, "probe_rtt"), table.concat(states, " "))
    near(10 * MBIT, self.r:bbr().max_bw, 0.02, "max_bw")
  end)

  it("finds ten times the bandwidth, and a tenth of it", function()
    local self = traced{ rate = 10 * MBIT, delay = 20 * MS, queue = 60 * 1200 }
    self:run_to("cruise")
    self.rate = 100 * MBIT
    self:run(3)
    assert.is_true(self.r:bbr().max_bw > 95 * MBIT, tostring(self.r:bbr().max_bw / MBIT))
    self.rate = 10 * MBIT
    self:run(6)
    near(10 * MBIT, self.r:bbr().max_bw, 0.1, "max_bw")
  end)

  it("gives a window for what is acknowledged in lumps", function()
    local self = check({ rate = 20 * MBIT, delay = 20 * MS, ack_every = 64, ack_delay = 30 * MS }, 8,
      "startup", "drain", "down", "cruise")
    local b = self.r:bbr()
    assert.is_true(b.extra_acked > 32 * 1200, tostring(b.extra_acked))
    assert.is_true(b.max_inflight > 2 * b.bw * b.min_rtt / SECOND)
    assert.is_true(self.delivered > 0.9 * 8 * 20 * MBIT, tostring(self.delivered))
  end)

  it("keeps four datagrams in flight where the path holds less than one", function()
    local self = check({ rate = 1 * MBIT, delay = 4 * MS }, 8, "startup", "drain", "down")
    assert.is_true(self.r:state().window >= 4800)
    near(1 * MBIT, self.r:bbr().bw, 0.02, "bw")
    assert.is_true(self.delivered > 0.95 * 8 * 1 * MBIT)
  end)

  it("sees through packets that come late", function()
    -- One in 400 is overtaken by five or ten others: taken for lost, and found innocent.
    local self = check({ rate = 10 * MBIT, delay = 40 * MS, hold = function(number)
      return number % 400 == 399 and 8 * MS or 0
    end }, 12, "startup", "drain", "down", "cruise", "refill", "up", "down")
    assert.is_true(self.r:state().spurious > 0) -- until recovery waits longer
    assert.is_true(self.delivered > 0.95 * 12 * 10 * MBIT)
  end)

  it("probes again after its wait, where the queue did not drain", function()
    local self, states
    for seed = 1, 9 do -- one whose wait is over before the next ProbeRTT
      self, states = traced{ rate = 10 * MBIT, delay = 40 * MS, seed = seed }
      self:run_to("up")
      if self:run_to("down", 2).bw_probe_wait < 2.2 * SECOND and self.now < 3.6 * SECOND then break end
    end
    self.rate = 7 * MBIT
    local from, since = #states, self.now
    self:run_to("refill", 4)
    assert.same({ "down", "refill" }, { states[from], states[from + 1] })
    assert.is_true(self.now - since > 1 * SECOND)
  end)

  it("lets in other traffic, that takes half of the link at times", function()
    local self = traced{ rate = 10 * MBIT, delay = 30 * MS, queue = 40 * 1200 }
    for _ = 1, 5 do
      self.rate = 5 * MBIT
      self:run(0.7)
      self.rate = 10 * MBIT
      self:run(1.1)
    end
    assert.is_true(self.delivered > 0.8 * 5 * (0.7 * 5 + 1.1 * 10) * MBIT)
  end)

  it("holds at 100 Gbit/s, and where a round trip takes two minutes", function()
    local fast = check({ rate = 100000 * MBIT, delay = MS / 5, ack_every = 16, ack_delay = MS / 50 }, 0.005,
      "startup", "drain", "cruise")
    near(100000 * MBIT, fast.r:bbr().max_bw, 0.02, "max_bw")
    local far = check({ rate = 1 * MBIT, delay = 120 * SECOND, ack_every = 8 }, 400, "startup")
    assert.is_true(far.r:bbr().min_rtt > 120 * SECOND)
    assert.is_true(far.r:bbr().bw > 50)
  end)
end)

describe("BBR in Startup", function()
  it("measures the bandwidth to 2 % before it leaves, after three rounds without growth", function()
    local self = link.new{ rate = 10 * MBIT }
    local most = 0
    local b
    self:run(5, function()
      b = self.r:bbr()
      most = math.max(most, b.full_bw_count)
      return b.state == "drain"
    end)
    assert.same({ 3, true, true }, { most, b.full_bw_now, b.full_bw_reached })
    near(10 * MBIT, b.max_bw, 0.02, "max_bw")
    local figures = self.r:figures()
    assert.same({ "bandwidth", "drain" }, { figures.exit_reason, figures.state })
    assert.equal(b.max_bw, figures.exit_bandwidth)
    assert.equal(b.max_bw, figures.max_bandwidth)
    assert.is_true(figures.exit_window > 0)
  end)

  it("paces the first window over a round trip, times 2.77, once there is one", function()
    local self = link.new{ rate = 10 * MBIT }
    local first = self.r:bbr()
    near(2.77 * 12000 * 1000, first.pacing_rate, 1e-6, "pacing_rate")
    self:run(1, function() return self.r:bbr().round_count > 0 end)
    local rtt = self.r:bbr().min_rtt
    near(2.77 * 12000 * SECOND / rtt, self.r:bbr().pacing_rate, 0.001, "pacing_rate")
  end)

  it("stays while the application sends less, and leaves for losses even then", function()
    local self = link.new{ rate = 10 * MBIT, hungry = trickle(8 * MBIT) }
    assert.is_false(self:run(4, function() return self.r:bbr().state ~= "startup" end))
    self.drop = function(number) return number % 5 == 4 end
    local b = self:run_to("cruise", 2)
    assert.same({ true, true }, { b.full_bw_now, b.full_bw_reached })
    assert.equal("loss", self.r:figures().exit_reason)
  end)

  it("goes back to it from ProbeRTT, when it had not ended", function()
    local self = link.new{ rate = 10 * MBIT, hungry = trickle(2 * MBIT) }
    self.model = { on_sent = function() end, mark_app_limited = function() end, on_ack = function()
      self.delay = self.delay + 1e5 -- the way grows longer, so that the least is of the beginning
    end }
    self:run_to("probe_rtt", 8)
    self:run_to("startup", 2)
  end)

  it("does not leave for a burst of losses", function()
    local self = link.new{ rate = 10 * MBIT, drop = function(number) return number >= 60 and number < 75 end }
    self:run_to("drain", 5)
    assert.equal("bandwidth", self.r:figures().exit_reason)
  end)

  it("comes back when the losses were none", function()
    -- One in eight takes a round trip and a half more, until Startup ends for it.
    local self = link.new{ rate = 10 * MBIT, delay = 40 * MS, hold = function(number)
      return number > 60 and number < 124 and number % 8 == 7 and 70 * MS or 0
    end }
    local was_out, back = false, false
    self:run(5, function()
      local state = self.r:bbr().state
      if state == "drain" and self.r:figures().exit_reason == "loss" then was_out = true end
      if was_out and state == "startup" then back = true end
      return back
    end)
    assert.is_true(was_out and back)
    assert.is_nil(self.r:figures().exit_reason)
  end)
end)

describe("BBR in Drain", function()
  it("sends half of what the path takes until the queue is gone", function()
    local self = link.new{ rate = 10 * MBIT }
    local b = self:run_to("drain")
    near(0.5 * 0.99 * b.bw, b.pacing_rate, 1e-3, "pacing_rate")
    b = self:run_to("cruise", 2) -- from Drain through ProbeBW_DOWN at once
    assert.is_true(self.r:state().in_flight <= math.max(b.bw * b.min_rtt / SECOND, b.send_quantum, 4800) + 1200)
  end)

  it("gives up after three rounds more, when less comes out than it believed", function()
    local self = link.new{ rate = 10 * MBIT }
    local from = self:run_to("drain").round_count
    self.rate = 3 * MBIT
    local b = self:run_to("down", 3)
    assert.is_true(b.round_count - from <= 4)
    assert.is_true(self.r:state().in_flight > b.bw * b.min_rtt / SECOND)
  end)
end)

describe("BBR in recovery", function()
  it("is not undone by what was lost in an earlier one", function()
    local r = recovery.new{ server = true, controller = "bbr", pacing = true, seed = 1 }
    r:set(0, { handshake_confirmed = true })
    local now, n = 0, 0
    local function flight(lost)
      local first, ranges = n, {}
      for _ = 1, 60 do
        r:send("application", n, now)
        n = n + 1
      end
      now = now + 50 * MS
      if lost then ranges[1] = { first, first + lost - 1 } end
      ranges[#ranges + 1] = { first + (lost and lost + 3 or 0), n - 1 }
      r:ack("application", ranges, now)
      while r:fate("application") do end
      return first
    end
    for _ = 1, 12 do flight() end
    local before = flight(10)
    for _ = 1, 4 do flight() end
    flight(10)
    assert.equal(3, r:bbr().undo_packets)
    r:ack("application", { { before + 10, before + 12 } }, now)
    assert.same({ 3, 3 }, { r:bbr().undo_packets, r:state().spurious })
    r:ack("application", { { n - 50, n - 48 } }, now)
    assert.equal(0, r:bbr().undo_packets)
  end)
end)

describe("BBR in ProbeBW", function()
  it("waits 2 to 3 seconds, or 63 rounds, as the seed has it", function()
    local waits, first = {}, nil
    for seed = 1, 8 do
      local self = link.new{ rate = 10 * MBIT, delay = 60 * MS, seed = seed }
      local b = self:run_to("cruise")
      assert.is_true(b.bw_probe_wait >= 2 * SECOND and b.bw_probe_wait < 3 * SECOND)
      assert.is_true(b.rounds_since_probe_up <= 3)
      waits[b.bw_probe_wait] = true
      if seed == 1 then first = b.bw_probe_wait end
    end
    local count = 0
    for _ in pairs(waits) do count = count + 1 end
    assert.equal(8, count)
    local again = link.new{ rate = 10 * MBIT, delay = 60 * MS, seed = 1 }
    assert.equal(first, again:run_to("cruise").bw_probe_wait)
  end)

  it("ends a probe at losses above 2 %, with what was in flight then or 0.7 of the target", function()
    local self = link.new{ rate = 10 * MBIT }
    self:run_to("up")
    local from = self.number
    self.drop = function(number) return number >= from + 20 and number < from + 24 end
    local b = self:run_to("down", 2)
    assert.is_true(b.prev_probe_too_high)
    local bdp = b.bw * b.min_rtt / SECOND
    assert.is_true(b.inflight_longterm >= 0.7 * bdp - 1 and b.inflight_longterm < 1.3 * bdp + 1200,
      ("%d of %d"):format(b.inflight_longterm, bdp))
    -- The next probe ends where this one went too far, and the one after it comes at once.
    self.drop = nil
    self:run_to("up", 5)
    b = self:run_to("down", 2)
    assert.same({ true, false }, { b.prev_probe_precautionary, b.prev_probe_too_high })
    self:run_to("refill", 0.2)
    self:run_to("up", 0.2)
    local before = self.r:bbr().inflight_longterm
    self:run(1, function() return self.r:bbr().state ~= "up" end)
    assert.is_true(self.r:bbr().inflight_longterm > before)
  end)

  it("goes back to the probe when its losses were none", function()
    local self = link.new{ rate = 10 * MBIT }
    self:run_to("up")
    local from = self.number
    self.hold = function(number) return number >= from + 20 and number < from + 24 and 10 * MS or 0 end
    self:run_to("down", 2)
    local b = self:run_to("refill", 0.1)
    assert.same({ 0, false }, { b.undo_packets, b.is_loss_in_round })
    assert.is_nil(b.inflight_longterm)
    assert.is_nil(b.inflight_shortterm)
  end)

  it("answers losses of a cruise a round later, by no more than 30 %", function()
    local self = link.new{ rate = 10 * MBIT }
    local before = self:run_to("cruise")
    local from = self.number
    self.drop = function(number) return number >= from and number < from + 8 end
    self:run(1, function() return self.r:bbr().bw_shortterm ~= nil end)
    local b = self.r:bbr()
    assert.is_true(b.bw_shortterm >= 0.7 * before.max_bw and b.bw_shortterm <= before.max_bw)
    assert.is_true(b.inflight_shortterm >= 0.7 * before.window - 2400 and b.inflight_shortterm < before.window)
    assert.equal(b.bw_shortterm, b.bw)
    b = self:run_to("refill", 5)
    assert.is_nil(b.bw_shortterm)
    assert.is_nil(b.inflight_shortterm)
  end)

  it("does not believe rates that the application limits", function()
    local self = link.new{ rate = 10 * MBIT }
    local b = self:run_to("refill", 5)
    local known = b.max_bw
    self.hungry = trickle(0)
    local seconds = self.now / SECOND
    self.hungry = function(now)
      self.hungry_at = now + 20 * MS
      if now > (self.last or 0) + 19 * MS then self.last = now return true end
      return false
    end
    self:run_to("up", 2)
    self:run(2)
    assert.is_true(self.now / SECOND > seconds)
    b = self.r:bbr()
    assert.same({ "up", known }, { b.state, b.max_bw })
  end)
end)

describe("BBR in ProbeRTT", function()
  it("halves what is in flight every 5 seconds for 200 ms, and goes on with the window of before", function()
    local self = link.new{ rate = 10 * MBIT }
    self:run_to("cruise")
    local window = self.r:state().window
    local b = self:run_to("probe_rtt", 8)
    local began = self.now
    assert.is_true(began >= b.probe_rtt_min_stamp + 0 and began - SECOND >= 5 * SECOND)
    self:run(0.15)
    local half = 0.5 * self.r:bbr().bw * self.r:bbr().min_rtt / SECOND
    assert.is_true(self.r:state().in_flight <= math.max(half, 4800))
    self:run_to("cruise", 1)
    assert.is_true(self.now - began >= 200 * MS and self.now - began < 300 * MS)
    assert.is_true(self.r:state().window >= 0.85 * window)
  end)

  it("finds a way that became longer within two of these", function()
    local self = link.new{ rate = 10 * MBIT, delay = 20 * MS }
    self:run_to("cruise")
    self.delay = 60 * MS
    self:run(16)
    assert.is_true(self.r:bbr().min_rtt > 60 * MS)
    near(10 * MBIT, self.r:bbr().bw, 0.05, "bw")
  end)

  it("is not entered after a silence, where what is in flight of before would hold back everything", function()
    local self = link.new{ rate = 10 * MBIT }
    local b = self:run_to("cruise")
    local first = self.number
    while self.r:state().window_left >= 1200 do self:transmit() end
    local fired = 0
    while self.now < b.probe_rtt_min_stamp + 6 * SECOND do
      self.now = self.r:state().timer
      if self.r:timeout(self.now) == "probe" then fired = fired + 1 end
      assert.equal(0, self.r:send("application", self.number, self.now))
      self.number = self.number + 1
    end
    assert.is_true(fired >= 2)
    assert.equal(0, self.r:ack("application", { { 0, first + 1 } }, self.now + 10 * MS))
    assert.is_true(self.r:bbr().state ~= "probe_rtt")
    assert.is_true(self.r:state().in_flight > 0 and self.r:state().window_left > 0)
  end)

  it("is left while idle", function()
    local self = link.new{ rate = 10 * MBIT }
    self:run_to("probe_rtt", 8)
    local quiet = self.now
    self.hungry = function(now)
      self.hungry_at = quiet + SECOND
      return now >= quiet + SECOND
    end
    self:run(2, function() return self.now >= quiet + SECOND and self.r:state().in_flight > 0 end)
    assert.equal("cruise", self.r:bbr().state)
  end)
end)

describe("BBR", function()
  it("takes CE for loss: in Startup, in a probe, and in a cruise", function()
    local marks = function() return true end
    local self = link.new{ rate = 10 * MBIT, mark = marks }
    self:run_to("drain", 3)
    assert.equal("ecn", self.r:figures().exit_reason)
    self.mark = function() return false end
    self:run_to("up", 8)
    self.mark = marks
    local b = self:run_to("down", 1)
    assert.is_true(b.prev_probe_too_high)
    assert.is_not_nil(b.inflight_longterm)
    self.mark = function() return false end
    self:run_to("cruise", 2)
    self.mark = marks
    assert.is_true(self:run(0.5, function() return self.r:bbr().bw_shortterm ~= nil end))
  end)

  -- covers: rfc9002#7.6.2.1
  it("falls to four datagrams in persistent congestion, and remembers what it had", function()
    local self = link.new{ rate = 10 * MBIT }
    local window = self:run_to("cruise").window
    self.drop = function() return true end
    self:run(0.1)
    local gone = self.now
    self.drop = function(_, now) return now < gone + 2 * SECOND end
    -- Probes of the timer, as quic/ would send them.
    local timeout = self.r.timeout
    assert.is_function(timeout)
    local least = math.huge
    for at = 0.2, 2.4, 0.2 do
      self.now = gone + at * SECOND
      self:transmit()
      self:run(0.15, function() least = math.min(least, self.r:state().window) return false end)
    end
    assert.equal(6000, least) -- and what the same ACK acknowledged
    self:run(1)
    assert.is_true(self.r:state().window > 0.5 * window)
  end)

  it("is paced whatever the config says", function()
    local r = require("neap.units").recovery.new({ server = true, controller = "bbr", pacing = false })
    for n = 0, 9 do r:send("application", n, SECOND) end
    r:ack("application", { { 0, 9 } }, SECOND + 100 * MS)
    local now = SECOND + 100 * MS
    assert.equal(now, r:pacer_ready_at(4800, now))
    for n = 10, 13 do r:send("application", n, now) end
    assert.is_true(r:pacer_ready_at(1200, now) > now)
  end)

  it("leaves in quanta of a millisecond, 64 KiB at most, two datagrams at least", function()
    local slow = link.new{ rate = 10 * MBIT }
    assert.equal(2400, slow:run_to("cruise").send_quantum)
    local fast = link.new{ rate = 200 * MBIT, delay = 10 * MS, ack_every = 8 }
    near(fast:run_to("cruise").pacing_rate / 1000, fast.r:bbr().send_quantum, 0.001, "send_quantum")
    local faster = link.new{ rate = 2000 * MBIT, delay = 2 * MS, ack_every = 16 }
    assert.equal(65536, faster:run_to("cruise").send_quantum)
  end)

  it("goes on where it is under another name of the path, and begins anew on another one and after Retry", function()
    local self = link.new{ rate = 10 * MBIT }
    local before = self:run_to("cruise")
    local delivered = self.r:state().delivered
    self.r:continue(1, self.now)
    local after = self.r:bbr()
    assert.same({ "cruise", before.max_bw, before.min_rtt, before.round_count },
      { after.state, after.max_bw, after.min_rtt, after.round_count })
    assert.equal(delivered, self.r:state().delivered)
    self:run(1.9)
    near(10 * MBIT, self.r:bbr().max_bw, 0.02, "max_bw")
    self.r:move(2, self.now)
    assert.same({ "startup", 0 }, { self.r:bbr().state, self.r:bbr().max_bw })
    self.r:move(1, self.now)
    self.r:retry(self.now)
    after = self.r:bbr()
    assert.same({ "startup", 0, 12000 }, { after.state, after.max_bw, after.window })
    assert.is_nil(after.min_rtt)
  end)
end)

describe("BBR told anything", function()
  -- What a peer may say, and worse: times that stand still or leap, losses, CE counts without end, other paths.
  local function play(seed)
    local x = seed
    local function draw(n)
      x = (x * 16807) % 2147483647
      return x % n
    end
    local r = require("neap.units").recovery.new({ server = true, controller = "bbr", seed = seed })
    local now, number, ce, path = SECOND, 0, 0, 0
    r:set(now, { handshake_confirmed = true, sends_ect = true })
    local leaps = { 0, 1, 1000, MS, 30 * MS, 300 * MS, 6 * SECOND, 3600 * SECOND, 1e15 }
    for _ = 1, 600 do
      now = now + leaps[1 + draw(draw(20) == 0 and 9 or 6)]
      local what = draw(16)
      if what < 7 then
        for _ = 0, draw(20) do
          if r:send("application", number, now, { size = 1 + draw(1500) }) == 0 then number = number + 1 end
        end
      elseif what < 13 and number > 0 then
        local last = number - 1 - draw(math.min(number, 4))
        ce = ce + (draw(8) == 0 and 4e15 or draw(3))
        r:ack("application", { { math.max(0, last - draw(40)), last } }, now, 0, ce)
      elseif what == 13 then
        r:timeout(now)
      elseif what == 14 then
        r:set(now, { app_limited = draw(2) == 0, has_unsent = draw(2) == 0 })
      elseif draw(4) == 0 then
        path = (path + 1) % 4
        r:move(path, now)
      elseif draw(8) == 0 then
        r:retry(now)
      end
      for fate in function() return r:fate("application") end do assert.is_truthy(fate) end
      local b = r:bbr()
      assert.is_true(b.window >= 4800 and b.window < 1e15)
      assert.is_true(b.pacing_rate > 0 and b.bw <= 18e9 and b.send_quantum >= 2400 and b.send_quantum <= 65536)
    end
    return r:bbr()
  end

  it("keeps its window above four datagrams, and a rate", function()
    local states = {}
    for seed = 1, 20 do states[play(seed).state] = true end
    assert.is_true(states.startup and (states.cruise or states.up or states.down or states.probe_rtt))
    assert.same(play(7), play(7))
  end)
end)

describe("figures of a controller", function()
  local function exit_of(controller, options)
    options.controller = controller
    local self = link.new(options)
    self:run(3)
    return self.r:figures()
  end

  it("tell how slow start ended, by what, and with which window", function()
    local lost = exit_of("newreno", { rate = 10 * MBIT, drop = function(number) return number == 70 end })
    assert.equal("loss", lost.exit_reason)
    assert.is_true(lost.exit_window > 60 * 1200 and lost.exit_window < 100 * 1200)
    assert.is_true(lost.exit_bandwidth > 0)
    assert.equal("hystart", exit_of("newreno", { rate = 10 * MBIT }).exit_reason)
    local marked = exit_of("newreno", { rate = 10 * MBIT, mark = function(number) return number > 50 end })
    assert.equal("ecn", marked.exit_reason)
    local far = exit_of("newreno", { rate = 1000 * MBIT, delay = 2 * SECOND })
    assert.same({ 0, 0 }, { far.exit_window, far.exit_bandwidth })
    assert.is_nil(far.exit_reason)
  end)

  it("have the latest delivery rate where records are kept", function()
    local self = link.new{ rate = 10 * MBIT, controller = "steered" }
    self.r:steer(100000, 0)
    self:run(1)
    near(10 * MBIT, self.r:figures().delivery_rate, 0.05, "delivery_rate")
    assert.equal(0, self.r:figures().max_bandwidth)
  end)
end)
