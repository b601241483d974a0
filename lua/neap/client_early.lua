--- Requests that leave with the first packets of a connection, by 0-RTT (RFC 8470 §4): who sees them on their way can
-- send them again, and a server may pass them over.
local client_early = {}

local SAFE = require("neap.semantics").SAFE

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

--- What may be sent on connections that are being made to a server's addresses: the fields, and the whole body, if
-- there is one.
function client_early.offer(method, fields, text)
  local self = { is_safe = SAFE[method] or false, fields = fields, text = text }
  self.attempts, self.exchanges, self.rests = {}, {}, {}
  return setmetatable(self, Offer)
end

-- Whether it is on its way already to where it may be answered.
function Offer:is_under_way()
  for _, attempt in ipairs(self.attempts) do
    if self.exchanges[attempt] and not attempt.session.closed then return true end
  end
  return false
end

--- Sends it on a connection that takes it so. A safe one leaves on each, since nobody knows which address will answer;
-- others on one at a time.
function Offer:send(attempt)
  local session = attempt.session
  if self.exchanges[attempt] or session.closed or not attempt.conn:is_early() then return end
  if not self.is_safe and self:is_under_way() then return end
  local text = self.text
  local stream = session.transport:send_request(self.fields, not text)
  if not stream then return end
  local exchange = session:exchange(stream)
  exchange.was_early = true
  self.attempts[#self.attempts + 1] = attempt
  self.exchanges[attempt] = exchange
  if not text then return end
  local taken = session.transport:send_body(stream, text, true) or 0
  -- What does not fit goes on when the server has answered.
  if taken < #text then self.rests[attempt] = text:sub(taken + 1) end
end

--- The exchange and the rest of its body, when it was sent on the connection that was made, and its server reads what
-- came early; nil: the request is to be sent.
function Offer:settle(attempt)
  local exchange, rest = self.exchanges[attempt], self.rests[attempt]
  if exchange and attempt.conn:early() == "accepted" then
    self.exchanges[attempt] = nil
  else
    exchange, rest = nil, nil
  end
  self:forget()
  return exchange, rest
end

--- Nobody waits for its responses any more.
function Offer:forget()
  for _, attempt in ipairs(self.attempts) do
    local exchange = self.exchanges[attempt]
    if exchange then exchange._session:forget(exchange) end
  end
  self.attempts, self.exchanges, self.rests = {}, {}, {}
end

return client_early
