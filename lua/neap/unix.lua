--- Unix stream sockets (unix(7)) for tasks: what a handler or an option asks of another process of the machine.
local core = require "neap.core"
local task = require "neap.task"

local unix = {}

local LINE_MOST = 1024 * 1024 -- bytes of a line, or of one read by count

local Socket, Listener = {}, {}
Socket.__index, Listener.__index = Socket, Listener

local function is_over()
  return nil, "closed", "closed"
end

-- Waits until the socket can be read (or written): true, or nil, message, code.
local function wait(self, slot, deadline)
  if self._closed then return is_over() end
  local reads, writes = slot == "_reader" or self._reader ~= nil, slot == "_writer" or self._writer ~= nil
  local ok, message, code = task.watch(self._socket, self, reads, writes)
  if not ok then return nil, message, code end
  ok, message, code = task.wait_at(self, slot, deadline and math.max(0, deadline - core.now()))
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

-- More bytes into the buffer: true; nil at the end; nil, message, code.
local function fill(self, deadline)
  while not self._closed do
    local bytes, message, code = self._socket:read()
    if bytes == "" then return nil end
    if bytes then
      self._buffer = self._buffer .. bytes
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
  local bytes = self._buffer:sub(1, size)
  self._buffer = self._buffer:sub(size + 1)
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
    local size = #self._buffer
    if is_line then
      local at = self._buffer:find("\n", 1, true)
      if at then return (take(self, at):gsub("\r?\n$", "")) end
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
  return setmetatable({ _socket = socket, _buffer = "", timeout = timeout, _closed = false }, class)
end

--- Connects to the socket at `path`; `timeout`: seconds that a read or write may wait (nil: no bound).
function unix.connect(path, timeout)
  local socket, message, code, number = core.unix_connect(path)
  if not socket then return nil, message, code, number end
  return new(Socket, socket, timeout)
end

--- Listens at `path`, whose file only the user may open (`mode`, 384: 0600 unless told). A file that was left behind
-- gives way; one that somebody listens at does not.
function unix.listen(path, mode)
  local socket, message, code, number = core.unix_listen(path, mode)
  if not socket then return nil, message, code, number end
  local self = new(Listener, socket)
  self.path = path
  task.hold(1)
  return self
end

--- The next client, waiting for it; `timeout` as of connect. nil when the listener is closed.
function Listener:accept(timeout)
  while not self._closed do
    local socket, message, code = self._socket:accept()
    if socket then return new(Socket, socket, timeout) end
    if code ~= "again" then return nil, message, code end
    local ok
    ok, message, code = wait(self, "_reader")
    if not ok then return nil, message, code end
  end
  return is_over()
end

--- Stops listening and removes the file.
function Listener:close()
  if self._closed then return end
  os.remove(self.path)
  Socket.close(self)
  task.hold(-1)
end

return unix
