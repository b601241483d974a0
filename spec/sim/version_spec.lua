--- Versions of QUIC between endpoints: who answers with Version Negotiation, and what clients make of it.
local sim = require "neap.sim"

local V1, V2 = 0x00000001, 0x6b3343cf

--- A handshake over a link: the client's connection, the server's statistics; the caller closes the lab.
local function connect(server_options, client_options, link, seed)
  local lab = sim.new { seed = seed or 1 }
  local path = lab:link(link or { delay = 0.02 })
  local server = lab:server(server_options)
  local given = { server = server }
  for name, value in pairs(client_options or {}) do given[name] = value end
  local client = lab:client(given)
  lab:run(function() return client.conn:is_confirmed() or client.conn:is_closed() end, 30)
  return client.conn, server.endpoint:stats(), lab, path
end

describe("endpoints", function()
  it("find the version that both speak, by Version Negotiation or within the handshake", function()
    for _, case in ipairs {
      { {}, {}, V1, 0 },
      { { versions = "v2" }, {}, V2, 1 },
      { { versions = { "v2", "v1" } }, {}, V2, 0 },
      { { versions = { "v2", "v1" }, retry = true }, {}, V2, 0 },
      { { versions = "v2", retry = true }, {}, V2, 1 },
      { { versions = "v1" }, { versions = { "v2", "v1" }, original_version = "preferred" }, V1, 1 },
      { {}, { versions = { 0x6b3343cf, 1 }, original_version = "preferred" }, V2, 0 },
    } do
      local conn, stats, lab = connect(case[1], case[2])
      assert.is_true(conn:is_confirmed())
      assert.equal(case[3], conn:version())
      assert.equal(case[4], stats.version_negotiations_sent)
      assert.equal(1, stats.accepted)
      lab:close()
    end
  end)

  it("find it whatever is lost", function()
    for seed = 1, 10 do
      local conn, _, lab = connect({ versions = "v2", retry = seed % 2 == 0 }, {},
        { delay = 0.02, loss = 0.15, reorder = 0.2, duplicate = 0.1 }, seed)
      assert.is_true(conn:is_confirmed(), "seed " .. seed)
      assert.equal(V2, conn:version())
      lab:close()
    end
  end)

  -- covers: rfc9369#4.1 rfc9000#6.2.1
  it("without one that both speak do not meet: the client says so at once", function()
    local conn, stats, lab = connect({ versions = "v1" }, { versions = "v2" })
    assert.is_true(conn:is_closed())
    assert.equal("version", conn:error().by)
    assert.equal(0, stats.accepted)
    assert.equal(1, stats.version_negotiations_sent)
    lab:close()
  end)
end)
