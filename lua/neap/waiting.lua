--- Tasks that wait for the same, in the order in which they came. Those whose wait has ended by itself are passed over.
local task = require "neap.task"

local Waiting = {}
Waiting.__index = Waiting

local waiting = {}

local MOST_DEAD = 64 -- entries that are looked through at a time for those that wait no more

function waiting.new()
  return setmetatable({ _first = 1, _last = 0, _looked = 0 }, Waiting)
end

-- Takes out those that wait no more, when as many came as there were: a moment's work for each.
local function sweep(self)
  local count = self._last - self._first + 1
  if count < MOST_DEAD or count < 2 * self._looked then return end
  local left = 0
  for i = self._first, self._last do
    local entry = self[i]
    self[i] = nil
    if not entry.waiter.woken then
      left = left + 1
      self[left] = entry
    end
  end
  self._first, self._last, self._looked = 1, left, left
end

--- Waits with a value: what the wake brings; nil, message, code as task.await.
function Waiting:wait(value, seconds)
  local waiter = task.waiter()
  sweep(self)
  self._last = self._last + 1
  self[self._last] = { waiter = waiter, value = value }
  return task.await(waiter, seconds)
end

--- How many wait, at most: some of them may have given up.
function Waiting:size()
  return self._last - self._first + 1
end

--- Wakes the first with `result`: true and its value; nothing when nobody waits.
function Waiting:wake(result)
  while self._first <= self._last do
    local entry = self[self._first]
    self[self._first] = nil
    self._first = self._first + 1
    if not entry.waiter.woken then
      task.wake(entry.waiter, result)
      return true, entry.value
    end
  end
  self._first, self._last, self._looked = 1, 0, 0
end

return waiting
