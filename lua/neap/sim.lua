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
local Heap = require "neap.heap"
local Link = require "neap.sim.link"
local Node = require "neap.sim.node"
local random = require "neap.sim.random"
local row = require "neap.options"

local sim = {}

local Sim = {}
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
    now = START,
    max_steps = options.max_steps or STEPS,
    steps = 0,
    hash = 0,        -- of the time, the direction and the bytes of every datagram sent so far
    nodes = {},      -- in the order they were made
    by_address = {},
    links = {},
    events = Heap.new(), -- what is under way
    tasks = {},
  }, Sim)
  self.random = random.generator(("%s/sim"):format(self.seed))
  return self
end

--- Something that happens at `event.at`: see Sim:deliver_due.
function Sim:push(event)
  self.events:push(event)
end

-- --- the network

--- A path between clients and servers, used by every client made after it: see neap.sim.link.
function Sim:link(options)
  self.default_link = Link.new(self, options or {}, 2)
  return self.default_link
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
  for _, task in ipairs(self.tasks) do
    if task.at and (not at or task.at < at) then at = task.at end
  end
  return at
end

function Sim:deliver_due()
  while self.events[1] and self.events[1].at <= self.now do
    local event = self.events:pop()
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
