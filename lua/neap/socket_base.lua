--- What sockets with LuaSocket's names have alike: time limits, the texts of errors, addresses, options.
local core = require "neap.core"
local Descriptor = require "neap.descriptor"

local Base = setmetatable({}, { __index = Descriptor })
Base.__index = Base

-- By number in Linux, what LuaSocket calls them: libraries compare these.
local TEXTS = {
  [13] = "permission denied", [32] = "closed", [98] = "address already in use", [103] = "closed", [104] = "closed",
  [106] = "already connected", [110] = "timeout", [111] = "connection refused",
}

--- The text of a failure: of the message, code and number of the binding's.
function Base.text_of(message, code, number)
  if TEXTS[number] then return TEXTS[number] end
  if code == "timeout" or code == "closed" or code == "limit" then return code end
  if number then return (tostring(message):gsub("^.-: ", "")) end
  return message or "closed"
end
local text_of = Base.text_of

--- 1, or nil and a text.
function Base.done(ok, message, code, number)
  if ok then return 1 end
  return nil, text_of(message, code, number)
end
local done = Base.done

--- A socket of `class` over a descriptor of the binding; nil: it is made when its family is known.
function Base.new(class, socket, family)
  local self = Descriptor.new(class, socket)
  self._family, self._options, self._born = family, {}, core.now()
  self._received, self._sent = 0, 0
  return self
end

--- Bounds each wait (`mode` "b", the preset), or a call in all ("t", also "r"); nil or below 0: no bound; 0: no wait.
function Base:settimeout(value, mode)
  if value ~= nil and type(value) ~= "number" then error("settimeout takes seconds", 2) end
  if value and value < 0 then value = nil end
  mode = mode and mode:sub(1, 1) or "b"
  if mode == "b" then self._block = value
  elseif mode == "t" or mode == "r" then self._total = value
  else error('the mode of settimeout is "b" or "t"', 2) end
  return 1
end

function Base:gettimeout()
  return self._block or -1, self._total or -1
end

--- A call begins: what it may take in all.
function Base:_begin()
  self._until = self._total and core.now() + self._total
end

--- When the next wait is over at the latest.
function Base:_limit()
  local limit = self._block and core.now() + self._block
  if limit and self._until then return math.min(limit, self._until) end
  return limit or self._until
end

--- An address with its port, in two, and the family as LuaSocket calls it.
function Base.split(address)
  local host, port = address:match("^%[(.*)%]:(%d+)$")
  if host then return host, tonumber(port), "inet6" end
  host, port = address:match("^(.*):(%d+)$")
  return host, tonumber(port), "inet"
end

function Base.join(host, port)
  return (host:find(":", 1, true) and "[%s]:%d" or "%s:%d"):format(host, port)
end

--- 4 or 6, of an address with its port.
function Base.family_of(address)
  return address:sub(1, 1) == "[" and 6 or 4
end

--- A port as a number; raises for anything else.
function Base.check_port(port, level)
  local number = tonumber(port)
  if not number or number < 0 or number > 65535 or number % 1 ~= 0 then
    error("a port is a number from 0 to 65535, not " .. tostring(port), level + 1)
  end
  return number
end

--- A new descriptor of the family, with the options that were set before there was one.
function Base:_make(kind, family)
  local socket, message, code, number = core.socket(kind, family)
  if not socket then return nil, text_of(message, code, number) end
  for _, option in ipairs(self._options) do option(socket) end
  return socket
end

local function set_linger(socket, value)
  return socket:linger(value.on and (value.timeout or 0) or nil)
end

local function set_membership(is_joined)
  return function(socket, value)
    local interface = value.interface == "*" and "0.0.0.0" or value.interface or "0.0.0.0"
    return socket:membership(is_joined, value.multiaddr .. ":0", interface .. ":0")
  end
end

local SPECIAL = {
  linger = set_linger, ["ip-add-membership"] = set_membership(true), ["ip-drop-membership"] = set_membership(false),
}

--- Sets an option by its name of LuaSocket's; before there is a socket it is kept for it. 1, or nil and a text.
function Base:setoption(name, value)
  local special = SPECIAL[name]
  local function set(socket)
    if special then return special(socket, value) end
    return socket:set_option(name, value == nil and true or value)
  end
  if self._closed then return nil, "closed" end
  if self._socket then return done(set(self._socket)) end
  self._options[#self._options + 1] = set
  return 1
end

function Base:getoption(name)
  if not self._socket or self._closed then return nil, "closed" end
  local value, message, code, number = self._socket:option(name)
  if value == nil then return nil, text_of(message, code, number) end
  return value
end

local function name_of(self, get)
  if not self._socket or self._closed then return nil, "closed" end
  local name, message, code, number = self._socket[get](self._socket)
  if not name then return nil, text_of(message, code, number) end
  if self._family == "unix" then return name end
  return Base.split(name)
end

--- Address, port and family ("inet", "inet6") of this side; of a Unix socket its path.
function Base:getsockname() return name_of(self, "name") end

--- The same of the other side.
function Base:getpeername() return name_of(self, "peer") end

function Base:getfd()
  return self._socket and self._socket:fd() or -1
end

--- Whether something was received that is not read yet, so that select finds it ready.
function Base:dirty()
  return self:_held() > 0
end

--- Bytes received, bytes sent, age in seconds.
function Base:getstats()
  return self._received, self._sent, core.now() - self._born
end

function Base:getfamily()
  return self._family == "unix" and "unix" or self._family == 6 and "inet6" or "inet"
end

function Base:close()
  if not self._closed then
    if self._socket then Descriptor.close(self) end
    self._closed = true
  end
  return 1
end

return Base
