local harness = require("spec.interop.harness")
local helper = require("spec.helper")
local peers = require("spec.interop.peers")
local tls_cases = require("spec.interop.tls_cases")

local function peer_named(list, name)
  for _, peer in ipairs(list) do
    if peer.name == name then return peer end
  end
  error("no peer " .. name)
end

local function stop_ours(processes)
  for _, process in ipairs(processes) do
    local status, log = harness.stop(process, 30)
    -- A leak or an undefined behaviour is a status too: the servers are sanitizer builds.
    assert.equal(0, status, process.command .. "\n" .. log)
  end
end

describe("gtlsclient", function()
  local client = peer_named(peers.clients, "gtlsclient")
  local dir, ctx, ours

  setup(function()
    if not helper.has_program(client.program) then return end
    dir = helper.make_dir()
    ctx = peers.context(dir)
    ours = peers.start_neap(ctx)
  end)

  teardown(function()
    if not ours then return end
    stop_ours(ours)
    helper.remove_dir(dir)
  end)

  for _, case in ipairs(peers.cases) do
    it("gets from neap: " .. case, function()
      if not ours then return pending("needs gtlsclient: scripts/bootstrap --test") end
      assert(client.cases[case](ctx))
    end)
  end

  for _, case in ipairs(tls_cases.of_clients) do
    -- Registers of early data that several servers share are good after half a minute: scripts/interop has them.
    if client.tls_cases[case] and case ~= "0-RTT repeated" then
      it("has with neap: " .. case, function()
        if not ours then return pending("needs gtlsclient: scripts/bootstrap --test") end
        assert(client.tls_cases[case](ctx))
      end)
    end
  end

  it("sends early data to a server of neap that reads it, and is answered", function()
    if not ours then return pending("needs gtlsclient: scripts/bootstrap --test") end
    local port = harness.free_port()
    local server = harness.start(("%s run %s/spec/interop/early_server.lua 127.0.0.1:%d %s %s"):format(ctx.neap,
      helper.source_dir, port, ctx.certs.cert, ctx.certs.key), { dir = dir, name = "neap-early", port = port })
    local answers = {}
    for i = 1, 3 do
      local output, status = helper.run(("timeout 20 gtlsclient -q --exit-on-all-streams-close --session-file=%s "
        .. "--tp-file=%s --download=%s 127.0.0.1 %d https://localhost:%d/early"):format(dir .. "/early-session",
        dir .. "/early-tp", dir, port, port))
      assert.equal(0, status, output)
      answers[i] = helper.read_file(dir .. "/early")
      os.remove(dir .. "/early")
    end
    harness.stop(server)
    -- Of early data, and whether the request came so.
    assert.same({ "none false\n", "accepted true\n", "accepted true\n" }, answers)
  end)
end)

--- ECN of the connection, packets that left and came marked, updates of its keys.
local function figures_of(text)
  local ecn, sent, received, updates = text:match("(%a+)%s+(%d+)%s+(%d+)%s+(%d+)%s*$")
  return ecn, tonumber(sent), tonumber(received), tonumber(updates)
end

describe("gtlsclient --key-update", function()
  it("and a server of neap mark their packets, believe each other's counts, and update their keys both ways", function()
    if not helper.has_program("gtlsclient") then return pending("needs gtlsclient: scripts/bootstrap --test") end
    local dir, port = helper.make_dir(), harness.free_port()
    local ctx = peers.context(dir)
    local server = harness.start(("%s run %s/spec/interop/figures_app.lua %d %s %s 100"):format(ctx.neap,
      helper.source_dir, port, ctx.certs.cert, ctx.certs.key), { dir = dir, name = "neap-figures", port = port })
    finally(function()
      harness.stop(server)
      helper.remove_dir(dir)
    end)
    local output, status = helper.run(("timeout 20 gtlsclient -q --exit-on-all-streams-close --key-update=1ms "
      .. "--download=%s 127.0.0.1 %d https://localhost:%d/3000000 https://localhost:%d/figures"):format(dir, port, port,
      port))
    assert.equal(0, status, output)
    local ecn, sent, received, updates = figures_of(helper.read_file(dir .. "/figures"))
    assert.equal("capable", ecn)
    assert.is_true(sent > 500 and received > 20 and updates >= 2, ("%d %d %d"):format(sent, received, updates))
  end)
end)

describe("gtlsserver", function()
  it("and neap mark their packets, and neap updates its keys", function()
    if not helper.has_program("gtlsserver") then return pending("needs gtlsserver: scripts/bootstrap --test") end
    local dir = helper.make_dir()
    local ctx = peers.context(dir)
    peers.choose_ports(ctx)
    local processes = peer_named(peers.servers, "gtlsserver").start(ctx, {})
    finally(function()
      for _, process in ipairs(processes) do harness.stop(process) end
      helper.remove_dir(dir)
    end)
    local output, status = helper.run(("timeout 20 %s run %s/spec/interop/client.lua %s figures "
      .. "https://localhost:%d/1M 10"):format(ctx.neap, helper.source_dir, ctx.certs.ca, ctx.port))
    assert.equal(0, status, output)
    local ecn, sent, received, updates = figures_of(output)
    assert.equal("capable", ecn, output)
    assert.is_true(sent > 10 and received > 500 and updates >= 1, output)
  end)
end)

describe("gtlsserver --verify-client", function()
  it("is shown neap's certificate, and refuses neap without one", function()
    if not helper.has_program("gtlsserver") then return pending("needs gtlsserver: scripts/bootstrap --test") end
    local dir = helper.make_dir()
    local ctx = peers.context(dir)
    peers.choose_ports(ctx)
    local processes = peer_named(peers.servers, "gtlsserver").start(ctx, { asks = true })
    finally(function()
      for _, process in ipairs(processes) do harness.stop(process) end
      helper.remove_dir(dir)
    end)
    local function visit(words)
      return helper.run(("timeout 20 %s get --ca %s %s %s"):format(ctx.neap, ctx.certs.ca, words,
        "https://127.0.0.1:" .. ctx.port .. "/one"))
    end
    local words = ("--cert %s --key %s"):format(ctx.certs.client_cert, ctx.certs.client_key)
    assert.same({ "x", 0 }, { visit(words) })
    local output, status = visit("")
    assert.equal(1, status, output)
    assert.matches("certificate_required", output)
  end)
end)

for _, name in ipairs({ "gtlsserver", "gtlsserver -V (Retry)" }) do
  describe(name, function()
    local server = peer_named(peers.servers, name)
    local dir, ctx, processes

    setup(function()
      if not helper.has_program(server.program) then return end
      dir = helper.make_dir()
      ctx = peers.context(dir)
      peers.choose_ports(ctx)
      processes = server.start(ctx, {})
    end)

    teardown(function()
      if not processes then return end
      for _, process in ipairs(processes) do harness.stop(process) end
      helper.remove_dir(dir)
    end)

    for _, case in ipairs(peers.cases) do
      it("gives neap: " .. case, function()
        if not processes then return pending("needs gtlsserver: scripts/bootstrap --test") end
        assert(server.cases[case](ctx))
      end)
    end

    for _, case in ipairs(tls_cases.of_servers) do
      if server.tls_cases[case] then
        it("has with neap: " .. case, function()
          if not processes then return pending("needs gtlsserver: scripts/bootstrap --test") end
          assert(server.tls_cases[case](ctx))
        end)
      end
    end

    it("reads neap's early data, and refuses it when it does not know the ticket", function()
      if not processes then return pending("needs gtlsserver: scripts/bootstrap --test") end
      local function visit()
        local output, status = helper.run(("timeout 20 %s run %s/spec/interop/early_client.lua 127.0.0.1:%d localhost "
          .. "%s %s"):format(ctx.neap, helper.source_dir, ctx.port, ctx.certs.ca, dir .. "/early-sessions"))
        assert.equal(0, status, output)
        return (output:gsub("%s+", " "))
      end
      assert.equal("none none full answered ", visit())
      assert.equal("offered accepted resumed answered ", visit())
      assert.equal("offered accepted resumed answered ", visit())
      for _, process in ipairs(processes) do harness.stop(process) end
      processes = server.start(ctx, {})
      assert.equal("offered rejected full answered ", visit())
    end)
  end)
end
