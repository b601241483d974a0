--- Fields of a message: ordered, several values a name, names in any case. Indexing reads:
-- `headers["content-type"]`. The methods below win over a field of the same name: use get for
-- those.
local lower = string.lower

local Headers = {}
local methods = {}

--- A new set from a flat list {name, value, name, value, …}, a table of name = value (or
-- name = {value, …}), or nothing.
function Headers.new(from)
  local self = setmetatable({}, Headers)
  if from == nil then return self end
  if getmetatable(from) == Headers then
    for i = 1, #from do rawset(self, i, from[i]) end
  elseif from[1] ~= nil then
    for i = 1, #from, 2 do
      rawset(self, i, lower(from[i]))
      rawset(self, i + 1, tostring(from[i + 1]))
    end
  else
    for name, value in pairs(from) do
      methods.append(self, name, value)
    end
  end
  return self
end

--- Takes over a flat list as the binding gives it, without a copy.
function Headers.wrap(list)
  return setmetatable(list, Headers)
end

local CONNECTION_SPECIFIC = { connection = true, ["keep-alive"] = true, ["proxy-connection"] = true, te = true,
  ["transfer-encoding"] = true, upgrade = true }

--- What is wrong with a flat list of fields that the core refused, as far as it shows; never what a
-- value holds.
function Headers.problem(list)
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
  return "the fields are not allowed, or too many or too long"
end

--- The first value of a field, or nil.
function methods:get(name)
  name = lower(name)
  for i = 1, #self, 2 do
    if self[i] == name then return self[i + 1] end
  end
  return nil
end

--- All values of a field, in order.
function methods:get_all(name)
  name = lower(name)
  local values = {}
  for i = 1, #self, 2 do
    if self[i] == name then values[#values + 1] = self[i + 1] end
  end
  return values
end

--- Adds a value, or every one of a list, behind those that are there.
function methods:append(name, value)
  if type(value) == "table" then
    for _, one in ipairs(value) do methods.append(self, name, one) end
    return self
  end
  local n = #self
  rawset(self, n + 1, lower(name))
  rawset(self, n + 2, tostring(value))
  return self
end

--- Replaces all values of a field by one or by those of a list; nil takes it out.
function methods:set(name, value)
  methods.del(self, name)
  if value ~= nil then methods.append(self, name, value) end
  return self
end

--- Takes a field out.
function methods:del(name)
  name = lower(name)
  local at = 1
  local n = #self
  for i = 1, n, 2 do
    if self[i] ~= name then
      if at ~= i then
        rawset(self, at, self[i])
        rawset(self, at + 1, self[i + 1])
      end
      at = at + 2
    end
  end
  for i = at, n do rawset(self, i, nil) end
  return self
end

--- Iterates over name, value in order.
function methods:each()
  local i = -1
  return function()
    i = i + 2
    if self[i] ~= nil then return self[i], self[i + 1] end
  end
end

--- How many field lines there are.
function methods:count()
  return #self / 2
end

function Headers:__index(key)
  if type(key) ~= "string" then return nil end
  return methods[key] or methods.get(self, key)
end

function Headers:__newindex(key, value)
  if type(key) ~= "string" then error("a field name must be a string", 2) end
  methods.set(self, key, value)
end

function Headers:__tostring()
  local lines = {}
  for name, value in methods.each(self) do lines[#lines + 1] = name .. ": " .. value end
  return table.concat(lines, "\n")
end

return Headers
