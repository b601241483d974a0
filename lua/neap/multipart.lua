--- multipart bodies (RFC 2046 §5.1, RFC 7578) as a stream: part after part, each as it comes, and of all never more in
-- memory than what came last and a delimiter. What is no multipart body, or has more than it may, is an error that
-- says how it is answered.
local Headers = require "neap.headers"
local body = require "neap.body"
local options = require "neap.options"

local multipart = {}

local LIMITS = {
  parts = options.whole(1, nil, 128),           -- of a body
  headers = options.whole(1, nil, 16),          -- lines that a part's may be
  header_bytes = options.whole(16, nil, 8192),  -- that they may have together
  bytes = options.number("bytes", 1, math.huge, math.huge),
  part_bytes = options.number("bytes", 1, math.huge, math.huge),
}
local BODY_LIMIT = 1024 * 1024 -- bytes that part:body takes unless told
local OUTSIDE = 65536          -- bytes before the first part and behind the last, which say nothing

local Fault = {}
Fault.__index = Fault

function Fault:__tostring()
  return self.message
end

-- Raises what is wrong with a body.
local function refuse(message, status, code)
  local fault = { message = "multipart: " .. message, status = status or 400, code = code or "invalid" }
  error(setmetatable(fault, Fault), 0)
end

--- Whether an error is one of these, of a body and not of a script.
function multipart.is_fault(err)
  return getmetatable(err) == Fault
end

-- ---- parameters of a field

-- The value of a parameter that begins at `at`, and where it ends: a token, or a quoted string. Only \" and \\ are
-- escapes there: some clients send backslashes of paths as they are.
local function parameter_value(text, at)
  if text:sub(at, at) ~= '"' then
    local value = text:match("^[^%s;\",]+", at)
    return value, at + #(value or "")
  end
  local parts, from = {}, at + 1
  while true do
    local stop = text:find('["\\]', from)
    if not stop then return nil end
    parts[#parts + 1] = text:sub(from, stop - 1)
    if text:sub(stop, stop) == '"' then return table.concat(parts), stop + 1 end
    local escaped = text:match('^["\\]', stop + 1)
    parts[#parts + 1] = escaped or "\\"
    from = stop + 1 + #(escaped or "")
  end
end

--- The first word of a field such as content-type, in lower case, and its parameters by names in lower case; nil when
-- it is written wrong or one is there twice.
function multipart.parameters(text)
  local word, at = text:match("^%s*([^%s;]+)%s*()")
  if not word then return nil end
  local found = {}
  while at <= #text do
    local name, value_at = text:match("^;%s*([%w!#$%%&'*+.^_`|~-]+)=()", at)
    if not name then
      if text:find("^;?%s*$", at) then break end
      return nil
    end
    name = name:lower()
    local value, stop = parameter_value(text, value_at)
    if not value or found[name] then return nil end
    found[name] = value
    at = text:match("^%s*()", stop)
  end
  return word:lower(), found
end

--- The boundary of a content-type; nil when it is that of no multipart body, or has none that may be.
function multipart.boundary(content_type)
  local kind, found = multipart.parameters(content_type)
  local boundary = kind and kind:sub(1, 10) == "multipart/" and found.boundary
  if not boundary or #boundary > 70 or not boundary:find("^[%w'()+_,./:=? -]*[%w'()+_,./:=?-]$") then return nil end
  return boundary
end

-- ---- the stream

-- What was read and not given: `text` from `at` on; no delimiter begins in it before `clean`.
local Reader = {}
Reader.__index = Reader

-- Reads on; raises when there is nothing more.
local function fill(self)
  local bytes = self.next_chunk()
  if not bytes then refuse("the body ends before its last delimiter") end
  self.bytes = self.bytes + #bytes
  if self.bytes > self.limits.bytes then
    refuse(("more than %.0f bytes"):format(self.limits.bytes), 413, "limit")
  end
  self.text = self.text:sub(self.at) .. bytes
  self.clean, self.at = self.clean - self.at + 1, 1
end

-- How many bytes are there that are before the next delimiter; 0 when it is next. Reads on until one of it is known.
local function count_before_delimiter(self)
  while true do
    if self.clean <= self.at then
      local found = self.text:find(self.delimiter, self.at, true)
      self.clean = found or math.max(self.at, #self.text - #self.delimiter + 2)
      if found == self.at then return 0 end
    end
    if self.clean > self.at then return self.clean - self.at end
    fill(self)
  end
end

-- A line without its end, which CRLF is; `left` bytes at most.
local function line(self, left)
  while true do
    local stop = self.text:find("\r\n", self.at, true)
    if (stop or #self.text) - self.at > left then refuse("a part's fields are too long", 413, "limit") end
    if stop then
      local text = self.text:sub(self.at, stop - 1)
      self.at, self.clean = stop + 2, 0
      return text
    end
    fill(self)
  end
end

-- Goes over the delimiter that is next: whether a part follows.
local function pass_delimiter(self)
  self.at = self.at + #self.delimiter
  local rest = line(self, OUTSIDE)
  if rest:find("^[ \t]*$") then return true end
  return refuse("a delimiter goes on with something else")
end

-- The same, where it may be the last one, behind which is nothing that counts.
local function pass_any_delimiter(self)
  while #self.text - self.at + 1 < #self.delimiter + 2 do fill(self) end
  local after = self.at + #self.delimiter
  if self.text:sub(after, after + 1) ~= "--" then return pass_delimiter(self) end
  local left = OUTSIDE - (#self.text - after)
  self.text, self.at, self.is_over = "", 1, true
  while left >= 0 do
    local bytes = self.next_chunk()
    if not bytes then return false end
    self.bytes = self.bytes + #bytes
    left = left - #bytes
  end
  return refuse("too much is behind the last part", 413, "limit")
end

-- ---- parts

local Part = {}
Part.__index = Part

-- A file's name without folders, of either kind of system; nil when nothing that names a file is left.
local function base_name(name)
  if not name or name:find("%c") then return nil end
  name = name:gsub("^.*[/\\]", "")
  if name == "" or name == "." or name == ".." then return nil end
  return name
end

local ENCODINGS = { ["7bit"] = true, ["8bit"] = true, binary = true }

local function read_fields(self)
  local list, left = {}, self.limits.header_bytes
  while true do
    local text = line(self, left)
    if text == "" then return Headers.wrap(list) end
    left = left - #text - 2
    if #list / 2 >= self.limits.headers then refuse("a part has too many fields", 413, "limit") end
    local name, value = text:match("^([%w!#$%%&'*+.^_`|~-]+):(.*)$")
    if not name or value:find("[%z\1-\8\10-\31\127]") then refuse("a part's field is written wrong") end
    local first, last = value:find("[^ \t]"), #value
    while last > 0 and value:find("^[ \t]", last) do last = last - 1 end
    list[#list + 1], list[#list + 2] = name:lower(), first and value:sub(first, last) or ""
  end
end

local function new_part(self)
  self.count = self.count + 1
  if self.count > self.limits.parts then refuse(("more than %d parts"):format(self.limits.parts), 413, "limit") end
  local headers = read_fields(self)
  -- The line break that ends the fields may begin the delimiter: then the part is empty.
  self.at, self.clean = self.at - 2, 0
  if count_before_delimiter(self) > 0 then self.at = self.at + 2 end
  local kind, found = multipart.parameters(headers:get("content-disposition") or "")
  if kind ~= "form-data" or not found.name then refuse("a part has no name") end
  if not ENCODINGS[(headers:get("content-transfer-encoding") or "binary"):lower()] then
    refuse("a part has a transfer encoding")
  end
  return setmetatable({ name = found.name, filename = base_name(found.filename), headers = headers, size = 0,
    content_type = headers:get("content-type"), _reader = self }, Part)
end

--- Bytes of the part as they come, `max` at most; nil at its end, and when the next part was asked for.
function Part:read(max)
  local reader = self._reader
  if not reader then return nil end
  local count = count_before_delimiter(reader)
  if count == 0 then
    self._reader, reader.part = nil, nil
    return nil
  end
  count = math.min(count, math.max(1, math.floor(max or count)))
  self.size = self.size + count
  if self.size > reader.limits.part_bytes then
    refuse(("a part has more than %.0f bytes"):format(reader.limits.part_bytes), 413, "limit")
  end
  local bytes = reader.text:sub(reader.at, reader.at + count - 1)
  reader.at = reader.at + count
  return bytes
end

--- Iterates over the part as it comes.
function Part:chunks()
  return function() return self:read() end
end

--- The rest of the part as a string; nil, message, "limit" when it has more than `limit` bytes (1 MiB unless told).
function Part:body(limit)
  limit = limit or BODY_LIMIT
  local parts, size = {}, 0
  for bytes in self:chunks() do
    size = size + #bytes
    if size > limit then return nil, ("part larger than %d bytes"):format(limit), "limit" end
    parts[#parts + 1] = bytes
  end
  return table.concat(parts)
end

--- Writes the rest of the part into a file, which is made, or emptied: its size; nil, message, "system" when the file
-- cannot be written. Which file is the handler's choice: `filename` is a client's word, though without folders.
function Part:save(path)
  return body.save(path, function(file)
    local bytes = self:read()
    if not bytes then return nil end
    local ok, message, code, number = file:write(bytes)
    if not ok then return nil, message, code, number end
    return #bytes
  end)
end

--- Iterates over the parts of a body: `next_chunk()` gives its bytes until nil. What was not read of a part is passed
-- over. Limits: `parts` (128), `headers` (16 lines of a part) and `header_bytes` (8192), `bytes` and `part_bytes`
-- (none).
function multipart.parts(next_chunk, boundary, given)
  options.check(given or {}, LIMITS, "multipart", 3)
  local limits = options.split(given, LIMITS, 3)
  -- The first delimiter may be without the line break before it.
  local self = setmetatable({ next_chunk = next_chunk, limits = limits, delimiter = "\r\n--" .. boundary,
    text = "\r\n", at = 1, clean = 0, bytes = 0, count = 0 }, Reader)
  return function()
    if self.is_over then return nil end
    if self.count == 0 then
      local passed, count = 0
      repeat
        count = count_before_delimiter(self)
        self.at, passed = self.at + count, passed + count
        if passed > OUTSIDE then refuse("too much is before the first part", 413, "limit") end
      until count == 0
    elseif self.part then
      repeat until not self.part:read()
    end
    if not pass_any_delimiter(self) then return nil end
    self.part = new_part(self)
    return self.part
  end
end

return multipart
