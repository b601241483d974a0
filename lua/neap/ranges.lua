--- Byte ranges of a representation (RFC 9110 §14).
local ranges = {}

local MOST = 16 -- that a request may ask for; more are not looked at, and it gets all
local GAP = 80  -- bytes between two that cost less to send than to leave out

-- One range: first, last; false when it cannot be satisfied, nil when it is none.
local function parse_one(text, size)
  local first, last = text:match("^[ \t]*(%d*)%-(%d*)[ \t]*$")
  if not first or first == "" and last == "" then return nil end
  if first == "" then
    local count = tonumber(last)
    if count == 0 or size == 0 then return false end
    return math.max(0, size - count), size - 1
  end
  first, last = tonumber(first), tonumber(last)
  if last and last < first then return nil end
  if first >= size then return false end
  return first, math.min(last or size - 1, size - 1)
end

-- Those that overlap, or nearly touch, as one; in the order in which they were asked for when there are none of these.
local function merge(list)
  local sorted = {}
  for i, range in ipairs(list) do sorted[i] = range end
  table.sort(sorted, function(a, b) return a.first < b.first end)
  local merged = {}
  for _, range in ipairs(sorted) do
    local before = merged[#merged]
    if before and range.first <= before.last + GAP then
      before.last = math.max(before.last, range.last)
    else
      merged[#merged + 1] = { first = range.first, last = range.last }
    end
  end
  return #merged == #list and list or merged
end

--- What a Range field asks of so many bytes: a list of { first =, last = }, none of which has bytes of another; false
-- when none can be satisfied (416); nil when it is to be taken for none.
function ranges.parse(value, size)
  local unit, set = value:match("^(%a+)=(.*)$")
  if not unit or unit:lower() ~= "bytes" then return nil end
  -- The end of an empty file is all of it, and no content-range says so.
  if size == 0 and set:find("^%-0*[1-9]%d*$") then return nil end
  local list, count = {}, 0
  for text in (set .. ","):gmatch("([^,]*),") do
    if text:find("[^ \t]") then
      count = count + 1
      local first, last = parse_one(text, size)
      if count > MOST or first == nil then return nil end
      if first then list[#list + 1] = { first = first, last = last } end
    end
  end
  if count == 0 then return nil end
  return list[1] and merge(list) or false
end

return ranges
