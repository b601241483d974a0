--- luajit spec/interop/runner_table.lua ROOT BUILD [case...]: the interop runner's cases over HTTP/3 through an
--- impaired link, with ngtcp2 and aioquic of Debian 13 (scripts/peers): each with itself, and with neap in both roles.
--- A table in markdown; reasons of failures go to standard error. NEAP_RUNNER=full: with the runner's sizes and times.
local root, build = arg[1], arg[2]
package.path = root .. "/?.lua;" .. package.path
local only = { unpack(arg, 3) }

local helper = require("spec.helper")
helper.source_dir, helper.build_dir = root, build
local harness = require("spec.interop.harness")
local programs = require("spec.interop.runner_programs")
local runner = require("spec.interop.runner")

local MISSING = "needs the programs of Debian 13: scripts/peers"
local ngtcp2, aioquic = assert(programs.ngtcp2(), MISSING), assert(programs.aioquic(), MISSING)
local ours = programs.neap("--h3")
local pairs_of = {} -- client, server; a peer with itself comes first
for _, peer in ipairs({ ngtcp2, aioquic }) do
  for _, two in ipairs({ { peer, peer }, { ours, peer }, { peer, ours } }) do pairs_of[#pairs_of + 1] = two end
end
local failures = 0

local function is_wanted(name)
  for _, one in ipairs(only) do
    if one == name then return true end
  end
  return #only == 0
end

local function run(case, client, server)
  local dir = helper.make_dir()
  local called, result, why = pcall(function()
    local seen, status = runner.run(case, dir, function(address, port, folders)
      return server.server(case, address, port, folders, dir)
    end, function(urls, folders) return client.client(case, urls, folders, dir) end)
    if not seen then return nil, status end
    if case.check then case.check(seen, case) end
    return true
  end)
  harness.end_all()
  helper.remove_dir(dir)
  if not called then return nil, tostring(type(result) == "table" and result.message or result) end
  return result, why
end

print("| case | ngtcp2 with itself | neap against gtlsserver | gtlsclient against neap | aioquic with itself "
  .. "| neap against aioquic | aioquic against neap |\n|---|---|---|---|---|---|---|")
for _, whole in ipairs(runner.cases) do
  if is_wanted(whole.name) then
    local case = os.getenv("NEAP_RUNNER") == "full" and whole or runner.short(whole)
    local cells, works = {}, nil
    for i, two in ipairs(pairs_of) do
      local lacks = two[1].lacks or two[2].lacks
      local is_there = not (lacks and lacks[case.name])
      local begun = os.time()
      local ok, why
      if is_there then ok, why = run(case, two[1], two[2]) end
      if two[1] == two[2] then works = ok end
      cells[i] = ok and "ok" or not is_there and "–" or works and "**FAIL**" or "no"
      if not ok and works then failures = failures + 1 end
      io.stderr:write(("%s, %s against %s: %s (%d s)\n"):format(case.name, two[1].name, two[2].name,
        ok and "ok" or tostring(why):sub(1, 400), os.time() - begun))
    end
    print(("| %s | %s |"):format(case.name, table.concat(cells, " | ")))
    io.stdout:flush()
  end
end
os.exit(failures == 0 and 0 or 1)
