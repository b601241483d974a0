--- Randomness of a simulation: equal seeds give equal numbers, on every Lua.
local core = require "neap.core"

local random = {}

--- A function that draws from 0 to 1 (not 1 itself). L'Ecuyer's combined generator: exact in doubles, so LuaJIT and
-- Lua 5.4 draw the same numbers.
function random.generator(seed)
  local a = core.hash(seed, 1) % 2147483562 + 1
  local b = core.hash(seed, 2) % 2147483398 + 1
  return function()
    a = a * 40014 % 2147483563
    b = b * 40692 % 2147483399
    return (a - b) % 2147483562 / 2147483562
  end
end

return random
