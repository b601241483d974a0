--- Outgoing raw connections: one endpoint for them, another for those that follow routes, and who is told what is new.
local asking = require "neap.asking"
local client_race = require "neap.client_race"
local roaming = require "neap.roaming"
local task = require "neap.task"
local Winners = require "neap.winners"

local outgoing = {}

--- Those of a program, or of a host of a simulation: { connections = conn → connection of neap.quic, endpoints,
-- winners }.
function outgoing.here()
  local place = task.place()
  place.quic_outgoing = place.quic_outgoing or { connections = {}, endpoints = {}, winners = Winners.new() }
  return place.quic_outgoing
end

-- One that did not wait for its server, and does not find it there, goes on with the name's next address. Whether it
-- does.
local function go_on(here, conn, connection)
  local began = connection._began
  if not began then return false end
  if conn:is_established() then
    here.winners:note(began.key, began.peer, began.first)
    connection._began = nil
    return false
  end
  local is_over = conn:is_closed() or conn:is_draining()
  local is_silent = is_over and not connection._closed and client_race.code_of(asking.error_of(conn) or {}) == "timeout"
  if not is_silent and (is_over or not conn:is_unreachable()) then return false end
  here.winners:forget(began.key)
  local other
  while not other and began.others[1] do
    began.peer = table.remove(began.others, 1)
    other = began.connect(began.peer)
  end
  if not other then return false end
  here.connections[conn], here.connections[other] = nil, connection
  conn:close(0, "")
  connection:_go_on(other)
  return true
end

local function drive(here, conn)
  local connection = here.connections[conn]
  if not connection then return end
  if go_on(here, conn, connection) then return end
  local attempt = connection._attempt
  if conn:is_closed() or conn:is_draining() then
    here.connections[conn] = nil
    connection:_end()
    if attempt then
      attempt.failed = asking.error_of(conn) or {}
      task.wake(attempt.waiter, attempt)
    end
    return
  end
  connection:_pump()
  if attempt and (conn:is_established() or conn:is_unreachable()) then task.wake(attempt.waiter, attempt) end
end

--- The endpoint of `here`, made of a config when it is first asked for; nil, message, code. `migrate`: as the option.
function outgoing.endpoint(here, config, migrate)
  local kind = migrate or "fixed"
  if here.endpoints[kind] then return here.endpoints[kind] end
  local endpoint, message, code = task.loop():client(config)
  if not endpoint then return nil, message, code end
  if kind == "auto" then roaming.follow(endpoint) end
  here.endpoints[kind] = endpoint
  task.attach(endpoint, function(conn) drive(here, conn) end, function(conn)
    local connection = here.connections[conn]
    local answer = connection and connection._shared.answer
    if answer then answer(conn) end
  end)
  return endpoint
end

--- Tries the addresses of `key` side by side until one answers (client_race). `connect(peer)`: what is on its way
-- there, or nil, message, code; `new(conn)` the connection of neap.quic that is made of it. With `is_early` one that
-- may send early does not wait, where it is known which address answers. The connection; nil, message, code[, number].
function outgoing.race(here, endpoint, key, addresses, timeout, is_early, connect, new)
  local function start(peer)
    local conn, message, code = connect(peer)
    if not conn then return nil, message, code end
    local connection = new(conn)
    connection._attempt = { conn = conn, address = peer, connection = connection, close_code = 0 }
    here.connections[conn] = connection
    return connection._attempt
  end
  local ordered = here.winners:order(key, addresses)
  local first
  if is_early and (#ordered == 1 or ordered[1] == here.winners:of(key)) then
    first = start(ordered[1])
    if first and first.conn:is_early() then
      local connection = first.connection
      connection._attempt = nil
      connection._began = { key = key, connect = connect, first = addresses[1], peer = ordered[1],
        others = { (table.unpack or unpack)(ordered, 2) } }
      return connection
    end
  end
  local attempt, message, code, number = client_race.run({ _winners = here.winners, _endpoint = endpoint }, key, key,
    addresses, timeout, function(peer)
      local begun = first
      first = nil
      if begun then return begun end
      return start(peer)
    end)
  if not attempt then return nil, message, code, number end
  attempt.connection._attempt = nil
  return attempt.connection
end

return outgoing
