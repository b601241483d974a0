--- What ends the waits of a task before their time: it is cancelled, or a deadline that it works under has passed. The
-- wait that it is in then, or else its next, gives nil, message, code; one behind that raises `over`, so that no loop
-- waits for ever, and whoever made the scope catches it. Knows no tasks: task.lua asks here when it waits.
local scope = {}

local Over = {}
Over.__index = Over

function Over:__tostring()
  return self.message
end

--- A scope within `outer` (or none). `deadline`: a time of neap.now, or nil.
function scope.new(outer, deadline)
  local self = { outer = outer, deadline = deadline }
  self.root = outer and outer.root or self
  self.over = setmetatable({ message = "timeout", code = "timeout" }, Over)
  return self
end

--- From now on it is over, whatever its deadline.
function scope.cancel(self, message)
  self.is_cancelled = true
  self.over.message, self.over.code = message or "cancelled", "cancelled"
end

--- The outermost one that is over at `now`, of a scope and those around it; nil when none is.
function scope.find_over(self, now)
  local found
  while self do
    if self.is_cancelled or self.deadline and self.deadline <= now then found = self end
    self = self.outer
  end
  return found
end

--- The nearest deadline of a scope and those around it; nil when there is none.
function scope.deadline_of(self)
  local nearest
  while self do
    if self.deadline and (not nearest or self.deadline < nearest) then nearest = self.deadline end
    self = self.outer
  end
  return nearest
end

return scope
