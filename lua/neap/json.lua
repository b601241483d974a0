--- JSON (RFC 8259), both ways. Arrays are tables with the keys 1..n and no others, objects all others, also those with
-- holes; json.null stands for null, json.array(t) marks a table as an array, be it empty or with holes. Reading and
-- writing are in C (lua/binding/json.c).
local core = require "neap.core"

local json = {}

json.null = setmetatable({}, { __tostring = function() return "null" end })
local array_mt = { __json_array = true }

local encode, decode = core.json(json.null, array_mt)

--- Marks a table as an array, so that an empty one is written as [], and null stands where one has a hole: 65536 of
-- them at most. Keys that are no place in it are not written.
function json.array(t)
  return setmetatable(t or {}, array_mt)
end

--- Writes a value; nil and a reason when it has no JSON form. Names come sorted, so equal values
-- give equal text. Tables are taken as they are, without their metamethods.
function json.encode(value)
  local ok, text = pcall(encode, value)
  if not ok then return nil, text, "json" end
  return text
end

--- Reads a JSON text; nil, a reason with the place, "json" for what is none. null becomes
-- json.null.
function json.decode(text)
  if type(text) ~= "string" then error("json.decode takes a string", 2) end
  return decode(text)
end

return json
