--- The network between nodes: who has which address, by which links a datagram goes, and what servers have sent to
-- addresses that have proved nothing. Its functions are methods of a simulation.
local address = require "neap.sim.address"
local Amplification = require "neap.sim.amplification"

local network = {}

local QUOTED = 528 -- bytes of a datagram in an ICMP message: 576 with all headers (RFC 1812 §4.3.2.3)

-- A loopback address is the host's own.
local function key_of(text, node)
  if node and node.host and address.is_loopback(text) then return node.host.name .. " " .. text end
  return text
end

--- The place that has an address, as a node sees it; nil: nobody.
function network:place_at(text, node)
  return self.by_address[key_of(text, node)]
end

--- Gives its `outside` address to a place; an error, at the caller's level, when another has it.
function network:take_place(place, level)
  local key = key_of(place.outside, place.node)
  if self.by_address[key] then error(("%s is taken"):format(place.outside), level + 1) end
  self.by_address[key] = place
end

function network:leave_place(place)
  local key = key_of(place.outside, place.node)
  if self.by_address[key] ~= place then return end
  self.by_address[key] = nil
  self.left[key] = place.link
end

-- The links from one to the middle of the network.
local function links_of(link)
  local list = {}
  while link do
    list[#list + 1] = link
    link = link.behind
  end
  return list
end

--- By which directions a datagram goes from a place to an address: up to the link that both are behind, and down. What
-- goes to nobody goes to where somebody had the address, or else leaves by the sender's links or comes down the default
-- one.
function network:route(place, to)
  local target = self:place_at(to, place.node)
  local ups, downs = links_of(place.link), links_of(target and target.link or self.left[to])
  if not target and #ups == 0 and #downs == 0 and self.default_link then downs = { self.default_link } end
  if target and target.node.host and target.node.host == place.node.host then return {} end
  while #ups > 0 and ups[#ups] == downs[#downs] do ups[#ups], downs[#downs] = nil, nil end
  local route = {}
  for _, link in ipairs(ups) do route[#route + 1] = link.up end
  for i = #downs, 1, -1 do route[#route + 1] = downs[i].down end
  return route
end

local function set_out(event, owner)
  owner:pass_on(event.datagram)
end

--- A datagram leaves its node, at `at` or now.
function network:launch(datagram, at)
  Amplification.on_sent(self.amplified, datagram)
  if at > self.now then
    self:push{ at = at, action = set_out, datagram = datagram }
  else
    self:pass_on(datagram)
  end
end

local function tell_unreachable(event)
  local sender, datagram = event.sender, event.datagram
  if sender.is_closed then return end
  sender.endpoint:unreachable(datagram.to, datagram.bytes:sub(1, QUOTED))
  sender.dirty = true
end

-- A host where nobody listens at a port says so by ICMP (RFC 1122 §4.1.3.1). It takes as long as the datagram did.
local function refuse(owner, datagram)
  local ip, sender = datagram.to:match("^(.*):%d+$"), datagram.sender
  if not sender or not (owner.host_at[ip] or sender.host and address.is_loopback(ip)) then return end
  local delay = 0
  for _, direction in ipairs(datagram.route) do delay = delay + direction.delay end
  owner:push{ at = owner.now + delay, action = tell_unreachable, sender = sender, datagram = datagram }
end

local function come(event, owner)
  local datagram = event.datagram
  local place = owner:place_at(datagram.to, datagram.sender)
  if not place then return refuse(owner, datagram) end
  Amplification.on_received(owner.amplified, datagram, place, owner.now)
  place.node:receive(datagram, place)
end

--- A datagram has passed a part of its route: it comes to the next, or to its end.
function network:pass_on(datagram)
  datagram.hop = datagram.hop + 1
  local direction = datagram.route[datagram.hop]
  if direction then return direction:carry(datagram) end
  local event = { at = self.now, action = come, datagram = datagram }
  if datagram.hop == 1 then return self:push(event) end -- nothing happens inside of a flush
  come(event, self)
end

--- Somebody who is no node sends a datagram, which is at its end at a virtual time (as sim.now): for attackers.
function network:inject(at, bytes, from, to, ecn)
  self:push{ at = at, action = come, datagram = { bytes = bytes, size = #bytes, from = from, to = to, ecn = ecn or 0 } }
end

--- The greatest share of what came from an address that a server has sent there before the address was proved (RFC 9000
-- §8: 3 at most), and the address.
function network:amplification()
  return self.amplified.most, self.amplified.worst
end

return network
