--- Endpoints of hosts: what those of a loop of the binding do, over nodes of the simulated network.
local address = require "neap.sim.address"
local Node = require "neap.sim.node"
local ordered = require "neap.ordered"

local EADDRINUSE, EADDRNOTAVAIL = 98, 99

local Endpoint = {}

-- What has nothing to do with sockets the binding's endpoint does.
function Endpoint:__index(name)
  if Endpoint[name] ~= nil then return Endpoint[name] end
  return function(_, ...)
    self.node.dirty = true
    return self.node.endpoint[name](self.node.endpoint, ...)
  end
end

--- An endpoint at a port of a host, without an address so far.
function Endpoint.new(host, config, is_server, port)
  local node = Node.make(host.sim, config, is_server)
  node.host = host
  local self = setmetatable({
    host = host, node = node, port = port, bound = false,
    follows = false,          -- the machine's routes, as far as there are any
    listens_anywhere = false, -- at addresses to come, too
    conns = setmetatable({}, { __mode = "k" }),
  }, Endpoint)
  host.endpoints[#host.endpoints + 1] = self
  return self
end

--- As endpoint:next of the binding; what neap.sim has looked at comes first.
function Endpoint:next()
  local node = self.node
  local conn, asks = node.peeked, node.asks
  if conn then
    node.peeked = nil
    node.dirty = true
    return conn, asks
  end
  return node.endpoint:next()
end

local function local_ip(self, peer)
  local is_v6 = address.is_v6(peer)
  if address.is_loopback(peer) then return is_v6 and "[::1]" or "127.0.0.1" end
  for _, ip in ipairs(self.host.addresses) do
    if address.is_v6(ip) == is_v6 then return ip end
  end
end

function Endpoint:connect(name, peer, options)
  local node = self.node
  local ip = local_ip(self, peer)
  if not ip then return nil, "no socket of this address family", "unsupported" end
  local from = ("%s:%d"):format(ip, self.port)
  if not node.places[from] and not self.host:place_for(node, from) then
    return nil, from .. ": Address already in use", "system", EADDRINUSE
  end
  local conn, message, code = node.endpoint:connect(name, peer,
    { config = options and options.config, from = from, at = self.host.sim.now })
  node.dirty = true
  if conn then self.conns[conn] = true end
  return conn, message, code
end

--- As endpoint:follow_routes: connections leave an address that goes away.
function Endpoint:follow_routes()
  self.follows = true
  return true
end

-- Connections from an IP that the host has no more go on from another one.
function Endpoint:leave(ip)
  if not self.follows then return end
  for _, conn in ipairs(ordered.conns(self.conns)) do
    local from = conn:local_address()
    if from and from:match("^(.*):%d+$") == ip then
      local other = local_ip(self, from)
      if other then conn:migrate{ address = ("%s:%d"):format(other, self.port), gone = true } end
    end
  end
  self.node.dirty = true
end

--- As endpoint:listen_also: the server is at another address of the host as well.
function Endpoint:listen_also(text)
  local place = self.host:place_for(self.node, text)
  if not place and not self.node.places[text] then
    return nil, text .. ": Cannot assign requested address", "system", EADDRNOTAVAIL
  end
  return true
end

function Endpoint:address()
  return self.bound
end

function Endpoint:close()
  local host = self.host
  for i = #host.endpoints, 1, -1 do
    if host.endpoints[i] == self then table.remove(host.endpoints, i) end
  end
  host.sim:remove_node(self.node)
end

return Endpoint
