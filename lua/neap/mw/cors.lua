--- Cross-origin requests (Fetch standard): which other origins' scripts may ask, and how.
local accept = require "neap.accept"
local options = require "neap.options"

local OWN = {
  origin = options.row("a string, a list of strings, or a function(origin, req)", function(value)
    return type(value) == "string" or type(value) == "table" or type(value) == "function"
  end, "*"),
  methods = options.of("table", { "GET", "HEAD", "PUT", "POST", "DELETE", "PATCH" }),
  headers = options.of("table"),        -- that requests may have; what they ask for unless told
  expose = options.of("table"),         -- fields of responses that scripts may read
  credentials = options.of("boolean", false),
  max_age = options.number("seconds", 0, math.huge, 600), -- for which a preflight is good
}

-- fn(origin, req) → what is allowed, or nil.
local function decider(origin)
  if type(origin) == "function" then
    return function(asked, req)
      local got = origin(asked, req)
      return got == true and asked or got or nil
    end
  end
  if origin == "*" then return function() return "*" end end
  local allowed = {}
  for _, one in ipairs(type(origin) == "table" and origin or { origin }) do allowed[one] = true end
  return function(asked) return allowed[asked] and asked or nil end
end

return function(given)
  given = options.fill(given, OWN, "cors", 2)
  if given.origin == "*" and given.credentials then
    error("cors: credentials go to named origins: give `origin`, for \"*\" would be everybody's", 2)
  end
  local decide, varies = decider(given.origin), given.origin ~= "*"
  local methods, expose = table.concat(given.methods, ", "), given.expose and table.concat(given.expose, ", ")
  local headers = given.headers and table.concat(given.headers, ", ")
  local max_age = ("%d"):format(given.max_age)

  local function preflight(req, res, allowed)
    accept.vary(res, "access-control-request-method")
    accept.vary(res, "access-control-request-headers")
    if not allowed then return 204 end
    res:header("access-control-allow-methods", methods):header("access-control-max-age", max_age)
    local asked = headers or req.headers:get("access-control-request-headers")
    if asked then res:header("access-control-allow-headers", asked) end
    return 204
  end

  return function(req, res, next)
    if varies then accept.vary(res, "origin") end
    local origin = req.headers:get("origin")
    local allowed = origin and decide(origin, req)
    if allowed then
      res:header("access-control-allow-origin", allowed)
      if given.credentials then res:header("access-control-allow-credentials", "true") end
      if expose then res:header("access-control-expose-headers", expose) end
    end
    if origin and req.method == "OPTIONS" and req.headers:get("access-control-request-method") then
      return preflight(req, res, allowed)
    end
    next()
    -- Again, for a handler that has put a `vary` of its own in its place.
    if varies and not res:is_started() then accept.vary(res, "origin") end
  end
end
