--- The test cases of the public QUIC interop runner: what its environment says, and what each case asks of a client and
-- of a server. `neap interop-client` and `neap interop-server` are this and HTTP/0.9 (cli/hq.lua) or HTTP/3.
local core = require "neap.core"

local interop = {}

--- The exit code that says that a case is not supported.
interop.UNSUPPORTED = 127

-- Nothing is drawn that who looks at captures would have to know: no reserved values, the QUIC Bit is set, one version,
-- one certificate without compression. A case ends after a minute or five, so handshakes have time for what is lost.
local COMMON = { grease = false, versions = "v1", certificate_compression = false, handshake_timeout = 60 }
local CLIENT = { resumption = false, initial_max_data = 1048576, initial_max_stream_data_bidi_local = 262144 }
local SERVER = { handshake_rate = 0 } -- no Retry but where the case is that

-- `visits`: "one" connection for all files, "two", of which the second has all but the first file, one for "each".
local PLAIN = { visits = "one" }
local EACH = { visits = "each" }

local CASES = {
  handshake = PLAIN, transfer = PLAIN, ecn = PLAIN,
  chacha20 = { visits = "one", both = { cipher_suites = "TLS_CHACHA20_POLY1305_SHA256" } },
  retry = { visits = "one", server = { retry = true } },
  resumption = { visits = "two", both = { resumption = true } },
  zerortt = { visits = "two", is_early = true, both = { resumption = true, early_data = true } },
  http3 = { visits = "one", is_h3 = true },
  multiconnect = EACH,
  keyupdate = { visits = "one", updates_keys = true },
  -- A client begins with version 1 all the same; some servers go by the client's order, some by their own.
  v2 = { visits = "one", both = { versions = { "v2", "v1" } } },
  connectionmigration = { visits = "one", is_preferred = true },
  -- Names of cases whose TESTCASE is one of the above.
  longrtt = PLAIN, multiplexing = PLAIN, blackhole = PLAIN, amplificationlimit = PLAIN, transferloss = PLAIN,
  transfercorruption = PLAIN, ipv6 = PLAIN, ["rebind-port"] = PLAIN, ["rebind-addr"] = PLAIN, goodput = PLAIN,
  crosstraffic = PLAIN, handshakeloss = EACH, handshakecorruption = EACH,
}

--- What a role ("client" or "server") does in a case, with `h3` over HTTP/3 whatever it is: { visits =, is_early =,
-- updates_keys =, is_preferred =, alpn =, options = those of its config }; nil for a case that is not supported.
function interop.plan(role, name, h3)
  local case = CASES[name]
  if not case then return nil end
  local plan = { name = name, alpn = (h3 or case.is_h3) and "h3" or "hq-interop", options = {} }
  for key, value in pairs(case) do plan[key] = value end
  for _, part in ipairs { COMMON, role == "client" and CLIENT or SERVER, case.both or {}, case[role] or {} } do
    for key, value in pairs(part) do plan.options[key] = value end
  end
  return plan
end

--- The names of all cases, sorted.
function interop.names()
  local names = {}
  for name in pairs(CASES) do names[#names + 1] = name end
  table.sort(names)
  return names
end

--- What the runner's environment says, with the places that its containers have: { case =, urls =, certs =, www =,
-- downloads = }. nil and what is wrong.
function interop.environment(role)
  local function get(name, preset)
    local value = os.getenv(name)
    return value ~= "" and value or preset
  end
  local told = get("ROLE", role)
  if told ~= role then return nil, ("ROLE is %s, this is the %s"):format(told, role) end
  local case = get("TESTCASE")
  if not case then return nil, "TESTCASE names no case" end
  local urls = {}
  for word in get("REQUESTS", ""):gmatch("%S+") do urls[#urls + 1] = word end
  return { case = case, urls = urls, certs = get("CERTS", "/certs"), www = get("WWW", "/www"),
    downloads = get("DOWNLOADS", "/downloads") }
end

local function lines(path)
  local file = io.open(path)
  local text = file and file:read("*a") or ""
  if file then file:close() end
  return text:gmatch("[^\n]+")
end

--- The machine's own addresses, one of IPv4 and one of IPv6 at most, as Linux tells them: loopback where there is no
-- other of IPv4.
function interop.own_addresses()
  local v4, v6, last
  for line in lines("/proc/net/fib_trie") do
    if line:find("/32 host LOCAL", 1, true) and last and not last:match("^127%.") then v4 = v4 or last end
    last = line:match("|%-%- (%d+%.%d+%.%d+%.%d+)") or last
  end
  for line in lines("/proc/net/if_inet6") do
    local digits, scope, name = line:match("^(%x+) %x+ %x+ (%x+) %x+ +(%S+)")
    if digits and scope == "00" and name ~= "lo" then
      v6 = v6 or digits:gsub("(%x%x%x%x)", "%1:"):gsub(":$", "")
    end
  end
  return v4 or "127.0.0.1", v6
end

--- The preferred addresses of a server on a port, in their one spelling.
function interop.preferred(port)
  local v4, v6 = interop.own_addresses()
  local list = { ("%s:%d"):format(v4, port) }
  if v6 then list[2] = core.address(("[%s]:%d"):format(v6, port)) end
  return list
end

return interop
