--- Attacks on one connection by its peer or by the network: what they may cost.
local net = require("support.quic_net")

local MS, bytes = net.MS, net.bytes
local APPLICATION = net.APPLICATION

describe("a client whose address changes a hundred times", function()
  it("goes on, though it changes none of its own connection IDs and uses up none of the server's", function()
    local p = net.pair():handshake()
    local id = p.client:open(true)
    for i = 1, 100 do
      p:rebind(("203.0.113.%d:%d"):format(i, 4000 + i))
      p.client:stream_send(id, "x", false)
      p:settle(3000 * MS)
      assert.same({ "none", "none" }, { p.client:info().by, p.server:info().by }, i)
    end
    local got = ""
    while true do
      local data = p.server:stream_recv(id)
      if not data or #data == 0 then break end
      got = got .. data
    end
    assert.equal(("x"):rep(100), got)
    assert.is_true(#p.server:paths() <= 4)
    p:free()
  end)

  it("costs the server no memory", function()
    local p = net.pair():handshake()
    local function round(i)
      p:rebind(("203.0.113.%d:%d"):format(i % 250, 4000 + i))
      p.client:ping()
      p:settle(3000 * MS)
    end
    for i = 1, 10 do round(i) end
    local before = p.server_config:memory().used
    for i = 11, 60 do round(i) end
    assert.is_true(p.server_config:memory().used <= before + 4096)
    p:free()
  end)
end)

describe("one byte", function()
  it("at the end of the window of the last stream that may be opened takes little memory", function()
    local p = net.pair():handshake()
    local before = p.server_config:memory().used
    p:inject("client", APPLICATION, bytes(0x0e, 4 * 99, 1048575, 1, "x"))
    assert.same({ "none", 100 }, { p.server:info().by, p.server:floods().streams_accepted })
    assert.is_true(p.server:stats().receive_held > 0)
    local taken = p.server_config:memory().used - before
    assert.is_true(taken > 0 and taken < 32768, taken)
    p:free()
  end)
end)

describe("a number space", function()
  -- covers: rfc9000#13.1.2
  it("is ended by an acknowledgement of what was never sent in it, whichever it is", function()
    for _, space in ipairs({ net.INITIAL, net.HANDSHAKE, APPLICATION }) do
      local p = net.pair()
      if space == APPLICATION then
        p:handshake()
      else
        p:run(function(x) return space == net.INITIAL and x.server ~= nil or x.client:info().established end)
      end
      p:inject("client", space, bytes(0x02, 5000, 0, 0, 0), { pad = 1200 })
      assert.same({ "local", 0x0a }, { p.server:info().by, p.server:info().code }, space)
      p:free()
    end
  end)
end)

describe("early packets", function()
  it("are kept to the bound at every stage of a handshake, and none once it is over", function()
    for stage = 1, 3 do
      local p = net.pair()
      p:run(function(x)
        if stage == 1 then return x.server ~= nil end
        if stage == 2 then return x.client:info().established end
        return x.client:info().confirmed and x.server:info().confirmed
      end)
      local cid = p.server:source_ids()[1]
      local before = p.server_config:memory().used
      for i = 1, 50000 do
        p.server:recv("\64" .. cid .. ("%08d"):format(i):rep(20), p.now)
        local handshake = "\224\0\0\0\1\8" .. cid .. "\8" .. select(2, p.server:ids())
        p.server:recv(handshake .. "\64\120" .. ("x"):rep(120), p.now)
      end
      assert.is_true(p.server_config:memory().used - before <= 8 * 512, stage)
      local kept = p.server:stats().kept
      assert.is_true(kept <= 8)
      assert.equal(kept, p.server:floods().undecryptable_kept)
      if stage == 1 then assert.is_true(p.server:floods().undecryptable_refused >= 50000 - kept) end
      assert.equal("none", p.server:info().by)
      p:handshake()
      p:free()
    end
  end)
end)
