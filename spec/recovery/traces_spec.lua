-- Scripted traces, step by step within one datagram and one millisecond of a model that was written from RFC 9002 and
-- RFC 9438 (spec/recovery/model.lua).
local model = require "recovery.model"
local recovery = require("neap.units").recovery

local NS, MSS = 1e9, 1200
local APP = "application"

local function ns(seconds) return math.floor(seconds * NS + 0.5) end

local Trace = {}
Trace.__index = Trace

local function new(controller)
  local trace = setmetatable({ now = 0, number = 0, steps = 0, ce = 0 }, Trace)
  trace.real = recovery.new{ server = true, controller = controller, pacing = true }
  trace.real:set(0, { handshake_confirmed = true })
  trace.ideal = model.new(controller, 0.333)
  return trace
end

function Trace:compare(what)
  local is, should = self.real:state(), self.ideal
  self.steps = self.steps + 1
  local function near(expected, value, most, name)
    assert(math.abs(expected - value) <= most,
      ("step %d, %s at %.3f s: %s is %.3f, and %.3f in the model"):format(self.steps, what, self.now, name, value,
        expected))
  end
  near(model.bytes(should.cwnd), is.window, MSS, "window")
  if should.ssthresh < math.huge then near(model.bytes(should.ssthresh), is.ssthresh, MSS, "ssthresh") end
  near(should.in_flight * MSS, is.in_flight, 0, "bytes in flight")
  near(should.srtt * 1000, is.smoothed / 1e6, 1, "smoothed RTT")
  near(should.rttvar * 1000, is.var / 1e6, 1, "RTT variation")
  near((should.min or 0) * 1000, is.min / 1e6, 1, "least RTT")
  near(should.lost_count, is.packets_lost, 0, "packets lost")
  near(should.persistent, is.congestion_persistent, 0, "persistent congestion")
  near(should.undone, is.congestion_undone, 0, "reductions undone")
  near(should.events, is.congestion_events, 0, "congestion events")
  near(should.threshold, is.packet_threshold, 0, "packet threshold")
  local timer = should:timer()
  assert.equal(timer ~= nil, is.timer ~= nil)
  if timer then near(timer * 1000, is.timer / 1e6, 1, "timer") end
end

function Trace:wait(seconds) self.now = self.now + seconds end

function Trace:send(count)
  local first = self.number
  for _ = 1, count do
    self.real:send(APP, self.number, ns(self.now))
    self.ideal:send(self.number, self.now)
    self.number = self.number + 1
  end
  self:compare("sent")
  return first
end

function Trace:ack(ranges, options)
  options = options or {}
  self.ce = self.ce + (options.ce or 0)
  self.ideal:ack(ranges, self.now, options.delay, self.ce)
  local report = self.marks and { ect0 = self.ideal:came() - self.ce, ce = self.ce } or nil
  assert.equal(0, (self.real:ack(APP, ranges, ns(self.now), ns(options.delay or 0), report)))
  while self.real:fate(APP) do end
  self:compare("acknowledged")
end

function Trace:fire()
  self.now = self.real:state().timer / NS
  local action = self.real:timeout(ns(self.now))
  while self.real:fate(APP) do end
  assert.equal(self.ideal:timeout(self.now), action)
  self:compare("timer")
  return action
end

-- From now on packets leave marked, and the peer counts them.
function Trace:mark()
  self.marks = true
  self.real:set(ns(self.now), { ecn = true })
end

function Trace:set_limited(value)
  self.real:set(ns(self.now), { app_limited = value })
  self.ideal.app_limited = value
end

-- A window full is sent at once and acknowledged by `step` packets a time, spread over half of a round trip; packets
-- whose offset is in `lost` do not come.
function Trace:round(rtt, lost, options)
  options = options or {}
  local state = self.real:state()
  local room = math.floor((state.window - state.in_flight) / MSS)
  local count = math.max(1, options.count or room)
  if options.most then count = math.min(count, options.most) end
  local first, start = self:send(count), self.now
  local step = options.step or 2
  local ranges, run = {}, nil
  for offset = 0, count - 1 do
    if lost and lost[offset] then
      run = nil
    elseif run then
      run[2] = first + offset
    else
      run = { first + offset, first + offset }
      ranges[#ranges + 1] = run
    end
    if run and ((offset + 1) % step == 0 or offset == count - 1) then
      self.now = start + rtt * (1 + 0.5 * offset / count)
      local descending = {}
      for i = #ranges, 1, -1 do descending[#descending + 1] = { ranges[i][1], ranges[i][2] } end
      self:ack(descending, { delay = options.delay, ce = offset == count - 1 and options.ce or 0 })
    end
  end
  return first
end

function Trace:rounds(count, rtt, options)
  for _ = 1, count do self:round(rtt, nil, options) end
end

local traces = {}

-- Of both controllers.
traces["a slow start until a loss"] = function(t)
  t:rounds(3, 0.05)
  t:round(0.05, { [4] = true })
  t:rounds(5, 0.05)
end
traces["one loss in each of several windows"] = function(t)
  t:rounds(3, 0.05)
  for i = 1, 6 do
    t:round(0.05, { [i] = true })
    t:rounds(3, 0.05)
  end
end
traces["many losses of one window are one event"] = function(t)
  t:rounds(3, 0.05)
  t:round(0.05, { [3] = true, [7] = true, [8] = true, [15] = true, [20] = true })
  t:rounds(4, 0.05)
end
traces["a long congestion avoidance"] = function(t)
  t:rounds(3, 0.1)
  t:round(0.1, { [2] = true })
  t:rounds(40, 0.1, { step = 10 })
end
traces["a long congestion avoidance over a short path"] = function(t)
  t:rounds(3, 0.008)
  t:round(0.008, { [2] = true })
  t:rounds(60, 0.008, { step = 4 })
end
traces["two reductions, the second below the window of the first"] = function(t)
  t:rounds(4, 0.06)
  t:round(0.06, { [2] = true })
  t:rounds(2, 0.06)
  t:round(0.06, { [2] = true })
  t:rounds(30, 0.06, { step = 8 })
end
traces["round trips that grow and shrink"] = function(t)
  t:rounds(3, 0.05)
  t:round(0.05, { [2] = true })
  for i = 1, 20 do t:round(0.05 + 0.01 * (i % 5), nil, { step = 5 }) end
  t:rounds(5, 0.03, { step = 5 })
end
traces["delays that the peer tells, some above its bound"] = function(t)
  t:round(0.05, nil, { delay = 0.01 })
  for _, delay in ipairs{ 0.005, 0.02, 0.024, 0.025, 0.03, 0.5 } do t:round(0.08, nil, { delay = delay, most = 8 }) end
end
traces["a tail that probes find"] = function(t)
  t:rounds(2, 0.05)
  t:send(5)
  for _ = 1, 3 do
    assert.equal("probe", t:fire())
    t:send(2)
  end
  t:wait(0.05)
  t:ack({ { t.number - 1, t.number - 1 } })
  t:rounds(4, 0.05)
end
traces["a chain of probes until persistent congestion"] = function(t)
  t:rounds(2, 0.05)
  t:send(4)
  for _ = 1, 5 do
    t:fire()
    t:send(1)
  end
  t:wait(0.05)
  t:ack({ { t.number - 1, t.number - 1 } })
  assert.equal(1, t.ideal.persistent)
  t:rounds(8, 0.05)
end
traces["no persistent congestion where one between was acknowledged"] = function(t)
  t:rounds(2, 0.05)
  local first = t:send(4)
  for i = 1, 5 do
    t:fire()
    t:send(1)
    if i == 3 then
      t:wait(0.001)
      t:ack({ { first + 1, first + 1 } })
    end
  end
  t:wait(0.05)
  t:ack({ { t.number - 1, t.number - 1 } })
  t:rounds(4, 0.05)
end
traces["a loss that time alone tells"] = function(t)
  t:rounds(2, 0.05)
  local first = t:send(3)
  t:wait(0.05)
  t:ack({ { first + 1, first + 2 } })
  assert.equal("loss", t:fire())
  t:rounds(4, 0.05)
end
traces["packets that overtake by ten are late, not lost"] = function(t)
  t:rounds(3, 0.05)
  local first = t:send(20)
  t:wait(0.05)
  t:ack({ { first + 10, first + 10 } })
  t:wait(0.002)
  t:ack({ { first, first + 10 } })
  t:ack({ { first, first + 19 } })
  assert.equal(1, t.ideal.undone)
  first = t:send(20)
  t:wait(0.05)
  t:ack({ { first + 9, first + 9 } })
  t:ack({ { first, first + 19 } })
  t:rounds(3, 0.05)
end
traces["a mistake in congestion avoidance"] = function(t)
  t:rounds(3, 0.05)
  t:round(0.05, { [1] = true })
  t:rounds(10, 0.05)
  local first = t:send(12)
  t:wait(0.05)
  t:ack({ { first + 5, first + 5 } })
  t:wait(0.003)
  t:ack({ { first, first + 5 } })
  t:wait(0.003)
  t:ack({ { first, first + 11 } })
  t:rounds(15, 0.05, { step = 4 })
end
traces["a mistake of which a part was none"] = function(t)
  t:rounds(3, 0.05)
  local first = t:send(20)
  t:wait(0.05)
  t:ack({ { first + 6, first + 8 } })
  t:wait(0.003)
  t:ack({ { first + 1, first + 8 } })
  t:ack({ { first + 1, first + 19 } })
  assert.equal(0, t.ideal.undone)
  t:rounds(10, 0.05)
end
traces["marks of congestion"] = function(t)
  t:mark()
  t:rounds(3, 0.05)
  t:round(0.05, nil, { ce = 2 })
  t:rounds(5, 0.05)
  t:round(0.05, nil, { ce = 1 })
  t:rounds(10, 0.05)
end
traces["marks and a loss in one window are one event"] = function(t)
  t:mark()
  t:rounds(3, 0.05)
  t:round(0.05, { [3] = true }, { ce = 1 })
  t:rounds(6, 0.05)
end
traces["a sender without enough data, and then with it"] = function(t)
  t:rounds(3, 0.05)
  t:round(0.05, { [2] = true })
  t:rounds(5, 0.05)
  t:set_limited(true)
  t:rounds(10, 0.05, { most = 4 })
  t:set_limited(false)
  t:rounds(10, 0.05)
end
traces["a silence of a minute"] = function(t)
  t:rounds(3, 0.05)
  t:round(0.05, { [2] = true })
  t:rounds(5, 0.05)
  t:wait(60)
  t:rounds(10, 0.05)
end
traces["the least window, and up from there"] = function(t)
  for _ = 1, 8 do
    t:round(0.05, { [0] = true }, { count = 6 })
    t:wait(0.2)
  end
  t:rounds(10, 0.05)
end

-- covers: rfc9002#7.4.2 rfc9002#6.2.1.4
describe("recovery goes as RFC 9002 and RFC 9438 have it:", function()
  local names = {}
  for name in pairs(traces) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    for _, controller in ipairs{ "newreno", "cubic" } do
      it(name .. ", " .. controller, function()
        local trace = new(controller)
        traces[name](trace)
        assert.is_true(trace.steps > 5)
      end)
    end
  end
end)
