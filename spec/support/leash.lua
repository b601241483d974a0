--- Processes that do not outlive their spec: ended by stop(), else by end_all() in an after_each, else with the
--- process of the spec, however that ends (a shell reads from it through a pipe).
local helper = require "spec.helper"

local leash = {}

local held = {} -- process → true

local SCRIPT = [[
exec 3<&0
setsid sh -c %s >%s 2>&1 </dev/null 3<&- &
pid=$!
echo $pid >%s
{
  cat <&3
  kill -s TERM -- -$pid
  for _ in $(seq 150); do kill -s 0 -- -$pid || exit; sleep 0.1; done
  kill -s KILL -- -$pid
} >/dev/null 2>&1 &
exec 3<&-
wait $pid
echo $? >%s
kill $! 2>/dev/null]]

--- Calls fn until it gives something true, at most `seconds` (10).
function leash.wait_until(fn, seconds)
  for _ = 1, (seconds or 10) * 50 do
    local value = fn()
    if value then return value end
    os.execute("sleep 0.02")
  end
  error("waited too long", 2)
end

local function read_number(path)
  return tonumber((helper.read_file(path) or ""):match("^(%d+)\n"))
end

--- Starts a command (words for the shell, one program) in a process group of its own; what it prints goes to the file
--- `log`: { pid =, log =, command = }.
function leash.start(command, log)
  local pid_file, status_file = log .. ".pid", log .. ".status"
  os.remove(pid_file)
  os.remove(status_file)
  os.remove(log) -- who reads it next reads nothing of the one before
  local quote = helper.quote
  local process = { command = command, log = log, status_file = status_file, pid_file = pid_file }
  process.pipe = assert(io.popen("exec 2>/dev/null; " ..
    SCRIPT:format(quote("exec " .. command), quote(log), quote(pid_file), quote(status_file)), "w"))
  held[process] = true
  process.pid = leash.wait_until(function() return read_number(pid_file) end)
  -- Its group is there a moment later: a signal before that would be lost.
  leash.wait_until(function()
    return leash.status(process) or select(2, helper.run(("kill -s 0 -- -%d"):format(process.pid))) == 0
  end)
  return process
end

--- Its exit status when it has ended, as a shell gives it.
function leash.status(process)
  return process.ended or read_number(process.status_file)
end

--- SIGTERM to all of its group, SIGKILL when it is not over after `seconds` (15). Its exit status, nil when it had to
--- be killed.
function leash.stop(process, seconds)
  if not held[process] then return process.ended end
  os.execute(("kill -s TERM -- -%d 2>/dev/null"):format(process.pid))
  if pcall(leash.wait_until, function() return leash.status(process) end, seconds or 15) then
    process.ended = leash.status(process)
  end
  os.execute(("kill -s KILL -- -%d 2>/dev/null"):format(process.pid)) -- what it has left behind as well
  held[process] = nil
  process.pipe:close()
  os.remove(process.pid_file)
  os.remove(process.status_file)
  return process.ended
end

--- Ends whatever still runs: for after_each and teardown.
function leash.end_all()
  for process in pairs(held) do leash.stop(process) end
end

return leash
