--- What each side has at once while a handshake goes on, beside what its config has: both in memory, without a network.
--- neap run scripts/bench.d/peak.lua CERTIFICATES KEY CA → bytes of the client, bytes of the server. For localhost.
local q = require("neap.lowlevel")

local certificates, key, ca = ...
local CLIENT, SERVER = "192.0.2.1:1000", "192.0.2.2:443"

local configs = {
  client = assert(q.config({ alpn = "h3", ca = ca })),
  server = assert(q.config({ alpn = "h3", cert = certificates, key = key })),
}
local before, conns, now = {}, {}, 1
for side, config in pairs(configs) do before[side] = config:memory().used end

conns.client = assert(q.connect(configs.client, "localhost", SERVER, { from = CLIENT, at = now }))
while not (conns.server and conns.client:is_confirmed() and conns.server:is_confirmed()) do
  local moved = false
  for from, to in pairs({ client = "server", server = "client" }) do
    while conns[from] do
      local bytes, info = conns[from]:send(now)
      if not bytes then break end
      moved = true
      if not conns[to] then
        conns[to] = assert(q.accept(configs[to], assert(q.header_info(bytes)), q.random_cid(configs[to], 8),
          { from = CLIENT, to = SERVER, at = now }))
      end
      conns[to]:recv(bytes, { from = info.from, to = info.to, ecn = info.ecn, at = now })
    end
  end
  assert(moved, "the handshake does not end")
end
print(configs.client:memory().peak - before.client, configs.server:memory().peak - before.server)
