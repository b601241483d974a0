--- Configs of outgoing raw connections: what equal options name is read once, and connections with equal options share
-- TLS sessions. A function is equal to itself alone, so that one made for each connection brings a config with each:
-- those that no connection uses go when there are many, and their sessions with them.
local asking = require "neap.asking"
local configs = require "neap.configs"
local task = require "neap.task"

local shared_configs = {}

local MOST = 32 -- configs that are kept, beside those that connections use

-- Those of a program, or of a host of a simulation: { kept = by what they were made of: { config =, given =, answer =,
-- turn = }, count =, turn = }.
local function here()
  local place = task.place()
  place.shared_configs = place.shared_configs or { kept = {}, count = 0, turn = 0 }
  return place.shared_configs
end

-- A text that is equal for equal values.
local function spelled(value)
  if type(value) ~= "table" then return ("%s %d:%s"):format(type(value), #tostring(value), tostring(value)) end
  local parts = {}
  for name, one in pairs(value) do parts[#parts + 1] = spelled(name) .. "=" .. spelled(one) end
  table.sort(parts)
  return "{" .. table.concat(parts, ",") .. "}"
end

-- Those that are used least recently go first; what is in use stays, and is looked at again with the next one.
local function drop_unused(self, connections)
  local kept, turn = self.kept, self.turn
  if self.count <= MOST then return end
  local used, unused = {}, {}
  for _, connection in pairs(connections) do used[connection._shared] = true end
  for key, entry in pairs(kept) do
    if not used[entry] and entry.turn < turn then unused[#unused + 1] = { key = key, entry = entry } end
  end
  table.sort(unused, function(a, b) return a.entry.turn < b.entry.turn end)
  for i = 1, math.min(#unused, self.count - MOST) do
    kept[unused[i].key] = nil
    unused[i].entry.config:_release()
    self.count = self.count - 1
  end
end

--- What is made of the options `given`: { config =, answer = }, `answer` as asking.answerer gives it. `connections` has
-- those that are open as values, each with its own as `_shared`; without one it is good until the caller waits. nil,
-- message, code when the options cannot be used.
function shared_configs.take(given, connections)
  local self, key = here(), spelled(given)
  local entry = self.kept[key]
  self.turn = self.turn + 1
  if not entry then
    local config, message, code = configs.new(given, "client", 3)
    if not config then return nil, message, code end
    entry = { config = config, given = given, answer = asking.answerer(given) }
    self.kept[key] = entry
    self.count = self.count + 1
  end
  entry.turn = self.turn
  drop_unused(self, connections)
  return entry
end

--- Reads what they name again, each wholly or not at all: true; nil, message, code of one for which something cannot be
-- used, and the others are read all the same.
function shared_configs.reload()
  local failure
  for _, entry in pairs(here().kept) do
    local ok, message, code = configs.reload(entry.config, entry.given, "client")
    if not ok then failure = { message, code } end
  end
  if failure then return nil, failure[1], failure[2] end
  return true
end

--- How many are kept.
function shared_configs.count()
  return here().count
end

return shared_configs
