local base = require("neap.units").base

for _, classed in ipairs({ false, true }) do
  describe(classed and "pool with size classes" or "pool of this build", function()
    local pool

    before_each(function() pool = base.pool_new(0, classed) end)

    it("gives zeroed memory, also when it was used before", function()
      for size = 1, 5000, 37 do
        local room = pool:alloc(size)
        assert.equal(("\0"):rep(size), base.bytes_of(room, size))
        base.fill(room, 0xaa, size)
        pool:free(room, size)
      end
    end)

    it("keeps rooms apart", function()
      local rooms = {}
      for i = 1, 300 do
        local size = i * 17 % 4200 + 1
        rooms[i] = { room = pool:alloc(size), size = size }
        base.fill(rooms[i].room, i % 256, size)
      end
      for i, r in ipairs(rooms) do
        assert.equal(string.char(i % 256):rep(r.size), base.bytes_of(r.room, r.size))
        pool:free(r.room, r.size)
      end
      assert.equal(0, pool:stats().used)
    end)

    it("moves content when a room is resized, and zeroes what is new", function()
      local sizes, room = { 10, 20, 64, 65, 900, 30, 5000, 9000, 70 }, pool:alloc(10)
      base.fill(room, 0x55, 10)
      for i = 2, #sizes do
        room = pool:resize(room, sizes[i - 1], sizes[i])
        assert.equal(("U"):rep(10), base.bytes_of(room, 10))
        assert.equal(("\0"):rep(sizes[i] - 10), base.bytes_of(room, sizes[i]):sub(11))
      end
      pool:free(room, sizes[#sizes])
      assert.equal(0, pool:stats().used)
    end)

    it("refuses what the limit does not allow, and counts it", function()
      pool = base.pool_new(200000, classed)
      local rooms = {}
      while true do
        local room = pool:alloc(3000)
        if not room then break end
        rooms[#rooms + 1] = room
      end
      assert.is_true(#rooms >= 50)
      assert.is_true(pool:stats().reserved <= 200000)
      assert.equal(1, pool:stats().refused)
      assert.is_nil(pool:alloc(500000))
      for _, room in ipairs(rooms) do pool:free(room, 3000) end
      local room = pool:alloc(3000)
      assert.is_truthy(room)
      pool:free(room, 3000)
    end)

    it("leaves the old room as it was when a resize is refused", function()
      pool = base.pool_new(100000, classed)
      local room = pool:alloc(5000)
      base.fill(room, 0x41, 5000)
      assert.is_nil(pool:resize(room, 5000, 200000))
      assert.equal(("A"):rep(5000), base.bytes_of(room, 5000))
      pool:free(room, 5000)
    end)
  end)
end

describe("pool with size classes", function()
  it("uses a freed slot again instead of asking the environment", function()
    local pool = base.pool_new(0, true)
    local first = pool:alloc(700)
    local reserved = pool:stats().reserved
    for _ = 1, 1000 do
      pool:free(first, 700)
      first = pool:alloc(701)
    end
    assert.equal(reserved, pool:stats().reserved)
    assert.equal(704, pool:stats().used)
  end)

  it("gives large rooms back to the environment at once", function()
    local pool = base.pool_new(0, true)
    local room = pool:alloc(100000)
    assert.equal(100000, pool:stats().reserved)
    pool:free(room, 100000)
    assert.equal(0, pool:stats().reserved)
  end)

  it("carves the rest of a block into slots before it begins the next", function()
    local pool = base.pool_new(0, true)
    for _ = 1, 30 do assert.is_truthy(pool:alloc(4096)) end
    assert.equal(131072, pool:stats().reserved)
    -- Behind 15 slots each block has almost 4096 bytes left: at least one slot of 3584.
    for _ = 1, 2 do assert.is_truthy(pool:alloc(3584)) end
    assert.equal(131072, pool:stats().reserved)
    assert.is_truthy(pool:alloc(3584))
    assert.equal(196608, pool:stats().reserved)
  end)
end)
