--- Outgoing raw connections: one endpoint for them, another for those that follow routes, and who is told what is new.
local core = require "neap.core"
local roaming = require "neap.roaming"
local task = require "neap.task"

local outgoing = {}

--- Seconds that an address has of which ICMP says that nobody listens there: the first repetition goes after one, and
-- its answer takes a round trip.
outgoing.WAIT_AFTER_HINT = 3

--- Those of a program, or of a host of a simulation: { connections = conn → connection of neap.quic, endpoints }.
function outgoing.here()
  local place = task.place()
  place.quic_outgoing = place.quic_outgoing or { connections = {}, endpoints = {} }
  return place.quic_outgoing
end

local function drive(connections, conn)
  local connection = connections[conn]
  if not connection then return end
  if conn:is_closed() or conn:is_draining() then
    connections[conn] = nil
    connection:_end()
    task.wake_at(connection, "_connector")
    return
  end
  connection:_pump()
  if conn:is_established() or conn:is_unreachable() then task.wake_at(connection, "_connector") end
end

--- The endpoint of `here`, made of a config when it is first asked for; nil, message, code. `migrate`: as the option.
function outgoing.endpoint(here, config, migrate)
  local kind = migrate or "fixed"
  if here.endpoints[kind] then return here.endpoints[kind] end
  local endpoint, message, code = task.loop():client(config)
  if not endpoint then return nil, message, code end
  if kind == "auto" then roaming.follow(endpoint) end
  here.endpoints[kind] = endpoint
  local connections = here.connections
  task.attach(endpoint, function(conn) drive(connections, conn) end, function(conn)
    local connection = connections[conn]
    local answer = connection and connection._shared.answer
    if answer then answer(conn) end
  end)
  return endpoint
end

--- Waits until a connection is established or over. nil, message, code after `timeout` seconds, or when ICMP says that
-- nobody listens there, which is no proof, and for a moment nobody has answered.
function outgoing.await(connection, timeout)
  local conn = connection._conn
  local deadline, hinted = core.now() + timeout, nil
  while true do
    local now = core.now()
    hinted = conn:is_unreachable() and (hinted or now + outgoing.WAIT_AFTER_HINT) or nil
    local ends = math.min(deadline, hinted or deadline)
    local ok, message, code = task.wait_at(connection, "_connector", math.max(0, ends - now))
    if connection._closed or conn:is_established() then return true end
    if not ok and hinted and conn:is_unreachable() then return nil, "nobody listens there", "unreachable" end
    if not ok and ends == deadline then return nil, message, code end
  end
end

return outgoing
