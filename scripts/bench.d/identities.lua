--- neap run scripts/bench.d/identities.lua HANDSHAKES: what many certificates of a server cost, in memory, without
--- sockets.
local core = require("neap.core")
local lowlevel = require("neap.lowlevel")

local CLIENT, SERVER = "192.0.2.1:1000", "192.0.2.2:443"
local MOST, ROUNDS = 4096, 3
local handshakes = tonumber((...)) or 2000

local certs = {}
for i = 1, MOST do
  local cert, key = assert(core.make_certificate({ names = { ("www%d.example"):format(i) } }))
  certs[i] = { cert = cert, key = key }
end

local function first(count)
  local list = {}
  for i = 1, count do list[i] = certs[i] end
  return list
end

local function cpu(fn)
  collectgarbage()
  local begin = os.clock()
  fn()
  return os.clock() - begin
end

--- Has `to` take everything that `from` has to say: whether that was anything.
local function tell(from, to, source, target)
  local any = false
  for bytes in function() return (from:send(1)) end do
    any = true
    to:recv(bytes, { from = source, to = target, at = 1 })
  end
  return any
end

local function handshake(server_config, client_config, name)
  local client = assert(lowlevel.connect(client_config, name, SERVER, { from = CLIENT, at = 1 }))
  local bytes = assert(client:send(1))
  local server = assert(lowlevel.accept(server_config, assert(lowlevel.header_info(bytes)),
    lowlevel.random_cid(server_config, 8), { from = CLIENT, to = SERVER, at = 1 }))
  server:recv(bytes, { from = CLIENT, to = SERVER, at = 1 })
  repeat
    local told = tell(client, server, CLIENT, SERVER)
    local answered = tell(server, client, SERVER, CLIENT)
  until not (told or answered)
  assert(client:is_confirmed(), "the handshake is not confirmed")
end

local function config(count)
  return assert(lowlevel.config({ alpn = "h3", certs = first(count), ticket_lifetime = 0, memory_limit = 0 }))
end

print("| certificates | µs of a handshake, both sides | KB of the config |\n|---|---|---|")
for _, count in ipairs({ 1, MOST }) do
  local server = config(count)
  local client = assert(lowlevel.config({ alpn = "h3", verify_peer = false, resumption = false, memory_limit = 0 }))
  local best = math.huge
  for _ = 1, ROUNDS do
    local took = cpu(function()
      for i = 1, handshakes do handshake(server, client, ("www%d.example"):format(i * 7 % count + 1)) end
    end)
    best = math.min(best, took)
  end
  print(("| %d | %.0f | %.0f |"):format(count, best / handshakes * 1e6, server:memory().used / 1024))
end

print("\n| read again | ms |\n|---|---|")
for _, count in ipairs({ 1000, MOST }) do
  local server, list = config(1), first(count)
  local best = math.huge
  for _ = 1, ROUNDS do
    best = math.min(best, cpu(function() assert(server:reload({ certs = list })) end))
  end
  print(("| %d | %.0f |"):format(count, best * 1e3))
end
