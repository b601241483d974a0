--- A file as a response: type, entity tag, byte ranges, HEAD, what the client has already.
local conditional = require "neap.conditional"
local core = require "neap.core"
local hex = require "neap.hex"
local date = require "neap.date"
local mime = require "neap.mime"
local ranges = require "neap.ranges"

local file = {}

-- Sends several ranges, each with fields of its own (RFC 9110 §14.6).
local function send_parts(res, handle, list, size, media_type)
  local boundary = hex(core.random_bytes(16))
  local last = "\r\n--" .. boundary .. "--\r\n"
  local length, heads = #last, {}
  for i, range in ipairs(list) do
    heads[i] = ("\r\n--%s\r\ncontent-type: %s\r\ncontent-range: bytes %d-%d/%d\r\n\r\n"):format(boundary, media_type,
      range.first, range.last, size)
    length = length + #heads[i] + range.last - range.first + 1
  end
  res:status(206):header("content-type", "multipart/byteranges; boundary=" .. boundary)
  res:header("content-length", ("%.0f"):format(length))
  for i, range in ipairs(list) do
    local ok, message, code, number = res:write(heads[i])
    if ok then ok, message, code, number = res:_send_file(handle, range.first, range.last - range.first + 1, true) end
    if not ok then return nil, message, code, number end
  end
  local ok, message, code, number = res:write(last)
  if not ok then return nil, message, code, number end
  return res:finish()
end

-- The ranges of a file that a request asks for; false: none that there is; nil: all of it.
local function ranges_for(req, tag, seconds, size)
  local range = req.method == "GET" and req.headers:get("range")
  if not range or not conditional.may_have_ranges(req.headers, tag, seconds) then return nil end
  return ranges.parse(range, size)
end

--- Sends a file of neap.core, which stays open, as what the request asks of it. A status that was set to another than
-- 200 stays, with the whole file; `coding` is its content coding, if it has one. The response, or nil, message, code
-- when the client has gone.
function file.send(req, res, handle, stat, media_type, coding)
  -- A double has no room for nanoseconds beside a time of today.
  local seconds = math.floor(stat.mtime - stat.mtime_nanoseconds / 1e9 + 0.5)
  local tag = res:header("etag")
  if not tag then
    tag = ('"%x.%x-%x%s"'):format(seconds, stat.mtime_nanoseconds, stat.size, coding and "-" .. coding or "")
  end
  res:header("etag", tag):header("last-modified", date.format(seconds))
  local list
  if res:status() == 200 then
    res:header("accept-ranges", "bytes")
    -- What another method asked for is done already, and the file only says so.
    local is_asked = req.method == "GET" or req.method == "HEAD"
    local instead = is_asked and conditional.status_instead(req.headers, tag, seconds)
    if instead == 304 then return res:status(304):send("") end
    if instead then return res:error(412) end
    list = ranges_for(req, tag, seconds, stat.size)
    if list == false then
      res:header("content-range", ("bytes */%d"):format(stat.size))
      return res:error(416)
    end
  end
  if coding then res:header("content-encoding", coding) end
  media_type = res:header("content-type") or media_type
  if list and list[2] then return send_parts(res, handle, list, stat.size, media_type) end
  res:header("content-type", media_type)
  local first, last = 0, stat.size - 1
  if list then
    first, last = list[1].first, list[1].last
    res:status(206):header("content-range", ("bytes %d-%d/%d"):format(first, last, stat.size))
  end
  res:header("content-length", ("%.0f"):format(last - first + 1))
  return res:_send_file(handle, first, last - first + 1)
end

-- An open file, and what it is.
local function open(path, root)
  local handle, message, code, number
  if type(path) == "number" or io.type(path) == "file" then
    handle, message, code, number = core.open_descriptor(path)
  elseif type(path) ~= "string" then
    error("res:file takes a path, a descriptor or an open file, not a " .. type(path), 4)
  elseif root then
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
  local media_type = options.type or mime.of(type(path) == "string" and path or "")
  local ok, problem = pcall(file.send, req, res, handle, stat, media_type)
  handle:close()
  if not ok then error(problem, 0) end
  return res
end

return file
