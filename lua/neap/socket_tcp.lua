--- TCP and Unix stream sockets with LuaSocket's names and results, that yield.
local Base = require "neap.socket_base"
local connecting = require "neap.socket_connect"
local core = require "neap.core"
local Descriptor = require "neap.descriptor"
local task = require "neap.task"
local Tls = require "neap.socket_tls"
local unix = require "neap.unix"

local Tcp = setmetatable({}, { __index = Base })
Tcp.__index = Tcp

local LINE_MOST = 1024 * 1024 -- bytes of a line,
local MOST = 64 * 1024 * 1024 -- and of what is read by count or to the end
local BACKLOG = 32
local NOT_HERE = "a simulation has no TCP sockets"

local done, text_of = Base.done, Base.text_of

--- `family`: 4, 6, "unix", or nil: by the address.
function Tcp.new(family, socket)
  return Base.new(Tcp, socket, family)
end

-- The addresses of a name that are of the socket's family; nil and a text.
local function resolve(self, host, port)
  if host == "*" then host = self._family == 6 and "::" or "0.0.0.0" end
  local limit = self:_limit()
  local found, message, code = task.resolve(host, port, limit and math.max(0, limit - core.now()))
  if not found then return nil, code == "timeout" and "timeout" or message end
  local out = {}
  for _, address in ipairs(found) do
    if not self._family or Base.family_of(address) == self._family then out[#out + 1] = address end
  end
  if not out[1] then return nil, host .. ": no address of this family" end
  return out
end

local function is_over(self)
  if self._closed then return "closed" end
  if task.is_simulated() then return NOT_HERE end
end

-- The path of a Unix socket, or a host and its port.
local function check_name(self, host, port)
  if type(host) ~= "string" then error("a name or an address is a string, not a " .. type(host), 3) end
  if self._family == "unix" then return host end
  return host, Base.check_port(port, 3)
end

--- Binds to an address of this machine, "*" for all: 1, or nil and a text.
function Tcp:bind(host, port)
  host, port = check_name(self, host, port)
  local why = is_over(self)
  if why then return nil, why end
  if self._family == "unix" then
    self._path = host
    return 1
  end
  self:_begin()
  local addresses, message = resolve(self, host, port)
  if not addresses then return nil, message end
  local family = Base.family_of(addresses[1])
  if not self._socket then
    self._socket, message = self:_make("tcp", family)
    if not self._socket then return nil, message end
  end
  self._family = family
  return done(self._socket:bind(addresses[1]))
end

--- Listens at what it was bound to: 1, or nil and a text.
function Tcp:listen(backlog)
  local why = is_over(self)
  if why then return nil, why end
  if self._path and not self._socket then
    local socket, message, code, number = core.unix_listen(self._path)
    if not socket then return nil, text_of(message, code, number) end
    self._socket = socket
    return 1
  end
  if not self._socket then return nil, "it is not bound" end
  return done(self._socket:listen(backlog or BACKLOG))
end

--- The next client; nil and a text, "timeout" after the time of settimeout.
function Tcp:accept()
  if not self._socket or self._closed then return nil, "closed" end
  self:_begin()
  local socket, message, code, number = self:_accept(self:_limit())
  if not socket then return nil, text_of(message, code, number) end
  return Tcp.new(self._family, socket)
end

-- With a socket that is there already, as it was bound: its addresses one after the other.
local function connect_bound(self, addresses)
  local last = "no address"
  for _, address in ipairs(addresses) do
    local ok, message, code, number = self._socket:connect(address)
    if code == "again" then
      ok, message, code, number = self:_wait("_writer", self:_limit())
      if ok then ok, message, code, number = self._socket:connected() end
    end
    if ok then return true end
    last = text_of(message, code, number)
    if last == "timeout" then break end
  end
  return nil, last
end

local function connect_unix(self, path)
  local limit = self:_limit()
  local made, message, code, number = unix.connect(path, limit and math.max(0, limit - core.now()))
  if not made then return nil, text_of(message, code, number) end
  self._socket = made._socket
  return 1
end

--- Connects to a host, by whichever of its addresses answers first, or to the path of a Unix socket: 1, or nil and a
-- text.
function Tcp:connect(host, port)
  host, port = check_name(self, host, port)
  local why = is_over(self)
  if why then return nil, why end
  self:_begin()
  if self._family == "unix" then return connect_unix(self, host) end
  local addresses, message = resolve(self, host, port)
  if not addresses then return nil, message end
  self._host = host
  if self._socket then
    local ok
    ok, message = connect_bound(self, addresses)
    if not ok then return nil, message end
    return 1
  end
  local socket
  socket, message = connecting.race(addresses, self:_limit(), function(family) return self:_make("tcp", family) end)
  if not socket then return nil, message end
  if self._closed then -- by another task
    socket:close()
    return nil, "closed"
  end
  self._socket, self._family = socket, Base.family_of(socket:name())
  return 1
end

function Tcp:_fill(deadline)
  local before = self:_held()
  local ok, message, code, number = Descriptor._fill(self, deadline)
  self._received = self._received + self:_held() - before
  return ok, message, code, number
end

-- What has come of something that does not come whole.
local function rest_of(self, is_line)
  local rest = self:_take(self:_held())
  return is_line and rest:gsub("\r", "") or rest
end

--- Reads a line without its end ("*l", the preset), so many bytes, or all until the other side ends ("*a"); `prefix`
-- stands before it and counts. nil, "closed", "timeout" or another text, and what has come so far.
function Tcp:receive(pattern, prefix)
  pattern, prefix = pattern or "*l", prefix and tostring(prefix) or ""
  local wanted = tonumber(pattern)
  local kind = not wanted and tostring(pattern):match("^%*?([al])")
  if not wanted and not kind then error("receive takes a number, \"*l\" or \"*a\"", 2) end
  if wanted and wanted < 0 then error("receive takes a number from 0", 2) end
  if not self._socket then return nil, "closed", prefix end
  local is_line = kind == "l"
  local most = is_line and LINE_MOST or MOST
  wanted = wanted and wanted - #prefix
  self:_begin()
  while true do
    if is_line then
      local size = self:_find_line()
      if size then return prefix .. self:_take(size):gsub("[\r\n]", "") end
    elseif wanted and self:_held() >= wanted then
      return prefix .. (wanted > 0 and self:_take(wanted) or "")
    end
    if self:_held() > most or wanted and wanted > most then return nil, "limit", prefix .. rest_of(self, is_line) end
    local ok, message, code, number = self:_fill(self:_limit())
    if not ok then
      local rest = rest_of(self, is_line)
      if kind == "a" and message == nil and #rest > 0 then return prefix .. rest end
      return nil, text_of(message, code, number), prefix .. rest
    end
  end
end

local function place(value, otherwise, size)
  value = value or otherwise
  return value < 0 and size + value + 1 or value
end

-- TLS may have taken what has not left yet.
local function flush(self)
  while self._socket.flush do
    local ok, message, code, number = self._socket:flush()
    if ok then return true end
    if code == "again" then ok, message, code, number = self:_wait("_writer", self:_limit()) end
    if not ok then return nil, message, code, number end
  end
  return true
end

--- Sends data[i .. j]: the place of the last byte that was sent; nil, a text, and that place.
function Tcp:send(data, i, j)
  data = type(data) == "number" and tostring(data) or data
  if type(data) ~= "string" then error("send takes a string, not a " .. type(data), 2) end
  local from, to = math.max(1, place(i, 1, #data)), math.min(#data, place(j, -1, #data))
  if not self._socket or self._closed then return nil, "closed", from - 1 end
  local at = from
  self:_begin()
  while at <= to do
    local count, message, code, number = self._socket:write(data, at, to)
    if count then
      at = at + count
      self._sent = self._sent + count
    elseif code == "again" then
      local ok
      ok, message, code, number = self:_wait("_writer", self:_limit())
      if not ok then return nil, text_of(message, code, number), at - 1 end
    else
      return nil, text_of(message, code, number), at - 1
    end
  end
  local ok, message, code, number = flush(self)
  if not ok then return nil, text_of(message, code, number), at - 1 end
  return at - 1
end

--- Ends one direction or "both": 1, or nil and a text.
function Tcp:shutdown(how)
  if not self._socket or self._closed then return nil, "closed" end
  return done(self._socket:shutdown(how))
end

-- ---- TLS

-- Takes the stream in the place of the descriptor, and moves bytes until its handshake is done.
local function begin_tls(self, params, name)
  if not self._socket or self._closed then return nil, "closed" end
  if getmetatable(self._socket) == Tls then return nil, "it speaks TLS already" end
  if self:_held() > 0 then return nil, "something came in the clear that was not read" end
  local stream, message = Tls.stream(params, name)
  if not stream then return nil, message end
  local tls = Tls.new(self._socket, stream)
  self._socket = tls
  self:_begin()
  while true do
    local ok, what, code = tls:step()
    if ok then return true end
    if code then
      self:close()
      return nil, text_of(what, code)
    end
    ok, message, code = self:_wait(what == "read" and "_reader" or "_writer", self:_limit())
    if not ok then
      self:close()
      return nil, text_of(message, code)
    end
  end
end

--- The name that TLS asks for and verifies; that of connect unless told.
function Tcp:sni(name)
  self._tls_name = name
  return true
end

--- LuaSec's: the handshake by the parameters that were given to wrap. true, or nil and a text; then it is closed.
function Tcp:dohandshake()
  if not self._tls_params then error("dohandshake is for what ssl.wrap has wrapped", 2) end
  return begin_tls(self, self._tls_params, self._tls_name or self._host)
end

local VERIFIED, ANY = { verify = "peer" }, { verify = "none" }

--- OpenResty's: begins TLS by the system's roots, or without verification where `verify` is false. true, or nil and a
-- text.
function Tcp:sslhandshake(_, name, verify)
  return begin_tls(self, verify == false and ANY or VERIFIED, name or self._tls_name or self._host)
end

--- { protocol = ("TLSv1.3"), cipher, alpn, server_name }, or nil and a text.
function Tcp:info(what)
  if not self._socket or self._closed or getmetatable(self._socket) ~= Tls then return nil, "it speaks no TLS" end
  local alpn, version, suite, name = self._socket._stream:info()
  local info = { protocol = version, cipher = suite, alpn = alpn, server_name = name }
  if what then return info[what] end
  return info
end

--- The DER of a certificate of the other side's, leaf first; nil behind the last.
function Tcp:peer_certificate(index)
  if not self:info() then return nil end
  return self._socket._stream:peer_certificate(index)
end

-- Libraries go through the methods of a socket's class: they find all of them in one table.
for _, class in ipairs { Base, Descriptor } do
  for name, method in pairs(class) do
    if rawget(Tcp, name) == nil then Tcp[name] = method end
  end
end

return Tcp
