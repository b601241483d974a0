--- For specs: an app and a client in one loop, over loopback.
local neap = require "neap"
local helper = require "helper"

local web = {}

--- Runs fn as a task and fails when it is not done after `seconds` (20).
function web.run(fn, seconds)
  return neap.run(function()
    local done, ok, err = false, nil, nil
    local waiter = neap.task.waiter()
    neap.go(function()
      ok, err = xpcall(fn, function(e) return type(e) == "table" and e or debug.traceback(e, 2) end)
      done = true
      neap.task.wake(waiter, true)
    end)
    neap.task.await(waiter, seconds or 20)
    assert(done, "the spec did not end in time")
    if not ok then error(err, 0) end
  end)
end

local identity

--- A certificate for localhost and its key, made once.
function web.identity()
  if not identity then
    local cert, key = require("neap.core").make_certificate { names = { "localhost", "127.0.0.1", "::1" }, days = 2 }
    identity = { cert = assert(cert, key), key = key }
  end
  return identity
end

--- Serves the app that `build(app)` fills and runs fn(client, url, server) beside it; everything is closed afterwards.
function web.with_app(build, fn, listen)
  local id = web.identity()
  return web.run(function()
    local app = neap.app()
    build(app)
    local options = { host = "127.0.0.1", port = 0, cert = id.cert, key = id.key }
    for name, value in pairs(listen or {}) do options[name] = value end
    local server = assert(app:listen(options))
    local client = neap.client { ca = id.cert, timeout = 10 }
    local ok, err = xpcall(fn, function(e) return type(e) == "table" and e or debug.traceback(e, 2) end, client,
      "https://127.0.0.1:" .. server.port, server)
    client:close()
    server:close()
    if not ok then error(err, 0) end
  end)
end

--- Keeps what is logged while fn runs.
function web.logged(fn)
  local lines, sink = {}, neap.log.sink
  neap.log.sink = function(line) lines[#lines + 1] = line end
  local ok, err = pcall(fn)
  neap.log.sink = sink
  if not ok then error(err, 0) end
  return table.concat(lines, "\n")
end

web.helper = helper
return web
