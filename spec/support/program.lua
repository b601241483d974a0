--- For specs: the executable, started in the background and ended well.
local helper = require "helper"

local program = {}

--- A cache folder of the specs' own, so that no development certificate of the user's is touched.
program.cache = helper.build_dir .. "/spec-cache"

--- The command that runs the executable under test.
program.neap = ("XDG_CACHE_HOME=%s %s/neap"):format(helper.quote(program.cache), helper.quote(helper.build_dir))

--- Calls fn until it gives something true, at most `seconds` (10).
function program.wait_until(fn, seconds)
  for _ = 1, (seconds or 10) * 50 do
    local value = fn()
    if value then return value end
    os.execute("sleep 0.02")
  end
  error("waited too long", 2)
end

local Process = {}
Process.__index = Process

--- Starts `neap WORDS` and waits for its ready line: { url =, port =, pid =, log = file }.
function program.start(words, environment)
  local log = os.tmpname()
  local pipe = assert(io.popen(("%s exec env %s %s > %s 2>&1 & echo $!"):format(environment or "",
    program.neap, words, log), "r"))
  local pid = tonumber(pipe:read("*l"))
  pipe:close()
  local self = setmetatable({ pid = pid, log = log }, Process)
  local ok, url = pcall(program.wait_until, function()
    return (helper.read_file(log) or ""):match("listening on (%S+)")
  end)
  if not ok then
    local output = helper.read_file(log)
    self:stop()
    error("no ready line from neap " .. words .. ": " .. tostring(output), 2)
  end
  self.url, self.port = url, tonumber(url:match(":(%d+)/"))
  return self
end

--- What it has printed so far.
function Process:output()
  return helper.read_file(self.log)
end

--- SIGTERM, then its exit code as far as its shell tells: 0 when it ended well, 1 when it had to be killed or a
-- sanitizer spoke.
function Process:stop()
  os.execute("kill -TERM " .. self.pid .. " 2>/dev/null")
  local ended = pcall(program.wait_until, function()
    local stat = helper.read_file("/proc/" .. self.pid .. "/stat")
    return not stat or stat:match("%) (%a)") == "Z" -- ended, though nobody has asked how yet
  end, 15)
  if not ended then os.execute("kill -KILL " .. self.pid) end
  local output = helper.read_file(self.log) or ""
  os.remove(self.log)
  if not ended or output:find("Sanitizer", 1, true) or output:find("runtime error", 1, true) then
    io.stderr:write(output, "\n")
    return 1
  end
  return 0
end

return program
