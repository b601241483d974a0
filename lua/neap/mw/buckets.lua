--- Token buckets of many keys, in bounded memory: where there would be more keys than that, those that were not asked
-- for longest are forgotten, all at once, and are full again.
local buckets = {}

local Store = {}
Store.__index = Store

--- Takes `cost` out of the bucket of a key that fills by `rate` a second up to `burst`: whether it had as much, what is
-- left, and seconds until it has `cost`.
function Store:take(key, cost, rate, burst, now)
  local bucket = self.young[key]
  if not bucket then
    bucket = self.old[key] or { level = burst, at = now }
    if self.count >= self.most then self.young, self.old, self.count = {}, self.young, 0 end
    self.young[key] = bucket
    self.count = self.count + 1
  end
  local level = math.min(burst, bucket.level + (now - bucket.at) * rate)
  bucket.at = now
  if level < cost then
    bucket.level = level
    return false, level, (cost - level) / rate
  end
  bucket.level = level - cost
  return true, bucket.level, 0
end

--- A store of up to twice `most` keys.
function buckets.new(most)
  return setmetatable({ most = most, young = {}, old = {}, count = 0 }, Store)
end

return buckets
