--- For specs: the executable, started in the background and ended well.
local helper = require "helper"
local leash = require "spec.support.leash"

local program = {}

--- A cache folder of the specs' own, so that no development certificate of the user's is touched.
program.cache = helper.build_dir .. "/spec-cache"

--- The command that runs the executable under test.
program.neap = ("XDG_CACHE_HOME=%s %s/neap"):format(helper.quote(program.cache), helper.quote(helper.build_dir))

program.wait_until, program.end_all = leash.wait_until, leash.end_all

local Process = {}
Process.__index = Process

--- Starts `neap WORDS` and waits for its ready line: { url =, port =, pid =, log = file }.
function program.start(words, environment)
  local log = os.tmpname()
  local process = leash.start(("env %s %s %s"):format(environment or "", program.neap, words), log)
  local self = setmetatable({ process = process, pid = process.pid, log = log }, Process)
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

--- SIGTERM, then its exit code; 1 when it had to be killed or a sanitizer spoke.
function Process:stop()
  local status = leash.stop(self.process)
  local output = helper.read_file(self.log) or ""
  os.remove(self.log)
  if not status or output:find("Sanitizer", 1, true) or output:find("runtime error", 1, true) then
    io.stderr:write(output, "\n")
    return 1
  end
  return status
end

return program
