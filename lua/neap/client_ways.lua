--- Which way a client takes to a server: HTTP/3 first, and TCP where that does not answer in time, as addresses race.
-- What is known of a server: where it says that it is over HTTP/3 (Alt-Svc, RFC 7838), and until when HTTP/3 is not
-- tried with it.
local alt_svc = require "neap.alt_svc"
local core = require "neap.core"
local task = require "neap.task"
local Tcp = require "neap.client_tcp"

local Ways = {}
Ways.__index = Ways

local HEAD_START = 0.3 -- seconds that HTTP/3 has before TCP is tried beside it
local GRACE = 0.1 -- seconds that HTTP/3 has to say more than that the time is over
local BROKEN, LONGEST = 300, 48 * 3600 -- seconds without HTTP/3 after it did not answer, doubled each time
local MOST = 1000 -- servers that are remembered; all are forgotten when they are more

--- `protocols` is a list of "h3", "h2", "http/1.1".
function Ways.new(client, protocols)
  local set = {}
  for _, name in ipairs(protocols) do set[name] = true end
  local self = setmetatable({ client = client, has_h3 = set.h3, known = {}, count = 0 }, Ways)
  if set.h2 or set["http/1.1"] then self.tcp = Tcp.new(client, set) end
  return self
end

local function of(self, key)
  local way = self.known[key]
  if not way then
    if self.count >= MOST then self.known, self.count = {}, 0 end
    way = { broken_until = 0, broken_for = BROKEN }
    self.known[key], self.count = way, self.count + 1
  end
  return way
end

local function is_alternative(way)
  return way.alternative and core.now() < way.alternative.ends_at
end

local function broke(way)
  way.broken_until = core.now() + way.broken_for
  way.broken_for = math.min(2 * way.broken_for, LONGEST)
end

--- What a response over TCP says of HTTP/3.
function Ways:heard(target, response)
  if not self.has_h3 or target.scheme ~= "https" then return end
  local way = of(self, target.authority)
  way.has_answered = true
  local text = response.headers:get_all("alt-svc")[1] and table.concat(response.headers:get_all("alt-svc"), ",")
  local said = text and alt_svc.h3(text)
  if said == nil then return end
  local before = way.alternative
  way.alternative = said
    and { host = said.host or target.host, port = said.port, ends_at = core.now() + said.seconds } or nil
  -- Somewhere else nobody has tried it yet.
  if said and not (before and before.host == way.alternative.host and before.port == said.port)
    and not (way.alternative.host == target.host and said.port == target.port) then
    way.broken_until = 0
  end
end

-- Both have failed: what the one says that was meant, unless it only was silent.
local function more_telling(quic, over_tcp)
  local code = quic[3]
  local is_silent = code == "timeout" or code == "unreachable"
  local says_more = over_tcp[3] == "certificate" or over_tcp[3] == "tls"
  return is_silent and says_more and over_tcp or quic
end

-- Alerts about certificates (RFC 8446 §6.2), as QUIC has them (RFC 9001 §4.8).
local CERTIFICATE = { [42] = true, [43] = true, [44] = true, [45] = true, [46] = true, [48] = true, [116] = true }

-- Whether TCP would have nothing better to show: a certificate was refused that is the server's own, and not that of
-- some other place, or the request is wrong.
local function is_final(quic, target)
  return quic[3] == "argument"
    or quic[3] == "tls" and not target.at and CERTIFICATE[(quic[4] or 0) - 0x100] or false
end

local function end_attempts(client, key)
  local pending = client._connecting[key]
  for _, attempt in ipairs(pending and pending.attempts or {}) do attempt.conn:close("no_error") end
end

-- What a function gave, in a list, whose error is a failure of the one that waits for it.
local function result_of(fn, ...)
  local called, attempt, message, code, number = pcall(fn, ...)
  if called then return { attempt, message, code, number } end
  return { nil, tostring(attempt), "closed" }
end

-- HTTP/3 by reach(), and TCP a moment behind it.
local function race(self, target, limits, reach)
  local key, way, begun = target.authority, of(self, target.authority), core.now()
  local quic, over_tcp, waiter, is_over
  task.go(function()
    quic = result_of(reach)
    if quic[1] then way.broken_for = BROKEN end
    task.wake(waiter, true)
  end)
  local has_begun, is_late = false, false
  while true do
    if quic and quic[1] then
      is_over = true
      return quic[1], quic[2]
    end
    if over_tcp and over_tcp[1] then
      is_over = true
      broke(way)
      end_attempts(self.client, key)
      -- Another one may have taken it since.
      return self.tcp:take(target, limits)
    end
    if quic and (over_tcp or is_final(quic, target)) then
      local why = more_telling(quic, over_tcp or quic)
      return why[1], why[2], why[3], why[4]
    end
    if not has_begun and (quic or core.now() - begun >= HEAD_START) then
      has_begun = true
      task.go(function()
        over_tcp = result_of(self.tcp.take, self.tcp, target, limits)
        -- Nobody needs it any more.
        if is_over and over_tcp[1] and not over_tcp[2] then self.tcp:give_up(over_tcp[1]) end
        task.wake(waiter, true)
      end)
    end
    local left = limits:left(begun)
    if left <= 0 then
      -- HTTP/3 meets the same limit a moment later or sooner, and says what it knows of the host.
      if quic or is_late then
        is_over = true
        if quic then return quic[1], quic[2], quic[3], quic[4] end
        return nil, limits:why(nil, nil, begun)
      end
      is_late, left = true, GRACE
    end
    waiter = task.waiter()
    local _, message, code = task.await(waiter, (has_begun or is_late) and left
      or math.min(left, math.max(0, begun + HEAD_START - core.now())))
    waiter = nil
    if code and code ~= "timeout" then
      is_over = true
      return nil, message, code
    end
  end
end

--- A connection to a target, and whether it was there before. `reach(target)` gives one over HTTP/3.
function Ways:reach(target, limits, reach)
  if not self.tcp or task.is_simulated() then return reach(target) end
  if target.scheme == "http" or not self.has_h3 then return self.tcp:take(target, limits) end
  local way = self.known[target.authority]
  if way then
    if core.now() < way.broken_until then return self.tcp:take(target, limits) end
    if is_alternative(way) then
      local other = {}
      for name, value in pairs(target) do other[name] = value end
      other.at = way.alternative
      target = other
    elseif way.has_answered then
      -- Over TCP it has not said that it speaks HTTP/3.
      local kept = self.tcp:kept(target)
      if kept then return kept, true end
    end
  end
  return race(self, target, limits, function() return reach(target) end)
end

function Ways:close()
  if self.tcp then self.tcp:close() end
end

return Ways
