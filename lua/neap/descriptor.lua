--- Descriptors that tasks wait for: what is under Unix sockets (neap.unix), those of neap.socket, and neap.fd. Reading
-- and writing never hold the loop; a task that has to wait yields.
local core = require "neap.core"
local log = require "neap.log"
local task = require "neap.task"

local Descriptor = {}
Descriptor.__index = Descriptor

local READ_MOST = 1024 * 1024 -- bytes of a line, or of one read by count

-- What may be over soon, by its number in Linux: no memory, no descriptor (of the system, of the process), a client
-- that went before it was accepted, no buffers.
local PASSES = { [12] = true, [23] = true, [24] = true, [103] = true, [105] = true }
local SHORTAGE_PAUSE = 0.1 -- seconds until a listener looks again

--- What reads and writes say once it is closed.
function Descriptor.is_over()
  return nil, "closed", "closed"
end
local is_over = Descriptor.is_over

--- When a wait of so many seconds is over; nil: never.
function Descriptor.deadline_of(seconds)
  return seconds and core.now() + seconds
end
local deadline_of = Descriptor.deadline_of

--- A descriptor of the binding as an object of `class`; its reads and writes wait for `timeout` seconds at most.
function Descriptor.new(class, socket, timeout)
  return setmetatable({
    _socket = socket, _buffer = "", _at = 1, _more = {}, _more_size = 0, _seen = 0, _seen_more = 0, timeout = timeout,
    _closed = false,
  }, class)
end

local function arm(self)
  return task.watch(self._socket, self, self._reader ~= nil, self._writer ~= nil)
end

--- Waits until it can be read ("_reader") or written ("_writer"): true, or nil, message, code, number. The loop knows
-- it for as long as somebody waits, so that one which nobody has any more is collected.
function Descriptor:_wait(slot, deadline)
  if self._closed then return is_over() end
  local reads, writes = slot == "_reader" or self._reader ~= nil, slot == "_writer" or self._writer ~= nil
  local ok, message, code, number = task.watch(self._socket, self, reads, writes)
  if not ok then return nil, message, code, number end
  ok, message, code = task.wait_at(self, slot, deadline and math.max(0, deadline - core.now()))
  if not self._reader and not self._writer then task.unwatch(self._socket) end
  if ok and self._closed then return is_over() end
  return ok, message, code
end

-- Called by the loop.
function Descriptor:_ready()
  task.wake_at(self, "_reader")
  task.wake_at(self, "_writer")
end

--- Waits until one of several can be read or written: `reads` and `writes` are lists of them. true, or nil, message,
-- code, and true where the task is to wait no more (it was cancelled). Each may be waited for by one task at a time for
-- either.
function Descriptor.wait_any(reads, writes, deadline)
  local waiter, ok, message, code, is_ended = task.waiter(), true, nil, nil, nil
  local waited = {}
  local function begin(self, slot)
    if self[slot] then error("another task waits for this already", 3) end
    self[slot] = waiter
    waited[#waited + 1] = { self, slot }
    ok, message, code = arm(self)
  end
  for _, self in ipairs(reads) do
    if ok and self._reader ~= waiter then begin(self, "_reader") end
  end
  for _, self in ipairs(writes) do
    if ok and self._writer ~= waiter then begin(self, "_writer") end
  end
  if ok then ok, message, code, is_ended = task.await(waiter, deadline and math.max(0, deadline - core.now())) end
  for _, place in ipairs(waited) do
    local self, slot = place[1], place[2]
    if self[slot] == waiter then self[slot] = nil end
    if self._reader or self._writer then
      if not self._closed then arm(self) end
    else
      task.unwatch(self._socket)
    end
  end
  return ok, message, code, is_ended
end

-- What was received and not read yet: `_buffer` from `_at` on, and behind it the pieces of `_more`, which are put
-- together when what is read is whole, so that little at a time costs no more than much.
function Descriptor:_held()
  return #self._buffer - self._at + 1 + self._more_size
end

local function join(self)
  self._seen, self._seen_more = 0, 0
  if self._more_size == 0 then return end
  self._buffer = self._buffer:sub(self._at) .. table.concat(self._more)
  self._at, self._more, self._more_size = 1, {}, 0
end

--- How many bytes there are up to the end of a line; nil when it is not there yet. What was looked at is not again:
-- `_seen` bytes, up to the piece `_seen_more`.
function Descriptor:_find_line()
  local seen = self._seen
  if seen == 0 then
    local found = self._buffer:find("\n", self._at, true)
    if found then return found - self._at + 1 end
    seen = #self._buffer - self._at + 1
  end
  for i = self._seen_more + 1, #self._more do
    local found = self._more[i]:find("\n", 1, true)
    if found then return seen + found end
    seen = seen + #self._more[i]
  end
  self._seen, self._seen_more = seen, #self._more
end

--- More bytes: true; nil at the end; nil, message, code.
function Descriptor:_fill(deadline)
  while not self._closed do
    local bytes, message, code = self._socket:read()
    if bytes == "" then return nil end
    if bytes then
      self._more[#self._more + 1] = bytes
      self._more_size = self._more_size + #bytes
      return true
    end
    if code ~= "again" then return nil, message, code end
    local ok
    ok, message, code = self:_wait("_reader", deadline)
    if not ok then return nil, message, code end
  end
  return is_over()
end

--- The first `size` bytes of what is held.
function Descriptor:_take(size)
  join(self)
  local bytes = self._buffer:sub(self._at, self._at + size - 1)
  self._at = self._at + size
  if self._at > #self._buffer then self._buffer, self._at = "", 1 end
  return bytes
end

--- Reads like io: a number gives exactly so many bytes, "*l" a line without its end, without an argument whatever is
-- there. nil at the end, also one that comes too early; nil, message, code when it breaks off, "timeout" after
-- `timeout` seconds, "limit" for more than 1 MiB.
function Descriptor:read(what)
  local deadline = deadline_of(self.timeout)
  local is_line = type(what) == "string" and what:gsub("^%*", ""):sub(1, 1) == "l"
  local is_number = type(what) == "number"
  if what and not is_line and not is_number then error("read takes a number or \"*l\"", 2) end
  while true do
    local size = self:_held()
    if is_line then
      local line = self:_find_line()
      if line then return (self:_take(line):gsub("\r?\n$", "")) end
    elseif what and size >= what then
      return self:_take(what)
    elseif not what and size > 0 then
      return self:_take(size)
    end
    if math.max(size, is_number and what or 0) > READ_MOST then
      return nil, "more than 1 MiB at once", "limit"
    end
    local ok, message, code = self:_fill(deadline)
    if not ok then return nil, message, code end
  end
end

--- Writes bytes[from .. to], waiting while the other side is slower: true, or nil, message, code, and the place of the
-- last byte that was taken.
function Descriptor:_write(bytes, from, to, deadline)
  local at = from
  while at <= to do
    if self._closed then return nil, "closed", "closed", at - 1 end
    local count, message, code = self._socket:write(bytes, at, to)
    if count then
      at = at + count
    elseif code ~= "again" then
      return nil, message, code, at - 1
    else
      local ok
      ok, message, code = self:_wait("_writer", deadline)
      if not ok then return nil, message, code, at - 1 end
    end
  end
  return true
end

--- Writes all of `bytes`, waiting while the other side is slower: true, or nil, message, code.
function Descriptor:write(bytes)
  if type(bytes) ~= "string" then error("write takes a string, not a " .. type(bytes), 2) end
  local ok, message, code = self:_write(bytes, 1, #bytes, deadline_of(self.timeout))
  if ok then return true end
  return nil, message, code
end

local SLOTS = { r = { true, false }, w = { false, true }, rw = { true, true }, wr = { true, true } }

--- Waits until it can be read ("r"), written ("w"), or either ("rw"), and takes nothing: true, or nil, message, code.
-- For descriptors that somebody else reads, such as those of a library. `seconds`: those of `timeout` unless told.
function Descriptor:wait(what, seconds)
  local slots = SLOTS[what]
  if not slots then error('wait takes "r", "w" or "rw"', 2) end
  if self._closed then return is_over() end
  if slots[1] and self:_held() > 0 then return true end
  local deadline = deadline_of(seconds or self.timeout)
  local ok, message, code = Descriptor.wait_any(slots[1] and { self } or {}, slots[2] and { self } or {}, deadline)
  if ok and self._closed then return is_over() end
  return ok, message, code
end

--- Its number; nil when it is closed.
function Descriptor:fd()
  return self._socket:fd()
end

--- Closes it; who waits for it is told.
function Descriptor:close()
  if self._closed then return end
  self._closed = true
  task.unwatch(self._socket)
  self._socket:close()
  self:_ready()
end

-- Until descriptors or memory may be there again, or the listener is closed.
local function pause(self, message, deadline)
  if not self._is_short then log.warn(("%s: %s: trying again"):format(self.path or "accept", message)) end
  self._is_short = true
  local seconds = deadline and math.max(0, math.min(SHORTAGE_PAUSE, deadline - core.now())) or SHORTAGE_PAUSE
  task.wait_at(self, "_reader", seconds)
end

--- The next client of one that listens, a descriptor of the binding. While descriptors or memory are short it looks
-- again ten times a second, with one line in the log. nil, message, code, number for what does not pass.
function Descriptor:_accept(deadline)
  while not self._closed do
    local done, message, code, number = self._socket:accept()
    if done then
      self._is_short = false
      return done
    end
    if code == "again" then
      done, message, code, number = self:_wait("_reader", deadline)
      if not done and code == "timeout" then return nil, message, code end
    end
    if not done then
      if not PASSES[number] then return nil, message, code, number end
      if deadline and core.now() >= deadline then return nil, "timeout", "timeout" end
      pause(self, message, deadline)
    end
  end
  return is_over()
end

--- neap.fd: a descriptor of this process that is open, by its number, for tasks to read, write and wait for: serial
-- lines, netlink, pipes. It does not block from now on, and is closed with the object or by close(). `options`:
-- { timeout = seconds that a read, write or wait may take, borrowed = true: it stays as it is, and somebody else closes
-- it }. nil, message, code, number when it is not open.
local function open(fd, options)
  if type(fd) ~= "number" or fd < 0 or fd % 1 ~= 0 then error("neap.fd takes the number of a descriptor", 2) end
  options = options or {}
  if task.is_simulated() then return nil, "a simulation has no descriptors", "unsupported" end
  local descriptor, message, code, number = core.fd(fd, options.borrowed)
  if not descriptor then return nil, message, code, number end
  return Descriptor.new(Descriptor, descriptor, options.timeout)
end
Descriptor.open = open

return Descriptor
