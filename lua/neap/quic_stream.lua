--- Streams of raw QUIC, as neap.quic gives them.
local body = require "neap.body"
local priority = require "neap.priority"
local task = require "neap.task"

local PIECE = 65536
local DEFAULT_LIMIT = 16 * 1024 * 1024
local EARLY_REJECTED = { "the server did not read early data", "early" }
local FAILED = 1 -- code of the application's with which a stream is given up whose handler fails

local Stream = {}
Stream.__index = Stream

--- The object of a stream, which its connection keeps until both sides are over.
local function new_stream(connection, id)
  local stream = setmetatable({
    id = id, connection = connection, _conn = connection._conn, _buffer = "", _at = 1,
  }, Stream)
  connection._streams[id] = stream
  return stream
end

-- The next bytes of the peer's, waiting for them; nil at the end; nil, message, code, number when
-- it breaks off.
local function receive(self)
  while true do
    if self._ended then
      local failure = self._failure
      if failure then return nil, failure[1], failure[2], failure[3] end
      return nil
    end
    local bytes, fin, code, number = self._conn:stream_recv(self.id, PIECE)
    if bytes then
      if fin then
        self._ended = true
        self:_maybe_forget()
      end
      if #bytes > 0 then return bytes end
    elseif code == "again" then
      local ok, message, kind = task.wait_at(self, "_reader", self.connection.read_timeout)
      if not ok then return nil, message, kind end
    else
      if self.connection._closed then return nil, self.connection:_why() end
      self._ended, self._failure = true, { fin, code, number }
      self:_maybe_forget()
    end
  end
end

-- What was received and not read yet: _buffer from _at on, so that a line costs its own length.
local function buffered(self)
  return #self._buffer - self._at + 1
end

local function take(self, count)
  local from, stop = self._at, self._at + count - 1
  local bytes = self._buffer:sub(from, stop)
  if stop >= #self._buffer then
    self._buffer, self._at = "", 1
  else
    self._at = stop + 1
  end
  return bytes
end

local function read_count(self, count)
  local size = math.min(count, buffered(self))
  if size == count and size > 0 then return take(self, count) end
  local parts = { take(self, size) }
  while size < count do
    local bytes, message, code, number = receive(self)
    if not bytes then
      if message then
        self._buffer, self._at = table.concat(parts), 1
        return nil, message, code, number
      end
      break
    end
    local fits = math.min(#bytes, count - size)
    if fits < #bytes then
      self._buffer, self._at = bytes, fits + 1
      bytes = bytes:sub(1, fits)
    end
    parts[#parts + 1] = bytes
    size = size + fits
  end
  if size == 0 then return nil end
  return table.concat(parts)
end

local function read_line(self)
  local at = self._buffer:find("\n", self._at, true)
  local parts, size = nil, 0
  while not at do
    local rest = take(self, buffered(self))
    parts = parts or {}
    parts[#parts + 1] = rest
    size = size + #rest
    local bytes, message, code, number
    if size > DEFAULT_LIMIT then
      message, code = "a line without an end", "limit"
    else
      bytes, message, code, number = receive(self)
    end
    if not bytes then
      local line = table.concat(parts)
      if message then
        self._buffer, self._at = line, 1
        return nil, message, code, number
      end
      if line == "" then return nil end
      return line
    end
    self._buffer, self._at = bytes, 1
    at = bytes:find("\n", 1, true)
  end
  local line = take(self, at - self._at + 1)
  if parts then
    parts[#parts + 1] = line
    line = table.concat(parts)
  end
  return (line:gsub("\r?\n$", ""))
end

--- Everything up to the end, at most `limit` bytes (16 MiB); nil, message, "limit" beyond. What came
-- before it broke off, or too much, is there for who reads again.
function Stream:read_all(limit)
  limit = limit or DEFAULT_LIMIT
  local parts, size = {}, buffered(self)
  parts[1] = take(self, size)
  while true do
    local bytes, message, code, number
    if size > limit then
      message, code = ("more than %d bytes"):format(limit), "limit"
    else
      bytes, message, code, number = receive(self)
    end
    if not bytes then
      local all = table.concat(parts)
      if not message then return all end
      self._buffer, self._at = all, 1
      return nil, message, code, number
    end
    parts[#parts + 1] = bytes
    size = size + #bytes
  end
end

--- Reads like io: a number gives so many bytes (fewer at the end), "*l" a line without its end,
-- "*a" all; without an argument whatever is there. nil at the end; nil, message, code[, number]
-- when the stream breaks off.
function Stream:read(what)
  if what == nil then
    if buffered(self) > 0 then return take(self, buffered(self)) end
    return receive(self)
  end
  if type(what) == "number" then return read_count(self, what) end
  local kind = tostring(what):gsub("^%*", ""):sub(1, 1)
  if kind == "l" then return read_line(self) end
  if kind == "a" then return self:read_all() end
  error("read takes a number, \"*l\" or \"*a\"", 2)
end

-- Who is thrown out of a loop ends nothing any more, and a stream of which a half stays open counts against the
-- peer's streams for ever.
local function iterate(self, read)
  return body.iterator(function()
    local bytes, message, code, number = read(self)
    if message then self:_give_up(FAILED) end
    return bytes, message, code, number
  end)
end

--- Iterates over lines to the end of the stream. One that breaks off is an error, body.broken_off, and is given up:
-- our side is reset with code 1 if it is still open.
function Stream:lines()
  return iterate(self, read_line)
end

--- Iterates over the bytes as they come; a stream that breaks off is an error and given up, as with lines.
function Stream:chunks()
  return iterate(self, self.read)
end

--- Writes all of `data`, waiting while the peer is slower; with { fin = true } ends our side as
-- well. true, or nil, message, code[, number].
function Stream:write(data, given)
  if type(data) ~= "string" then error("stream:write takes a string, not a " .. type(data), 2) end
  if self._rejected then return nil, EARLY_REJECTED[1], EARLY_REJECTED[2] end
  local fin = given and given.fin or false
  local at, size = 1, #data
  while at <= size or fin do
    if self.connection._closed then return nil, self.connection:_why() end
    if self._rejected then return nil, EARLY_REJECTED[1], EARLY_REJECTED[2] end
    local stop = math.min(at + PIECE - 1, size)
    local piece = at == 1 and stop == size and data or data:sub(at, stop)
    local last = fin and stop == size
    local taken, message, code, number = self._conn:stream_send(self.id, piece, last)
    if not taken and code ~= "again" then
      self._finished = true
      self:_maybe_forget()
      return nil, message, code, number
    end
    at = at + (taken or 0)
    if at > size and (not fin or taken) then break end
    if not taken or taken < #piece then
      local ok, reason, kind = task.wait_at(self, "_writer", self.connection.write_timeout)
      if not ok then return nil, reason, kind end
    end
  end
  if fin then
    self._finished = true
    self:_maybe_forget()
  end
  return true
end

--- Ends our side.
function Stream:finish()
  if self._finished then return true end
  return self:write("", { fin = true })
end

--- Breaks our side off with a code of the application's. With `reliable_size` the peer reads so many bytes, or all that
-- were written (true), and then of the reset; nil, message, "unsupported" where the peer does not know that.
function Stream:reset(code, reliable_size)
  if self._rejected then return true end
  if reliable_size then
    local size = reliable_size ~= true and reliable_size or nil
    local ok, message, kind = self._conn:stream_reset_at(self.id, code or 0, size)
    if kind == "argument" then message = ("fewer than %d bytes were written"):format(size) end
    if not ok then return nil, message, kind end
    self._finished = true
    self:_maybe_forget()
    task.wake_at(self, "_writer")
    return true
  end
  self._finished = true
  self:_maybe_forget()
  task.wake_at(self, "_writer")
  return self._conn:stream_shutdown(self.id, "write", code or 0)
end

--- Asks the peer to stop sending; what came is dropped.
function Stream:stop(code)
  if self._rejected then return true end
  self._ended = true
  self:_maybe_forget()
  return self._conn:stream_shutdown(self.id, "read", code or 0)
end

--- What is sent before what: { urgency = 0 to 7 (3), incremental = boolean (false) }, as RFC 9218 has them. Streams of
-- a lower urgency go first; of one, incremental ones take turns, the others go in the order of their ids, each to its
-- end. One for which this was never called has urgency 3 and is incremental. true; nil, message, code.
function Stream:set_priority(given)
  local urgency, incremental = priority.check(given, "set_priority")
  if self._rejected then return nil, EARLY_REJECTED[1], EARLY_REJECTED[2] end
  return self._conn:stream_set_priority(self.id, urgency, incremental)
end

--- Of a server's: whether it came by 0-RTT and the handshake is not complete yet: somebody may have sent it again.
function Stream:is_early()
  return self._conn:stream_is_early(self.id)
end

--- Whether both sides can speak.
function Stream:is_bidirectional()
  return self.id % 4 < 2
end

-- Whether the peer may still send, and whether we may.
function Stream:_open_halves()
  local ours = (self.id % 2 == 1) == self._conn:is_server()
  local both = self:is_bidirectional()
  return (both or not ours) and not self._ended, (both or ours) and not self._finished
end

function Stream:_maybe_forget()
  local reads, writes = self:_open_halves()
  if not reads and not writes then self.connection._streams[self.id] = nil end
end

-- Breaks off what is still open.
function Stream:_give_up(code)
  if self.connection._closed then return end
  local reads, writes = self:_open_halves()
  if reads then self:stop(code) end
  if writes then self:reset(code) end
end

-- Its server has passed over what came early: it is over, and another stream has its ID then.
function Stream:_reject()
  self._rejected, self._ended, self._finished = true, true, true
  self._failure = EARLY_REJECTED
  task.wake_at(self, "_reader")
  task.wake_at(self, "_writer")
end

return { new = new_stream, FAILED = FAILED }
