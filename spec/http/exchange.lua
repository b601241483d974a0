-- A client and a server connected in virtual time. Either side speaks HTTP/3, or is played by the spec
-- stream by stream.
local units = require("neap.units")

local exchange = {}

local DATA, HEADERS, SETTINGS = 0, 1, 4
exchange.CONTROL, exchange.PUSH, exchange.ENCODER, exchange.DECODER = 0, 1, 2, 3

exchange.GET = { { ":method", "GET" }, { ":scheme", "https" }, { ":authority", "localhost" }, { ":path", "/" } }
exchange.POST = { { ":method", "POST" }, { ":scheme", "https" }, { ":authority", "localhost" }, { ":path", "/" } }
exchange.OK = { { ":status", "200" } }

local certificate, key

--- A pair whose handshake is done. options: as http_pair.new, and speaks = { "client", "server" } (both by default).
function exchange.pair(options)
  options = options or {}
  if not certificate then certificate, key = units.http_pair.certificate() end
  options.certificate, options.key, options.seed = certificate, key, options.seed or 1
  local pair = units.http_pair.new(options)
  pair:run()
  assert(pair:established("client") and pair:established("server"))
  for _, side in ipairs(options.speaks or { "client", "server" }) do pair:h3(side, options.max_field_section_size) end
  pair:run()
  return pair
end

--- A variable-length integer, in `size` bytes if given.
function exchange.varint(value, size)
  size = size or (value < 64 and 1 or value < 16384 and 2 or value < 2 ^ 30 and 4 or 8)
  local bytes = {}
  for i = size, 1, -1 do
    bytes[i] = value % 256
    value = math.floor(value / 256)
  end
  bytes[1] = bytes[1] + ({ 0, 64, 0, 128, 0, 0, 0, 192 })[size]
  return string.char(unpack(bytes))
end

local varint = exchange.varint

--- A frame; `declared` is the length in its header when that is to be a lie.
function exchange.frame(frame_type, payload, declared)
  return varint(frame_type) .. varint(declared or #payload) .. payload
end

function exchange.headers(fields) return exchange.frame(HEADERS, units.http.qpack_encode(fields)) end
function exchange.data(bytes) return exchange.frame(DATA, bytes) end

--- { {id, value}, … } as a SETTINGS frame.
function exchange.settings(list)
  local payload = ""
  for _, setting in ipairs(list or {}) do payload = payload .. varint(setting[1]) .. varint(setting[2]) end
  return exchange.frame(SETTINGS, payload)
end

--- fields with others behind them
function exchange.with(fields, ...)
  local all = {}
  for _, field in ipairs(fields) do all[#all + 1] = field end
  for _, field in ipairs({ ... }) do all[#all + 1] = field end
  return all
end

-- What every connection tells once.
local QUIET = { settings = true, established = true, closed = true }

--- All events of a side but those. Bodies are read at once, into `body` of the data event, unless keep_body.
function exchange.events(pair, side, keep_body)
  local events = {}
  while true do
    local event, err = pair:poll(side)
    if not event then return events, err end
    if event.type == "data" and not keep_body then
      local body, chunk = {}, pair:recv_body(side, event.stream)
      while chunk do
        body[#body + 1] = chunk
        chunk = pair:recv_body(side, event.stream)
      end
      event.body = table.concat(body)
    end
    if not QUIET[event.type] then events[#events + 1] = event end
  end
end

--- The same as one line: "headers:0 data:0(5) finished:0".
function exchange.story(pair, side)
  local words = {}
  for i, event in ipairs((exchange.events(pair, side))) do
    local extra = event.body and ("(%d)"):format(#event.body) or event.code and ("(0x%x)"):format(event.code) or ""
    words[i] = ("%s:%d%s"):format(event.type, event.stream, extra)
  end
  return table.concat(words, " ")
end

local Peer = {}
Peer.__index = Peer

--- A peer that the spec plays: `side` of a pair whose other side speaks HTTP/3. Its control stream is open
--- and has sent SETTINGS unless options.silent.
function exchange.peer(side, options)
  options = options or {}
  local other = side == "client" and "server" or "client"
  options.speaks = { other }
  local pair = exchange.pair(options)
  local self = setmetatable({ pair = pair, side = side, other = other }, Peer)
  if not options.silent then self.control = self:uni(exchange.CONTROL, exchange.settings(options.settings)) end
  return self
end

--- Open a unidirectional stream of a type, with bytes behind it.
function Peer:uni(stream_type, bytes)
  local id = assert(self.pair:open(self.side, false))
  self:send(id, varint(stream_type) .. (bytes or ""))
  return id
end

--- Open a request stream and send bytes.
function Peer:bidi(bytes, fin)
  local id = assert(self.pair:open(self.side, true))
  self:send(id, bytes or "", fin)
  return id
end

--- Send everything and let it arrive; the other side polls after each piece.
function Peer:send(id, bytes, fin)
  local at = 1
  repeat
    local taken = self.pair:send(self.side, id, bytes:sub(at), fin or false)
    if taken then at = at + taken end
    self.pair:run()
    self.last = exchange.events(self.pair, self.other)
    self.pair:run()
    if self.pair:closed(self.side) then return end
  until at > #bytes
end

--- Bytes that came on a stream, whether it ended, and the code when it was reset.
function Peer:received(id)
  local bytes = {}
  while true do
    local chunk, fin, code = self.pair:recv(self.side, id)
    if not chunk then return table.concat(bytes), false, code end
    bytes[#bytes + 1] = chunk
    if fin then return table.concat(bytes), true end
  end
end

--- The code the other side closed the connection with, nil while it is open.
function Peer:close_code()
  exchange.events(self.pair, self.other)
  self.pair:run()
  local info = self.pair:closed(self.other)
  if not info then return nil end
  assert(info.is_application, "closed with a transport code")
  local seen = self.pair:closed(self.side)
  assert(seen and seen.code == info.code, "the peer was told another code")
  return info.code, info.reason
end

function Peer:story() return exchange.story(self.pair, self.other) end

function Peer:free() self.pair:free() end

--- Names of the codes that specs compare.
exchange.code = {
  NO_ERROR = 0x100, GENERAL_PROTOCOL_ERROR = 0x101, INTERNAL_ERROR = 0x102, STREAM_CREATION_ERROR = 0x103,
  CLOSED_CRITICAL_STREAM = 0x104, FRAME_UNEXPECTED = 0x105, FRAME_ERROR = 0x106, EXCESSIVE_LOAD = 0x107,
  ID_ERROR = 0x108, SETTINGS_ERROR = 0x109, MISSING_SETTINGS = 0x10a, REQUEST_REJECTED = 0x10b,
  REQUEST_CANCELLED = 0x10c, REQUEST_INCOMPLETE = 0x10d, MESSAGE_ERROR = 0x10e, CONNECT_ERROR = 0x10f,
  DECOMPRESSION_FAILED = 0x200, ENCODER_STREAM_ERROR = 0x201, DECODER_STREAM_ERROR = 0x202,
}

--- The errors of neap.h.
exchange.err = {
  AGAIN = -1, NO_MEMORY = -2, ARGUMENT = -3, CLOSED = -4, STREAM_STATE = -8, STREAM_LIMIT = -9, STOPPED = -11,
  LIMIT = -15,
}

return exchange
