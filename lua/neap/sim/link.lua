--- Links: what happens to a datagram between two nodes. Each direction has its own options, queue, counters and
-- randomness.
local core = require "neap.core"
local Queue = require "neap.sim.queue"
local random = require "neap.sim.random"
local row = require "neap.options"

local Link, Direction = {}, {}
Link.__index, Direction.__index = Link, Direction

local QUOTED = 528 -- bytes of a datagram in an ICMP message: 576 with all headers (RFC 1812 §4.3.2.3)
local NOT_ECT, ECT1, ECT0 = 0, 1, 2 -- RFC 3168 §5

local LATEST = 1e9 -- seconds
local span = row.number("seconds", 0, LATEST, 0)
local probability = row.number("a probability", 0, 1, 0)

local function is_rate(value)
  return type(value) == "number" and value > 0 and value < math.huge
end

local CROSS = { -- what `cross` holds
  rate = row.row("bytes a second above 0", is_rate),
  size = row.whole(1, 65535, 1200), -- of its datagrams
  on = row.number("seconds above 0", 1e-6, LATEST, LATEST), off = span, -- in turn
  from = span, to = row.number("seconds", 0, math.huge, math.huge), -- since the start
}

local function is_cross(value)
  return value == false or type(value) == "table" and pcall(row.check, value, CROSS, "cross traffic", 1) and value.rate
end

local function is_outages(value)
  if type(value) ~= "table" then return value == false end
  for _, one in ipairs(value) do
    if type(one) ~= "table" or type(one[1]) ~= "number" or type(one[2]) ~= "number" or one[2] < one[1] then
      return false
    end
  end
  return true
end

local ECN = { pass = true, bleach = true, ect1 = true, drop = true }

local link_options = {
  delay = span,              -- one way
  jitter = span,             -- at most on top, without changing the order
  rate = row.row("bytes a second above 0, or false for any", function(value) -- false unless told
    return value == false or is_rate(value)
  end, false),
  queue = row.number("datagrams", 0, math.huge, 100), -- that wait for the rate; more are dropped
  discipline = row.row('"tail" or "codel"', function(value) return Queue.disciplines[value] end, "tail"),
  target = row.number("seconds", 0, LATEST, 0.005), -- of CoDel, which takes so much waiting …
  interval = row.number("seconds above 0", 1e-6, LATEST, 0.1), -- … for so long
  mark = row.of("boolean", false), -- CoDel marks where it can, instead of dropping
  mark_above = row.row("datagrams from 0, or false", function(value)
    return value == false or type(value) == "number" and value >= 0
  end, false), -- that wait; what comes then is marked
  ecn = row.row('"pass", "bleach" (to Not-ECT), "ect1" (what was ECT(0)) or "drop" (what is not Not-ECT)',
    function(value) return ECN[value] end, "pass"),
  loss = probability,
  loss_burst = row.row("datagrams from 1", function(value) return type(value) == "number" and value >= 1 end,
    math.huge), -- that `loss` takes in a row, at most
  duplicate = probability,
  reorder = probability,     -- to be held back …
  reorder_delay = row.number("seconds", 0, LATEST, 0.01), -- … for up to this long
  corrupt = probability,     -- that a bit is flipped
  mtu = row.number("bytes", 0, math.huge, 65535), -- larger datagrams (UDP payloads) are lost …
  ptb = row.of("boolean", false), -- … and a PTB message of ICMP goes back to who sent them
  drop = row.of("table", false, true), -- list of datagrams to lose, counted from 1
  cut = row.of("boolean", false), -- everything is lost
  outages = row.row("a list of { from, to } in seconds since the start, or false", is_outages, false), -- cut then
  cross = row.row("a table with rate, and size, on, off, from, to; or false", is_cross, false), -- traffic of others
  filter = row.of("function", false, true), -- (bytes, index, now, datagram): false loses it, a string replaces it
}

local COUNTERS = { -- of a direction, in datagrams where nothing else is said
  "sent", "bytes", "delivered", "delivered_bytes", "lost", "overflowed", "dropped_early", "marked", "bleached",
  "duplicated", "reordered", "corrupted", "too_big", "longest", "crossed", "crossed_lost",
}

-- ---- traffic of others

-- When the next datagram of it leaves, at `at` or later; nil when it is over.
local function next_cross(cross, at, started)
  at = math.max(at, started + cross.from)
  local since = at - started - cross.from
  local within = since % (cross.on + cross.off)
  if within >= cross.on then at = at + cross.on + cross.off - within end
  return at < started + cross.to and at or nil
end

local function cross_now(event, owner)
  local direction = event.direction
  local cross = direction.cross_now
  if cross ~= event.cross then return end -- another has been set
  direction.crossed = direction.crossed + 1
  local lost = direction.overflowed + direction.dropped_early
  direction:enqueue({ size = cross.size, ecn = NOT_ECT, is_cross = true }, owner.now)
  direction.crossed_lost = direction.crossed_lost + direction.overflowed + direction.dropped_early - lost
  event.at = next_cross(cross, owner.now + cross.size / cross.rate, owner.started)
  if event.at then owner:push(event) end
end

local function begin_cross(direction)
  local owner, given = direction.sim, direction.cross
  direction.cross_now = nil
  if not given then return end
  local cross = {}
  for name, rule in pairs(CROSS) do cross[name] = given[name] == nil and rule.default or given[name] end
  direction.cross_now = cross
  local at = next_cross(cross, owner.now, owner.started)
  if at then owner:push{ at = at, action = cross_now, direction = direction, cross = cross } end
end

-- ---- directions

local function change(direction, options, own)
  for option in pairs(link_options) do
    local value = own[option]
    if value == nil then value = options[option] end
    if value ~= nil then direction[option] = value end
  end
  if own.cross ~= nil or options.cross ~= nil then begin_cross(direction) end
  if own.drop ~= nil or options.drop ~= nil then
    direction.dropped = {}
    for _, index in ipairs(direction.drop or {}) do direction.dropped[index] = true end
  end
end

local function new_direction(owner, name, options, own)
  local direction = setmetatable({
    sim = owner,
    name = name,
    random = random.generator(("%s/%s"):format(owner.seed, name)),
    last_at = 0,    -- when the last datagram arrives
    in_a_row = 0,   -- datagrams that `loss` has taken
    dropped = {},
  }, Direction)
  for _, counter in ipairs(COUNTERS) do direction[counter] = 0 end
  for option, rule in pairs(link_options) do direction[option] = rule.default end
  direction.waiting = Queue.new(direction)
  change(direction, options, own)
  return direction
end

local anything = row.row("anything", function() return true end)
local with_directions = setmetatable({ up = anything, down = anything }, { __index = link_options })

local function check(options, level)
  local both = {}
  row.check(options, with_directions, "a link", level + 1)
  for option, value in pairs(options) do
    if option == "up" or option == "down" then
      row.check(value, link_options, ("a link's '%s'"):format(option), level + 1)
    else
      both[option] = value
    end
  end
  return both
end

--- A link of a simulation. Options are those above, for both directions; `up` (away from who is behind it) and `down`
-- may hold options of their own; `behind` is another link that what goes up takes next. `level` is that of who gave
-- them, as error() counts for the caller.
function Link.new(owner, options, level)
  local own = {}
  for name, value in pairs(options) do own[name] = value end
  local behind = own.behind
  own.behind = nil
  if behind ~= nil and not (Link.is(behind) and behind.up.sim == owner) then
    error("option 'behind' must be a link of this simulation", level + 1)
  end
  local both = check(own, level + 1)
  local number = #owner.links + 1
  owner.links[number] = setmetatable({
    behind = behind,
    up = new_direction(owner, ("link %d up"):format(number), both, own.up or {}),
    down = new_direction(owner, ("link %d down"):format(number), both, own.down or {}),
  }, Link)
  return owner.links[number]
end

--- Changes options from now on, as they were given first. What waits or is under way goes on; a new rate holds from the
-- next datagram on.
function Link:set(options)
  local both = check(options, 2)
  change(self.up, both, options.up or {})
  change(self.down, both, options.down or {})
end

--- The counters of a direction, "up" or "down", as a table.
function Link:stats(name)
  local direction, stats = self[name], {}
  if getmetatable(direction) ~= Direction then error('a direction is "up" or "down"', 2) end
  for _, counter in ipairs(COUNTERS) do stats[counter] = direction[counter] end
  return stats
end

--- Whether a value is a link of any simulation.
function Link.is(value)
  return getmetatable(value) == Link
end

-- ---- what happens to a datagram

local function flip_bit(bytes, draw)
  local at = math.floor(draw() * #bytes) + 1
  local bit = 2 ^ math.floor(draw() * 8)
  local byte = bytes:byte(at)
  local flipped = math.floor(byte / bit) % 2 == 1 and byte - bit or byte + bit
  return bytes:sub(1, at - 1) .. string.char(flipped) .. bytes:sub(at + 1)
end

local function is_out(self, now)
  if self.cut then return true end
  for _, one in ipairs(self.outages or {}) do
    if now >= self.sim.started + one[1] and now < self.sim.started + one[2] then return true end
  end
  return false
end

-- Whether chance takes it: not more than `loss_burst` in a row.
local function is_unlucky(self)
  if self.loss == 0 then return false end
  local unlucky = self.random() < self.loss and self.in_a_row < self.loss_burst
  self.in_a_row = unlucky and self.in_a_row + 1 or 0
  return unlucky
end

-- A router that has no room for a datagram tells its sender so (RFC 1191, RFC 8201).
local function tell_too_big(event)
  local sender, told = event.sender, event.datagram
  sender.endpoint:too_big(told.to, event.passes, told.bytes:sub(1, QUOTED))
  sender.dirty = true
end

local function is_too_big(self, datagram, now)
  if datagram.size <= self.mtu then return false end
  self.too_big = self.too_big + 1
  if self.ptb and datagram.sender then
    self.sim:push{ at = now + self.delay, action = tell_too_big, sender = datagram.sender, datagram = datagram,
      passes = self.mtu }
  end
  return true
end

-- What becomes of the two bits of ECN; whether the datagram is lost by having them.
local function change_ecn(self, datagram)
  if self.ecn == "pass" or (datagram.ecn or NOT_ECT) == NOT_ECT then return false end
  if self.ecn == "drop" then return true end
  if self.ecn == "bleach" or datagram.ecn == ECT0 then
    datagram.ecn = self.ecn == "bleach" and NOT_ECT or ECT1
    self.bleached = self.bleached + 1
  end
  return false
end

-- Whether the datagram is lost before it comes to the queue. Its bytes may have changed.
function Direction:damages(datagram, now)
  if self.filter then
    local verdict = self.filter(datagram.bytes, self.sent, now, datagram)
    if verdict == false then return true end
    if type(verdict) == "string" then datagram.bytes, datagram.size = verdict, #verdict end
  end
  local unlucky = is_unlucky(self)
  if unlucky or self.dropped[self.sent] or is_out(self, now) then return true end
  if is_too_big(self, datagram, now) or change_ecn(self, datagram) then return true end
  if self.corrupt > 0 and datagram.size > 0 and self.random() < self.corrupt then
    self.corrupted = self.corrupted + 1
    datagram.bytes = flip_bit(datagram.bytes, self.random)
  end
  return false
end

local function copy_of(datagram)
  local copy = {}
  for name, value in pairs(datagram) do copy[name] = value end
  return copy
end

--- A datagram comes to this direction now: `bytes`, `size`, `from`, `to`, `ecn`, `sender`, and its `route`, of which
-- this is the part number `hop`.
function Direction:carry(datagram)
  local owner = self.sim
  local now = owner.now
  self.sent = self.sent + 1
  self.bytes = self.bytes + datagram.size
  owner.hash = core.hash(datagram.bytes, core.hash(("%.9f %s"):format(now, self.name), owner.hash))
  if self:damages(datagram, now) then
    self.lost = self.lost + 1
    return
  end
  if self.duplicate > 0 and self.random() < self.duplicate then
    self.duplicated = self.duplicated + 1
    self:enqueue(copy_of(datagram), now)
  end
  self:enqueue(datagram, now)
end

-- The last bit of a datagram has left: the next one's first does.
local function has_left(event, owner)
  local direction, datagram = event.direction, event.datagram
  direction:depart(datagram, owner.now)
  local next_one = direction.waiting:take(owner.now)
  direction.is_busy = next_one ~= nil
  if next_one then direction:serve(next_one, event) end
end

function Direction:serve(datagram, event)
  event.at = self.sim.now + (self.rate and datagram.size / self.rate or 0)
  event.datagram = datagram
  self.sim:push(event)
end

function Direction:enqueue(datagram, now)
  if self.is_busy then
    self.waiting:push(datagram, now)
  elseif self.rate then
    self.is_busy = true
    self:serve(datagram, { action = has_left, direction = self })
  else
    self:depart(datagram, now)
  end
end

local function arrive(event, owner)
  local direction, datagram = event.direction, event.datagram
  direction.delivered = direction.delivered + 1
  direction.delivered_bytes = direction.delivered_bytes + datagram.size
  owner:pass_on(datagram)
end

-- It has left the queue, and is under way.
function Direction:depart(datagram, now)
  if datagram.is_cross then return end
  local at = now + self.delay + self.jitter * self.random()
  if self.jitter > 0 then at = math.max(at, self.last_at) end
  self.last_at = at
  if self.reorder > 0 and self.random() < self.reorder then
    at = at + self.reorder_delay * self.random()
    self.reordered = self.reordered + 1
  end
  self.sim:push{ at = at, action = arrive, direction = self, datagram = datagram }
end

return Link
