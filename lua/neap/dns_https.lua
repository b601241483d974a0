--- Where the host of an https URL is served, by its HTTPS records (RFC 9460).
local core = require "neap.core"

local ALIASES = 8 -- names that are followed (§3)
-- What a client of neap does with the keys that a record may make mandatory (§8).
local KNOWN = { alpn = true, ["no-default-alpn"] = true, port = true, ipv4hint = true, ipv6hint = true }

local function is_compatible(record)
  for _, key in ipairs(record.mandatory or {}) do
    if not KNOWN[key] then return false end
  end
  return true
end

-- The protocols of a record: its own, and what https has without any (§9.5).
local function protocols_of(record)
  local out, has = {}, {}
  local function add(name)
    if not has[name] then out[#out + 1], has[name] = name, true end
  end
  for _, name in ipairs(record.alpn or {}) do add(name) end
  if not record.no_default_alpn then add "http/1.1" end
  return out
end

local function hints_of(record)
  local out = {}
  for _, list in ipairs { record.ipv6hint or {}, record.ipv4hint or {} } do
    for _, ip in ipairs(list) do out[#out + 1] = ip end
  end
  return out
end

-- By priority; those of one priority in an order that is drawn (§2.4.1).
local function sort(services)
  for i, service in ipairs(services) do service.drawn = core.hash(core.random_bytes(8), i) end
  table.sort(services, function(a, b)
    if a.priority ~= b.priority then return a.priority < b.priority end
    return a.drawn < b.drawn
  end)
  for _, service in ipairs(services) do service.drawn = nil end
  return services
end

local function services_of(records, port)
  local out = {}
  for _, record in ipairs(records) do
    if is_compatible(record) then
      out[#out + 1] = { priority = record.priority, target = record.target == "." and record.name or record.target,
        port = record.port or port, alpn = protocols_of(record), hints = hints_of(record), ech = record.ech }
    end
  end
  return sort(out)
end

local function alias_of(records)
  for _, record in ipairs(records) do
    if record.priority == 0 then return record.target end
  end
end

--- See dns.https.
return function(resolver, host, port, options)
  local deadline = options.timeout and core.now() + options.timeout
  local name = port == 443 and host or ("_%d._https.%s"):format(port, host)
  for i = 0, ALIASES do
    local records, message, code, reason = resolver:query(name, "HTTPS",
      { timeout = deadline and math.max(0, deadline - core.now()) })
    if not records then
      if reason ~= "NODATA" and reason ~= "NXDOMAIN" then return nil, message, code, reason end
      -- An alias leads to where the addresses are (§3).
      return i > 0 and { { priority = 0, target = name, port = port, alpn = {}, hints = {} } } or {}
    end
    local alias = alias_of(records)
    if not alias then return services_of(records, port) end
    if alias == "." then return {} end -- there is no such service (§2.5.1)
    name = alias
  end
  return nil, host .. ": too many aliases", "resolve", "SERVFAIL"
end
