--- Trace events of connections: what qlog writes, as tables, to functions of the application's.
--
-- The core keeps them in a ring (conn:trace); at the end of a turn of the loop a task takes what is there and calls the
-- function. It may wait: meanwhile the oldest give way, and are counted.
local core = require "neap.core"
local json = require "neap.json"
local options = require "neap.options"
local task = require "neap.task"

local tracing = {}

local function is_names(value)
  if type(value) ~= "table" or #value == 0 then return false end
  for _, name in ipairs(value) do
    if type(name) ~= "string" or not name:find("^%w+:[%w_]+$") then return false end
  end
  return true
end

local EVENTS = options.row('a list of names of events, as "quic:packet_lost"', is_names)
local MORE = { events = EVENTS, bytes = options.whole(4096, 16 * 1048576) }

local ON_TRACE = core.without_qlog and options.row("left out: built without qlog", function() return false end)
  or options.of("function")

--- Rows for options of servers, clients and connections.
tracing.ROWS = { on_trace = ON_TRACE, trace_events = EVENTS }

--- The next event of a connection that conn:trace() has begun with, or nil; and how many had to give way so far.
function tracing.next_event(conn)
  local text, dropped = conn:trace_next()
  return text and json.decode(text), dropped
end

local function tell_all(self)
  local event, dropped = tracing.next_event(self.conn)
  while event and not self.is_over do
    self.trace.dropped = dropped
    self.fn(event, self.trace)
    event, dropped = tracing.next_event(self.conn)
  end
end

local function run(self)
  local ok, why = xpcall(tell_all, debug.traceback, self)
  self.is_busy = false
  if ok then return end
  self.is_over = true
  self.conn:trace(false)
  error(why, 0)
end

-- At the end of each turn; true when there is nothing to come.
local function look(self)
  if self.is_over then return true end
  if self.is_busy then return false end
  if not self.conn:trace_pending() then
    if not self.conn:is_closed() then return false end
    self.conn:trace(false) -- its ring is free for others before the connection is collected
    return true
  end
  self.is_busy = true
  task.go(run, self)
  return false
end

--- fn(event, trace) for each event of a connection of the binding from now on; `given`: `events`, `bytes`. `trace` is
-- the same table for all of a connection: { peer =, dropped = }. An error of fn's ends it. fn nil: no more. true; nil,
-- message, code.
function tracing.begin(conn, fn, given, level)
  if fn ~= nil and type(fn) ~= "function" then error("on_trace takes a function", level + 1) end
  if given then options.check(given, MORE, "on_trace", level + 1) end
  if not fn then return conn:trace(false) end
  local ok, message, code = conn:trace(given)
  if not ok then return nil, message, code end
  task.trace(conn, { conn = conn, fn = fn, look = look, trace = { peer = conn:peer(), dropped = 0 } })
  return true
end

--- As the options of ROWS say. nil: too many are traced.
function tracing.by_options(conn, own)
  if not own.on_trace then return true end
  return tracing.begin(conn, own.on_trace, own.trace_events and { events = own.trace_events }, 1)
end

return tracing
