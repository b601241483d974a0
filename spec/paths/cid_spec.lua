local units = require("neap.units").paths

local PROTOCOL_VIOLATION, CONNECTION_ID_LIMIT_ERROR, FRAME_ENCODING_ERROR = 0x0a, 0x09, 0x07

local function cid(n) return ("cid%05d"):format(n) end
local function token(n) return ("token%011d"):format(n) end

describe("our connection IDs", function()
  --- A set that has issued all it may.
  local function issued(limit)
    local l = units.local_cids(cid(0), limit)
    local n = 1
    while l:issue(cid(n)) do n = n + 1 end
    return l, n - 1
  end

  -- covers: rfc9000#5.1.1.1
  -- covers: rfc9000#5.1.1.3
  -- covers: rfc9000#5.1.1.4
  it("are issued up to the peer's limit, with rising sequence numbers", function()
    for limit, expected in pairs({ [1] = 0, [2] = 1, [4] = 3, [100] = 3 }) do
      local l, count = issued(limit)
      assert.equal(expected, count)
      for n = 1, count do
        assert.same({ n, cid(n), 0 }, { l:next_owed() })
      end
      assert.is_nil(l:next_owed())
    end
  end)

  it("are none beside a zero-length one", function()
    local l = units.local_cids("", 4)
    assert.is_nil(l:issue(cid(1)))
    -- covers: rfc9000#19.16.4
    assert.equal(PROTOCOL_VIOLATION, (l:retire(0, "")))
  end)

  it("are told again after a loss, unless retired", function()
    local l = issued(3)
    l:next_owed()
    l:next_owed()
    assert.is_false((select(2, l:state())))
    l:lost(2)
    assert.is_true((select(2, l:state())))
    assert.equal(2, (l:next_owed()))
    l:retire(1, cid(2))
    l:lost(1)
    assert.is_nil(l:next_owed())
    l:lost(77)
    assert.is_nil(l:next_owed())
  end)

  -- covers: rfc9000#5.1.1.2
  -- covers: rfc9000#5.1.1.7
  it("are replaced when they are retired, and accepted until then", function()
    local l = issued(3)
    assert.equal(1, (l:next_owed()))
    l:state()
    assert.is_true(l:has(cid(1)))
    assert.equal(0, (l:retire(1, cid(0))))
    assert.is_false(l:has(cid(1)))
    assert.is_true(l:has(cid(2)))
    assert.same({ cid(0), true, true }, { l:state() })
    assert.equal(3, l:issue(cid(3)))
    assert.is_nil(l:issue(cid(4)))
    assert.equal(0, (l:retire(0, cid(3))))
    assert.is_false(l:has(cid(0)))
    assert.equal(cid(2), (l:state()))
  end)

  it("may be retired twice", function()
    local l = issued(3)
    while l:next_owed() do end
    l:retire(1, cid(0))
    l:state()
    assert.equal(0, (l:retire(1, cid(0))))
    assert.is_false((select(3, l:state())))
  end)

  -- covers: rfc9000#19.16.1
  -- covers: rfc9000#19.16.2
  -- covers: rfc9000#19.16.3
  it("are PROTOCOL_VIOLATION to retire when never told, or in a packet that carries the same", function()
    local l = issued(3)
    assert.equal(1, (l:next_owed()))
    assert.equal(PROTOCOL_VIOLATION, (l:retire(2, cid(0))))
    assert.is_true(l:has(cid(2)))
    assert.equal(2, (l:next_owed()))
    l:lost(2)
    assert.equal(0, (l:retire(2, cid(0)))) -- it came after all
    assert.equal(PROTOCOL_VIOLATION, (l:retire(3, cid(0))))
    assert.equal(PROTOCOL_VIOLATION, (l:retire(2^52, cid(0))))
    assert.equal(PROTOCOL_VIOLATION, (l:retire(1, cid(1))))
    assert.is_true(l:has(cid(1)))
    assert.equal(0, (l:retire(1, cid(2))))
  end)

  -- covers: rfc9000#5.1.1.5
  it("are rotated: new ones have the peer retire all that it had, which are good until then", function()
    local l = issued(4)
    while l:next_owed() do end
    l:rotate()
    assert.equal(4, l:issue(cid(4)))
    assert.is_nil(l:issue(cid(5))) -- five are held, and no more
    assert.same({ 4, cid(4), 4 }, { l:next_owed() })
    for n = 0, 4 do assert.is_true(l:has(cid(n))) end
    for n = 0, 3 do assert.equal(0, (l:retire(n, cid(4)))) end
    for n = 5, 7 do assert.equal(n, l:issue(cid(n))) end
    assert.is_nil(l:issue(cid(8)))
    assert.same({ 5, cid(5), 4 }, { l:next_owed() })
  end)

  it("are rotated as many as the peer may hold, where there is room", function()
    local l = issued(2)
    while l:next_owed() do end
    l:rotate()
    assert.equal(2, l:issue(cid(2)))
    assert.equal(3, l:issue(cid(3)))
    assert.is_nil(l:issue(cid(4)))
    assert.same({ 2, cid(2), 2 }, { l:next_owed() })
    assert.same({ 3, cid(3), 2 }, { l:next_owed() })
  end)

  it("that were lost before they are to go are told still, lest they are never retired", function()
    local l = issued(2)
    l:next_owed()
    l:rotate()
    l:lost(1)
    l:issue(cid(2))
    assert.same({ 1, cid(1), 1 }, { l:next_owed() })
    assert.same({ 2, cid(2), 2 }, { l:next_owed() })
  end)

  -- covers: rfc9000#5.1.2.8
  it("are rotated again only when the peer has retired what it was told to", function()
    local l = issued(2)
    while l:next_owed() do end
    l:rotate()
    l:rotate() -- nothing came between
    assert.equal(2, l:issue(cid(2)))
    l:rotate()
    l:rotate()
    assert.equal(3, l:issue(cid(3)))
    assert.same({ 2, 2 }, { (select(1, l:next_owed())), select(3, l:next_owed()) })
    l:retire(0, cid(2))
    l:lost(3)
    assert.equal(2, (select(3, l:next_owed())))
    l:retire(1, cid(2))
    l:lost(3)
    assert.equal(3, (select(3, l:next_owed()))) -- to be retired itself
    assert.equal(4, l:issue(cid(4)))
    assert.equal(4, (select(3, l:next_owed())))
  end)

  it("never run out under a peer that retires without end", function()
    local l, n = issued(4)
    for sequence = 0, 10000 do
      while l:next_owed() do end
      assert.equal(0, (l:retire(sequence, cid(sequence + 1))))
      assert.is_false(l:has(cid(sequence)))
      n = n + 1
      assert.equal(n, l:issue(cid(n)))
      assert.is_nil(l:issue(cid(n + 1)))
    end
  end)
end)

describe("the peer's connection IDs", function()
  local function fresh(limit)
    local p = units.peer_cids(cid(0), limit)
    p:set_token(token(0))
    return p
  end

  local function new(p, n, retire_prior_to) return (p:on_new(n, retire_prior_to or 0, cid(n), token(n))) end

  it("begin with the client's invention and go on with the server's choice", function()
    local p = units.peer_cids(cid(900))
    assert.equal(cid(900), p:active())
    p:replace_first(cid(0))
    assert.equal(cid(0), p:active())
  end)

  -- covers: rfc9000#5.1.1.6
  it("are taken up to our limit, and not one more", function()
    for limit = 2, 8 do
      local p = fresh(limit)
      for n = 1, limit - 1 do assert.equal(0, new(p, n)) end
      assert.equal(CONNECTION_ID_LIMIT_ERROR, new(p, limit))
      -- One that retires another first is within the limit.
      assert.equal(0, new(p, limit, 1))
      assert.equal(cid(1), p:active())
    end
  end)

  -- covers: rfc9000#19.15.4
  it("may be told many times", function()
    local p = fresh(2)
    for _ = 1, 5 do assert.equal(0, new(p, 1)) end
    assert.equal(CONNECTION_ID_LIMIT_ERROR, new(p, 2))
    assert.equal(0, new(p, 1))
  end)

  -- covers: rfc9000#19.15.5
  -- covers: rfc9000#10.3.2.6
  it("are PROTOCOL_VIOLATION when they contradict what is known", function()
    for _, frame in ipairs({
      { 1, 0, cid(2), token(1) }, -- the sequence number of another
      { 1, 0, cid(1), token(2) }, -- another token
      { 2, 0, cid(1), token(1) }, -- another sequence number
      { 2, 0, cid(1), token(2) },
      { 2, 0, cid(2), token(1) }, -- a token used twice
      { 0, 0, cid(0), token(9) },
      { 5, 0, cid(0), token(0) },
    }) do
      local p = fresh()
      new(p, 1)
      assert.equal(PROTOCOL_VIOLATION, (p:on_new(frame[1], frame[2], frame[3], frame[4])))
      assert.equal(0, new(p, 1))
      assert.equal(0, new(p, 2))
    end
  end)

  -- covers: rfc9000#19.15.1
  -- covers: rfc9000#19.15.6
  -- covers: rfc9000#19.15.7
  it("are FRAME_ENCODING_ERROR with impossible fields", function()
    local p = fresh()
    assert.equal(FRAME_ENCODING_ERROR, (p:on_new(1, 2, cid(1), token(1))))
    assert.equal(FRAME_ENCODING_ERROR, (p:on_new(1, 0, "", token(1))))
    assert.equal(cid(0), p:active())
    assert.is_nil(p:next_retire())
  end)

  -- covers: rfc9000#19.15.3
  it("are PROTOCOL_VIOLATION from a peer with a zero-length one", function()
    local p = units.peer_cids("")
    assert.equal(PROTOCOL_VIOLATION, new(p, 1))
  end)

  -- covers: rfc9000#5.1.2.4
  -- covers: rfc9000#19.15.8
  it("are retired below retire_prior_to, which only grows", function()
    local p = fresh()
    new(p, 1)
    new(p, 2)
    assert.equal(0, new(p, 3, 2))
    assert.equal(cid(2), p:active())
    assert.same({ 0, 1 }, { p:next_retire(), p:next_retire() })
    assert.is_nil(p:next_retire())
    assert.equal(0, new(p, 4, 1))
    assert.equal(cid(2), p:active())
    assert.is_nil(p:next_retire())
    -- A repeated frame may retire too.
    assert.equal(0, (p:on_new(4, 4, cid(4), token(4))))
    assert.equal(cid(4), p:active())
    local retired = { p:next_retire(), p:next_retire() }
    table.sort(retired)
    assert.same({ 2, 3 }, retired)
  end)

  -- covers: rfc9000#19.15.9
  it("are retired at once when they come after their retirement", function()
    local p = fresh()
    assert.equal(0, new(p, 5, 4))
    assert.equal(0, p:next_retire())
    assert.equal(0, new(p, 2))
    assert.equal(0, new(p, 2))
    assert.equal(2, p:next_retire())
    assert.equal(0, new(p, 2))
    assert.is_nil(p:next_retire())
    assert.equal(cid(5), p:active())
  end)

  -- covers: rfc9000#5.1.2.7
  it("are told as retired until that is acknowledged", function()
    local p = fresh()
    new(p, 2, 1)
    assert.same({ 1, 0 }, { p:waiting() })
    assert.equal(0, p:next_retire())
    assert.same({ 0, 1 }, { p:waiting() })
    p:retire_lost(0)
    p:retire_lost(0)
    assert.same({ 1, 0 }, { p:waiting() })
    assert.equal(0, p:next_retire())
    p:retire_acked(0)
    p:retire_lost(0)
    assert.same({ 0, 0 }, { p:waiting() })
    assert.is_nil(p:next_retire())
  end)

  it("need no second telling when the first comes after all", function()
    local p = fresh()
    new(p, 2, 1)
    p:next_retire()
    p:retire_lost(0)
    p:retire_acked(0)
    assert.same({ 0, 0 }, { p:waiting() })
  end)

  -- covers: rfc9000#5.1.2.5
  -- covers: rfc9000#5.1.2.6
  it("close the connection when they are retired without end and nothing is acknowledged", function()
    for _, written in ipairs({ true, false }) do
      local p, code, n = fresh(), 0, 0
      while code == 0 do
        n = n + 1
        code = new(p, n, n)
        if written then p:next_retire() end
        assert.is_true(n <= 100)
      end
      assert.equal(CONNECTION_ID_LIMIT_ERROR, code)
      assert.equal(units.RETIRE_QUEUE + 1, n)
      -- Nothing of the refused frame was taken.
      assert.equal(cid(n - 1), p:active())
    end
  end)

  it("may be retired without end while that is acknowledged", function()
    local p = fresh()
    for n = 1, 5000 do
      assert.equal(0, new(p, n, n))
      assert.equal(n - 1, p:next_retire())
      p:retire_acked(n - 1)
    end
  end)

  it("leave all as it was where there is no memory to retire them, until there is", function()
    local p = units.peer_cids(cid(0), nil, 100)
    assert.equal(0, new(p, 1))
    local code, reason = p:on_new(2, 1, cid(2), token(2))
    assert.is_true(code < 0)
    assert.equal("no memory to retire connection IDs", reason)
    assert.equal(cid(0), p:active())
    assert.same({ 0, 0 }, { p:waiting() })
    assert.equal(0, new(p, 2)) -- it was not taken
    assert.equal(1, p:take_fresh())
    assert.equal(2, p:take_fresh())
  end)

  it("flood late ones into the bound of the queue", function()
    local p, code, n = fresh(), 0, 0
    new(p, 1000, 1000)
    while code == 0 do
      n = n + 1
      code = new(p, n)
      assert.is_true(n <= 100)
    end
    assert.equal(CONNECTION_ID_LIMIT_ERROR, code)
  end)
end)

describe("a NEW_CONNECTION_ID that comes again after its connection ID was retired", function()
  local function left()
    local p = units.peer_cids("first---", 2)
    assert.equal(0, (p:on_new(1, 0, "second--", ("1"):rep(16))))
    p:leave(p:take_fresh()) -- its path is gone
    assert.equal(1, p:next_retire())
    return p
  end

  it("brings nothing back: the peer may have forgotten it", function()
    local p = left()
    p:retire_acked(1)
    assert.equal(0, (p:on_new(1, 0, "second--", ("1"):rep(16))))
    assert.equal(-1, p:take_fresh())
  end)

  it("is no fault of a peer that gave another meanwhile", function()
    local p = left()
    assert.equal(0, (p:on_new(2, 0, "third---", ("2"):rep(16))))
    assert.equal(0, (p:on_new(1, 0, "second--", ("1"):rep(16))))
  end)

  it("is one that is there still, however far the newest is ahead", function()
    local p = units.peer_cids("first---", 3)
    assert.equal(0, (p:on_new(1, 0, "second--", ("1"):rep(16))))
    assert.equal(0, (p:on_new(1000, 0, "newest--", ("9"):rep(16))))
    assert.equal(0, (p:on_new(1, 0, "second--", ("1"):rep(16))))
    assert.equal(1, p:take_fresh())
    assert.equal(2, p:take_fresh())
    assert.equal(-1, p:take_fresh())
  end)

  it("is told from one that was overtaken, however far the newest is ahead", function()
    for _, newest in ipairs { 2, 9, 63, 1000 } do
      local p = units.peer_cids("first---", 3)
      assert.equal(0, (p:on_new(newest, 0, "newest--", ("9"):rep(16))))
      assert.equal(0, (p:on_new(1, 0, "second--", ("1"):rep(16))))
      assert.equal(1, p:take_fresh())
      assert.equal(2, p:take_fresh())
    end
  end)
end)

describe("a stateless reset token", function()
  -- covers: rfc9000#10.3.1.3
  it("counts for the connection ID in use only", function()
    local p = units.peer_cids(cid(0))
    assert.is_false(p:is_reset(("\0"):rep(16)))
    p:set_token(token(0))
    p:on_new(1, 0, cid(1), token(1))
    assert.is_true(p:is_reset(token(0)))
    assert.is_false(p:is_reset(token(1)))
    assert.is_false(p:is_reset(("\0"):rep(16)))
    p:on_new(2, 1, cid(2), token(2))
    assert.is_false(p:is_reset(token(0)))
    assert.is_true(p:is_reset(token(1)))
    p:set_token(token(7))
    assert.is_false(p:is_reset(token(7)))
  end)

  it("differs when any bit differs", function()
    local p = units.peer_cids(cid(0))
    p:set_token(token(0))
    for i = 1, 16 do
      local t = token(0)
      local changed = t:sub(1, i - 1) .. string.char((t:byte(i) + 128) % 256) .. t:sub(i + 1)
      assert.is_false(p:is_reset(changed))
    end
  end)
end)

describe("a connection ID for another path", function()
  local paths = require("neap.units").paths
  local function token_of(n) return ("%016d"):format(n) end

  -- covers: rfc9000#9.5.3
  it("is one that no path uses yet, and is retired with its path", function()
    local p = paths.peer_cids("first---")
    assert.equal(0, (p:on_new(1, 0, "second--", token_of(1))))
    assert.equal(1, p:take_fresh())
    assert.equal(-1, p:take_fresh())
    p:leave(1)
    assert.equal(1, p:next_retire())
    assert.equal(0, (p:on_new(2, 0, "third---", token_of(2))))
    assert.equal(1, p:take_fresh())
  end)

  it("that packets carry is not retired by another path", function()
    local p = paths.peer_cids("first---")
    p:leave(0)
    assert.is_nil(p:next_retire())
    assert.equal("first---", p:active())
  end)

  it("that its path left while too many were on their way to be retired is retired when there is room", function()
    local p, newest = paths.peer_cids("first---"), 20
    assert.equal(0, (p:on_new(newest, newest, "active--", token_of(newest)))) -- retires the first
    for n = 1, 15 do -- fifteen more that come late
      assert.equal(0, (p:on_new(n, 0, ("late%04d"):format(n), token_of(n))))
    end
    assert.equal(0, (p:on_new(21, 0, "another-", token_of(21))))
    local index = p:take_fresh()
    assert.is_true(index >= 0)
    p:leave(index)
    local retired = {}
    for sequence in p.next_retire, p do retired[sequence] = true end
    assert.is_nil(retired[21])
    p:retire_acked(3)
    assert.equal(21, p:next_retire())
    assert.is_nil(p:next_retire())
    p:retire_acked(4)
    assert.is_nil(p:next_retire())
  end)

  it("is the one there is when the peer uses none", function()
    local p = paths.peer_cids("")
    assert.equal(0, p:take_fresh())
  end)

  it("resets the connection as the others do", function()
    local p = paths.peer_cids("first---")
    p:on_new(1, 0, "second--", token_of(1))
    assert.is_false(p:is_reset(token_of(1)))
    p:take_fresh()
    assert.is_true(p:is_reset(token_of(1)))
  end)
end)
