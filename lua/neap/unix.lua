--- Unix stream sockets (unix(7)) for tasks: what a handler or an option asks of another process of the machine.
local core = require "neap.core"
local Descriptor = require "neap.descriptor"
local task = require "neap.task"

local unix = {}

unix.listeners = setmetatable({}, { __mode = "k" }) -- that are open, for the signals of neap.run

local CONNECT_PAUSE, CONNECT_PAUSE_MOST = 0.001, 0.05 -- seconds until a client tries again, doubled up to the second

local NOT_HERE = "a simulation has no Unix sockets"

local Listener = setmetatable({}, { __index = Descriptor })
Listener.__index = Listener

--- Connects to the socket at `path`; `timeout`: seconds that this, a read or a write may wait (nil: no bound). It waits
-- while as many as the server lets wait are there before it: the kernel tells nobody when that changes.
function unix.connect(path, timeout)
  local deadline, pause = Descriptor.deadline_of(timeout), CONNECT_PAUSE
  if task.is_simulated() then return nil, NOT_HERE, "unsupported" end
  local socket, message, code, number = core.unix_connect(path)
  while code == "again" do
    if deadline and core.now() >= deadline then return nil, path .. ": timeout", "timeout" end
    task.sleep(pause)
    pause = math.min(2 * pause, CONNECT_PAUSE_MOST)
    socket, message, code, number = core.unix_connect(path)
  end
  if not socket then return nil, message, code, number end
  return Descriptor.new(Descriptor, socket, timeout)
end

--- Listens at `path`, whose file only the user may open (`mode`, 384: 0600 unless told). A file that was left behind
-- gives way; one that somebody listens at does not.
function unix.listen(path, mode)
  if task.is_simulated() then return nil, NOT_HERE, "unsupported" end
  local socket, message, code, number = core.unix_listen(path, mode)
  if not socket then return nil, message, code, number end
  local self = Descriptor.new(Listener, socket)
  self.path = path
  unix.listeners[self] = true
  task.hold(1)
  return self
end

--- The next client, waiting for it; `timeout` as of connect. While descriptors or memory are short it looks again ten
-- times a second, with one line in the log. nil, "closed", "closed" when the listener is closed; nil, message, code,
-- number for what does not pass.
function Listener:accept(timeout)
  local socket, message, code, number = self:_accept()
  if not socket then return nil, message, code, number end
  return Descriptor.new(Descriptor, socket, timeout)
end

--- Stops listening and removes the file.
function Listener:close()
  if self._closed then return end
  os.remove(self.path)
  unix.listeners[self] = nil
  Descriptor.close(self)
  task.hold(-1)
end

return unix
