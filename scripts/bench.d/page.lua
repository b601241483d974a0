--- What scripts/bench puts into docs/performance.md: tables between two marks each, so that the rest of the page stays.
local helper = require("spec.helper")

local page = {}

local FILE = "docs/performance.md"

--- Puts `text` between the marks of `name`.
function page.write(name, text)
  local first, last = ("<!-- scripts/bench %s -->"):format(name), ("<!-- end of %s -->"):format(name)
  local whole = assert(helper.read_file(FILE))
  local _, from = whole:find(first, 1, true)
  local to = whole:find(last, 1, true)
  assert(from and to, FILE .. " has no marks of " .. name)
  helper.write_file(FILE, whole:sub(1, from) .. "\n" .. text .. whole:sub(to))
end

--- The machine, in half a sentence.
function page.machine()
  local model = helper.read_file("/proc/cpuinfo"):match("model name%s*:%s*([^\n]+)") or "unknown CPU"
  local kernel = helper.run("uname -r"):match("^[%d.]+")
  return ("%s × %s, Linux %s, over loopback"):format(helper.run("nproc"):match("%d+"), model, kernel)
end

local function median(values)
  local list = {}
  for _, value in ipairs(values or {}) do
    if not value then return nil end
    list[#list + 1] = value
  end
  table.sort(list)
  return list[math.ceil(#list / 2)]
end

local function row(cells) return "| " .. table.concat(cells, " | ") .. " |\n" end

local function rule(count) return "|" .. ("---|"):rep(count) .. "\n" end

local function size_of(path)
  return tonumber((helper.run("stat -L -c %s " .. path))) or 0
end

local function stripped(path)
  local copy = os.tmpname()
  helper.run(("strip -o %s %s"):format(copy, path))
  local size = size_of(copy)
  os.remove(copy)
  return size
end

local function text_of(archive)
  return helper.run(("size -t %s | awk 'END { print $1 }'"):format(archive)):match("%d+")
end

-- gtlsserver with what it has of QUIC and HTTP/3.
local function size_of_gtls(path_of)
  local path, words = path_of("gtlsserver")
  if not path then return "" end
  local list = helper.run(words ~= "" and words .. "--list " .. path or "ldd " .. path)
  local sum = size_of(path)
  for name, file in list:gmatch("(lib[%w_]+)%.so[^\n]- => (%S+)") do
    if name:find("ngtcp2", 1, true) or name == "libnghttp3" then sum = sum + size_of(file) end
  end
  return sum
end

local function versions(run)
  local list = {}
  for _, name in ipairs(run.servers) do
    local path = name:sub(1, 4) ~= "neap" and run.path_of(name)
    local package = ({ gtlsserver = "ngtcp2-server" })[name] or name
    local folder = path and path:match("^(.*)/usr/s?bin/")
    local query = ("dpkg-query --admindir=%s/var/lib/dpkg -W -f '${Version}' %s"):format(folder or "", package)
    local version = path and helper.run(query):match("^[%d.]+")
    if path then list[#list + 1] = ("%s %s"):format(name, version or "") end
  end
  return table.concat(list, ", ")
end

--- The tables of a comparison, and whether a figure failed.
function page.compare(run)
  local out, failed = {}, false

  local function figure(name, format)
    local values = run.figures[name]
    if not values then return "" end
    local value = median(values)
    failed = failed or not value
    return value and (format or "%.0f"):format(value) or "failed"
  end

  local function ratio(what, ours, theirs, wanted)
    local a, b = median(run.figures[ours]), median(run.figures[theirs])
    if a and b then out[#out + 1] = row { what, ("%.2f"):format(a / b), wanted } end
  end

  out[#out + 1] = ([[
Measured by `scripts/bench --write` on %s;
the server has one core, the client another; rounds with all in turn, medians of %d. CPU seconds are those of the processes.
Beside neap, of Debian: %s.

]]):format(page.machine(), run.rounds, versions(run))
  out[#out + 1] = ("**Bulk**, %d MiB on one connection, from and to the page cache:\n\n"):format(run.megabytes)
  out[#out + 1] = row { "", "server", "client", "MB/s", "server CPU s a GiB", "client CPU s a GiB" } .. rule(6)
  for _, verb in ipairs { "get", "upload" } do
    for _, server in ipairs(run.servers) do
      for _, client in ipairs { "neap", "gtlsclient" } do
        local name = ("%s %s %s"):format(verb, server, client)
        if run.figures[name .. " rate"] then
          out[#out + 1] = row { verb == "get" and "down" or "up", server, client, figure(name .. " rate"),
            figure(name .. " server", "%.2f"), figure(name .. " client", "%.2f") }
        end
      end
    end
  end
  out[#out + 1] = [[

**Requests and handshakes**, by `neap bench`; neap answers by a Lua handler, haproxy by a line of its configuration, the
others by a file of 11 bytes. A handshake has a P-256 certificate and a request, 16 at a time.

]]
  out[#out + 1] = row { "server", "1 × 100: a second", "server µs each", "32 × 10: a second", "server µs each",
    "one after the other: p50 µs", "p99 µs", "handshakes a second", "server µs each",
    ("resident bytes a connection, %d idle"):format(run.idle) } .. rule(10)
  for _, server in ipairs(run.servers) do
    local name = "requests " .. server
    out[#out + 1] = run.figures[name .. " 1x1 p50"] and row { server, figure(name .. " 1x100 rate"),
      figure(name .. " 1x100 server", "%.2f"), figure(name .. " 32x10 rate"), figure(name .. " 32x10 server", "%.2f"),
      figure(name .. " 1x1 p50"), figure(name .. " 1x1 p99"), figure("handshakes " .. server .. " rate"),
      figure("handshakes " .. server .. " server"), figure("idle " .. server) }
  end
  out[#out + 1] = ("\nThe client's own CPU a request: %s µs (1 × 100), %s µs (32 × 10).\n"):format(
    figure("requests neap 1x100 client", "%.2f"), figure("requests neap 32x10 client", "%.2f"))
  out[#out + 1] = ("\nA handshake with a chain of two certificates has at most %s bytes at once of a client's memory "
    .. "limit, %s of a server's, the connection included.\n"):format(figure("peak client"), figure("peak server"))
  out[#out + 1] = "\n**Beside gtlsserver and gtlsclient**, as ratios of this run:\n\n" ..
    row { "neap's over theirs", "is", "target" } .. rule(3)
  ratio("bulk down, own pair, MB/s", "get neap neap rate", "get gtlsserver gtlsclient rate", "≥ 2.0")
  ratio("our server under their client, over their pair", "get neap gtlsclient rate", "get gtlsserver gtlsclient rate",
    "≥ 1.0")
  ratio("our client under their server, over their pair", "get gtlsserver neap rate", "get gtlsserver gtlsclient rate",
    "≥ 1.0")
  ratio("bulk up, own pair, MB/s", "upload neap neap rate", "upload gtlsserver gtlsclient rate", "≥ 1.0")
  for _, load in ipairs { "1x100", "32x10" } do
    ratio(("server CPU a request, %s"):format((load:gsub("x", " × "))), ("requests neap %s server"):format(load),
      ("requests gtlsserver %s server"):format(load), "≤ 0.9")
  end
  ratio("one request after the other, p50", "requests neap 1x1 p50", "requests gtlsserver 1x1 p50", "≤ 0.75")
  ratio("… p99", "requests neap 1x1 p99", "requests gtlsserver 1x1 p99", "≤ 1.0")
  ratio("server CPU a handshake", "handshakes neap server", "handshakes gtlsserver server", "≤ 0.5")
  ratio("beside nginx: server CPU a request, 1 × 100", "requests neap 1x100 server", "requests nginx 1x100 server",
    "< 1.0")
  out[#out + 1] = "\n**Sizes** in bytes, stripped; gtlsserver with libngtcp2, its crypto and libnghttp3:\n\n"
  out[#out + 1] = row { "", "release", "small", "gtlsserver" } .. rule(4)
  local function sizes(what, path, measure, other)
    out[#out + 1] = row { what, measure("build/release/" .. path), measure("build/small/" .. path), other or "" }
  end
  sizes("program", "neap", stripped, size_of_gtls(run.path_of))
  sizes("libneap.so", "libneap.so", stripped)
  sizes("neap/core.so", "lua/neap/core.so", stripped)
  sizes("text of libneap.a", "libneap.a", text_of)
  return table.concat(out), failed
end

return page
