-- Connection IDs by the application, and rotated.
local net = require("support.quic_net")

local quic, MS = net.quic, net.MS
local ARGUMENT, LIMIT, STATE = -3, -15, -19

describe("a generator of connection IDs", function()
  it("makes those of a server: the first, and those that follow", function()
    local config = net.config({}, 3, true)
    assert.equal(0, quic.generate(config, "counting"))
    local endpoint = assert(quic.endpoint(config, true))
    local client_config = net.config({}, 4)
    local client = assert(quic.client(client_config, "localhost", net.CLIENT, net.SERVER, 1000 * MS))
    local now = 1000 * MS
    for _ = 1, 10 do
      for _ = 1, 10 do
        local bytes = client:send(now)
        if not bytes then break end
        endpoint:recv(bytes, net.CLIENT, net.SERVER, now)
      end
      while true do
        local bytes = endpoint:send(now)
        if not bytes then break end
        client:recv(bytes, now)
      end
      now = now + 10 * MS
    end
    local conn = assert(endpoint:next())
    local ids = conn:source_ids()
    assert.equal(4, #ids)
    for _, id in ipairs(ids) do assert.equal("g", id:sub(1, 1)) end
    assert.same({ made = 4, refused = 0, collisions = 0 }, quic.cid_stats(config))
    client:free()
    endpoint:free()
    config:free()
    client_config:free()
  end)

  it("is asked 16 times at most for one that can be used", function()
    local config = net.config({}, 3, true)
    for _, kind in ipairs { "long", "failing" } do
      assert.equal(0, quic.generate(config, kind))
      assert.same({ nil, LIMIT }, { quic.new_cid(config) })
      assert.equal(16, quic.generator_calls())
    end
    assert.equal(32, quic.cid_stats(config).refused)
    quic.generate(config, "sometimes long")
    assert.equal(8, #assert(quic.new_cid(config)))
    assert.equal(2, quic.generator_calls())
    config:free()
  end)

  -- covers: rfc9000#5.1.2
  it("that gives the same one again has it refused: of another connection, and of the same", function()
    local config = net.config({}, 3, true)
    quic.generate(config, "constant")
    local endpoint = assert(quic.endpoint(config, true))
    local client_config = net.config({}, 4)
    local now = 1000 * MS
    local function initial(index)
      local address = ("198.51.100.%d:50000"):format(index)
      local client = assert(quic.client(client_config, "localhost", address, net.SERVER, now))
      local bytes = client:send(now)
      client:free()
      return bytes
    end
    assert.equal(0, endpoint:recv(initial(1), net.CLIENT, net.SERVER, now))
    assert.equal(LIMIT, endpoint:recv(initial(2), "198.51.100.9:1", net.SERVER, now))
    assert.equal(16, quic.cid_stats(config).collisions)
    endpoint:free()
    config:free()
    client_config:free()
  end)

  it("does not change while somebody uses the config, and has no prefix beside it", function()
    local config = net.config({}, 3, true)
    assert.equal(0, quic.prefix(config, "ab"))
    assert.equal(ARGUMENT, quic.prefix(config, "abcde"))
    assert.equal("ab", assert(quic.new_cid(config)):sub(1, 2))
    assert.equal(STATE, quic.generate(config, "counting"))
    assert.equal(ARGUMENT, config:set("source_connection_id_size", 5))
    assert.equal(0, config:set("source_connection_id_size", 6))
    assert.equal(0, quic.prefix(config, ""))
    assert.equal(0, quic.generate(config, "counting"))
    assert.equal(STATE, quic.prefix(config, "ab"))
    assert.equal(0, quic.generate(config, nil))
    local endpoint = assert(quic.endpoint(config, true))
    assert.equal(STATE, quic.generate(config, "counting"))
    assert.equal(STATE, quic.prefix(config, "ab"))
    endpoint:free()
    config:free()
  end)
end)

describe("connection IDs that are rotated", function()
  -- covers: rfc9000#5.1.2.2
  it("are all new at both ends, and the old ones good until the peer has retired them", function()
    for _, side in ipairs { "client", "server" } do
      local p = net.pair()
      p:handshake()
      p:settle()
      local conn = p[side]
      local before = {}
      for _, id in ipairs(conn:source_ids()) do before[id] = true end
      assert.equal(0, quic.rotate(conn))
      p:settle()
      local after = conn:source_ids()
      assert.is_true(#after >= 2)
      for _, id in ipairs(after) do assert.is_nil(before[id]) end
      local data = ("x"):rep(20000)
      assert.equal(data, p:transfer("client", data))
      p:free()
    end
  end)

  it("survive losses, and rotations without end", function()
    for seed = 1, 5 do
      local p = net.pair { seed = seed, loss = 0.2 }
      p:handshake()
      for _ = 1, 30 do
        quic.rotate(p.server)
        quic.rotate(p.client)
        p:settle()
      end
      assert.is_true(#p.server:source_ids() <= 5)
      assert.equal("data", p:transfer("client", "data"))
      p:free()
    end
  end)

  it("are none where ours have no bytes, or the connection has ended", function()
    local p = net.pair { client = { source_connection_id_size = 0 } }
    p:handshake()
    assert.equal(STATE, quic.rotate(p.client))
    p.client:close(true, 0)
    assert.equal(-4, quic.rotate(p.client))
    p:free()
  end)
end)

describe("nonces of QUIC-LB", function()
  local LEFT = 2 ^ 48 - 1

  local function endpoint_of(options)
    local config = net.config(options, 3, true)
    assert.equal(0, quic.quic_lb(config, "s1", 6))
    return config, assert(quic.endpoint(config, true))
  end

  -- A first packet of a client by its looks, which no key opens.
  local function junk(i)
    local header = "\192\0\0\0\1\8" .. ("%08d"):format(i) .. "\0\0\68\158"
    return header .. ("j"):rep(1200 - #header)
  end

  it("are not taken by first packets that do not open", function()
    for _, options in ipairs({ {}, { preferred_address = { v4 = "192.0.2.50:4433" } } }) do
      local config, endpoint = endpoint_of(options)
      for i = 1, 300 do
        endpoint:recv(junk(i), ("203.0.113.%d:9"):format(i % 250), net.SERVER, 1000 * MS)
        assert.is_nil((endpoint:send(1000 * MS)))
      end
      assert.equal(LEFT, quic.cid_stats(config).nonces_left)

      -- One that does takes its own, before more of the others and behind them.
      local client_config = net.config({}, 4)
      local client = assert(quic.client(client_config, "localhost", net.CLIENT, net.SERVER, 1000 * MS))
      endpoint:recv(client:send(1000 * MS), net.CLIENT, net.SERVER, 1000 * MS)
      local taken = options.preferred_address and 2 or 1
      assert.equal(LEFT - taken, quic.cid_stats(config).nonces_left)
      for i = 301, 310 do endpoint:recv(junk(i), "203.0.113.9:9", net.SERVER, 1000 * MS) end
      assert.equal(LEFT - taken, quic.cid_stats(config).nonces_left)
      client:free()
      endpoint:free()
      config:free()
      client_config:free()
    end
  end)

  it("are counted on when a configuration comes back, under whatever number, until the process is another", function()
    local config, endpoint = endpoint_of()
    local seen = {}
    local function take(count)
      for _ = 1, count do
        local id = assert(quic.new_cid(config)):sub(2)
        assert.is_nil(seen[id])
        seen[id] = true
      end
      return quic.cid_stats(config).nonces_left
    end
    assert.equal(LEFT - 3, take(3))
    -- Of another server the same nonces are others.
    assert.equal(0, quic.quic_lb(config, "s2", 6, 1))
    assert.equal(LEFT, quic.cid_stats(config).nonces_left)
    assert.equal(LEFT - 2, take(2))
    assert.equal(0, quic.quic_lb(config, "s1", 6, 0))
    assert.equal(LEFT - 3, quic.cid_stats(config).nonces_left)
    assert.equal(LEFT - 4, take(1))
    assert.equal(0, quic.quic_lb(config))
    assert.equal(0, quic.quic_lb(config, "s1", 6, 2))
    assert.equal(LEFT - 5, take(1))
    assert.equal(0, quic.quic_lb(config, "s2", 6, 1))
    assert.equal(LEFT - 2, quic.cid_stats(config).nonces_left)
    -- Behind a fork all begin elsewhere.
    config:fork()
    assert.equal(LEFT - 1, take(1))
    assert.equal(0, quic.quic_lb(config, "s1", 6, 0))
    assert.equal(LEFT, quic.cid_stats(config).nonces_left)
    endpoint:free()
    config:free()
  end)

  it("are taken by each Retry, whose connection ID is to be routed", function()
    local config, endpoint = endpoint_of({ retry = 1 })
    for i = 1, 20 do
      endpoint:recv(junk(i), "203.0.113.9:9", net.SERVER, 1000 * MS)
      assert.is_string((endpoint:send(1000 * MS)))
    end
    assert.equal(LEFT - 20, quic.cid_stats(config).nonces_left)
    endpoint:free()
    config:free()
  end)
end)
