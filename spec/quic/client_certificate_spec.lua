-- Connections whose server asks for a certificate.
local net = require("support.quic_net")

local MS = net.MS
local NONE, REQUEST, REQUIRE = 0, 1, 2
local CERTIFICATE_REQUIRED, UNKNOWN_CA = 0x100 + 116, 0x100 + 48

-- A certificate that clients show, and that is its own authority.
local function identity(seed)
  local config = net.quic.config(seed)
  local certificate, key = config:make_certificate("device.test")
  config:free()
  return { certificate, key }
end

local device, stranger = identity(41), identity(42)

local function configs(options)
  local client = net.config({ keep_certificates = options.keep }, 11, false)
  local server = net.config({ client_certificate = options.ask, memory_limit = options.memory_limit }, 12, true)
  if options.shows then assert(client:certificate(options.shows[1], options.shows[2]) == 0) end
  if options.ask ~= NONE then assert.equal(0, server:client_ca(options.believes or device[1])) end
  return client, server
end

local function pair(options)
  local client, server = configs(options)
  local p = net.pair({ client_config = client, server_config = server, seed = options.seed, filter = options.filter })
  local free = p.free
  function p:free()
    free(self)
    for _, config in ipairs({ client, server }) do
      config:free()
      assert.equal(0, config:memory().live)
    end
  end
  return p
end

local function closed(p) return p.server and p.server:info().closed and p.client:info().closed end

describe("a server that asks for a certificate", function()
  it("knows its client by it, and by the leaf when the session is resumed", function()
    local client, server = configs({ ask = REQUIRE, shows = device })
    for i = 1, 3 do
      local p = net.pair({ client_config = client, server_config = server, seed = i }):handshake()
      assert.equal(i > 1, p.server:info().resumed)
      local shown = p.server:certificates()
      assert.equal(1, #shown)
      assert.is_true(#shown[1] > 200)
      assert.same({}, p.client:certificates())
      assert(p:transfer("client", ("x"):rep(30000)))
      p:settle(100 * MS)
      p:free()
    end
    client:free()
    server:free()
    assert.equal(0, server:memory().live)
  end)

  it("takes one whatever its dates are without a clock, and ends when there is one that they do not fit", function()
    for late, code in pairs({ [20] = false, [40] = 0x100 + 45 }) do -- the certificate is for a month
      local client, server = configs({ ask = REQUIRE, shows = device })
      server:clock(-1)
      local p = net.pair({ client_config = client, server_config = server }):handshake()
      assert.is_true(p.server:info().has_unchecked_dates)
      assert.equal(1, #p.server:certificates())
      server:clock(1800000000 + late * 86400)
      p:settle(1100 * MS)
      assert.is_false(p.server:info().has_unchecked_dates)
      assert.equal(code and "local" or "none", p.server:info().by)
      if code then assert.equal(code, p.server:info().code) end
      p:free()
      client:free()
      server:free()
      assert.equal(0, server:memory().live)
    end
  end)

  it("refuses one without, and one of others", function()
    for code, options in pairs({
      [CERTIFICATE_REQUIRED] = { ask = REQUIRE },
      [UNKNOWN_CA] = { ask = REQUIRE, shows = stranger }, -- whose issuer has the name of the other
    }) do
      local p = pair(options)
      p:run(closed, 5000 * MS)
      assert.equal("local", p.server:info().by)
      assert.equal(code, p.server:info().code)
      assert.is_false(p.server:info().established)
      assert.equal("peer", p.client:info().by)
      assert.equal(code, p.client:info().code)
      p:free()
    end
  end)

  it("goes on with one without where it only requests", function()
    local p = pair({ ask = REQUEST }):handshake()
    assert.same({}, p.server:certificates())
    assert(p:transfer("client", ("x"):rep(3000)))
    p:free()
  end)

  it("reads nothing of a client before its certificate is verified, though it came", function()
    -- The client's Handshake packets are lost, and what stands beside them; its 1-RTT packets arrive.
    local is_lossy = true
    local p = pair({ ask = REQUIRE, shows = device, filter = function(direction, bytes, index)
      return not (is_lossy and direction == "up" and index > 1 and bytes:byte(1) >= 0x80) and bytes
    end })
    p:run(function(x) return x.client:info().established end, 2000 * MS)
    p:run(nil, 5 * MS)
    local id = p.client:open(false)
    p.client:stream_send(id, "early bird", true)
    p:run(nil, 500 * MS)
    assert.is_true(p.server:stats().kept > 0)
    assert.is_false(p.server:info().established)
    assert.same({}, p.server:certificates())
    assert.is_nil((p.server:readable_next()))
    is_lossy = false
    p:run(function(x) return x.server:info().established end, 20000 * MS)
    assert.equal(1, #p.server:certificates())
    assert.equal(id, p.server:readable_next())
    assert.equal("early bird", p.server:stream_recv(id))
    p:free()
  end)

  it("survives loss in its handshakes", function()
    for seed = 1, 10 do
      local client, server = configs({ ask = REQUIRE, shows = device })
      local p = net.pair({ client_config = client, server_config = server, seed = seed, loss = 0.2 })
      p:handshake()
      assert.equal(1, #p.server:certificates())
      p:free()
      client:free()
      server:free()
    end
  end)

  it("keeps of an idle connection the certificate and three bytes, and without asking nothing", function()
    local function idle(options)
      local client, server = configs(options)
      local p = net.pair({ client_config = client, server_config = server }):handshake()
      p:settle(3000 * MS)
      local used, size = server:memory().used, #(p.server:certificates()[1] or "")
      p.server:free()
      p.server = nil
      used = used - server:memory().used
      p:free()
      client:free()
      server:free()
      return used, size
    end
    local without = idle({ ask = NONE })
    local with, size = idle({ ask = REQUIRE, shows = device })
    assert.is_true(size > 0)
    assert.is_true(with - without <= size + 3 + 32, ("%d after %d"):format(with, without)) -- rounded to a size class
    assert.equal(without, (idle({ ask = REQUEST })))
  end)

  it("has no memory left when there is none for the certificate", function()
    for at = 1, 12 do
      local p = pair({ ask = REQUIRE, shows = device, memory_limit = 65536 + 4096 * at })
      p:run(nil, 300 * MS)
      p:free()
    end
  end)
end)

describe("a client", function()
  it("keeps what its server showed where it is told to", function()
    local p = pair({ ask = NONE, keep = 1 }):handshake()
    assert.equal(1, #p.client:certificates())
    p:free()
  end)
end)
