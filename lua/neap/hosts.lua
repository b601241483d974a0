--- Which app answers for which host: names, and "*.name" for all below one. What clients say is compared without port,
-- case and a dot at the end (RFC 9110 §4.2.3).
local Hosts = {}
Hosts.__index = Hosts

local LONGEST = 253 -- of a name, RFC 1035 §2.3.4: what is longer is nobody's, and costs nothing

function Hosts.new()
  return setmetatable({ exact = {}, below = {} }, Hosts)
end

--- Adds a name; a mistake is the caller's caller's.
function Hosts:add(name, app)
  if type(name) ~= "string" or name == "" then error("a host is a name such as gw.example or *.gw.example", 3) end
  if name:find("^[^%[]*:") then error("a host is a name without a port: " .. name, 3) end
  local suffix = name:lower():match("^%*%.(.+)$")
  if (suffix or name):find("*", 1, true) then error("of a host only the first label may be *: " .. name, 3) end
  local known, key = suffix and self.below or self.exact, suffix or name:lower()
  if known[key] then error("this host is there already: " .. name, 3) end
  known[key] = app
end

-- The name without port and dot at its end, in lower case.
local function bare(host)
  local name = host:match("^%b[]") or host:match("^[^:]*")
  if name:sub(-1) == "." then name = name:sub(1, -2) end
  return name:lower()
end

--- The app of what a request names as its host, or nil.
function Hosts:find(host)
  if not host then return nil end
  local app = self.exact[host]
  if app or #host > LONGEST + 7 then return app end
  local name = bare(host)
  app = self.exact[name]
  local dot = not app and name:find(".", 1, true)
  while dot do
    app = self.below[name:sub(dot + 1)]
    dot = not app and name:find(".", dot + 1, true)
  end
  return app
end

return Hosts
