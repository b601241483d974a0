--- Nodes: an endpoint with addresses, and what it shows to the script that plays its application.
local address = require "neap.sim.address"
local cc = require "neap.cc"
local core = require "neap.core"
local Link = require "neap.sim.link"
local material = require "neap.sim.material"
local row = require "neap.options"
local scheduling = require "neap.scheduling"

local Node = {}
Node.__index = Node

local rebindings = row.row("a list of { at =, address = }, in seconds since the start", function(value)
  if type(value) ~= "table" then return false end
  for _, one in ipairs(value) do
    if type(one) ~= "table" or type(one.at) ~= "number" or not address.is(one.address) then return false end
  end
  return true
end)

-- What a node takes for itself; the rest is for core.config, which refuses what it does not know.
local server_options = {
  on_conn = row.of("function"), address = address.option, link = row.row("a link of this simulation", Link.is),
}
local client_options = {
  on_conn = row.of("function"), address = address.option, name = row.of("string", "localhost"),
  link = server_options.link,
  server = row.row("a node", function(value) return getmetatable(value) == Node end),
  connect = row.of("boolean", true),
  rebind = rebindings, -- what a NAT does, and when
}

--- A node of a simulation, and its options: those of core.config, and of the rows above. `level` is that of who gave
-- them, as error() counts for the caller.
function Node.new(owner, given, is_server, level)
  local options, config = row.split(given, is_server and server_options or client_options, level + 1)
  local number = #owner.nodes + 1
  config.alpn = config.alpn or "neap-sim"
  config.seed = config.seed or ("%s/node %d"):format(owner.seed, number)
  config.wall_clock = config.wall_clock or material.WALL_CLOCK
  if is_server and not config.cert and not config.certs then
    config.cert, config.key = material.certificate().cert, material.certificate().key
  elseif not is_server and not config.ca and config.verify_peer == nil and not config.pins then
    config.ca = material.certificate().cert
  end
  local link = options.link
  if not link and not is_server then link = owner.default_link or owner:link{} end
  local made = assert(core.config(config))
  owner:keep_time(made, config.wall_clock)
  local node = Node.make(owner, made, is_server, link)
  node.on_conn = options.on_conn
  node:add_address(options.address or (is_server and "10.1.0.%d:443" or "10.2.0.%d:50000"):format(number))
  for _, one in ipairs(options.rebind or {}) do
    owner:at(one.at, function() node:rebind(one.address) end)
  end
  return node, options
end

--- A node without addresses, of a config that is made. `link`: that it is behind; nil: none.
function Node.make(owner, config, is_server, link)
  local node = setmetatable({
    sim = owner, is_server = is_server, config = config, link = link, info = {},
    places = {}, -- by the address that the node knows: { node =, inside =, outside =, link = }
  }, Node)
  node.endpoint = assert(core.endpoint(config, is_server))
  node.answers_most = node.endpoint:stats().answers_most
  owner.nodes[#owner.nodes + 1] = node
  return node
end

--- Gives it an address, the first of which is node.address. `options.link`: what it is behind, if not the node's link.
function Node:add_address(text, options)
  if not address.is(text) then error("an address must be " .. address.option.must_be, 2) end
  local link = options and options.link
  if link and not Link.is(link) then error("'link' must be a link of this simulation", 2) end
  local place = { node = self, inside = text, outside = text, link = link or self.link }
  self.sim:take_place(place, 3)
  self.places[text] = place
  self.address = self.address or text
  return place
end

--- Takes an address away again: what is sent from there, or to there, is lost.
function Node:remove_address(text)
  local place = self.places[text]
  if not place then error(("the node has no address %s"):format(text), 2) end
  self.sim:leave_place(place)
  self.places[text] = nil
end

--- A connection of a client to its server, or another one: conn, or nil, message, code.
function Node:connect(server)
  server = server or self.server
  local conn, message, code = self.endpoint:connect(self.name, server.address,
    { from = self.inside or self.address, at = self.sim.now })
  if not conn then return nil, message, code end
  self.dirty = true
  return conn
end

--- From now on the client has another address, as when a NAT forgets it: it knows nothing of it, its
-- packets come from there, and what is under way to the old one is lost. `inside` is which of its own addresses, the
-- first unless told.
function Node:rebind(outside, inside)
  if self.is_server then error("only clients are behind a NAT", 2) end
  if not address.is(outside) then error("an address must be " .. address.option.must_be, 2) end
  inside = inside or self.inside or self.address
  local place = self.places[inside]
  if not place then error(("the node has no address %s"):format(inside), 2) end
  if self.sim:place_at(outside, self) then error(("%s is taken"):format(outside), 2) end
  self.sim:leave_place(place)
  place.outside = outside
  self.sim:take_place(place, 3)
  if inside == (self.inside or self.address) then self.inside, self.address = inside, outside end
end

--- Tell the simulation that something was done to this node's connections outside its on_conn and
-- outside of tasks.
function Node:touch()
  self.dirty = true
end

--- A datagram has come to one of its addresses.
function Node:receive(datagram, place)
  local owner = self.sim
  -- Answers that no connection sends leave before there may be more of them than an endpoint keeps.
  self.unanswered = self.dirty and (self.unanswered or 0) + 1 or 1
  if self.unanswered > self.answers_most and self.endpoint:stats().answers_waiting > 0 then
    self:flush()
    self.unanswered = 1
  end
  self.endpoint:recv(datagram.bytes, { from = datagram.from, to = place.inside, ecn = datagram.ecn, at = owner.now })
  self.dirty = true
end

--- Shows the application what is new; true when there was something.
function Node:serve()
  local endpoint, on_conn = self.endpoint, self.on_conn
  self.is_fresh = false
  local conn = endpoint:next()
  if not conn then return false end
  repeat
    if cc._serve then cc._serve(conn) end
    if scheduling._serve then scheduling._serve(conn) end
    if on_conn then on_conn(conn, self) end
    conn = endpoint:next()
  until not conn
  return true
end

--- Sends what the endpoint has; trains come apart into datagrams.
function Node:flush()
  local owner, endpoint, info = self.sim, self.endpoint, self.info
  self.dirty, self.is_fresh = false, true
  while true do
    local bytes = endpoint:send(owner.now, info)
    if not bytes then return end
    local place = self.places[info.from] or self.host and self.host:place_for(self, info.from)
    if place then -- else it has been taken away
      local route = owner:route(place, info.to)
      local segment = info.segment_size
      for first = 1, #bytes, segment do
        local piece = bytes:sub(first, first + segment - 1)
        owner:launch({ bytes = piece, size = #piece, from = place.outside, to = info.to, ecn = info.ecn, sender = self,
          route = route, hop = 0 }, info.at)
      end
    end
  end
end

--- Frees the endpoint, with all its connections.
function Node:close()
  self.endpoint:close()
  for _, place in pairs(self.places) do self.sim:leave_place(place) end
  self.places, self.is_closed = {}, true
end

return Node
