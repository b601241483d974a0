--- Clients that move, and servers with a preferred address, with the programs of ngtcp2 at the other side. The same in
--- virtual time is in spec/quic/conn_migrate_spec.lua and spec/quic/conn_preferred_spec.lua.
local harness = require("spec.interop.harness")
local helper = require("spec.helper")
local peers = require("spec.interop.peers")

local MISSING = "needs ngtcp2's programs: scripts/bootstrap --test"

local function whole(ctx, file)
  return os.execute(("cmp -s %s/10M %s"):format(ctx.www, file)) == 0
end

local function prepared(fn)
  return function()
    if not helper.has_program("gtlsclient") then return pending(MISSING) end
    local dir = helper.make_dir()
    finally(function() helper.remove_dir(dir) end)
    local ctx = peers.context(dir)
    ctx.out = dir .. "/out"
    os.execute(("mkdir -p %s && cp %s %s/10M"):format(ctx.out, ctx.post, ctx.www))
    fn(ctx, dir)
  end
end

local function start_ours(ctx, dir, port, preferred)
  return harness.start(("%s run %s/spec/interop/migration_server.lua 127.0.0.1 %d %s %s %s %s"):format(ctx.neap,
    helper.source_dir, port, ctx.certs.cert, ctx.certs.key, ctx.www, preferred or ""),
    { dir = dir, name = "neap", port = port })
end

local function download(ctx, words, port, count)
  local urls = ("https://localhost:%d/10M "):format(port):rep(count or 1)
  return harness.call(("gtlsclient -q --exit-on-all-streams-close %s --download=%s 127.0.0.1 %d %s"):format(words,
    ctx.out, port, urls), 60)
end

describe("gtlsclient", function()
  local WAYS = { ["that migrates"] = "--change-local-addr=20ms",
    ["behind a NAT that rebinds"] = "--change-local-addr=1ms --nat-rebinding" }
  for what, words in pairs(WAYS) do
    it(what .. " gets its 10 MB from neap, which follows it", prepared(function(ctx, dir)
      local port = harness.free_port()
      local server = start_ours(ctx, dir, port)
      -- gtlsclient takes nothing that still comes to the old address, and has nothing to say from the new one where it
      -- has just acknowledged all: then neither knows of the other.
      local ok, why
      for _ = 1, 4 do
        ok, why = download(ctx, words .. " --timeout=5s", port)
        ok = ok and whole(ctx, ctx.out .. "/10M")
        if ok then break end
      end
      local status, log = harness.stop(server, 30)
      if not ok and words:find("nat") and not log:find("migrated") then
        return pending("gtlsclient said nothing from its new address")
      end
      assert(ok, (why or "") .. log)
      assert.equal(0, status, log)
      assert.matches("peer_migrated\t127.0.0.1:" .. port, log)
    end))
  end

  it("goes to the address that neap prefers, and not when it is not to", prepared(function(ctx, dir)
    local port, preferred = harness.free_port(), "127.0.0.2:" .. harness.free_port()
    local server = start_ours(ctx, dir, port, preferred)
    local ok, why = download(ctx, "", port)
    local stays, reason = download(ctx, "--no-preferred-addr", port)
    local status, log = harness.stop(server, 30)
    assert(ok, (why or "") .. log)
    assert(stays, (reason or "") .. log)
    assert.equal(0, status, log)
    assert.is_true(whole(ctx, ctx.out .. "/10M"))
    local _, count = log:gsub("peer_migrated\t" .. preferred:gsub("%p", "%%%0"), "")
    assert.equal(1, count, log)
  end))
end)

describe("gtlsserver", function()
  local function start(ctx, dir, port, words)
    return harness.start(("gtlsserver -q %s -d %s 127.0.0.1 %d %s %s"):format(words, ctx.www, port, ctx.certs.key,
      ctx.certs.cert), { dir = dir, name = "gtlsserver", port = port })
  end

  local function run(ctx, port, words)
    return helper.run(("timeout 60 %s run %s/spec/interop/migration_client.lua %s https://localhost:%d/10M %s %s")
      :format(ctx.neap, helper.source_dir, ctx.certs.ca, port, ctx.out .. "/10M", words or ""))
  end

  for what, how in pairs { ["once it is proved"] = "", ["at once"] = "at_once" } do
    it("goes on with neap, which moves " .. what, prepared(function(ctx, dir)
      local port = harness.free_port()
      local server = start(ctx, dir, port, "")
      local output, status = run(ctx, port, "127.0.0.3 " .. how)
      harness.stop(server)
      assert.equal(0, status, output)
      assert.is_true(whole(ctx, ctx.out .. "/10M"))
      assert.matches("migrated\t127.0.0.3:%d+\t127.0.0.1:" .. port, output)
      assert.matches("path_validated\t127.0.0.3:", output)
      assert.matches("second\t200\t127.0.0.1:%d+\t127.0.0.3:", output)
    end))
  end

  it("has neap at the address that it prefers", prepared(function(ctx, dir)
    local port, other = harness.free_port(), harness.free_port()
    local server = start(ctx, dir, port, "--preferred-ipv4-addr=127.0.0.2:" .. other)
    local output, status = run(ctx, port)
    harness.stop(server)
    assert.equal(0, status, output)
    assert.is_true(whole(ctx, ctx.out .. "/10M"))
    assert.matches("migrated\t%S+\t127.0.0.2:" .. other, output)
    assert.matches("second\t200\t127.0.0.2:" .. other, output)
  end))
end)
