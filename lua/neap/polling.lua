--- How long the loop of a program polls before it sleeps: there is one loop, and several may want it to.
local task = require "neap.task"

local polling = {}

--- What `who` wants from now on, in seconds; nil: nothing any more. The loop polls as long as the one that wants it
-- longest.
function polling.want(who, seconds)
  local place = task.place()
  local wishes = place.polling or setmetatable({}, { __mode = "k" })
  place.polling = wishes
  local longest = 0
  wishes[who] = seconds
  for _, each in pairs(wishes) do longest = math.max(longest, each) end
  task.loop():busy_poll(longest)
end

return polling
