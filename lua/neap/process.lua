--- Child processes for tasks: their pipes are descriptors, and waiting for their end yields.
local core = require "neap.core"
local Descriptor = require "neap.descriptor"
local task = require "neap.task"

local process = {}

local OUTPUT_MOST = 16 * 1024 * 1024 -- bytes that process.run takes of each stream, unless told
local SIGNALS = { HUP = 1, INT = 2, QUIT = 3, KILL = 9, USR1 = 10, USR2 = 12, TERM = 15, CONT = 18, STOP = 19 }
local HOW = { pipe = true, null = true, inherit = true }
local STREAMS = { "stdin", "stdout", "stderr" }
local PRESET = { stdin = "null", stdout = "pipe", stderr = "inherit" }
local KNOWN = { stdin = true, stdout = true, stderr = true, env = true, cwd = true, input = true, limit = true,
  timeout = true }

local Process = {}
Process.__index = Process

local function check(command, level)
  if type(command) ~= "table" or type(command[1]) ~= "string" then
    error('a command is a list of words, { "name", "argument", … }', level + 1)
  end
  for name in pairs(command) do
    if type(name) ~= "number" and not KNOWN[name] then
      error(("a command has no option '%s'"):format(tostring(name)), level + 1)
    end
  end
  local how = {}
  for i, name in ipairs(STREAMS) do
    how[i] = command[name] or PRESET[name]
    if not HOW[how[i]] then error(("'%s' is \"pipe\", \"null\" or \"inherit\""):format(name), level + 1) end
  end
  return how
end

-- The environment of this process with what `env` says otherwise; false takes a name out of it.
local function environment(env)
  if not env then return nil end
  local out = {}
  for _, entry in ipairs(core.environment()) do
    local name = entry:match("^[^=]*")
    if env[name] == nil then out[#out + 1] = entry end
  end
  for name, value in pairs(env) do
    if value ~= false then out[#out + 1] = name .. "=" .. tostring(value) end
  end
  return out
end

-- Called by the loop when it has ended.
function Process:_ready()
  local code, signal = core.reap(self.pid)
  if code == nil and signal == nil then
    task.watch(self._socket, self, true, false)
    return
  end
  self._code, self._signal, self._has_ended = code, signal, true
  task.unwatch(self._socket)
  self._socket:close()
  for waiter in pairs(self._waiters) do task.wake(waiter, true) end
  self._waiters = {}
end

--- Starts { "name", "argument", … }, found by PATH and not by a shell. Fields: stdin ("null" unless told), stdout
-- ("pipe"),
-- stderr ("inherit"): each "pipe", "null" or "inherit"; env: names that differ from this process's (false: without);
-- cwd: its folder. Its `pid`, and `stdin`, `stdout`, `stderr` as of neap.fd where they are pipes. nil, message, code,
-- number when it cannot be started. It is reaped by the loop, whoever waits, and does not hold neap.run.
function process.start(command)
  local how = check(command, 2)
  if task.is_simulated() then return nil, "a simulation has no processes", "unsupported" end
  local words = {}
  for i, word in ipairs(command) do words[i] = tostring(word) end
  local pid, handle, stdin, stdout, stderr = core.spawn(words, how, environment(command.env), command.cwd)
  if not pid then return nil, handle, stdin, stdout end
  local function stream(descriptor)
    return descriptor and Descriptor.new(Descriptor, descriptor) or nil
  end
  local self = setmetatable({ pid = pid, stdin = stream(stdin), stdout = stream(stdout), stderr = stream(stderr),
    _socket = handle, _waiters = {} }, Process)
  -- The scheduler has it from here on, whether anybody else does or not.
  local ok, message, code, number = task.watch(handle, self, true, false)
  if ok then return self end
  self:kill("KILL")
  self:_ready()
  return nil, message, code, number
end

--- Waits for its end: its exit code; nil, "killed by signal 15", "signal", 15; nil, "timeout", "timeout" after
-- `seconds`.
function Process:wait(seconds)
  if not self._has_ended then
    local waiter = task.waiter()
    self._waiters[waiter] = true
    local ok, message, code = task.await(waiter, seconds)
    self._waiters[waiter] = nil
    if not ok then return nil, message, code end
  end
  if self._code then return self._code end
  return nil, "killed by signal " .. self._signal, "signal", self._signal
end

--- Sends it a signal, "TERM" unless told: true, or nil, message, code, number; "closed" when it has ended.
function Process:kill(signal)
  signal = signal or "TERM"
  local number = SIGNALS[signal] or signal
  if type(number) ~= "number" then error("no signal is called " .. tostring(signal), 2) end
  return self._socket:signal(number)
end

-- All that comes of a stream, up to a limit; then `over` is called.
local function collect(stream, limit, over)
  local pieces, size = {}, 0
  while true do
    local bytes = stream:read()
    if not bytes then break end
    size = size + #bytes
    if size > limit then
      over()
      break
    end
    pieces[#pieces + 1] = bytes
  end
  stream:close()
  return table.concat(pieces)
end

--- Runs a command to its end: { code = (nil: a signal), signal =, stdout =, stderr = }. Besides the fields of start:
-- `input`, a string for its standard input; stderr is a pipe unless told; `limit`, bytes of each stream (16 MiB);
-- `timeout`, seconds. nil, message, code when it cannot be started, or was killed for "limit" or "timeout".
function process.run(command)
  check(command, 2)
  local given = {}
  for name, value in pairs(command) do given[name] = value end
  given.stderr = command.stderr or "pipe"
  if command.input then given.stdin = "pipe" end
  local self, message, code, number = process.start(given)
  if not self then return nil, message, code, number end
  local result, left, is_over = {}, 0, false
  local waiter = task.waiter()
  local function over()
    is_over = true
    self:kill("KILL")
  end
  local function done()
    left = left - 1
    if left == 0 then task.wake(waiter, true) end
  end
  for _, name in ipairs { "stdout", "stderr" } do
    if self[name] then
      left = left + 1
      task.go(function()
        result[name] = collect(self[name], command.limit or OUTPUT_MOST, over)
        done()
      end)
    end
  end
  if self.stdin then
    task.go(function()
      self.stdin:write(command.input or "")
      self.stdin:close()
    end)
  end
  local deadline = command.timeout and core.now() + command.timeout
  local function give_up(why, word)
    self:kill("KILL")
    for _, name in ipairs(STREAMS) do
      if self[name] then self[name]:close() end
    end
    return nil, why, word
  end
  if left > 0 then
    local ok, why, word = task.await(waiter, command.timeout)
    if not ok then return give_up(why, word) end
  end
  local status, why, word, signal = self:wait(deadline and math.max(0, deadline - core.now()))
  if not status and word ~= "signal" then return give_up(why, word) end
  if is_over then return nil, "more output than the limit", "limit" end
  result.code, result.signal = status, signal
  return result
end

return process
