--- A model of loss detection and congestion control for one packet number space and one path, as RFC 9002 (appendices A
-- and B) and RFC 9438 describe it: in seconds and segments, by floating point, looking at all packets at every step.
-- Not made for speed, and not from core/recovery.
local model = {}
model.__index = model

local GRANULARITY, MAX_ACK_DELAY = 0.001, 0.025
local C, BETA = 0.4, 0.7
local MSS = 1200

function model.new(controller, initial_rtt)
  return setmetatable({
    controller = controller, now = 0, packets = {}, first = 1, in_flight = 0, largest = -1, lost_count = 0,
    srtt = initial_rtt, rttvar = initial_rtt / 2, pto_count = 0, last_sent = nil,
    cwnd = 10, ssthresh = math.huge, recovery_start = nil, reno_credit = 0,
    threshold = 3, eighths = 1, ce = 0, persistent = 0, undone = 0, events = 0,
    cubic = { w_max = 0, flat = false },
  }, model)
end

function model:pto() return self.srtt + math.max(4 * self.rttvar, GRANULARITY) + MAX_ACK_DELAY end

-- RFC 9002 A.8
function model:timer()
  local loss, eliciting
  for _, p in ipairs(self.packets) do
    if p.state == "flying" then
      eliciting = true
      if p.number < self.largest then
        local at = p.at + self:loss_delay()
        if not loss or at < loss then loss = at end
      end
    end
  end
  if loss then return loss end
  return eliciting and self.last_sent + self:pto() * 2 ^ self.pto_count or nil
end

function model:loss_delay()
  return math.max((1 + self.eighths / 8) * math.max(self.latest or 0, self.srtt), GRANULARITY)
end

function model:send(number, now)
  self.packets[#self.packets + 1] = { number = number, at = now, state = "flying" }
  if self.in_flight == 0 then self.idle_until = now end
  self.in_flight = self.in_flight + 1
  if self.in_flight + 1 > self.cwnd then self.full_at = now end
  self.last_sent = now
end

-- RFC 9002 §5.3
function model:sample(latest, delay, now)
  self.latest = latest
  if not self.first_sample then
    self.first_sample, self.min, self.srtt, self.rttvar = now, latest, latest, latest / 2
    return
  end
  self.min = math.min(self.min, latest)
  local adjusted = latest
  delay = math.min(delay, MAX_ACK_DELAY)
  if latest >= self.min + delay then adjusted = latest - delay end
  self.rttvar = 0.75 * self.rttvar + 0.25 * math.abs(self.srtt - adjusted)
  self.srtt = 0.875 * self.srtt + 0.125 * adjusted
end

local function copy(t)
  local new = {}
  for name, value in pairs(t) do new[name] = value end
  return new
end

-- A congestion event (RFC 9002 B.6, RFC 9438 §4.6 and §4.7).
function model:reduce(sent_at, now, is_loss)
  if self.recovery_start and sent_at <= self.recovery_start then return false end
  self.events = self.events + 1
  self.before = is_loss and { cwnd = self.cwnd, ssthresh = self.ssthresh, cubic = copy(self.cubic) } or nil
  self.recovery_start, self.reno_credit = now, 0
  if self.controller == "newreno" then
    self.ssthresh = self.cwnd / 2
    self.cwnd = math.max(self.ssthresh, 2)
    return true
  end
  local cubic = self.cubic
  cubic.w_max = self.cwnd < cubic.w_max and self.cwnd * (1 + BETA) / 2 or self.cwnd
  cubic.prior, cubic.epoch, cubic.flat = self.cwnd, nil, false
  self.ssthresh = math.max(self.cwnd * BETA, 2)
  self.cwnd = self.ssthresh
  return true
end

-- RFC 9002 A.10, B.8, §7.6
function model:detect(now)
  local lost, last = {}, nil
  for _, p in ipairs(self.packets) do
    if p.state == "flying" and p.number < self.largest and
      (self.largest - p.number >= self.threshold or now >= p.at + self:loss_delay() - 1e-6) then
      p.state = "lost"
      lost[#lost + 1], last = p, p
    end
  end
  if #lost == 0 then return end
  self.in_flight, self.lost_count = self.in_flight - #lost, self.lost_count + #lost
  if self:reduce(last.at, now, true) then self.event_packets = {} end
  for _, p in ipairs(lost) do (self.event_packets or {})[p.number] = true end
  local from
  for _, p in ipairs(self.packets) do
    if p.state == "acked" then from = nil end
    if p.state == "lost" and self.first_sample and p.at > self.first_sample then
      from = from or p.at
      if p == last and p.at - from > 3 * self:pto() then
        self.persistent, self.cwnd, self.recovery_start, self.min = self.persistent + 1, 2, nil, self.latest
        self.cubic.epoch, self.cubic.flat, self.reno_credit = nil, true, 0
        self.threshold, self.eighths = 3, 1
      end
    end
  end
end

local function w_cubic(c, t) return C * (t - c.k) ^ 3 + c.w_max end

-- RFC 9438 §4.2 to §4.5
function model:avoid_by_cubic(segments, fresh, now)
  local c = self.cubic
  if not c.epoch then
    if c.flat or c.w_max < self.cwnd then c.w_max = self.cwnd end
    c.k = ((c.w_max - self.cwnd) / C) ^ (1 / 3)
    c.epoch, c.limited, c.w_est, c.flat = now, 0, self.cwnd, false
  end
  local t = now - c.epoch - c.limited
  local target = math.max(self.cwnd, math.min(1.5 * self.cwnd, w_cubic(c, t + self.srtt)))
  local alpha = c.w_est < (c.prior or 0) and 3 * (1 - BETA) / (1 + BETA) or 1
  c.w_est = c.w_est + alpha * fresh / self.cwnd
  if w_cubic(c, t) < c.w_est then
    self.cwnd = math.max(self.cwnd, c.w_est)
  else
    self.cwnd = self.cwnd + (target - self.cwnd) / self.cwnd * segments
  end
end

-- RFC 9002 B.5
function model:grow(fresh, now)
  local segments = fresh
  if self.cwnd < self.ssthresh then
    local room = self.ssthresh - self.cwnd
    self.cwnd = self.cwnd + math.min(segments, room)
    segments = math.max(0, segments - room)
    if self.cwnd >= self.ssthresh then self.cubic.flat = true end
    self.cubic.epoch = nil
  end
  if segments == 0 then return end
  if self.controller == "cubic" then return self:avoid_by_cubic(segments, fresh, now) end
  self.reno_credit = self.reno_credit + segments
  while self.reno_credit >= self.cwnd do
    self.reno_credit = self.reno_credit - self.cwnd
    self.cwnd = self.cwnd + 1
  end
end

-- Packets that were lost come: reordering (RFC 9002 §6.1), spurious events (RFC 9438 §4.9.2).
function model:late(number)
  if self.largest - number >= self.threshold then self.threshold = math.min(64, self.largest - number + 1) end
  if not self.event_packets or not self.event_packets[number] then return end
  self.event_packets[number] = nil
  if next(self.event_packets) or not self.before then return end
  if self.cwnd < self.before.cwnd then
    self.cwnd, self.ssthresh, self.cubic = self.before.cwnd, self.before.ssthresh, self.before.cubic
    self.reno_credit = 0
  end
  self.recovery_start, self.before, self.undone = nil, nil, self.undone + 1
end

function model:ack(ranges, now, delay, ce)
  local highest, newest, acked = -1, nil, {}
  for _, range in ipairs(ranges) do
    highest = math.max(highest, range[2])
    for _, p in ipairs(self.packets) do
      if p.number >= range[1] and p.number <= range[2] then
        if p.state == "lost" then
          p.state = "late"
          self:late(p.number)
        elseif p.state == "flying" then
          p.state = "acked"
          acked[#acked + 1] = p
          if not newest or p.number > newest.number then newest = p end
        end
      end
    end
  end
  self.largest = math.max(self.largest, highest)
  if not newest then return end
  if newest.number == highest then self:sample(now - newest.at, delay or 0, now) end
  if (ce or 0) > self.ce then
    self.ce = ce
    self:reduce(newest.at, now, false)
    self.before = nil
  end
  self:detect(now)
  local fresh = 0
  for _, p in ipairs(acked) do
    if not self.recovery_start or p.at > self.recovery_start then fresh = fresh + 1 end
  end
  self.in_flight = self.in_flight - #acked
  local limited = self.app_limited and (not self.full_at or newest.at > self.full_at)
  local c = self.cubic
  if c.epoch then
    local unused = limited and now or math.max(self.idle_until or 0, 0)
    local since = math.max(self.last_ack or 0, c.epoch)
    if unused > since then c.limited = c.limited + unused - since end
  end
  self.last_ack = now
  if not limited and fresh > 0 then self:grow(fresh, now) end
  self.pto_count = 0
end

-- Packets that the peer has.
function model:came()
  local count = 0
  for _, p in ipairs(self.packets) do
    if p.state == "acked" or p.state == "late" then count = count + 1 end
  end
  return count
end

function model:timeout(now)
  local before = self.lost_count
  self:detect(now)
  if self.lost_count > before then return "loss" end
  self.pto_count = self.pto_count + 1
  return "probe"
end

function model.bytes(segments) return segments * MSS end

return model
