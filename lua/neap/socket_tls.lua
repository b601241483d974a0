--- TLS in the place of a descriptor: what is read and written is plaintext, what goes over the descriptor is not.
local core = require "neap.core"
local configs = require "neap.configs"

local Tls = {}
Tls.__index = Tls

-- What is the descriptor's alone.
for _, name in ipairs { "watch", "unwatch", "fd", "name", "peer", "option", "set_option", "linger", "connected" } do
  Tls[name] = function(self, ...) return self._inner[name](self._inner, ...) end
end

--- Over a connected descriptor of the binding: `stream` is one of core.tls_side.
function Tls.new(inner, stream)
  return setmetatable({ _inner = inner, _stream = stream, _out = "", _in = "", _in_at = 1 }, Tls)
end

local function failure(self)
  local state, message, code = self._stream:state()
  if state == "failed" then return nil, message, code end
end

--- Sends what is there: true, or nil, message, code ("again").
function Tls:flush()
  while true do
    if self._out == "" then self._out = self._stream:send() end
    if self._out == "" then return true end
    local count, message, code, number = self._inner:write(self._out)
    if not count then return nil, message, code, number end
    self._out = self._out:sub(count + 1)
  end
end

--- Takes what has come: true, "" at the end, or nil, message, code ("again").
function Tls:feed()
  if self._in_at > #self._in then
    local bytes, message, code, number = self._inner:read()
    if not bytes then return nil, message, code, number end
    if bytes == "" then
      self._stream:end_of_input()
      return ""
    end
    self._in, self._in_at = bytes, 1
  end
  self._in_at = self._in_at + self._stream:receive(self._in, self._in_at)
  return true
end

--- One step of the handshake: true when it is done, else nil and "read" or "write", what is to be waited for; or nil,
-- message, code.
function Tls:step()
  while true do
    local ok, message, code = self:flush()
    if not ok then
      if code == "again" then return nil, "write" end
      return nil, message, code
    end
    local state, text, word = self._stream:state()
    if state == "failed" then return nil, text, word end
    if state ~= "handshake" then return true end
    ok, message, code = self:feed()
    if not ok then
      if code == "again" then return nil, "read" end
      return nil, message, code
    end
  end
end

function Tls:read(most)
  while true do
    local bytes = self._stream:read(most)
    if bytes ~= "" then return bytes end
    local state, message, code = self._stream:state()
    if state == "failed" then
      self:flush()
      return nil, message, code
    end
    if state ~= "open" then return "" end
    local ok, text, word, number = self:feed()
    if not ok then return nil, text, word, number end
  end
end

function Tls:write(bytes, from, to)
  local ok, message, code, number = self:flush()
  if not ok then return nil, message, code, number end
  local count = self._stream:write(bytes:sub(from or 1, math.min(to or #bytes, (from or 1) + 16383)))
  if count == 0 then
    message, code = select(2, failure(self))
    return nil, message or "closed", code or "closed"
  end
  self:flush() -- what does not leave now does before the next, or by the socket's own flush
  return count
end

function Tls:ready()
  local reads, writes = self._inner:ready()
  return reads or self._in_at <= #self._in, writes
end

function Tls:shutdown(how)
  if how ~= "receive" then
    if how == "send" then self._stream:end_output() else self._stream:close() end
    self:flush()
  end
  return self._inner:shutdown(how)
end

function Tls:close()
  self._stream:close()
  self:flush()
  self._stream:free()
  self._inner:close()
end

-- Sides of parameters that were met, so that many connections share one; a table of them is one.
local sides = setmetatable({}, { __mode = "k" })

local function config_of(params)
  local is_server = params.mode == "server"
  local options = {}
  if params.certificate then
    options.cert, options.key = params.certificate, params.key or params.certificate
  end
  local verify = params.verify
  local is_lax = verify == nil or verify == "none" or verify == false
  if is_server then
    if not is_lax then options.client_certificate, options.client_ca = "require", params.cafile or params.capath end
  elseif is_lax then
    options.verify_peer = false
  else
    options.ca = params.cafile or params.capath or true
  end
  return configs.new(options, is_server and "server" or "client", 3)
end

--- A stream by LuaSec's parameters: { mode = "client" (or "server"), verify = "none" (the preset) or "peer", cafile,
-- capath, certificate, key (paths), alpn = { … } }, or { config = one of neap's own }. nil and a text.
function Tls.stream(params, name)
  if not core.has_tls_streams then return nil, "this build has no TLS over TCP" end
  if not sides[params] then
    local config, why = params.config, nil
    if not config then config, why = config_of(params) end
    if not config then return nil, why end
    local protocols = type(params.alpn) == "string" and { params.alpn } or params.alpn
    local side, message = core.tls_side(config, params.mode == "server", protocols)
    if not side then return nil, message end
    sides[params] = side
  end
  local stream, message = sides[params]:stream(params.mode ~= "server" and name or nil)
  if not stream then return nil, message end
  return stream
end

return Tls
