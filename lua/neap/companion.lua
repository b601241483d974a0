--- What a server has beside HTTP/3: the same app over TCP, where browsers look first and are told of HTTP/3 (Alt-Svc,
-- RFC 7838), and plain HTTP, which leads there. A link is conn and transport of its session in one.
local Response = require "neap.response"
local Session = require "neap.session"
local task = require "neap.task"

local companion = {}

local Listener = {}
Listener.__index = Listener

local IN_USE = 98 -- EADDRINUSE

local function drive(self, link)
  local session = self.sessions[link]
  if link:is_closed() then
    if not session then return end
    self.sessions[link] = nil
    session:close { text = "connection closed" }
    return
  end
  if not session then
    session = Session.new(link, link, self.kind)
    session.proto = link:protocol()
    self.sessions[link] = session
    if self.is_draining then link:goaway() end
  end
  session:pump()
end

local function has_moved(req, port)
  local res = Response.new(req)
  local host = req.host and req.host:gsub(":%d*$", "")
  -- What is no method of reading may not become one on its way (308), and old clients know 301 alone.
  local status = (req.method == "GET" or req.method == "HEAD") and 301 or 308
  if not host or host == "" or req.target:sub(1, 1) ~= "/" then
    res:status(400):header("content-type", "text/plain; charset=utf-8"):send("bad request\n")
  else
    host = port == 443 and host or host .. ":" .. port
    res:status(status):header("location", ("https://%s%s"):format(host, req.target)):send("")
  end
  res:finish()
end

--- Gives handlers that lead requests to the same target at `port`, over https. `let_go(req)` is called behind each.
function companion.redirecting(port, make, let_go)
  local function serve(req)
    has_moved(req, port)
    let_go(req)
  end
  return function(session, stream, ...)
    local req = make(session, stream, ...)
    task.go(serve, req)
    return req
  end
end

--- Listens at `address` (text, or a descriptor) with a config of the binding; `settings` as loop:listen_tcp has them,
-- `kind` as Session.kind. The listener; nil, message, code, errno.
function companion.listen(config, address, settings, kind)
  if task.is_simulated() then return nil, "a simulation has no TCP", "unsupported" end
  local listener, message, code, number = task.loop():listen_tcp(config, address, settings)
  if not listener then return nil, message, code, number end
  local self = setmetatable({ sessions = {}, kind = kind, _listener = listener, is_draining = false }, Listener)
  self.address = listener:address()
  self.port = tonumber(self.address:match(":(%d+)$"))
  task.attach(listener, function(link) drive(self, link) end)
  return self
end

--- Whether listening failed because somebody else has the port.
function companion.is_taken(code, number)
  return code == "system" and number == IN_USE
end

--- No new connections; those that are there end behind what is open.
function Listener:refuse()
  self.is_draining = true
  self._listener:refuse()
  for link in pairs(self.sessions) do link:goaway() end
end

--- How many requests are open, and whether bytes wait to leave.
function Listener:load()
  local open, waits = 0, false
  for link, session in pairs(self.sessions) do
    open = open + session.count
    waits = waits or not link:is_flushed()
  end
  return open, waits
end

function Listener:stats()
  return self._listener:stats()
end

--- Ends at once what is still open: how many requests that were.
function Listener:close()
  local open = self:load()
  for link, session in pairs(self.sessions) do
    link:close()
    session:close { text = "closed: the server ends" }
  end
  self.sessions = {}
  task.flush()
  task.detach(self._listener)
  self._listener:close()
  return open
end

return companion
