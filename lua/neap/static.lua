--- Files of a folder as a handler: types, index, entity tags, ranges, HEAD, files that are compressed already, lists of
-- folders; nothing outside of the folder can be reached.
local accept = require "neap.accept"
local core = require "neap.core"
local file_response = require "neap.file"
local listing = require "neap.listing"
local mime = require "neap.mime"
local options = require "neap.options"
local Router = require "neap.router"
local url = require "neap.url"

local CODINGS = { br = ".br", zstd = ".zst", gzip = ".gz" }
local LINKS = { inside = true, nowhere = true, anywhere = true }

local function is_list_of_codings(value)
  if type(value) ~= "table" then return type(value) == "boolean" end
  for _, coding in ipairs(value) do
    if not CODINGS[coding] then return false end
  end
  return value[1] ~= nil
end

local OWN = {
  index = options.of("string", "index.html", true), -- what is sent for a folder
  headers = options.of("table", {}),               -- sent with every file
  cache = options.row("the text of cache-control, or a function of the path that gives it", function(value)
    return type(value) == "string" or type(value) == "function"
  end),
  precompressed = options.row("true, false, or a list of br, zstd and gzip", is_list_of_codings, false),
  list = options.of("boolean", false),             -- folders without an index show what is in them
  links = options.row("inside, nowhere or anywhere", function(value) return LINKS[value] or false end, "inside"),
  hidden = options.of("boolean", false),           -- names that begin with a dot are files as others
}

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

-- Whether a path has a name that is hidden; .well-known is there to be found (RFC 8615).
local function is_hidden(path)
  for name in path:gmatch("[^/]+") do
    if name:sub(1, 1) == "." and name ~= ".well-known" then return true end
  end
  return false
end

-- An open file or folder, and what it is.
local function open(self, path)
  local handle = core.open_beneath(self.root, path == "" and "." or path, self.links)
  if not handle then return nil end
  return handle, handle:stat()
end

-- The file that is compressed already in the coding that the client takes best, and which that is. One that is older
-- than the file itself is of another time.
local function open_compressed(self, req, path, stat)
  local offers = {}
  for i, coding in ipairs(self.codings) do offers[i] = coding end
  while offers[1] do
    local coding = req:accepts_encoding((table.unpack or unpack)(offers))
    local suffix = CODINGS[coding]
    if not suffix then return nil end
    local handle, found = open(self, path .. suffix)
    if handle and found.type == "file" and found.mtime >= stat.mtime then return handle, found, coding end
    if handle then handle:close() end
    for i, offer in ipairs(offers) do
      if offer == coding then table.remove(offers, i) break end
    end
  end
end

local function send(self, req, res, handle, stat, path)
  for name, value in pairs(self.headers) do res:header(name, value) end
  local cache = self.cache
  if type(cache) == "function" then cache = cache(path) end
  if cache then res:header("cache-control", cache) end
  local other, other_stat, coding
  if self.codings then
    accept.vary(res, "accept-encoding")
    other, other_stat, coding = open_compressed(self, req, path, stat)
  end
  local ok, problem = pcall(file_response.send, req, res, other or handle, other_stat or stat, mime.of(path), coding)
  if other then other:close() end
  if not ok then error(problem, 0) end
  return res
end

-- A folder, which is open as `handle`: its index, or what is in it.
local function answer_folder(self, req, res, handle, path)
  if req.path:sub(-1) ~= "/" then
    local location = (req.mount or "") .. req.path .. "/"
    return 301, "", { location = location .. (req.query_string and "?" .. req.query_string or "") }
  end
  local name = self.index and (path == "" and "" or path .. "/") .. self.index
  local index, stat
  if name then index, stat = open(self, name) end
  if index then
    local ok, result = true, nil
    if stat.type == "file" then ok, result = pcall(send, self, req, res, index, stat, name) end
    index:close()
    if not ok then error(result, 0) end
    if result then return result end
  end
  if not self.list then return res:error(404) end
  return listing.respond(req, res, handle, { title = (req.mount or "") .. req.path, has_parent = path ~= "",
    hidden = self.hidden })
end

local function answer(self, req, res)
  local path = req._wildcard and req.params[req._wildcard] or url.decode(req.path):gsub("^/", "")
  if path:find("\0", 1, true) then return res:error(400) end
  if not is_plain(req.target:match("^[^?]*")) or not self.hidden and is_hidden(path) then return res:error(404) end
  local bare = path:gsub("/+$", "")
  local handle, stat = open(self, bare)
  if not handle then return res:error(404) end
  local ok, first, second, third
  if stat.type == "directory" then
    ok, first, second, third = pcall(answer_folder, self, req, res, handle, bare)
  elseif path == bare then
    ok, first = pcall(send, self, req, res, handle, stat, bare)
  else
    ok, first = pcall(res.error, res, 404)
  end
  handle:close()
  if not ok then error(first, 0) end
  return first, second, third
end

--- A handler that answers with the files of a folder. The path is what the route's wildcard took, whatever
-- its name, or the whole path. Options: `index` ("index.html", false: none), `headers` (sent with every file), `cache`
-- (cache-control, or a function of the path that gives it), `precompressed` (true, or a list of "br", "zstd", "gzip":
-- NAME.br, NAME.zst and NAME.gz are sent to clients that take them), `list` (folders without an index show what is in
-- them), `links` (where symbolic links may lead: "inside", "nowhere", "anywhere"), `hidden` (names that begin with a
-- dot are files as others).
return function(root, given)
  options.check(given or {}, OWN, "neap.static", 2)
  local self = options.split(given, OWN, 2)
  local stat, message = core.stat(root)
  if not stat or stat.type ~= "directory" then error(message or root .. " is no folder", 2) end
  self.root = root
  self.codings = self.precompressed and (self.precompressed == true and { "br", "zstd", "gzip" } or self.precompressed)

  return function(req, res)
    local method = req.method
    if method == "GET" or method == "HEAD" then return answer(self, req, res) end
    res:header("allow", "GET, HEAD, OPTIONS")
    if method == "OPTIONS" then return 204 end
    return res:error(405)
  end
end
