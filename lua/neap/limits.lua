--- How long a request may take: in all, and without any progress. Says when it took longer, and what held it up.
local core = require "neap.core"

local Limits = {}
Limits.__index = Limits

local ONE_PACKET = 1200 -- bytes of receive credit; a peer that has less is held up

--- `total` seconds from now on (nil: no bound), `progress` seconds without any progress.
function Limits.new(total, progress)
  return setmetatable({ total = total, progress = progress, deadline = total and core.now() + total }, Limits)
end

--- Seconds that a wait may last which makes no progress since `since` (now unless told); 0 when it is over.
function Limits:left(since)
  local now = core.now()
  local left = self.progress - (now - (since or now))
  if self.deadline then left = math.min(left, self.deadline - now) end
  return math.max(0, left)
end

--- Whether the whole took too long.
function Limits:is_over()
  return self.deadline ~= nil and core.now() >= self.deadline
end

--- Whether responses that are read by nobody leave the peer no credit to send anything.
function Limits.is_held_up(attempt)
  local stats = not attempt.is_tcp and attempt.conn:stats() or nil
  return stats ~= nil and stats.receive_credit < ONE_PACKET
end

-- Responses of a connection, but this exchange's, that were neither read to their end nor closed.
local function count_unread(attempt, exchange)
  local count = 0
  for _, other in pairs(attempt.session.exchanges) do
    if other ~= exchange and other._fields then count = count + 1 end
  end
  return count
end

-- Which limit bounds a wait that made no progress since `since`: the clock need not have reached the nearer one.
local function is_bound_by_total(self, since)
  return self.deadline ~= nil and since ~= nil and self.deadline <= since + self.progress
end

--- Why a wait has ended: message, "timeout". `attempt` is the connection, `exchange` the one that waited, `since` the
-- time that `left` was told.
function Limits:why(attempt, exchange, since)
  local is_total = self:is_over() or is_bound_by_total(self, since)
  local message = is_total and ("timeout: not done after %g s"):format(self.total)
    or ("timeout: no progress for %g s"):format(self.progress)
  local unread = attempt and count_unread(attempt, exchange) or 0
  local held = unread > 0 and (Limits.is_held_up(attempt) and "receive credit"
    or not attempt.is_tcp and attempt.conn:streams_left("bidi") == 0 and "streams")
  if held then
    message = ("%s: %d unread response%s hold%s the connection's %s"):format(message, unread, unread > 1 and "s" or "",
      unread > 1 and "" or "s", held)
  end
  return message, "timeout"
end

return Limits
