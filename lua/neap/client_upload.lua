--- Bodies of a client's requests, on their way.
local core = require "neap.core"
local Headers = require "neap.headers"
local Response = require "neap.client_response"
local Session = require "neap.session"

local exchange_methods = Session.exchange_methods
local break_off = Response.break_off

local client_upload = {}

local PIECE = 65536 -- bytes whose leaving is progress

-- Writes a chunk by pieces, each of which is progress.
local function send_chunk(exchange, chunk, limits)
  for at = 1, #chunk, PIECE do
    if limits:is_over() then return nil, limits:why() end
    local piece = #chunk <= PIECE and chunk or chunk:sub(at, at + PIECE - 1)
    local ok, message, code = exchange_methods.write(exchange, piece, false, limits:left())
    if not ok and code == "timeout" then message = limits:why() end
    if not ok then return nil, message, code end
    exchange.progress_at = core.now()
  end
  return true
end

-- A file of neap.core by pieces, and the end.
local function send_file(exchange, file, size, fin, limits)
  local at = 0
  repeat
    if limits:is_over() then return nil, limits:why() end
    local count = math.min(PIECE, size - at)
    local ok, message, code = exchange_methods.send_file(exchange, file, at, count, fin and at + count == size,
      limits:left())
    if not ok and code == "timeout" then message = limits:why() end
    if not ok then return nil, message, code end
    at = at + count
    exchange.progress_at = core.now()
  until at == size
  return true
end

-- What of the sending of a body breaks a request off; a server that stops it does not.
local BREAKS = { timeout = true, truncated = true, system = true, argument = true }

-- A body that is a file: whether it is on its way.
local function send_whole_file(exchange, file, size, trailers, limits)
  local ok, message, code = send_file(exchange, file, size, not trailers, limits)
  if code == "argument" then message = "the file has another size than its content-length" end
  if BREAKS[code] then break_off(exchange, message, code == "timeout" and code or nil) end
  return ok
end

local function send_chunks(exchange, source, size, trailers, limits)
  if type(source) == "userdata" then
    if not send_whole_file(exchange, source, size, trailers, limits) or not trailers then return end
    source = function() end
  end
  while true do
    local chunk, reason = source()
    if chunk == nil or chunk == false then
      if reason then return break_off(exchange, tostring(reason)) end
      break
    end
    if type(chunk) ~= "string" then return break_off(exchange, "a body's function gave a " .. type(chunk)) end
    -- A server may answer and stop us before it has read everything: its response counts.
    local sent, message, code = send_chunk(exchange, chunk, limits)
    if code == "timeout" then return break_off(exchange, message, code) end
    if code == "argument" then return break_off(exchange, "the body is longer than its content-length") end
    if not sent then return end
  end
  local ok, message, code
  if trailers then
    local fields = Headers.list(Headers.new(trailers))
    ok, message, code = exchange._session.transport:send_trailers(exchange._stream, fields)
    if not ok and code == "argument" then message = Headers.problem(fields) end
  else
    ok, message, code = exchange_methods.write(exchange, "", true, limits:left())
    if not ok and code == "argument" then message = "the body is shorter than its content-length" end
  end
  if not ok and code == "argument" then break_off(exchange, message) end
end

--- Sends what `source` gives, a file of `size` bytes or a function as neap.body makes it, and then the trailers. What
-- goes wrong here breaks the request off.
function client_upload.send(exchange, source, size, trailers, limits)
  local ok, message = pcall(send_chunks, exchange, source, size, trailers, limits)
  if type(source) == "userdata" then source:close() end
  if not ok then break_off(exchange, tostring(message)) end
  exchange.is_uploading = false
  if exchange.is_over then exchange._session:forget(exchange) end
end

return client_upload
