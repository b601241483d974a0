--- Links: what happens to a datagram between two nodes. Each direction has its own options, queue, counters and
-- randomness.
local core = require "neap.core"
local random = require "neap.sim.random"
local row = require "neap.options"

local Link, Direction = {}, {}
Link.__index, Direction.__index = Link, Direction

local QUOTED = 528 -- bytes of a datagram in an ICMP message: 576 with all headers (RFC 1812 §4.3.2.3)

local LATEST = 1e9 -- seconds
local span = row.number("seconds", 0, LATEST, 0)
local probability = row.number("a probability", 0, 1, 0)

local link_options = {
  delay = span,              -- one way
  jitter = span,             -- at most on top, without changing the order
  rate = row.row("bytes a second above 0, or false for any", function(value) -- false unless told
    return value == false or type(value) == "number" and value > 0
  end, false),
  queue = row.number("datagrams", 0, math.huge, 100), -- that wait for the rate; more are dropped
  loss = probability,
  duplicate = probability,
  reorder = probability,     -- to be held back …
  reorder_delay = row.number("seconds", 0, LATEST, 0.01), -- … for up to this long
  corrupt = probability,     -- that a bit is flipped
  mtu = row.number("bytes", 0, math.huge, 65535), -- larger datagrams (UDP payloads) are lost …
  ptb = row.of("boolean", false), -- … and a PTB message of ICMP goes back to who sent them
  drop = row.of("table", false, true), -- list of datagrams to lose, counted from 1
  filter = row.of("function", false, true), -- (bytes, index, now): false loses the datagram, a string replaces it
}

local function new_direction(owner, name, options, own)
  local direction = setmetatable({
    sim = owner,
    name = name,
    random = random.generator(("%s/%s"):format(owner.seed, name)),
    free_at = 0,    -- when the last datagram has left
    last_at = 0,    -- when it arrives
    leaving = {}, first = 1, last = 0,
    sent = 0, delivered = 0, lost = 0, overflowed = 0, duplicated = 0, corrupted = 0, bytes = 0,
    dropped = {},
  }, Direction)
  for option, rule in pairs(link_options) do
    local value = own[option]
    if value == nil then value = options[option] end
    if value == nil then value = rule.default end
    direction[option] = value
  end
  for _, index in ipairs(direction.drop or {}) do direction.dropped[index] = true end
  return direction
end

--- A link of a simulation. Options are those above, for both directions; `up` (client to server) and `down` may hold
-- options of their own. `level` is that of who gave them, as error() counts for the caller.
function Link.new(owner, options, level)
  local both = {}
  for option, value in pairs(options) do
    if option == "up" or option == "down" then
      row.check(value, link_options, ("a link's '%s'"):format(option), level + 1)
    else
      both[option] = value
    end
  end
  row.check(both, link_options, "a link", level + 1)
  local number = #owner.links + 1
  owner.links[number] = setmetatable({
    up = new_direction(owner, ("link %d up"):format(number), options, options.up or {}),
    down = new_direction(owner, ("link %d down"):format(number), options, options.down or {}),
  }, Link)
  return owner.links[number]
end

--- Whether a value is a link of any simulation.
function Link.is(value)
  return getmetatable(value) == Link
end

local function flip_bit(bytes, draw)
  local at = math.floor(draw() * #bytes) + 1
  local bit = 2 ^ math.floor(draw() * 8)
  local byte = bytes:byte(at)
  local flipped = math.floor(byte / bit) % 2 == 1 and byte - bit or byte + bit
  return bytes:sub(1, at - 1) .. string.char(flipped) .. bytes:sub(at + 1)
end

-- When a datagram that comes to the bottleneck now has left it; nil when the queue is full.
function Direction:leave(size, now)
  if not self.rate then return now end
  local leaving = self.leaving -- times, in a queue from `first` to `last`
  while self.first <= self.last and leaving[self.first] <= now do
    leaving[self.first] = nil
    self.first = self.first + 1
  end
  if self.last - self.first + 1 > self.queue then return nil end
  self.free_at = math.max(self.free_at, now) + size / self.rate
  self.last = self.last + 1
  leaving[self.last] = self.free_at
  return self.free_at
end

function Direction:arrival(left)
  local at = left + self.delay + self.jitter * self.random()
  if self.jitter > 0 then at = math.max(at, self.last_at) end
  self.last_at = at
  if self.reorder > 0 and self.random() < self.reorder then at = at + self.reorder_delay * self.random() end
  return at
end

-- Whether the datagram is lost, before the queue; and its bytes, which may have changed.
function Direction:damage(bytes, now)
  if self.filter then
    local verdict = self.filter(bytes, self.sent, now)
    if verdict == false then return nil end
    if type(verdict) == "string" then bytes = verdict end
  end
  local lost = self.loss > 0 and self.random() < self.loss
  if lost or self.dropped[self.sent] or #bytes > self.mtu then return nil end
  if self.corrupt > 0 and #bytes > 0 and self.random() < self.corrupt then
    self.corrupted = self.corrupted + 1
    bytes = flip_bit(bytes, self.random)
  end
  return bytes
end

-- A router that has no room for a datagram tells its sender so (RFC 1191, RFC 8201).
function Direction:answer_too_big(sender, bytes, info, at)
  self.sim:push{
    at = at + self.delay, node = sender, direction = self, to = sender.address,
    too_big = { to = info.to, passes = self.mtu, quoted = bytes:sub(1, QUOTED) },
  }
end

function Direction:carry(node, bytes, info, at, sender)
  local owner = self.sim
  self.sent = self.sent + 1
  self.bytes = self.bytes + #bytes
  owner.hash = core.hash(bytes, core.hash(("%.9f %s"):format(at, self.name), owner.hash))
  local whole = self:damage(bytes, at)
  if not whole then
    self.lost = self.lost + 1
    if self.ptb and #bytes > self.mtu then self:answer_too_big(sender, bytes, info, at) end
    return
  end
  local copies = 1
  if self.duplicate > 0 and self.random() < self.duplicate then
    copies = 2
    self.duplicated = self.duplicated + 1
  end
  for _ = 1, copies do
    local left = self:leave(#whole, at)
    if left then
      owner:push{
        at = self:arrival(left), node = node, bytes = whole, direction = self,
        from = info.from, to = info.to, ecn = info.ecn,
      }
    else
      self.overflowed = self.overflowed + 1
    end
  end
end

return Link
