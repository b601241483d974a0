--- How urgent something is, as RFC 9218 has it: { urgency = 0 to 7 (3), incremental = boolean (false) }.
local priority = {}

--- Urgency and whether it is incremental; an error, at the caller's caller, where it is none of `name`'s.
function priority.check(given, name)
  if type(given) ~= "table" then error(name .. " takes a table", 3) end
  for key in pairs(given) do
    if key ~= "urgency" and key ~= "incremental" then error(("%s has no '%s'"):format(name, tostring(key)), 3) end
  end
  local urgency = given.urgency or 3
  if type(urgency) ~= "number" or urgency < 0 or urgency > 7 or urgency % 1 ~= 0 then
    error("urgency is a whole number from 0 to 7", 3)
  end
  if given.incremental ~= nil and type(given.incremental) ~= "boolean" then error("incremental is a boolean", 3) end
  return urgency, given.incremental == true
end

--- The value of the field `priority`.
function priority.field(urgency, incremental)
  return ("u=%d%s"):format(urgency, incremental and ", i" or "")
end

return priority
