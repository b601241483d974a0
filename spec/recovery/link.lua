--- A bottleneck in virtual time under core/recovery alone: what the window and the pacer allow is sent, what comes
-- out is acknowledged. Times in nanoseconds, sizes in bytes, rates in bytes a second.
local recovery = require("neap.units").recovery

local MS = 1e6
local SECOND = 1e9
local APP = "application"

local Link = {}
Link.__index = Link

--- rate, delay (there and back), queue (bytes), size (of datagrams), ack_every (datagrams), ack_delay,
-- drop(number, now, link), mark(number, now, link) (CE), hold(number, now) (how much later a datagram comes),
-- hungry(now, link): whether there is something to send; controller, seed; model: is told of the same, in the same
-- order.
local function new(options)
  local self = setmetatable({
    rate = 10e6 / 8, delay = 40 * MS, queue = 1e9, size = 1200, ack_every = 2, ack_delay = 5 * MS,
    now = SECOND, number = 0, free_at = 0, coming = {}, acks = {}, received = {}, unacked = 0, ect0 = 0, ce = 0,
    delivered = 0, sent = 0, overflowed = 0,
  }, Link)
  for name, value in pairs(options) do self[name] = value end
  self.r = recovery.new({ server = true, pacing = true, controller = options.controller or "bbr",
    seed = options.seed or 1, most = self.size })
  self.r:set(self.now, { handshake_confirmed = true, ecn = options.mark ~= nil })
  return self
end

-- Something that happens at a time, in order of it.
local function insert(list, event)
  local at = #list
  while at > 0 and list[at].at > event.at do at = at - 1 end
  table.insert(list, at + 1, event)
end

-- Ranges in descending order, the newest 32.
local function ranges_of(received)
  local ranges = {}
  for i = #received, math.max(1, #received - 31), -1 do ranges[#ranges + 1] = received[i] end
  return ranges
end

local function note_received(received, number)
  local last = received[#received]
  if last and last[2] + 1 == number then
    last[2] = number
    return
  end
  local at = #received
  while at > 0 and received[at][1] > number do at = at - 1 end
  if at > 0 and received[at][2] >= number then return end
  if at > 0 and received[at][2] + 1 == number then
    received[at][2] = number
  else
    table.insert(received, at + 1, { number, number })
    at = at + 1
  end
  local following = received[at + 1]
  if following and following[1] == received[at][2] + 1 then
    received[at][2] = following[2]
    table.remove(received, at + 1)
  end
end

function Link:fates()
  local acked, lost = {}, {}
  for fate in function() return self.r:fate(APP) end do
    local list = fate.fate == "acked" and acked or lost
    list[#list + 1] = fate.number
  end
  return acked, lost
end

function Link:transmit()
  local number = self.number
  self.number = number + 1
  self.sent = self.sent + 1
  local state = self.mark and self.r:state()
  assert(self.r:send(APP, number, self.now, { size = self.size }) == 0)
  if self.model then self.model:on_sent(number, self.size, self.now) end
  if self.drop and self.drop(number, self.now, self) then return end
  local wait = math.max(self.free_at - self.now, 0)
  if wait * self.rate / SECOND > self.queue then
    self.overflowed = self.overflowed + 1
    return
  end
  self.free_at = math.max(self.free_at, self.now) + math.floor(self.size * SECOND / self.rate)
  -- The first are let through, so that ECN is believed in.
  local is_ect = state and state.marks
  local marked = is_ect and state.ecn == "capable" and self.mark(number, self.now, self)
  local held = self.hold and self.hold(number, self.now) or 0
  insert(self.coming, { at = self.free_at + math.floor(self.delay / 2) + held, number = number,
    is_ect = is_ect, marked = marked })
end

-- All that may leave now; when more may, if that is known.
function Link:send()
  while true do
    local hungry = not self.hungry or self.hungry(self.now, self)
    local limited = not hungry and self.r:state().window_left >= self.size
    self.r:set(self.now, { app_limited = limited, has_unsent = false })
    if self.model and limited then self.model:mark_app_limited() end
    if not hungry then return self.hungry_at end
    if self.r:state().window_left < self.size then return nil end
    local at = self.r:pacer_ready_at(self.size, self.now)
    if at > self.now then return at end
    self:transmit()
  end
end

function Link:acknowledge(at)
  self.unacked, self.ack_due = 0, nil
  local ranges = {}
  for i, range in ipairs(ranges_of(self.received)) do ranges[i] = { range[1], range[2] } end
  self.acks[#self.acks + 1] = { at = at + math.floor(self.delay / 2), ranges = ranges,
    ecn = self.mark and { ect0 = self.ect0, ce = self.ce } }
end

function Link:receive(event)
  self.delivered = self.delivered + self.size
  note_received(self.received, event.number)
  self.unacked = self.unacked + 1
  if event.marked then
    self.ce = self.ce + 1
  elseif event.is_ect then
    self.ect0 = self.ect0 + 1
  end
  if self.unacked >= self.ack_every then
    self:acknowledge(event.at)
  else
    self.ack_due = self.ack_due or event.at + self.ack_delay
  end
end

function Link:on_ack(ack)
  assert(self.r:ack(APP, ack.ranges, self.now, 0, ack.ecn) == 0)
  local acked, lost = self:fates()
  if self.model then self.model:on_ack(acked, lost, self.now, ack.ranges) end
  if self.after_ack then self.after_ack(self, acked, lost) end
end

--- Let time pass; `watch(link)` may end it by returning true, after each event.
function Link:run(seconds, watch)
  local limit = self.now + seconds * SECOND
  local send_at = self:send()
  while true do
    local at = limit
    local timer = self.r:state().timer
    if self.coming[1] then at = math.min(at, self.coming[1].at) end
    if self.acks[1] then at = math.min(at, self.acks[1].at) end
    if self.ack_due then at = math.min(at, self.ack_due) end
    if send_at then at = math.min(at, send_at) end
    if timer then at = math.min(at, timer) end
    self.now = math.max(at, self.now)
    if self.now >= limit then return false end
    if self.coming[1] and self.coming[1].at <= self.now then
      self:receive(table.remove(self.coming, 1))
    elseif self.ack_due and self.ack_due <= self.now then
      self:acknowledge(self.now)
    elseif self.acks[1] and self.acks[1].at <= self.now then
      self:on_ack(table.remove(self.acks, 1))
    elseif timer and timer <= self.now then
      local probes = self.r:timeout(self.now) == "probe"
      if probes and self.model then self.model.timeouts = (self.model.timeouts or 0) + 1 end
      local _, lost = self:fates()
      if self.model and #lost > 0 then self.model:on_lost(lost, self.now) end
    end
    send_at = self:send()
    if watch and watch(self) then return true end
  end
end

--- Until BBR is in that state.
function Link:run_to(state, seconds)
  assert(self:run(seconds or 30, function() return self.r:bbr().state == state end),
    ("%s is not reached, but %s"):format(state, self.r:bbr().state))
  return self.r:bbr()
end

return { new = new }
