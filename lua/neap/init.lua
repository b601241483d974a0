--- neap: QUIC and HTTP/3, scripted. The parts load when they are first used.
if _VERSION == "Lua 5.1" and not rawget(_G, "jit") then
  error("neap runs on LuaJIT, Lua 5.3 and 5.4: its handlers wait inside of pcall, which Lua 5.1 cannot", 0)
end

local concurrent = require "neap.concurrent"
local core = require "neap.core"
local ordered = require "neap.ordered"
local task = require "neap.task"
local turns = require "neap.safety.turns"

local neap = {
  _VERSION = "neap " .. core.version,
  --- Waits so many seconds while other tasks run.
  sleep = task.sleep,
  --- Tasks: see neap.concurrent.
  go = concurrent.go,
  with_timeout = concurrent.with_timeout,
  every = concurrent.every,
  all = concurrent.all,
  race = concurrent.race,
  any = concurrent.any,
  blocked_after = turns.blocked_after,
  turn_limit = turns.turn_limit,
  --- Seconds of a monotonic clock.
  now = function() return core.now() end, -- which a simulation replaces
  --- The wall clock of this process, for certificates: seconds since 1970, from which it goes on; false: nobody knows
  -- what time it is; without an argument: the system's.
  set_clock = core.set_clock,
  --- From now on the process is that user's: neap.drop_privileges(user[, group]), when all that needs more is open.
  -- true; nil, message, code.
  drop_privileges = core.drop_privileges,
}

local complaint = require("neap.engine").complaint()
if complaint then require("neap.log").warn(complaint) end

local parts = {
  client = "neap.client", mw = "neap.middleware", metrics = "neap.metrics", service = "neap.service",
  quic = "neap.quic", lowlevel = "neap.lowlevel", sim = "neap.sim", json = "neap.json",
  url = "neap.url", log = "neap.log", static = "neap.static", headers = "neap.headers", task = "neap.task",
  server = "neap.server", mime = "neap.mime", unix = "neap.unix", x509 = "neap.x509",
  quic_lb = "neap.quic_lb", cc = "neap.cc", channel = "neap.channel", semaphore = "neap.semaphore",
  socket = "neap.socket", dns = "neap.dns", process = "neap.process", proxy = "neap.proxy",
}

--- A descriptor of this process for tasks: see neap.descriptor.
function neap.fd(fd, options)
  return require("neap.descriptor").open(fd, options)
end

--- A new application: see neap.app.
function neap.app()
  return require("neap.app").new()
end

local function end_all(server)
  if server then server.shutdown_all() end
  local quic = package.loaded["neap.quic"]
  if quic then quic.close_all() end
  task.stop()
end

if (os.getenv("NOTIFY_SOCKET") or "") ~= "" then task.on_held = require("neap.service").on_held end

local ending = false
local had_terminal = core.isatty(0)

-- Whether the program had a terminal, and has it no more: then SIGHUP says so, and nothing else.
local function has_lost_terminal()
  return had_terminal and not core.isatty(0)
end

local function tell_reload(name, ok, message)
  local log = require "neap.log"
  if ok then log.info(name .. ": certificates were read again")
  else log.error(("%s: the certificates of before stay: %s"):format(name, message)) end
end

-- Has servers and clients read their certificates again: true when there are any, or listeners of Unix sockets, which
-- have none.
local function reload_all()
  local server, quic, client = package.loaded["neap.server"], package.loaded["neap.quic"], package.loaded["neap.client"]
  local unix = package.loaded["neap.unix"]
  local has_any, clients = unix ~= nil and next(unix.listeners) ~= nil, 0
  for _, all in ipairs { server and server._all() or {}, quic and quic._servers() or {} } do
    for _, one in ipairs(ordered.objects(all)) do
      has_any = true
      tell_reload(one.address, one:reload_certs())
    end
  end
  for _, one in ipairs(ordered.objects(client and client.all or {})) do
    local ok, message = one:reload_certs()
    if not ok then tell_reload("a client", nil, message) end
    clients = clients + (ok and 1 or 0)
    has_any = true
  end
  if clients > 0 then tell_reload(("%d client%s"):format(clients, clients > 1 and "s" or ""), true) end
  if require("neap.shared_configs").count() > 0 then
    has_any = true
    tell_reload("neap.quic.connect", quic.reload_certs())
  end
  return has_any
end

-- SIGTERM and SIGINT: servers say GOAWAY and drain; a second signal ends at once. SIGHUP: certificates are read again.
function task.on_signal(name)
  if name == "HUP" and not ending and not has_lost_terminal() then
    local service = package.loaded["neap.service"]
    if service and service.reloading(reload_all) or not service and reload_all() then return end
  end
  if ending then return task.stop() end
  ending = true
  task.go(end_all, package.loaded["neap.server"])
end

--- Runs the loop: with fn until it returns, else until the servers are stopped by a signal, or
-- nothing is left to do. With fn: its results. Inside `neap run`, or any task, the loop runs already: fn
-- is called as it stands, and without one this returns at once. An error when nothing is there to run
-- because a `listen` failed.
function neap.run(fn, ...)
  if fn or task.is_running() then return task.run(fn, ...) end
  if task.why_not and not task.is_needed() then error("neap.run: nothing listens: " .. task.why_not, 0) end
  task.catch_signals()
  return task.run()
end

--- For a loop of somebody else's, in place of neap.run: see neap.embedding.
function neap.loop()
  return require "neap.embedding"
end

--- Ends the loop after this turn.
function neap.stop()
  task.stop()
end

return setmetatable(neap, {
  __index = function(self, key)
    local module = parts[key]
    if not module then return nil end
    local value = require(module)
    rawset(self, key, value)
    return value
  end,
})
