-- Two ends of HTTP/2, or one and frames made by hand.
local units = require("neap.units")

local h2 = {}

h2.PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
h2.GET = { { ":method", "GET" }, { ":scheme", "https" }, { ":authority", "localhost" }, { ":path", "/" } }
h2.POST = { { ":method", "POST" }, { ":scheme", "https" }, { ":authority", "localhost" }, { ":path", "/" } }
h2.OK = { { ":status", "200" } }

local TYPES = { data = 0, headers = 1, priority = 2, rst_stream = 3, settings = 4, push_promise = 5, ping = 6,
  goaway = 7, window_update = 8, continuation = 9, priority_update = 16 }
local NAMES = {}
for name, number in pairs(TYPES) do NAMES[number] = name end
h2.END_STREAM, h2.ACK, h2.END_HEADERS, h2.PADDED = 1, 1, 4, 8

h2.code = { NO_ERROR = 0x100, GENERAL_PROTOCOL_ERROR = 0x101, INTERNAL_ERROR = 0x102, EXCESSIVE_LOAD = 0x107,
  REQUEST_REJECTED = 0x10b, REQUEST_CANCELLED = 0x10c, REQUEST_INCOMPLETE = 0x10d, MESSAGE_ERROR = 0x10e }

h2.number = require "spec.support.big_endian"

local number = h2.number

function h2.frame(kind, flags, stream, payload)
  payload = payload or ""
  return number(#payload, 3) .. string.char(TYPES[kind] or kind, flags) .. number(stream, 4) .. payload
end

local frame = h2.frame

--- Field lines without any table: literals that are not indexed (RFC 7541 §6.2.2).
function h2.block(fields)
  local lines = {}
  local function text(bytes)
    if #bytes < 127 then return string.char(#bytes) .. bytes end
    local rest, size = #bytes - 127, ""
    while rest >= 128 do
      size = size .. string.char(rest % 128 + 128)
      rest = math.floor(rest / 128)
    end
    return "\127" .. size .. string.char(rest) .. bytes
  end
  for i, field in ipairs(fields) do lines[i] = "\0" .. text(field[1]) .. text(field[2]) end
  return table.concat(lines)
end

function h2.headers(stream, fields, fin)
  return frame("headers", h2.END_HEADERS + (fin and h2.END_STREAM or 0), stream, h2.block(fields))
end

function h2.data(stream, bytes, fin) return frame("data", fin and h2.END_STREAM or 0, stream, bytes) end
function h2.reset(stream, code) return frame("rst_stream", 0, stream, number(code, 4)) end
function h2.window_update(stream, increment) return frame("window_update", 0, stream, number(increment, 4)) end

--- { {identifier, value}, … }
function h2.settings(list)
  local payload = ""
  for _, setting in ipairs(list or {}) do payload = payload .. number(setting[1], 2) .. number(setting[2], 4) end
  return frame("settings", 0, 0, payload)
end

h2.SETTINGS_ACK = frame("settings", h2.ACK, 0)

--- fields with others behind them
function h2.with(fields, ...)
  local all = {}
  for _, field in ipairs(fields) do all[#all + 1] = field end
  for _, field in ipairs({ ... }) do all[#all + 1] = field end
  return all
end

local function value_of(bytes, first, last)
  local value = 0
  for i = first, last do value = value * 256 + bytes:byte(i) end
  return value
end

--- The frames in `bytes`: { { type =, flags =, stream =, payload = }, … }; the preface before them is passed over.
function h2.frames(bytes)
  local list, at = {}, bytes:sub(1, #h2.PREFACE) == h2.PREFACE and #h2.PREFACE + 1 or 1
  while at + 8 <= #bytes do
    local size = value_of(bytes, at, at + 2)
    list[#list + 1] = { type = NAMES[bytes:byte(at + 3)] or bytes:byte(at + 3), flags = bytes:byte(at + 4),
      stream = value_of(bytes, at + 5, at + 8), payload = bytes:sub(at + 9, at + 8 + size) }
    at = at + 9 + size
  end
  return list
end

--- Those of one type.
function h2.of_type(frames, kind)
  local found = {}
  for _, one in ipairs(frames) do
    if one.type == kind then found[#found + 1] = one end
  end
  return found
end

--- The error code of a GOAWAY or RST_STREAM.
function h2.error_of(one) return value_of(one.payload, #one.payload < 8 and 1 or 5, #one.payload < 8 and 4 or 8) end

--- An end of a connection; options as of units.transport.
function h2.server(options)
  options = options or {}
  options.server = true
  return units.transport.http2(options)
end

function h2.client(options) return units.transport.http2(options or {}) end

--- A server whose client, played by the spec, has said its preface and taken the server's settings.
function h2.hostile(options, settings)
  local server = h2.server(options)
  server:receive(h2.PREFACE .. h2.settings(settings) .. h2.SETTINGS_ACK)
  server:send()
  server:poll()
  return server
end

--- Carry bytes both ways until there are none.
function h2.run(a, b)
  repeat
    local there, back = a:send(), b:send()
    if #there > 0 then b:receive(there) end
    if #back > 0 then a:receive(back) end
  until #there == 0 and #back == 0
end

--- Two ends that know each other's settings.
function h2.pair(client_options, server_options)
  local client, server = h2.client(client_options), h2.server(server_options)
  h2.run(client, server)
  assert(client:poll().type == "settings" and server:poll().type == "settings")
  return client, server
end

--- All events; bodies are read at once, into `body` of the data event, unless keep_body.
function h2.events(one, keep_body)
  local events = {}
  while true do
    local event, err = one:poll()
    if not event then return events, err end
    if event.type == "data" and not keep_body then
      local parts, part = {}, one:recv_body(event.stream)
      while part do
        parts[#parts + 1] = part
        part = one:recv_body(event.stream)
      end
      event.body = table.concat(parts)
    end
    events[#events + 1] = event
  end
end

--- "headers:1 data:1(hello) finished:1"
function h2.story(one)
  local words = {}
  for i, event in ipairs((h2.events(one))) do
    local detail = event.body or (event.code and ("0x%x"):format(event.code)) or (event.fin and "fin")
    local where = event.type == "closed" and "" or ":" .. event.stream
    words[i] = event.type .. where .. (detail and "(" .. detail .. ")" or "")
  end
  return table.concat(words, " ")
end

return h2
