--- A file as a response: type, entity tag, byte ranges, HEAD, what the client has already.
local core = require "neap.core"
local date = require "neap.date"
local mime = require "neap.mime"

local file = {}

-- Whether a list of entity tags (If-Match, If-None-Match) names this one; a strong comparison takes no weak one for
-- the same (RFC 9110 §8.8.3.2).
local function names_tag(list, tag, is_strong)
  if list:match("^%s*%*%s*$") then return true end
  local weak, opaque = tag:match('^(W?/?)("[^"]*")$')
  for other_weak, other in list:gmatch('(W?/?)("[^"]*")') do
    if other == opaque and not (is_strong and weak .. other_weak ~= "") then return true end
  end
  return false
end

-- The status that the request's preconditions ask for instead of the file, in the order of RFC 9110 §13.2.2.
local function status_instead(headers, tag, changed)
  local match = headers:get("if-match")
  local unmodified_since = headers:get("if-unmodified-since")
  local none_match = headers:get("if-none-match")
  if match then
    if not names_tag(match, tag, true) then return 412 end
  elseif unmodified_since then
    local since = date.parse(unmodified_since)
    if since and date.parse(changed) > since then return 412 end
  end
  if none_match then return names_tag(none_match, tag) and 304 end
  return headers:get("if-modified-since") == changed and 304
end

-- A single byte range (RFC 9110 §14.1.2): first, last; false when it cannot be satisfied; nil when
-- there is none, or when it is all of nothing: the end of an empty file can be satisfied, and no
-- content-range says so.
local function parse_range(value, size)
  local unit, first, last = value:match("^(%a+)=(%d*)%-(%d*)$")
  if not unit or unit:lower() ~= "bytes" or (first == "" and last == "") then return nil end
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
  -- A double has no room for nanoseconds beside a time of today.
  local seconds = math.floor(stat.mtime - stat.mtime_nanoseconds / 1e9 + 0.5)
  local tag = res:header("etag") or ('"%x.%x-%x"'):format(seconds, stat.mtime_nanoseconds, stat.size)
  local changed = date.format(seconds)
  local first, last = 0, stat.size - 1
  res:header("etag", tag):header("last-modified", changed)
  if res:status() == 200 then
    res:header("accept-ranges", "bytes")
    -- What another method asked for is done already, and the file only says so.
    local instead = (req.method == "GET" or req.method == "HEAD") and status_instead(req.headers, tag, changed)
    if instead == 304 then return res:status(304):send("") end
    if instead then
      return res:status(412):header("content-type", "text/plain; charset=utf-8"):send("precondition failed\n")
    end
    local range = req.headers:get("range")
    local if_range = req.headers:get("if-range")
    if range and req.method == "GET" and (not if_range or if_range == tag and not tag:match("^W/")) then
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
