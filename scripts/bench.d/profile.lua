--- Where the CPU time of a download goes: perf on its server and its client, by what the functions do.
--- luajit scripts/bench.d/profile.lua [--write]; started by scripts/bench profile.
package.path = "./?.lua;./scripts/bench.d/?.lua;" .. package.path

local helper = require("spec.helper")
helper.source_dir, helper.build_dir = ".", helper.run("pwd"):match("[^\n]+") .. "/build/release"
local harness = require("spec.interop.harness")
local page = require("page")

local MEGABYTES = tonumber(os.getenv("NEAP_BENCH_MEGABYTES") or 1024)
local TOP = 8 -- functions that are named

-- What a function is about, by its name; the first that matches. What is in the kernel is the kernel's, and a library
-- of cryptography is there for AEAD, but for a handshake.
local KINDS = {
  { "AEAD", { "aes", "gcm", "ghash", "hash_", "chacha", "poly1305", "seal", "open_", "mbedtls_", "clmul", "crypt",
    "mask", "engine" } },
  { "copies", { "memcpy", "memmove", "memset" } },
}

local dir = helper.make_dir()
local last_core = tonumber((helper.run("nproc"))) - 1

local function kind_of(object, symbol)
  if object:find("kernel", 1, true) or object:find("%[k") then return "kernel" end
  if object:find("^lib[mbed]*crypto") or object:find("^libsodium") then return "AEAD" end
  for _, kind in ipairs(KINDS) do
    for _, word in ipairs(kind[2]) do
      if symbol:lower():find(word, 1, true) then return kind[1] end
    end
  end
  return "neap and Lua"
end

-- Shares of the kinds, and the functions that take most, of a recording.
local function read(data)
  local shares, list, sum = {}, {}, 0
  local output = helper.run(("perf report -i %s --stdio --no-children -g none --sort dso,symbol -F overhead,dso,symbol "
    .. "--percent-limit 0 2>/dev/null"):format(data))
  for line in output:gmatch("[^\n]+") do
    local share, object, space, symbol = line:match("^%s*([%d.]+)%%%s+(%S+)%s+%[(.)%]%s+(%S+)")
    if share then
      local kind = kind_of(space == "k" and "kernel" or object, symbol)
      shares[kind] = (shares[kind] or 0) + tonumber(share)
      sum = sum + tonumber(share)
      list[#list + 1] = { share = tonumber(share), text = ("%s %.0f %%"):format(symbol, tonumber(share)) }
    end
  end
  assert(sum > 50, "perf recorded nothing:\n" .. output:sub(1, 500))
  table.sort(list, function(a, b) return a.share > b.share end)
  local names = {}
  for i = 1, math.min(TOP, #list) do names[i] = list[i].text end
  return shares, table.concat(names, ", ")
end

local function record(name) return ("perf record -q -e cpu-clock -F 2000 -o %s/%s.data"):format(dir, name) end

local function run()
  local certs = harness.make_certificates(dir)
  local port = harness.free_port()
  helper.run(("mkdir %s/www && head -c %d /dev/zero >%s/www/1G && cat %s/www/1G >/dev/null"):format(dir,
    MEGABYTES * 2 ^ 20, dir, dir))
  local server = harness.start(("taskset -c 0 %s %s/neap serve %s/www --quiet --listen 127.0.0.1:%d --cert %s --key %s"
    ):format(record("server"), helper.build_dir, dir, port, certs.cert, certs.key), { dir = dir, port = port })
  local get = ("%s/neap get -k -s -o /dev/null https://localhost:%d/1G"):format(helper.build_dir, port)
  local output, status = helper.run(("timeout 600 taskset -c %d %s %s"):format(last_core, record("client"), get))
  harness.stop(server)
  assert(status == 0, output)
end

-- The table of both recordings.
local function describe()
  local lines = { ("`scripts/bench profile --write` on %s:\n"):format(page.machine()),
    ("one download of %d MiB, shares of each process's CPU time.\n\n"):format(MEGABYTES),
    "| | kernel | AEAD | copies | neap and Lua | most of it in |\n", "|---|---|---|---|---|---|\n" }
  for _, name in ipairs { "server", "client" } do
    local shares, list = read(("%s/%s.data"):format(dir, name))
    lines[#lines + 1] = ("| %s | %.0f %% | %.0f %% | %.0f %% | %.0f %% | %s |\n"):format(name, shares.kernel or 0,
      shares.AEAD or 0, shares.copies or 0, shares["neap and Lua"] or 0, list)
  end
  return table.concat(lines)
end

local text = harness.main(function()
  run()
  return describe()
end, dir)
io.stdout:write(text)
if arg[1] == "--write" then page.write("profile", text) end
