--- A client's connections over TCP, of HTTP/2 and HTTP/1.1: for where HTTP/3 does not answer, and for http://. They are
-- kept for further requests.
local configs = require "neap.configs"
local Connector = require "neap.connector"
local core = require "neap.core"
local task = require "neap.task"

local Tcp = {}
Tcp.__index = Tcp

local IDLE = 30 -- seconds that one may rest; servers end theirs after a minute
local MOST = 6 -- of HTTP/1.1 to an authority
local MOST_RESTING = 64 -- of all servers
local MOST_QUEUED = 1000 -- requests that wait for one of them

--- Those of a client. `protocols`: a set of "h2" and "http/1.1".
function Tcp.new(client, protocols)
  return setmetatable({ client = client, protocols = protocols, lists = {}, connectors = {}, waiting = {} }, Tcp)
end

local function wake_all(list)
  for _, waiter in ipairs(list or {}) do task.wake(waiter, true) end
end

local function wake_waiting(self, key)
  local list = self.waiting[key]
  self.waiting[key] = nil
  wake_all(list)
end

local function drop(self, attempt)
  local list = self.lists[attempt.key]
  for i, one in ipairs(list or {}) do
    if one == attempt then table.remove(list, i) end
  end
  if list and not list[1] then self.lists[attempt.key] = nil end
  self.client._wake_openers(attempt)
  wake_waiting(self, attempt.key)
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
    if session.attempt then wake_waiting(self, session.attempt.key) end
  end, function(session)
    if session.attempt then drop(self, session.attempt) end
  end)
  self.connectors[name] = made
  return made, message, code, number
end

-- One that takes another request now.
local function find(self, key)
  local list = self.lists[key]
  for i = #(list or {}), 1, -1 do
    local attempt = list[i]
    local session = attempt.session
    if session.count == 0 and core.now() - session.idle_since > IDLE then
      session.conn:close()
      drop(self, attempt)
    elseif not session.closed and not session.going_away and (session.proto == "h2" or session.count == 0) then
      return attempt
    end
  end
end

--- A kept connection to a target that takes a request now, or nil.
function Tcp:kept(target)
  return find(self, target.scheme .. "://" .. target.authority)
end

-- Ends those that have rested for too long, and the oldest where too many rest.
local function sweep(self)
  local resting = {}
  for _, list in pairs(self.lists) do
    for _, attempt in ipairs(list) do
      if attempt.session.count == 0 then resting[#resting + 1] = attempt end
    end
  end
  table.sort(resting, function(a, b) return a.session.idle_since < b.session.idle_since end)
  for i, attempt in ipairs(resting) do
    if #resting - i >= MOST_RESTING or core.now() - attempt.session.idle_since > IDLE then
      attempt.session.conn:close()
      drop(self, attempt)
    end
  end
end

local function connect(self, target, key, limits)
  if self.is_closed then return nil, "the client was closed", "closed" end
  sweep(self)
  local made, message, code, number = connector(self, target.scheme == "http")
  if not made then return nil, message, code, number end
  local session
  session, message, code, number = made:open(target.host, target.port, target.host, limits:left())
  if not session then return nil, message, code, number end
  if self.is_closed then
    session.conn:close()
    return nil, "the client was closed", "closed"
  end
  -- See keep of client_response.lua.
  session.awaited, session.held, session.held_until, session.idle_since = 0, 0, 0, core.now()
  local attempt = { conn = session.conn, key = key, name = target.host, session = session, is_tcp = true,
    address = session.conn:peer() }
  session.attempt = attempt
  session.on_news = function() self.client._wake_openers(attempt) end
  self.lists[key] = self.lists[key] or {}
  table.insert(self.lists[key], attempt)
  return attempt
end

--- A connection to a target for a request, and whether it was there before; nil, message, code, number.
function Tcp:take(target, limits)
  local key = target.scheme .. "://" .. target.authority
  local begun = core.now()
  while true do
    local attempt = find(self, key)
    if attempt then return attempt, true end
    local list = self.lists[key]
    -- What it speaks is known when it is there: until then nobody makes another one.
    if not self.connecting or not self.connecting[key] then
      if not list or #list < MOST then break end
    end
    local waiting = self.waiting[key] or {}
    if #waiting >= MOST_QUEUED then return nil, key .. ": too many requests wait", "limit" end
    self.waiting[key] = waiting
    local waiter = task.waiter()
    waiting[#waiting + 1] = waiter
    local ok, message, code = task.await(waiter, limits:left(begun))
    if not ok then
      if code == "timeout" then return nil, limits:why(nil, nil, begun) end
      return nil, message, code
    end
    if self.is_closed then return nil, "the client was closed", "closed" end
  end
  self.connecting = self.connecting or {}
  self.connecting[key] = true
  local called, attempt, message, code, number = pcall(connect, self, target, key, limits)
  self.connecting[key] = nil
  wake_waiting(self, key)
  if not called then error(attempt, 0) end
  if attempt then return attempt, false end
  if code == "timeout" and limits:left(begun) <= 0 then message, code = limits:why(nil, nil, begun) end
  return nil, message, code, number
end

--- Ends all of them.
function Tcp:close()
  self.is_closed = true
  for _, made in pairs(self.connectors) do made:close() end
  local waiting = self.waiting
  self.lists, self.connectors, self.waiting = {}, {}, {}
  for _, list in pairs(waiting) do wake_all(list) end
end

return Tcp
