-- The memory of what came for streams and no one has read: counted exactly, and bounded for connections together.
local units = require("neap.units").streams
local codes = require("streams.codes")
local dice = require("streams.dice")

local FLOOR = 65536
local MS = 1000000

local function new(config)
  config = config or {}
  config.is_server = true
  config.ours = config.ours or { max_data = 1048576, bidi_remote = 1048576 }
  return units.new(config)
end

--- What is counted is what is there, however one looks for it.
local function holds(expected, s)
  assert.same({ expected, expected, expected }, { s:received_memory(), s:held() })
end

--- A table that holds the floor on stream 0, and whose budget others have used up.
local function full()
  local s = new({ budget = 200000 })
  assert.equal(0, (s:on_stream(0, 0, ("x"):rep(FLOOR))))
  s:others_hold(200000)
  return s
end

describe("the memory of what no one has read", function()
  it("is that of the rooms that came, once each, and neither of gaps nor of what was read", function()
    local s = new()
    holds(0, s)
    s:on_stream(0, 0, ("a"):rep(100))
    holds(128, s)
    s:on_stream(0, 50, ("a"):rep(50))
    holds(128, s)
    s:on_stream(4, 0, "four")
    holds(192, s)
    s:on_stream(8, 1000, ("b"):rep(10))
    holds(192 + 64 + 4 * 16, s) -- with four ranges, which grow by doubling
    s:on_stream(0, 100, ("a"):rep(4048))
    holds(320 + 4096 + 64 - 128 + 64 + 128, s) -- two rooms, a directory, a page
    assert.equal(4096, #s:recv(0, 4096))
    holds(320 - 128 + 64 + 64 + 128, s)
    s:peek(0)
    s:consume(0, 52)
    holds(192, s)
    s:on_stream(0, 4048, ("a"):rep(100))
    holds(192, s)
  end)

  it("is a whole room for the two bytes at its ends", function()
    local s = new()
    for k = 1, 7 do s:on_stream(0, k * 4096 - 1, "xy") end
    holds(6 * 4096 + 2 * 64 + 64 + 128 + 8 * 16, s) -- with a directory, a page and ranges
  end)

  it("is given back when the stream is reset, stopped or read to its end", function()
    local s = new()
    s:on_stream(0, 0, ("a"):rep(100))
    s:on_stream(0, 500, ("a"):rep(100))
    holds(1024 + 64, s)
    s:on_stream(4, 0, ("a"):rep(30))
    s:on_stream(4, 90, ("a"):rep(30))
    s:on_stream(8, 0, ("a"):rep(7), true)
    holds(1088 + 128 + 64 + 64, s)
    s:on_reset_stream(0, 7, 600)
    holds(128 + 64 + 64, s)
    s:shutdown(4, "read", 7)
    holds(64, s)
    s:on_stream(4, 200, ("a"):rep(30))
    holds(64, s)
    s:recv(8)
    holds(0, s)
  end)

  it("is counted when memory is refused in the middle of a frame, or there are too many gaps", function()
    local refused = 0
    for after = 0, 11 do
      local s = new()
      s:on_stream(0, 0, ("a"):rep(3000))
      s:fail(1, after)
      local code = s:on_stream(0, 3500, ("b"):rep(9000))
      s:fail(0)
      if code ~= 0 then
        refused = refused + 1
        assert.equal(codes.NO_MEMORY, code)
        holds(s:received_memory(), s)
      end
      assert.equal(0, (s:on_stream(0, 3500, ("b"):rep(9000))))
      assert.is_true((s:held()) >= 12000)
      s:recv(0)
      assert.is_true((s:held()) >= 9000)
      holds(s:received_memory(), s)
      s:shutdown(0, "read", 0)
      holds(0, s)
    end
    assert.is_true(refused >= 3 and refused < 12, refused)
    local s = new()
    for k = 1, 512 do assert.equal(0, (s:on_stream(0, k * 1024, "x"))) end
    for k = 513, 600 do assert.equal(codes.LIMIT, (s:on_stream(0, k * 1024, "x"))) end
    holds(s:received_memory(), s)
  end)

  it("is counted as it is and has room for what a model holds, whatever comes", function()
    local roll = dice(11)
    for _ = 1, 20 do
      local s, model, closed = new(), {}, {}
      local function expected()
        local count = 0
        for _, stream in pairs(model) do
          for _ in pairs(stream.bytes) do count = count + 1 end
        end
        return count
      end
      for _ = 1, 200 do
        local id = roll(5) * 4
        local stream = model[id] or { read = 0, bytes = {} }
        local what = roll(12)
        if closed[id] then
          s:on_stream(id, roll(300), ("z"):rep(roll(50)))
        elseif what < 8 then
          model[id] = stream
          local at, size = roll(300), roll(60)
          s:fail(roll(4) == 0 and 1 or 0, roll(3))
          if s:on_stream(id, at, ("z"):rep(size)) == 0 then
            for i = math.max(at, stream.read), at + size - 1 do stream.bytes[i] = true end
          end
          s:fail(0)
        elseif what < 11 then
          local got = s:recv(id, roll(100))
          if type(got) == "string" then
            for i = stream.read, stream.read + #got - 1 do stream.bytes[i] = nil end
            stream.read = stream.read + #got
          end
        elseif model[id] then
          model[id], closed[id] = nil, true
          s:shutdown(id, "read", 0)
        end
        holds(s:received_memory(), s)
        assert.is_true((s:held()) >= expected())
      end
      for id in pairs(model) do s:shutdown(id, "read", 0) end
      holds(0, s)
    end
  end)
end)

describe("a used up budget", function()
  it("refuses STREAM data of a connection that holds its share, which may come again", function()
    local s = full()
    assert.equal(codes.LIMIT, (s:on_stream(0, FLOOR, "more")))
    assert.equal(FLOOR, s:state().recv_used)
    local held = s:held()
    s:others_hold(-FLOOR * 4)
    assert.equal(0, (s:on_stream(0, FLOOR, "more")))
    assert.is_true((s:held()) > held)
  end)

  it("takes data of a connection that holds less", function()
    local s = new({ budget = 200000 })
    s:others_hold(200000)
    local taken = 0
    while (s:held()) < FLOOR do
      assert.equal(0, (s:on_stream(taken % 4 * 4, math.floor(taken / 4) * 1024, ("x"):rep(1024))))
      taken = taken + 1
    end
    -- But for four directories and pages, and the last room of each, it is all data.
    assert.is_true(taken >= 52, taken)
    assert.equal(codes.LIMIT, (s:on_stream(0, 16384, "x")))
    s:recv(0, 4096)
    assert.equal(0, (s:on_stream(0, 16384, "x")))
  end)

  it("takes what a reader waits for, and nothing behind it", function()
    local s = full()
    assert.equal(codes.LIMIT, (s:on_stream(4, 100, "later")))
    assert.equal(0, (s:on_stream(4, 0, ("n"):rep(100))))
    assert.equal(codes.LIMIT, (s:on_stream(4, 100, "later")))
    assert.equal(100, #s:recv(4))
    assert.equal(0, (s:on_stream(4, 50, ("n"):rep(55))))
    assert.equal("nnnnn", (s:recv(4)))
  end)

  it("takes repetitions, ends, resets and what is dropped anyway", function()
    local s = full()
    local held = s:held()
    assert.equal(0, (s:on_stream(0, 100, ("x"):rep(1000))))
    assert.equal(0, (s:on_stream(0, FLOOR + 10, "", true)))
    s:on_stream(4, 0, "x")
    s:shutdown(4, "read", 7)
    assert.equal(0, (s:on_stream(4, 1, ("x"):rep(1000))))
    assert.equal(held, (s:held()))
    assert.equal(0, (s:on_reset_stream(0, 7, FLOOR + 10)))
    assert.equal(0, (s:held()))
  end)

  it("does not hide an error of the peer", function()
    local s = full()
    assert.equal(codes.FLOW_CONTROL_ERROR, (s:on_stream(0, 1048576, "x")))
    s:on_stream(0, FLOOR, "", true)
    assert.equal(codes.FINAL_SIZE_ERROR, (s:on_stream(0, FLOOR, "x")))
  end)
end)

describe("windows", function()
  it("grow while less than a quarter of the budget is held, and not above", function()
    for others, grows in pairs({ [0] = true, [90000] = true, [100000] = false }) do
      local s = new({ ours = { max_data = 4096, bidi_remote = 4096 }, budget = 400000 })
      s:others_hold(others)
      for i = 0, 3 do
        assert.equal(0, (s:on_stream(0, i * 2048, ("x"):rep(2048), false, (i + 1) * MS)))
        s:recv(0, 65536, (i + 1) * MS, 10 * MS)
        while s:write_control() do end
      end
      -- Credit goes back in any case: it is for what was read.
      assert.is_true(s:stream(0).recv_limit >= 8192)
      assert.equal(grows, s:stream(0).window > 4096, others)
      assert.equal(grows, s:state().recv_window > 4096, others)
    end
  end)
end)
