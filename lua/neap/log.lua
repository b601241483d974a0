--- A line a message on standard error, by level.
local log = { level = "info" }

local order = { error = 1, warn = 2, info = 3, debug = 4 }

--- Where lines go: a function of one string. Replace it to send them elsewhere.
function log.sink(line)
  io.stderr:write(line, "\n")
end

-- What is logged may hold what a client sent: no line but our own begins at the left, no byte steers a
-- terminal.
local function plain(text)
  if not text:find("%c") then return text end
  return (text:gsub("[^\n\t%C]", function(c) return ("\\x%02x"):format(c:byte()) end):gsub("\t", "    ")
    :gsub("\n", "\n  "))
end

for name, rank in pairs(order) do
  log[name] = function(...)
    if rank > (order[log.level] or 3) then return end
    local parts = {}
    for i = 1, select("#", ...) do parts[i] = tostring((select(i, ...))) end
    log.sink(("%s %s %s"):format(os.date("!%Y-%m-%dT%H:%M:%SZ"), name, plain(table.concat(parts, " "))))
  end
end

return log
