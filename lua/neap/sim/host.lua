--- Hosts: what a program written for sockets finds when it runs in a simulation: addresses, names, certificates, and
-- endpoints that are nodes of the network.
local address = require "neap.sim.address"
local Endpoint = require "neap.sim.endpoint"
local Link = require "neap.sim.link"
local material = require "neap.sim.material"
local row = require "neap.options"
local task = require "neap.task"

local Host = {}
Host.__index = Host

local FIRST_PORT, LAST_PORT = 49152, 65535 -- of who asks for none, RFC 6335 §6
local ENODEV, EADDRINUSE, EADDRNOTAVAIL = 19, 98, 99

local OPTIONS = {
  link = row.row("a link of this simulation", Link.is),
  address = row.of("string"), addresses = row.of("table"),
}

local function is_name(value)
  return type(value) == "string" and #value <= 253 and value:match("^[%w%-%.]+$") ~= nil and not address.ip(value)
end

local function checked_ip(text, level)
  local ip = type(text) == "string" and address.ip(text)
  return ip or error(("not an IP address: %s"):format(tostring(text)), level + 1)
end

-- An IP that no host has, in its one spelling.
local function free_ip(owner, text, level)
  local ip = checked_ip(text, level + 1)
  if owner.host_at[ip] then error(("%s has %s already"):format(owner.host_at[ip].name, ip), level + 1) end
  return ip
end

--- A host of a simulation: see Sim:host.
function Host.new(owner, name, given, level)
  if not is_name(name) then error("a host's name is one of DNS", level + 1) end
  if owner.hosts[name] then error(("there is a host %s already"):format(name), level + 1) end
  if type(given) == "string" then given = { address = given } end
  given = given or {}
  row.check(given, OPTIONS, "a host", level + 1)
  owner.host_count = owner.host_count + 1
  local addresses = {}
  local one = given.address or ("10.3.%d.%d"):format(math.floor(owner.host_count / 250), owner.host_count % 250 + 1)
  local texts = given.addresses or { one }
  for i, text in ipairs(texts) do
    addresses[i] = free_ip(owner, text, level + 1)
  end
  local host = setmetatable({
    sim = owner, name = name, addresses = addresses, link = given.link, links = {}, next_port = FIRST_PORT, configs = 0,
    endpoints = {},
  }, Host)
  owner.hosts[name] = host
  for _, ip in ipairs(addresses) do owner.host_at[ip] = host end
  return host
end

local function pack(...)
  return { n = select("#", ...), ... }
end

--- Runs fn(...) as a task of this host: what it begins, listens and connects here.
function Host:go(fn, ...)
  if type(fn) ~= "function" then error("host:go takes a function", 2) end
  local owner = self.sim
  if owner.is_running then return task.go_at(self, fn, ...) end
  task.within(owner.world, task.go_at, self, fn, ...)
end

--- The same, and runs the simulation until fn has returned, for `seconds` at most (3600): what it returned. For who is
-- outside of the simulation.
function Host:run(fn, seconds)
  local results
  self:go(function() results = pack(fn()) end)
  self.sim:run(function() return results end, seconds or 3600)
  if results then return (table.unpack or unpack)(results, 1, results.n) end -- else neap.stop() was called
end

local function add_place(host, node, ip, port)
  local link = host.links[ip] or host.link or (not node.is_server and host.sim.default_link) or nil
  if address.is_loopback(ip) then link = nil end
  local place = node:add_address(("%s:%d"):format(ip, port), { link = link })
  place.ip = ip
  return place
end

-- Whether an IP is the host's.
local function has_ip(host, ip)
  for _, own in ipairs(host.addresses) do
    if own == ip then return true end
  end
  return address.is_loopback(ip)
end

-- Every place that the host has through its endpoints, of one IP or of all.
local function places_of(self, ip)
  local list = {}
  for _, endpoint in ipairs(self.endpoints) do
    for _, place in pairs(endpoint.node.places) do
      if not ip or place.ip == ip then list[#list + 1] = place end
    end
  end
  table.sort(list, function(a, b) return a.inside < b.inside end)
  return list
end

--- A NAT in front of the host forgets it: what its clients send comes from another port from now on, or from another
-- address, and what is under way to the old one is lost. `ip`: the NAT's address from now on; the same unless told.
function Host:rebind(ip)
  local outside = ip and checked_ip(ip, 2)
  for _, place in ipairs(places_of(self)) do
    local node = place.node
    if not node.is_server and not address.is_loopback(place.inside) then
      local text
      repeat
        self.sim.nat_port = self.sim.nat_port % 65535 + 1
        text = ("%s:%d"):format(outside or place.outside:match("^(.*):"), self.sim.nat_port)
      until not self.sim:place_at(text, node)
      node:rebind(text, place.inside)
    end
  end
end

--- Puts one of the host's addresses, or all, behind another link: what is sent from now on takes it.
function Host:move(link, ip)
  if not Link.is(link) or link.up.sim ~= self.sim then error("host:move takes a link of this simulation", 2) end
  ip = ip and checked_ip(ip, 2)
  if ip then self.links[ip] = link else self.link, self.links = link, {} end
  for _, place in ipairs(places_of(self, ip)) do
    if not address.is_loopback(place.inside) then place.link = link end
  end
end

--- The host has another address, too: an interface comes up. `options.link`: what it is behind, if not what the host
-- is.
function Host:add_address(ip, options)
  ip = free_ip(self.sim, ip, 2)
  options = options or {}
  row.check(options, { link = OPTIONS.link }, "an address", 2)
  self.addresses[#self.addresses + 1], self.sim.host_at[ip], self.links[ip] = ip, self, options.link
  for _, endpoint in ipairs(self.endpoints) do
    if endpoint.listens_anywhere then add_place(self, endpoint.node, ip, endpoint.port) end
  end
end

--- An address is the host's no more: an interface goes down. What comes there is lost, and what is sent from there;
-- connections whose client has migrate = "auto" go to another address of the host.
function Host:remove_address(ip)
  ip = checked_ip(ip, 2)
  local at
  for i, own in ipairs(self.addresses) do at = own == ip and i or at end
  if not at then error(("%s has no address %s"):format(self.name, ip), 2) end
  table.remove(self.addresses, at)
  self.sim.host_at[ip], self.links[ip] = nil, nil
  for _, endpoint in ipairs(self.endpoints) do
    for _, place in ipairs(places_of(self, ip)) do
      if place.node == endpoint.node then place.node:remove_address(place.inside) end
    end
    endpoint:leave(ip)
  end
end

-- ---- what the library asks the place that it is at

--- Options of a config, with those that a simulation needs: its randomness and clock, and whom a client trusts.
function Host:prepare(given, role)
  local options = {}
  for name, value in pairs(given) do options[name] = value end
  self.configs = self.configs + 1
  options.seed = options.seed or ("%s/%s/%d"):format(self.sim.seed, self.name, self.configs)
  options.wall_clock = options.wall_clock or material.WALL_CLOCK
  if role == "client" and not (options.ca or options.pins or options.psk) and options.verify_peer == nil then
    options.ca = material.authority().cert
  end
  return options
end

local function is_free(host, ips, port)
  for _, ip in ipairs(ips) do
    if host.sim:place_at(("%s:%d"):format(ip, port), { host = host }) then return false end
  end
  return true
end

local function free_port(host, ips)
  for _ = FIRST_PORT, LAST_PORT do
    local port = host.next_port
    host.next_port = port < LAST_PORT and port + 1 or FIRST_PORT
    if is_free(host, ips, port) then return port end
  end
end

--- For a connection that is to go to, or to probe, another address of the host, as conn:migrate of the binding takes
-- it: the one that `way` names, or the first of its family at which it is not, or else another port of the same; nil,
-- message, code[, number].
function Host:choose_way(conn, way)
  if way.interface then return nil, way.interface .. ": No such device", "system", ENODEV end -- a host has none
  local here = conn:local_address()
  if not here then return nil, "the connection is closed", "closed" end
  local ip, port = way.address, here:match(":(%d+)$")
  if ip and address.is(ip) then ip, port = ip:match("^(.*):(%d+)$") end
  ip = ip and address.ip(ip) or ip
  for _, own in ipairs(self.addresses) do
    if ip then break end
    if address.is_v6(own) == address.is_v6(way.peer or here) and here:match("^(.*):") ~= own then ip = own end
  end
  if not ip then -- the same one, as the kernel would choose it, and another port, as of another socket
    ip = here:match("^(.*):")
    if address.is_v6(ip) ~= address.is_v6(way.peer or here) then
      return nil, "no socket of this address family", "unsupported"
    end
    port = free_port(self, { ip })
    if not port then return nil, ip .. ": Address already in use", "system", EADDRINUSE end
  end
  if not has_ip(self, ip) then return nil, ip .. ": Cannot assign requested address", "system", EADDRNOTAVAIL end
  local chosen = {}
  for name, value in pairs(way) do chosen[name] = value end
  chosen.address = ("%s:%d"):format(ip, port)
  return chosen
end

--- A config was made of such options: its clock goes on with the simulation.
function Host:keep_time(config, wall_clock)
  self.sim:keep_time(config, wall_clock)
end

--- The certificate and the key of a server that is given none.
function Host:certificate()
  local names = { self.name, "localhost", "127.0.0.1", "::1" }
  for _, ip in ipairs(self.addresses) do names[#names + 1] = ip:match("^%[(.*)%]$") or ip end
  local issued = material.issue(names)
  return issued.cert, issued.key
end

-- ---- endpoints, as those of a loop

--- The place of one of its nodes that sends from an address which is the host's, and was not used so far; nil: it is
-- not, or another node has it.
function Host:place_for(node, text)
  local ip, port = text:match("^(.*):(%d+)$")
  if not has_ip(self, ip) or self.sim:place_at(text, node) then return nil end
  return add_place(self, node, ip, tonumber(port))
end

-- All that the host has of a family; `own` first.
local function all_ips(host, wants_v4, wants_v6)
  local list = {}
  for _, ip in ipairs(host.addresses) do
    if address.is_v6(ip) and wants_v6 or not address.is_v6(ip) and wants_v4 then list[#list + 1] = ip end
  end
  if wants_v4 then list[#list + 1] = "127.0.0.1" end
  if wants_v6 then list[#list + 1] = "[::1]" end
  return list
end

-- What loop:listen takes: an address with its port, or a port alone.
local function wanted_ips(host, ip)
  if ip == "" or ip == "[::]" then return all_ips(host, true, true) end
  if ip == "0.0.0.0" then return all_ips(host, true, false) end
  if ip == "localhost" then return { "127.0.0.1", "[::1]" } end
  if ip == host.name then return host.addresses end
  local one = address.ip(ip)
  for _, own in ipairs(all_ips(host, true, true)) do
    if own == one then return { one } end
  end
  return nil
end

--- As loop:listen: an endpoint; nil, message, code, number.
function Host:listen(config, text)
  local ip, port = text:match("^(.*):(%d+)$")
  local ips = ip and wanted_ips(self, ip)
  if not ips then return nil, text .. ": Cannot assign requested address", "system", EADDRNOTAVAIL end
  port = tonumber(port)
  if port == 0 then port = free_port(self, ips) end
  if not port or not is_free(self, ips, port) then
    return nil, text .. ": Address already in use", "system", EADDRINUSE
  end
  local endpoint = Endpoint.new(self, config, true, port)
  endpoint.listens_anywhere = ip == "" or ip == "[::]"
  for _, one in ipairs(ips) do add_place(self, endpoint.node, one, port) end
  local shown = (ip == "" or ip == "[::]") and "[::]" or ip == "0.0.0.0" and ip or ips[1]
  endpoint.bound = ("%s:%d"):format(shown, port)
  return endpoint
end

--- As loop:client: an endpoint, which takes an address when it connects.
function Host:client(config)
  local endpoint = Endpoint.new(self, config, false, free_port(self, all_ips(self, true, true)))
  endpoint.bound = ("0.0.0.0:%d"):format(endpoint.port)
  return endpoint
end

return Host
