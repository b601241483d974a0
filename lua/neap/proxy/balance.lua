--- Which upstream takes a request.
local core = require "neap.core"

local balance = {}

-- Each in its turn, the heavier more often, and evenly: the one that is furthest behind its share is next.
function balance.round_robin(list)
  local total, best = 0, nil
  for _, upstream in ipairs(list) do
    upstream._current = upstream._current + upstream.weight
    total = total + upstream.weight
    if not best or upstream._current > best._current then best = upstream end
  end
  best._current = best._current - total
  return best
end

--- The one with the fewest requests for its weight; of several the next in turn.
function balance.least_conn(list)
  local least, best = math.huge, {}
  for _, upstream in ipairs(list) do
    local load = upstream.active / upstream.weight
    if load < least then least, best = load, {} end
    if load == least then best[#best + 1] = upstream end
  end
  return balance.round_robin(best)
end

-- A number from 0 to 1, neither of them, that key and name alone say.
local function draw(name, key)
  local a, b, c, d, e, f = core.hmac(name, key):byte(1, 6)
  return (((((a * 256 + b) * 256 + c) * 256 + d) * 256 + e) * 256 + f + 0.5) / 2 ^ 48
end

--- The same for the same key: each upstream draws by it, and the highest wins, so that keys move only from one that has
-- gone or to one that has come.
function balance.hash(list, key)
  local highest, best = -math.huge, nil
  for _, upstream in ipairs(list) do
    local score = upstream.weight / -math.log(draw(upstream.name, key))
    if score > highest then highest, best = score, upstream end
  end
  return best
end

return balance
