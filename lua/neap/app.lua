--- An application: routes, middleware, an error handler. `neap.app()` makes one; `app:listen`
-- serves it.
local Router = require "neap.router"
local log = require "neap.log"

local App = {}
App.__index = App

function App.new()
  return setmetatable({ router = Router.new(), middleware = {} }, App)
end

local function check_handler(handler)
  if type(handler) ~= "function" then error("a handler is a function", 3) end
end

--- Adds a route for one method (any case).
function App:route(method, pattern, handler)
  check_handler(handler)
  self.router:add(method:upper(), pattern, handler)
  return self
end

for name, method in pairs { get = "GET", post = "POST", put = "PUT", patch = "PATCH", delete = "DELETE", any = "*" } do
  App[name] = function(self, pattern, handler)
    check_handler(handler)
    self.router:add(method, pattern, handler)
    return self
  end
end

--- Adds middleware: fn(req, res, next), called for every request in the order of adding, around
-- routing; with a first argument like "/admin" or "/admin/*" only for that path and what is below it,
-- compared as the router does, by decoded segments. next() runs the rest; without it the request ends
-- here. What middleware returns counts as a handler's return.
function App:use(prefix, ...)
  local list = { ... }
  if type(prefix) == "function" then
    table.insert(list, 1, prefix)
    prefix = nil
  elseif type(prefix) ~= "string" or prefix:sub(1, 1) ~= "/" then
    error("middleware is a function, or a path like /admin/* and functions", 2)
  end
  local segments = prefix and Router.segments((prefix:gsub("/%*?$", "")))
  if #list == 0 then error("a path without middleware", 2) end
  for _, fn in ipairs(list) do
    check_handler(fn)
    self.middleware[#self.middleware + 1] = { fn = fn, segments = segments }
  end
  return self
end

--- fn(err, req, res) answers a request whose handler failed; its return counts as a handler's. An error
-- that is text has its traceback, a table is what was raised. Without one: a 500, and the traceback in
-- the log.
function App:on_error(fn)
  check_handler(fn)
  self.error_handler = fn
  return self
end

--- fn(req, res) answers what no route takes. Without one: 404, or 405 with `allow`.
function App:on_not_found(fn)
  check_handler(fn)
  self.not_found = fn
  return self
end

local function find_and_run(self, req, res)
  local route, params, allowed = self.router:match(req.method, req.path)
  if route then
    req.params, req.route = params, route.pattern
    return route.handler(req, res)
  end
  if params == 405 then
    res:header("allow", table.concat(allowed, ", "))
    return 405, "method not allowed\n"
  end
  if self.not_found then return self.not_found(req, res) end
  return 404, "not found\n"
end

local function begins_with(req, segments)
  local mine = req._segments or Router.segments(req.path)
  req._segments = mine
  for i = 1, #segments do
    if mine[i] ~= segments[i] then return false end
  end
  return true
end

local function run_from(self, i, req, res)
  local entry = self.middleware[i]
  while entry and entry.segments and not begins_with(req, entry.segments) do
    i = i + 1
    entry = self.middleware[i]
  end
  if not entry then
    res:set_result(find_and_run(self, req, res))
    return
  end
  res:set_result(entry.fn(req, res, function() run_from(self, i + 1, req, res) end))
end

local function answer_error(self, err, req, res)
  if not res:reset() then
    if not res:is_ended() then res:abort() end
    return
  end
  res:set_result((self.error_handler or App.default_error)(err, req, res))
end

function App.default_error(err, req)
  log.error(("%s %s: %s"):format(req.method, req.path, tostring(err)))
  return 500, "internal server error\n"
end

local function trace(err)
  return debug.traceback(tostring(err), 2)
end

-- For an error handler of the application's: a table is what it raised, and its own.
local function trace_text(err)
  if type(err) == "table" then return err end
  return debug.traceback(tostring(err), 2)
end

local function run_all(self, req, res)
  run_from(self, 1, req, res)
  return res:complete()
end

--- Answers one request: middleware, route, what is owed. An error becomes a 500, never more.
function App:handle(req, res)
  local ok, err = xpcall(run_all, self.error_handler and trace_text or trace, self, req, res)
  if ok then return end
  local started = res:is_started()
  ok = xpcall(function()
    answer_error(self, err, req, res)
    res:complete()
  end, function(second) log.error("in the error handler: " .. trace(second)) end)
  if not ok then
    if not (res:reset() and pcall(function() res:status(500):send("internal server error\n") end)) then res:abort() end
  elseif started then
    log.error(("%s %s, after the headers were sent: %s"):format(req.method, req.path, tostring(err)))
  end
end

--- Serves the app; see neap.server for the options. Returns the server, or nil, message, code.
function App:listen(options)
  return require("neap.server").listen(self, options)
end

return App
