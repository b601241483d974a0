-- Who is asked for its address by Retry.
local net = require("support.quic_net")

local quic, MS = net.quic, net.MS

local function world(options)
  local self = { now = 1000 * MS, config = net.config(options, 51, true), clients = net.config({}, 52), count = 0 }
  self.endpoint = assert(quic.endpoint(self.config, true))

  --- The first packet of another client: what became of it.
  function self.come()
    self.count = self.count + 1
    local address = ("198.51.%d.%d:5000"):format(math.floor(self.count / 250), self.count % 250 + 1)
    local conn = assert(quic.client(self.clients, "localhost", address, net.SERVER, self.now))
    local before = self.endpoint:stats()
    self.endpoint:recv(conn:send(self.now), address, net.SERVER, self.now)
    conn:free()
    local after = self.endpoint:stats()
    for name, counter in pairs { accepted = "accepted", retry = "retries_sent", refused = "refused",
                                 later = "handshakes_delayed" } do
      if after[counter] > before[counter] then return name, address end
    end
  end

  function self.free()
    self.endpoint:free()
    self.config:free()
    self.clients:free()
  end
  return self
end

describe("the option retry", function()
  it("has everybody asked, or nobody, or those who come above a number of handshakes", function()
    for policy, expected in pairs { [0] = "accepted", [1] = "retry", [2] = "accepted" } do
      local w = world { retry = policy }
      for _ = 1, 3 do assert.equal(expected, (w.come())) end
      w.free()
    end
    local w = world { retry_above = 3 }
    for n = 1, 6 do assert.equal(n <= 3 and "accepted" or "retry", (w.come())) end
    w.free()
  end)

  it("that says never has those not heard who would be asked", function()
    local w = world { retry = 2, handshake_rate = 2 }
    local seen = {}
    for _ = 1, 8 do
      local what = w.come()
      seen[what] = (seen[what] or 0) + 1
    end
    assert.is_nil(seen.retry)
    assert.is_true(seen.accepted >= 1 and seen.later >= 4)
    w.free()
  end)
end)

describe("an application that decides about arrivals", function()
  it("accepts, asks for Retry, refuses, or leaves it to the options", function()
    for option, ever in pairs { [0] = "accepted", [1] = "retry", [2] = "accepted" } do
      local w = world { retry = option }
      for says, expected in pairs { [0] = ever, [1] = "accepted", [2] = "retry", [3] = "refused" } do
        quic.admit(w.endpoint, says)
        local what, address = w.come()
        assert.equal(expected, what)
        assert.same({ 1, address, 1200 }, { quic.admitted() })
      end
      quic.admit(w.endpoint, nil)
      assert.equal(ever, (w.come()))
      w.free()
    end
  end)

  it("is not asked where the endpoint refuses by itself, and cannot lift the rate", function()
    local w = world { max_connections = 1 }
    quic.admit(w.endpoint, 1)
    assert.equal("accepted", (w.come()))
    quic.admit(w.endpoint, 1)
    assert.equal("refused", (w.come()))
    assert.equal(0, (quic.admitted()))
    w.free()
    w = world { handshake_rate = 1 }
    quic.admit(w.endpoint, 1)
    w.come()
    w.come()
    assert.equal("retry", (w.come()))
    w.free()
  end)
end)

describe("arrivals that wait for the application", function()
  local ACCEPT, RETRY, REFUSE, WAIT = 1, 2, 3, 4
  local w

  local function begin(options)
    w = world(options)
    quic.admit(w.endpoint, WAIT)
  end

  local function give(bytes, address) w.endpoint:recv(bytes, address, net.SERVER, w.now) end

  local function figures(...)
    local stats, list = w.endpoint:stats(), {}
    for i, name in ipairs { ... } do list[i] = stats[name] end
    return list
  end

  after_each(function()
    if w then w.free() end
    w = nil
  end)

  it("are shown once each, in order, and become what it says", function()
    begin()
    for _ = 1, 4 do w.come() end
    assert.equal(0, w.endpoint:timeout())
    local ids = {}
    for n = 1, 4 do
      local id, from, size = quic.next_arrival(w.endpoint)
      assert.same({ ("198.51.0.%d:5000"):format(n + 1), 1200 }, { from, size })
      ids[n] = id
    end
    assert.is_nil(quic.next_arrival(w.endpoint))
    assert.same({ 4, 0, 0, 0 }, figures("arrivals_waiting", "accepted", "retries_sent", "refused"))
    for n, says in ipairs { REFUSE, RETRY, 0, ACCEPT } do
      assert.equal(0, quic.decide(w.endpoint, ids[n], says, w.now))
      assert.is_true(quic.decide(w.endpoint, ids[n], says, w.now) < 0)
    end
    assert.is_true(quic.decide(w.endpoint, ids[1], WAIT, w.now) < 0)
    assert.same({ 0, 2, 1, 1 }, figures("arrivals_waiting", "accepted", "retries_sent", "refused"))
  end)

  it("keep what comes behind a client's first, up to four datagrams, for its connection", function()
    begin()
    local names = { "t" }
    for i, size in ipairs { 255, 255, 255, 246 } do names[i + 1] = tostring(i):rep(size) end
    local address = "203.0.113.9:4000"
    local clients = net.config({ source_connection_id_size = 20 }, 54)
    clients:alpn((table.unpack or unpack)(names)) -- luacheck: ignore
    local conn = assert(quic.client(clients, "localhost", address, net.SERVER, w.now))
    local first, second = conn:send(w.now), conn:send(w.now)
    give(first, address)
    for _ = 1, 5 do give(second, address) end
    give(first, "203.0.113.10:4000") -- the same bytes in somebody else's name are another client's
    assert.same({ 5, 2 }, figures("arrivals_waiting", "arrivals_dropped"))
    local id = quic.next_arrival(w.endpoint)
    local other = quic.next_arrival(w.endpoint)
    assert.equal(0, quic.decide(w.endpoint, id, ACCEPT, w.now))
    assert.equal(0, quic.decide(w.endpoint, other, REFUSE, w.now))
    assert.same({ 0, 1 }, figures("arrivals_waiting", "accepted"))
    -- Both parts of the ClientHello were there: the server answers with its whole flight.
    local handshakes = 0
    while true do
      local train, segment = w.endpoint:send(w.now, 65536)
      if not train then break end
      for at = 1, #train, segment do
        conn:recv(train:sub(at, math.min(at + segment - 1, #train)), w.now)
        handshakes = handshakes + 1
      end
    end
    assert.is_true(handshakes >= 1)
    conn:send(w.now)
    assert.is_true(conn:info().established)
    conn:free()
    clients:free()
  end)

  it("are 64, above which the oldest client is asked by Retry", function()
    begin { handshake_rate = 0 }
    for _ = 1, 64 do w.come() end
    assert.same({ 64, 0 }, figures("arrivals_waiting", "arrivals_overflowed"))
    for _ = 1, 10 do w.come() end
    assert.same({ 64, 10, 10, 0 }, figures("arrivals_waiting", "arrivals_overflowed", "retries_sent", "accepted"))
    local _, from = quic.next_arrival(w.endpoint)
    assert.equal("198.51.0.12:5000", from)
  end)

  it("are dropped after a second, and so is what they say then", function()
    begin()
    w.come()
    local id = quic.next_arrival(w.endpoint)
    local due = w.now + 1000 * MS
    assert.equal(due, w.endpoint:timeout())
    w.now = due - 1
    w.endpoint:send(w.now, 65536)
    assert.same({ 1, 0 }, figures("arrivals_waiting", "arrivals_dropped"))
    w.now = due
    assert.is_nil((w.endpoint:send(w.now, 65536)))
    assert.same({ 0, 1 }, figures("arrivals_waiting", "arrivals_dropped"))
    assert.is_true(quic.decide(w.endpoint, id, ACCEPT, w.now) < 0)
    assert.same({ 0 }, figures("accepted"))
  end)

  it("are not those that must prove their address, nor those that have no place in any case", function()
    begin { handshake_rate = 1 }
    quic.admit(w.endpoint, ACCEPT)
    w.come()
    w.come()
    quic.admit(w.endpoint, WAIT)
    assert.equal("retry", (w.come()))
    w.free()
    begin { max_connections = 1 }
    quic.admit(w.endpoint, ACCEPT)
    w.come()
    quic.admit(w.endpoint, WAIT)
    assert.equal("refused", (w.come()))
    assert.same({ 0 }, figures("arrivals_waiting"))
  end)

  it("have 128 KiB, of 4 KiB at most each: what is larger is asked by Retry at once", function()
    begin { handshake_rate = 0 }
    local function come(n, size)
      local address = ("203.0.113.%d:1000"):format(n)
      local conn = assert(quic.client(w.clients, "localhost", address, net.SERVER, w.now))
      local bytes = conn:send(w.now)
      conn:free()
      w.endpoint:recv(bytes .. ("\0"):rep(size - #bytes), address, net.SERVER, w.now)
    end
    for n = 1, 32 do come(n, 4096) end
    assert.same({ 32, 0, 0 }, figures("arrivals_waiting", "arrivals_overflowed", "retries_sent"))
    come(33, 4097)
    assert.same({ 32, 0, 1 }, figures("arrivals_waiting", "arrivals_overflowed", "retries_sent"))
    come(34, 1200)
    assert.same({ 32, 1, 2 }, figures("arrivals_waiting", "arrivals_overflowed", "retries_sent"))
  end)

  it("are freed with their endpoint", function()
    begin()
    w.come()
    assert.same({ 1 }, figures("arrivals_waiting"))
  end)
end)
