--- Names that the system's resolver is asked for, in threads of the loop: who waits for which. Each world of tasks has
-- its own; `task` is lent, for it owns them.
local core = require "neap.core"

local Resolving = {}
Resolving.__index = Resolving

function Resolving.new()
  -- By the loop's id; and those for whose names it has no place yet.
  return setmetatable({ waiters = {}, unplaced = {} }, Resolving)
end

local function left(deadline)
  return deadline and math.max(0, deadline - core.now())
end

--- As task.resolve.
function Resolving:resolve(task, host, port, seconds)
  local deadline = seconds and core.now() + seconds
  local id, message, code = task.loop():resolve(host, port)
  while not id and code == "limit" do
    local waiter = task.waiter()
    table.insert(self.unplaced, waiter)
    if not task.await(waiter, left(deadline)) then return nil, host .. ": timeout", "timeout" end
    id, message, code = task.loop():resolve(host, port)
  end
  if not id then return nil, message, code end
  local waiter = task.waiter()
  self.waiters[id] = waiter
  local addresses, reason, timeout = task.await(waiter, left(deadline))
  if not addresses then return nil, host .. ": " .. tostring(reason), timeout or "resolve" end
  return addresses
end

--- Wakes those whose names are there, and as many who wait for a place.
function Resolving:deliver(task, loop)
  local id, addresses, reason = loop:resolved()
  while id do
    local waiter = self.waiters[id]
    self.waiters[id] = nil
    task.wake(waiter, addresses, reason)
    local next_one = table.remove(self.unplaced, 1)
    while next_one and next_one.woken do next_one = table.remove(self.unplaced, 1) end
    task.wake(next_one, true)
    id, addresses, reason = loop:resolved()
  end
end

return Resolving
