--- UDP sockets with LuaSocket's names and results, that yield.
local Base = require "neap.socket_base"
local core = require "neap.core"
local task = require "neap.task"

local Udp = setmetatable({}, { __index = Base })
Udp.__index = Udp

local done, text_of = Base.done, Base.text_of

--- `family`: 4, 6, or nil: by the address.
function Udp.new(family)
  return Base.new(Udp, nil, family)
end

-- An address for the socket, which is made for it where there is none; nil and a text.
local function prepare(self, host, port, level)
  if type(host) ~= "string" then error("a name or an address is a string, not a " .. type(host), level + 1) end
  port = Base.check_port(port, level + 1)
  if self._closed then return nil, "closed" end
  if task.is_simulated() then return nil, "a simulation has no UDP sockets" end
  if host == "*" then host = self._family == 6 and "::" or "0.0.0.0" end
  local limit = self:_limit()
  local found, message, code = task.resolve(host, port, limit and math.max(0, limit - core.now()))
  if not found then return nil, code == "timeout" and "timeout" or message end
  for _, address in ipairs(found) do
    local family = Base.family_of(address)
    if not self._family or self._family == family then
      if not self._socket then
        self._socket, message = self:_make("udp", family)
        if not self._socket then return nil, message end
        self._family = family
      end
      return address
    end
  end
  return nil, host .. ": no address of this family"
end

--- Binds to an address of this machine, "*" for all: 1, or nil and a text.
function Udp:setsockname(host, port)
  self:_begin()
  local address, message = prepare(self, host, port, 2)
  if not address then return nil, message end
  return done(self._socket:bind(address))
end

--- From now on send goes there, and nothing of others is received; "*": nobody any more.
function Udp:setpeername(host, port)
  if host == "*" then
    if not self._socket or self._closed then return nil, "closed" end
    return done(self._socket:connect())
  end
  self:_begin()
  local address, message = prepare(self, host, port, 2)
  if not address then return nil, message end
  return done(self._socket:connect(address))
end

-- Tries until it need not wait any more.
local function try(self, slot, fn)
  while true do
    if self._closed then return nil, "closed" end
    local value, message, code, number = fn()
    if value then return value, message end
    if code ~= "again" then return nil, text_of(message, code, number) end
    local ok
    ok, message, code, number = self:_wait(slot, self:_limit())
    if not ok then return nil, text_of(message, code, number) end
  end
end

local function check_data(data)
  if type(data) ~= "string" then error("a datagram is a string, not a " .. type(data), 3) end
end

--- A datagram to the peer of setpeername: 1, or nil and a text.
function Udp:send(data)
  check_data(data)
  if not self._socket then return nil, "closed" end
  self:_begin()
  local ok, message = try(self, "_writer", function() return self._socket:write(data) end)
  if not ok then return nil, message end
  self._sent = self._sent + #data
  return 1
end

--- A datagram to an address: 1, or nil and a text.
function Udp:sendto(data, host, port)
  check_data(data)
  self:_begin()
  local address, message = prepare(self, host, port, 2)
  if not address then return nil, message end
  local ok
  ok, message = try(self, "_writer", function() return self._socket:sendto(data, address) end)
  if not ok then return nil, message end
  self._sent = self._sent + #data
  return 1
end

--- The next datagram, cut to `size` bytes, and the address and port that it is from; nil and a text.
function Udp:receivefrom(size)
  if not self._socket then return nil, "closed" end
  self:_begin()
  local data, from = try(self, "_reader", function() return self._socket:recvfrom(size) end)
  if not data then return nil, from end
  self._received = self._received + #data
  return data, Base.split(from)
end

--- The same without where it is from.
function Udp:receive(size)
  local data, message = self:receivefrom(size)
  if not data then return nil, message end
  return data
end

return Udp
