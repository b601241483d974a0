--- Nodes: an endpoint with an address, and what it shows to the script that plays its application.
local core = require "neap.core"
local Link = require "neap.sim.link"
local row = require "neap.options"

local Node = {}
Node.__index = Node

local WALL_CLOCK = 1767225600 -- certificates are of 2026, whenever a simulation runs

local certificate -- of all servers that are given none

local function test_certificate()
  if not certificate then
    local cert, key = assert(core.make_certificate{
      names = { "localhost", "test.example" }, days = 3650, seed = "neap.sim", wall_clock = WALL_CLOCK,
    })
    certificate = { cert = cert, key = key }
  end
  return certificate
end

local function is_byte(digits)
  return tostring(tonumber(digits)) == digits and tonumber(digits) < 256
end

-- Addresses are compared as text: those of IPv4 have one spelling here.
local function is_address(value)
  if type(value) ~= "string" then return false end
  local port = value:match("^%[%x*:[%x:.]*%]:(%d+)$")
  if not port then
    local a, b, c, d
    a, b, c, d, port = value:match("^(%d+)%.(%d+)%.(%d+)%.(%d+):(%d+)$")
    if not (a and is_byte(a) and is_byte(b) and is_byte(c) and is_byte(d)) then return false end
  end
  return tostring(tonumber(port)) == port and tonumber(port) <= 65535
end

local address_option = row.row('an address like "10.0.0.1:443" or "[2001:db8::1]:443"', is_address)

-- What a node takes for itself; the rest is for core.config, which refuses what it does not know.
local server_options = { on_conn = row.of("function"), address = address_option }
local client_options = {
  on_conn = row.of("function"), address = address_option, name = row.of("string", "localhost"),
  link = row.row("a link of this simulation", Link.is),
  server = row.row("a node", function(value) return getmetatable(value) == Node end),
  connect = row.of("boolean", true),
}

--- A node of a simulation, and its options: those of core.config, and of the rows above. `level` is that of who gave
-- them, as error() counts for the caller.
function Node.new(owner, given, is_server, level)
  local options, config = row.split(given, is_server and server_options or client_options, level + 1)
  local number = #owner.nodes + 1
  config.alpn = config.alpn or "neap-sim"
  config.seed = config.seed or ("%s/node %d"):format(owner.seed, number)
  config.wall_clock = config.wall_clock or WALL_CLOCK
  if is_server and not config.cert and not config.certs then
    config.cert, config.key = test_certificate().cert, test_certificate().key
  elseif not is_server and not config.ca and config.verify_peer == nil and not config.pins then
    config.ca = test_certificate().cert
  end
  local node = setmetatable({
    sim = owner,
    is_server = is_server,
    address = options.address or (is_server and "10.1.0.%d:443" or "10.2.0.%d:50000"):format(number),
    on_conn = options.on_conn,
    config = assert(core.config(config)),
    link = options.link or owner.default_link or owner:link{},
    info = {},
  }, Node)
  node.endpoint = assert(core.endpoint(node.config, is_server))
  node.answers_most = node.endpoint:stats().answers_most
  owner.nodes[number] = node
  owner.by_address[node.address] = node
  return node, options
end

--- A connection of a client to its server, or another one: conn, or nil, message, code.
function Node:connect(server)
  server = server or self.server
  local conn, message, code = self.endpoint:connect(self.name, server.address,
    { from = self.address, at = self.sim.now })
  if not conn then return nil, message, code end
  self.dirty = true
  return conn
end

--- From now on the client has another address, as when a NAT forgets it: it knows nothing of it, its
-- packets come from there, and what is under way to the old one is lost.
function Node:rebind(address)
  local owner = self.sim
  if self.is_server then error("only clients are behind a NAT", 2) end
  if not is_address(address) then error("an address must be " .. address_option.must_be, 2) end
  if owner.by_address[address] then error(("%s is taken"):format(address), 2) end
  owner.by_address[self.address] = nil
  owner.by_address[address] = self
  self.inside = self.inside or self.address
  self.address = address
end

--- Tell the simulation that something was done to this node's connections outside its on_conn and
-- outside of tasks.
function Node:touch()
  self.dirty = true
end

-- Shows the application what is new; true when there was something.
function Node:serve()
  local endpoint, on_conn = self.endpoint, self.on_conn
  local conn = endpoint:next()
  if not conn then return false end
  repeat
    if on_conn then on_conn(conn, self) end
    conn = endpoint:next()
  until not conn
  return true
end

-- Sends what the endpoint has; trains come apart into datagrams.
function Node:flush()
  local owner, endpoint, info = self.sim, self.endpoint, self.info
  self.dirty = false
  while true do
    local bytes = endpoint:send(owner.now, info)
    if not bytes then return end
    if self.inside then info.from = self.address end
    local target = owner.by_address[info.to]
    local link = self.is_server and target and target.link or self.link
    local direction = self.is_server and link.down or link.up
    local segment, at = info.segment_size, math.max(info.at, owner.now)
    for first = 1, #bytes, segment do
      direction:carry(target, bytes:sub(first, first + segment - 1), info, at, self)
    end
  end
end

return Node
