--- Who blocks the loop: a line in the log where a turn takes too long, with the traceback of the code that it is in.
-- Nothing else runs meanwhile, neither other handlers nor acknowledgements. Only while a server listens.
local core = require "neap.core"
local log = require "neap.log"

local turns = {
  --- Those that took too long.
  blocked = 0,
}

local LEAST, MOST = 0.01, 3600 -- seconds

local blocked_after = 0.1
local is_begun = false
local complain = log.complainer()

-- Called inside of the code that blocks.
local function look(seconds)
  turns.blocked = turns.blocked + 1
  local trace = debug.traceback("", 2):gsub("^\n", "")
  complain("blocked", ("the loop is blocked for %.2f s by\n%s"):format(seconds, trace))
end

--- Behind a turn that took so many seconds, and could not be looked at.
function turns.tell_late(seconds)
  turns.blocked = turns.blocked + 1
  complain("blocked", ("the loop was blocked for %.2f s by code that could not be asked where it is: compiled, or C")
    :format(seconds))
end

local function apply()
  local ok, message = core.watch_turns(blocked_after, look)
  if not ok then log.debug(message) end
end

--- From now on turns are watched.
function turns.begin()
  if is_begun then return end
  is_begun = true
  apply()
end

--- The loop does not go on for now: what runs is not its.
function turns.rest()
  local late = core.rest()
  if late then turns.tell_late(late) end
end

--- neap.blocked_after(seconds): how long a turn may take before the log says who blocks the loop, 0.01 to 3600, 0.1
-- unless told; 0: that is never said, nor counted.
function turns.blocked_after(seconds)
  if type(seconds) ~= "number" or not (seconds == 0 or seconds >= LEAST and seconds <= MOST) then
    error("neap.blocked_after takes seconds, 0.01 to 3600, or 0", 2)
  end
  blocked_after = seconds
  if is_begun then apply() end
end

return turns
