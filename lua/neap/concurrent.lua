--- Tasks as values: what neap.go gives, and what is made of many of them. See docs/tasks.md.
local core = require "neap.core"
local scope = require "neap.scope"
local task = require "neap.task"

local unpack = table.unpack or unpack

local concurrent = {}

local Task = {}
Task.__index = Task

local function pack(...)
  return { n = select("#", ...), ... }
end

-- What an error is handed on as: a text with its traceback, anything else as it is.
local function trace(err)
  if type(err) == "string" then return debug.traceback(err, 2) end
  return err
end

-- `results`: true, and what it returned.
local function finish(self, results)
  self._results, self._scope = results, nil
  for _, waiter in ipairs(self._joiners or {}) do task.wake(waiter, true) end
  self._joiners = nil
end

-- The body of a task with a handle.
local function run(self, fn, args)
  local inside = self._scope
  if inside.is_cancelled then return finish(self, pack(true, nil, inside.over.message, inside.over.code)) end
  task.enter(inside)
  local results = pack(xpcall(fn, trace, unpack(args, 1, args.n)))
  task.enter(nil)
  if results[1] then return finish(self, results) end
  local err = results[2]
  if err == inside.over then return finish(self, pack(true, nil, err.message, err.code)) end
  self._has_failed, self._error = true, err
  local is_told = self._joiners ~= nil
  finish(self, results)
  if not is_told then task.report(type(err) == "string" and err or debug.traceback(task.text_of(err))) end
end

--- Starts fn(…) as a task of its own, at the next turn: its handle. An error that nobody joins for goes to the log.
function concurrent.go(fn, ...)
  if not task.can_be_called(fn) then error("neap.go takes a function", 2) end
  local self = setmetatable({ _scope = scope.new() }, Task)
  task.go(run, self, fn, pack(...))
  return self
end

--- Waits until it has ended: what its function returned. An error in it is raised here too; a cancelled one gives nil,
-- "cancelled", "cancelled" unless its function returned something else. nil, "timeout", "timeout" after `seconds` (nil:
-- no bound); it goes on then.
function Task:join(seconds)
  if not self._results then
    self._joiners = self._joiners or {}
    local waiter = task.waiter()
    table.insert(self._joiners, waiter)
    local ok, message, code = task.await(waiter, seconds)
    if not ok and self._joiners then
      for i, one in ipairs(self._joiners) do
        if one == waiter then table.remove(self._joiners, i) break end
      end
      if not self._joiners[1] then self._joiners = nil end
    end
    if not ok then return nil, message, code end
  end
  if self._has_failed then error(self._error, 0) end
  return unpack(self._results, 2, self._results.n)
end

--- Ends it: the wait that it is in, or its next, gives nil, "cancelled", "cancelled" (or `message`), and one after that
-- raises an error that nobody has to catch. One that has not begun does not begin. Whether there was anything to end.
function Task:cancel(message)
  local inside = self._scope
  if not inside or inside.is_cancelled then return false end
  self._was_cancelled = true
  scope.cancel(inside, message)
  task.interrupt(inside)
  return true
end

--- "running" (also before it has begun), "done", "failed" by an error, or "cancelled": it was, and has ended.
function Task:status()
  if not self._results then return "running" end
  return self._has_failed and "failed" or self._was_cancelled and "cancelled" or "done"
end

--- fn(…) with a deadline: its results, or nil, "timeout", "timeout" when it was not through after `seconds`. A wait of
-- its that lasts longer gives that, and what waits again is ended. It does not end what computes without a wait, nor
-- tasks that it started. Of several inside of each other the nearest counts.
function concurrent.with_timeout(seconds, fn, ...)
  if type(seconds) ~= "number" or seconds < 0 then error("with_timeout takes seconds, and a function", 2) end
  if not task.is_task() then error("with_timeout waits: call it in a task (neap.go, neap.run or a handler)", 2) end
  local outer = task.scope()
  local inside = scope.new(outer, core.now() + seconds)
  task.enter(inside)
  local results = pack(xpcall(fn, trace, ...))
  task.enter(outer)
  if results[1] then return unpack(results, 2, results.n) end
  if results[2] == inside.over then return nil, "timeout", "timeout" end
  error(results[2], 0)
end

-- What every does, in the task of `self`.
local function repeat_every(self, seconds, fn)
  local due = core.now() + seconds
  while task.sleep(math.max(0, due - core.now())) and not self._is_stopped do
    self._runs = true
    local ok, err = xpcall(fn, trace)
    self._runs = false
    if not ok then
      if err == self._scope.over then error(err, 0) end
      task.report(type(err) == "string" and err or debug.traceback(task.text_of(err)))
    end
    -- What a slow run has missed is left out.
    local now = core.now()
    due = due + seconds * math.max(1, math.ceil((now - due) / seconds))
  end
end

--- Has a task of neap.every end when the call that runs is through, or at once between two.
function Task:stop()
  self._is_stopped = true
  if not self._runs then self:cancel() end
end

--- Calls fn() every so many seconds, the first time after as many, as a task; its handle. Times do not drift, calls do
-- not overlap: those that a slow one has missed are left out. An error in fn goes to the log, and it goes on. The
-- handle's stop() has it end when the call that runs is through, cancel() ends that too.
function concurrent.every(seconds, fn)
  if type(seconds) ~= "number" or seconds <= 0 or seconds ~= seconds then error("every takes seconds, above 0", 2) end
  if type(fn) ~= "function" then error("every takes seconds and a function", 2) end
  local handle
  handle = concurrent.go(function() return repeat_every(handle, seconds, fn) end)
  return handle
end

-- Starts functions as tasks; `ended(i, handle)` is called when one has ended.
local function start(functions, ended)
  local handles = {}
  for i, fn in ipairs(functions) do
    -- With joiners: its errors are told here.
    local handle = setmetatable({ _scope = scope.new(), _joiners = {} }, Task)
    handles[i] = handle
    task.go(function()
      run(handle, fn, { n = 0 })
      ended(i, handle)
    end)
  end
  return handles
end

local function cancel_all(handles)
  for _, handle in ipairs(handles) do handle:cancel() end
end

--- Runs functions side by side and waits for all: their first results, in order; and what failed, by the same numbers:
-- { message =, code =, number = } of each function that gave nil and a message (nil when none did). An error in one
-- cancels the others, and is raised when all have ended. Who is cancelled here cancels them.
function concurrent.all(functions)
  local results, failures, left, raised, handles = {}, nil, #functions, nil, nil
  if left == 0 then return results end
  local waiter = task.waiter()
  handles = start(functions, function(i, handle)
    local value, message, code, number = unpack(handle._results, 2, 5)
    if handle._has_failed then
      if not raised then
        raised = { handle._error }
        cancel_all(handles)
      end
    elseif value == nil and message ~= nil then
      failures = failures or {}
      failures[i] = { message = message, code = code, number = number }
    else
      results[i] = value
    end
    left = left - 1
    if left == 0 then task.wake(waiter, true) end
  end)
  local ok, message, code = task.await(waiter)
  if not ok then
    cancel_all(handles)
    return nil, message, code
  end
  if raised then error(raised[1], 0) end
  return results, failures
end

-- Runs functions side by side until one has ended that `is_it`; cancels the others.
local function first(functions, is_it)
  if #functions == 0 then error("no functions", 3) end
  local left, waiter = #functions, task.waiter()
  local handles = start(functions, function(_, handle)
    left = left - 1
    if left == 0 or handle._has_failed or is_it(handle._results) then task.wake(waiter, handle) end
  end)
  local won, message, code = task.await(waiter)
  cancel_all(handles)
  if not won then return nil, message, code end
  if won._has_failed then error(won._error, 0) end
  return unpack(won._results, 2, won._results.n)
end

--- Runs functions side by side: what the first to end returned, whatever it is. The others are cancelled. An error in
-- that one is raised.
function concurrent.race(functions)
  return first(functions, function() return true end)
end

--- The same, of the first that returned something but nil or false; when none did, what the last returned.
function concurrent.any(functions)
  return first(functions, function(results) return results[2] end)
end

return concurrent
