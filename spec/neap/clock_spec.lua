--- neap.set_clock: the wall clock of a process that does not have one of its own.
local neap = require "neap"
local pair = require "binding.pair"
local q = require "neap.lowlevel"
local core = require "neap.core"
local units = require "neap.units"
local certificates, crypto = units.certificates, units.crypto

local MADE = 1767225600 -- what the clock said when the certificate was made
local CERTIFICATE_EXPIRED = 0x100 + 45

describe("neap.set_clock", function()
  after_each(function() neap.set_clock() end)

  -- A pair whose client goes by the clock of the process; the server by one of its own.
  local function connect()
    local cert = pair.certificate()
    return pair.new({}, assert(q.config { alpn = "h3", ca = cert }))
  end

  -- Until when a certificate is good that is made for a day: what the clock of a config says.
  local function told()
    local made = assert(core.make_certificate { names = { "a.example" }, days = 1 })
    return certificates.parse(certificates.ders(crypto.new(("d"):rep(32)), made)[1]).not_after - 86400
  end

  it("says what time it is, from which it goes on; then it is the system's again", function()
    neap.set_clock(MADE + 10)
    assert.is_true(told() - MADE - 10 <= 60 and told() >= MADE + 10)
    assert.is_false(connect().client:has_unchecked_dates())
    neap.set_clock(10000)
    assert.is_true(told() < 11000)
    neap.set_clock()
    assert.is_true(math.abs(told() - os.time()) < 60)
  end)

  it("with false says that nobody knows the time: dates are checked when it is told", function()
    neap.set_clock(false)
    local p = connect()
    assert.is_true(p.client:has_unchecked_dates())
    neap.set_clock(MADE + 10)
    p:run(function() return not p.client:has_unchecked_dates() end)
    assert.is_false(p.client:is_draining())

    neap.set_clock(false)
    p = connect()
    neap.set_clock(MADE + 400 * 86400)
    p:run(function() return p.client:is_draining() or p.client:is_closed() end)
    assert.equal(CERTIFICATE_EXPIRED, p.client:error().code)
    assert.matches("the time is known now", p.client:error().reason)
  end)

  it("takes seconds, false or nothing", function()
    for _, wrong in ipairs { true, "now", -1, 2 ^ 41, 0 / 0 } do
      assert.has_error(function() neap.set_clock(wrong) end)
    end
  end)
end)
