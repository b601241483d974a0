--- Fields of a message: ordered, several values a name, names in any case. Indexing reads and writes:
-- `headers["content-type"]`; pairs() gives each name once with its first value, in no order, each() every
-- line in order. A field with the name of a method below is reached by get and each only.
local core = require "neap.core"

local lower = string.lower

local Headers = {}
local methods = {}

-- The lines of a set are a flat list {name, value, name, value, …} in its metatable, which each set has
-- for itself. The first value of each name is also a plain field of the set: that is what pairs() sees in
-- every Lua, for LuaJIT as distributions build it knows no __pairs.

local flat = {}
Headers.flat = flat

--- The first value of a name in a flat list, or nil; the name in lower case.
function flat.get(list, name)
  for i = 1, #list, 2 do
    if list[i] == name then return list[i + 1] end
  end
  return nil
end

-- What a value is sent as. What has no text, as with a __tostring that gives none, is an error here, where its handler
-- hears of it.
local function text_of(name, value)
  local text = tostring(value)
  if type(text) ~= "string" then error(("the value of %q has no text"):format(name), 0) end
  return text
end

--- Adds a value, or every one of a list of values, to a flat list.
function flat.append(list, name, value)
  if type(value) == "table" then
    for _, one in ipairs(value) do flat.append(list, name, one) end
    return
  end
  local n = #list
  list[n + 1], list[n + 2] = name, text_of(name, value)
end

--- nil of nil.
function flat.copy(list)
  if not list then return nil end
  local new = {}
  for i = 1, #list do new[i] = list[i] end
  return new
end

--- Adds those of `others` whose names are not there, to a flat list or to a set.
function flat.fill(fields, others)
  local is_set = getmetatable(fields) ~= nil
  for i = 1, #others, 2 do
    local name = others[i]
    if is_set then
      if fields:get(name) == nil then fields:append(name, others[i + 1]) end
    elseif flat.get(fields, name) == nil then
      local n = #fields
      fields[n + 1], fields[n + 2] = name, others[i + 1]
    end
  end
end

--- Takes a name out of a flat list.
function flat.del(list, name)
  local at, n = 1, #list
  for i = 1, n, 2 do
    if list[i] ~= name then
      if at ~= i then list[at], list[at + 1] = list[i], list[i + 1] end
      at = at + 2
    end
  end
  for i = n, at, -1 do list[i] = nil end
end

--- Replaces all values of a name in a flat list; nil takes it out.
function flat.set(list, name, value)
  flat.del(list, name)
  if value ~= nil then flat.append(list, name, value) end
end

-- The field of a name follows its lines.
local function mirror(self, list, name)
  if not methods[name] then rawset(self, name, flat.get(list, name)) end
end

-- The lines of a set. An assignment to a field that is there passes the metatable by: what it changed
-- is put into the list here.
local function lines(self)
  local meta = getmetatable(self)
  local list = meta.list
  if not list then
    list = core.field_list(meta.block)
    meta.list = list
  end
  local i, first = 1, {}
  while list[i] do
    local name = list[i]
    if not methods[name] then
      if first[name] == nil then first[name] = list[i + 1] end
      local value = rawget(self, name)
      if value ~= first[name] then
        flat.set(list, name, value)
        mirror(self, list, name)
        i, first = -1, {}
      end
    end
    i = i + 2
  end
  return list
end

local function index(self, key)
  if type(key) ~= "string" then return nil end
  return methods[key] or methods.get(self, key)
end

local function newindex(self, key, value)
  if type(key) ~= "string" then error("a field name must be a string", 2) end
  methods.set(self, key, value)
end

local function as_text(self)
  local text = {}
  for name, value in methods.each(self) do text[#text + 1] = name .. ": " .. value end
  return table.concat(text, "\n")
end

--- The set of a block of fields, as h3:events gives it (false: of none). Its list is made when it is asked for.
function Headers.of_block(block)
  if not block then return Headers.wrap({}) end
  return setmetatable(core.field_set(block, methods),
    { __index = index, __newindex = newindex, __tostring = as_text, block = block })
end

--- Takes over a flat list as the binding gives it, without a copy.
function Headers.wrap(list)
  local self = {}
  for i = #list - 1, 1, -2 do
    local name = list[i]
    if not methods[name] then self[name] = list[i + 1] end
  end
  return setmetatable(self, { __index = index, __newindex = newindex, __tostring = as_text, list = list })
end

local function is_set(value)
  local meta = getmetatable(value)
  return type(meta) == "table" and meta.__index == index
end

--- The lines as a flat list {name, value, name, value, …}, for reading only.
function Headers.list(headers)
  return lines(headers)
end

--- A new set from a flat list {name, value, name, value, …}, a table of name = value (or
-- name = {value, …}), another set, or nothing.
function Headers.new(from)
  local list = {}
  if from == nil then return Headers.wrap(list) end
  if is_set(from) then from = lines(from) end
  if from[1] ~= nil then
    for i = 1, #from, 2 do list[i], list[i + 1] = lower(from[i]), text_of(from[i], from[i + 1]) end
  else
    for name, value in pairs(from) do flat.append(list, lower(name), value) end
  end
  return Headers.wrap(list)
end

local CONNECTION_SPECIFIC = { connection = true, ["keep-alive"] = true, ["proxy-connection"] = true, te = true,
  ["transfer-encoding"] = true, upgrade = true }

--- What is wrong with a flat list of fields, as far as it shows; never what a value holds. nil: nothing shows.
function Headers.fault(list)
  for i = 1, #list, 2 do
    local name, value = list[i], tostring(list[i + 1])
    local shown = ("%q"):format(name:sub(1, 60))
    if not name:match("^[%w!#$%%&'*+.^_`|~-]+$") then return "a field cannot be named " .. shown end
    if CONNECTION_SPECIFIC[name] and not (name == "te" and value == "trailers") then
      return "field " .. shown .. " has no place in HTTP/3"
    end
    if value:find("[%z\1-\8\10-\31\127]") then
      return "field " .. shown .. " has a line break or another control character in its value"
    end
    if value:find("^[ \t]") or value:find("[ \t]$") then
      return "field " .. shown .. " begins or ends with a space"
    end
  end
end

--- What is wrong with a flat list of fields that the core refused.
function Headers.problem(list)
  return Headers.fault(list) or "the fields are not allowed, or too many or too long"
end

--- The first value of a field, or nil.
function methods:get(name)
  name = lower(name)
  local value = rawget(self, name)
  if type(value) == "string" or value == nil and not methods[name] then return value end
  return flat.get(lines(self), name) -- what was assigned is no text yet
end

--- All values of a field, in order.
function methods:get_all(name)
  name = lower(name)
  local list, values = lines(self), {}
  for i = 1, #list, 2 do
    if list[i] == name then values[#values + 1] = list[i + 1] end
  end
  return values
end

-- Does what a function of flat does.
local function change(self, how, name, value)
  name = lower(name)
  local list = lines(self)
  how(list, name, value)
  mirror(self, list, name)
  return self
end

--- Adds a value, or every one of a list, behind those that are there.
function methods:append(name, value)
  return change(self, flat.append, name, value)
end

--- Replaces all values of a field by one or by those of a list; nil takes it out.
function methods:set(name, value)
  return change(self, flat.set, name, value)
end

--- Takes a field out.
function methods:del(name)
  return change(self, flat.del, name)
end

--- Iterates over name, value in order.
function methods:each()
  local list, i = lines(self), -1
  return function()
    i = i + 2
    if list[i] ~= nil then return list[i], list[i + 1] end
  end
end

--- How many field lines there are.
function methods:count()
  return #lines(self) / 2
end

return Headers
