--- How much garbage Lua's heap may hold. Lua begins to collect when its heap has doubled: under load that of a
-- small program does so a hundred times a second, and each time all that lives is looked at. Here it may grow as
-- far as suits the machine.
local core = require "neap.core"

local garbage = {}

local PRESET = 200         -- percent of what lives at which the next collection begins, unless told
local MOST = 4 * 1024 ^ 2  -- bytes of growth
local SHARE = 16           -- or this part of a server's memory_limit
local GREATEST = 1000      -- percent
local LOOK_EACH = 64       -- tasks after which descriptors are looked at

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
-- a heap that is larger than that may double, as ever. A pause that somebody else sets after this stays, and so does
-- one that was set before, unless it is the preset. PUC Lua goes on as it does:
-- there a finalizer cannot set a pause.
function garbage.allow(memory_limit)
  if not template then return end
  local had_none = allowed == 0
  local growth = memory_limit > 0 and math.min(MOST, memory_limit / SHARE) or MOST
  allowed = math.max(allowed, growth)
  if had_none and adapt() then newproxy(template) end
end

-- Files that nobody closed end with a collection, which counts bytes and not descriptors. The lowest number that is
-- free is given first: where that in the middle of all is taken, half of them were.
local ran = 0
local half, due -- the number in the middle; that which has a collection made when it is taken
local function look_at_descriptors()
  if not half then
    half = math.floor(core.most_open() / 2)
    due = half
  end
  if due > half and not core.is_open(half) then due = half end
  if not core.is_open(due) then return end
  collectgarbage()
  -- What is open for good costs no collection each time.
  if core.is_open(due) then due = due + math.ceil((2 * half - due) / 2) end
end

--- Called when `count` tasks have run: collects when half of the descriptors that the process may have are taken, and
-- when half of the rest is, if that gave none back.
function garbage.look(count)
  ran = ran + count
  if ran < LOOK_EACH then return end
  ran = 0
  look_at_descriptors()
end

return garbage
