--- The cases of the public QUIC interop runner: what is fetched, over which link, and what an observer without keys
--- must have seen. spec/interop/runner_spec.lua runs them over real sockets, spec/sim/runner_spec.lua in virtual time.
local assert = require("luassert")
local harness = require("spec.interop.harness")
local helper = require("spec.helper")

local runner = {}

local KB, MB = 1024, 1024 * 1024

-- The default scenario: 15 ms, 10 Mbit/s, 25 packets.
local function simple(more)
  local link = { delay = 0.015, rate = 10e6 / 8, queue = 25 }
  for name, value in pairs(more or {}) do link[name] = value end
  return link
end

local function repeated(count, size)
  local sizes = {}
  for i = 1, count do sizes[i] = size end
  return sizes
end

local function one_handshake(seen) assert.equal(1, seen.handshakes) end
local function two_handshakes(seen) assert.equal(2, seen.handshakes) end
local function each_handshake(seen, case) assert.equal(#case.sizes, seen.handshakes) end

local function no_retry(seen)
  one_handshake(seen)
  assert.equal(0, seen.retries)
end

--- name, TESTCASE of the client and of the server, sizes of the files, the link, what is asked of what was seen. `real`
--- has other sizes and links, that a suite has time for.
runner.cases = {
  { "handshake", sizes = { KB }, check = no_retry },
  { "transfer", sizes = { 2 * MB, 3 * MB, 5 * MB }, real = { sizes = { 200 * KB, 300 * KB, 500 * KB } },
    check = one_handshake },
  { "longrtt", client = "handshake", server = "handshake", sizes = { KB }, link = simple { delay = 0.75 },
    check = function(seen)
      one_handshake(seen)
      assert.is_true(seen.client_hellos >= 2)
    end },
  { "chacha20", sizes = { 3 * MB }, real = { sizes = { 300 * KB } }, check = function(seen, _, conns)
      one_handshake(seen)
      for _, conn in ipairs(conns or {}) do assert.equal("TLS_CHACHA20_POLY1305_SHA256", conn.suite) end
    end },
  { "multiplexing", client = "transfer", server = "transfer", sizes = repeated(1999, 32),
    real = { sizes = repeated(500, 32) }, check = one_handshake },
  { "retry", sizes = { 10 * KB }, check = function(seen)
      one_handshake(seen)
      assert.is_true(seen.retries >= 1 and seen.has_token)
    end },
  { "resumption", sizes = { 5 * KB, 10 * KB }, check = function(seen, _, conns)
      two_handshakes(seen)
      for i, conn in ipairs(conns or {}) do assert.equal(i == 2, conn.is_resumed) end
    end },
  { "zerortt", sizes = repeated(40, 32), long_names = true, check = function(seen, _, conns)
      two_handshakes(seen)
      assert.is_true(seen.early > 0)
      if conns and conns[2] then assert.equal("accepted", conns[2].early) end
    end },
  { "http3", sizes = { 5 * KB, 10 * KB, 500 * KB }, check = one_handshake },
  { "blackhole", client = "transfer", server = "transfer", sizes = { 10 * MB }, link = simple { on = 5, off = 2 },
    real = { sizes = { MB }, link = simple { on = 0.5, off = 0.5 } }, check = one_handshake },
  { "keyupdate", server = "transfer", sizes = { 3 * MB }, real = { sizes = { 500 * KB } },
    check = function(seen, _, conns)
      one_handshake(seen)
      for _, conn in ipairs(conns or {}) do assert.is_true(conn.key_updates >= 1) end
    end },
  { "ecn", sizes = { 100 * KB }, check = function(seen, _, conns)
      one_handshake(seen)
      assert.is_true(seen.marks.up[2] and seen.marks.down[2])
      for _, conn in ipairs(conns or {}) do assert.is_true(conn.ecn_sent > 0 and conn.ecn_received > 0) end
    end },
  { "amplificationlimit", client = "transfer", server = "transfer", sizes = { 5 * KB }, long_chain = true,
    link = simple { drop = { 2, 3, 4, 5, 6, 7 } }, check = function(seen)
      one_handshake(seen)
      assert.is_true(seen.amplification <= 3, "sent " .. seen.amplification .. " times what came")
    end },
  { "handshakeloss", client = "multiconnect", server = "multiconnect", sizes = repeated(50, KB), seconds = 300,
    link = simple { loss = 30, burst = 3 }, real = { sizes = repeated(8, KB) }, check = each_handshake },
  { "transferloss", client = "transfer", server = "transfer", sizes = { 2 * MB }, link = simple { loss = 2, burst = 3 },
    real = { sizes = { 500 * KB } }, check = one_handshake },
  { "handshakecorruption", client = "multiconnect", server = "multiconnect", sizes = repeated(50, KB), seconds = 300,
    link = simple { corrupt = 30, burst = 3 }, real = { sizes = repeated(8, KB) } },
  { "transfercorruption", client = "transfer", server = "transfer", sizes = { 2 * MB },
    link = simple { corrupt = 2, burst = 3 }, real = { sizes = { 500 * KB } } },
  { "ipv6", client = "transfer", server = "transfer", sizes = { 5 * KB, 10 * KB }, is_ipv6 = true,
    check = one_handshake },
  { "v2", sizes = { KB }, check = function(seen, _, conns)
      one_handshake(seen)
      assert.equal("00000001", seen.client_version)
      assert.equal("6b3343cf", seen.server_version)
      assert.is_true(seen.handshake_versions["6b3343cf"] and not seen.handshake_versions["00000001"])
      for _, conn in ipairs(conns or {}) do assert.equal(0x6b3343cf, conn.version) end
    end },
  { "rebind-port", client = "transfer", server = "transfer", sizes = { 10 * MB },
    link = simple { first = 1, every = 5 }, real = { sizes = { 2 * MB }, link = simple { first = 0.5, every = 1 } },
    check = function(seen)
      one_handshake(seen)
      assert.is_true(seen.bindings > 1)
    end },
  { "rebind-addr", client = "transfer", server = "transfer", sizes = { 10 * MB },
    link = simple { first = 1, every = 5, address = 1 },
    real = { sizes = { 2 * MB }, link = simple { first = 0.5, every = 1, address = 1 } }, check = function(seen)
      one_handshake(seen)
      assert.is_true(seen.bindings > 1 and seen.hosts > 1)
    end },
  { "connectionmigration", client = "transfer", sizes = { 2 * MB }, is_preferred = true, check = function(seen, case)
      one_handshake(seen)
      -- Not all came by the address that the client began with. Over real sockets the other is beside the link: the
      -- first question there overtakes the connection IDs that it is answered with, and comes again after a second.
      assert.is_true(seen.bytes_down < case.sizes[1] * 0.9, seen.bytes_down .. " bytes by the first address")
    end },
}

for _, case in ipairs(runner.cases) do
  case.name = case[1]
  case.client, case.server = case.client or case.name, case.server or case.name
  case.link = case.link or simple()
end

--- A case with the sizes and the link that a suite has time for.
function runner.short(case)
  local real = case.real or {}
  return setmetatable({ sizes = real.sizes, link = real.link }, { __index = case })
end

--- Files of the sizes of a case in `folder`; their names.
function runner.make_files(case, folder)
  os.execute("mkdir -p " .. helper.quote(folder))
  local source = assert(io.open("/dev/urandom", "rb"))
  local names = {}
  for i, size in ipairs(case.sizes) do
    local name = ("%s%d"):format(case.long_names and ("n"):rep(246) or "file", 1000 + i)
    helper.write_file(folder .. "/" .. name, source:read(size))
    names[i] = name
  end
  source:close()
  return names
end

--- A certificate for localhost, or a name: priv.key, cert.pem and ca.pem in `folder`; with `long` the chain has nine
--- certificates and a leaf with 20 names of 250 characters, as the runner's.
function runner.make_certificates(folder, long, name)
  local names = { "DNS:" .. (name or "localhost"), "IP:127.0.0.1", "IP:::1" }
  for i = 1, long and 20 or 0 do
    names[#names + 1] = ("DNS:%s.%s.%s.%s%02d"):format(("a"):rep(62), ("b"):rep(62), ("c"):rep(62), ("d"):rep(59), i)
  end
  helper.write_file(folder .. "/leaf.cnf", "subjectAltName=" .. table.concat(names, ",") .. "\n")
  helper.write_file(folder .. "/between.cnf", "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n")
  local output, status = helper.run(([[set -e; cd %s
    key="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    openssl req -x509 $key -keyout key0 -out ca.pem -days 30 -subj "/CN=runner" -addext keyUsage=critical,keyCertSign
    cp ca.pem cert0; : >chain
    for i in $(seq 1 %d); do
      openssl req -new $key -keyout key$i -out csr -subj "/CN=between $i"
      openssl x509 -req -in csr -CA cert$((i - 1)) -CAkey key$((i - 1)) -CAcreateserial -days 20 -extfile between.cnf \
        -out cert$i
      cat cert$i chain >longer; mv longer chain
    done
    openssl req -new $key -keyout priv.key -out csr -subj /CN=localhost
    openssl x509 -req -in csr -CA cert%d -CAkey key%d -CAcreateserial -days 10 -extfile leaf.cnf -out leaf
    cat leaf chain >cert.pem]]):format(helper.quote(folder), long and 8 or 0, long and 8 or 0, long and 8 or 0))
  assert(status == 0, output)
end

--- What the lines of spec/interop/impaired.lua say.
function runner.read_log(log)
  local seen = { handshakes = 0, retries = 0, client_hellos = 0, early = 0, bindings = 0, hosts = 0, bytes_down = 0,
    bytes_up = 0, marks = { up = {}, down = {} }, handshake_versions = {}, amplification = 0 }
  local scids, hosts = {}, {}
  local sizes = { up = 0, down = 0 }
  for line in log:gmatch("[^\n]+") do
    local direction, kind, version, _, scid, token, size = line:match("^(%l+) (%w+) (%x+) (%S+) (%S+) (%d+) (%d+)")
    if kind then
      token, size = tonumber(token), tonumber(size)
      if kind == "handshake" then
        seen.handshake_versions[version] = true
      elseif kind == "retry" then
        seen.retries = seen.retries + 1
      elseif kind == "0rtt" then
        seen.early = seen.early + size
      elseif kind == "initial" and direction == "up" then
        seen.client_hellos = seen.client_hellos + 1
        seen.client_version = seen.client_version or version
        seen.has_token = seen.has_token or token > 0
      elseif kind == "initial" then
        seen.server_version = version
        if not scids[scid] then seen.handshakes = seen.handshakes + 1 end
        scids[scid] = true
      end
    end
    local to, bytes = line:match("^size (%l+) (%d+)")
    if to then
      sizes[to] = sizes[to] + tonumber(bytes)
      if to == "down" then seen.amplification = math.max(seen.amplification, sizes.down / sizes.up) end
    end
    local way, mark = line:match("^mark (%l+) (%d)")
    if way then seen.marks[way][tonumber(mark)] = true end
    local host = line:match("^binding (.*):%d+$")
    if host then
      seen.bindings = seen.bindings + 1
      if not hosts[host] then seen.hosts = seen.hosts + 1 end
      hosts[host] = true
    end
    local up, down = line:match("^bytes (%d+) (%d+)")
    if up then seen.bytes_up, seen.bytes_down = tonumber(up), tonumber(down) end
  end
  return seen
end

--- Whether all files of `names` are in `got`, equal to those of `www`, and no others: true, or nil and what is wrong.
function runner.compare(www, got, names)
  for _, name in ipairs(names) do
    if helper.read_file(got .. "/" .. name) ~= helper.read_file(www .. "/" .. name) then
      return nil, name .. " differs"
    end
  end
  local count = tonumber((helper.run("ls " .. helper.quote(got) .. " | wc -l")))
  if count ~= #names then return nil, ("%d files for %d"):format(count, #names) end
  return true
end

--- The words that start spec/interop/impaired.lua with the link of a case.
function runner.link_words(case)
  local words = {}
  for name, value in pairs(case.link) do
    words[#words + 1] = name .. "=" .. (type(value) == "table" and table.concat(value, ",") or tostring(value))
  end
  return table.concat(words, " ")
end

--- Runs a case over real sockets in `dir`. `server(port, folders)` and `client(url, folders)` start programs: a process
--- of harness.start, and a command's output and status. What was seen, or nil and what failed.
function runner.run(case, dir, server, client)
  local folders = { www = dir .. "/www", downloads = dir .. "/downloads", certs = dir .. "/certs", dir = dir }
  os.execute(("mkdir -p %s %s"):format(helper.quote(folders.downloads), helper.quote(folders.certs)))
  local names = runner.make_files(case, folders.www)
  runner.make_certificates(folders.certs, case.long_chain)
  local host = case.is_ipv6 and "[::1]" or "127.0.0.1"
  local port, server_port = harness.free_port(), harness.free_port()
  local process = server(("%s:%d"):format(host, server_port), server_port, folders)
  local link = harness.start(("%s run %s/spec/interop/impaired.lua %s:%d %s:%d %s"):format(harness.neap(),
    helper.source_dir, host, port, host, server_port, runner.link_words(case)),
    { dir = dir, name = "link", ready = "ready" })
  local urls = {}
  for i, name in ipairs(names) do urls[i] = ("https://%s:%d/%s"):format(host, port, name) end
  local output, status = client(urls, folders)
  os.execute("sleep 0.3") -- its last word, and the link's
  local _, log = harness.stop(link)
  local server_status, server_log = harness.stop(process)
  if status ~= 0 then return nil, ("the client ended with %d: %s"):format(status, output) end
  local ok, why = runner.compare(folders.www, folders.downloads, names)
  if not ok then return nil, why end
  return runner.read_log(log), server_status, server_log
end

return runner
