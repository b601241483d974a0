--- A server behind a proxy: its connections, which are kept for further requests, and whether it works.
local concurrent = require "neap.concurrent"
local Connector = require "neap.connector"
local core = require "neap.core"
local ordered = require "neap.ordered"
local task = require "neap.task"
local url = require "neap.url"

local Upstream = { all = setmetatable({}, { __mode = "k" }) } -- for metrics
Upstream.__index = Upstream

-- { scheme =, host =, port =, path =, authority =, base = } of the text that names an upstream; nil and what is wrong.
local function parse(text)
  local path = text:match("^unix:(/[^%c]*)$")
  if path then return { scheme = "http", path = path, authority = "localhost", base = "" } end
  local parsed, message = url.parse(text)
  if not parsed then return nil, message end
  if parsed.scheme ~= "http" and parsed.scheme ~= "https" then
    return nil, "an upstream is http://, https:// or unix:/path, not " .. text
  end
  if parsed.query then return nil, "an upstream has no query: " .. text end
  local authority = text:match("^%a+://([^/?#]*)"):lower()
  local port = tonumber(authority:match(":(%d+)$")) or parsed.scheme == "http" and 80 or 443
  return { scheme = parsed.scheme, host = parsed.host, port = port, authority = authority,
    base = parsed.path:gsub("/+$", "") }
end

--- The upstream that `text` names. `settings`: connections, queue, idle_timeout, requests, connect_timeout, max_fails,
-- fail_timeout, tls (a config's options). nil and what is wrong with the text.
function Upstream.new(text, weight, settings)
  local at, message = parse(text)
  if not at then return nil, message end
  local self = setmetatable({ name = text, weight = weight, at = at, _settings = settings, _idle = {}, _waiting = {},
    open = 0, active = 0, requests = 0, failures = 0, fails = 0, down_until = 0, is_healthy = true, _current = 0 },
    Upstream)
  ordered.put(Upstream.all, self)
  return self
end

local function wake_next(self)
  local waiter = table.remove(self._waiting, 1)
  while waiter and waiter.woken do waiter = table.remove(self._waiting, 1) end
  if waiter then task.wake(waiter, true) end
end

local function forget(self, session)
  if not session.is_counted then return end
  session.is_counted = false
  self.open = self.open - 1
  for i, one in ipairs(self._idle) do
    if one == session then
      table.remove(self._idle, i)
      break
    end
  end
  wake_next(self)
end

--- No more requests over a connection.
function Upstream:discard(session)
  forget(self, session)
  if not session.closed then session.conn:close() end
end

-- Ends connections that were kept for too long, the oldest of which are first.
local function sweep(self)
  while self._idle[1] do
    local left = self._idle[1].idle_until - core.now()
    if left <= 0 then self:discard(self._idle[1]) elseif not task.sleep(left) then break end
  end
  self._sweeper = nil
end

local function keep(self, session)
  if session.is_spoiled or session.closed or session.served >= self._settings.requests or self._is_closed then
    return self:discard(session)
  end
  if not session.is_counted then return end
  session.idle_until = core.now() + self._settings.idle_timeout
  self._idle[#self._idle + 1] = session
  wake_next(self)
  if not self._sweeper then self._sweeper = concurrent.go(sweep, self) end
end

local function connector(self)
  if self._connector then return self._connector end
  local settings = self._settings
  local config
  if self.at.scheme == "https" then
    local message, code
    config, message, code = core.config(settings.tls or { ca = true })
    if not config then return nil, message, code end
  end
  -- One that is closed takes a moment to go.
  local made, message, code = Connector.new(config, { http1 = true, connections = 2 * settings.connections + 16,
    header_timeout = settings.connect_timeout }, function(session) keep(self, session) end,
    function(session) forget(self, session) end)
  self._connector = made
  return made, message, code
end

local function connect(self, deadline)
  local made, message, code = connector(self)
  if not made then return nil, message, code end
  local left = math.max(0, deadline - core.now())
  if self.at.path then return made:connect(self.at.path, nil, left) end
  return made:open(self.at.host, self.at.port, nil, left)
end

--- A connection for one request, and whether it was used before; waits while as many as may be are at work. `is_fresh`:
-- one that is new. nil, message, code: as of Connector:connect; "busy" when none became free.
function Upstream:take(is_fresh)
  local deadline = core.now() + self._settings.connect_timeout
  while true do
    local session = not is_fresh and table.remove(self._idle)
    if session then
      if session.idle_until > core.now() and not session.closed then return session, true end
      self:discard(session)
    elseif self.open < self._settings.connections then
      break
    elseif is_fresh and self._idle[1] then
      self:discard(self._idle[1])
    else
      if #self._waiting >= self._settings.queue then return nil, "too many requests wait for it", "busy" end
      local waiter = task.waiter()
      table.insert(self._waiting, waiter)
      local ok, _, _, is_over = task.await(waiter, math.max(0, deadline - core.now()))
      if not ok then
        for i, one in ipairs(self._waiting) do
          if one == waiter then
            table.remove(self._waiting, i)
            break
          end
        end
        return nil, "none of its connections became free", is_over and "cancelled" or "busy"
      end
    end
  end
  self.open = self.open + 1
  local called, session, message, code, number = pcall(connect, self, deadline)
  if not called or not session then
    self.open = self.open - 1
    wake_next(self)
    if not called then error(session, 0) end
    return nil, message, code, number
  end
  session.is_counted, session.served, session.is_spoiled = true, 0, false
  return session, false
end

-- ---- whether it works

--- It did not do what was asked of it.
function Upstream:failed()
  local settings = self._settings
  self.failures, self.fails = self.failures + 1, self.fails + 1
  if settings.max_fails > 0 and self.fails >= settings.max_fails then
    self.fails, self.down_until = 0, core.now() + settings.fail_timeout
  end
end

function Upstream:worked()
  self.fails = 0
end

function Upstream:is_up()
  return self.is_healthy and core.now() >= self.down_until
end

--- What proxy:status() says of it.
function Upstream:status()
  return { url = self.name, weight = self.weight, up = self:is_up(), active = self.active, open = self.open,
    idle = #self._idle, waiting = #self._waiting, requests = self.requests, failures = self.failures }
end

--- Ends its connections.
function Upstream:close()
  self._is_closed = true
  Upstream.all[self] = nil
  self._idle = {}
  if self._sweeper then self._sweeper:cancel() end
  if self._connector then self._connector:close() end
  self._connector = nil
end

return Upstream
