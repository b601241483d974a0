-- What the bounds that most connections never meet have held back is counted for all of a config.
local net = require("support.quic_net")

local LIMIT = -15

describe("the counters of bounds", function()
  it("stay 0 for a connection that meets none", function()
    local p = net.pair():handshake()
    p:transfer("server", ("x"):rep(10000))
    p:settle()
    for name, count in pairs(p.client_config:bounds()) do assert.equal(0, count, name) end
    p:free()
  end)

  it("have the datagrams that a closed connection did not answer", function()
    local p = net.pair():handshake()
    p.server:close(true, 7, "")
    p:flush()
    local before, cid = p.bytes.down, p.server:source_ids()[1]
    for _ = 1, 100 do
      p.server:recv("\64" .. cid .. ("x"):rep(1190), p.now)
      p:flush()
    end
    assert.is_true(p.bytes.down > before)
    assert.equal(100 - 7, p.server_config:bounds().closes_withheld) -- it answers the 1st, 2nd, 4th … 64th
    p:free()
  end)

  it("have the acknowledgements of which newer ones took the place", function()
    local p = net.pair():handshake()
    assert.equal(0, p.server_config:bounds().sent_forgotten)
    p:transfer("client", ("x"):rep(1000000))
    assert.is_true(p.server_config:bounds().sent_forgotten > 0)
    p:free()
  end)

  it("have the DATAGRAMs that memory left no room for", function()
    local p = net.pair({
      client = { max_datagram_frame_size = 65535 },
      server = { max_datagram_frame_size = 65535, memory_limit = 1048576, datagram_send_bytes = 1000000,
        datagram_send_count = 1000 },
    }):handshake()
    local queued, error = 0, nil
    while not error and queued < 1000 do
      local id, code = p.server:datagram(("x"):rep(1000))
      if id then queued = queued + 1 else error = code end
    end
    assert.equal(LIMIT, error)
    assert.is_true(queued > 250 and queued < 349, queued) -- a third of the memory, with what each costs
    assert.equal(1, p.server_config:bounds().datagrams_refused)
    p:free()
  end)
end)
