--- A line a message on standard error, by level.
local core = require "neap.core"
local plain = require "neap.plain"

local log = { level = "info" }

local order = { error = 1, warn = 2, info = 3, debug = 4 }

--- Where lines go: a function of one string. Replace it to send them elsewhere.
function log.sink(line)
  io.stderr:write(line, "\n")
end

for name, rank in pairs(order) do
  log[name] = function(...)
    if rank > (order[log.level] or 3) then return end
    local parts = {}
    for i = 1, select("#", ...) do parts[i] = tostring((select(i, ...))) end
    -- It may hold what a client sent.
    log.sink(("%s %s %s"):format(os.date("!%Y-%m-%dT%H:%M:%SZ"), name, plain.lines(table.concat(parts, " "))))
  end
end

--- complain(kind, text), which warns of what peers may bring about at will: one line a second of each kind, and with it
-- how many were left out since the last. `now` is core.now unless told.
function log.complainer(now)
  now = now or core.now
  local told = {} -- by kind: { at =, more = }
  return function(kind, text)
    local at, last = now(), told[kind]
    if last and at - last.at < 1 then
      last.more = last.more + 1
      return
    end
    local more = last and last.more > 0 and (" (and %d more since the last line)"):format(last.more) or ""
    told[kind] = { at = at, more = 0 }
    log.warn(text .. more)
  end
end

return log
