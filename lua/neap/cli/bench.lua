--- `neap bench URL`: a load generator. What is sent when, and what came of it, is counted in C (core.load).
local core = require "neap.core"
local client = require "neap.client"
local Headers = require "neap.headers"
local json = require "neap.json"
local url = require "neap.url"
local variable = require("neap.options").variable

local bench = {}

local USAGE = [[
neap bench [OPTIONS] URL...

Asks an HTTP/3 server for the same again and again, and prints how many requests it answers a second and how long they
take. Several URLs of one server are asked for in turn.

  -c, --connections N  how many connections (10)
  -m, --streams N      how many requests are open at a time on each (10)
  -n, --requests N     end after N requests
  -D, --duration S     end after S seconds (10 unless -n is given); also 500ms, 2m
  -r, --rate N         begin N requests a second in all (0.0001 or more), whether or not earlier ones were answered;
                       latencies count from when a request was to begin: a server that stalls does not look fast
  --handshakes         a new connection for each request, -c at a time
  --resume             connections resume TLS sessions, as those of other clients do; without it each handshake is full
  --warm-up S          ask for S seconds before anything is counted (0)
  --timeout S          seconds that a request or a handshake may take (10)
  -X METHOD            the method
  -H 'NAME: VALUE'     add a header; may come several times
  -d DATA              send DATA as the body (POST unless -X says otherwise); @FILE sends a file
  -k, --insecure       do not verify the server's certificate
  --ca FILE            trust the certificates in FILE (or folder) instead of the system's; may come several times
  --connect HOST:PORT  connect there, and ask for the URL's host
  -f, --fail           exit with 1 when a status was 400 or more
  --json               print the result as JSON, times in seconds

Ends with 0; with 1 when a request or a connection failed, none was answered, or no connection was open at the end.
Failed requests and failed connections are counted apart. Without -r each request begins when one has ended, so that a
slow server is asked less: compare latencies with -r.
]]

local SPEC = {
  ["--help"] = { "help" }, ["-h"] = { "help" }, ["-c"] = { "connections", true },
  ["--connections"] = { "connections", true }, ["-m"] = { "streams", true }, ["--streams"] = { "streams", true },
  ["-n"] = { "count", true }, ["--requests"] = { "count", true }, ["-D"] = { "duration", true },
  ["--duration"] = { "duration", true }, ["-r"] = { "rate", true }, ["--rate"] = { "rate", true },
  ["--handshakes"] = { "handshakes" }, ["--resume"] = { "resume" },
  ["--warm-up"] = { "warm_up", true }, ["--timeout"] = { "timeout", true },
  ["-X"] = { "method", true }, ["--request"] = { "method", true }, ["-H"] = { "headers", true, many = true },
  ["--header"] = { "headers", true, many = true }, ["-d"] = { "data", true }, ["--data"] = { "data", true },
  ["-k"] = { "insecure" }, ["--insecure"] = { "insecure" }, ["--ca"] = { "ca", true, many = true },
  ["--connect"] = { "connect", true }, ["-f"] = { "fail" }, ["--fail"] = { "fail" }, ["--json"] = { "json" },
}

local REQUESTS_AT_A_TIME = 1000000 -- as core.load takes
local RATE_LEAST, RATE_MOST = 0.0001, 10000000 -- as core.load takes
local BUSY = 0.9 -- of a core: whoever is that busy may be what is measured

-- ---- what is asked

local UNITS = { [""] = 1, s = 1, ms = 0.001, m = 60, h = 3600 }

local function seconds_of(text)
  local number, unit = text:match("^(%d*%.?%d*)(%a*)$")
  number = tonumber(number)
  return number and UNITS[unit] and number * UNITS[unit]
end

local function whole_of(text)
  local number = text:match("^%d+$") and tonumber(text)
  return number and number >= 1 and number < 2 ^ 53 and number or nil
end

-- Options that are numbers: flag, how they are read, what they are.
local NUMBERS = {
  connections = { "-c", whole_of, "a whole number from 1" }, streams = { "-m", whole_of, "a whole number from 1" },
  count = { "-n", whole_of, "a whole number from 1" },
  rate = { "-r", function(text) return tonumber(text) end,
    ("requests a second, from %s up to %d"):format(RATE_LEAST, RATE_MOST), RATE_MOST, false, RATE_LEAST },
  duration = { "-D", seconds_of, "seconds" }, timeout = { "--timeout", seconds_of, "seconds" },
  warm_up = { "--warm-up", seconds_of, "seconds", nil, true },
}

-- The numbers of the options in place of their text; nil and what is wrong.
local function read_numbers(found)
  for name, row in pairs(NUMBERS) do
    if found[name] then
      local value = row[2](found[name])
      local is_fine = value and value <= (row[4] or 1e9) and (value > 0 or row[5] and value == 0) and
        value >= (row[6] or 0)
      if not is_fine and name ~= "count" or not value then return nil, row[1] .. " takes " .. row[3] end
      found[name] = value
    end
  end
  found.connections = found.connections or 10
  found.streams = found.handshakes and 1 or found.streams or 10
  if found.connections * found.streams > REQUESTS_AT_A_TIME then
    return nil, ("at most %d requests are open at a time"):format(REQUESTS_AT_A_TIME)
  end
  if not found.duration and not found.count then found.duration = 10 end
  return true
end

-- The URLs, which are all of one server; nil and what is wrong.
local function read_urls(words)
  local targets = {}
  for i, word in ipairs(words) do
    if not word:match("^%a[%w+.-]*://") then word = "https://" .. word end
    local target, message = url.parse(word)
    if not target then return nil, message end
    if target.scheme ~= "https" then return nil, "HTTP/3 needs https://: " .. word end
    if i > 1 and target.authority ~= targets[1].authority then return nil, "the URLs are of several servers" end
    targets[i] = target
  end
  return targets
end

-- Where to connect when that is not what the URL says.
local function read_connect(text)
  if not text then return nil end
  local host, port = text:match("^%[?(.-)%]?:(%d+)$")
  if not host or host == "" or tonumber(port) > 65535 then return nil, "--connect takes HOST:PORT" end
  return { host = host, port = tonumber(port) }
end

local function read_body(data)
  local path = data and data:match("^@(.+)$")
  if not path then return data or "" end
  local file, message = io.open(path, "rb")
  local body
  if file then
    body, message = file:read("*a")
    file:close()
  end
  return body, message
end

-- The field lines of a request; nil and what is wrong.
local function make_fields(found, target, body)
  local headers = Headers.new { ["user-agent"] = "neap-bench/" .. core.version }
  for _, line in ipairs(found.headers or {}) do
    local name, value = line:match("^([^:]+):%s*(.-)%s*$")
    if not name then return nil, "a header is 'name: value', not " .. line end
    if name:lower() == "user-agent" then headers:set(name, value) else headers:append(name, value) end
  end
  local length, told = ("%d"):format(#body), headers:get_all("content-length")
  for _, value in ipairs(told) do
    if value ~= length then
      return nil, ("content-length says %q, and the body has %s bytes"):format(value:sub(1, 60), length)
    end
  end
  if found.data and not found.data:find("^@") and not headers:get("content-type") then
    headers:set("content-type", "application/x-www-form-urlencoded")
  end
  if found.data or told[1] then headers:set("content-length", length) end
  local fields = { ":method", found.method or found.data and "POST" or "GET", ":scheme", "https", ":authority",
    headers:get("host") or target.authority, ":path", target.target }
  headers:del("host")
  for name, value in headers:each() do
    fields[#fields + 1] = name
    fields[#fields + 1] = value
  end
  return fields
end

-- ---- what came of it

local function duration(seconds)
  if seconds < 0.0009995 then return (seconds < 1e-5 and "%.2f µs" or "%.0f µs"):format(seconds * 1e6) end
  if seconds < 0.9995 then return ("%.2f ms"):format(seconds * 1e3) end
  return ("%.2f s"):format(seconds)
end

local function grouped(number)
  local text = ("%.0f"):format(number)
  local count
  repeat text, count = text:gsub("^(%d+)(%d%d%d)", "%1,%2") until count == 0
  return text
end

local function size(bytes)
  local unit, units = 1, { "B", "KB", "MB", "GB", "TB" }
  while bytes >= 1000 and unit < #units do
    bytes = bytes / 1000
    unit = unit + 1
  end
  return (unit == 1 and "%.0f %s" or "%.1f %s"):format(bytes, units[unit])
end

-- Figures that follow from what was counted.
local function complete(result)
  local seconds = result.seconds
  local cpu = result.user_seconds + result.system_seconds
  result.requests_per_second = seconds > 0 and result.finished / seconds or 0
  result.received_per_second = seconds > 0 and result.body_received / seconds or 0
  result.cpu_per_request = result.finished > 0 and cpu / result.finished or 0
  result.cpu_share = seconds > 0 and cpu / seconds or 0
  return result
end

local function latency_line(name, h)
  if h.count == 0 then return nil end
  return ("%-12s p50 %s   p90 %s   p99 %s   p99.9 %s   max %s   mean %s   min %s"):format(name, duration(h.p50),
    duration(h.p90), duration(h.p99), duration(h.p999), duration(h.max), duration(h.mean), duration(h.min))
end

-- Whether no connection was left, and more was to be asked.
local function ended_alone(found, result)
  local is_complete = found.count and result.answered + result.failed >= found.count
  return not found.handshakes and not is_complete and result.connections_open == 0
end

local function report(found, result)
  local lines = {}
  local function line(name, text, ...) lines[#lines + 1] = ("%-12s " .. text):format(name, ...) end
  line("requests", "%s answered, %s failed in %s: %s a second", grouped(result.answered), grouped(result.failed),
    duration(result.seconds), grouped(result.requests_per_second))
  local statuses = {}
  for status, count in pairs(result.statuses) do statuses[#statuses + 1] = ("%d: %s"):format(status, grouped(count)) end
  table.sort(statuses)
  if statuses[1] then line("status", "%s", table.concat(statuses, ", ")) end
  lines[#lines + 1] = latency_line("latency", result.latency)
  lines[#lines + 1] = latency_line("first byte", result.first_byte)
  lines[#lines + 1] = latency_line("handshake", result.connect)
  line("body", "%s received (%s/s), %s sent", size(result.body_received), size(result.received_per_second),
    size(result.body_sent))
  if found.handshakes or found.resume or result.connections_lost > 0 or result.connections_failed > 0 or
    ended_alone(found, result) then
    line("connections", "%s opened%s, %s lost, %s failed, %s open at the end", grouped(result.connections_opened),
      found.resume and (" (%s resumed)"):format(grouped(result.resumed)) or "", grouped(result.connections_lost),
      grouped(result.connections_failed), grouped(result.connections_open))
  end
  if result.rejected > 0 then line("sent again", "%s that the server had not begun with", grouped(result.rejected)) end
  if result.open > 0 then line("open", "%s at the end", grouped(result.open)) end
  if result.late > 0 then line("late", "%s that had not begun at the end", grouped(result.late)) end
  for _, failure in ipairs(result.failures) do line("failed", "%s × %s", grouped(failure.count), failure.reason) end
  for _, failure in ipairs(result.connection_failures) do
    line("unconnected", "%s × %s", grouped(failure.count), failure.reason)
  end
  line("own CPU", "%s a request (user %s, system %s: %.0f %% of a core)", duration(result.cpu_per_request),
    duration(result.user_seconds), duration(result.system_seconds), result.cpu_share * 100)
  if result.cpu_share >= BUSY then line("", "this client is as busy as it can be: the server may do more") end
  return table.concat(lines, "\n") .. "\n"
end

local function as_json(result)
  local statuses = json.array {}
  for status, count in pairs(result.statuses) do
    statuses[#statuses + 1] = { status = status, count = count }
  end
  table.sort(statuses, function(a, b) return a.status < b.status end)
  result.statuses, result.failures, result.phase = statuses, json.array(result.failures), nil
  result.connection_failures = json.array(result.connection_failures)
  return assert(json.encode(result)) .. "\n"
end

local function counted(count, noun)
  return ("%s %s%s failed"):format(grouped(count), noun, count == 1 and "" or "s")
end

local function exit_code(cli, found, result)
  if result.interrupted then return cli.fail(1, "interrupted") end
  local first = result.failures[1] or result.connection_failures[1]
  local why = first and ": " .. first.reason or ""
  if result.answered == 0 then return cli.fail(1, "no request was answered", why) end
  local wrong = {}
  if result.failed > 0 then wrong[1] = counted(result.failed, "request") end
  if result.connections_failed > 0 then wrong[#wrong + 1] = counted(result.connections_failed, "connection") end
  if ended_alone(found, result) then
    wrong[#wrong + 1] = (result.connections_failed > 0 and "none" or "no connection") .. " was open at the end"
  end
  if wrong[1] then return cli.fail(1, table.concat(wrong, ", "), why) end
  for status in pairs(result.statuses) do
    if found.fail and status >= 400 then return cli.fail(1, "status ", status) end
  end
  return 0
end

-- On a terminal how far it is, and until when it goes.
local function run(load)
  if not core.isatty(2) then return load:run() end
  while true do
    local is_over, message = load:run(0.5)
    if is_over ~= false then
      io.stderr:write("\r\27[K")
      return is_over, message
    end
    local result = load:result()
    io.stderr:write(("\r\27[K%s: %s answered, %s failed"):format(result.phase, grouped(result.answered),
      grouped(result.failed)))
  end
end

local function measure(cli, found, target, options)
  local probe = client.new { verify_peer = not found.insecure, ca = found.ca, timeout = options.timeout or 10 }
  local address, message = probe:_reach(target)
  probe:close()
  if not address then return cli.fail(1, message) end
  local config
  config, message = core.config { alpn = "h3", verify_peer = not found.insecure, ca = found.ca,
    resumption = found.resume == true, keylog = variable("SSLKEYLOGFILE") }
  if not config then return cli.fail(1, message) end
  options.server_name, options.peer = target.host, address
  local load
  load, message = core.load(config, options)
  if not load then return cli.fail(1, message) end
  local is_over
  is_over, message = run(load)
  if is_over == nil then return cli.fail(1, message) end
  local result = complete(load:result())
  local code = exit_code(cli, found, result)
  if result.seconds > 0 or found.json then
    io.stdout:write(found.json and as_json(result) or report(found, result))
  end
  return code
end

--- The command.
function bench.main(cli, args)
  local found, words = cli.parse(args, SPEC)
  if not found then return cli.usage("bench", words) end
  if found.help then
    io.stdout:write(USAGE)
    return 0
  end
  if #words == 0 then return cli.usage("bench", "which URL?") end
  if found.ca and found.insecure then return cli.usage("bench", "--ca checks nothing with -k") end
  local ok, problem = read_numbers(found)
  if not ok then return cli.usage("bench", problem) end
  local targets
  targets, problem = read_urls(words)
  if not targets then return cli.usage("bench", problem) end
  targets[1].at, problem = read_connect(found.connect)
  if problem then return cli.usage("bench", problem) end
  local body
  body, problem = read_body(found.data)
  if not body then return cli.fail(2, problem) end
  local options = { targets = {}, body = body, connections = found.connections, streams = found.streams,
    count = found.count, rate = found.rate, duration = found.duration, warm_up = found.warm_up, timeout = found.timeout,
    is_fresh = found.handshakes }
  for i, target in ipairs(targets) do
    options.targets[i], problem = make_fields(found, target, body)
    problem = problem or client.fault(options.targets[i])
    if problem then return cli.usage("bench", problem) end
  end
  return cli.in_loop(function() return measure(cli, found, targets[1], options) end, true)
end

return bench
