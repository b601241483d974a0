--- Requests that leave with the first packets of a connection, by 0-RTT (RFC 8470 §4): who sees them on their way can
-- send them again, and a server may pass them over.
local client_early = {}

local SAFE = { GET = true, HEAD = true, OPTIONS = true, TRACE = true }

--- Whether a request may leave so: it asks for that, nothing is changed when it is answered twice (unless it says that
-- this is well), and all of it can be sent again.
function client_early.is_allowed(method, request)
  local body = request.body
  if not request.early or request.file or request.trailers then return false end
  if body ~= nil and type(body) ~= "string" then return false end
  return SAFE[method] or request.early == "unsafe"
end

--- The same request, to be sent when the handshake is complete.
function client_early.without(request)
  local other = {}
  for name, value in pairs(request) do other[name] = value end
  other.early = nil
  return other
end

local Offer = {}
Offer.__index = Offer

--- What may be sent on a connection that is being made: the fields, and the whole body, if there is one.
function client_early.offer(fields, text)
  return setmetatable({ fields = fields, text = text }, Offer)
end

--- Sends it on the first connection that takes it so.
function Offer:send(attempt)
  local session = attempt.session
  if self.exchange or session.closed or not attempt.conn:is_early() then return end
  local text = self.text
  local stream = session.h3:send_request(self.fields, not text)
  if not stream then return end
  local exchange = session:exchange(stream)
  exchange.was_early = true
  self.exchange = exchange
  if not text then return end
  local taken = session.h3:send_body(stream, text, true) or 0
  -- What does not fit goes on when the server has answered.
  if taken < #text then self.rest = text:sub(taken + 1) end
end

--- The exchange, when it is this connection that was made, and its server reads what came early; nil: the request is to
-- be sent.
function Offer:settle(attempt)
  local exchange = self.exchange
  if exchange and exchange._session == attempt.session and attempt.conn:early() == "accepted" then return exchange end
  self:forget()
end

--- Nobody waits for its response any more.
function Offer:forget()
  local exchange = self.exchange
  if exchange then exchange._session:forget(exchange) end
  self.exchange = nil
end

return client_early
