--- luajit spec/interop/run.lua ROOT BUILD [peer...]: every case with every peer of the Debian 13 root, both roles,
--- and without peers named, TLS over TCP.
--- Prints a table in markdown; the reasons of failures go to standard error. Started by scripts/interop.
local root, build = arg[1], arg[2]
package.path = root .. "/?.lua;" .. package.path

local helper = require("spec.helper")
helper.source_dir, helper.build_dir = root, build
local harness = require("spec.interop.harness")
local peers = require("spec.interop.peers")
local records_table = require("spec.interop.records_table")
local tls_cases = require("spec.interop.tls_cases")

local only = { unpack(arg, 3) }
local failures, done = 0, 0

local function is_wanted(peer)
  if peer.is_out_here and not helper.has_program(peer.program) then return false end
  if #only == 0 then return true end
  for _, name in ipairs(only) do
    if peer.name:find(name, 1, true) then return true end
  end
  return false
end

local function say(text)
  io.stderr:write(text, "\n")
end

--- One row: the result of each of the cases `names`, "–" where the peer has nothing for it.
local function run_cases(peer, names, cases, ctx, role)
  local cells = {}
  for _, name in ipairs(names) do
    local run = cases[name]
    local cell = "–"
    if run then
      local called, ok, why = pcall(run, ctx)
      if not called then ok, why = nil, ok end
      done = done + 1
      cell = ok and "ok" or "**FAIL**"
      if not ok then
        failures = failures + 1
        say(("FAIL  %s as %s, %s: %s"):format(peer.name, role, name, why))
      end
    end
    cells[#cells + 1] = cell
  end
  say(("%-22s %s: %s"):format(peer.name, role, table.concat(cells, " ")))
  return cells
end

local function print_row(name, cells)
  print(("| %s | %s |"):format(name, table.concat(cells, " | ")))
end

local function print_head(title, names)
  print("\n### " .. title .. "\n")
  print_row("peer", names)
  print("|---" .. ("|---"):rep(#names) .. "|")
end

--- Stops what runs; a server of ours that does not end well is a failure too.
local function stop_all(processes, is_ours)
  for _, process in ipairs(processes) do
    local status, log = harness.stop(process)
    if is_ours and status ~= 0 then
      failures = failures + 1
      say(("FAIL  %s ended with %s\n%s"):format(process.command, tostring(status), log))
    end
  end
end

local dir = helper.make_dir()
local ctx = peers.context(dir, true)
tls_cases.make_registers(ctx)

print_head("Clients against neap", peers.cases)
local ours = peers.start_neap(ctx)
for _, peer in ipairs(peers.clients) do
  if is_wanted(peer) and next(peer.cases) then
    print_row(peer.name, run_cases(peer, peers.cases, peer.cases, ctx, "client"))
  end
end
stop_all(ours, true)

print_head("neap against servers", peers.cases)
for _, peer in ipairs(peers.servers) do
  if is_wanted(peer) then
    peers.choose_ports(ctx)
    local started, processes = pcall(peer.start, ctx, {})
    if started then
      print_row(peer.name, run_cases(peer, peers.cases, peer.cases, ctx, "server"))
      stop_all(processes, false)
    else
      failures = failures + 1
      say(("FAIL  %s did not start: %s"):format(peer.name, processes))
    end
  end
end

for _, side in ipairs({
  { "TLS: clients against neap", tls_cases.of_clients, peers.clients, "client" },
  { "TLS: neap against servers", tls_cases.of_servers, peers.servers, "server" },
}) do
  local title, names, list, role = unpack(side)
  print_head(title, names)
  for _, peer in ipairs(list) do
    if is_wanted(peer) then print_row(peer.name, run_cases(peer, names, peer.tls_cases, ctx, role)) end
  end
end

if #only == 0 then
  print_head("TLS over TCP, both roles", records_table.columns)
  local good, bad, cell = records_table.run(ctx)
  done, failures = done + good + #bad, failures + #bad
  for _, name in ipairs(bad) do say("FAIL  " .. name) end
  for _, program in ipairs(records_table.programs) do
    local cells = {}
    for i = 1, #records_table.columns do
      local value = cell(program, i)
      cells[i] = value and "ok" or value == nil and "–" or "**FAIL**"
    end
    print_row(program, cells)
  end
end

helper.remove_dir(dir)
print(("\n%d passed, %d failed"):format(done - math.min(failures, done), failures))
os.exit(failures == 0 and 0 or 1)
