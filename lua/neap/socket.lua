--- Sockets for scripts with the names and results of LuaSocket 3, and of LuaSec for TLS. All that waits yields: it is
-- for tasks (neap.go, neap.run, handlers). socket.install() has libraries that say require "socket" find it.
local Base = require "neap.socket_base"
local core = require "neap.core"
local Descriptor = require "neap.descriptor"
local dns = require "neap.dns"
local task = require "neap.task"
local Tcp = require "neap.socket_tcp"
local Udp = require "neap.socket_udp"

local socket = { _VERSION = "LuaSocket 3.0 (neap)", BLOCKSIZE = 2048, _SETSIZE = core.most_open() }

function socket.tcp() return Tcp.new() end
function socket.tcp4() return Tcp.new(4) end
function socket.tcp6() return Tcp.new(6) end
function socket.udp() return Udp.new() end
function socket.udp4() return Udp.new(4) end
function socket.udp6() return Udp.new(6) end

local function new_unix() return Tcp.new("unix") end
socket.unix = setmetatable({ stream = new_unix, tcp = new_unix }, { __call = new_unix })

--- Seconds since 1970.
function socket.gettime() return core.time() end

function socket.sleep(seconds) task.sleep(math.max(0, seconds)) end

local function family_of(name)
  return name == "inet" and 4 or name == "inet6" and 6 or nil
end

--- A connected TCP socket, from a local address where one is given; nil and a text.
function socket.connect(host, port, local_host, local_port, family)
  local self = Tcp.new(family_of(family))
  local ok, message = 1, nil
  if local_host then ok, message = self:bind(local_host, local_port or 0) end
  if ok then ok, message = self:connect(host, port) end
  if ok then return self end
  self:close()
  return nil, message
end
function socket.connect4(host, port, local_host, local_port)
  return socket.connect(host, port, local_host, local_port, "inet")
end
function socket.connect6(host, port, local_host, local_port)
  return socket.connect(host, port, local_host, local_port, "inet6")
end

--- A TCP socket that listens; nil and a text.
function socket.bind(host, port, backlog)
  local self = Tcp.new()
  self:setoption("reuseaddr", true)
  local ok, message = self:bind(host, port)
  if ok then ok, message = self:listen(backlog) end
  if ok then return self end
  self:close()
  return nil, message
end

-- ---- select

-- What waits for an object of somebody else's, which has getfd.
local function descriptor_of(object, borrowed)
  if getmetatable(object) and object._wait then return object end
  local fd = object:getfd()
  if borrowed[fd] == nil then borrowed[fd] = fd >= 0 and Descriptor.open(fd, { borrowed = true }) or false end
  return borrowed[fd]
end

local function add_ready(out, object)
  out[#out + 1] = object
  out[object] = #out
end

-- Those of the lists that are ready now.
local function look(reads, writes, of)
  local readable, writable = {}, {}
  for _, object in ipairs(reads) do
    local d = of(object)
    if d and d._socket then
      local is_ready = object.dirty and object:dirty() or d._closed or (d._socket:ready())
      if is_ready then add_ready(readable, object) end
    end
  end
  for _, object in ipairs(writes) do
    local d = of(object)
    if d and d._socket and (d._closed or select(2, d._socket:ready())) then add_ready(writable, object) end
  end
  return readable, writable
end

--- Waits until one of the sockets can be read or written: two lists of those, each also by the socket; and "timeout"
-- when it took `timeout` seconds (nil, or below 0: no bound). Each may be waited for by one task at a time.
function socket.select(reads, writes, timeout)
  reads, writes = reads or {}, writes or {}
  local borrowed = {}
  local function of(object) return descriptor_of(object, borrowed) end
  local function all(list)
    local out = {}
    for _, object in ipairs(list) do
      local d = of(object)
      if d and d._socket then out[#out + 1] = d end
    end
    return out
  end
  local deadline = timeout and timeout >= 0 and core.now() + timeout or nil
  local readable, writable, message
  repeat
    readable, writable = look(reads, writes, of)
    local has_any = readable[1] or writable[1]
    if not has_any then
      local ok, text, code = Descriptor.wait_any(all(reads), all(writes), deadline)
      if not ok then message = code == "timeout" and "timeout" or text end
      if not ok and code == "timeout" then readable, writable = look(reads, writes, of) end
    end
  until has_any or message
  for _, d in pairs(borrowed) do
    if d then d:close() end
  end
  if readable[1] or writable[1] then return readable, writable end
  return readable, writable, message
end

-- ---- names

socket.dns = {}

local function lookup(host)
  local found, message = task.resolve(host, 0)
  if not found then return nil, message end
  local out = {}
  for i, address in ipairs(found) do
    local ip, _, family = Base.split(address)
    out[i] = { addr = ip, family = family }
  end
  return out
end

--- The first address of a name, IPv4 where there is one, and { name =, ip = { … }, alias = {} }; nil and a text.
function socket.dns.toip(host)
  local found, message = lookup(host)
  if not found then return nil, message end
  local info, first = { name = host, ip = {}, alias = {} }, nil
  for i, one in ipairs(found) do
    info.ip[i] = one.addr
    if not first and one.family == "inet" then first = one.addr end
  end
  return first or info.ip[1], info
end

--- A list of { family =, addr = }; nil and a text.
function socket.dns.getaddrinfo(host) return lookup(host) end

function socket.dns.gethostname() return core.host_name() end

--- The name of an address, and { name =, ip = { it }, alias = { others } }; nil and a text.
function socket.dns.tohostname(ip)
  local names, message = dns.reverse(ip)
  if not names then return nil, message end
  return names[1], { name = names[1], ip = { ip }, alias = { (table.unpack or unpack)(names, 2) } }
end

-- ---- exceptions, as LuaSocket's own modules use them

local Thrown = {}

--- A function that hands its arguments through; where the first is nil or false it raises the second for protect, after
-- finalizer().
function socket.newtry(finalizer)
  return function(...)
    if (...) then return ... end
    if finalizer then pcall(finalizer) end
    error(setmetatable({ (select(2, ...)) }, Thrown), 0)
  end
end
socket.try = socket.newtry()

local function unwrap(ok, ...)
  if ok then return ... end
  local thrown = ...
  if getmetatable(thrown) == Thrown then return nil, thrown[1] end
  error(thrown, 0)
end

--- fn with what a try has raised as nil and that.
function socket.protect(fn)
  return function(...) return unwrap(pcall(fn, ...)) end
end

function socket.skip(count, ...) return select(count + 1, ...) end

-- ---- sources and sinks of LTN 12

socket.sinkt, socket.sourcet = {}, {}

--- Picks from a table of constructors by the name that comes first, "default" without one.
function socket.choose(constructors)
  return function(name, ...)
    if type(name) ~= "string" then return constructors.default(name, ...) end
    local constructor = constructors[name]
    if not constructor then error("unknown key (" .. name .. ")", 2) end
    return constructor(...)
  end
end

-- An object that is called, and tells what it works with.
local function callable(self, call)
  return setmetatable({ getfd = function() return self:getfd() end, dirty = function() return self:dirty() end },
    { __call = call })
end

socket.sinkt["close-when-done"] = function(self)
  return callable(self, function(_, chunk, message)
    if chunk then return self:send(chunk) end
    self:close()
    if message then return nil, message end
    return 1
  end)
end
socket.sinkt["keep-open"] = function(self)
  return callable(self, function(_, chunk, message)
    if chunk then return self:send(chunk) end
    if message then return nil, message end
    return 1
  end)
end
socket.sinkt.default = socket.sinkt["keep-open"]
socket.sink = socket.choose(socket.sinkt)

socket.sourcet["by-length"] = function(self, length)
  return callable(self, function()
    if length <= 0 then return nil end
    local chunk, message = self:receive(math.min(socket.BLOCKSIZE, length))
    if not chunk then return nil, message end
    length = length - #chunk
    return chunk
  end)
end
socket.sourcet["until-closed"] = function(self)
  local is_done
  return callable(self, function()
    if is_done then return nil end
    local chunk, message, rest = self:receive(socket.BLOCKSIZE)
    if chunk then return chunk end
    if message ~= "closed" then return nil, message end
    self:close()
    is_done = true
    return rest ~= "" and rest or nil
  end)
end
socket.sourcet.default = socket.sourcet["until-closed"]
socket.source = socket.choose(socket.sourcet)

-- ---- LuaSec's names

local ssl = {}

--- The socket, to speak TLS after dohandshake: see socket_tls for the parameters.
function ssl.wrap(tcp, params)
  if type(params) ~= "table" then error("wrap takes a table of parameters", 2) end
  tcp._tls_params = params
  return tcp
end

--- The parameters again: a context is what wrap takes.
function ssl.newcontext(params) return params end
socket.ssl = ssl

--- From now on require "socket", "socket.unix" and "ssl" give these, so that libraries written for LuaSocket and LuaSec
-- run unchanged in tasks: install before they are required. Gives the module.
function socket.install()
  local loaded = package.loaded
  loaded.socket, loaded["socket.core"], loaded["socket.unix"], loaded.ssl = socket, socket, socket.unix, ssl
  return socket
end

return socket
