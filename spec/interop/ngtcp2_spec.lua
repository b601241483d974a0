local harness = require("spec.interop.harness")
local helper = require("spec.helper")
local peers = require("spec.interop.peers")

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

  -- What its requests are answered that follow each other with one session file.
  local function come_again(path, words)
    local answers = {}
    for i = 1, 3 do
      local output, status = helper.run(("timeout 20 gtlsclient -q --exit-on-all-streams-close --session-file=%s "
        .. "--tp-file=%s --download=%s %s 127.0.0.1 %d https://localhost:%d/%s"):format(dir .. "/session-" .. path,
        dir .. "/tp-" .. path, dir, words, ctx.app_port, ctx.app_port, path))
      assert.equal(0, status, output)
      answers[i] = helper.read_file(dir .. "/" .. path)
      os.remove(dir .. "/" .. path)
    end
    return answers
  end

  it("resumes its sessions at neap", function()
    if not ours then return pending("needs gtlsclient: scripts/bootstrap --test") end
    assert.same({ "false", "true", "true" }, come_again("resumed", "--disable-early-data"))
  end)

  it("shows neap its certificate, by which it is known in its sessions too", function()
    if not ours then return pending("needs gtlsclient: scripts/bootstrap --test") end
    local asking = peers.start_asking_neap(ctx)
    local function visit(words)
      local output = helper.run(("timeout 20 gtlsclient -q --exit-on-all-streams-close --download=%s %s 127.0.0.1 %d "
        .. "https://localhost:%d/who"):format(dir, words, ctx.who_port, ctx.who_port))
      local said = helper.read_file(dir .. "/who")
      os.remove(dir .. "/who")
      return said, output
    end
    local words = ("--cert=%s --key=%s --session-file=%s --tp-file=%s"):format(ctx.certs.client_cert,
      ctx.certs.client_key, dir .. "/who-session", dir .. "/who-tp")
    assert.equal("CN=pump 7,O=neap specs, full", visit(words))
    assert.equal("CN=pump 7,O=neap specs, resumed", visit(words))
    local said, output = visit("")
    assert.equal("", said or "", output)
    stop_ours(asking)
  end)

  it("asks an application of neap by 0-RTT, which knows it", function()
    if not ours then return pending("needs gtlsclient: scripts/bootstrap --test") end
    assert.same({ "false", "true", "true" }, come_again("early", ""))
  end)

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

describe("gtlsserver --verify-client", function()
  it("is shown neap's certificate, and refuses neap without one", function()
    if not helper.has_program("gtlsserver") then return pending("needs gtlsserver: scripts/bootstrap --test") end
    local dir = helper.make_dir()
    local ctx = peers.context(dir)
    peers.choose_ports(ctx)
    local processes = peers.start_asking_gtlsserver(ctx)
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
      processes = server.start(ctx)
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

    it("resumes neap's sessions", function()
      if not processes then return pending("needs gtlsserver: scripts/bootstrap --test") end
      local answers = {}
      for i = 1, 3 do
        local output, status = helper.run(("timeout 20 %s get -v --ca %s --sessions %s -o /dev/null %s"):format(
          ctx.neap, ctx.certs.ca, dir .. "/sessions", "https://127.0.0.1:" .. ctx.port .. "/one"))
        assert.equal(0, status, output)
        answers[i] = output:find(", resumed, ", 1, true) ~= nil
      end
      assert.same({ false, true, true }, answers)
    end)

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
      processes = server.start(ctx)
      assert.equal("offered rejected full answered ", visit())
    end)
  end)
end
