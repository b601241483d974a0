--- Which address of a server is taken: they are tried side by side, each a moment behind the one before (RFC 8305).
local core = require "neap.core"
local Session = require "neap.session"
local task = require "neap.task"

local client_race = {}

local NEXT_ADDRESS_AFTER = 0.25 -- seconds, RFC 8305 §5
local WAIT_AFTER_ALERT = 1 -- seconds that the others have when one has refused us
local H3_NO_ERROR = 0x100

--- Why a connection ended, in one line, from conn:error().
function client_race.explain(why)
  return Session.explain(why, "server")
end

--- The short code of a close: "tls" for TLS alerts, "timeout", "reset", "closed".
function client_race.code_of(why)
  if why.by == "handshake_timeout" or why.by == "idle" then return "timeout" end
  if Session.is_alert(why) then return "tls" end
  return why.by == "reset" and "reset" or "closed"
end

-- One that has failed while another woke us.
local function failed_one(running)
  for _, attempt in ipairs(running) do
    if attempt.failed then return attempt end
  end
end

-- Nobody listens there, as ICMP says, which is no proof: it goes on, and the others need not wait for it.
local function is_unreachable(attempt)
  local conn = attempt.conn
  return not conn:is_established() and conn:is_unreachable()
end

local function drop(running, attempt)
  for i = #running, 1, -1 do
    if running[i] == attempt then table.remove(running, i) end
  end
end

-- Ends all attempts but the one that won.
local function finish(running, winner)
  for _, attempt in ipairs(running) do
    attempt.waiter = nil
    if attempt ~= winner then attempt.conn:close(H3_NO_ERROR) end
  end
end

-- Why none was reached: that one was silent says less than what another has said.
local function more_telling(failure, name, why)
  local code = client_race.code_of(why)
  if failure and code == "timeout" then return failure end
  return { name .. ": " .. client_race.explain(why), code, why.code }
end

--- Tries the addresses one after the other, by start(address): an attempt, or nil, message, code; the next when one
-- failed or was silent for a moment. The first that answers wins, also when it answers what we refuse by a TLS alert of
-- ours, as a certificate: the host is found then, only not as it should be. When one has refused us by an alert, which
-- the others would do as well, they have a moment. The attempt that won; nil, message, code[, number].
function client_race.run(client, key, name, addresses, timeout, start)
  local first = addresses[1]
  addresses = client._winners:order(key, addresses)
  local deadline = core.now() + timeout
  local endpoint = client._endpoint
  local running, next_address, failure, is_refused = {}, 1, nil, false
  while true do
    local now = core.now()
    if now >= deadline then
      finish(running)
      if failure then return nil, failure[1], failure[2], failure[3] end -- one was there, and says more
      return nil, name .. ": no answer", "timeout"
    end
    if addresses[next_address] then
      local attempt, message, code = start(addresses[next_address])
      next_address = next_address + 1
      if attempt then running[#running + 1] = attempt else failure = failure or { message, code } end
    end
    if is_refused and not addresses[next_address] then
      deadline, is_refused = math.min(deadline, now + WAIT_AFTER_ALERT), false
    end
    if #running == 0 then
      if not addresses[next_address] then return nil, failure[1], failure[2], failure[3] end
    else
      local waiter = task.waiter()
      for _, attempt in ipairs(running) do attempt.waiter = waiter end
      local wait = addresses[next_address] and NEXT_ADDRESS_AFTER or deadline - now
      local attempt = failed_one(running) or task.await(waiter, math.min(wait, deadline - now))
      if client._endpoint ~= endpoint then return nil, "the client was closed", "closed" end
      local why = attempt and attempt.failed
      if why then
        drop(running, attempt)
        failure = more_telling(failure, name, why)
        local is_alert = Session.is_alert(why)
        is_refused = is_refused or is_alert
        if is_alert and why.by == "local" then
          finish(running)
          return nil, failure[1], failure[2], failure[3]
        end
      elseif attempt and is_unreachable(attempt) then
        failure = failure or { name .. ": nobody listens there", "unreachable" }
        attempt.waiter, is_refused = nil, true
      elseif attempt then
        client._winners:note(key, attempt.address, first)
        finish(running, attempt)
        return attempt
      end
    end
  end
end

return client_race
