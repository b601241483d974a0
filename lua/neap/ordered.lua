--- Connections and other objects in an order of their own. Keys that are objects come out of pairs() in an order that
-- no two runs share: where that shows on the network, a simulation would not be the same twice.
local ordered = {}

local function name_of(conn)
  return conn:ids() or ""
end

--- The keys of a table, which are connections of the binding, in a list: in the order of their connection IDs.
function ordered.conns(set)
  local list, names = {}, {}
  for conn in pairs(set) do
    list[#list + 1] = conn
    names[conn] = name_of(conn)
  end
  table.sort(list, function(a, b) return names[a] < names[b] end)
  return list
end

local ages, count = setmetatable({}, { __mode = "k" }), 0

--- Puts an object into a set, as a key, and notes that it is younger than all that were put before.
function ordered.put(set, object)
  if not ages[object] then
    count = count + 1
    ages[object] = count
  end
  set[object] = true
end

--- The keys of a set of put(), in a list: the oldest first.
function ordered.objects(set)
  local list = {}
  for object in pairs(set) do list[#list + 1] = object end
  table.sort(list, function(a, b) return ages[a] < ages[b] end)
  return list
end

return ordered
