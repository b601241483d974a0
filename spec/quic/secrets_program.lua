--- Runs as a process of its own for spec/quic/secrets_spec.lua: secrets_program.lua FOLDER SUITE. A client and a
--- server, whose first connection is a whole handshake and whose second resumes it, with early data; then it stands
--- still, both connections open.
local folder, suite = arg[1], tonumber(arg[2])

package.path = ("%s/spec/?.lua;%s/?.lua;"):format(spec_host.source_dir, spec_host.source_dir) .. package.path
local net = require("support.quic_net")
local secrets = require("neap.units").secrets

local early = { early_data = 1 }
local configs = { client = net.config(early, 11, false), server = net.config(early, 12, true) }
configs.server:register()
secrets.use_suite(configs.client, suite)
secrets.log_keys(configs.client, folder .. "/keys")
secrets.log_keys(configs.server, folder .. "/keys")

local pairs_of_both = {}
for i = 1, 2 do
  local p = net.pair({ client_config = configs.client, server_config = configs.server, seed = i })
  if i == 2 then assert(p.client:stream_send(p.client:open(false), "early", true) == 5) end
  p:handshake()
  p:settle(1000 * net.MS)
  assert(p.client:info().early == (i == 2 and "accepted" or "none"))
  assert(p.client:info().resumed == (i == 2))
  assert(p:transfer("client", ("x"):rep(30000)))
  assert(p:transfer("server", ("x"):rep(30000)))
  secrets.save_sessions(configs.client, ("%s/sessions%d"):format(folder, i))
  pairs_of_both[i] = p
end
print("ready")
io.stdout:flush()
secrets.stop()
for _, p in ipairs(pairs_of_both) do p:free() end
for _, config in pairs(configs) do config:free() end
