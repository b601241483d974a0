--- Seeded random numbers, the same in every Lua: dice(seed) gives a function that throws 1..n.
return function(seed)
  local state = seed * 7919 % 2147483647 + 1
  return function(n)
    state = state * 48271 % 2147483647
    return math.floor(state / 2147483647 * n) + 1
  end
end
