--- Channels: values that go from tasks to tasks, in order, with a bound on how many are under way.
local waiting = require "neap.waiting"

local Channel = {}
Channel.__index = Channel

local function is_closed()
  return nil, "the channel is closed", "closed"
end

local function put(self, value)
  self._last = self._last + 1
  self._values[self._last] = value
end

--- Gives a value (not nil) to the channel, waiting while it is full: true; nil, message, "closed" when it is closed, or
-- "timeout" after `seconds` (nil: no bound), and then it was not sent.
function Channel:send(value, seconds)
  if value == nil then error("nil cannot be sent: it is how receive tells the end", 2) end
  if self._closed then return is_closed() end
  if self._receivers:wake { value } then return true end
  if self:count() < self.capacity then
    put(self, value)
    return true
  end
  local ok, message, code = self._senders:wait(value, seconds)
  if ok == false then return is_closed() end
  if not ok then return nil, message, code end
  return true
end

--- The next value, waiting for it; nil, message, "closed" when the channel is closed and what was in it was received,
-- or "timeout" after `seconds` (nil: no bound).
function Channel:receive(seconds)
  if self:count() > 0 then
    local value = self._values[self._first]
    self._values[self._first] = nil
    self._first = self._first + 1
    local was_full, waited = self._senders:wake(true)
    if was_full then put(self, waited) end
    return value
  end
  local has_sender, value = self._senders:wake(true)
  if has_sender then return value end
  if self._closed then return is_closed() end
  local got, message, code = self._receivers:wait(nil, seconds)
  if got == false then return is_closed() end
  if not got then return nil, message, code end
  return got[1]
end

--- Receives until it is closed: `for value in channel:each() do … end`.
function Channel:each()
  return function()
    return (self:receive())
  end
end

--- Takes no values any more. What is in it can be received; who waits to send or to receive is told "closed".
function Channel:close()
  self._closed = true
  for _, list in ipairs { self._senders, self._receivers } do
    while list:wake(false) do end
  end
end

--- How many values are in it.
function Channel:count()
  return self._last - self._first + 1
end

--- A channel that holds up to `capacity` values (0 unless told: who sends waits until it is received).
return function(capacity)
  capacity = capacity or 0
  if type(capacity) ~= "number" or capacity < 0 or capacity % 1 ~= 0 then
    error("a channel's capacity is a whole number, 0 or more", 2)
  end
  return setmetatable({ capacity = capacity, _values = {}, _first = 1, _last = 0, _closed = false,
    _senders = waiting.new(), _receivers = waiting.new() }, Channel)
end
