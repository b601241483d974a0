--- Endpoints over a simulated network in virtual time: nothing sleeps, and everything (keys, loss,
-- order) follows from one seed, so that a run that fails can be run again.
--
--   local sim = require("neap.sim").new{ seed = 1 }
--   sim:link{ delay = 0.015, rate = 10e6 / 8, queue = 25, loss = 0.02 }
--   local server = sim:server{ alpn = "test", on_conn = function(conn) … end }
--   local client = sim:client{ alpn = "test", server = server }
--   sim:run(function() return client.conn:is_established() end)
--
-- on_conn(conn, node) is called after each datagram or timer for each connection that has something
-- new, as endpoint:next() gives it. sim:go(fn) runs fn as a task that may sim:sleep(seconds) and
-- sim:wait(condition).
local core = require "neap.core"
local row = require "neap.options"

local sim = {}

local Sim, Link, Direction, Node = {}, {}, {}, {}
Sim.__index, Link.__index, Direction.__index, Node.__index = Sim, Link, Direction, Node

local WALL_CLOCK = 1767225600 -- certificates are of 2026, whenever a simulation runs
local START = 1 -- the virtual clock begins here: 0 often means "never"
local STEPS = 20e6 -- bound of a run
local STILL = 100000 -- steps without time passing: something spins
local QUOTED = 528 -- bytes of a datagram in an ICMP message: 576 with all headers (RFC 1812 §4.3.2.3)

-- L'Ecuyer's combined generator: exact in doubles, so LuaJIT and Lua 5.4 draw the same numbers.
local function generator(seed)
  local a = core.hash(seed, 1) % 2147483562 + 1
  local b = core.hash(seed, 2) % 2147483398 + 1
  return function()
    a = a * 40014 % 2147483563
    b = b * 40692 % 2147483399
    return (a - b) % 2147483562 / 2147483562
  end
end

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

local sim_options = {
  seed = row.row("a number or a string", function(value) return type(value) == "number" or type(value) == "string" end),
  max_steps = row.whole(1),
}

--- A new simulation: seed (any number or string), max_steps.
function sim.new(options)
  options = options or {}
  row.check(options, sim_options, "a simulation", 2)
  local self = setmetatable({
    seed = options.seed or 1,
    now = START,
    max_steps = options.max_steps or STEPS,
    steps = 0,
    hash = 0,        -- of the time, the direction and the bytes of every datagram sent so far
    nodes = {},      -- in the order they were made
    by_address = {},
    links = {},
    events = {},     -- binary heap of what is under way
    event_count = 0,
    sequence = 0,
    tasks = {},
  }, Sim)
  self.random = generator(("%s/sim"):format(self.seed))
  return self
end

-- --- events, a heap ordered by time and then by age

local function before(a, b)
  return a.at < b.at or (a.at == b.at and a.sequence < b.sequence)
end

function Sim:push(event)
  local heap, i = self.events, self.event_count + 1
  self.sequence = self.sequence + 1
  event.sequence = self.sequence
  self.event_count = i
  while i > 1 do
    local parent = math.floor(i / 2)
    if not before(event, heap[parent]) then break end
    heap[i] = heap[parent]
    i = parent
  end
  heap[i] = event
end

function Sim:pop()
  local heap, count = self.events, self.event_count
  local top, last = heap[1], heap[count]
  heap[count] = nil
  count = count - 1
  self.event_count = count
  if count == 0 then return top end
  local i = 1
  while true do
    local child = i * 2
    if child > count then break end
    if child < count and before(heap[child + 1], heap[child]) then child = child + 1 end
    if not before(heap[child], last) then break end
    heap[i] = heap[child]
    i = child
  end
  heap[i] = last
  return top
end

-- --- the network

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
    random = generator(("%s/%s"):format(owner.seed, name)),
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

--- A path between clients and servers, used by every client made after it. Options are those above,
-- for both directions; `up` (client to server) and `down` may hold options of their own.
function Sim:link(options)
  options = options or {}
  local both = {}
  for option, value in pairs(options) do
    if option == "up" or option == "down" then
      row.check(value, link_options, ("a link's '%s'"):format(option), 2)
    else
      both[option] = value
    end
  end
  row.check(both, link_options, "a link", 2)
  local number = #self.links + 1
  local link = setmetatable({
    up = new_direction(self, ("link %d up"):format(number), options, options.up or {}),
    down = new_direction(self, ("link %d down"):format(number), options, options.down or {}),
  }, Link)
  self.links[number] = link
  self.default_link = link
  return link
end

local function flip_bit(bytes, random)
  local at = math.floor(random() * #bytes) + 1
  local bit = 2 ^ math.floor(random() * 8)
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

-- --- endpoints

-- What a node takes for itself; the rest is for core.config, which refuses what it does not know.
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

local server_options = { on_conn = row.of("function"), address = address_option }
local client_options = {
  on_conn = row.of("function"), address = address_option, name = row.of("string", "localhost"),
  link = row.row("a link of this simulation", function(value) return getmetatable(value) == Link end),
  server = row.row("a node", function(value) return getmetatable(value) == Node end),
  connect = row.of("boolean", true),
}

local function new_node(owner, given, is_server)
  local options, config = row.split(given, is_server and server_options or client_options, 3)
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

--- A server: options of core.config, on_conn, address. Without `cert` it has one for "localhost".
function Sim:server(options)
  local node = new_node(self, options, true)
  return node
end

--- A client: options of core.config, on_conn, address, link, server (a node to connect to at once;
-- connect = false does not), name (of the server, "localhost").
function Sim:client(options)
  local node, own = new_node(self, options, false)
  node.server, node.name = own.server, own.name
  if node.server and own.connect then node.conn = assert(node:connect()) end
  return node
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

-- --- time

function Sim:fail(message)
  error(("%s (seed %s, virtual time %.6f s, step %d)"):format(message, tostring(self.seed), self.now - START,
    self.steps), 0)
end

-- The earliest of everything that waits; nil when nothing does.
function Sim:next_time()
  local at = self.event_count > 0 and self.events[1].at or nil
  for _, node in ipairs(self.nodes) do
    local deadline = node.endpoint:deadline()
    if deadline and (not at or deadline < at) then at = deadline end
  end
  for _, task in ipairs(self.tasks) do
    if task.at and (not at or task.at < at) then at = task.at end
  end
  return at
end

function Sim:deliver_due()
  while self.event_count > 0 and self.events[1].at <= self.now do
    local event = self:pop()
    local node = event.node
    local told = event.too_big
    if told then
      node.endpoint:too_big(told.to, told.passes, told.quoted)
      node.dirty = true
    elseif node and not (node.inside and event.to ~= node.address) then
      event.direction.delivered = event.direction.delivered + 1
      -- Answers that no connection sends leave before there may be more of them than an endpoint keeps.
      node.unanswered = node.dirty and (node.unanswered or 0) + 1 or 1
      if node.unanswered > node.answers_most and node.endpoint:stats().answers_waiting > 0 then
        node:flush()
        node.unanswered = 1
      end
      node.endpoint:recv(event.bytes,
        { from = event.from, to = node.inside or event.to, ecn = event.ecn, at = self.now })
      node.dirty = true
    end
  end
end

function Sim:run_tasks()
  local tasks, ran = self.tasks, false
  for i = #tasks, 1, -1 do
    local task = tasks[i]
    if (task.at and task.at <= self.now) or (task.condition and task.condition()) or task.new then
      task.at, task.condition, task.new = nil, nil, nil
      ran = true
      local ok, message = coroutine.resume(task.co)
      if not ok then self:fail(debug.traceback(task.co, tostring(message))) end
      if coroutine.status(task.co) == "dead" then table.remove(tasks, i) end
    end
  end
  return ran
end

-- One moment: what arrives, what the application makes of it, what is sent; until nothing is new.
function Sim:turn()
  self:deliver_due()
  for _ = 1, STILL do
    local busy = false
    for _, node in ipairs(self.nodes) do
      local deadline = node.endpoint:deadline()
      if deadline and deadline <= self.now then node.dirty = true end
      if node:serve() then busy = true end
    end
    busy = self:run_tasks() or busy
    for _, node in ipairs(self.nodes) do
      if node.dirty or busy then node:flush() end
    end
    if not busy then return end
  end
  self:fail("time stands still")
end

-- Goes to the next moment; false when nothing waits or it is later than `limit`.
function Sim:step(limit)
  local at = self:next_time()
  if not at or (limit and at > limit) then return false end
  self.steps = self.steps + 1
  if self.steps > self.max_steps then self:fail("too many steps") end
  if at > self.now then
    self.now, self.still = at, 0
  else
    self.still = (self.still or 0) + 1
    if self.still > STILL then self:fail("time stands still") end
  end
  self:turn()
  return true
end

--- run(seconds): let this much virtual time pass. run(condition[, seconds = 120]): until condition() is
-- true; that nothing is left to happen before, or that the time is over, is an error with the seed in it.
-- Returns the virtual seconds since the start.
function Sim:run(goal, seconds)
  local condition = type(goal) == "function" and goal
  local limit = self.now + (condition and (seconds or 120) or goal)
  for _, node in ipairs(self.nodes) do node.dirty = true end
  self:turn()
  while not (condition and condition()) do
    if not self:step(limit) then
      if not condition then
        self.now = limit
        return self.now - START
      end
      self:fail(self:next_time() and ("not done after %g s"):format(seconds or 120) or "nothing left to happen")
    end
  end
  return self.now - START
end

--- Virtual seconds since the start.
function Sim:time()
  return self.now - START
end

--- Runs fn(sim) as a task: it begins with the next moment, and may call sleep and wait.
function Sim:go(fn)
  local task = { new = true, at = self.now }
  task.co = coroutine.create(function() fn(self) end)
  table.insert(self.tasks, 1, task)
  return task
end

local function current(self, what)
  local co = coroutine.running()
  for _, task in ipairs(self.tasks) do
    if task.co == co then return task end
  end
  error(("sim:%s() works in a task of sim:go()"):format(what), 3)
end

--- In a task: let virtual time pass.
function Sim:sleep(seconds)
  current(self, "sleep").at = self.now + seconds
  coroutine.yield()
end

--- In a task: until condition() is true, looked at after each event.
function Sim:wait(condition)
  if condition() then return end
  current(self, "wait").condition = condition
  coroutine.yield()
end

--- Free all endpoints now.
function Sim:close()
  for _, node in ipairs(self.nodes) do node.endpoint:close() end
end

return sim
