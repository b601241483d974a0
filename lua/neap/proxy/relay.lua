--- One request of a client's over one connection to an upstream, and the response back. Nothing is held whole: each
-- side waits for the other.
local body = require "neap.body"
local concurrent = require "neap.concurrent"
local Connector = require "neap.connector"
local core = require "neap.core"
local fields = require "neap.proxy.fields"
local Session = require "neap.session"
local tunnel = require "neap.proxy.tunnel"

local read, write = Session.exchange_methods.read, Session.exchange_methods.write

local relay = {}

local MOST_INTERIM = 16 -- that a response of ours may have before it

-- Breaks off what is open at the upstream; who waits for it is woken.
local function break_off(exchange, message, code)
  local session = exchange._session
  session.is_spoiled = true
  exchange._failure = exchange._failure or message
  exchange.failure_code = exchange.failure_code or code
  exchange._reset_code = exchange._reset_code or core.http_code "request_cancelled"
  if not session.closed then session.transport:cancel(exchange._stream, "request_cancelled") end
  Session.wake(exchange)
end

-- The body of the request, on its way. What is wrong with it breaks the exchange off; an upstream that wants no more of
-- it does not: its response says why.
local function upload(exchange, req, seconds)
  while true do
    local bytes, message, code = req:read()
    exchange.progress_at = core.now()
    if exchange.is_over then return end
    if message then
      exchange.is_broken_body = { message, code }
      return break_off(exchange, message, "client")
    end
    if not bytes then break end
    if not write(exchange, bytes, false, seconds) then return end
    exchange.progress_at = core.now()
  end
  local trailers = req:trailers()
  local list = trailers and fields.passed(require("neap.headers").list(trailers))
  if list and list[1] then
    exchange._session.transport:send_trailers(exchange._stream, list)
  else
    write(exchange, "", true, seconds)
  end
  exchange.is_sent = true
end

-- A limit of ours for bodies is an error, which is the handler's to raise.
local function upload_or_tell(exchange, req, seconds)
  local ok, err = pcall(upload, exchange, req, seconds)
  if not ok then
    exchange.error = err
    break_off(exchange, "the body was not taken", "client")
  end
end

-- The final head; those before it are passed on. nil, message, code.
local function await_head(exchange, res, given)
  while true do
    local head, is_final, code = Connector.head(exchange, given.first_byte_timeout)
    if not head then
      local is_late = code == "timeout" and
        not (exchange.progress_at and core.now() - exchange.progress_at < given.first_byte_timeout)
      if code ~= "timeout" or is_late then
        return nil, exchange._failure or is_final, exchange.failure_code or code
      end
    elseif is_final then
      return head
    else
      local status = tonumber(head[2])
      -- Those of an upstream that was asked before count too.
      if status > 101 and (res._informational or 0) < MOST_INTERIM then
        if not res:informational(status, fields.passed(head, 3)) then return nil, "the client has gone", "gone" end
      end
    end
  end
end

-- The response behind its head: true; nil, message, code where it breaks off.
local function pass_body(exchange, res, given)
  while true do
    local bytes, message, code = read(exchange, nil, given.between_timeout)
    if message then return nil, exchange._failure or message, exchange.failure_code or code end
    if not bytes then break end
    if not res:write(bytes) then
      return nil, "the client has gone", "gone"
    end
  end
  local trailers = exchange._trailer_fields
  if trailers then
    local list = fields.passed(trailers)
    if list[1] then res:trailers(list) end
  end
  return true
end

local function converse(exchange, req, res, given)
  res:on_close(function(message)
    -- Nobody is there to have it.
    if message and not exchange.is_over then break_off(exchange, message, "gone") end
  end)
  if req.has_body then
    exchange.progress_at = core.now()
    exchange.task = concurrent.go(upload_or_tell, exchange, req, given.between_timeout)
  end
  local head, message, code = await_head(exchange, res, given)
  if not head then return "failed", message, code end
  if head[2] == "101" then -- nobody gets it who has not asked
    local has_ended
    has_ended, message, code = tunnel.run(exchange, req, res, head, given.tunnel_timeout)
    if has_ended == nil then return "failed", message, code end
    exchange._session.is_spoiled = true
    return "done"
  end
  if not res:is_started() then
    res:status(tonumber(head[2]))
    fields.respond(head, res, given)
  end
  if req.method == "HEAD" or exchange._no_body then
    res:start()
    return "done"
  end
  local ok
  ok, message, code = pass_body(exchange, res, given)
  if ok then return "done" end
  return "broken", message, code
end

--- Sends a request over a session and its response to the client. "done"; "failed", message, code before anything of
-- a response was sent: "gone" and "client" are the client's doing; "broken", message, code behind that; "refused",
-- message, code: nothing has left for the upstream. An error is one of the app's.
function relay.run(session, list, req, res, given)
  local exchange, message, code = Connector.request(session, list, not req.has_body)
  if not exchange then return "refused", message, code end
  session.served = session.served + 1
  local called, outcome, text, reason = pcall(converse, exchange, req, res, given)
  exchange.is_over = true
  if exchange.task then exchange.task:cancel() end
  -- An exchange that is not over on both sides leaves a connection that nothing else may be said on.
  local is_whole = called and outcome == "done" and (exchange._finished or exchange._no_body)
    and (exchange.is_sent or not req.has_body)
  if not is_whole then break_off(exchange, "the exchange is over", "over") end
  session:forget(exchange)
  if exchange.error then error(exchange.error, 0) end
  if not called then error(outcome, 0) end
  if exchange.is_broken_body and not res:is_started() then
    local why, kind = exchange.is_broken_body[1], exchange.is_broken_body[2]
    local err = body.broken_off(why, kind)
    err.status, err.is_broken_body = kind == "timeout" and 408 or 400, true
    error(err, 0)
  end
  return outcome, text, reason
end

return relay
