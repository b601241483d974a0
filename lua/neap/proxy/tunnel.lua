--- A connection that has become another protocol's (RFC 9110 §7.8), which is WebSocket's: bytes both ways, at which
-- nobody looks.
local concurrent = require "neap.concurrent"
local core = require "neap.core"
local fields = require "neap.proxy.fields"
local Session = require "neap.session"

local read, write = Session.exchange_methods.read, Session.exchange_methods.write

local tunnel = {}

-- Bytes of one side to the other until they end, which is said. `shared.at` is when some came, either way.
local function carry(from, to, shared, seconds)
  while true do
    local bytes, message, code = read(from, nil, seconds)
    if bytes then
      shared.at = core.now()
      if not write(to, bytes, false, seconds) then return false end
    elseif code ~= "timeout" then
      return not message and write(to, "", true, seconds) and true or false
    elseif core.now() - shared.at >= seconds then
      return false
    end
  end
end

--- Answers the client as the upstream has, by 101, and carries bytes until both sides have ended, one breaks off or
-- nothing comes for `seconds`. Whether it ended well; nil, message, code: the upstream gave another protocol, or the
-- client has gone.
function tunnel.run(exchange, req, res, head, seconds)
  local protocol
  for i = 3, #head, 2 do
    if head[i] == "upgrade" then protocol = head[i + 1] end
  end
  if not protocol or protocol:lower() ~= "websocket" then return nil, "101 of another protocol", "protocol" end
  local list = fields.passed(head, 3)
  local answer = { ":status", "101", "upgrade", "websocket" }
  for i = 1, #list do answer[i + 4] = list[i] end
  local ok = req._session.transport:send_response(req._stream, answer, false)
  if not ok then return nil, "the client has gone", "gone" end
  -- Its response has been sent; what comes now begins anew.
  res._started, res._ended, res._status = true, true, 101
  req._finished, req._has_data = false, true
  local shared = { at = core.now() }
  local up = concurrent.go(carry, req, exchange, shared, seconds)
  local down_ended = carry(exchange, req, shared, seconds)
  if not down_ended then up:cancel() end
  local up_ended = down_ended and up:join()
  if not (down_ended and up_ended) then
    req._session.transport:cancel(req._stream, "request_cancelled")
    return false
  end
  return true
end

return tunnel
