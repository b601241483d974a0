--- A file as a response: type, entity tag, byte ranges, HEAD, what the client has already.
local core = require "neap.core"
local date = require "neap.date"
local mime = require "neap.mime"

local file = {}

-- Whether a list of entity tags (If-None-Match) names this one.
local function names_tag(list, tag)
  if list:match("^%s*%*%s*$") then return true end
  for one in list:gmatch('W?/?("[^"]*")') do
    if one == tag then return true end
  end
  return false
end

-- A single byte range (RFC 9110 §14.1.2): first, last; false when it cannot be satisfied; nil when
-- there is none, or when it is all of nothing: the end of an empty file can be satisfied, and no
-- content-range says so.
local function parse_range(value, size)
  local first, last = value:match("^bytes=(%d*)%-(%d*)$")
  if not first or (first == "" and last == "") then return nil end
  if first == "" then
    local count = tonumber(last)
    if count == 0 then return false end
    if size == 0 then return nil end
    return math.max(0, size - count), size - 1
  end
  first, last = tonumber(first), tonumber(last)
  if last and last < first then return nil end
  if first >= size then return false end
  last = last or size - 1
  return first, math.min(last, size - 1)
end

--- Sends a file of neap.core, which stays open, as what the request asks of it. A status that was set to another than
-- 200 stays, with the whole file. The response, or nil, message, code when the client has gone.
function file.send(req, res, handle, stat, media_type)
  local tag = res:header("etag") or ('"%x-%x"'):format(math.floor(stat.mtime), stat.size)
  local changed = date(stat.mtime)
  local first, last = 0, stat.size - 1
  res:header("etag", tag):header("last-modified", changed)
  if res:status() == 200 then
    res:header("accept-ranges", "bytes")
    local none_match = req.headers:get("if-none-match")
    local since = req.headers:get("if-modified-since")
    if none_match and names_tag(none_match, tag) or not none_match and since == changed then
      return res:status(304):send("")
    end
    local range = req.headers:get("range")
    local if_range = req.headers:get("if-range")
    if range and req.method == "GET" and (not if_range or if_range == tag) then
      local from, to = parse_range(range, stat.size)
      if from == false then
        res:header("content-range", ("bytes */%d"):format(stat.size))
        return res:status(416):header("content-type", "text/plain; charset=utf-8"):send("range not satisfiable\n")
      end
      if from then
        first, last = from, to
        res:status(206):header("content-range", ("bytes %d-%d/%d"):format(first, last, stat.size))
      end
    end
  end
  if not res:header("content-type") then res:header("content-type", media_type) end
  res:header("content-length", ("%.0f"):format(last - first + 1))
  return res:_send_file(handle, first, last - first + 1)
end

-- An open file, and what it is.
local function open(path, root)
  if type(path) ~= "string" then error("res:file takes a path, not a " .. type(path), 3) end
  local handle, message, code, number
  if root then
    handle, message, code, number = core.open_beneath(root, path)
  else
    handle, message, code, number = core.open_file(path)
  end
  if not handle then return nil, message, code, number end
  local stat = handle:stat()
  if stat.type == "file" then return handle, stat end
  handle:close()
  return nil, path .. ": Is a directory", "system", 21
end

--- See Response:file.
function file.respond(req, res, path, options)
  options = options or {}
  for name in pairs(options) do
    if name ~= "root" and name ~= "type" then error("res:file has no option " .. tostring(name), 3) end
  end
  local handle, stat, code, number = open(path, options.root)
  if not handle then return nil, stat, code, number end
  local ok, problem = pcall(file.send, req, res, handle, stat, options.type or mime.of(path))
  handle:close()
  if not ok then error(problem, 0) end
  return res
end

return file
