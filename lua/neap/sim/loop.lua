--- The loop of a simulation: what neap.task asks of the binding's, in virtual time. What is made by it is made at the
-- host where the caller runs.
local address = require "neap.sim.address"
local task = require "neap.task"

local Loop = {}
Loop.__index = Loop

function Loop.new(owner)
  return setmetatable({ sim = owner, answers = {}, resolved_count = 0 }, Loop)
end

local function host_here(what)
  local place = task.place()
  if not place.prepare then
    error(("%s in a simulation is done at a host: host:go(function() … end), host:run(…)"):format(what), 4)
  end
  return place
end

function Loop.listen(_, config, text)
  return host_here("listening"):listen(config, text)
end

function Loop.client(_, config)
  return host_here("connecting"):client(config)
end

-- What a name means at a host: a list of addresses without port; nil when nobody has it.
local function look_up(self, name)
  if name == "localhost" then return { "127.0.0.1" } end
  local ip = address.ip(name)
  if ip then return { ip } end
  local host = self.sim.hosts[name:lower()]
  return host and host.addresses
end

function Loop:resolve(name, port)
  local ips, list = look_up(self, name), {}
  for i, ip in ipairs(ips or {}) do list[i] = ("%s:%d"):format(ip, port) end
  self.resolved_count = self.resolved_count + 1
  local why = not ips and "no host of the simulation has this name" or nil
  table.insert(self.answers, { self.resolved_count, ips and list, why })
  return self.resolved_count
end

function Loop:resolved()
  local answer = table.remove(self.answers, 1)
  if answer then return answer[1], answer[2], answer[3] end
end

--- Lets virtual time go on to what happens next, at most by `timeout`.
function Loop:wait(timeout)
  self.sim:advance(#self.answers > 0 and 0 or timeout)
  return true
end

--- Sends what there is. Nothing is left for another time.
function Loop:flush()
  self.sim:flush_all()
  return false
end

function Loop:now()
  return self.sim.now
end

--- An error that no one has caught ends the run.
function Loop:fail_by(trace)
  self.sim.failure = self.sim.failure or { trace }
end

function Loop.next_watch() end
function Loop.signal() end
function Loop.catch_signals() end
function Loop.busy_poll() end

function Loop.stats()
  return {}
end

return Loop
