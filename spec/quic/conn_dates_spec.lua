--- Connections of machines that do not know what time it is: certificates are checked but for dates, and these as soon
--- as the clock is one to believe.
local authority = require("crypto.authority")
local fixtures = require("tls.fixtures")
local net = require("support.quic_net")

local MS, DAY = net.MS, 86400
local CERTIFICATE_EXPIRED, UNKNOWN_CA = 0x100 + 45, 0x100 + 48
local UNKNOWN = -1

describe("a connection without a clock", function()
  local configs, p

  -- The client's clock says `clock`; its options are `options`; the server shows `certificate` of the fixtures.
  local function connect(clock, options, certificate)
    local certificates = fixtures.certificates()
    local given = { verify_peer = 1 }
    for name, value in pairs(options or {}) do given[name] = value end
    configs = { client = net.config(given, 31), server = net.quic.config(32) }
    configs.server:alpn("t")
    configs.server:clock(fixtures.now)
    assert.equal(0, configs.server:certificate(unpack(certificates[certificate or "deep"])))
    configs.client:ca(certificates.ca[1])
    configs.client:clock(clock)
    local function pair()
      local made = net.pair({ client_config = configs.client, server_config = configs.server })
      made.client:free()
      made.client = assert(net.quic.client(configs.client, "example.test", net.CLIENT, net.SERVER, made.now))
      return made
    end
    p = pair()
    return p, pair
  end

  local function done()
    p:free()
    p = nil
    for _, config in pairs(configs) do
      config:free()
      assert.equal(0, config:memory().live)
    end
    configs = nil
  end

  after_each(function()
    if p then done() end
  end)

  local function ends(code, reason)
    local function is_over() return p.client:info().draining or p.client:info().closed end
    assert.is_true(is_over() or p:run(is_over, 5000 * MS))
    local info = p.client:info()
    assert.equal("local", info.by)
    assert.equal(code, info.code)
    assert.matches(reason, info.reason, 1, true)
  end

  it("is refused with a clock of 1970 that is believed, as it is unless somebody says otherwise", function()
    connect(1000)
    ends(CERTIFICATE_EXPIRED, "not valid yet")
  end)

  it("takes a certificate whatever its dates are, and says that it did", function()
    connect(UNKNOWN):handshake()
    assert.is_true(p.client:info().has_unchecked_dates)
    assert.is_false(p.server:info().has_unchecked_dates)
    assert(p:transfer("client", ("x"):rep(3000)))
  end)

  it("does so with a clock below the floor that it was given, and not with one that is on it", function()
    connect(1000, { clock_floor = 1001 }):handshake()
    assert.is_true(p.client:info().has_unchecked_dates)
    done()
    connect(1001, { clock_floor = 1001 })
    ends(CERTIFICATE_EXPIRED, "not valid yet")
  end)

  it("checks all but dates: roots and names", function()
    connect(UNKNOWN, nil, "unknown")
    ends(UNKNOWN_CA, "not issued by")
    done()
    connect(UNKNOWN, nil, "other")
    ends(0x100 + 42, "another name")
  end)

  it("goes on within a second or so when the time is known and its certificates are valid then", function()
    connect(UNKNOWN):handshake()
    local held = configs.client:memory().used
    configs.client:clock(fixtures.now)
    p:settle(1100 * MS)
    assert.is_false(p.client:info().has_unchecked_dates)
    assert.is_false(p.client:info().draining)
    assert.is_true(configs.client:memory().used < held)
    assert(p:transfer("server", ("x"):rep(3000)))
  end)

  it("ends within a second or so when they are over, or not valid yet, and says why to both", function()
    for _, clock in ipairs({ fixtures.now + 3651 * DAY, fixtures.now - 10 * DAY }) do
      connect(UNKNOWN):handshake()
      configs.client:clock(clock)
      p:settle(1100 * MS)
      ends(CERTIFICATE_EXPIRED, "the time is known now")
      p:settle(50 * MS)
      assert.equal("peer", p.server:info().by)
      assert.equal(CERTIFICATE_EXPIRED, p.server:info().code)
      done()
    end
  end)

  it("ends for the intermediate that is over too, and not for what the path does not need", function()
    -- Everything of the fixtures but the roots is good for a year.
    connect(UNKNOWN):handshake()
    configs.client:clock(fixtures.now + 366 * DAY)
    p:settle(1100 * MS)
    ends(CERTIFICATE_EXPIRED, "the peer's certificates are not valid")
  end)

  it("ends for a revocation list that is over, or is not valid yet, and goes on with one that is", function()
    local ca = authority.new()
    finally(function() ca:remove() end)
    local root = ca:issue { name = "root", extensions = authority.CA }
    local leaf = ca:issue { name = "leaf", issuer = "root",
      extensions = authority.SERVER:gsub("tide.example", "example.test") }
    for _, case in ipairs { { "200101000000Z", "210101000000Z", true }, { "400101000000Z", "410101000000Z", true },
      { "260101000000Z", "410101000000Z", false } } do
      configs = { client = net.config({ verify_peer = 1 }, 31), server = net.quic.config(32) }
      configs.server:alpn("t")
      assert.equal(0, configs.server:certificate(leaf.pem, leaf.key))
      configs.client:ca(root.pem)
      assert.equal(0, configs.client:crl(ca:crl { issuer = "root", from = case[1], to = case[2] }))
      configs.client:clock(UNKNOWN)
      p = net.pair({ client_config = configs.client, server_config = configs.server })
      p.client:free()
      p.client = assert(net.quic.client(configs.client, "example.test", net.CLIENT, net.SERVER, p.now))
      p:handshake()
      configs.client:clock(fixtures.now)
      p:settle(1100 * MS)
      if case[3] then
        ends(CERTIFICATE_EXPIRED, "the time is known now")
      else
        assert.is_false(p.client:info().has_unchecked_dates or p.client:info().draining)
      end
      done()
    end
  end)

  it("looks at the clock once a second while it stands still, and never where dates were checked", function()
    connect(UNKNOWN, { max_idle_timeout = 0 }):handshake()
    p:settle(10000 * MS)
    local at = p.client:timeout()
    assert.is_true(at > p.now and at <= p.now + 1000 * MS)
    assert.is_true(p.client:info().has_unchecked_dates)
    done()
    connect(fixtures.now, { max_idle_timeout = 0 }):handshake()
    p:settle(10000 * MS)
    assert.is_false(p.client:info().has_unchecked_dates)
    assert.is_true((p.client:timeout() or math.huge) > p.now + 1000 * MS)
  end)

  it("keeps no session, and offers none from before", function()
    local function sessions() return #configs.client:save_sessions() end
    local _, pair = connect(UNKNOWN, { address_tokens = 0 })
    local none = sessions()
    p:handshake()
    assert.equal(none, sessions())
    configs.client:clock(fixtures.now)
    p:settle(2000 * MS)
    p:free()
    p = pair():handshake() -- and one with a clock, whose session stays
    assert.is_false(p.client:info().resumed)
    p:settle(200 * MS)
    local one = sessions()
    assert.is_true(one > none)
    p:free()
    configs.client:clock(UNKNOWN)
    p = pair():handshake()
    assert.is_false(p.client:info().resumed)
    assert.equal(one, sessions())
    p:free()
    configs.client:clock(fixtures.now)
    p = pair():handshake()
    assert.is_true(p.client:info().resumed)
  end)

  it("of a server gives no tickets and takes none, so no early data either", function()
    local _, pair = connect(fixtures.now)
    p:handshake():settle(200 * MS)
    p:free()
    local before = #configs.client:save_sessions()
    configs.server:clock(UNKNOWN)
    p = pair():handshake()
    assert.is_false(p.client:info().resumed)
    p:settle(200 * MS)
    assert.is_true(#configs.client:save_sessions() < before) -- one was used up, and no other came
  end)

  it("is none where there is no memory to keep the dates in, wherever it ends", function()
    connect(UNKNOWN)
    local before = configs.client:memory().allocations
    p:handshake()
    local all, refused = configs.client:memory().allocations - before, 0
    done()
    for at = 1, all do
      connect(UNKNOWN)
      configs.client:fail_at(at)
      p:run(function() return p.client:info().confirmed or p.client:info().draining end, 5000 * MS)
      configs.client:fail_at(-1)
      local info = p.client:info()
      assert.equal(info.confirmed and not info.draining, info.has_unchecked_dates)
      if info.reason == "no memory for the dates of certificates" then refused = refused + 1 end
      done()
    end
    assert.equal(1, refused)
  end)

  it("makes no certificate, whose dates nobody could say", function()
    local config = net.config({}, 33)
    config:clock(UNKNOWN)
    assert.is_nil((config:make_certificate("localhost")))
    config:free()
  end)
end)
