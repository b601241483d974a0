--- The known name that a misspelled one was meant to be.
local nearest = {}

local LONGEST = 64 -- no name of ours is longer, and the work grows with the square of it

-- How many letters are to be added, dropped, changed or swapped with their neighbour to make `b` of `a`.
local function distance(a, b)
  local before, above = nil, {}
  for k = 0, #b do above[k] = k end
  for i = 1, #a do
    local row = { [0] = i }
    for k = 1, #b do
      local changed = above[k - 1] + (a:byte(i) == b:byte(k) and 0 or 1)
      row[k] = math.min(changed, above[k] + 1, row[k - 1] + 1)
      if before and k > 1 and a:byte(i) == b:byte(k - 1) and a:byte(i - 1) == b:byte(k) then
        row[k] = math.min(row[k], before[k - 2] + 1)
      end
    end
    before, above = above, row
  end
  return above[#b]
end

--- The key of the table `known` that is nearest to `name`; nil when none is near: of three letters of `name` one may be
-- wrong, and of shorter names none. Of several that are as near it is the first in the alphabet.
function nearest.name(name, known)
  if type(name) ~= "string" or #name > LONGEST then return nil end
  local least, found = math.floor(#name:gsub("^%-+", "") / 3), nil
  for one in pairs(known) do
    if type(one) == "string" and one ~= name and math.abs(#one - #name) <= least then
      local far = distance(name, one)
      if far < least or far == least and (not found or one < found) then least, found = far, one end
    end
  end
  return found
end

--- The end of an error that refuses `name`: `: did you mean 'port'?`, or nothing. `quote` stands around the name.
function nearest.hint(name, known, quote)
  local found = nearest.name(name, known)
  return found and (": did you mean %s%s%s?"):format(quote or "", found, quote or "") or ""
end

return nearest
