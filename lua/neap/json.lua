--- JSON (RFC 8259), both ways. Arrays are tables with 1..n, objects all others; json.null stands
-- for null, json.array(t) marks an empty or sparse-looking table as an array.
local json = {}

json.null = setmetatable({}, { __tostring = function() return "null" end })
local array_mt = { __json_array = true }

local MAX_DEPTH = 100

--- Marks a table as an array, so that an empty one is written as [].
function json.array(t)
  return setmetatable(t or {}, array_mt)
end

local escapes = {
  ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f",
  ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t",
}
local function escape(c)
  return escapes[c] or ("\\u%04x"):format(c:byte())
end

local function quote(s)
  return '"' .. s:gsub('[%c"\\\127]', escape) .. '"'
end

local function is_array(t)
  if getmetatable(t) == array_mt then return true end
  local n = 0
  for key in pairs(t) do
    if type(key) ~= "number" or key < 1 or key % 1 ~= 0 then return false end
    n = n + 1
  end
  return n > 0 and n == #t
end

local DIGITS = {}
for digits = 1, 17 do DIGITS[digits] = ("%%.%dg"):format(digits) end

-- The shortest text of a number that reads back as the same one.
local function number_text(value)
  if value % 1 == 0 and math.abs(value) < 2 ^ 53 then return ("%.0f"):format(value) end
  if math.type and math.type(value) == "integer" then return ("%d"):format(value) end
  -- Where numbers have their full precision, fewer than 15 digits come out of these as well.
  for digits = math.abs(value) < 2 ^ -1022 and 1 or 15, 16 do
    local text = DIGITS[digits]:format(value)
    if tonumber(text) == value then return text end
  end
  return DIGITS[17]:format(value)
end

local write

local function write_table(value, out, depth)
  if depth > MAX_DEPTH then error("a table nested too deep, or in itself, is no JSON", 0) end
  if is_array(value) then
    out[#out + 1] = "["
    for i = 1, #value do
      if i > 1 then out[#out + 1] = "," end
      write(value[i], out, depth)
    end
    out[#out + 1] = "]"
    return
  end
  local keys = {}
  for key in pairs(value) do
    if type(key) ~= "string" and type(key) ~= "number" then
      error("a " .. type(key) .. " cannot be a name in JSON", 0)
    end
    keys[#keys + 1] = key
  end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  out[#out + 1] = "{"
  for i, key in ipairs(keys) do
    if i > 1 then out[#out + 1] = "," end
    out[#out + 1] = quote(tostring(key)) .. ":"
    write(value[key], out, depth)
  end
  out[#out + 1] = "}"
end

function write(value, out, depth)
  local kind = type(value)
  if value == nil or value == json.null then
    out[#out + 1] = "null"
  elseif kind == "string" then
    out[#out + 1] = quote(value)
  elseif kind == "number" then
    if value ~= value or value == math.huge or value == -math.huge then
      error("NaN and infinity are no JSON", 0)
    end
    out[#out + 1] = number_text(value)
  elseif kind == "boolean" then
    out[#out + 1] = tostring(value)
  elseif kind == "table" then
    write_table(value, out, depth + 1)
  else
    error("a " .. kind .. " is no JSON", 0)
  end
end

--- Writes a value; nil and a reason when it has no JSON form. Names come sorted, so equal values
-- give equal text.
function json.encode(value)
  local out = {}
  local ok, err = pcall(write, value, out, 0)
  if not ok then return nil, err, "json" end
  return table.concat(out)
end

local function fail(text, at, what)
  local line = select(2, text:sub(1, at):gsub("\n", "\n")) + 1
  error({ message = ("%s at byte %d (line %d)"):format(what, at, line) }, 0)
end

local function skip(text, at)
  return text:find("[^ \t\r\n]", at) or #text + 1
end

local function utf8_char(code)
  if code < 0x80 then return string.char(code) end
  local tail = ""
  local first, size = 0xF0, 3
  if code < 0x800 then first, size = 0xC0, 1 elseif code < 0x10000 then first, size = 0xE0, 2 end
  for _ = 1, size do
    tail = string.char(0x80 + code % 64) .. tail
    code = math.floor(code / 64)
  end
  return string.char(first + code) .. tail
end

local unescapes = {
  b = "\b", f = "\f", n = "\n", r = "\r", t = "\t", ['"'] = '"', ["\\"] = "\\", ["/"] = "/",
}

local function read_unicode(text, at)
  local hex = text:match("^%x%x%x%x", at)
  if not hex then fail(text, at, "bad \\u escape") end
  local code = tonumber(hex, 16)
  if code >= 0xD800 and code < 0xDC00 then
    local low = text:match("^\\u([dD][c-fC-F]%x%x)", at + 4)
    if not low then fail(text, at, "half of a surrogate pair") end
    return utf8_char(0x10000 + (code - 0xD800) * 1024 + tonumber(low, 16) - 0xDC00), at + 10
  elseif code >= 0xDC00 and code < 0xE000 then
    fail(text, at, "half of a surrogate pair")
  end
  return utf8_char(code), at + 4
end

local function read_string(text, at)
  local parts = {}
  at = at + 1
  while true do
    local stop = text:find('[%c"\\]', at)
    if not stop then fail(text, #text, "string without an end") end
    parts[#parts + 1] = text:sub(at, stop - 1)
    local c = text:sub(stop, stop)
    if c == '"' then return table.concat(parts), stop + 1 end
    if c == "\127" then
      parts[#parts + 1] = c
      at = stop + 1
    elseif c ~= "\\" then
      fail(text, stop, "control character in a string")
    else
      local kind = text:sub(stop + 1, stop + 1)
      if kind == "u" then
        parts[#parts + 1], at = read_unicode(text, stop + 2)
      else
        parts[#parts + 1] = unescapes[kind] or fail(text, stop, "bad escape")
        at = stop + 2
      end
    end
  end
end

local function read_number(text, at)
  local int = text:match("^-?0", at) or text:match("^-?[1-9]%d*", at)
  if not int then fail(text, at, "unexpected character") end
  local stop = at + #int
  stop = stop + #(text:match("^%.%d+", stop) or "")
  stop = stop + #(text:match("^[eE][+-]?%d+", stop) or "")
  local value = tonumber(text:sub(at, stop - 1))
  if value == math.huge or value == -math.huge then fail(text, at, "number out of range") end
  return value, stop
end

local read

local function read_array(text, at, depth)
  local array = json.array()
  at = skip(text, at + 1)
  if text:sub(at, at) == "]" then return array, at + 1 end
  while true do
    local value
    value, at = read(text, at, depth)
    array[#array + 1] = value
    at = skip(text, at)
    local c = text:sub(at, at)
    if c == "]" then return array, at + 1 end
    if c ~= "," then fail(text, at, "expected , or ]") end
    at = skip(text, at + 1)
  end
end

local function read_object(text, at, depth)
  local object = {}
  at = skip(text, at + 1)
  if text:sub(at, at) == "}" then return object, at + 1 end
  while true do
    if text:sub(at, at) ~= '"' then fail(text, at, "expected a name") end
    local name
    name, at = read_string(text, at)
    at = skip(text, at)
    if text:sub(at, at) ~= ":" then fail(text, at, "expected :") end
    object[name], at = read(text, skip(text, at + 1), depth)
    at = skip(text, at)
    local c = text:sub(at, at)
    if c == "}" then return object, at + 1 end
    if c ~= "," then fail(text, at, "expected , or }") end
    at = skip(text, at + 1)
  end
end

local words = { t = { "true", true }, f = { "false", false }, n = { "null", json.null } }

function read(text, at, depth)
  if depth > MAX_DEPTH then fail(text, at, "nested too deep") end
  local c = text:sub(at, at)
  if c == "{" then return read_object(text, at, depth + 1) end
  if c == "[" then return read_array(text, at, depth + 1) end
  if c == '"' then return read_string(text, at) end
  local word = words[c]
  if word and text:sub(at, at + #word[1] - 1) == word[1] then return word[2], at + #word[1] end
  return read_number(text, at)
end

--- Reads a JSON text; nil, a reason with the place, "json" for what is none. null becomes
-- json.null.
function json.decode(text)
  if type(text) ~= "string" then error("json.decode takes a string", 2) end
  local ok, value, at = pcall(read, text, skip(text, 1), 0)
  if ok then
    at = skip(text, at)
    if at <= #text then
      ok, value = false, { message = ("more text behind the value at byte %d"):format(at) }
    end
  end
  if ok then return value end
  return nil, type(value) == "table" and value.message or tostring(value), "json"
end

return json
