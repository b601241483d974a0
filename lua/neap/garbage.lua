--- How much garbage Lua's heap may hold. Lua begins to collect when its heap has doubled: under load that of a
-- small program does so a hundred times a second, and each time all that lives is looked at. Here it may grow as
-- far as suits the machine.
local garbage = {}

local PRESET = 200         -- percent of what lives at which the next collection begins, unless told
local MOST = 4 * 1024 ^ 2  -- bytes of growth
local SHARE = 16           -- or this part of a server's memory_limit
local GREATEST = 1000      -- percent

local allowed = 0
local current = PRESET

local function pause_for(live)
  local pause = math.floor(100 + 100 * allowed / math.max(live, 1))
  return math.min(math.max(PRESET, pause), GREATEST)
end

-- Sets the pause by what lives now; false when somebody else has set another: that stays.
local function adapt()
  local pause = pause_for(collectgarbage("count") * 1024)
  local before = collectgarbage("setpause", pause)
  if before ~= current then
    collectgarbage("setpause", before)
    return false
  end
  current = pause
  return true
end

-- An object that nobody holds: its end tells that a collection was made, and it leaves another one.
local template = newproxy and newproxy(true)
if template then
  getmetatable(template).__gc = function()
    if adapt() then newproxy(template) end
  end
end

--- From now on the heap may grow by 4 MiB, or by a 16th of `memory_limit` bytes (0: no bound), before it is collected;
-- a heap that is larger than that may double, as ever. A pause that somebody else has set stays. PUC Lua goes on as it
-- does: there a finalizer cannot set a pause.
function garbage.allow(memory_limit)
  if not template then return end
  local had_none = allowed == 0
  local growth = memory_limit > 0 and math.min(MOST, memory_limit / SHARE) or MOST
  allowed = math.max(allowed, growth)
  if had_none and adapt() then newproxy(template) end
end

return garbage
