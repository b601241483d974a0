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
  local BLOCK = 65536 - 64

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
    assert.equal(2 * BLOCK, pool:stats().reserved)
    -- Behind 15 slots each block has almost 4096 bytes left: at least one slot of 3840.
    for _ = 1, 2 do assert.is_truthy(pool:alloc(3840)) end
    assert.equal(2 * BLOCK, pool:stats().reserved)
    assert.is_truthy(pool:alloc(3840))
    assert.equal(3 * BLOCK, pool:stats().reserved)
  end)

  -- All rooms of a size that the limit allows.
  local function fill(pool, size)
    local rooms = {}
    while true do
      local room = pool:alloc(size)
      if not room then return rooms end
      rooms[#rooms + 1] = room
    end
  end

  it("carves blocks anew for another class when all their slots are free", function()
    local pool = base.pool_new(2 ^ 22, true)
    local large = #fill(base.pool_new(2 ^ 22, true), 4096)
    assert.equal(64 * 15, large) -- what blocks have less than 64 KiB is enough for the table of them
    local small = fill(pool, 64)
    assert.is_true(#small > 63 * 1000)
    assert.is_nil(pool:alloc(4096))
    for _, room in ipairs(small) do pool:free(room, 64) end
    assert.equal(large, #fill(pool, 4096))
  end)

  it("gives blocks back, so that rooms larger than a class find memory", function()
    local pool = base.pool_new(2 ^ 22, true)
    local small = fill(pool, 64)
    for _, room in ipairs(small) do pool:free(room, 64) end
    assert.is_true(pool:stats().reserved <= 5 * BLOCK + 2048)
    local refused = pool:stats().refused
    -- The empty blocks that it kept go back first.
    local room = pool:alloc(62 * 65536)
    assert.is_truthy(room)
    assert.equal(refused, pool:stats().refused)
    pool:free(room, 62 * 65536)
    assert.equal(BLOCK + 2048, pool:stats().reserved)
  end)

  it("keeps a block while one slot of it is in use", function()
    local pool = base.pool_new(2 ^ 22, true)
    local small = fill(pool, 64)
    base.fill(small[500], 0x41, 64)
    for i, room in ipairs(small) do
      if i ~= 500 then pool:free(room, 64) end
    end
    assert.equal(63 * 15, #fill(pool, 4096))
    assert.equal(("A"):rep(64), base.bytes_of(small[500], 64))
  end)

  it("has small blocks under a small limit, of which few rooms in use keep little", function()
    local pool = base.pool_new(200000, true)
    local small = fill(pool, 64)
    assert.is_true(#small * 64 > 180000)
    for i, room in ipairs(small) do
      if i % 300 ~= 0 then pool:free(room, 64) end
    end
    -- Nine blocks that are in use, the newest, and the table of them.
    assert.is_true(#fill(pool, 512) * 512 > 200000 - 16 * 4096)
    local large = pool:alloc(10 * 4096)
    assert.is_nil(large)
  end)

  it("has nothing of brief rooms left between those that last", function()
    local pool = base.pool_new(0, true)
    local brief, lasting = {}, 0
    for i = 1, 2000 do
      assert.is_truthy(pool:alloc_lasting(448))
      lasting = lasting + 448
      -- Sixteen at a time, as handshakes are that come side by side.
      if brief[i - 16] then pool:free(brief[i - 16], 3000) end
      brief[i] = pool:alloc(3000)
    end
    for i = 1985, 2000 do pool:free(brief[i], 3000) end
    assert.equal(lasting, pool:stats().used)
    -- A block that is being carved of either kind, the empty ones that are kept, the table of all.
    assert.is_true(pool:stats().reserved <= lasting + lasting / 50 + 6 * 65536 + 1024, pool:stats().reserved)
  end)

  it("keeps a room that lasts where such rooms are when it is resized", function()
    local pool = base.pool_new(0, true)
    for _ = 1, 300 do
      local room = pool:alloc_lasting(64)
      local brief = pool:alloc(4096)
      for size = 128, 1024, 64 do room = pool:resize(room, size - 64, size) end
      assert.is_truthy(brief)
      pool:free(brief, 4096)
    end
    assert.is_true(pool:stats().reserved <= pool:stats().used * 1.05 + 7 * 65536, pool:stats().reserved)
  end)

  it("gives rooms of either kind where there is no memory for another block of it, and counts no refusal", function()
    for _, first in ipairs({ "alloc", "alloc_lasting" }) do
      local second = first == "alloc" and "alloc_lasting" or "alloc"
      local pool = base.pool_new(2 ^ 20, true)
      local rooms = {}
      repeat
        local room = pool[first](pool, 700)
        rooms[#rooms + 1] = room
      until not room
      assert.equal(1, pool:stats().refused)
      for i = 1, #rooms, 2 do pool:free(rooms[i], 700) end
      for i = 1, #rooms, 2 do
        rooms[i] = pool[second](pool, 700)
        assert.is_truthy(rooms[i], i)
        base.fill(rooms[i], i % 256, 700)
      end
      assert.equal(1, pool:stats().refused)
      for i, room in ipairs(rooms) do
        if i % 2 == 1 then assert.equal(string.char(i % 256):rep(700), base.bytes_of(room, 700)) end
        pool:free(room, 700)
      end
      assert.equal(0, pool:stats().used)
      assert.is_true(pool:stats().reserved <= 6 * 16384 + 1024)
    end
  end)

  it("keeps rooms apart whatever comes and goes, and has little left at the end", function()
    local state = 9
    local function draw(below)
      state = (state * 16807) % 2147483647
      return state % below
    end
    local pool = base.pool_new(0, true)
    local rooms, most = {}, 0
    for phase = 1, 6 do
      for step = 1, 6000 do
        -- Phases that grow and phases that shrink; each with a class that it likes.
        if draw(10) < (phase % 2 == 1 and 7 or 3) or #rooms == 0 then
          local size = draw(2) == 0 and phase * 300 or draw(4096) + 1
          local room, fill_byte = assert(draw(3) == 0 and pool:alloc_lasting(size) or pool:alloc(size)), draw(256)
          base.fill(room, fill_byte, size)
          rooms[#rooms + 1] = { room = room, size = size, byte = string.char(fill_byte) }
        else
          local at = draw(#rooms) + 1
          local r = rooms[at]
          if step % 7 == 0 then assert.equal(r.byte:rep(r.size), base.bytes_of(r.room, r.size)) end
          pool:free(r.room, r.size)
          rooms[at] = rooms[#rooms]
          rooms[#rooms] = nil
        end
      end
      most = math.max(most, pool:stats().reserved)
    end
    for _, r in ipairs(rooms) do
      assert.equal(r.byte:rep(r.size), base.bytes_of(r.room, r.size))
      pool:free(r.room, r.size)
    end
    assert.equal(0, pool:stats().used)
    assert.is_true(most > 40 * 65536) -- so that the table of blocks grew
    assert.is_true(pool:stats().reserved < 7 * BLOCK) -- one of each kind, four that are kept, the table
  end)
end)
