--- What sessions are kept in where nobody gives another store: this process's memory, bounded.
local core = require "neap.core"

local Store = {}
Store.__index = Store

--- The text of an id; nil when there is none, or its time is over.
function Store:get(id)
  local entry = self.young[id] or self.old[id]
  if not entry or entry.ends <= core.now() then return nil end
  return entry.text
end

--- Keeps a text for so many seconds: true. Where there would be more than it may keep, those that were not written
-- longest are forgotten.
function Store:set(id, text, seconds)
  if not self.young[id] then
    if self.count >= self.most then self.young, self.old, self.count = {}, self.young, 0 end
    self.count = self.count + 1
  end
  self.old[id] = nil
  self.young[id] = { text = text, ends = core.now() + seconds }
  return true
end

function Store:delete(id)
  if self.young[id] then self.count = self.count - 1 end
  self.young[id], self.old[id] = nil, nil
  return true
end

--- A store of up to twice `most` texts.
return function(most)
  return setmetatable({ most = most, young = {}, old = {}, count = 0 }, Store)
end
