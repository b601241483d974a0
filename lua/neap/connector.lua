--- Connections to servers of HTTP/2 and HTTP/1.1, over TCP or a Unix socket, with TLS or without. Each is a session
-- like those of HTTP/3 (neap.session), on which requests are opened. Those of a connector share certificates, bounds
-- and figures.
local connecting = require "neap.socket_connect"
local core = require "neap.core"
local Session = require "neap.session"
local task = require "neap.task"

local Connector = {}
Connector.__index = Connector

local REFUSED, TIMED_OUT = 111, 110 -- ECONNREFUSED, ETIMEDOUT

-- A session has ended and nothing of it is read any more.
local function let_go(session)
  if session.closed and session.count == 0 then session.transport:release() end
end

local function drive(self, link)
  local session = self.sessions[link]
  if not session then return link:release() end
  local protocol = link:protocol()
  if protocol ~= "" then
    session.proto = protocol
    session:pump()
    task.wake_at(session, "_connecting")
    if session.on_news then session.on_news() end
  end
  if not link:is_closed() then return end
  self.sessions[link] = nil
  local text, code, number = link:failure()
  session:close { text = text, kind = code, code = number }
  task.wake_at(session, "_connecting")
  if self._on_closed then self._on_closed(session) end
  let_go(session)
end

--- A connector. `config` of the binding: roots, pins and client certificates for TLS; nil: clear text. `settings` as
-- loop:connect_tcp has them. `on_idle(session)` is called when the last request of a session is over,
-- `on_closed(session)` when it is closed. nil, message, code.
function Connector.new(config, settings, on_idle, on_closed)
  if task.is_simulated() then return nil, "a simulation has no TCP", "unsupported" end
  local own = { plain = config == nil }
  for name, value in pairs(settings or {}) do own[name] = value end
  local listener, message, code, number = task.loop():connect_tcp(config or core.config({}), own)
  if not listener then return nil, message, code, number end
  local self = setmetatable({ sessions = {}, _listener = listener, _on_closed = on_closed }, Connector)
  self._kind = Session.kind { proto = "", on_idle = function(session)
    let_go(session)
    if on_idle and not session.closed then on_idle(session) end
  end }
  task.attach(listener, function(link) drive(self, link) end)
  return self
end

local function code_of(code, number)
  if code ~= "system" then return code end
  return number == REFUSED and "refused" or number == TIMED_OUT and "timeout" or code
end

--- A session with the server at an address ("192.0.2.1:443") or the Unix socket at a path, when requests may be sent.
-- `name` is whom the certificate is to be of. nil, message, code: "refused", "timeout" (after `timeout` seconds, or
-- those of the settings), "certificate", "tls", "limit", "closed", "system"; number.
function Connector:connect(address, name, timeout)
  local link, message, code, number = self._listener:connect(address, name)
  if not link then return nil, message, code_of(code, number), number end
  local session = Session.new(link, link, self._kind)
  self.sessions[link] = session
  while session.proto == "" and not session.closed do
    local ok
    ok, message, code = task.wait_at(session, "_connecting", timeout)
    if not ok then
      self.sessions[link] = nil
      link:release()
      return nil, ("%s: %s"):format(address, message), code
    end
  end
  if session.closed then
    local reason = session.reason
    return nil, ("%s: %s"):format(address, reason.text), reason.kind or "closed", reason.code
  end
  return session
end

--- The same with a host and a port: its addresses are tried one by one, until one answers. `name` is the host unless
-- told.
function Connector:open(host, port, name, timeout)
  local deadline = timeout and core.now() + timeout
  local addresses, message, code, number = task.resolve(host, port, timeout)
  if not addresses then return nil, message, code end
  local session
  for _, address in ipairs(connecting.interleave(addresses)) do
    local left = deadline and deadline - core.now()
    if left and left <= 0 then return nil, host .. ": timeout", "timeout" end
    session, message, code, number = self:connect(address, name or host, left)
    if session then return session end
  end
  return nil, message, code, number
end

--- A request on a session, by its flat list of fields (":method", …); `fin`: it has no body. The exchange, which is to
-- be given back by session:forget; nil, message, code: "limit", "again" while the server takes no more at a time.
function Connector.request(session, fields, fin)
  if session.closed then return nil, session.reason.text, session.reason.kind, session.reason.code end
  local stream, message, code = session.transport:send_request(fields, fin)
  if not stream then return nil, message, code end
  return session:exchange(stream)
end

--- The next head of a response: its flat list of fields and whether it is a final one; nil, message, code, number.
function Connector.head(exchange, timeout)
  local session = exchange._session
  local deadline = timeout and core.now() + timeout
  while true do
    local early = exchange._informational
    if early and early[1] then return table.remove(early, 1), false end
    if exchange._fields then return exchange._fields, true end
    if session.closed then return nil, session.reason.text, session.reason.kind, session.reason.code end
    if exchange._reset_code then return nil, "reset by the server", "reset", exchange._reset_code end
    local ok, message, code = task.wait_at(exchange, "_reader", deadline and math.max(0, deadline - core.now()))
    if not ok then return nil, message, code end
  end
end

--- How many connections there are, are made, and more, as the binding counts.
function Connector:stats()
  return self._listener:stats()
end

--- Ends all of it at once.
function Connector:close()
  local sessions = self.sessions
  self.sessions = {}
  for link, session in pairs(sessions) do
    link:close()
    session:close { text = "the connector was closed", kind = "closed" }
    task.wake_at(session, "_connecting")
  end
  task.detach(self._listener)
  self._listener:close()
end

return Connector
