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
local Amplification = require "neap.sim.amplification"
local Heap = require "neap.heap"
local Host = require "neap.sim.host"
local Link = require "neap.sim.link"
local Loop = require "neap.sim.loop"
local network = require "neap.sim.network"
local Node = require "neap.sim.node"
local random = require "neap.sim.random"
local row = require "neap.options"
local task = require "neap.task"

local sim = {}

local Sim = setmetatable({}, { __index = network })
Sim.__index = Sim

local START = 1 -- the virtual clock begins here: 0 often means "never"
local STEPS = 20e6 -- bound of a run
local STILL = 100000 -- steps without time passing: something spins

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
    now = START, started = START,
    max_steps = options.max_steps or STEPS,
    steps = 0,
    hash = 0,        -- of the time, the direction and the bytes of every datagram sent so far
    nodes = {},      -- in the order they were made
    by_address = {}, -- places of nodes
    left = {},       -- links of addresses that nobody has any more
    hosts = {}, host_count = 0, -- by name
    host_at = {},    -- by IP
    nat_port = 1024, -- the last that a NAT has given
    links = {},
    events = Heap.new(), -- what is under way
    waits = {},      -- of sim:wait: { waiter =, condition = }
    amplified = Amplification.new(),
    tasks_seen = 0,
    clocks = setmetatable({}, { __mode = "k" }), -- config → its wall clock at the start
    second = 0,      -- since the start, to which they are set
  }, Sim)
  self.random = random.generator(("%s/sim"):format(self.seed))
  self.world = task.new_world(Loop.new(self), function() return self.now end)
  return self
end

--- Something that happens at `event.at`: then event:action(sim) is called.
function Sim:push(event)
  self.events:push(event)
end

-- --- the network

--- A path between clients and servers, used by every client made after it: see neap.sim.link.
function Sim:link(options)
  self.default_link = Link.new(self, options or {}, 2)
  return self.default_link
end

--- A host: what host:go(fn) and host:run(fn) run there listens and connects in the simulated network, in virtual time,
-- as the same program does over sockets. `name` is its name for DNS; options: `address` (an IP; or that instead of a
-- table), or `addresses`, a list; `link`, which it is behind. Without one its clients are behind the last sim:link.
function Sim:host(name, options)
  return Host.new(self, name, options, 2)
end

--- A server: options of core.config, on_conn, address. Without `cert` it has one for "localhost".
function Sim:server(options)
  local node = Node.new(self, options, true, 2)
  return node
end

--- A client: options of core.config, on_conn, address, link, server (a node to connect to at once;
-- connect = false does not), name (of the server, "localhost").
function Sim:client(options)
  local node, own = Node.new(self, options, false, 2)
  node.server, node.name = own.server, own.name
  if node.server and own.connect then node.conn = assert(node:connect()) end
  return node
end

-- --- time

function Sim:fail(message)
  error(("%s (seed %s, virtual time %.6f s, step %d)"):format(message, tostring(self.seed), self.now - START,
    self.steps), 0)
end

-- The earliest of everything that waits; nil when nothing does.
function Sim:next_time()
  local at = self.events[1] and self.events[1].at
  for _, node in ipairs(self.nodes) do
    local deadline = node.endpoint:deadline()
    if deadline and (not at or deadline < at) then at = deadline end
  end
  return at
end

-- Whether a node has something new for its application: that of a node is told at once, a host's by neap.task.
function Sim:serve()
  local is_busy = false
  for _, node in ipairs(self.nodes) do
    if not node.host then
      if (node.is_fresh or node.dirty) and node:serve() then is_busy, self.all_dirty = true, true end
    elseif not node.peeked and not node.is_closed then
      node.peeked, node.asks = node.endpoint:next()
    end
    is_busy = is_busy or node.peeked ~= nil
  end
  return is_busy
end

-- Sends what nodes have. What ran, a task or on_conn, may have done something to any of them.
function Sim:flush_all()
  local ran = task.ran()
  local all = self.all_dirty or ran ~= self.tasks_seen
  self.all_dirty, self.tasks_seen = false, ran
  for _, node in ipairs(self.nodes) do
    if all or node.dirty then node:flush() end
  end
end

-- What happens at this moment.
function Sim:deliver_due()
  local events, count = self.events, 0
  while events[1] and events[1].at <= self.now do
    local event = events:pop()
    event.action(event, self)
    count = count + 1
    if count > STILL then self:fail("time stands still") end
  end
end

--- Goes to the next moment, at most `timeout` later (nil: any time), unless something is to be done now: what
-- neap.task calls when all that was ready has run.
function Sim:advance(timeout)
  if self:serve() then return self:count_step(self.now) end
  local at = self:next_time()
  if timeout and (not at or self.now + timeout < at) then at = self.now + timeout end
  self.is_stuck = at == nil
  self.is_late = at ~= nil and at > self.limit
  if self.is_stuck or self.is_late then return end
  at = math.max(at, self.now)
  self:count_step(at)
  self.now = at
  self:set_clocks()
  self:deliver_due()
  for _, node in ipairs(self.nodes) do
    local deadline = node.endpoint:deadline()
    if deadline and deadline <= self.now then node.dirty = true end
  end
  self:serve()
end

--- The wall clock of a config goes on from here, by whole seconds.
function Sim:keep_time(config, wall_clock)
  self.clocks[config] = wall_clock - self.second
end

function Sim:set_clocks()
  local second = math.floor(self.now - START)
  if second == self.second then return end
  self.second = second
  for config, start in pairs(self.clocks) do config:set_wall_clock(start + second) end
end

-- A run has a bound, and so has what happens without time passing.
function Sim:count_step(at)
  self.steps = self.steps + 1
  if self.steps > self.max_steps then self:fail("too many steps") end
  self.still = at > self.now and 0 or (self.still or 0) + 1
  if self.still > STILL then self:fail("time stands still") end
end

-- Wakes those of sim:wait whose condition holds: whether there were any.
function Sim:look_at_waits()
  local waits = self.waits
  local has_woken = false
  for i = #waits, 1, -1 do
    if waits[i].condition() then
      task.wake(table.remove(waits, i).waiter, true)
      has_woken = true
    end
  end
  return has_woken
end

-- Turns until `condition()`, or until nothing happens before the limit: whether the condition was met.
local function run_turns(self, condition)
  local is_over, is_done = false, false
  local function look()
    if not self.failure then
      if self:look_at_waits() then self.is_stuck, self.is_late = false, false end
      is_done = condition ~= nil and condition() and true or false
    end
    is_over = self.failure or is_done or self.is_stuck or self.is_late or task.take_stop()
    return is_over
  end
  for _, node in ipairs(self.nodes) do node.dirty = true end
  while not is_over do task.turn(look) end
  return is_done
end

--- run(seconds): let this much virtual time pass. run(condition[, seconds = 120]): until condition() is
-- true; that nothing is left to happen before, or that the time is over, is an error with the seed in it.
-- neap.stop() ends it as well. Returns the virtual seconds since the start.
function Sim:run(goal, seconds)
  if self.is_running then error("this simulation runs already", 2) end
  local condition = type(goal) == "function" and goal or nil
  self.limit = self.now + (condition and (seconds or 120) or goal)
  self.is_running, self.is_stuck, self.is_late = true, false, false
  local ok, is_done = pcall(task.within, self.world, run_turns, self, condition)
  self.is_running = false
  if not ok then error(is_done, 0) end
  local failure = self.failure
  self.failure = nil
  if failure then
    if type(failure[1]) ~= "string" then error(failure[1], 0) end
    self:fail(failure[1])
  end
  if not condition and (self.is_stuck or self.is_late) then self.now = self.limit end
  if condition and not is_done and (self.is_stuck or self.is_late) then
    self:fail(self.is_late and ("not done after %g s"):format(seconds or 120) or "nothing left to happen")
  end
  return self.now - START
end

--- Virtual seconds since the start.
function Sim:time()
  return self.now - START
end

--- Calls fn(sim) at a virtual time, in seconds since the start, or at once when that is over.
function Sim:at(seconds, fn)
  self:push{ at = START + seconds, action = function() fn(self) end }
end

local function in_world(self, fn, ...)
  if self.is_running then return fn(...) end
  return task.within(self.world, fn, ...)
end

--- Runs fn(sim) as a task: it begins with the next moment, and may call sleep and wait, and what neap.task has.
function Sim:go(fn)
  in_world(self, task.go_at, self.world.here, fn, self)
end

local function check_task(self, what)
  if not self.is_running or not task.is_task() then
    error(("sim:%s() works in a task of the simulation"):format(what), 3)
  end
end

--- In a task: let virtual time pass.
function Sim:sleep(seconds)
  check_task(self, "sleep")
  task.sleep(seconds)
end

--- In a task: until condition() is true, looked at after each event.
function Sim:wait(condition)
  check_task(self, "wait")
  if condition() then return end
  local waiter = task.waiter()
  table.insert(self.waits, 1, { waiter = waiter, condition = condition })
  task.await(waiter)
end

--- Takes a node out of the simulation, and frees its endpoint.
function Sim:remove_node(node)
  local left = {} -- who goes through the list at this moment has the old one
  for _, one in ipairs(self.nodes) do
    if one ~= node then left[#left + 1] = one end
  end
  self.nodes = left
  node:close()
end

--- Free all endpoints now.
function Sim:close()
  for _, node in ipairs(self.nodes) do node:close() end
  self.nodes = {}
end

return sim
