--- Which address of a server is taken: they are tried side by side, each a moment behind the one before (RFC 8305).
local core = require "neap.core"
local Session = require "neap.session"
local task = require "neap.task"

local client_race = {}

local NEXT_ADDRESS_AFTER = 0.25 -- seconds, RFC 8305 §5
local WAIT_AFTER_ALERT = 1 -- seconds that the others have when one has refused us
-- Seconds that addresses have of which ICMP says that nobody listens there: the first repetition goes after one, and
-- its answer takes a round trip.
local WAIT_AFTER_HINT = 3

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

-- Which of those that have something to say is heard: several may have it in one turn, of which one wakes us. One that
-- is established says more than one that has failed.
local function telling(running)
  local failed
  for _, attempt in ipairs(running) do
    if attempt.failed then
      failed = failed or attempt
    elseif attempt.conn:is_established() then
      return attempt
    end
  end
  return failed
end

-- Of how many ICMP says that nobody listens there. That is no proof: they go on, and other addresses need not wait.
local function count_unreachable(running)
  local count = 0
  for _, attempt in ipairs(running) do
    if attempt.conn:is_unreachable() then count = count + 1 end
  end
  return count
end

local function nobody_listens(key)
  return { key .. ": nobody listens there", "unreachable" }
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
    if attempt ~= winner then attempt.conn:close(attempt.close_code or "no_error") end
  end
end

-- Why none was reached: that one was silent says less than what another has said.
local function more_telling(failure, key, name, attempt)
  local why = attempt.failed
  local code = client_race.code_of(why)
  if code == "timeout" and (failure or attempt.conn:is_unreachable()) then return failure or nobody_listens(key) end
  return { name .. ": " .. client_race.explain(why), code, why.code }
end

--- Tries the addresses one after the other, by start(address): an attempt, or nil, message, code; the next when one
-- failed or was silent for a moment. The first that answers wins, also when it answers what we refuse by a TLS alert of
-- ours, as a certificate: the host is found then, only not as it should be. When one has refused us by an alert, which
-- the others would do as well, they have a moment. So do all, when ICMP says of each that nobody listens there, as long
-- as none of them has answered. The attempt that won; nil, message, code[, number].
function client_race.run(client, key, name, addresses, timeout, start)
  local first = addresses[1]
  addresses = client._winners:order(key, addresses)
  local deadline = core.now() + timeout
  local endpoint = client._endpoint
  local running, next_address, failure, is_refused = {}, 1, nil, false
  local hinted -- when it is over for those of which all ICMP says that nobody listens
  while true do
    local now, unreachable = core.now(), count_unreachable(running)
    if now >= deadline or hinted and now >= hinted and unreachable == #running then
      if unreachable > 0 then failure = failure or nobody_listens(key) end
      finish(running)
      if failure then return nil, failure[1], failure[2], failure[3] end -- one was there, and says more
      return nil, name .. ": no answer", "timeout"
    end
    if addresses[next_address] then
      local attempt, message, code = start(addresses[next_address])
      next_address = next_address + 1
      if attempt then running[#running + 1] = attempt else failure = failure or { message, code } end
    end
    local is_last = not addresses[next_address]
    if is_refused and is_last then
      deadline, is_refused = math.min(deadline, now + WAIT_AFTER_ALERT), false
    end
    local attempt = telling(running)
    if #running == 0 then
      if is_last then return nil, failure[1], failure[2], failure[3] end
    elseif not attempt then
      local waiter = task.waiter()
      for _, one in ipairs(running) do one.waiter = waiter end
      hinted = is_last and unreachable == #running and (hinted or now + WAIT_AFTER_HINT) or nil
      local ends = math.min(deadline, hinted or deadline, is_last and deadline or now + NEXT_ADDRESS_AFTER)
      task.await(waiter, ends - now)
      if client._endpoint ~= endpoint then return nil, "the client was closed", "closed" end
      attempt = telling(running)
    end
    if attempt and attempt.failed then
      drop(running, attempt)
      failure = more_telling(failure, key, name, attempt)
      local is_alert = Session.is_alert(attempt.failed)
      is_refused = is_refused or is_alert
      if is_alert and attempt.failed.by == "local" then
        finish(running)
        return nil, failure[1], failure[2], failure[3]
      end
    elseif attempt then
      client._winners:note(key, attempt.address, first)
      finish(running, attempt)
      return attempt
    end
  end
end

return client_race
