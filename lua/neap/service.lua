--- What a program says to the manager that started it (systemd: Type=notify, WatchdogSec): $NOTIFY_SOCKET,
-- sd_notify(3). Without one nothing is said. Listening and ending say the rest by themselves; docs/service.md.
local core = require "neap.core"
local log = require "neap.log"
local task = require "neap.task"

local service = {}

local manager = os.getenv("NOTIFY_SOCKET")
local is_ready, watchdog = false, nil

--- Says a line, such as "STATUS=5 devices", or several: whether somebody was told.
function service.notify(text)
  if not manager or manager == "" or task.is_simulated() then return false end
  local ok, message = core.notify(manager, text)
  if not ok then
    log.warn("the service manager was not told: " .. message)
    manager = nil
  end
  return ok == true
end

-- How often the manager wants to hear of us: half of what it waits, as it asks. nil when it does not.
local function watchdog_interval()
  local pid = tonumber(os.getenv("WATCHDOG_PID") or "")
  local microseconds = tonumber(os.getenv("WATCHDOG_USEC") or "")
  if not microseconds or microseconds <= 0 or pid and pid ~= core.process_id() then return nil end
  return microseconds / 2e6
end

local function be_ready()
  if is_ready or not task.is_held() then return end
  is_ready = true
  if not service.notify("READY=1") then return end
  local interval = watchdog_interval()
  if not interval then return end
  -- From the loop's own turn: a loop that stands still says nothing.
  watchdog = require("neap.concurrent").every(interval, function() service.notify("WATCHDOG=1") end)
end

--- Called when the first server listens, and when the last one has ended.
function service.on_held(is_held)
  if not manager or task.is_simulated() then return end
  if is_held then return task.go(be_ready) end -- behind all that listens at the start
  if watchdog then watchdog:stop() end
  watchdog = nil
  if is_ready then service.notify("STOPPING=1") end
  is_ready = false
end

--- Around what a reload does.
function service.reloading(fn)
  service.notify(("RELOADING=1\nMONOTONIC_USEC=%.0f"):format(core.now() * 1e6))
  local result = fn()
  service.notify("READY=1")
  return result
end

return service
