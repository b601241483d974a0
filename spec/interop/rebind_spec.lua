--- A real client whose address changes on its way to a real server, over real sockets. The same in virtual time, and
--- with every turn that it can take, is in spec/quic/conn_path_spec.lua and spec/sim/rebind_spec.lua.
local harness = require("spec.interop.harness")
local helper = require("spec.helper")
local peers = require("spec.interop.peers")

-- For a longer run by hand: seconds between changes, bytes a second, whose defaults change four times in three seconds.
local EVERY = tonumber(os.getenv("NEAP_REBIND_EVERY")) or 0.7
local RATE = tonumber(os.getenv("NEAP_REBIND_RATE")) or 3500000

local programs = {
  { name = "gtlsclient", call = function(ctx, port)
    local words = "gtlsclient -q --exit-on-all-streams-close --download=%s 127.0.0.1 %d https://localhost:%d/10M"
    return harness.call(words:format(ctx.out, port, port), 60)
  end },
  { name = "neap get", call = function(ctx, port)
    return harness.call(("%s get --ca %s -o %s/10M https://localhost:%d/10M"):format(
      ctx.neap, ctx.certs.ca, ctx.out, port), 60)
  end },
}

for _, program in ipairs(programs) do
  describe(program.name .. " behind a NAT that changes port and address", function()
    it("gets its 10 MB whole", function()
      if program.name == "gtlsclient" and not helper.has_program("gtlsclient") then
        return pending("needs gtlsclient: scripts/bootstrap --test")
      end
      local dir = helper.make_dir()
      finally(function() helper.remove_dir(dir) end)
      local ctx = peers.context(dir)
      ctx.out = dir .. "/out"
      os.execute(("mkdir -p %s && cp %s %s/10M"):format(ctx.out, ctx.post, ctx.www))
      local port, server_port = harness.free_port(), harness.free_port()
      local server = harness.start(("%s serve %s --listen 127.0.0.1:%d --cert %s --key %s"):format(
        ctx.neap, ctx.www, server_port, ctx.certs.cert, ctx.certs.key),
        { dir = dir, name = "server", port = server_port })
      local nat = harness.start(("%s run %s/spec/interop/nat.lua 127.0.0.1:%d 127.0.0.1:%d %g %d"):format(
        ctx.neap, helper.source_dir, port, server_port, EVERY, RATE), { dir = dir, name = "nat", ready = "ready" })
      local ok, why = program.call(ctx, port)
      local _, log = harness.stop(nat)
      local status, server_log = harness.stop(server, 30)
      assert(ok, (why or "") .. log)
      assert.equal(0, status, server_log)
      assert.equal(0, os.execute(("cmp %s/10M %s/10M"):format(ctx.www, ctx.out)))
      local _, changes = log:gsub("change %d+", "")
      assert.is_true(changes >= 3, log)
    end)
  end)
end
