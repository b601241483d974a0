--- Finds the handler of a method and path. A trie of segments: what is written out wins over
-- `:param`, that over `*rest`; a branch that leads nowhere is left again for the next best.
local url = require "neap.url"

local Router = {}
Router.__index = Router

function Router.new()
  return setmetatable({ root = {} }, Router)
end

--- Adds a route. `method` is upper case or "*" for any; the pattern is "/a/:name/*rest" (`*` alone
-- is named "rest").
function Router:add(method, pattern, handler)
  if pattern:sub(1, 1) ~= "/" then error("a route begins with /: " .. pattern, 3) end
  local node, names = self.root, {}
  for segment in pattern:gmatch("/([^/]*)") do
    if node.rest_here then error("nothing may follow * in a route: " .. pattern, 3) end
    local kind, name = segment:match("^([:*])(.*)$")
    if kind == ":" then
      if name == "" then error("a parameter without a name: " .. pattern, 3) end
      names[#names + 1] = name
      node.param = node.param or {}
      node = node.param
    elseif kind == "*" then
      names[#names + 1] = name ~= "" and name or "rest"
      node.rest = node.rest or { rest_here = true }
      node = node.rest
    else
      node.fixed = node.fixed or {}
      node.fixed[segment] = node.fixed[segment] or {}
      node = node.fixed[segment]
    end
  end
  node.methods = node.methods or {}
  if node.methods[method] then error("this route is there already: " .. method .. " " .. pattern, 3) end
  node.methods[method] = { handler = handler, names = names, pattern = pattern }
end

--- The decoded segments of a path, which is split first: an escaped slash stays inside its segment.
function Router.segments(path)
  local segments = {}
  local escaped = path:find("%", 1, true)
  for segment in path:gmatch("/([^/]*)") do
    segments[#segments + 1] = escaped and url.decode(segment) or segment
  end
  return segments
end

local function find(node, segments, i, values, count)
  if i > #segments then
    if node.methods then return node, count end
    if node.rest and node.rest.methods then
      values[count + 1] = ""
      return node.rest, count + 1
    end
    return nil
  end
  local next_node = node.fixed and node.fixed[segments[i]]
  if next_node then
    local found, n = find(next_node, segments, i + 1, values, count)
    if found then return found, n end
  end
  if node.param and segments[i] ~= "" then
    values[count + 1] = segments[i]
    local found, n = find(node.param, segments, i + 1, values, count + 1)
    if found then return found, n end
  end
  if node.rest and node.rest.methods then
    values[count + 1] = table.concat(segments, "/", i)
    return node.rest, count + 1
  end
end

--- The route {handler, names, pattern} and its parameters, or nil, the status that says why not
-- (404, 405) and, for 405, the methods that would do, sorted. HEAD is answered by a GET route
-- unless it has its own.
function Router:match(method, path)
  local segments = Router.segments(path)
  local values = {}
  local node = find(self.root, segments, 1, values, 0)
  if not node then return nil, 404 end
  local methods = node.methods
  local route = methods[method] or (method == "HEAD" and methods.GET) or methods["*"]
  if not route then
    local allowed = {}
    for name in pairs(methods) do allowed[#allowed + 1] = name end
    if methods.GET and not methods.HEAD then allowed[#allowed + 1] = "HEAD" end
    table.sort(allowed)
    return nil, 405, allowed
  end
  local params = {}
  for i, name in ipairs(route.names) do params[name] = values[i] end
  return route, params
end

return Router
