--- What waits for its time: a binary heap of tables, ordered by `at` and then by age.
local Heap = {}
Heap.__index = Heap

function Heap.new()
  return setmetatable({ count = 0, pushed = 0 }, Heap)
end

local function before(a, b)
  return a.at < b.at or (a.at == b.at and a.order < b.order)
end

--- Adds a table that has `at`; its `order` is set here.
function Heap:push(item)
  local i = self.count + 1
  self.pushed = self.pushed + 1
  item.order = self.pushed
  self.count = i
  while i > 1 do
    local parent = math.floor(i / 2)
    if not before(item, self[parent]) then break end
    self[i] = self[parent]
    i = parent
  end
  self[i] = item
  return item
end

--- Takes the first, which is `heap[1]`; nil when it is empty.
function Heap:pop()
  local count = self.count
  local top, last = self[1], self[count]
  if count == 0 then return nil end
  self[count] = nil
  count = count - 1
  self.count = count
  if count == 0 then return top end
  local i = 1
  while true do
    local child = i * 2
    if child > count then break end
    if child < count and before(self[child + 1], self[child]) then child = child + 1 end
    if not before(self[child], last) then break end
    self[i] = self[child]
    i = child
  end
  self[i] = last
  return top
end

return Heap
