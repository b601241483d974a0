--- Runs other people's HTTP/3 programs against neap: processes, ports, certificates, files.
--- These are real processes in real time, so waiting here means looking at a log until a deadline.
local helper = require("spec.helper")
local leash = require("spec.support.leash")

local harness = {}

local quote = helper.quote

local function shell(command)
  local output, status = helper.run(command)
  assert(status == 0, command .. "\n" .. output)
  return output
end

--- Seconds of the wall clock, for deadlines.
local function now()
  return os.time()
end

local function pause()
  os.execute("sleep 0.05")
end

local function udp_ports()
  local ports = {}
  for _, name in ipairs({ "/proc/net/udp", "/proc/net/udp6", "/proc/net/tcp" }) do
    for port in (helper.read_file(name) or ""):gmatch("\n *%d+: %x+:(%x+)") do
      ports[tonumber(port, 16)] = true
    end
  end
  return ports
end

local random_seeded = false

--- A port that nobody has bound now.
function harness.free_port()
  if not random_seeded then
    local seed = 0
    for byte in io.open("/dev/urandom", "rb"):read(4):gmatch(".") do seed = seed * 256 + byte:byte() end
    math.randomseed(seed)
    random_seeded = true
  end
  local taken = udp_ports()
  for _ = 1, 1000 do
    local port = math.random(20000, 30000)
    if not taken[port] then return port end
  end
  error("no free port")
end

--- Starts a command in a process group of its own; what it prints goes to a log.
--- options: dir (for the log), name, port (wait until it is bound), ready (wait for this in the log), seconds
function harness.start(command, options)
  local base = options.dir .. "/" .. (options.name or "process") .. "." .. tostring(math.random(1e9))
  local process = leash.start(command, base .. ".log")
  local deadline = now() + (options.seconds or 30)
  while true do
    local log = helper.read_file(process.log) or ""
    if leash.status(process) then
      error(("%s ended before it was ready\n%s"):format(command, log))
    end
    local is_ready = (not options.ready or log:find(options.ready))
      and (not options.port or udp_ports()[options.port])
    if is_ready then return process end
    if now() > deadline then
      harness.stop(process)
      error(("%s was not ready in time\n%s"):format(command, log))
    end
    pause()
  end
end

--- Waits until a process has printed a text, for so many seconds (10): whether it came.
function harness.wait_for(process, text, seconds)
  local deadline = now() + (seconds or 10)
  repeat
    if (helper.read_file(process.log) or ""):find(text, 1, true) then return true end
    pause()
  until now() > deadline
  return false
end

--- Ends a process and all that it started: SIGTERM, and SIGKILL when that is not enough. Returns its exit status
--- (nil when it had to be killed) and its log.
function harness.stop(process, seconds)
  local status = leash.stop(process, seconds)
  return status, helper.read_file(process.log) or ""
end

--- Ends whatever still runs: for after_each and teardown.
harness.end_all = leash.end_all

--- A certificate authority and a certificate of it for localhost and the loopback addresses, made by openssl.
function harness.make_certificates(dir)
  local files = { ca = dir .. "/ca.pem", cert = dir .. "/cert.pem", key = dir .. "/key.pem", both = dir .. "/both.pem",
    renewed = dir .. "/renewed.pem", client_cert = dir .. "/client.pem", client_key = dir .. "/client.key" }
  helper.write_file(dir .. "/leaf.cnf", "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1\n"
    .. "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n")
  helper.write_file(dir .. "/client.cnf",
    "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth\n")
  local d = quote(dir)
  shell(([[cd %s
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 30 \
      -subj "/CN=neap specs" -addext keyUsage=critical,keyCertSign
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out leaf.csr \
      -subj /CN=localhost
    openssl x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 14 -extfile leaf.cnf -out cert.pem
    openssl x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 15 -extfile leaf.cnf -out renewed.pem
    cat cert.pem key.pem >both.pem
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout client.key -out client.csr \
      -subj "/O=neap specs/CN=pump 7"
    openssl x509 -req -in client.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 14 -extfile client.cnf \
      -out client.pem
    chmod 644 key.pem both.pem client.key]]):format(d))
  return files
end

--- The files that peers fetch: /zero /one /1M /100M and /p/0 … /p/99, and the 10 MB that they post.
function harness.make_files(dir)
  local d = quote(dir)
  shell(([[mkdir -p %s/www/p && cd %s/www
    : >zero; printf x >one
    head -c 1048576 /dev/urandom >1M
    head -c 104857600 /dev/urandom >100M
    head -c 10485760 /dev/urandom >../10M
    for i in $(seq 0 99); do head -c $((1000 + i * 37)) /dev/urandom >p/$i; done
    chmod -R a+rX ..]]):format(d, d))
  return dir .. "/www"
end

--- True when two files hold the same bytes, else nil and what differs.
function harness.same(a, b)
  local output, status = helper.run("cmp " .. quote(a) .. " " .. quote(b))
  if status == 0 then return true end
  return nil, output
end

--- Runs a command with a time limit: its output, or nil and why not.
function harness.call(command, seconds)
  local output, status = helper.run(("timeout -k 5 %d %s"):format(seconds or 120, command))
  if status == 0 then return output end
  return nil, ("status %d: %s\n%s"):format(status, command, output:sub(-2000)), output
end

--- The words that run a program of the Debian 13 root (scripts/peers) out here; nil where there is none.
function harness.peer(path)
  local root, status = helper.run(helper.source_dir .. "/scripts/peers path")
  root = root:gsub("%s+$", "")
  local file = status == 0 and io.open(root .. path, "rb")
  if not file then return nil end
  file:close()
  local loader = helper.run(helper.source_dir .. "/scripts/peers loader")
  return loader:gsub("%s+$", "") .. " " .. root .. path
end

--- What fn gives, behind which all processes end and dir is removed. When it fails the program says why, and ends
-- with 1.
function harness.main(fn, dir)
  local ok, result = xpcall(fn, debug.traceback)
  harness.end_all()
  helper.remove_dir(dir)
  if ok then return result end
  io.stderr:write(result, "\n")
  os.exit(1)
end

--- The neap program under test.
function harness.neap()
  return os.getenv("NEAP_PROGRAM") or (helper.build_dir .. "/neap")
end

return harness
