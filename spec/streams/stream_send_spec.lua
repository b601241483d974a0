local units = require("neap.units").streams
local new_dice = require("streams.dice")

local function pattern(size)
  local bytes = {}
  for i = 1, size do bytes[i] = string.char((i * 89 + math.floor(i / 253)) % 256) end
  return table.concat(bytes)
end

describe("send buffer", function()
  it("gives bytes in order and frees them when they are acknowledged", function()
    local b = units.send_buffer()
    assert.equal(5000, b:append(pattern(5000)))
    local offset, bytes = b:take(nil, 1200)
    assert.equal(0, offset)
    assert.equal(pattern(5000):sub(1, 1200), bytes)
    while b:take() do end
    assert.is_false(b:has_data())
    b:acked(0, 5000)
    assert.same({ 5000, 5000, 5000, 5000 }, { b:state() })
    assert.equal(0, (b:memory()))
  end)

  it("does not go beyond the limit with fresh bytes", function()
    local b = units.send_buffer()
    b:append(pattern(100))
    local _, bytes = b:take(60)
    assert.equal(60, #bytes)
    assert.is_nil(b:take(60))
    assert.is_false(b:has_data(60))
    assert.is_true(b:has_data(61))
    assert.same({ 60, pattern(100):sub(61, 61) }, { b:take(61) })
  end)

  -- covers: rfc9000#13.3.4
  it("gives lost bytes before fresh ones, and the same bytes", function()
    local b = units.send_buffer()
    b:append(pattern(3000))
    b:take()
    b:take()
    b:lost(0, 1200)
    assert.same({ 0, pattern(3000):sub(1, 700) }, { b:take(nil, 700) })
    assert.same({ 700, pattern(3000):sub(701, 1200) }, { b:take(nil, 1200) })
    assert.same({ 2400, pattern(3000):sub(2401) }, { b:take() })
  end)

  it("gives lost bytes although the limit lies below them", function()
    local b = units.send_buffer()
    b:append("abcdef")
    b:take()
    b:lost(2, 2)
    assert.same({ 2, "cd" }, { b:take(6) })
  end)

  -- covers: rfc9000#13.3.6
  it("does not send again what was acknowledged meanwhile", function()
    local b = units.send_buffer()
    b:append(pattern(400))
    b:take()
    b:lost(0, 400)
    b:acked(100, 100)
    assert.equal(100, #select(2, b:take()))
    assert.same({ 200, pattern(400):sub(201) }, { b:take() })
    b:acked(300, 100)
    b:lost(200, 200)
    assert.same({ 200, pattern(400):sub(201, 300) }, { b:take() })
    assert.is_nil(b:take())
  end)

  it("frees what lies behind an acknowledgement with others inside it", function()
    local b = units.send_buffer()
    b:append(pattern(400))
    b:take()
    b:acked(100, 100)
    b:acked(300, 100)
    b:acked(0, 300)
    assert.same({ 400, 400, 400, 400 }, { b:state() })
    assert.equal(0, (b:memory()))
  end)

  it("sends everything unacknowledged again when all is lost", function()
    local b = units.send_buffer()
    b:append(pattern(500))
    b:take()
    b:acked(100, 50)
    b:lost(300, 20)
    b:lose_all()
    local sent = {}
    for _ = 1, 2 do sent[#sent + 1] = table.concat({ b:take() }, ":") end
    assert.same({ "0:" .. pattern(500):sub(1, 100), "150:" .. pattern(500):sub(151) }, sent)
    assert.is_nil(b:take())
  end)

  it("ignores acknowledgements and losses of what was never sent", function()
    local b = units.send_buffer()
    b:append("abc")
    b:acked(0, 3)
    b:lost(0, 3)
    assert.same({ 0, 0, 0, 3 }, { b:state() })
    b:take()
    b:acked(0, 1000)
    assert.same({ 3, 3, 3, 3 }, { b:state() })
    b:acked(0, 3)
    b:lost(0, 3)
    assert.is_false(b:has_data())
  end)

  it("takes little memory for a small write", function()
    local b = units.send_buffer()
    b:append(pattern(100))
    assert.equal(128, (b:memory()))
    b:append(pattern(30))
    b:take()
    b:acked(0, 130)
    assert.equal(0, (b:memory()))
  end)

  it("takes what the pool allows, and says how much", function()
    local b = units.send_buffer()
    assert.equal(10, b:append(pattern(10)))
    b:fail(100)
    assert.equal(54, b:append(pattern(54)))
    assert.equal(0, b:append("x"))
    b:fail(1)
    assert.equal(0, b:append(pattern(4000)))
    b:fail(0)
    assert.equal(4000, b:append(pattern(4000)))
    assert.equal(pattern(10) .. pattern(54) .. pattern(4000), (select(2, b:take(nil, 1e6))))
  end)

  it("sends again rather than forget when there is no memory to remember", function()
    local b = units.send_buffer()
    b:append(pattern(1000))
    for _ = 1, 10 do b:take(nil, 100) end
    b:fail(100)
    b:acked(300, 100)
    b:lost(500, 100)
    b:fail(0)
    local again = 0
    while true do
      local offset, bytes = b:take(nil, 100)
      if not offset then break end
      again = again + #bytes
      b:acked(offset, #bytes)
    end
    assert.equal(1000, again)
    assert.same({ 1000, 1000, 1000, 1000 }, { b:state() })
  end)

  -- covers: rfc9000#2.2.3
  it("delivers every byte under random loss, reordering and late acknowledgement", function()
    for seed = 1, 60 do
      local dice = new_dice(seed)
      local size = dice(2) == 1 and dice(500) or dice(60000)
      local bytes, b = pattern(size), units.send_buffer()
      local queued, got, left, flight = 0, {}, size, {}
      local rounds = 0
      while select(1, b:state()) < size do
        rounds = rounds + 1
        assert.is_true(rounds < 200000, "seed " .. seed)
        if queued < size and dice(3) == 1 then
          local part = bytes:sub(queued + 1, queued + dice(9000))
          queued = queued + b:append(part)
        end
        if dice(40) == 1 then b:fail(dice(3)) end
        local offset, part = b:take(dice(size + 10), dice(1300))
        if offset then
          assert.is_true(part == bytes:sub(offset + 1, offset + #part), "seed " .. seed)
          for i = offset, offset + #part - 1 do
            if not got[i] then got[i], left = true, left - 1 end
          end
          flight[#flight + 1] = { offset, #part }
        end
        while #flight > 0 and dice(3) ~= 1 do
          local f = table.remove(flight, dice(#flight))
          local fate = dice(10)
          if fate <= 3 then
            b:lost(f[1], f[2])
            if fate == 1 then flight[#flight + 1] = f end -- declared lost, acknowledged later
          else
            b:acked(f[1], f[2])
          end
        end
        b:fail(0)
        local base, next_, highest, end_ = b:state()
        assert.is_true(base <= next_ and next_ <= highest and highest <= end_, "seed " .. seed)
      end
      assert.equal(0, left, "seed " .. seed)
      assert.is_false(b:has_data())
      assert.equal(0, (b:memory()), "seed " .. seed)
    end
  end)
end)
