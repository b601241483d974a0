--- The cases of the public QUIC interop runner in virtual time: the client and the server of the command line, with the
--- runner's sizes, links and time limits. Over real sockets: spec/interop/runner_spec.lua.
local helper = require "helper"
local interop = require "neap.cli.interop"
local interop_client = require "neap.cli.interop_client"
local interop_server = require "neap.cli.interop_server"
local packets = require "spec.interop.packets"
local runner = require "spec.interop.runner"
local sim = require "neap.sim"

local LIMIT = 60 -- seconds that a case may take

-- Filters that write what spec/interop/impaired.lua says, and corrupt as the runner does: one byte of the first 50.
local function observer(lab, case, first_address)
  local lines, marks, bindings = {}, {}, {}
  local bytes_of = { up = 0, down = 0 }
  local function say(...) lines[#lines + 1] = table.concat({ ... }, " ") end
  local function filter(direction)
    local run = 0
    return function(bytes, _, _, datagram)
      packets.tell(direction, bytes, say)
      local mark = direction .. " " .. datagram.ecn
      if not marks[mark] then say("mark", mark) end
      marks[mark] = true
      if direction == "up" and not bindings[datagram.from] then
        bindings[datagram.from] = true
        say("binding", datagram.from)
      end
      local here = direction == "up" and datagram.to or datagram.from
      if here == first_address then bytes_of[direction] = bytes_of[direction] + #bytes end
      if case.link.corrupt and run < case.link.burst and lab.random() * 100 < case.link.corrupt then
        run = run + 1
        local at = math.floor(lab.random() * math.min(50, #bytes))
        local other = (bytes:byte(at + 1) + 1 + math.floor(lab.random() * 255)) % 256
        return bytes:sub(1, at) .. string.char(other) .. bytes:sub(at + 2)
      end
      run = 0
    end
  end
  return filter, function()
    say("bytes", bytes_of.up, bytes_of.down)
    return runner.read_log(table.concat(lines, "\n"))
  end
end

-- What black holes a link has, as the simulation takes them.
local function outages(link)
  if not link.off then return nil end
  local list = {}
  for i = 0, 20 do
    local from = i * (link.on + link.off) + link.on
    list[#list + 1] = { from, from + link.off }
  end
  return list
end

local function describe_conn(conn)
  local stats = conn:stats() or {} -- of one that failed
  return { suite = conn:cipher_suite(), is_resumed = conn:is_resumed(), early = conn:early(), version = conn:version(),
    key_updates = stats.key_updates, ecn_sent = stats.ecn_sent, ecn_received = stats.ecn_received }
end

-- Runs a case: what was seen, what the client's connections became, seconds, and the lab.
local function run(case, h3, dir, seed)
  local lab = sim.new { seed = seed or case.name }
  local v6 = case.is_ipv6
  local first, second = v6 and "fd00:100::100" or "193.167.100.100", v6 and "fd00:100::101" or "193.167.100.101"
  local home = v6 and "fd00::100" or "193.167.0.100"
  local server = lab:host("server.example", { addresses = case.is_preferred and { first, second } or { first } })
  local client = lab:host("client.example", { address = home })
  local filter, seen = observer(lab, case, (v6 and "[%s]:443" or "%s:443"):format(first))
  local given = case.link
  lab:link { delay = given.delay, rate = given.rate, queue = given.queue, loss = given.loss and given.loss / 100,
    loss_burst = given.loss and given.burst, outages = outages(given),
    up = { filter = filter("up"), drop = given.drop }, down = { filter = filter("down") } }
  for i = 0, given.first and 20 or -1 do
    lab:at(given.first + i * given.every, function()
      client:rebind(given.address and ("193.167.0.%d"):format(101 + i) or nil)
    end)
  end

  local folders = { www = dir .. "/www", downloads = dir .. "/downloads" }
  os.execute("mkdir -p " .. helper.quote(folders.downloads))
  local names = runner.make_files(case, folders.www)
  local options, trust = { port = 443 }, {}
  if case.long_chain then
    runner.make_certificates(dir, true, "server.example")
    options.cert, options.key, options.wall_clock = dir .. "/cert.pem", dir .. "/priv.key", os.time()
    trust = { ca = dir .. "/ca.pem", wall_clock = os.time() }
  end
  if case.is_preferred then options.preferred = { second .. ":444" } end
  server:go(function()
    assert(interop_server.listen(interop.plan("server", case.server, h3), folders.www, options))
  end)
  local urls, conns = {}, {}
  for i, name in ipairs(names) do urls[i] = "https://server.example/" .. name end
  local begun = lab:time()
  local ok, why = client:run(function()
    return interop_client.run(interop.plan("client", case.client, h3), urls, folders.downloads, trust, function(conn)
      conns[#conns + 1] = describe_conn(conn)
    end)
  end, case.seconds or LIMIT)
  local seconds = lab:time() - begun
  assert(ok, why)
  assert(runner.compare(folders.www, folders.downloads, names))
  assert.is_true(lab:amplification() <= 3)
  lab:close()
  return seen(), conns, seconds
end

for _, protocol in ipairs { "hq-interop", "h3" } do
  describe("the interop runner's cases over " .. protocol, function()
    local dir

    before_each(function() dir = helper.make_dir() end)
    after_each(function() helper.remove_dir(dir) end)

    for _, case in ipairs(runner.cases) do
      if not (protocol == "h3" and case.name == "http3") then
        it("pass " .. case.name, function()
          local seen, conns, seconds = run(case, protocol == "h3", dir)
          assert.is_true(#conns >= 1)
          if case.check then case.check(seen, case, conns) end
          if os.getenv("NEAP_RUNNER") == "times" then print(protocol, case.name, ("%.2f s"):format(seconds)) end
        end)
      end
    end
  end)
end

describe("the client of the interop runner's cases", function()
  local dir

  before_each(function() dir = helper.make_dir() end)
  after_each(function() helper.remove_dir(dir) end)

  it("updates keys where files are small, too", function()
    for _, h3 in ipairs { false, true } do
      for _, case in ipairs(runner.cases) do
        if case.name == "keyupdate" then
          local small = setmetatable({ sizes = { 100 } }, { __index = case })
          local seen, conns = run(small, h3, dir)
          case.check(seen, small, conns)
          assert.equal(1, conns[1].key_updates)
        end
      end
    end
  end)

  it("asks each server for what is there", function()
    for _, h3 in ipairs { false, true } do
      local lab = sim.new { seed = 7 }
      local client = lab:host("client.example")
      lab:link { delay = 0.01 }
      local urls, names, whole = {}, {}, dir .. "/www"
      for i = 1, 2 do
        local name = ("s%d.example"):format(i)
        local www = ("%s/www%d"):format(dir, i)
        os.execute(("mkdir -p %s %s/downloads %s"):format(helper.quote(www), helper.quote(dir), helper.quote(whole)))
        for k = 1, 2 do
          local file = ("f%d%d"):format(i, k)
          helper.write_file(www .. "/" .. file, name .. file)
          helper.write_file(whole .. "/" .. file, name .. file)
          urls[#urls + 1], names[#names + 1] = ("https://%s/%s"):format(name, file), file
        end
        lab:host(name):go(function()
          assert(interop_server.listen(interop.plan("server", "transfer", h3), www, { port = 443 }))
        end)
      end
      for _, case in ipairs { "transfer", "resumption", "multiconnect" } do
        local ok, why = client:run(function()
          return interop_client.run(interop.plan("client", case, h3), urls, dir .. "/downloads",
            { verify_peer = false })
        end, LIMIT)
        assert(ok, why)
        assert(runner.compare(whole, dir .. "/downloads", names))
        for _, name in ipairs(names) do assert(os.remove(dir .. "/downloads/" .. name)) end
      end
      lab:close()
    end
  end)
end)

describe("the interop runner's link", function()
  it("carries 10 MB at 9.3 Mbit/s and more", function()
    local dir = helper.make_dir()
    finally(function() helper.remove_dir(dir) end)
    local case = setmetatable({ sizes = { 10 * 1024 * 1024 } }, { __index = runner.cases[2] })
    local _, _, seconds = run(case, false, dir)
    assert.is_true(case.sizes[1] * 8 / seconds >= 9.3e6, seconds .. " s")
  end)
end)
