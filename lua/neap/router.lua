--- Finds the handler of a method and path. A trie of segments: what is written out wins over
-- `:param`, that over `*rest`; a branch that leads nowhere, or has not the method, is left again for the
-- next best. Routes without parameters are found by their path, before the trie is gone through. Patterns
-- and paths are compared by decoded segments of the path's one spelling, so that routes and the prefixes of
-- middleware cannot see two different paths.
local core = require "neap.core"
local url = require "neap.url"

-- LuaJIT's: a table with room for so many names at once.
local has_room, new_table = pcall(require, "table.new")
if not has_room then new_table = function() return {} end end

local Router = {}
Router.__index = Router

function Router.new()
  return setmetatable({ root = {}, exact = {} }, Router)
end

-- ---- paths

-- Whether a segment stands for another than itself (RFC 3986 §5.2.4), or for none.
local NO_NAME = { [""] = true, ["."] = true, [".."] = true }

local function encode(c)
  return ("%%%02X"):format(c:byte())
end

-- What a segment may hold as it is: pchar of RFC 3986 §3.3.
local NOT_IN_SEGMENT = "[^%w._~!$&'()*+,;=:@-]"
-- A path of such segments. Anchored: looking for the first character that is none costs twice as much.
local PLAIN_PATH = "^/[%w/._~!$&'()*+,;=:@-]*$"

local function spell(path)
  if path:sub(1, 1) ~= "/" then return nil end
  local segments, is_folder = {}, false
  for segment in path:gmatch("/([^/]*)") do
    segment = url.decode(segment)
    if segment:find("\0", 1, true) then return nil end
    is_folder = NO_NAME[segment]
    if segment == ".." then
      if #segments == 0 then return nil end
      segments[#segments] = nil
    elseif not is_folder then
      segments[#segments + 1] = segment:gsub(NOT_IN_SEGMENT, encode)
    end
  end
  return "/" .. table.concat(segments, "/") .. (is_folder and #segments > 0 and "/" or "")
end

--- The one spelling of a path: dot segments resolved, empty segments left out, percent-encoding only and
-- always where it has to be. nil for a path that leads out of the root, holds a NUL or does not begin with
-- a slash.
function Router.normalize(path)
  if not path:find(PLAIN_PATH) then return spell(path) end
  if path:find("//", 1, true) or path:find("/.", 1, true) then return spell(path) end
  return path
end

-- Escaped slashes, and backslashes, which some take for slashes.
local ESCAPED_SLASH = { ["%2F"] = "/", ["%5C"] = "/" }

--- Whether a normalized path has escaped slashes or backslashes.
function Router.has_escaped_slash(path)
  return path:find("%2F", 1, true) ~= nil or path:find("%5C", 1, true) ~= nil
end

--- A normalized path as who takes its escaped slashes for slashes sees it, nil when that is out of the root.
function Router.loosen(path)
  return Router.normalize((path:gsub("%%[25][FC]", ESCAPED_SLASH)))
end

--- The decoded segments of a path that begins with a slash. It is split first: an escaped slash stays inside
-- its segment. `may_separate` tells that one may hold a separator.
function Router.segments(path)
  local segments = core.segments(path)
  if segments then return segments end
  local count, at = 0, 2
  segments = { may_separate = true }
  while at do
    local slash = path:find("/", at, true)
    count = count + 1
    segments[count] = url.decode(path:sub(at, slash and slash - 1))
    at = slash and slash + 1
  end
  return segments
end

-- ---- patterns

-- Segments of a pattern: a string for one that is written out, { name = } for a parameter, { rest = name }
-- for what is left; a mistake is the caller's.
local function parse(pattern, level)
  local function reject(why) error(("%s: %s"):format(why, tostring(pattern)), level + 2) end
  if type(pattern) ~= "string" or pattern:sub(1, 1) ~= "/" then reject("a route begins with /") end
  if pattern:find("[?#]") then reject("a route is compared with the path alone, without ? and #") end
  local parts, seen = {}, {}
  for segment in pattern:gmatch("/([^/]*)") do
    local last = parts[#parts]
    if last == "" then reject("an empty segment matches nothing, in a route") end
    if type(last) == "table" and last.rest then reject("nothing may follow * in a route") end
    local kind, name = segment:match("^([:*])(.*)$")
    if kind then
      if name == "" and kind == ":" then reject("a parameter without a name") end
      if name == "" then name = "rest" end
      if seen[name] then reject(("two parameters are named %s"):format(name)) end
      seen[name] = true
      parts[#parts + 1] = kind == ":" and { name = name } or { rest = name }
    else
      segment = url.decode(segment)
      if segment ~= "" and NO_NAME[segment] or segment:find("\0", 1, true) then
        reject(("a segment %q matches nothing, in a route"):format(segment))
      end
      parts[#parts + 1] = segment
    end
  end
  return parts
end

--- Adds a route. `method` is upper case or "*" for any; the pattern is "/a/:name/*rest" (`*` alone
-- is named "rest"); `early`: whether its handler may see what came by 0-RTT (nil: as the method says); `mount`, in
-- place of a handler: { app =, base = } of an app that is mounted there.
function Router:add(method, pattern, handler, early, mount)
  local node, names, rest = self.root, {}, nil
  local path = ""
  for _, part in ipairs(parse(pattern, 3)) do
    if type(part) == "string" then
      path = path .. "/" .. (part:gsub(NOT_IN_SEGMENT, encode))
      node.fixed = node.fixed or {}
      node.fixed[part] = node.fixed[part] or {}
      node = node.fixed[part]
    elseif part.name then
      names[#names + 1] = part.name
      node.param = node.param or {}
      node = node.param
    else
      names[#names + 1], rest = part.rest, part.rest
      node.rest = node.rest or {}
      node = node.rest
    end
  end
  node.methods = node.methods or {}
  if node.methods[method] then error("this route is there already: " .. method .. " " .. pattern, 3) end
  node.methods[method] = { handler = handler, names = names, rest = rest, pattern = pattern, early = early,
    app = mount and mount.app, base = mount and mount.base }
  if not names[1] then self.exact[path] = node.methods end
end

-- The text with which the paths below a prefix begin that have no escapes; nil when it has parameters.
local function text_of(parts)
  for _, part in ipairs(parts) do
    if type(part) ~= "string" or part:find("/", 1, true) then return nil end
  end
  return "/" .. table.concat(parts, "/")
end

--- A prefix for match_prefix and is_below: a pattern that also takes what is below it; a slash or * at its end says
-- nothing more.
function Router.prefix(pattern)
  local parts = parse(pattern, 3)
  if parts[#parts] == "" then parts[#parts] = nil end
  parts.text = text_of(parts)
  parts.folder = parts.text and parts.text:gsub("/?$", "/", 1)
  return parts
end

--- Whether a normalized path has this prefix; nil when only match_prefix can tell.
function Router.is_below(prefix, path)
  local text, folder = prefix.text, prefix.folder
  if not text or path:find("%", 1, true) or path:find("\\", 1, true) then return nil end
  return path == text or path:sub(1, #folder) == folder
end

-- A handler may make a file's name of a parameter: one that stands for a single segment holds no separator, since
-- what is before it could be left by `..` then.
local function is_single(segment)
  return segment ~= "" and not segment:find("[/\\%z]")
end

-- What a wildcard takes: the segments from i on. An escaped slash would be one among others there, and
-- "/a%2Fb" another spelling of "/a/b": nil. So is a backslash before or behind `..`.
local function rest_of(segments, i)
  for k = i, segments.may_separate and #segments or 0 do
    local segment = segments[k]
    if segment:find("/", 1, true) or ("\\" .. segment .. "\\"):find("\\..\\", 1, true) then return nil end
  end
  return table.concat(segments, "/", i)
end

--- The parameters of a path that has this prefix, else nil; and the name of its wildcard. A segment that no route
-- takes for a parameter stays encoded: it is below the prefix all the same.
function Router.match_prefix(prefix, segments)
  local params, rest = {}, nil
  for i, part in ipairs(prefix) do
    local segment = segments[i]
    if type(part) == "string" then
      if segment ~= part then return nil end
    elseif part.name then
      if segment == nil or segment == "" then return nil end
      params[part.name] = is_single(segment) and segment or segment:gsub(NOT_IN_SEGMENT, encode)
    else
      rest = part.rest
      params[rest] = rest_of(segments, i)
    end
  end
  return params, rest
end

-- ---- routes

local function pick(methods, method)
  return methods[method] or (method == "HEAD" and methods.GET) or methods["*"]
end

-- Notes the methods of a place that has the path and not the method.
local function refuse(values, methods)
  values.refused = values.refused or {}
  table.insert(values.refused, methods)
end

-- The route below a node; `values` takes the parameters.
local function find(node, segments, i, method, values, count)
  local segment, methods = segments[i], node.methods
  if segment == nil then
    local route = methods and pick(methods, method)
    if route then return route end
    if methods then refuse(values, methods) end
  else
    local below = node.fixed and node.fixed[segment]
    local route = below and find(below, segments, i + 1, method, values, count)
    if route then return route end
    if node.param and segment ~= "" and (not segments.may_separate or is_single(segment)) then
      values[count + 1] = segment
      route = find(node.param, segments, i + 1, method, values, count + 1)
      if route then return route end
    end
  end
  methods = node.rest and node.rest.methods
  local rest = methods and rest_of(segments, i)
  if not rest then return nil end
  values[count + 1] = rest
  local route = pick(methods, method)
  if not route then refuse(values, methods) end
  return route
end

--- The route {handler, names, rest, pattern} that has no parameters and is written out as this normalized path: what
-- match would find first.
function Router:match_exact(method, path)
  local methods = self.exact[path]
  return methods and pick(methods, method)
end

local values = {} -- of the match that is under way

-- The route of a path without escapes and backslashes, when the first choice is right at every node: what `find` would
-- give. A tail call and no loop, and no table of segments: then it becomes a part of the compiled way of a request.
local function descend(node, path, at, method, count)
  local slash = path:find("/", at, true)
  local segment = path:sub(at, slash and slash - 1 or -1)
  local below = node.fixed and node.fixed[segment]
  if not below then
    below = node.param
    if not below or segment == "" then
      if not node.rest then return nil end
      values[count + 1] = path:sub(at)
      return pick(node.rest.methods, method)
    end
    count = count + 1
    values[count] = segment
  end
  if slash then return descend(below, path, slash + 1, method, count) end
  return below.methods and pick(below.methods, method)
end

local function params_of(route)
  local names = route.names
  local count = #names
  local params = new_table(0, count)
  if count == 0 then return params end
  params[names[1]] = values[1]
  if count > 1 then
    for i = 2, count do params[names[i]] = values[i] end
  end
  return params
end

--- The route {handler, names, rest, pattern} and its parameters, or nil, the status that says why not
-- (404, 405) and, for 405, the methods that would do, sorted. HEAD is answered by a GET route
-- unless it has its own. `path` is normalized.
function Router:match(method, path)
  local is_plain = not path:find("%", 1, true) and not path:find("\\", 1, true)
  local route = is_plain and descend(self.root, path, 2, method, 0)
  if route then return route, params_of(route) end
  values.refused = nil
  route = find(self.root, Router.segments(path), 1, method, values, 0)
  if route then return route, params_of(route) end
  if not values.refused then return nil, 404 end
  local allowed, seen = {}, {}
  for _, methods in ipairs(values.refused) do
    if methods.GET then seen.HEAD = true end
    for name in pairs(methods) do seen[name] = true end
  end
  for name in pairs(seen) do allowed[#allowed + 1] = name end
  table.sort(allowed)
  return nil, 405, allowed
end

return Router
