--- A client's connections over TCP, of HTTP/2 and HTTP/1.1: for where HTTP/3 does not answer, and for http://. They are
-- kept for further requests.
local configs = require "neap.configs"
local Connector = require "neap.connector"
local core = require "neap.core"
local drop_abandoned = require("neap.client_response").drop_abandoned
local waiting = require "neap.waiting"

local Tcp = {}
Tcp.__index = Tcp

local IDLE = 30 -- seconds that one may rest; servers end theirs after a minute
local MOST = 6 -- of HTTP/1.1 to an authority
local MOST_RESTING = 64 -- of all servers
local CLEAN_AFTER = 1 -- seconds of waiting for one after which forgotten responses are looked for
local MOST_QUEUED = 1000 -- requests that wait for one of them

local CLOSED = { "the client was closed", "closed" }

--- Those of a client. `protocols`: a set of "h2" and "http/1.1".
function Tcp.new(client, protocols)
  return setmetatable({ client = client, protocols = protocols, places = {}, connectors = {} }, Tcp)
end

-- What there is for a server: its connections, how many are being made, who waits for one; `proto`: what it spoke last.
local function place_of(self, key)
  local place = self.places[key]
  if not place then
    place = { key = key, attempts = {}, connecting = 0, waiting = waiting.new() }
    self.places[key] = place
  end
  return place
end

local function forget_empty(self, place)
  if not place.attempts[1] and place.connecting == 0 and place.waiting:size() == 0 then self.places[place.key] = nil end
end

-- Whoever waits looks again (true), or is told why there is none.
local function wake_all(place, result)
  while place.waiting:wake(result) do end
end

local function drop(self, attempt)
  local place = attempt.place
  for i, one in ipairs(place.attempts) do
    if one == attempt then table.remove(place.attempts, i) end
  end
  self.client._wake_openers(attempt)
  place.waiting:wake(true)
  forget_empty(self, place)
end

local function connector(self, is_plain)
  local name = is_plain and "plain" or "tls"
  if self.connectors[name] then return self.connectors[name] end
  local config = not is_plain and self.client._config or nil
  if not is_plain and not config then
    local message, code
    config, message, code = configs.new(self.client._options, "client", 2)
    if not config then return nil, message, code end
    self.client._config = config
  end
  local settings = { http1 = is_plain or not self.protocols.h2 }
  local made, message, code, number = Connector.new(config, settings, function(session)
    session.idle_since = core.now()
    if session.attempt then session.attempt.place.waiting:wake(true) end
  end, function(session)
    if session.attempt then drop(self, session.attempt) end
  end)
  self.connectors[name] = made
  return made, message, code, number
end

local function close(self, attempt)
  attempt.session.conn:close()
  drop(self, attempt)
end

-- One that takes another request now.
local function find(self, place)
  for i = #place.attempts, 1, -1 do
    local attempt = place.attempts[i]
    local session = attempt.session
    if session.count == 0 and core.now() - session.idle_since > IDLE then
      close(self, attempt)
    elseif not session.closed and not session.going_away and (session.proto == "h2" or session.count == 0) then
      return attempt
    end
  end
end

--- Ends one that nobody has taken since it was made.
function Tcp:give_up(attempt)
  if attempt.session.count == 0 then close(self, attempt) end
end

--- A kept connection to a target that takes a request now, or nil.
function Tcp:kept(target)
  local place = self.places[target.scheme .. "://" .. target.authority]
  return place and find(self, place)
end

-- Ends those that have rested for too long, and the oldest where too many rest.
local function sweep(self)
  local resting = {}
  for _, place in pairs(self.places) do
    for _, attempt in ipairs(place.attempts) do
      if attempt.session.count == 0 then resting[#resting + 1] = attempt end
    end
  end
  table.sort(resting, function(a, b) return a.session.idle_since < b.session.idle_since end)
  for i, attempt in ipairs(resting) do
    if #resting - i >= MOST_RESTING or core.now() - attempt.session.idle_since > IDLE then close(self, attempt) end
  end
end

local function connect(self, target, place, limits)
  sweep(self)
  local is_plain = target.scheme == "http"
  if is_plain and not self.protocols["http/1.1"] then
    return nil, "http:// is HTTP/1.1, which `protocols` leaves out", "argument"
  end
  local made, message, code, number = connector(self, is_plain)
  if not made then return nil, message, code, number end
  local session
  session, message, code, number = made:open(target.host, target.port, target.host, limits:left())
  if not session then return nil, message, code, number end
  local is_spoken = self.protocols[session.proto]
  if self.is_closed or not is_spoken then
    session.conn:close()
    if self.is_closed then return nil, CLOSED[1], CLOSED[2] end
    return nil, ("%s speaks %s, which `protocols` leaves out"):format(target.authority, session.proto), "unsupported"
  end
  -- See keep of client_response.lua.
  session.awaited, session.held, session.held_until, session.idle_since = 0, 0, 0, core.now()
  local attempt = { conn = session.conn, place = place, name = target.host, session = session, is_tcp = true,
    address = session.conn:peer() }
  session.attempt = attempt
  session.on_news = function() self.client._wake_openers(attempt) end
  table.insert(place.attempts, attempt)
  return attempt
end

-- One more connection, for who asks, and for all who wait where the server speaks HTTP/2.
local function make(self, target, place, limits)
  place.connecting = place.connecting + 1
  local called, attempt, message, code, number = pcall(connect, self, target, place, limits)
  place.connecting = place.connecting - 1
  local was_known = place.proto
  if called and attempt then place.proto = attempt.session.proto end
  -- Who waits has its own time, and looks again where only ours was over; else it would meet the same.
  if called and not attempt and code ~= "timeout" and code ~= "cancelled" then
    wake_all(place, { message, code, number })
  elseif place.proto == "h2" or not was_known then
    wake_all(place, true)
  else
    place.waiting:wake(true)
  end
  forget_empty(self, place)
  if not called then error(attempt, 0) end
  return attempt, message, code, number
end

--- A connection to a target for a request, and whether it was there before; nil, message, code, number.
function Tcp:take(target, limits)
  local begun, is_cleaned = core.now(), false
  while not self.is_closed do
    local place = place_of(self, target.scheme .. "://" .. target.authority)
    local attempt = find(self, place)
    if attempt then return attempt, true end
    -- What a server speaks is known when the first is there: until then nobody makes another one.
    local most = place.proto == "http/1.1" and MOST or 1
    if #place.attempts + place.connecting < most then
      local message, code, number
      attempt, message, code, number = make(self, target, place, limits)
      if attempt then return attempt, false end
      if code == "timeout" and limits:left(begun) <= 0 then message, code = limits:why(nil, nil, begun) end
      return nil, message, code, number
    end
    if place.waiting:size() >= MOST_QUEUED then
      return nil, target.authority .. ": too many requests wait for it", "limit"
    end
    local left = limits:left(begun)
    if left <= 0 then return nil, limits:why(nil, nil, begun) end
    local result, message, code = place.waiting:wait(nil, is_cleaned and left or math.min(left, CLEAN_AFTER))
    if result == nil and code ~= "timeout" then return nil, message, code end
    if result == nil and not is_cleaned then
      -- All may be taken by responses that nobody holds any more.
      is_cleaned = true
      collectgarbage()
      drop_abandoned()
    end
    if result and result ~= true then return nil, result[1], result[2], result[3] end
  end
  return nil, CLOSED[1], CLOSED[2]
end

--- Ends all of them.
function Tcp:close()
  self.is_closed = true
  for _, made in pairs(self.connectors) do made:close() end
  local places = self.places
  self.places, self.connectors = {}, {}
  for _, place in pairs(places) do wake_all(place, CLOSED) end
end

return Tcp
