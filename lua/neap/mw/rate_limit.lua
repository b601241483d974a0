--- At most so many requests in a time from whoever they come: a token bucket for each key, 429 where it is empty.
local address = require "neap.ip_address"
local buckets = require "neap.mw.buckets"
local core = require "neap.core"
local options = require "neap.options"

local OWN = {
  limit = options.number("requests", 1, math.huge), -- in
  per = options.timeout(1),                         -- so many seconds
  burst = options.number("requests", 1, math.huge), -- at once; `limit` unless told
  by = options.of("function"),  -- function(req): a key, nil: not limited; the address unless told
  cost = options.of("function"), -- function(req): how many requests it counts as; 1 unless told
  keys = options.whole(1, nil, 10000), -- that are remembered, twice as many at most
  store = options.of("table"),  -- other than this process's memory: take(key, cost, rate, burst, now), which may wait
  name = options.row("letters, digits, _ and -", function(value)
    return type(value) == "string" and value:find("^[%w_-]+$") ~= nil
  end, "default"),
}

local function by_address(req)
  return address.group_of_peer(req.peer)
end

return function(given)
  given = options.fill(given, OWN, "rate_limit", 2)
  if not given.limit then error("rate_limit takes a `limit`", 2) end
  local rate, burst = given.limit / given.per, given.burst or given.limit
  local by, cost_of, name = given.by or by_address, given.cost, given.name
  local store = given.store or buckets.new(given.keys)
  local policy = ('"%s";q=%d;w=%d'):format(name, burst, math.ceil(burst / rate))
  local state = '"' .. name .. '";r=%d;t=%d'
  return function(req, res, next)
    local key = by(req)
    if key ~= nil then
      local cost = cost_of and cost_of(req) or 1
      local is_allowed, left, wait = store:take(key, cost, rate, burst, core.now())
      if is_allowed == nil then error(left or "the store of rate_limit failed", 0) end
      res:header("ratelimit-policy", policy)
      res:header("ratelimit", state:format(math.max(0, math.floor(left)), math.ceil((burst - left) / rate)))
      if not is_allowed then
        res:header("retry-after", ("%d"):format(math.max(1, math.ceil(wait))))
        return 429, "too many requests\n"
      end
    end
    next()
  end
end
