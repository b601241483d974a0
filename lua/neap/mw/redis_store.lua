--- A store in Redis for rate_limit and session, so that several processes and machines have the same, through a client
-- that is written for LuaSocket, as redis-lua.
local concurrent = require "neap.concurrent"
local core = require "neap.core"
local log = require "neap.log"
local options = require "neap.options"
local scope = require "neap.scope"
local semaphore = require "neap.semaphore"
local task = require "neap.task"

local OWN = {
  connect = options.of("function"), -- gives a client with eval, get, setex and del; an error when it cannot
  prefix = options.of("string", "neap:"), -- of its keys
  connections = options.whole(1, 10000, 8), -- at a time; who needs one more waits
  timeout = options.timeout(1), -- for one of them to become free, and for an answer
  idle_timeout = options.timeout(30), -- older ones are left: servers end those that rest
  retry = options.timeout(1), -- after a failure nobody asks for so long
  fail_open = options.of("boolean", false), -- rate_limit lets everybody in while Redis is away
}

-- A token bucket by the clock of Redis, which is the same for all who ask: whether there was as much, and what is left.
-- A bucket that is full again is forgotten.
local TAKE = [[
local cost, rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local was = redis.call('HMGET', KEYS[1], 'level', 'at')
local level = tonumber(was[1]) or burst
level = math.min(burst, level + math.max(0, now - (tonumber(was[2]) or now)) * rate / 1000000)
local taken = 0
if level >= cost then taken, level = 1, level - cost end
redis.call('HSET', KEYS[1], 'level', string.format('%.17g', level), 'at', string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil((burst - level) / rate * 1000) + 1)
return { taken, string.format('%.17g', level) }
]]

local Store = {}
Store.__index = Store

local QUIT = 0.1 -- seconds for a word at the end

local function leave(client)
  pcall(concurrent.with_timeout, QUIT, client.quit, client)
end

-- A client that rests, or a new one.
local function lend(self)
  local idle = self.idle
  while #idle > 0 do
    local last = table.remove(idle)
    if core.now() - last.since < self.idle_timeout then return last.client end
    leave(last.client)
  end
  return self.connect()
end

-- Whether the task that asks has no time any more: then it is not Redis that failed.
local function is_over()
  local within = task.scope()
  return within and scope.find_over(within, core.now()) ~= nil
end

-- fn(client, …) with a client of the pool: its result, or nil, message. A client that failed is not used again.
local function ask(self, fn, ...)
  if core.now() < self.away_until then return nil, self.why end
  if not self.permits:acquire(self.timeout) then return nil, "all connections to Redis are in use" end
  local client
  local ok, result, message = pcall(concurrent.with_timeout, self.timeout, function(...)
    client = lend(self)
    return fn(client, ...)
  end, ...)
  if ok and result == nil then ok, result = false, message end
  if ok then
    self.idle[#self.idle + 1] = { client = client, since = core.now() }
  else
    if client then leave(client) end
    if is_over() then
      self.permits:release()
      return nil, "the time for it is over"
    end
    self.away_until, self.why = core.now() + self.retry, "Redis: " .. tostring(result)
    -- Those that rest are of before, and are as gone as this one.
    self.idle = {}
    self.complain("redis", self.why)
  end
  self.permits:release()
  if not ok then return nil, self.why end
  return result
end

local function take(client, key, ...)
  return client:eval(TAKE, 1, key, ...)
end

--- As rate_limit asks for it.
function Store:take(key, cost, rate, burst)
  local result, message = ask(self, take, self.prefix .. "rate:" .. key, cost, rate, burst)
  if not result then
    if self.fail_open then return true, burst, 0 end
    return nil, message
  end
  local level = tonumber(result[2])
  return tonumber(result[1]) == 1, level, math.max(0, (cost - level) / rate)
end

local function get(client, key) return client:get(key) or false end

--- The text of a session; nil: there is none; nil, message.
function Store:get(id)
  local text, message = ask(self, get, self.prefix .. "session:" .. id)
  return text or nil, message
end

local function set(client, key, text, seconds) return client:setex(key, math.ceil(seconds), text) ~= nil end

--- true; nil, message.
function Store:set(id, text, seconds)
  return ask(self, set, self.prefix .. "session:" .. id, text, seconds)
end

local function delete(client, key) return client:del(key) ~= nil end

--- true; nil, message.
function Store:delete(id)
  return ask(self, delete, self.prefix .. "session:" .. id)
end

return function(given)
  local self = options.fill(given, OWN, "redis_store", 2)
  if not self.connect then error("redis_store takes `connect`, which gives a client", 2) end
  self.permits, self.idle, self.away_until = semaphore(self.connections), {}, 0
  self.complain = log.complainer()
  return setmetatable(self, Store)
end
