--- `neap get URL`: fetch over HTTP/3, or over TCP where that does not answer.
local certificate = require "neap.certificate"
local core = require "neap.core"
local plain = require "neap.plain"
local url = require "neap.url"

local get = {}

local USAGE = [[
neap get [OPTIONS] URL...

Fetches over HTTP/3, or HTTP/2 or 1.1 where that does not answer, and writes the body to standard output. Several
URLs are fetched side by side, on one connection for each server, into files of the folder that -o names, or with -O of
the current one.

  -o FILE          write the body to FILE (a folder: under the last part of the path; -: standard output)
  -O, --remote-name  write the body to a file here under the last part of the path
  --parallel-max N fetch so many URLs at once at most, 1 to 300 (50)
  -I, --head       HEAD: show the status and the headers
  -i, --include    show status and headers before the body
  -H 'NAME: VALUE' add a header; may come several times
  -X METHOD        the method
  -d DATA          send DATA as the body (POST unless -X says otherwise); @FILE sends a file, @- standard input
  -L, --location   follow up to 10 redirects
  -f, --fail       exit with 1 when the status is 400 or more
  -k, --insecure   do not verify the server's certificate
  --crl FILE       refuse what this revocation list names; may come several times
  --cert FILE      show this certificate (PEM, with the chain behind it) to a server that asks for one
  --key FILE       its private key
  --ca FILE        trust the certificates in FILE (or folder) instead of the system's; may come several times
  --pin PIN        the server's key must be this one, besides: sha256//BASE64, as `neap pin` says it; may come several
                   times, then one of them. With -k the pin alone says who the server is
  --psk ID:KEY     an external pre-shared key that the server has as well: its identity, a colon, 32 to 128 hex digits;
                   @FILE: the first line of FILE, which others cannot read off the list of processes. A server that
                   does not take it is refused, unless --ca vouches for its certificate
  --sessions FILE  resume TLS sessions that are kept in FILE, and keep the new ones there
  --early          with --sessions: send with the first packets (0-RTT), which others could repeat; not for -X, -d
  --versions LIST  the QUIC versions to speak, best first, from the first on: v2,v1 (without: v1, and v2 if the server
                   wants that)
  --http3-only     no TCP; --http2, --http1.1: TCP alone, and this
  --timeout S      seconds that a fetch may take in all (no bound)
  --progress-timeout S  seconds without progress before giving up (30)
  -v, --verbose    tell about connection, request and response on standard error
  -s, --silent     no progress bar
]]

local SPEC = {
  ["--help"] = { "help" }, ["-h"] = { "help" }, ["-o"] = { "output", true }, ["--output"] = { "output", true },
  ["-O"] = { "remote_name" }, ["--remote-name"] = { "remote_name" }, ["--parallel-max"] = { "parallel_max", true },
  ["-I"] = { "head" }, ["--head"] = { "head" }, ["-i"] = { "include" }, ["--include"] = { "include" },
  ["-H"] = { "headers", true, many = true }, ["--header"] = { "headers", true, many = true },
  ["-X"] = { "method", true }, ["--request"] = { "method", true }, ["-d"] = { "data", true },
  ["--data"] = { "data", true }, ["-L"] = { "follow" }, ["--location"] = { "follow" }, ["-f"] = { "fail" },
  ["--fail"] = { "fail" }, ["-k"] = { "insecure" }, ["--insecure"] = { "insecure" },
  ["--ca"] = { "ca", true, many = true }, ["--crl"] = { "crl", true, many = true },
  ["--cert"] = { "cert", true }, ["--key"] = { "key", true },
  ["--pin"] = { "pins", true, many = true },
  ["--psk"] = { "psk", true },
  ["--sessions"] = { "sessions", true }, ["--timeout"] = { "timeout", true },
  ["--http3-only"] = { "h3" }, ["--http2"] = { "h2" }, ["--http1.1"] = { "h1" },
  ["--early"] = { "early" }, ["--versions"] = { "versions", true },
  ["--progress-timeout"] = { "progress_timeout", true },
  ["-v"] = { "verbose" }, ["--verbose"] = { "verbose" }, ["-s"] = { "silent" }, ["--silent"] = { "silent" },
}

local function human(bytes)
  local unit, units = 1, { "B", "KiB", "MiB", "GiB", "TiB" }
  while bytes >= 1024 and unit < #units do
    bytes = bytes / 1024
    unit = unit + 1
  end
  return (unit == 1 and "%d %s" or "%.1f %s"):format(bytes, units[unit])
end

-- A bar on the terminal, drawn at most ten times a second.
local function progress(total)
  local is_terminal, columns = core.isatty(2)
  if not is_terminal then return function() end end
  local started, drawn = core.now(), 0
  return function(size, is_end)
    local now = core.now()
    if not is_end and now - drawn < 0.1 then return end
    drawn = now
    local rate = size / math.max(now - started, 0.001)
    local text = ("%s  %s/s"):format(human(size), human(math.floor(rate)))
    if total and total > 0 then
      local width = math.max(10, math.min(40, (columns or 80) - #text - 10))
      local full = math.floor(width * math.min(1, size / total))
      text = ("[%s%s] %3d%%  %s"):format(("#"):rep(full), (" "):rep(width - full), size * 100 / total, text)
    end
    io.stderr:write("\r\27[K", text, is_end and "\n" or "")
  end
end

local SHOWN = { h3 = "HTTP/3", h2 = "HTTP/2", ["http/1.1"] = "HTTP/1.1" }

local function show(response, out, found)
  local lines = { ("%s %d\n"):format(SHOWN[response.proto], response.status) }
  local is_terminal = not found.output and core.isatty(1)
  for name, value in response.headers:each() do
    lines[#lines + 1] = name .. ": " .. (is_terminal and plain.line(value) or value) .. "\n"
  end
  lines[#lines + 1] = "\n"
  return out:write(table.concat(lines))
end

local EARLY = { none = "not offered", offered = "offered", accepted = "accepted", rejected = "rejected" }

-- What became of a request that was to be early: another one of its connection may have been.
local function early_text(response)
  if response.was_early then return EARLY.accepted end
  local how = response.conn:early()
  return how == "accepted" and "not used" or EARLY[how]
end

-- By which key the two know each other; nothing where it is by certificates.
local function psk_text(conn)
  local identity = conn:psk_identity()
  return identity and (', pre-shared key of "%s"'):format((identity:gsub("[^ -~]", "?"))) or ""
end

-- A line on standard error, of what the server chose for a part.
local function say(...)
  io.stderr:write(plain.line(table.concat { ... }), "\n")
end

-- How a connection over QUIC was made.
local function tell_connection(response, address, found)
  local conn = response.conn
  local stats = conn:stats()
  say("* ", address, " at ", response.peer, ", ALPN ", tostring(conn:alpn()), ", ", tostring(conn:group()),
    ", QUIC version ", ("0x%08x"):format(conn:version()), conn:is_resumed() and ", resumed" or "", psk_text(conn),
    ", rtt ", ("%.1f ms"):format((stats and stats.rtt_smoothed or 0) * 1000),
    found.early and ", 0-RTT " .. early_text(response) or "")
end

local function tell(response, address, found)
  if response.proto == "h3" then
    tell_connection(response, address, found)
  else
    say("* ", address, " at ", response.peer, " over TCP, ", SHOWN[response.proto])
  end
  local shown = certificate.of_peer(response.conn) -- not in a resumed session
  if shown then
    say("* certificate of ", shown.subject or "no name", ", until ", os.date("!%Y-%m-%d", shown.not_after),
      ", pin ", shown.pin)
  end
  say("< ", SHOWN[response.proto], " ", response.status)
  for name, value in response.headers:each() do say("< ", name, ": ", value) end
  say("<")
end

-- What became of the search for the datagram size.
local function tell_sizes(conn)
  local stats = conn:stats()
  if not stats then return end
  local text = "* datagrams of up to %d bytes sent: %d tried a larger size, %d of them lost, %d black holes\n"
  io.stderr:write(text:format(stats.max_udp_payload_size, stats.size_probes_sent, stats.size_probes_lost,
    stats.black_holes))
end

local function open_output(path, address)
  if not path then return core.create_file() end
  local stat = core.stat(path)
  if path:sub(-1) == "/" or stat and stat.type == "directory" then
    local target = url.parse(address)
    local name = target.path:match("([^/]+)/?$") or "index.html"
    if name == "." or name == ".." then name = "index.html" end
    path = path:gsub("/+$", "") .. "/" .. name
  end
  return core.create_file(path)
end

local function make_request(found)
  local headers = {}
  for _, line in ipairs(found.headers or {}) do
    local name, value = line:match("^([^:]+):%s*(.-)%s*$")
    if not name then return nil, "a header is 'name: value', not " .. line end
    headers[#headers + 1] = name
    headers[#headers + 1] = value
  end
  local request = { headers = headers, follow = found.follow and 10 or 0 }
  if found.data then
    local file = found.data:match("^@(.*)$")
    if file == "-" then
      request.body = function() return io.stdin:read(65536) end
    elseif file then
      local handle, message = io.open(file, "rb")
      if not handle then return nil, message end
      local stat = core.stat(file)
      if stat and stat.type == "file" then
        handle:close()
        request.file = file
      else
        request.body = handle
      end
    else
      request.body = found.data
    end
    request.default_type = not file and "application/x-www-form-urlencoded" or nil
  end
  return request
end

-- All pins that were given (curl's list with ";" as well): nil when there are none; or nil and the one that is no pin.
local function read_pins(given)
  local pins
  for _, list in ipairs(given or {}) do
    for pin in list:gmatch("[^;]+") do
      if not pin:match("^sha256//" .. ("[%w+/]"):rep(43) .. "=$") then return nil, pin end
      pins = pins or {}
      pins[#pins + 1] = pin
    end
  end
  return pins, not pins and given and given[1] or nil
end

-- IDENTITY:KEY, or @FILE whose first line that is: { identity =, key = }; nil for anything else, and what is wrong with
-- the file.
local function read_psk(text)
  local path = text:match("^@(.*)$")
  if path then
    local file, message = io.open(path)
    if not file then return nil, message end
    text = file:read("*l") or ""
    file:close()
  end
  local identity, digits = text:match("^(.+):(%x+)$")
  if not identity or #identity > 128 or #digits % 2 == 1 or #digits < 32 or #digits > 128 then return nil end
  return { identity = identity, key = (digits:gsub("%x%x", function(d) return string.char(tonumber(d, 16)) end)) }
end

-- "v2,v1" as the option takes it; nil for anything else.
local function read_versions(text)
  local list, known = {}, { v1 = true, v2 = true }
  for name in text:gmatch("[^,]+") do
    if not known[name] then return nil end
    known[name] = nil
    list[#list + 1] = name
  end
  return list[1] and list
end

-- Fetches one URL; the exit code.
local function fetch(cli, client, address, found, request)
  local method = found.method or (found.head and "HEAD") or (found.data and "POST") or "GET"
  local own = { headers = request.headers, follow = request.follow, body = request.body, file = request.file,
    early = found.early }
  if request.default_type then
    own.headers = require("neap.headers").new(request.headers)
    if not own.headers:get("content-type") then own.headers:set("content-type", request.default_type) end
  end
  if found.verbose then io.stderr:write("> ", method, " ", address, "\n") end
  local response, message = client:request(method, address, own)
  if not response then
    if found.pins and not found.ca and not found.insecure and message:find("unknown_ca", 1, true) then
      message = message .. " (with -k the pin alone says who the server is)"
    end
    return cli.fail(1, message)
  end
  if found.verbose then tell(response, address, found) end

  local out, reason = open_output(found.output, address)
  if not out then
    response:close()
    return cli.fail(1, reason)
  end
  local ok, why = true, nil
  if found.head or found.include then ok, why = show(response, out, found) end
  local total = tonumber(response.headers:get("content-length"))
  local quiet = found.silent or (not found.output and core.isatty(1))
  local draw = quiet and function() end or progress(total)
  local size, code = 0, 0
  while ok do
    local count, err, kind = response:_save(out)
    if err then code = cli.fail(1, kind ~= "system" and address .. ": " or "", err) end
    if not count then break end
    size = size + count
    draw(size)
  end
  if size > 0 then draw(size, true) end
  if found.verbose and response.proto == "h3" then tell_sizes(response.conn) end
  local is_closed, reason_of_close = out:close()
  if not ok then
    response:close()
    code = cli.fail(1, why)
  elseif code == 0 and not is_closed then
    code = cli.fail(1, reason_of_close)
  end
  if code == 0 and found.fail and response.status >= 400 then
    code = cli.fail(1, address, ": status ", response.status)
  end
  return code
end

--- The command.
function get.main(cli, args)
  local found, words = cli.parse(args, SPEC)
  if not found then return cli.usage("get", words) end
  if found.help then
    io.stdout:write(USAGE)
    return 0
  end
  if #words == 0 then return cli.usage("get", "which URL?") end
  if found.output and found.remote_name then return cli.usage("get", "-o and -O do not go together") end
  if found.remote_name then found.output = "./" end
  if found.output == "-" then found.output = nil end -- as it is unless told
  local at_once = tonumber(found.parallel_max or 50)
  if not at_once or at_once < 1 or at_once > 300 or at_once % 1 ~= 0 then
    return cli.usage("get", "--parallel-max takes 1 to 300")
  end
  if found.early and not found.sessions then return cli.usage("get", "--early needs --sessions FILE") end
  for name, flag in pairs { timeout = "--timeout", progress_timeout = "--progress-timeout" } do
    local seconds = tonumber(found[name])
    if found[name] and (not seconds or seconds <= 0) then return cli.usage("get", flag, " takes seconds") end
    found[name] = seconds
  end
  for i, word in ipairs(words) do
    if not word:match("^%a[%w+.-]*://") then words[i] = "https://" .. word end
    local target, message = url.parse(words[i])
    if not target then return cli.usage("get", message) end
    if target.scheme ~= "https" and (target.scheme ~= "http" or found.h3) then
      return cli.usage("get", (found.h3 and "HTTP/3 needs https://: " or "a URL is https:// or http://: "), words[i])
    end
  end
  local protocol = found.h3 and "h3" or found.h2 and "h2" or found.h1 and "http/1.1" or nil
  if (found.h3 and 1 or 0) + (found.h2 and 1 or 0) + (found.h1 and 1 or 0) > 1 then
    return cli.usage("get", "--http3-only, --http2 and --http1.1 do not go together")
  end
  local versions = found.versions and read_versions(found.versions)
  if found.versions and not versions then return cli.usage("get", "--versions are v1 and v2, with a comma between") end
  if (found.cert == nil) ~= (found.key == nil) then return cli.usage("get", "--cert and --key go together") end
  if #words > 1 then
    local stat = found.output and core.stat(found.output)
    if not stat or stat.type ~= "directory" then return cli.usage("get", "several URLs need -o FOLDER or -O") end
  end
  local request, message = make_request(found)
  if not request then return cli.fail(2, message) end
  local pins, wrong = read_pins(found.pins)
  if wrong then return cli.usage("get", "a pin is sha256//BASE64, not ", wrong) end
  if pins and found.psk then
    return cli.usage("get", "--pin and --psk do not go together: a server that takes the key shows no certificate")
  end
  if found.ca and found.insecure then return cli.usage("get", "--ca checks nothing with -k") end
  if found.crl and (found.insecure or found.psk and not found.ca) then
    return cli.usage("get", "--crl checks nothing with -k, or with --psk and no --ca")
  end
  if found.cert and found.psk and not found.ca then
    return cli.usage("get", "--cert is never shown with --psk and no --ca: a server that takes the key asks for none")
  end
  local psk, missing
  if found.psk then psk, missing = read_psk(found.psk) end
  if missing then return cli.fail(1, missing) end
  if found.psk and not psk then return cli.usage("get", "--psk is IDENTITY:KEY, the key in hex digits, or @FILE") end
  -- Pins alone would say enough to the library; here they come on top, unless -k says that they are to be all.
  local ca = found.ca or (pins and not found.insecure) or nil

  return cli.in_loop(function()
    local neap = require "neap"
    local client = neap.client { verify_peer = not found.insecure, ca = ca, crl = found.crl, pins = pins, psk = psk,
      session_file = found.sessions, early_data = found.early, cert = found.cert, key = found.key,
      keep_certificates = found.verbose, protocols = protocol and { protocol },
      versions = versions, original_version = versions and "preferred",
      timeout = found.timeout, progress_timeout = found.progress_timeout,
      busy_poll = 0.00005 } -- a server that sends faster than it reads wakes it for every train otherwise
    local codes = {}
    local jobs, places = {}, neap.semaphore(at_once)
    for i, address in ipairs(words) do
      jobs[i] = function() codes[i] = places:with(fetch, cli, client, address, found, request) end
    end
    neap.all(jobs)
    client:close()
    local code = 0
    for i = 1, #words do code = math.max(code, codes[i] or 1) end
    return code
  end, true)
end

return get
