--- Pairs of connections over a network in virtual time, for the specs of core/quic.
local units = require("neap.units")

local quic = {}
for _, room in ipairs({ "quic", "quic_conn", "quic_endpoint", "quic_ids" }) do
  for name, value in pairs(units[room]) do
    quic[name] = value
  end
end

local net = { quic = quic }

local MS = 1e6
net.MS = MS
net.SERVER, net.CLIENT = "192.0.2.1:443", "198.51.100.7:50000"
net.V1, net.V2 = 0x00000001, 0x6b3343cf
net.INITIAL, net.HANDSHAKE, net.APPLICATION = 0, 1, 2

local certificate, key

--- A certificate for localhost, made once.
function net.certificate()
  if not certificate then
    local config = quic.config(7)
    certificate, key = config:make_certificate("localhost")
    config:free()
  end
  return certificate, key
end

--- A config with options by name, `memory_limit`, and `versions`; `seed` for its randomness. Clients do not verify
-- unless told.
function net.config(options, seed, is_server)
  local config = assert(quic.config(seed or 1, nil, nil, options and options.memory_limit))
  config:alpn("t")
  if is_server then
    assert(config:certificate(net.certificate()) == 0)
  else
    config:set("verify_peer", 0)
  end
  for name, value in pairs(options or {}) do
    if name == "preferred_address" then
      assert(config:preferred_address(value.v4, value.v6) == 0)
    elseif name == "cipher_suite" then
      assert(config:cipher_suite(value) == 0)
    elseif name ~= "alpn" and name ~= "fail_at" and name ~= "memory_limit" and name ~= "versions" then
      assert(config:set(name, value) == 0, name)
    end
  end
  if options and options.alpn then config:alpn(options.alpn) end
  if options and options.versions then assert(config:versions(unpack(options.versions)) == 0) end
  return config
end

--- A small random generator of the network's own (the numbers of the connections are theirs).
function net.random(seed)
  local state = seed * 2654435761 % 4294967296
  return function()
    state = (state * 1664525 + 1013904223) % 4294967296
    return state / 4294967296
  end
end

local Pair = {}
Pair.__index = Pair

--- A client and a server not yet accepted. options: client, server (config options), delay (ns, one way), loss,
--- duplicate, reorder (fractions), drop (function(direction, index, bytes): true drops), seed, params (the client's
--- transport parameters as bytes), server_config and client_config (that pairs share, in place of server and client),
--- filter (function(direction, bytes, index): bytes in its place, or false), mark (function(direction, ecn): the ECN
--- bits in their place).
function net.pair(options)
  options = options or {}
  local self = setmetatable({
    now = 1000 * MS,
    delay = options.delay or 10 * MS,
    loss = options.loss or 0,
    duplicate = options.duplicate or 0,
    reorder = options.reorder or 0,
    drop = options.drop,
    filter = options.filter,
    mark = options.mark,
    random = net.random(options.seed or 1),
    wire = {},
    order = 0,
    sent = { up = 0, down = 0 },
    bytes = { up = 0, down = 0 },
    address = net.CLIENT, -- the client's, as the server sees it
    heard = {}, -- bytes that reached the server from an address
    told = {}, -- bytes that the server sent there
    proved = {}, -- addresses that it may believe
  }, Pair)
  self.owned_configs = {}
  self.client_config = options.client_config
    or net.config(options.client, (options.seed or 1) * 2 + 1000, false)
  if not options.client_config then table.insert(self.owned_configs, self.client_config) end
  self.server_config = options.server_config
    or net.config(options.server, (options.seed or 1) * 2 + 1001, true)
  if not options.server_config then table.insert(self.owned_configs, self.server_config) end
  self.client = assert(
    quic.client(self.client_config, "localhost", net.CLIENT, net.SERVER, self.now, options.params)
  )
  self.scid = ("S%07d"):format(options.seed or 1)
  return self
end

--- Free everything; what is left afterwards is a leak, which it says.
function Pair:free()
  self.client:free()
  if self.server then self.server:free() end
  local left = 0
  for _, config in ipairs(self.owned_configs) do
    config:free()
    left = left + config:memory().live
  end
  assert(left == 0, left .. " allocations were not given back")
end

local function push(self, at, direction, bytes, address, at_server, ecn)
  self.order = self.order + 1
  table.insert(self.wire, {
    at = at, order = self.order, direction = direction, bytes = bytes, address = address, at_server = at_server,
    ecn = ecn,
  })
end

local function is_proved(self, address)
  for _, path in ipairs(self.proved[address] and {} or self.server:paths()) do
    if path.validated then self.proved[path.address] = true end
  end
  return self.proved[address]
end

-- RFC 9000 §8.1, in every run: three times what came from an address, until it is proved.
local function check_amplification(self, to, size)
  self.told[to] = (self.told[to] or 0) + size
  assert(is_proved(self, to) or self.told[to] <= 3 * (self.heard[to] or 0), "the server amplifies")
end

--- From now on the client has another address, as a NAT gives it: what is under way to the old one is lost.
function Pair:rebind(address)
  self.address = address
end

--- The client has these addresses as well, and the server those: what leaves from one of them comes from there.
function Pair:add_addresses(of_client, of_server)
  self.own, self.at_server = self.own or {}, self.at_server or {}
  for _, address in ipairs(of_client or {}) do self.own[address] = true end
  for _, address in ipairs(of_server or {}) do self.at_server[address] = true end
  return self
end

--- Put a datagram onto the wire: "up" goes to the server, from the client's address `from` to `to`.
function Pair:transmit(direction, bytes, to, from, ecn)
  local is_up = direction == "up"
  local address = not is_up and to or (self.own and self.own[from] and from) or self.address
  local at_server = is_up and to or from
  if self.on_datagram and self.on_datagram(direction, bytes, address, at_server) == false then return end
  local index = self.sent[direction] + 1
  self.sent[direction] = index
  self.bytes[direction] = self.bytes[direction] + #bytes
  if direction == "down" then check_amplification(self, address, #bytes) end
  if self.filter then
    bytes = self.filter(direction, bytes, index)
    if not bytes then return end
  end
  if self.drop and self.drop(direction, index, bytes) then return end
  if self.random() < self.loss then return end
  if self.mark then ecn = self.mark(direction, ecn or 0) end
  local late = self.random() < self.reorder and self.delay * self.random() * 3 or 0
  push(self, self.now + self.delay + late, direction, bytes, address, at_server, ecn)
  if self.random() < self.duplicate then
    push(self, self.now + self.delay + self.delay * self.random(), direction, bytes, address, at_server, ecn)
  end
end

local function accept(self, bytes, from)
  local header = quic.header(bytes, 8)
  if not header or header.type ~= 0 or #bytes < 1200 then return end
  self.server = quic.accept(self.server_config, bytes, self.scid, nil, net.SERVER, from, self.now)
  if self.on_accept and self.server then self.on_accept(self.server) end
end

--- `address`: where it comes from ("up") or goes to ("down"); the client's without. `at_server`: the server's.
function Pair:deliver(direction, bytes, address, at_server, ecn)
  address = address or self.address
  if direction == "up" then
    self.heard[address] = (self.heard[address] or 0) + #bytes
    if not self.server then accept(self, bytes, address) end
    if not self.server then return end
    self.server:recv(bytes, self.now, address, ecn, self.at_server and (at_server or net.SERVER))
  elseif self.own then
    if address == self.address or self.own[address] then
      self.client:recv(bytes, self.now, at_server, ecn, address == self.address and net.CLIENT or address)
    end
  elseif address == self.address then
    self.client:recv(bytes, self.now, nil, ecn)
  end
end

local function flush(self, conn, direction)
  if not conn then return false end
  local any = false
  for _ = 1, 10000 do
    local bytes, segment, to, from, ecn = conn:burst(self.now)
    if not bytes then return any end
    any = true
    for at = 1, #bytes, segment do
      self:transmit(direction, bytes:sub(at, math.min(at + segment - 1, #bytes)), to, from, ecn)
    end
  end
  error("a connection sends without end")
end

--- Have both send what they have.
function Pair:flush()
  flush(self, self.client, "up")
  flush(self, self.server, "down")
end

local function earliest_packet(self)
  local best
  for index, packet in ipairs(self.wire) do
    local first = best and self.wire[best]
    if not best or packet.at < first.at or (packet.at == first.at and packet.order < first.order) then best = index end
  end
  return best
end

--- When the next event is, and the datagram if it is one.
local function next_event(self)
  local index = earliest_packet(self)
  local at = index and self.wire[index].at or math.huge
  for _, conn in ipairs({ self.client, self.server }) do
    local timer = conn:timeout() or math.huge
    if timer < at then
      at, index = timer, nil
    end
  end
  return at, index
end

--- Run the event: a datagram arrives, or timers fire.
local function step(self, at, index)
  if at > self.now or index then
    self.stuck = 0
  else
    self.stuck = self.stuck + 1
    assert(self.stuck < 50, "a timer is due again and again")
  end
  self.now = math.max(self.now, at)
  if index then
    local packet = table.remove(self.wire, index)
    return self:deliver(packet.direction, packet.bytes, packet.address, packet.at_server, packet.ecn)
  end
  for _, conn in ipairs({ self.client, self.server }) do
    if (conn:timeout() or math.huge) <= self.now then conn:on_timeout(self.now) end
  end
end

--- Run until done() or for `most` of virtual time (a minute); says whether done.
function Pair:run(done, most)
  local limit = self.now + (most or 60000 * MS)
  self.stuck = 0
  for _ = 1, 2000000 do
    if done and done(self) then return true end
    self:flush()
    local at, index = next_event(self)
    if at > limit then
      if limit < math.huge then self.now = limit end
      return done ~= nil and done(self) or false
    end
    step(self, at, index)
  end
  error("the simulation does not end")
end

local function both(self, name)
  return self.client:info()[name] and self.server ~= nil and self.server:info()[name]
end

--- Run until the handshake is confirmed on both sides, and nothing is on its way.
function Pair:handshake()
  local ok = self:run(function(pair) return both(pair, "confirmed") end, 30000 * MS)
  assert(ok, "the handshake is not confirmed: " .. self.client:info().by .. " " .. self.client:info().reason)
  self:settle()
  return self
end

--- Let what is on its way arrive.
function Pair:settle(most)
  self:run(nil, most or 200 * MS)
  return self
end

--- Send `data` on a new stream of `from` ("client" or "server"), read it at the other side until its end.
function Pair:transfer(from, data, most)
  local source = self[from]
  local sink = from == "client" and self.server or self.client
  local id = assert(source:open(false))
  local at, parts = 1, {}
  local finished = false
  local function pump()
    while at <= #data do
      local taken = source:stream_send(id, data:sub(at, at + 65535), at + 65535 >= #data)
      if not taken or taken == 0 then break end
      at = at + taken
    end
    while sink:readable_next() do
    end
    while not finished do
      local bytes, fin = sink:stream_recv(id)
      if not bytes then break end
      parts[#parts + 1] = bytes
      finished = fin
      if #bytes == 0 then break end
    end
    return finished
  end
  local ok = self:run(pump, most or 120000 * MS)
  return ok and table.concat(parts), id
end

--- A datagram with hostile frames from `from` under its keys, delivered at once to the other side.
function Pair:inject(from, space, payload, options)
  local bytes = self[from]:inject(space, payload, options)
  self:deliver(from == "client" and "up" or "down", bytes)
  return bytes
end

--- A variable-length integer.
function net.varint(value)
  local function be(size, prefix)
    local bytes = {}
    for i = size, 1, -1 do
      bytes[i] = value % 256
      value = math.floor(value / 256)
    end
    bytes[1] = bytes[1] + prefix
    return string.char(unpack(bytes))
  end
  if value < 64 then return be(1, 0) end
  if value < 16384 then return be(2, 64) end
  if value < 1073741824 then return be(4, 128) end
  return be(8, 192)
end

--- Numbers as varints, strings as they are, behind each other.
function net.bytes(...)
  local parts = {}
  for _, value in ipairs({ ... }) do
    parts[#parts + 1] = type(value) == "number" and net.varint(value) or value
  end
  return table.concat(parts)
end

return net
