--- Files of a folder as a handler: types, index, entity tags, ranges, HEAD; nothing outside of the
-- folder can be reached.
local core = require "neap.core"
local date = require "neap.date"
local mime = require "neap.mime"
local Router = require "neap.router"
local url = require "neap.url"

local PIECE = 262144

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

-- One file has one path: no dot segments, no empty ones, no escaped slash. Another spelling could
-- pass middleware that looks at paths.
local function is_plain(path)
  local segments = Router.segments(path)
  for i, segment in ipairs(segments) do
    if segment == "." or segment == ".." or segment:find("/", 1, true) or segment == "" and i < #segments then
      return false
    end
  end
  return true
end

local function open(root, path, index)
  local file, message, code, number = core.open_beneath(root, path == "" and "." or path)
  if not file then return nil, message, code, number end
  local stat = file:stat()
  if stat.type ~= "directory" then return file, stat, path end
  file:close()
  return "directory", nil, (path == "" and "" or path:gsub("/+$", "") .. "/") .. index
end

local function send(req, res, file, stat, name, headers)
  local tag = ('"%x-%x"'):format(math.floor(stat.mtime), stat.size)
  res:header("etag", tag):header("last-modified", date(stat.mtime)):header("accept-ranges", "bytes")
  for key, value in pairs(headers or {}) do res:header(key, value) end
  local none_match = req.headers:get("if-none-match")
  local since = req.headers:get("if-modified-since")
  if none_match and names_tag(none_match, tag) or not none_match and since == date(stat.mtime) then
    return 304
  end
  res:header("content-type", mime.of(name))
  local first, last = 0, stat.size - 1
  local range = req.headers:get("range")
  local if_range = req.headers:get("if-range")
  if range and req.method == "GET" and (not if_range or if_range == tag) then
    local from, to = parse_range(range, stat.size)
    if from == false then
      res:header("content-range", ("bytes */%d"):format(stat.size)):header("content-type", nil)
      return 416, "range not satisfiable\n"
    end
    if from then
      first, last = from, to
      res:status(206):header("content-range", ("bytes %d-%d/%d"):format(first, last, stat.size))
    end
  end
  res:header("content-length", ("%.0f"):format(last - first + 1))
  if req.method == "HEAD" then return res:start() end
  while first <= last do
    local bytes = file:read(math.min(PIECE, last - first + 1), first)
    if not bytes or #bytes == 0 then return res:abort() end -- it shrank: the client must not take it for whole
    if not res:write(bytes) then return res end
    first = first + #bytes
  end
  return res:finish()
end

--- A handler that answers with the files of a folder. The path is what the route's wildcard took, whatever
-- its name, or the whole path. Options: `index` ("index.html"), `headers` (sent with every file).
return function(root, given)
  given = given or {}
  local stat, message = core.stat(root)
  if not stat or stat.type ~= "directory" then error(message or root .. " is no folder", 2) end
  local index = given.index or "index.html"

  return function(req, res)
    if req.method ~= "GET" and req.method ~= "HEAD" then
      res:header("allow", "GET, HEAD")
      return 405, "method not allowed\n"
    end
    local path = req._wildcard and req.params[req._wildcard] or url.decode(req.path):gsub("^/", "")
    if path:find("\0", 1, true) then return 400, "bad path\n" end
    if not is_plain(req.target:match("^[^?]*")) then return 404, "not found\n" end
    local file, info, name = open(root, (path:gsub("/+$", "")), index)
    if file == "directory" then
      if req.path:sub(-1) ~= "/" then
        res:header("location", req.path .. "/" .. (req.query_string and "?" .. req.query_string or ""))
        return 301, ""
      end
      file, info = open(root, name, index)
    elseif file and path:sub(-1) == "/" then
      file:close()
      file = nil
    end
    if not file or file == "directory" then return 404, "not found\n" end
    name = name or path
    local ok, a, b, c = pcall(send, req, res, file, info, name, given.headers)
    file:close()
    if not ok then error(a, 0) end
    return a, b, c
  end
end
