local net = require("support.quic_net")

local MS = net.MS

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

  it("resumes at another server that has the same static secret", function()
    local connect, done, configs = acquaintance()
    configs.server:secret(("s"):rep(32))
    local p = connect()
    p:settle(100 * MS)
    p:free()
    local other = net.config(nil, 77, true)
    other:secret(("s"):rep(32))
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
