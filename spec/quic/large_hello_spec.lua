--- ClientHellos that take two Initial packets, as a share of X25519MLKEM768 makes them: here by names of protocols, so
--- that it holds with every library, and with that share where there is one.
local core = require "neap.core"
local sim = require "neap.sim"

local PROTOCOLS = { "neap-sim" } -- 1024 bytes of them, which is all that a config takes
for i, size in ipairs { 255, 255, 255, 246 } do PROTOCOLS[i + 1] = tostring(i):rep(size) end

local has_hybrid = core.config { groups = "X25519MLKEM768" } ~= nil
local KINDS = { ["long lists"] = { alpn = PROTOCOLS, source_connection_id_size = 20 } }
if has_hybrid then
  KINDS["a share of X25519MLKEM768"] = { groups = { "X25519MLKEM768", "x25519" } }
end

local function options(kind, more)
  local out = {}
  for _, list in ipairs { KINDS[kind], more or {} } do
    for name, value in pairs(list) do out[name] = value end
  end
  return out
end

--- A client's handshake with a server over a link: the server's statistics and the group.
local function connect(kind, link, seed, server_options)
  local lab = sim.new { seed = seed or 1 }
  local path = lab:link(link)
  local server = lab:server(server_options or {})
  local client = lab:client(options(kind, { server = server }))
  lab:run(0)
  assert(path.up.sent == 2, "the hello is not in two packets")
  local ok = lab:run(function() return client.conn:is_confirmed() end, 30)
  assert(ok, ("seed %s: the handshake is not confirmed"):format(tostring(seed)))
  local stats, group = server.endpoint:stats(), client.conn:group()
  assert.equal("neap-sim", client.conn:alpn())
  lab:close()
  return stats, group
end

describe("a ClientHello of two packets", function()
  it("is asked about with X25519MLKEM768 too", function()
    if not has_hybrid then pending("no library of this build has ML-KEM: OpenSSL 3.5 does (scripts/peers test)") end
  end)

  for kind in pairs(KINDS) do
    describe("with " .. kind, function()
      it("makes a connection as any other", function()
        local stats, group = connect(kind, { delay = 0.02 })
        assert.equal(1, stats.accepted)
        assert.equal(KINDS[kind].groups and "X25519MLKEM768" or "x25519", group)
      end)

      it("may come in the wrong order, or either of its packets late or never", function()
        for _, drop in ipairs { { 1 }, { 2 }, { 1, 2 }, { 2, 3 }, { 1, 4 }, { 1, 2, 3 }, { 1, 2, 3, 4 } } do
          local stats = connect(kind, { delay = 0.02, up = { drop = drop } })
          assert.equal(1, stats.accepted)
        end
        for seed = 1, 20 do
          local stats = connect(kind, { delay = 0.02, reorder = 0.5, reorder_delay = 0.1, duplicate = 0.3 }, seed)
          assert.equal(1, stats.accepted)
        end
      end)

      it("gets through a lossy network", function()
        for seed = 1, 40 do
          connect(kind, { delay = 0.03, loss = 0.25, reorder = 0.2, reorder_delay = 0.05, duplicate = 0.1 }, seed)
        end
      end)

      it("comes again behind a Retry", function()
        for seed = 1, 10 do
          local stats = connect(kind, { delay = 0.02, loss = seed > 1 and 0.15 or 0, reorder = 0.3,
            reorder_delay = 0.05 }, seed, { retry = true })
          assert.is_true(stats.retries_sent >= 1)
          assert.equal(1, stats.accepted)
        end
      end)

      it("may be followed by another one, when the server wants another group", function()
        local groups = { "x25519", "secp256r1" }
        if KINDS[kind].groups then groups = { "X25519MLKEM768", "x25519", "secp256r1" } end
        for seed = 1, 10 do
          local lab = sim.new { seed = seed }
          lab:link { delay = 0.02, loss = seed > 1 and 0.2 or 0 }
          local server = lab:server { groups = "secp256r1" }
          local client = lab:client(options(kind, { server = server, groups = groups }))
          assert.is_truthy(lab:run(function() return client.conn:is_confirmed() end, 30))
          assert.equal("secp256r1", client.conn:group())
          lab:close()
        end
      end)
    end)
  end
end)
