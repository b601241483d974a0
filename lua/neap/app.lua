--- An application: routes, middleware, an error handler, other applications inside of it. `neap.app()` makes one;
-- `app:listen` serves it. docs/handlers.md has what a handler returns and how middleware nests.
local core = require "neap.core"
local Headers = require "neap.headers"
local Hosts = require "neap.hosts"
local Router = require "neap.router"
local constant = require "neap.constant"
local error_page = require "neap.error_page"
local log = require "neap.log"
local options = require "neap.options"
local task = require "neap.task"

local App = {}
App.__index = App

-- Routes and middleware of an app below a path: `app`, its `router` and `middleware`, and the `prefix`.
local Group = {}
Group.__index = Group

function App.new()
  return setmetatable({ router = Router.new(), middleware = {} }, App)
end

local function check_handler(handler)
  if type(handler) ~= "function" then error("a handler is a function", 3) end
end

-- The path of the app that one of a group, or of the app itself, is.
local function whole(self, path)
  if not self.prefix then return path end
  if type(path) ~= "string" or path:sub(1, 1) ~= "/" then error("a path in a group begins with /", 3) end
  return path == "/" and self.prefix or self.prefix .. path
end

local ROUTE = { -- what the options of a route may hold
  early = options.row("true or false", function(value) return type(value) == "boolean" end),
}

-- A handler, perhaps behind a table of options: what Router:add takes. A table alone, or in its place, is a constant
-- response.
local function read_route(given, handler)
  if type(given) ~= "table" or handler == nil then given, handler = {}, given end
  options.check(given, ROUTE, "a route", 3)
  local meta = type(handler) == "table" and getmetatable(handler)
  if meta and meta.__call then -- neap.proxy
    local object = handler
    handler = function(req, res) return object(req, res) end
  end
  if type(handler) == "table" then handler = constant.handler(handler, 3) end
  if type(handler) ~= "function" then error("a handler is a function, or a table with a constant response", 3) end
  return handler, given.early
end

--- Adds a route for one method (any case). A table before the handler has options of the route: `early`, whether it may
-- see requests that came by 0-RTT (GET, HEAD, OPTIONS and TRACE unless told). A handler that is a table,
-- { status =, headers =, body = }, is a response that is always the same.
function App:route(method, pattern, given, handler)
  self.router:add(method:upper(), whole(self, pattern), read_route(given, handler))
  return self
end

local VERBS = { get = "GET", head = "HEAD", post = "POST", put = "PUT", patch = "PATCH", delete = "DELETE",
  options = "OPTIONS", any = "*" }

for name, method in pairs(VERBS) do
  App[name] = function(self, pattern, given, handler)
    self.router:add(method, whole(self, pattern), read_route(given, handler))
    return self
  end
end

local match_prefix

-- Has a hook called for the responses below a prefix, or for all.
local function look_at_responses(app, hook, prefix)
  if not prefix then return app:on_response(hook) end
  return app:on_response(function(req, res, info)
    if match_prefix(req, prefix) then return hook(req, res, info) end
  end)
end

--- Adds middleware: fn(req, res, next), called for every request in the order of adding, around
-- routing; with a pattern like "/admin" or "/tenant/:id" first only for that path and what is below it,
-- compared as routes are, with its parameters in req.params. next() runs the rest and returns the response,
-- as it was answered; without it the request ends here. What middleware returns counts as a handler's
-- return. What only looks at responses that are over, as neap.mw.access_log, is a table with `on_response`.
function App:use(prefix, ...)
  local list = { ... }
  if type(prefix) == "function" or type(prefix) == "table" then
    table.insert(list, 1, prefix)
    prefix = self.prefix
  elseif type(prefix) ~= "string" or prefix:sub(1, 1) ~= "/" then
    error("middleware is a function, or a path like /admin/* and functions", 2)
  else
    prefix = whole(self, prefix)
  end
  local parts = prefix and Router.prefix(prefix)
  if #list == 0 then error("a path without middleware", 2) end
  for _, fn in ipairs(list) do
    if type(fn) == "table" and fn.on_response then
      look_at_responses(self.app or self, fn.on_response, parts)
      fn = fn.middleware
    end
    if fn then check_handler(fn) end
    if fn then self.middleware[#self.middleware + 1] = { fn = fn, prefix = parts } end
  end
  (self.app or self).onion = nil
  return self
end

--- Routes and middleware below a path: `app:group("/api/v1"):get("/notes", fn)` is `app:get("/api/v1/notes", fn)`. A
-- group has the functions of an app that take a path, "/" is its own; `group:use(fn)` is for all below it.
function App:group(prefix)
  if type(prefix) ~= "string" or not prefix:find("^/.*[^/]$") then error("a group has a path like /api/v1", 2) end
  Router.prefix(prefix)
  return setmetatable({ app = self.app or self, router = self.router, middleware = self.middleware,
    prefix = whole(self, prefix) }, Group)
end

-- Takes an app in. There is one around it, whose handlers of errors and of what is not found it has as well.
local function take_in(self, other)
  if getmetatable(other) ~= App then error("an app is what neap.app() gives", 3) end
  if other.outer and other.outer ~= self then error("this app is in another one already", 3) end
  local app = self
  while app do
    if app == other then error("an app cannot be inside of itself", 3) end
    app = app.outer
  end
  other.outer, self.has_inner = self, true
  app = other.has_hooks and self or nil
  while app do
    app.has_hooks = true
    app = app.outer
  end
end

--- What is at a path and below it is answered by another app, inside of this one's middleware: it sees what is behind
-- that path as req.path, and the path as req.mount. It has middleware and on_response of its own; on_error,
-- on_not_found and on_error_page too, or else those of this app.
function App:mount(prefix, other)
  prefix = whole(self, prefix)
  local parts = Router.prefix(prefix)
  if not parts.text then error("a mount has no parameters: " .. prefix, 2) end
  take_in(self.app or self, other)
  local base = Router.normalize(prefix):gsub("/$", "")
  if base ~= "" then self.router:add("*", base, nil, nil, { app = other, base = base }) end
  self.router:add("*", base .. "/*", nil, nil, { app = other, base = base })
  return self
end

for _, name in ipairs { "route", "use", "group", "mount" } do Group[name] = App[name] end
for name in pairs(VERBS) do Group[name] = App[name] end

--- Requests for a host are answered by another app, inside of this one's middleware, before routes of this one's are
-- looked at. "*.gw.example": for all below that name, where no longer one fits; a list: for each of them.
function App:host(names, other)
  self.hosts = self.hosts or Hosts.new()
  take_in(self, other)
  for _, name in ipairs(type(names) == "table" and names or { names }) do self.hosts:add(name, other) end
  return self
end

--- fn(err, req, res) answers a request whose handler failed; its return counts as a handler's, nothing
-- leaves the answer that there would be without it. An error that is text has its traceback, a table is
-- what was raised, error(404) is { status = 404 }. Without one: the status and message that a table has,
-- else a 500, and the traceback in the log.
function App:on_error(fn)
  check_handler(fn)
  self.error_handler = fn
  return self
end

--- fn(req, res) answers what no route takes, with 404 unless it says otherwise. Without one: 404, or 405
-- with `allow`.
function App:on_not_found(fn)
  check_handler(fn)
  self.not_found = fn
  return self
end

--- fn(req, res, info) answers what neap would answer with an error page: 404 and 405 of routes and files, what was
-- raised with a status, a 500; where no on_not_found and on_error does. `info` has status and message. Without one it
-- is text, a page or JSON, as the client takes it best.
function App:on_error_page(fn)
  check_handler(fn)
  self.error_page = fn
  return self
end

--- fn(req, res, info) is called when a response is over, however it ended; info has status, bytes (of the
-- body), duration (seconds since the request's fields), and, when it was broken off, reason and code.
function App:on_response(fn)
  check_handler(fn)
  self.response_hooks = self.response_hooks or {}
  table.insert(self.response_hooks, fn)
  local app = self
  while app do
    app.has_hooks = true
    app = app.outer
  end
  return self
end

-- ---- routing

-- What an app was told, or else what those around it were.
local function inherited(self, name)
  while self do
    if self[name] then return self[name] end
    self = self.outer
  end
end

local function refuse_method(self, req, res, allowed)
  allowed[#allowed + 1] = "OPTIONS"
  table.sort(allowed)
  res:header("allow", table.concat(allowed, ", "))
  if req.method == "OPTIONS" then return 204 end
  return error_page.answer(self, req, res, 405)
end

-- A path that no route takes; `allowed` are the methods of those that would.
local function answer_without_route(self, req, res, allowed, has_spelling)
  req._wildcard = nil
  if allowed then return refuse_method(self, req, res, allowed) end
  -- The server as a whole, RFC 9110 §9.3.7.
  if req.method == "OPTIONS" and req.target == "*" then return 204 end
  -- A path that has no spelling, such as one out of the root, is nobody's.
  local not_found = has_spelling and inherited(self, "not_found")
  if not_found then return not_found(req, res:status(404)) end
  return error_page.answer(self, req, res, 404)
end

local enter

local function find_and_run(self, req, res, outer)
  local has_spelling, params, allowed = rawget(req, "_segments") ~= false, nil, nil
  local other = self.hosts and self.hosts:find(req.host)
  if other then return enter(other, "", req, res, outer) end
  local route = has_spelling and self.router:match_exact(req.method, req.path)
  if route then
    if route.app then return enter(route.app, route.base, req, res, outer) end
    req.route = route.pattern
    -- Middleware may have given it others.
    if self.middleware[1] then req.params, req._wildcard = {}, nil end
    return route.handler(req, res)
  end
  if has_spelling then route, params, allowed = self.router:match(req.method, req.path) end
  if not route then return answer_without_route(self, req, res, params == 405 and allowed, has_spelling) end
  if route.app then return enter(route.app, route.base, req, res, outer) end
  req.params, req.route, req._wildcard = params, route.pattern, route.rest
  return route.handler(req, res)
end

-- The parameters of a request that is under a prefix. It is too when its escaped slashes are taken for
-- slashes: a handler that makes a file's name of a parameter must not be another way around middleware.
function match_prefix(req, prefix)
  if rawget(req, "_segments") == false then return nil end
  local is_below = Router.is_below(prefix, req.path)
  if is_below ~= nil then return is_below and {} or nil end
  local params, rest = Router.match_prefix(prefix, req._segments)
  if params or not Router.has_escaped_slash(req.path) then return params, rest end
  if not req._loose_segments then
    local path = Router.loosen(req.path)
    req._loose_segments = path and Router.segments(path) or {}
  end
  return Router.match_prefix(prefix, req._loose_segments)
end

-- ---- errors

local last_trace -- of the error that `catch` saw last

local function status_of(err)
  local status = type(err) == "table" and err.status
  return type(status) == "number" and status >= 400 and status <= 599 and status % 1 == 0 and status or 500
end

-- The number that was thrown, if it was one; for `catch` alone. LuaJIT makes a text of error(404), with the place
-- before it: what `error` was called with is still in its frame. No text is looked at, for it may be a peer's.
local function number_thrown(err)
  if type(err) == "number" then return err end
  local thrower = type(err) == "string" and debug.getinfo(3, "f")
  if not thrower or thrower.func ~= error then return nil end
  local _, value = debug.getlocal(3, 1)
  return type(value) == "number" and value or nil
end

-- What an error is handed on as: text with its traceback, a table as it is, a number as a status.
local function catch(err)
  local status = number_thrown(err)
  if status then err = { status = status } end
  if type(err) == "string" then return debug.traceback(err, 2) end
  last_trace = status_of(err) >= 500 and debug.traceback("", 2)
  return err
end

local function describe(err, trace)
  if type(err) ~= "table" then return task.text_of(err) end
  local message, meta = err.message, getmetatable(err)
  if type(meta) == "table" and meta.__tostring then message = err end
  return task.text_of(message or err.status and "status " .. task.text_of(err.status) or err) .. (trace or "")
end

local function full_path(req)
  return req.mount and req.mount .. req.path or req.path
end

-- The answer to an error when no handler of the application's gives one. What a table of the handler's
-- says goes to the client only when it is about the client (4xx).
local function answer_by_default(self, err, req, res, trace)
  local status = status_of(err)
  if status >= 500 then log.error(("%s %s: %s"):format(req.method, full_path(req), describe(err, trace))) end
  local message = status < 500 and err.message or nil
  if type(message) == "number" then message = tostring(message) end
  local headers = type(err) == "table" and err.headers or nil
  if type(message) == "table" then return status, message, headers end
  if headers then
    headers = Headers.new(headers)
    if message and headers:get("content-type") then return status, message, headers end
    for name in pairs(headers) do res:header(name, headers:get_all(name)) end
  end
  return error_page.answer(self, req, res, status, message)
end

local IS_CLIENTS = { closed = true, reset = true, stopped = true, timeout = true }

-- Whether an error only says that the client has left, or stands still.
local function is_of_client(err, req, res)
  if type(err) == "table" then return err.is_over or err.is_broken_body and not req:is_open() end
  local message, code = res:failure()
  if not message then message, code = req:_why_left() end
  return message and IS_CLIENTS[code] and task.text_of(err):find(message, 1, true)
end

local ANSWERED = { is_called = true }

-- Makes an error the response, of what there was before at `mark`.
local function answer_error(self, err, req, res, mark)
  local trace = last_trace
  if is_of_client(err, req, res) then
    local message, code = req:_why_left()
    if not res:is_ended() then res:_abort(message or tostring(err), code or "closed") end
    return
  end
  if not res:_restore(mark) then
    local was_whole = res:is_ended()
    if not was_whole then res:_abort(describe(err):match("^[^\n]*"), "error") end
    log.error(("%s %s, after the headers were sent: %s"):format(req.method, full_path(req), describe(err, trace)))
    return
  end
  local handler = inherited(self, "error_handler")
  if handler then
    local ok, second = xpcall(function()
      res:status(status_of(err))
      res:_take(ANSWERED, handler(err, req, res))
    end, catch)
    if ok and (res:is_started() or res:body()) then return end
    if not ok then
      log.error("in the error handler: " .. describe(second, last_trace))
      if not res:_restore(mark) then return res:is_ended() or res:_abort("error in the error handler", "error") end
      err = {}
      trace = nil
    end
  end
  local ok, second = xpcall(function() res:_take(ANSWERED, answer_by_default(self, err, req, res, trace)) end, catch)
  if not ok then
    log.error("in an error: " .. describe(second, last_trace))
    res:_restore(nil)
    res:status(500):send("internal server error\n")
  end
end

-- ---- the onion

-- The innermost: the route. No tail call here, nor in a layer: what takes any number of arguments and returns to xpcall
-- itself is not compiled.
local function run_route(self, req, res, outer)
  res:_take(nil, find_and_run(self, req, res, outer))
end

local function take(res, state, ...)
  state.has_returned = true
  res:_take(state, ...)
end

-- Makes a layer: run(app, req, res, outer) of one piece of middleware. What that gets as next is its state, an
-- object that is called, since LuaJIT compiles no closure for each request. `is_called` tells that it called it,
-- `has_returned` that it is through, and `outer.has_run` that all is which ran inside of the middleware around it,
-- however that ended.
-- It sees nothing but its parameters, so that `anew` can copy it.
local function layer(app, entry, behind, place)
  local fn, prefix, match, catch_error, answer, take_result = entry.fn, entry.prefix, place.match_prefix, place.catch,
    place.answer_error, place.take
  local Next = {}

  function Next.__call(state)
    local outer = state.outer
    if state.has_returned or outer.has_run then error("next() was called after its middleware had ended", 2) end
    if state.is_called then error("next() was called twice", 2) end
    state.is_called = true
    local req, res = state.req, state.res
    local mark = res:_mark()
    local ok, err = xpcall(behind, catch_error, app, req, res, state)
    state.has_run = true
    if not ok then answer(app, err, req, res, mark) end
    if state.params then req.params = state.params end
    return res
  end

  return function(_, req, res, outer)
    local params, wildcard
    if prefix then
      params, wildcard = match(req, prefix)
      if not params then return behind(app, req, res, outer) end
      req.params, req._wildcard = params, wildcard
    end
    local state = setmetatable({ req = req, res = res, outer = outer, params = params, is_called = false,
      has_returned = false, has_run = false }, Next)
    take_result(res, state, fn(req, res, state))
  end
end

-- The same function once more. LuaJIT takes calls of one inside of each other for a recursion, and compiles it no
-- further than a few; of two that are alike it sees two.
local function anew(fn)
  return jit and loadstring(string.dump(fn), "=neap.app") or fn
end

-- All of the middleware around the routes, put together when the first request comes.
local function compose(self)
  local place = { match_prefix = match_prefix, catch = catch, answer_error = answer_error, take = take }
  local run = run_route
  for i = #self.middleware, 1, -1 do run = anew(layer)(self, self.middleware[i], run, place) end
  self.onion = run
  return run
end

-- A path below the one that an app is mounted at.
local function behind(base, path)
  return #path > #base and path:sub(#base + 1) or "/"
end

-- All of an app inside of another one; `base` is where it is mounted. An error becomes the response here, while the
-- request is as this app sees it.
function enter(app, base, req, res, outer)
  local path, mount, mark = req.path, req.mount, res:_mark()
  if base ~= "" then
    req.path, req.mount = behind(base, path), mount and mount .. base or base
    req._segments, req._loose_segments = nil, nil
  end
  req._inner, req.route = app, nil
  local ok, err = xpcall(app.onion or compose(app), catch, app, req, res, outer)
  if not ok then answer_error(app, err, req, res, mark) end
  if base ~= "" then
    req.path, req.mount, req._segments, req._loose_segments = path, mount, nil, nil
    if req.route then req.route = base .. req.route end
  end
  return res
end

local function run_all(self, req, res, outer)
  local run = self.onion or compose(self)
  run(self, req, res, outer)
  res:_complete(not self.has_hooks)
end

-- Those of the innermost app that had the request come first.
local function call_hooks(self, req, res, started)
  local reason, code = res:failure()
  local info = { status = res:status(), bytes = res.sent, duration = core.now() - started, reason = reason,
    code = code }
  local app = req._inner or self
  repeat
    for _, fn in ipairs(app.response_hooks or {}) do
      local ok, err = xpcall(fn, catch, req, res, info)
      if not ok then log.error("in on_response: " .. describe(err, last_trace)) end
    end
    local is_last = app == self
    app = app.outer
  until is_last
end

local function answer_and_complete(self, err, req, res)
  answer_error(self, err, req, res)
  res:_complete()
end

-- Answers with an error whatever happens.
local function answer_surely(self, err, req, res)
  local ok, second = xpcall(answer_and_complete, catch, self, err, req, res)
  if ok then return end
  log.error(("%s %s: %s"):format(req.method, req.path, describe(second, last_trace)))
  ok = res:_restore() and pcall(function() res:status(500):send("internal server error\n"):finish() end)
  if not ok then res:_abort("no answer could be sent", "error") end
end

--- Answers one request: middleware, route, what is owed. An error becomes a 500, never more.
function App:handle(req, res)
  local started = self.has_hooks and core.now()
  local outer = (self.middleware[1] or self.has_inner) and { has_run = false }
  local ok, err = xpcall(run_all, catch, self, req, res, outer)
  if outer then outer.has_run = true end
  if not ok then answer_surely(self, err, req, res) end
  res:_over()
  if started then call_hooks(self, req, res, started) end
end

-- ---- 0-RTT

local SAFE = require("neap.semantics").SAFE

-- What a route of the app, or of one inside of it, says; nil when none does. No loop, as it is on the way of requests.
local function early_of(app, req, path)
  local other = app.hosts and app.hosts:find(req.host)
  if other then return early_of(other, req, path) end
  local route = app.router:match(req.method, path)
  if not route then return nil end
  if route.app then return early_of(route.app, req, behind(route.base, path)) end
  return route.early
end

-- Whether a request may be answered although it came by 0-RTT, where it may have been somebody else who sent it again:
-- its route says so, or its method (RFC 8470 §3). Asked before any middleware runs, for that acts too.
function App:_takes_early(req)
  local early
  if rawget(req, "_segments") ~= false then early = early_of(self, req, req.path) end
  if early == nil then return SAFE[req.method] or false end
  return early
end

local function run_refusal(self, _, res)
  res:_take(nil, 425, "too early\n")
  res:_complete(not self.response_hooks)
end

-- Answers a request that came too early, without middleware: its client sends it again when the handshake is complete.
function App:_refuse_early(req, res)
  local started = self.has_hooks and core.now()
  local ok, err = xpcall(run_refusal, catch, self, req, res)
  if not ok then answer_surely(self, err, req, res) end
  res:_over()
  if started then call_hooks(self, req, res, started) end
end

--- Goes on with a response of handle's that did not leave as a whole; `taken` as neap.answers has it.
function App:_go_on(req, res, taken)
  local ok, err = xpcall(res._go_on, catch, res, taken)
  if not ok then answer_surely(self, err, req, res) end
end

--- Serves the app; see neap.server for the options. Returns the server, or nil, message, code.
function App:listen(given)
  return require("neap.server").listen(self, given)
end

return App
