--- Semaphores: at most so many tasks at once do something. One of 1 is a mutex.
local waiting = require "neap.waiting"

local Semaphore = {}
Semaphore.__index = Semaphore

--- Takes a permit, waiting in turn until there is one: true; nil, "timeout", "timeout" after `seconds` (nil: no bound).
function Semaphore:acquire(seconds)
  if self._free > 0 then
    self._free = self._free - 1
    return true
  end
  local ok, message, code = self._waiting:wait(nil, seconds)
  if not ok then return nil, message, code end
  return true
end

--- Gives a permit back.
function Semaphore:release()
  if self._waiting:wake(true) then return end
  if self._free >= self.permits then error("a permit that nobody took is given back", 2) end
  self._free = self._free + 1
end

--- fn(…) with a permit, which is given back however it ends: its results; an error of its is raised again.
function Semaphore:with(fn, ...)
  local ok, message, code = self:acquire()
  if not ok then return nil, message, code end
  local function done(is_fine, ...)
    self:release()
    if not is_fine then error((...), 0) end
    return ...
  end
  return done(xpcall(fn, function(err) return type(err) == "string" and debug.traceback(err, 2) or err end, ...))
end

--- A semaphore of so many permits.
return function(permits)
  if type(permits) ~= "number" or permits < 1 or permits % 1 ~= 0 then
    error("a semaphore has a whole number of permits, 1 or more", 2)
  end
  return setmetatable({ permits = permits, _free = permits, _waiting = waiting.new() }, Semaphore)
end
