--- Connections that change their address, and what is told of their paths: for clients, servers and raw QUIC.
local log = require "neap.log"
local options = require "neap.options"
local scheduling = require "neap.scheduling"
local task = require "neap.task"

local roaming = {}

--- The option `migrate` of clients: "auto" has connections follow the machine's routes.
roaming.MIGRATE = options.row('"auto" or false', function(value) return value == "auto" or value == false end, false)

--- Has the connections of a client's endpoint follow the machine's routes. Where the system does not let us know of
-- these they stay where they are, with a line in the log.
function roaming.follow(endpoint)
  local ok, message = endpoint:follow_routes()
  if not ok then log.warn("connections do not follow routes: " .. tostring(message)) end
end

--- Has a server's endpoint listen at its preferred addresses, too: true, or nil, message, code.
function roaming.listen(endpoint, preferred)
  if type(preferred) == "string" then preferred = { preferred } end
  for _, address in ipairs(preferred or {}) do
    local ok, message, code = endpoint:listen_also(address)
    if not ok then return nil, message, code end
  end
  return true
end

--- fn(event, ...) runs as a task for each event of a connection's paths, in their order.
function roaming.tell(conn, fn, whose)
  local event = conn:path_event()
  while event do
    task.go(fn, event, whose)
    event = conn:path_event()
  end
end

-- What the binding is told of a way. At a host of a simulation there is no kernel to choose the address: the host does.
local function way_of(conn, way)
  local place = task.place()
  if place.choose_way then return place:choose_way(conn, way or {}) end
  return way
end

--- conn[verb](conn, way), of "migrate", "probe" and "open_path"; nil, message, code.
function roaming.go(conn, verb, way)
  local chosen, message, code, number = way_of(conn, way)
  if not chosen and message then return nil, message, code, number end
  return conn[verb](conn, chosen)
end

--- Asks a client's server once, when the handshake is confirmed, at the address of the other family that it prefers,
-- where it prefers none of the one in use, which the core asks (RFC 9000 §9.6.3). Where the host has no way there, all
-- stays as it is. `owner` keeps that it was done.
function roaming.prefer(owner, conn)
  if not conn:is_confirmed() then return end
  owner._has_preferred = true
  local family = conn:peer():sub(1, 1) == "[" and 6 or 4
  local peer = not conn:preferred_address(family) and conn:preferred_address(10 - family)
  if peer then roaming.go(conn, "migrate", { peer = peer }) end
end

local methods = {}

--- Goes on from another address (RFC 9000 §9): `address` of ours (with or without a port), or the one that the kernel
-- chooses, by `interface` if that is named; `peer`: a preferred address of the server's. It is asked first, and used
-- once it answers; with `at_once` it is used at once, and the old one is gone back to if it does not answer; with
-- `gone` there is no way back, and what was under way there is sent anew. true; nil, message, code: "in use" (the
-- handshake is not confirmed), "migration" (the server wants none), "connection ids" (it has given too few so far) ….
function methods:migrate(way)
  return roaming.go(self._conn, "migrate", way)
end

--- Asks whether another address leads to the server, and stays: as migrate. What comes of it on_path tells.
function methods:probe(way)
  return roaming.go(self._conn, "probe", way)
end

--- Opens another path beside those that there are (draft-ietf-quic-multipath), where both sides have the option
-- initial_max_path_id: as migrate; with `backup` it is used while no other answers alone. Its path ID; nil, message,
-- code: "unsupported" (one side knows no path IDs), "limit" (there are as many as may be), "connection ids" …. on_path
-- tells when it is open.
function methods:open_path(way)
  return roaming.go(self._conn, "open_path", way)
end

--- Sends nothing more on a path, and has the peer do so; what is in flight there goes by others. `code`: why, one of
-- draft-ietf-quic-multipath §4.2.1. true; nil, message, code: "argument" (there is none), "in use" (it is the last).
function methods:close_path(path_id, code)
  local ok, message, kind = self._conn:close_path(path_id, code)
  task.flush()
  return ok, message, kind
end

--- A path is a "backup", or "available", for both sides. true; nil, message, code.
function methods:set_path_status(path_id, status)
  local ok, message, kind = self._conn:set_path_status(path_id, status)
  task.flush()
  return ok, message, kind
end

--- fn(paths) says at the end of turns which path is filled first: it returns a list of path IDs, or nil for the one of
-- before. `paths` are those that are open, as paths() tells of them. When it fails, or with nil for `fn`, the option
-- path_scheduler decides. true; nil, message, code.
function methods:schedule_paths(fn)
  return scheduling.set(self._conn, fn)
end

--- Its paths, the active one first: local_address, peer, state ("validated", "validating", "unproved"), is_active,
-- rtt ….
function methods:paths()
  return self._conn:paths()
end

--- fn(event) runs as a task for what becomes of paths: event.kind is "path_validated", "path_failed", "migrated" (we
-- are at event.local_address now) or "peer_migrated" (it is at event.peer). Of path IDs, which event.path_id is:
-- "path_opened", "path_closed" (by either side; event.code says why), "path_status" (the peer's preference changed).
function methods:on_path(fn)
  self._on_path = fn
  if not self._closed then roaming.tell(self._conn, fn) end
  return self
end

--- Gives a class of connections these methods.
function roaming.extend(class)
  for name, method in pairs(methods) do class[name] = method end
end

return roaming
