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

  it("resumes its sessions at neap, whose server refuses its early data", function()
    if not ours then return pending("needs gtlsclient: scripts/bootstrap --test") end
    local answers = {}
    for i = 1, 3 do
      local output, status = helper.run(("timeout 20 gtlsclient -q --exit-on-all-streams-close --session-file=%s "
        .. "--tp-file=%s --download=%s 127.0.0.1 %d https://localhost:%d/resumed"):format(dir .. "/session",
        dir .. "/tp", dir, ctx.app_port, ctx.app_port))
      assert.equal(0, status, output)
      answers[i] = helper.read_file(dir .. "/resumed")
      os.remove(dir .. "/resumed")
    end
    assert.same({ "false", "true", "true" }, answers)
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
  end)
end
