--- Files of a folder as a handler: types, index, entity tags, ranges, HEAD; nothing outside of the
-- folder can be reached.
local core = require "neap.core"
local file_response = require "neap.file"
local mime = require "neap.mime"
local Router = require "neap.router"
local url = require "neap.url"

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
    for key, value in pairs(given.headers or {}) do res:header(key, value) end
    local ok, problem = pcall(file_response.send, req, res, file, info, mime.of(name))
    file:close()
    if not ok then error(problem, 0) end
    return res
  end
end
