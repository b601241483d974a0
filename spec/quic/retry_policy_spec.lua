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
