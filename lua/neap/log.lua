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

local MOST_REASONS = 8 -- of a kind, that have lines of their own in a second

--- complain(kind, text[, reason]), which warns of what peers may bring about at will: one line a second of each kind,
-- or of up to eight reasons of it, and with the next how many were left out since the last, behind its first line.
-- True when it said so. `now` is core.now and `say` log.warn unless told.
function log.complainer(now, say)
  now, say = now or function() return core.now() end, say or log.warn
  local told = {} -- by kind, of a second: { at =, more =, reasons =, count = }
  return function(kind, text, reason)
    local at, last = now(), told[kind]
    reason = reason or ""
    if last and at - last.at < 1 then
      if last.reasons[reason] or last.count == MOST_REASONS then
        last.more = last.more + 1
        return false
      end
      last.reasons[reason], last.count = true, last.count + 1
      say(text)
      return true
    end
    if last and last.more > 0 then
      local first = text:match("^[^\n]*")
      text = ("%s (and %d more since the last line)%s"):format(first, last.more, text:sub(#first + 1))
    end
    told[kind] = { at = at, more = 0, reasons = { [reason] = true }, count = 1 }
    say(text)
    return true
  end
end

return log
