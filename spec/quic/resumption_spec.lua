local net = require("support.quic_net")

local MS = net.MS

local function lost() return true end

-- Two configs that know each other, and what makes pairs of theirs; done() frees them.
local function acquaintance(options)
  options = options or {}
  local configs = { client = net.config(options.client, 11, false), server = net.config(options.server, 12, true) }
  local seed = 0
  local function connect(more)
    seed = seed + 1
    local given = { client_config = configs.client, server_config = configs.server, seed = seed }
    for name, value in pairs(more or {}) do given[name] = value end
    return net.pair(given):handshake()
  end
  local function done()
    for _, config in pairs(configs) do
      config:free()
      assert.equal(0, config:memory().live)
    end
  end
  return connect, done, configs
end

local function is_resumed(p)
  local client, server = p.client:info().resumed, p.server:info().resumed
  assert.equal(client, server)
  return client
end

describe("a connection to a server that was there before", function()
  it("resumes the session, and moves data", function()
    local connect, done = acquaintance()
    local p = connect()
    assert.is_false(is_resumed(p))
    p:settle(100 * MS)
    p:free()
    for _ = 1, 3 do
      p = connect()
      assert.is_true(is_resumed(p))
      assert(p:transfer("client", ("x"):rep(30000)))
      assert(p:transfer("server", ("x"):rep(30000)))
      p:free()
    end
    done()
  end)

  -- covers: rfc9002#6.2.2.1
  it("begins with the round trip of before, from a millisecond to the one it would begin with otherwise", function()
    for delay, expected in pairs({ [20 * MS] = 40 * MS, [0.1 * MS] = 1 * MS, [400 * MS] = 333 * MS }) do
      local connect, done, configs = acquaintance()
      local p = connect({ delay = delay })
      p:settle(2000 * MS)
      local before = p.client:stats().rtt
      p:free()
      p = net.pair({ client_config = configs.client, server_config = configs.server, seed = 99, delay = delay })
      p:flush()
      local guess = p.client:stats().rtt
      assert.near(expected, guess, 8 * MS)
      if expected == 40 * MS then assert.near(before, guess, 1000) end
      assert.equal(333 * MS, p.server and p.server:stats().rtt or 333 * MS)
      p:free()
      done()
    end
  end)

  -- covers: rfc9002#6.2.2.1
  it("has its server begin with that round trip too, where the client's IP address is the same", function()
    local connect, done, configs = acquaintance()
    local function first_rtt(address, delay)
      local p = net.pair({ client_config = configs.client, server_config = configs.server, seed = 98, delay = delay })
      p:rebind(address)
      assert(p:run(function(pair) return pair.server ~= nil end))
      local rtt = p.server:stats().rtt
      p:handshake():settle(2000 * MS)
      assert.is_true(is_resumed(p))
      p:free()
      return rtt
    end

    local p = connect({ delay = 20 * MS })
    p:settle(2000 * MS)
    p:free()
    assert.near(40 * MS, first_rtt("198.51.100.7:50999", 20 * MS), 4 * MS)
    assert.equal(333 * MS, first_rtt("198.51.100.8:50000", 0.1 * MS))
    assert.equal(1 * MS, first_rtt("198.51.100.8:50000", 400 * MS)) -- the least that there is
    assert.equal(333 * MS, first_rtt("198.51.100.8:50000", 20 * MS)) -- no longer than without
    done()
  end)

  it("has its server repeat a lost flight after three such round trips", function()
    local function waits(address)
      local connect, done, configs = acquaintance()
      local p = connect({ delay = 20 * MS })
      p:settle(2000 * MS)
      p:free()
      p = net.pair({ client_config = configs.client, server_config = configs.server, seed = 98, delay = 20 * MS })
      p:rebind(address)
      assert(p:run(function(pair) return pair.server ~= nil end))
      local sent = {}
      p.on_datagram = function(direction)
        if direction == "down" and sent[#sent] ~= p.now then sent[#sent + 1] = p.now end
        return #sent > 1 -- the flight is lost, and all that the client sends meanwhile
      end
      assert(p:run(function() return #sent > 1 end))
      p.on_datagram = nil
      p:handshake():free()
      done()
      return sent[2] - sent[1]
    end

    assert.near(120 * MS, waits(net.CLIENT), 10 * MS)
    assert.near(999 * MS, waits("198.51.100.8:50000"), 10 * MS)
  end)

  it("costs few packets where the round trip was a hundredth of what it is now", function()
    local connect, done, configs = acquaintance()
    local p = connect({ delay = 1 * MS })
    p:settle(100 * MS)
    p:free()
    p = net.pair({ client_config = configs.client, server_config = configs.server, seed = 99, delay = 100 * MS })
    p:handshake()
    assert.is_true(is_resumed(p))
    assert.is_true(p.client:stats().pto_count <= 7)
    assert.is_true(p.client:stats().packets_sent <= 25, p.client:stats().packets_sent)
    p:free()
    done()
  end)

  it("costs fewer bytes, and no certificate", function()
    local connect, done = acquaintance()
    local p = connect()
    local full = p.server:stats().bytes_sent
    p:settle(100 * MS)
    p:free()
    p = connect()
    assert.is_true(is_resumed(p))
    assert.is_true(p.server:stats().bytes_sent <= full)
    p:free()
    done()
  end)

  it("resumes though tickets are lost on their way, and come late", function()
    for seed = 1, 20 do
      local connect, done = acquaintance()
      local p = connect({ seed = seed, loss = 0.3, duplicate = 0.1, reorder = 0.3 })
      p:settle(5000 * MS)
      p:free()
      p = connect({ seed = seed, loss = 0.3, reorder = 0.3 })
      assert.is_true(is_resumed(p), seed)
      p:free()
      done()
    end
  end)

  it("that is away may be offered the session again, once", function()
    local connect, done, configs = acquaintance()
    local p = connect()
    p:settle(100 * MS)
    p:free()
    for _ = 1, 2 do -- nobody answers, and it is given up
      p = net.pair({ client_config = configs.client, server_config = configs.server, drop = lost })
      p:settle(100 * MS)
      p.client:close(true, 0)
      p:free()
    end
    for _ = 1, 2 do
      p = net.pair({ client_config = configs.client, server_config = configs.server, drop = lost })
      p:settle(15000 * MS)
      assert.equal("handshake timeout", p.client:info().by)
      p:free()
    end
    p = connect()
    assert.is_false(is_resumed(p))
    p:free()
    done()
  end)

  it("and refuses the session has a full handshake the next time", function()
    local connect, done, configs = acquaintance { client = { address_tokens = 0 } }
    local p = connect()
    p:settle(100 * MS)
    p:free()
    -- The key of the session is another one than that of its ticket.
    local saved = configs.client:save_sessions()
    local client = net.config(nil, 13, false)
    local at = 16 + 2 + 1 + #"localhost" + 2 + 67 + 1 -- the size of the first key
    for _ = 1, 2 do
      assert.equal(32, saved:byte(at))
      saved = saved:sub(1, at) .. string.char((saved:byte(at + 1) + 1) % 256) .. saved:sub(at + 2)
      at = at + 2 + 1 + #"localhost" + 2 + (#saved - 16) / 2 - (2 + 1 + #"localhost" + 2)
    end
    assert.equal(0, client:load_sessions(saved))
    p = net.pair({ client_config = client, server_config = configs.server })
    p:settle(1000 * MS)
    assert.equal("peer", p.client:info().by)
    assert.equal(0x133, p.client:info().code)
    p:free()
    p = net.pair({ client_config = client, server_config = configs.server, seed = 5 }):handshake()
    assert.is_false(is_resumed(p))
    p:free()
    client:free()
    done()
  end)

  it("that wants no more of it has a full handshake", function()
    for side, options in pairs({ client = { client = { resumption = 0 } }, server = { server = { resumption = 0 } },
      none = { server = { ticket_lifetime = 0 } } }) do
      local connect, done = acquaintance(options)
      local p = connect()
      p:settle(100 * MS)
      p:free()
      p = connect()
      assert.is_false(is_resumed(p), side)
      p:free()
      done()
    end
  end)

  it("resumes for a whole second when a ticket's lifetime is a part of one", function()
    local connect, done = acquaintance({ server = { ticket_lifetime = 1 } })
    local p = connect()
    p:settle(100 * MS)
    p:free()
    p = connect()
    assert.is_true(is_resumed(p))
    p:free()
    done()
  end)

  it("resumes at another server that has the same ticket keys, which no static secret takes away", function()
    local connect, done, configs = acquaintance()
    configs.server:ticket_keys(("s"):rep(32))
    configs.server:secret(("a"):rep(32))
    local p = connect()
    p:settle(100 * MS)
    p:free()
    local other = net.config(nil, 77, true)
    other:ticket_keys(("o"):rep(32) .. ("s"):rep(32))
    p = net.pair({ client_config = configs.client, server_config = other, seed = 9 }):handshake()
    assert.is_true(is_resumed(p))
    p:free()
    other:free()
    done()
  end)
end)

describe("the tickets of a server", function()
  it("leave no memory behind when they were acknowledged", function()
    local p = net.pair({ client = { resumption = 0 } }):handshake()
    p:settle(5000 * MS)
    local without = p.server_config:memory().used
    p:free()
    p = net.pair():handshake()
    p:settle(5000 * MS)
    assert.equal(without, p.server_config:memory().used)
    assert(p:transfer("server", ("x"):rep(30000)))
    p:free()
  end)

  it("need memory that nothing else needs, and are not given without", function()
    -- The connections that a failing allocation ends, of those behind the client's Finished.
    local function ended(options)
      local count = 0
      for at = 1, 40 do
        local p = net.pair({ server = options, seed = at })
        p:run(function(x) return x.client:info().established end, 5000 * MS)
        p.server_config:fail_at(at)
        p:run(function(x) return x.server:info().established end, 300 * MS)
        p.server_config:fail_at(-1)
        p:settle(3000 * MS)
        if p.server:info().by ~= "none" then count = count + 1 end
        p:free()
      end
      return count
    end
    assert.equal(ended({ resumption = 0 }), ended({ resumption = 1 }))
  end)

  it("leave theirs as soon as they were acknowledged, not with the silence that follows", function()
    local function used(options)
      local p = net.pair({ client = options }):handshake()
      p:settle(100 * MS)
      local bytes = p.server_config:memory().used
      p:free()
      return bytes
    end
    assert.equal(used({ resumption = 0 }), used())
  end)

  it("may be acknowledged after they were taken for lost", function()
    -- The packet that carries them comes so late that it is repeated.
    local held
    local p
    p = net.pair({ filter = function(direction, bytes)
      if direction == "down" and p and p.server and p.server:info().established and not held then
        held = bytes
        return false
      end
      return bytes
    end })
    p:handshake()
    p:settle(3000 * MS)
    assert.is_string(held)
    p:deliver("down", held)
    p:settle(3000 * MS)
    assert(p:transfer("server", ("x"):rep(3000)))
    p:free()
  end)
end)
