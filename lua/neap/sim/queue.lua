--- The queue of a link that has a rate: what waits, what finds no room, and what is marked or dropped so that the queue
-- stays short. Marking is what a router does to a datagram whose sender understands it (RFC 3168 §5).
local Queue = {}
Queue.__index = Queue

local NOT_ECT, CE = 0, 3 -- the two bits of the IP header, RFC 3168 §5
local WHOLE = 1500 -- bytes; CoDel leaves a queue alone that holds no more (RFC 8289 §4.4)
local RECENT = 16 -- intervals after which CoDel begins anew (RFC 8289 §5.5)

--- `options` is the direction of a link: `queue`, `discipline`, `target`, `interval`, `mark`, `mark_above`, which may
-- change at any time. It counts there: `overflowed`, `dropped_early`, `marked`, `longest`.
function Queue.new(options)
  return setmetatable({ options = options, first = 1, last = 0, bytes = 0, dropping = false, count = 0, last_count = 0,
    drop_next = 0 }, Queue)
end

--- How many datagrams wait.
function Queue:length()
  return self.last - self.first + 1
end

-- Whether a datagram was marked; one whose sender does not understand it is not.
local function mark(self, datagram)
  if (datagram.ecn or NOT_ECT) == NOT_ECT then return false end
  if datagram.ecn ~= CE then self.options.marked = self.options.marked + 1 end
  datagram.ecn = CE
  return true
end

--- A datagram comes to the end of the queue: whether there was room.
function Queue:push(datagram, now)
  local options, length = self.options, self:length()
  if length >= options.queue then
    options.overflowed = options.overflowed + 1
    return false
  end
  if options.mark_above and length >= options.mark_above then mark(self, datagram) end
  self.last = self.last + 1
  self[self.last] = datagram
  self.bytes = self.bytes + datagram.size
  datagram.queued_at = now
  options.longest = math.max(options.longest, length + 1)
  return true
end

local function take_first(self)
  local datagram = self[self.first]
  if not datagram then return nil end
  self[self.first] = nil
  self.first = self.first + 1
  self.bytes = self.bytes - datagram.size
  return datagram
end

-- The next one, and whether all that was taken for an interval had waited longer than the target (RFC 8289 §5.4).
local function look(self, now)
  local options, datagram = self.options, take_first(self)
  if not datagram then
    self.first_above = nil
    return nil, false
  end
  if now - datagram.queued_at < options.target or self.bytes <= WHOLE then
    self.first_above = nil
    return datagram, false
  end
  if not self.first_above then
    self.first_above = now + options.interval
    return datagram, false
  end
  return datagram, now >= self.first_above
end

-- Whether the datagram goes on, marked; else it is dropped.
local function punish(self, datagram)
  if self.options.mark and mark(self, datagram) then return true end
  self.options.dropped_early = self.options.dropped_early + 1
  return false
end

local function after(self, at)
  return at + self.options.interval / math.sqrt(self.count)
end

-- While there is a queue that does not go away, ever more often (RFC 8289 §5.5).
local function go_on_dropping(self, datagram, is_late, now)
  self.dropping = is_late
  while self.dropping and now >= self.drop_next do
    self.count = self.count + 1
    if punish(self, datagram) then
      self.drop_next = after(self, self.drop_next)
      return datagram
    end
    datagram, is_late = look(self, now)
    if is_late then self.drop_next = after(self, self.drop_next) else self.dropping = false end
  end
  return datagram
end

local function begin_dropping(self, datagram, now)
  if not punish(self, datagram) then datagram = look(self, now) end
  local more = self.count - self.last_count
  self.dropping = true
  self.count = more > 1 and now - self.drop_next < RECENT * self.options.interval and more or 1
  self.drop_next = after(self, now)
  self.last_count = self.count
  return datagram
end

local take = {}

function take.tail(self)
  return take_first(self)
end

function take.codel(self, now)
  local datagram, is_late = look(self, now)
  if self.dropping then return go_on_dropping(self, datagram, is_late, now) end
  if is_late then return begin_dropping(self, datagram, now) end
  return datagram
end

--- The names of what may be asked for as `discipline`.
Queue.disciplines = { tail = true, codel = true }

--- The datagram that leaves next; nil: none waits.
function Queue:take(now)
  return take[self.options.discipline](self, now)
end

return Queue
