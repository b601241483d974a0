--- The function `retry` of a server, which decides about the first packets of clients that have not proved their
-- address. It is asked at the end of a turn of the loop, before what is new of connections is told, and may not wait.
local core = require "neap.core"
local log = require "neap.log"
local task = require "neap.task"

local arrivals = {}

local SAYS = { accept = true, retry = true, refuse = true }

--- Takes the function out of the options of a config, which knows words and numbers alone; nil: there is none.
function arrivals.take(config)
  local fn = config.retry
  if type(fn) ~= "function" then return nil end
  config.retry = nil
  return fn
end

--- Has an endpoint ask: a function that answers all that has come, for task.attach; nil without `fn`.
function arrivals.answerer(endpoint, fn)
  if not fn then return nil end
  local complain = log.complainer()
  local function decide(info)
    local ok, says = xpcall(fn, debug.traceback, info)
    if ok and SAYS[says] then return says end
    local why = ok and ("gave %s, and no \"accept\", \"retry\" or \"refuse\""):format(task.text_of(says))
      or "failed: " .. task.text_of(says)
    local trace
    ok, trace = xpcall(complain, debug.traceback, "retry", ("first packet of %s: 'retry' %s"):format(info.from, why))
    if not ok then task.report(trace) end -- the client is answered, also where the log fails
    return "retry"
  end
  endpoint:ask_arrivals(true)
  return function()
    local id, info = endpoint:next_arrival()
    while id do
      endpoint:admit(id, decide(info), core.now())
      id, info = endpoint:next_arrival()
    end
  end
end

return arrivals
