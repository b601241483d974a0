--- Who may begin a handshake, in virtual time.
local quic = require("support.quic_net").quic

local SECOND, MS = 1e9, 1e6
local HOME, NEIGHBOUR, AWAY = "198.51.100.7:5000", "198.51.100.200:1", "203.0.113.9:1"
local T = 1000 * SECOND

--- `count` handshakes of one address at once.
local function begin(a, address, rate, count, now)
  for _ = 1, count do
    a:begun(address, rate, now or T)
  end
end

--- How many of `tries` at once are let in, each counted.
local function let_in(a, address, validated, rate, tries, now)
  local count = 0
  for i = 1, tries do
    local from = type(address) == "function" and address(i) or address
    if a:ask(from, validated, rate, 0, now) == "begin" then
      a:begun(from, rate, now)
      count = count + 1
    end
  end
  return count
end

local function everywhere(i) return ("10.%d.%d.1:1"):format(math.floor(i / 250), i % 250) end

describe("admission", function()
  it("lets half of a second's handshakes begin at once without proof of the address", function()
    local a = quic.admission()
    local count = let_in(a, everywhere, false, 100, 1000, T)
    assert.is_true(count >= 50 and count <= 51, count)
    assert.equal("retry", a:ask(AWAY, false, 100, 0, T))
    assert.equal("begin", a:ask(AWAY, true, 100, 0, T))
    -- After half a second all is paid for.
    assert.equal("begin", a:ask(AWAY, false, 100, 0, T + SECOND / 2))
  end)

  it("keeps to the rate in the long run", function()
    local a = quic.admission()
    local count = 0
    for i = 1, 10000 do
      count = count + let_in(a, everywhere, false, 100, 1, T + i * SECOND / 1000)
    end
    assert.is_true(count >= 1000 and count <= 1060, count)
  end)

  it("is not stopped for long by whatever came", function()
    local a = quic.admission()
    begin(a, HOME, 100, 100000)
    assert.equal("retry", a:ask(AWAY, false, 100, 0, T))
    assert.equal("begin", a:ask(AWAY, false, 100, 0, T + SECOND))
    assert.equal("begin", a:ask(HOME, false, 100, 0, T + 2 * SECOND))
  end)

  it("charges one that resumes a session a tenth, and all of it but the signature at least", function()
    for least, most in pairs({ [0] = 500, [2.5 * MS] = 200, [10 * MS] = 50, [30 * MS] = 50 }) do
      local a, count = quic.admission(), 0
      while a:ask(everywhere(count), false, 100, 0, T) == "begin" do
        a:begun(everywhere(count), 100, T)
        a:resumed(everywhere(count), least, T)
        count = count + 1
      end
      assert.is_true(count >= most - 10 and count <= most + 2, count)
    end
    -- Its prefixes too: a quarter of the rate is theirs otherwise.
    local a = quic.admission()
    for _ = 1, 100 do
      a:begun(HOME, 100, T)
      a:resumed(HOME, 0, T)
    end
    assert.equal("begin", a:ask(HOME, false, 100, 0, T))
    assert.equal("begin", a:ask(HOME, true, 100, 8192, T))
  end)

  it("charges what one had us work besides, for its prefixes too", function()
    local a = quic.admission()
    a:worked(HOME, 0, SECOND, T) -- no rate is kept to
    assert.equal("begin", a:ask(AWAY, false, 100, 0, T))
    a:worked(HOME, 100, 300 * MS, T)
    assert.equal("begin", a:ask(AWAY, false, 100, 0, T))
    assert.equal("retry", a:ask(HOME, false, 100, 0, T)) -- over its share, a quarter of the rate
    a:worked(AWAY, 100, 201 * MS, T)
    assert.equal("retry", a:ask(NEIGHBOUR, false, 100, 0, T))
    assert.equal("begin", a:ask(AWAY, false, 100, 0, T + 2 * MS))
    for _ = 1, 10 do a:worked(HOME, 100, SECOND, T) end
    assert.equal("begin", a:ask(AWAY, true, 100, 0, T + 1 * MS))
    assert.equal("later", a:ask(HOME, true, 100, 0, T + 1 * MS))
  end)

  it("gives back once, and nothing that was not charged or that time has paid", function()
    local a = quic.admission()
    begin(a, AWAY, 100, 60)
    for _ = 1, 20 do a:resumed(AWAY, 0, T) end
    assert.equal("retry", a:ask(HOME, false, 100, 0, T))
    -- What more than a second owes is forgiven at once, and is not given back.
    a = quic.admission()
    begin(a, AWAY, 100, 200)
    for _ = 1, 1000 do
      a:begun(AWAY, 100, T)
      a:resumed(AWAY, 0, T)
    end
    assert.equal("retry", a:ask(HOME, false, 100, 0, T + 0.49 * SECOND))
    -- Nobody is owed anything afterwards.
    a = quic.admission()
    begin(a, AWAY, 1, 1)
    a:resumed(AWAY, 0, T + 10 * SECOND)
    local count = let_in(a, everywhere, false, 100, 1000, T + 10 * SECOND)
    assert.is_true(count >= 50 and count <= 51, count)
  end)

  it("asks no one without a rate", function()
    local a = quic.admission()
    begin(a, HOME, 0, 100000)
    assert.equal("begin", a:ask(HOME, false, 0, 4095, T))
  end)

  it("asks a prefix earlier that began more than its share", function()
    local a = quic.admission()
    begin(a, HOME, 100, 30)
    assert.equal("retry", a:ask(HOME, false, 100, 0, T))
    assert.equal("retry", a:ask(NEIGHBOUR, false, 100, 0, T))
    assert.equal("begin", a:ask(AWAY, false, 100, 0, T))
  end)

  it("lets a prefix with tokens begin while nobody else asks, up to four seconds' worth at once", function()
    local a = quic.admission()
    local count = let_in(a, HOME, true, 100, 1000, T)
    assert.is_true(count >= 400 and count <= 402, count)
    assert.equal("later", a:ask(NEIGHBOUR, true, 100, 0, T))
    -- What is left beyond that is for others: a second's for those of its /16, one more for those from elsewhere.
    count = let_in(a, function(i) return ("198.51.%d.1:1"):format(101 + i % 100) end, true, 100, 500, T)
    assert.is_true(count >= 99 and count <= 101, count)
    count = let_in(a, everywhere, true, 100, 500, T)
    assert.is_true(count >= 99 and count <= 101, count)
    assert.equal("later", a:ask(AWAY, true, 100, 0, T))
    -- While others take what there is, it has its quarter.
    count = 0
    for i = 1, 4000 do
      local now = T + i * SECOND / 1000
      count = count + let_in(a, HOME, true, 100, 1, now)
      if i % 5 == 0 then let_in(a, function() return everywhere(i) end, true, 100, 1, now) end
    end
    assert.is_true(count >= 70 and count <= 105, count)
  end)

  it("serves as many honest clients of one address as the rate has room for before they give up", function()
    local a = quic.admission()
    local began, proved = 0, 5000
    -- Proved by the Retry at once; what is dropped comes again after a second, two and four.
    for _, after in ipairs({ 0, 1, 3, 7 }) do
      local count = let_in(a, HOME, true, 500, proved, T + after * SECOND)
      began, proved = began + count, proved - count
    end
    assert.equal(5000, began)
  end)

  it("keeps those with tokens to the rate too, and finds room for quiet prefixes beside them", function()
    for _, flood in ipairs({
      function(i) return ("[2001:db8:%x::1]:5"):format(i % 65536) end,
      function(i) return ("10.9.%d.1:5"):format(i % 256) end,
    }) do
      local a = quic.admission()
      local began, quiet = 0, 0
      for i = 1, 20000 do
        local now = T + i * SECOND / 2000
        began = began + let_in(a, flood(i), true, 100, 1, now)
        if i % 200 == 0 then quiet = quiet + let_in(a, function() return everywhere(i / 200) end, true, 100, 1, now) end
      end
      -- 10 seconds at 100, and what may begin at once.
      assert.is_true(began + quiet >= 1000 and began + quiet <= 1602, began + quiet)
      assert.equal(100, quiet)
    end
  end)

  it("takes IPv4 by /24 in its /16 and IPv6 by /48 in its /32", function()
    for _, case in ipairs({
      { "192.0.2.1:1", "192.0.2.255:9", "192.0.3.1:1", "192.1.2.1:1" },
      { "[2001:db8:1::1]:1", "[2001:db8:1:ffff::2]:9", "[2001:db8:2::1]:1", "[2001:db9:1::1]:1" },
    }) do
      local a = quic.admission()
      begin(a, case[1], 100, 401)
      assert.equal("later", a:ask(case[2], true, 100, 0, T), case[2])
      assert.equal("begin", a:ask(case[3], true, 100, 0, T), case[3])
      begin(a, case[1], 100, 100)
      assert.equal("later", a:ask(case[3], true, 100, 0, T), case[3])
      assert.equal("begin", a:ask(case[4], true, 100, 0, T), case[4])
      begin(a, case[1], 100, 100)
      assert.equal("later", a:ask(case[4], true, 100, 0, T), case[4])
    end
  end)

  it("confuses few prefixes with a busy one, and others with another key", function()
    local met = {}
    for key = 1, 2 do
      local a = quic.admission(key)
      for i = 1, 20 do
        begin(a, ("172.16.%d.1:1"):format(i), 100, 80)
      end
      met[key] = {}
      for i = 1, 5000 do
        -- Who is over its share has none of the reserve of half-open connections.
        if a:ask(everywhere(i), true, 100, 8192, T) == "refuse" then table.insert(met[key], i) end
      end
      assert.is_true(#met[key] < 50, #met[key])
    end
    assert.are_not.same(met[1], met[2])
  end)

  it("asks for Retry from 4,096 half-open connections on, and refuses from 8,192 those without token", function()
    local a = quic.admission()
    assert.equal("begin", a:ask(HOME, false, 100, 4095, T))
    assert.equal("retry", a:ask(HOME, false, 100, 4096, T))
    assert.equal("retry", a:ask(HOME, false, 100, 8191, T))
    assert.equal("refuse", a:ask(HOME, false, 100, 8192, T))
    assert.equal("begin", a:ask(HOME, true, 100, 8192, T))
    assert.equal("begin", a:ask(HOME, true, 100, 12287, T))
    assert.equal("refuse", a:ask(HOME, true, 100, 12288, T))
    -- A prefix over its share has none of the reserve.
    begin(a, HOME, 100, 30)
    assert.equal("begin", a:ask(HOME, true, 100, 8191, T))
    assert.equal("refuse", a:ask(HOME, true, 100, 8192, T))
    assert.equal("begin", a:ask(AWAY, true, 100, 8192, T))
  end)

  it("knows for half a minute what begins nothing more, within its places", function()
    local a = quic.admission()
    a:spend("lateone1", T)
    assert.is_true(a:is_spent("lateone1", T))
    assert.is_true(a:is_spent("lateone1", T + 29 * SECOND))
    assert.is_false(a:is_spent("lateone1", T + 30 * SECOND))
    assert.is_false(a:is_spent("lateone2", T))
    for i = 1, 10000 do
      a:spend(("%08d"):format(i), T)
    end
    local count = 0
    for i = 1, 10000 do
      if a:is_spent(("%08d"):format(i), T) then count = count + 1 end
    end
    assert.equal(512, count)
  end)
end)
