--- Unix stream sockets (unix(7)) for tasks: what a handler or an option asks of another process of the machine.
local core = require "neap.core"
local log = require "neap.log"
local task = require "neap.task"

local unix = {}

unix.listeners = setmetatable({}, { __mode = "k" }) -- that are open, for the signals of neap.run

local LINE_MOST = 1024 * 1024 -- bytes of a line, or of one read by count

-- What may be over soon, by its number in Linux: no memory, no descriptor (of the system, of the process), a client
-- that went before it was accepted, no buffers.
local PASSES = { [12] = true, [23] = true, [24] = true, [103] = true, [105] = true }
local SHORTAGE_PAUSE = 0.1 -- seconds until a listener looks again
local CONNECT_PAUSE, CONNECT_PAUSE_MOST = 0.001, 0.05 -- seconds until a client tries again, doubled up to the second

local NOT_HERE = "a simulation has no Unix sockets"

local Socket, Listener = {}, {}
Socket.__index, Listener.__index = Socket, Listener

local function is_over()
  return nil, "closed", "closed"
end

-- Waits until the socket can be read (or written): true, or nil, message, code, number. The loop knows it for as long
-- as somebody waits, so that a socket which nobody has any more is collected.
local function wait(self, slot, deadline)
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
function Socket:_ready()
  task.wake_at(self, "_reader")
  task.wake_at(self, "_writer")
end
Listener._ready = Socket._ready

local function deadline_of(seconds)
  return seconds and core.now() + seconds
end

-- What was received and not read yet: `_buffer` from `_at` on, and behind it the pieces of `_more`, which are put
-- together when what is read is whole, so that little at a time costs no more than much.
local function held(self)
  return #self._buffer - self._at + 1 + self._more_size
end

local function join(self)
  self._seen, self._seen_more = 0, 0
  if self._more_size == 0 then return end
  self._buffer = self._buffer:sub(self._at) .. table.concat(self._more)
  self._at, self._more, self._more_size = 1, {}, 0
end

-- How many bytes there are up to the end of a line; nil when it is not there yet. What was looked at is not again:
-- `_seen` bytes, up to the piece `_seen_more`.
local function find_line(self)
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

-- More bytes: true; nil at the end; nil, message, code.
local function fill(self, deadline)
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
    ok, message, code = wait(self, "_reader", deadline)
    if not ok then return nil, message, code end
  end
  return is_over()
end

local function take(self, size)
  join(self)
  local bytes = self._buffer:sub(self._at, self._at + size - 1)
  self._at = self._at + size
  if self._at > #self._buffer then self._buffer, self._at = "", 1 end
  return bytes
end

--- Reads like io: a number gives exactly so many bytes, "*l" a line without its end, without an argument whatever is
-- there. nil at the end, also one that comes too early; nil, message, code when it breaks off, "timeout" after
-- `timeout` seconds (of connect or listen), "limit" for more than 1 MiB.
function Socket:read(what)
  local deadline = deadline_of(self.timeout)
  local is_line = type(what) == "string" and what:gsub("^%*", ""):sub(1, 1) == "l"
  local is_number = type(what) == "number"
  if what and not is_line and not is_number then error("read takes a number or \"*l\"", 2) end
  while true do
    local size = held(self)
    if is_line then
      local line = find_line(self)
      if line then return (take(self, line):gsub("\r?\n$", "")) end
    elseif what and size >= what then
      return take(self, what)
    elseif not what and size > 0 then
      return take(self, size)
    end
    if math.max(size, is_number and what or 0) > LINE_MOST then
      return nil, "more than 1 MiB at once", "limit"
    end
    local ok, message, code = fill(self, deadline)
    if not ok then return nil, message, code end
  end
end

--- Writes all of `bytes`, waiting while the other side is slower: true, or nil, message, code.
function Socket:write(bytes)
  if type(bytes) ~= "string" then error("write takes a string, not a " .. type(bytes), 2) end
  local deadline, at = deadline_of(self.timeout), 1
  while at <= #bytes do
    if self._closed then return is_over() end
    local count, message, code = self._socket:write(bytes, at)
    if count then
      at = at + count
    elseif code ~= "again" then
      return nil, message, code
    else
      local ok
      ok, message, code = wait(self, "_writer", deadline)
      if not ok then return nil, message, code end
    end
  end
  return true
end

--- Closes it; who waits for it is told.
function Socket:close()
  if self._closed then return end
  self._closed = true
  task.unwatch(self._socket)
  self._socket:close()
  self:_ready()
end

local function new(class, socket, timeout)
  return setmetatable({
    _socket = socket, _buffer = "", _at = 1, _more = {}, _more_size = 0, _seen = 0, _seen_more = 0, timeout = timeout,
    _closed = false,
  }, class)
end

--- Connects to the socket at `path`; `timeout`: seconds that this, a read or a write may wait (nil: no bound). It waits
-- while as many as the server lets wait are there before it: the kernel tells nobody when that changes.
function unix.connect(path, timeout)
  local deadline, pause = deadline_of(timeout), CONNECT_PAUSE
  if task.is_simulated() then return nil, NOT_HERE, "unsupported" end
  local socket, message, code, number = core.unix_connect(path)
  while code == "again" do
    if deadline and core.now() >= deadline then return nil, path .. ": timeout", "timeout" end
    task.sleep(pause)
    pause = math.min(2 * pause, CONNECT_PAUSE_MOST)
    socket, message, code, number = core.unix_connect(path)
  end
  if not socket then return nil, message, code, number end
  return new(Socket, socket, timeout)
end

--- Listens at `path`, whose file only the user may open (`mode`, 384: 0600 unless told). A file that was left behind
-- gives way; one that somebody listens at does not.
function unix.listen(path, mode)
  if task.is_simulated() then return nil, NOT_HERE, "unsupported" end
  local socket, message, code, number = core.unix_listen(path, mode)
  if not socket then return nil, message, code, number end
  local self = new(Listener, socket)
  self.path = path
  unix.listeners[self] = true
  task.hold(1)
  return self
end

-- Until descriptors or memory may be there again, or the listener is closed.
local function pause(self, message)
  if not self._is_short then log.warn(("%s: %s: trying again"):format(self.path, message)) end
  self._is_short = true
  task.wait_at(self, "_reader", SHORTAGE_PAUSE)
end

--- The next client, waiting for it; `timeout` as of connect. While descriptors or memory are short it looks again ten
-- times a second, with one line in the log. nil, "closed", "closed" when the listener is closed; nil, message, code,
-- number for what does not pass.
function Listener:accept(timeout)
  while not self._closed do
    local done, message, code, number = self._socket:accept()
    if done then
      self._is_short = false
      return new(Socket, done, timeout)
    end
    if code == "again" then done, message, code, number = wait(self, "_reader") end
    if not done then
      if not PASSES[number] then return nil, message, code, number end
      pause(self, message)
    end
  end
  return is_over()
end

--- Stops listening and removes the file.
function Listener:close()
  if self._closed then return end
  os.remove(self.path)
  unix.listeners[self] = nil
  Socket.close(self)
  task.hold(-1)
end

return unix
