--- BBRv3 and its delivery rate samples, written down from the text of draft-ietf-ccwg-bbr alone, in floating
-- point, with rates cut to whole bytes a second: what the one in C is held against. It is told of packets, and takes
-- random numbers from the one in C, which it watches.
local INFINITE = math.huge
local SECOND, MS = 1e9, 1e6
local PACING = { startup = 2.77, drain = 0.5, down = 0.9, cruise = 1, refill = 1, up = 1.25, probe_rtt = 1 }
local WINDOW = { startup = 2, drain = 2, down = 2, cruise = 2, refill = 2, up = 2.25, probe_rtt = 0.5 }
local PROBING = { down = true, cruise = true, refill = true, up = true }

local Model = {}
Model.__index = Model

--- `drawn()` gives rounds_since_probe_up and bw_probe_wait of the other.
local function new(size, window, now, drawn)
  return setmetatable({
    smss = size, cwnd = window, initial = window, drawn = drawn,
    delivered = 0, delivered_time = 0, first_send_time = 0, lost = 0, inflight = 0, app_limited = 0,
    packets = {}, lost_packets = {},
    state = "startup", undo_state = nil, bw = 0, max_bw = 0, samples = {}, cycle = 0,
    bw_shortterm = INFINITE, inflight_shortterm = INFINITE, inflight_longterm = INFINITE,
    bw_latest = 0, inflight_latest = 0, min_rtt = INFINITE, min_rtt_stamp = now,
    probe_rtt_min_delay = INFINITE, probe_rtt_min_stamp = now, probe_rtt_done_stamp = 0, c_min_rtt = INFINITE,
    extra_start = now, extra_delivered = 0, extras = {}, extra_acked = 0,
    round_count = 0, next_round = 0, loss_round = 0, rounds_since_probe_up = 0,
    full_bw = 0, full_bw_count = 0, up_acked = 0, per_inc = INFINITE, up_rounds = 0,
    ack_phase = "init", cycle_stamp = 0, bw_probe_wait = 0, prior_cwnd = 0, pacing_rate = 2.77 * window / 0.001,
    quantum = 0, loss_events = 0, recovery_started = 0, undo_packets = 0,
    timeouts = 0,
  }, Model)
end

-- --- delivery rate samples

function Model:mark_app_limited()
  self.app_limited = math.max(self.delivered + self.inflight, 1)
end

function Model:on_sent(number, size, now)
  self.now = now
  if self.inflight == 0 and self.app_limited ~= 0 then
    self.idle_restart = true
    self.extra_start = now
    if PROBING[self.state] then self:set_pacing_rate(1)
    elseif self.state == "probe_rtt" then self:check_probe_rtt_done() end
  end
  if self.inflight == 0 then self.first_send_time, self.delivered_time = now, now end
  self.inflight = self.inflight + size
  self.packets[number] = {
    number = number, size = size, send_time = now, first_send_time = self.first_send_time,
    delivered_time = self.delivered_time, delivered = self.delivered, app_limited = self.app_limited ~= 0,
    tx_in_flight = self.inflight, lost = self.lost,
  }
  if self.inflight + size > self.cwnd then self.window_full = true end
end

function Model:sample(acked)
  local rs, newest = { newly_acked = 0, rate = 0 }, nil
  self.inflight_before = self.inflight
  for _, number in ipairs(acked) do
    local p = self.packets[number]
    self.packets[number] = nil
    self.delivered = self.delivered + p.size
    rs.newly_acked = rs.newly_acked + p.size
    self.inflight = self.inflight - p.size
    if not newest or p.number > newest.number then newest = p end
  end
  self.delivered_time = self.now
  self.first_send_time = newest.send_time
  if self.app_limited ~= 0 and self.delivered > self.app_limited then self.app_limited = 0 end
  rs.newest = newest
  rs.rtt = self.now - newest.send_time
  self.c_min_rtt = math.min(self.c_min_rtt, rs.rtt)
  rs.prior_delivered, rs.app_limited, rs.tx_in_flight = newest.delivered, newest.app_limited, newest.tx_in_flight
  rs.delivered = self.delivered - newest.delivered
  local interval = math.max(newest.send_time - newest.first_send_time, self.now - newest.delivered_time)
  if interval >= self.c_min_rtt and interval > 0 then rs.rate = math.floor(rs.delivered * SECOND / interval) end
  self.rate = rs.rate
  return rs
end

-- --- the path

local function volume(self, bw, gain)
  if self.min_rtt == INFINITE then return self.initial end
  return gain * bw * self.min_rtt / SECOND
end

local function quantize(self, inflight)
  inflight = math.max(inflight, self.quantum, 4 * self.smss)
  return self.state == "up" and inflight + 2 * self.smss or inflight
end

local function headroom(self)
  if self.inflight_longterm == INFINITE then return INFINITE end
  return math.max(self.inflight_longterm - math.max(self.smss, 0.15 * self.inflight_longterm), 4 * self.smss)
end

local function target(self)
  return math.min(volume(self, self.bw, 1), self.cwnd)
end

function Model:start_round() self.next_round = self.delivered end

function Model:reset_short_term() self.bw_shortterm, self.inflight_shortterm = INFINITE, INFINITE end

function Model:reset_full_bw() self.full_bw, self.full_bw_count, self.full_bw_now = 0, 0, false end

function Model:save_cwnd()
  if self.recovering or self.state == "probe_rtt" then
    self.prior_cwnd = math.max(self.prior_cwnd, self.cwnd)
  else
    self.prior_cwnd = self.cwnd
  end
end

function Model:restore_cwnd() self.cwnd = math.max(self.cwnd, self.prior_cwnd) end

function Model:update_model(rs)
  self.bw_latest = math.max(self.bw_latest, rs.rate)
  self.inflight_latest = math.max(self.inflight_latest, rs.delivered)
  self.loss_round_start = rs.prior_delivered >= self.loss_round
  if self.loss_round_start then self.loss_round = self.delivered end
  self.round_start = rs.prior_delivered >= self.next_round
  if self.round_start then
    self:start_round()
    self.round_count = self.round_count + 1
    self.rounds_since_probe_up = self.rounds_since_probe_up + 1
    self.window_was_full, self.window_full = self.window_full, false
  end
  if rs.rate > 0 and (rs.rate >= self.max_bw or not rs.app_limited) then
    self.samples[self.cycle] = math.max(self.samples[self.cycle] or 0, rs.rate)
    self.max_bw = math.max(self.samples[self.cycle], self.samples[self.cycle - 1] or 0)
  end
  if self.loss_round_start then
    if self.loss_in_round and self.state ~= "startup" and self.state ~= "refill" and self.state ~= "up" then
      if self.bw_shortterm == INFINITE then self.bw_shortterm = self.max_bw end
      if self.inflight_shortterm == INFINITE then self.inflight_shortterm = self.cwnd end
      self.bw_shortterm = math.max(self.bw_latest, math.floor(0.7 * self.bw_shortterm))
      self.inflight_shortterm = math.max(self.inflight_latest, 0.7 * self.inflight_shortterm)
    end
    self.loss_in_round = false
  end
  local expected = math.floor(self.bw * (self.now - self.extra_start) / SECOND)
  if self.extra_delivered <= expected then
    self.extra_delivered, self.extra_start, expected = 0, self.now, 0
  end
  self.extra_delivered = self.extra_delivered + rs.newly_acked
  local extra = math.min(self.extra_delivered - expected, self.cwnd)
  self.extras[self.round_count] = math.max(self.extras[self.round_count] or 0, extra)
  self.extra_acked = 0
  for round = self.round_count - (self.full_bw_reached and 10 or 1), self.round_count do
    self.extra_acked = math.max(self.extra_acked, self.extras[round] or 0)
  end
end

-- --- states

function Model:start_down()
  self.loss_in_round, self.bw_latest, self.inflight_latest = false, 0, 0
  self.per_inc = INFINITE
  self.rounds_since_probe_up, self.bw_probe_wait = self.drawn()
  self.cycle_stamp = self.now
  self.ack_phase = "stopping"
  self:start_round()
  self.state = "down"
end

function Model:start_refill()
  self:reset_short_term()
  self.up_rounds, self.up_acked, self.precautionary = 0, 0, false
  self.ack_phase = "refilling"
  self:start_round()
  self.state = "refill"
end

function Model:raise_slope()
  local growth = 2 ^ self.up_rounds
  self.up_rounds = math.min(self.up_rounds + 1, 30)
  self.per_inc = math.max(self.cwnd / growth, self.smss)
end

function Model:enter_drain()
  self.state = "drain"
  self.drain_start_round = self.round_count
end

function Model:check_startup(rs)
  if not (self.full_bw_now or not self.round_start or rs.app_limited or rs.rate == 0) then
    if rs.rate >= self.full_bw * 1.25 then
      self:reset_full_bw()
      self.full_bw = rs.rate
    else
      self.full_bw_count = self.full_bw_count + 1
      self.full_bw_now = self.full_bw_count >= 3
      if self.full_bw_now then self.full_bw_reached = true end
    end
  end
  if self.state ~= "startup" then return end
  if not self.full_bw_reached and self.loss_round_start and self.recovering and self.loss_events >= 6 and
    rs.lost > rs.tx_in_flight * 0.02 then
    self.undo_state = "startup"
    self.full_bw_reached, self.full_bw_now = true, true
    self.inflight_longterm = math.max(volume(self, self.bw, 1), self.inflight_latest)
    self:enter_drain()
  elseif self.full_bw_reached then
    self:enter_drain()
  end
end

local function limited_by_longterm(self)
  return (self.window_full or self.window_was_full) and self.cwnd >= self.inflight_longterm
end

function Model:adapt_long_term(rs)
  if self.ack_phase == "starting" and self.round_start then self.ack_phase = "feedback" end
  if self.ack_phase == "stopping" and self.round_start then
    self.is_probe_sample = false
    self.ack_phase = "init"
    if PROBING[self.state] and not rs.app_limited then self.cycle = self.cycle + 1 end
    if PROBING[self.state] and self.precautionary and not self.probe_too_high then
      self:start_refill()
      return true
    end
  end
  if rs.lost > rs.tx_in_flight * 0.02 or self.inflight_longterm == INFINITE then return false end
  if rs.tx_in_flight > self.inflight_longterm then self.inflight_longterm = rs.tx_in_flight end
  if self.state == "up" and limited_by_longterm(self) then
    self.up_acked = self.up_acked + rs.newly_acked
    if self.up_acked >= self.per_inc then
      local delta = math.floor(self.up_acked / self.per_inc)
      self.up_acked = self.up_acked - delta * self.per_inc
      self.inflight_longterm = self.inflight_longterm + delta * self.smss
    end
    if self.round_start then self:raise_slope() end
  end
  return false
end

function Model:time_to_probe()
  return self.now > self.cycle_stamp + self.bw_probe_wait or
    self.rounds_since_probe_up >= math.min(math.floor(target(self) / self.smss), 63)
end

function Model:time_to_go_down(rs)
  if self.probe_too_high and self.inflight_before + self.smss > self.inflight_longterm then
    self.precautionary = true
    return true
  end
  if limited_by_longterm(self) then
    self:reset_full_bw()
    self.full_bw = rs.rate
    return false
  end
  return self.full_bw_now
end

function Model:update_probe_bw(rs)
  if not self.full_bw_reached or self:adapt_long_term(rs) or not PROBING[self.state] then return end
  if self.state == "refill" then
    if self.round_start then
      self.is_probe_sample = true
      self.ack_phase = "starting"
      self:start_round()
      self:reset_full_bw()
      self.full_bw = rs.rate
      self.state = "up"
      self:raise_slope()
    end
  elseif self.state == "up" then
    if self:time_to_go_down(rs) then
      self.probe_too_high = false
      self:start_down()
    end
  elseif self:time_to_probe() then
    self:start_refill()
  elseif self.state == "down" and self.inflight <= headroom(self) and
    self.inflight <= quantize(self, volume(self, self.max_bw, 1)) then
    self.state = "cruise"
  end
end

function Model:update_min_rtt(rs)
  self.probe_rtt_expired = self.now > self.probe_rtt_min_stamp + 5 * SECOND
  if rs.rtt < self.probe_rtt_min_delay or self.probe_rtt_expired then
    self.probe_rtt_min_delay, self.probe_rtt_min_stamp = rs.rtt, self.now
  end
  if self.probe_rtt_min_delay < self.min_rtt or self.now > self.min_rtt_stamp + 10 * SECOND then
    self.min_rtt, self.min_rtt_stamp = self.probe_rtt_min_delay, self.probe_rtt_min_stamp
  end
end

function Model:probe_rtt_cwnd() return math.max(volume(self, self.bw, 0.5), 4 * self.smss) end

function Model:check_probe_rtt_done()
  if self.probe_rtt_done_stamp == 0 or self.now <= self.probe_rtt_done_stamp then return end
  self.probe_rtt_min_stamp = self.now
  self:restore_cwnd()
  self:reset_short_term()
  if self.full_bw_reached then
    self:start_down()
    self.state = "cruise"
  else
    self.state = "startup"
  end
end

function Model:check_probe_rtt(rs)
  if self.state ~= "probe_rtt" and self.probe_rtt_expired and not self.idle_restart then
    self:save_cwnd()
    self.state = "probe_rtt"
    self.probe_rtt_done_stamp = 0
    self.ack_phase = "stopping"
    self:start_round()
  end
  if self.state == "probe_rtt" then
    self:mark_app_limited()
    if self.probe_rtt_done_stamp == 0 then
      if self.inflight <= self:probe_rtt_cwnd() then
        self.probe_rtt_done_stamp = self.now + 200 * MS
        self.probe_rtt_round_done = false
        self:start_round()
      end
    else
      if self.round_start then self.probe_rtt_round_done = true end
      if self.probe_rtt_round_done then self:check_probe_rtt_done() end
    end
  end
  if rs.delivered > 0 then self.idle_restart = false end
end

-- --- losses

function Model:too_high(tx_in_flight, app_limited)
  self.probe_too_high = true
  self.is_probe_sample = false
  if not app_limited then self.inflight_longterm = math.max(tx_in_flight, target(self) * 0.7) end
  if self.state == "up" then
    self.undo_state = "up"
    self:start_down()
  end
end

function Model:lose(number)
  local p = self.packets[number]
  self.packets[number], self.lost_packets[number] = nil, p
  self.inflight = self.inflight - p.size
  self.lost = self.lost + p.size
  if not self.recovering and p.send_time > self.recovery_started then
    self:save_cwnd()
    self.undo_state = nil
    self.undo_bw_shortterm, self.undo_inflight_shortterm = self.bw_shortterm, self.inflight_shortterm
    self.undo_inflight_longterm, self.undo_packets = self.inflight_longterm, 0
    self.lost_packets = { [number] = p }
    self.recovering, self.recovery_started = true, self.now
  end
  self.undo_packets = self.undo_packets + 1
  if not self.loss_in_round then self.loss_round = self.delivered end
  self.loss_in_round = true
  if number ~= (self.last_lost or -2) + 1 then self.loss_events = self.loss_events + 1 end
  self.last_lost = number
  if not self.is_probe_sample then return end
  local tx_in_flight, lost = p.tx_in_flight, self.lost - p.lost
  if lost > tx_in_flight * 0.02 then
    local before, lost_before = tx_in_flight - p.size, lost - p.size
    self:too_high(before + math.max(0, (0.02 * before - lost_before) / 0.98), p.app_limited)
  end
end

function Model:on_lost(lost, now)
  self.now = now
  for _, number in ipairs(lost) do self:lose(number) end
end

-- What was taken for lost and came.
function Model:count_spurious(ranges)
  for number, p in pairs(self.lost_packets) do
    if p.send_time < self.now - SECOND then self.lost_packets[number] = nil end
    for _, range in ipairs(ranges) do
      if number >= range[1] and number <= range[2] then
        self.lost_packets[number] = nil
        if self.undo_packets > 0 then
          self.undo_packets = self.undo_packets - 1
          if self.undo_packets == 0 then self:undo() end
        end
        break
      end
    end
  end
end

function Model:undo()
  self:restore_cwnd()
  self.loss_in_round = false
  self:reset_full_bw()
  self.bw_shortterm = math.max(self.bw_shortterm, self.undo_bw_shortterm)
  self.inflight_shortterm = math.max(self.inflight_shortterm, self.undo_inflight_shortterm)
  self.inflight_longterm = math.max(self.inflight_longterm, self.undo_inflight_longterm)
  if self.undo_state == "startup" and self.state ~= "startup" then
    self.full_bw_reached = false
    if self.state ~= "probe_rtt" then self.state = "startup" end
  elseif self.undo_state == "up" and self.state ~= "up" and self.state ~= "probe_rtt" then
    self:start_refill()
  end
  self.undo_state = nil
end

-- --- control

function Model:set_pacing_rate(gain)
  local rate = gain * self.bw * 0.99
  if rate > 0 and (self.full_bw_reached or rate > self.pacing_rate) then self.pacing_rate = rate end
end

function Model:set_cwnd(rs)
  self.max_inflight = quantize(self, volume(self, self.bw, WINDOW[self.state]) + self.extra_acked)
  if self.full_bw_reached then
    self.cwnd = math.min(self.cwnd + rs.newly_acked, self.max_inflight)
  elseif self.cwnd < self.max_inflight or self.delivered < self.initial then
    self.cwnd = self.cwnd + rs.newly_acked
  end
  self.cwnd = math.max(self.cwnd, 4 * self.smss)
  if self.state == "probe_rtt" then self.cwnd = math.min(self.cwnd, self:probe_rtt_cwnd()) end
  local cap = INFINITE
  if self.state == "probe_rtt" or self.state == "cruise" then cap = headroom(self)
  elseif PROBING[self.state] then cap = self.inflight_longterm end
  cap = math.max(math.min(cap, self.inflight_shortterm), 4 * self.smss)
  self.cwnd = math.min(self.cwnd, cap)
end

function Model:on_ack(acked, lost, now, ranges)
  self.now = now
  self:count_spurious(ranges)
  if #acked == 0 then return end
  local rs = self:sample(acked)
  for _, number in ipairs(lost) do self:lose(number) end
  rs.lost = self.lost - rs.newest.lost
  -- Beyond the text: silence with something in flight is idleness too.
  if self.timeouts >= 2 then self.idle_restart = true end
  self.timeouts = 0
  if not self.has_rtt then
    self.has_rtt = true
    self.pacing_rate = 2.77 * self.initial * SECOND / rs.rtt
  end
  self:update_model(rs)
  self:check_startup(rs)
  if self.state == "drain" and (self.inflight <= quantize(self, volume(self, self.bw, 1)) or
    self.round_count > self.drain_start_round + 3) then
    self:start_down()
  end
  self:update_probe_bw(rs)
  self:update_min_rtt(rs)
  self:check_probe_rtt(rs)
  if self.loss_round_start then
    self.bw_latest, self.inflight_latest, self.loss_events = rs.rate, rs.delivered, 0
  end
  self.bw = math.min(self.max_bw, self.bw_shortterm)
  if self.recovering and rs.newest.send_time > self.recovery_started then
    self.recovering = false
    self:restore_cwnd()
  end
  self:set_pacing_rate(PACING[self.state])
  self.quantum = math.max(math.min(self.pacing_rate / 1000, 65536), 2 * self.smss)
  self:set_cwnd(rs)
end

return { new = new }
