--- Turns of the loop that take too long: a line in the log, with the traceback of the code that they are in, and where
-- there is a limit an error in that. Nothing else runs meanwhile, neither other handlers nor acknowledgements. Only
-- while a server listens.
local core = require "neap.core"
local log = require "neap.log"

local turns = {
  --- Those that took too long,
  blocked = 0,
  --- and tasks that were ended for it.
  ended = 0,
}

local LEAST, MOST = 0.01, 3600 -- seconds
local LOOKS = 4                -- in the time that a task may take

local blocked_after, turn_limit = 0.1, 0
local is_begun, reaches_all = false, false
local complain = log.complainer()

local is_told = false    -- that this turn takes long
local seen, seen_since   -- the task that ran when it was looked at, and since when
local ending             -- the one that is being ended

--- A number that grows with each task that goes on in a turn.
function turns.position() return 0 end

-- What neap itself consists of is not ended in the middle of something.
local OWN = debug.getinfo(1, "S").source:match("^(@.*[/\\]neap[/\\])safety[/\\]turns%.lua$") or "=neap."
local EMBEDDED = "=neap." -- and what app.lua makes

local function is_own(source)
  return source:sub(1, #OWN) == OWN or source:sub(1, #EMBEDDED) == EMBEDDED
end

-- The error that ends the code that runs, or false where it must not be ended: there it goes on a while.
local function find_end()
  local co, is_main = coroutine.running()
  if not co or is_main then return false end
  local info = debug.getinfo(3, "Sl")
  if info.what == "C" or is_own(info.source) then return false end
  if ending ~= seen then
    ending = seen
    turns.ended = turns.ended + 1
  end
  return ("%s:%d: this computes for longer than the %g s that a turn may take"):format(info.short_src,
    info.currentline, turn_limit)
end

-- Called inside of the code that blocks: what core.watch_turns says.
local function look(seconds)
  local again
  if blocked_after > 0 and not is_told then
    if seconds >= blocked_after then
      is_told = true
      turns.blocked = turns.blocked + 1
      local trace = debug.traceback("", 2):gsub("^\n", "")
      complain("blocked", ("the loop is blocked for %.2f s by\n%s"):format(seconds, trace))
    else
      again = blocked_after - seconds
    end
  end
  if turn_limit == 0 then return again end
  local at = turns.position()
  if at ~= seen then
    seen, seen_since = at, seconds
  elseif seconds - seen_since >= turn_limit then
    return (find_end()) -- no tail call: it counts frames
  end
  return math.min(again or math.huge, turn_limit / LOOKS)
end

--- Behind a turn that took so many seconds.
function turns.tell_end(seconds)
  if blocked_after > 0 and seconds >= blocked_after and not is_told then
    turns.blocked = turns.blocked + 1
    complain("blocked", ("the loop was blocked for %.2f s by code that could not be asked where it is: compiled, or C")
      :format(seconds))
  end
  is_told, seen, ending = false, nil, nil
end

-- Whether a hook ends what LuaJIT has compiled.
local function ends_compiled()
  local is_ended = false
  core.watch_turns(LEAST / 5, function()
    if is_ended then return nil end
    is_ended = true
    return "ended"
  end)
  core.work()
  local went_on = pcall(loadstring("for i = 1, 1e9 do end", "=test"))
  core.rest()
  core.watch_turns(0)
  return not went_on
end

-- Has hooks reach all code.
local function reach_all()
  if reaches_all then return end
  reaches_all = true
  if core.wrap then
    coroutine.resume, coroutine.wrap = core.resume, core.wrap -- luacheck: ignore 122
  elseif jit.status() then
    core.watch_compiled(true)
    if not ends_compiled() then
      jit.off()
      jit.flush()
      log.warn("nothing ends what this LuaJIT has compiled: it compiles nothing, as there is a limit for turns")
    end
  end
end

local function apply()
  local first = math.min(blocked_after > 0 and blocked_after or math.huge, turn_limit > 0 and turn_limit / LOOKS
    or math.huge)
  local ok, message = core.watch_turns(first < math.huge and first or 0, look)
  if not ok then log.warn(message) end
end

--- From now on turns are watched.
function turns.begin()
  if is_begun then return end
  is_begun = true
  apply()
end

--- The loop does not go on for now: what runs is not its.
function turns.rest()
  local took = core.rest()
  if took then turns.tell_end(took) end
end

local function check(what, seconds)
  if type(seconds) ~= "number" or not (seconds == 0 or seconds >= LEAST and seconds <= MOST) then
    error(what .. " takes seconds, 0.01 to 3600, or 0", 3)
  end
  return seconds
end

--- neap.blocked_after(seconds): how long a turn may take before the log says who blocks the loop, 0.01 to 3600, 0.1
-- unless told; 0: that is never said, nor counted.
function turns.blocked_after(seconds)
  blocked_after = check("neap.blocked_after", seconds)
  if is_begun then apply() end
end

--- neap.turn_limit(seconds): how long a task may compute before it is ended by an error, 0.01 to 3600; 0, as it is
-- unless told: as long as it likes.
function turns.turn_limit(seconds)
  turn_limit = check("neap.turn_limit", seconds)
  if turn_limit > 0 then reach_all() end
  if is_begun then apply() end
end

return turns
