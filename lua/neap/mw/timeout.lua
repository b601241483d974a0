--- A bound on how long a handler may take: what it waits for ends with "timeout"; where it waits again its client gets
-- a 503, as from an error with that status, or a response that has begun is broken off. One that computes without a
-- wait is not ended.
local core = require "neap.core"
local options = require "neap.options"
local scope = require "neap.scope"
local task = require "neap.task"

local OWN = {
  seconds = options.timeout(30),
  status = options.whole(400, 599, 503),
}

return function(given)
  given = options.fill(given, OWN, "timeout", 2)
  local seconds, status = given.seconds, given.status
  return function(_, _, next)
    local outer = task.scope()
    local inside = scope.new(outer, core.now() + seconds)
    inside.over.status = status
    task.enter(inside)
    -- An error inside has become the response. Should one be raised all the same, the time must not be that of what
    -- this coroutine does next.
    local ok, err = pcall(next)
    task.enter(outer)
    if not ok then error(err, 0) end
  end
end
