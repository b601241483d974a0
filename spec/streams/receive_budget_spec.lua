-- What came for streams and no one has read: counted exactly, and bounded for connections together.
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

local function holds(expected, s)
  assert.same({ expected, expected }, { s:held() })
end

--- A table that holds the floor on stream 0, and whose budget others have used up.
local function full()
  local s = new({ budget = 200000 })
  assert.equal(0, (s:on_stream(0, 0, ("x"):rep(FLOOR))))
  s:others_hold(200000)
  return s
end

describe("the bytes that no one has read", function()
  it("are those that came, once each, and neither gaps nor what was read", function()
    local s = new()
    holds(0, s)
    s:on_stream(0, 0, ("a"):rep(100))
    s:on_stream(0, 50, ("a"):rep(100))
    holds(150, s)
    s:on_stream(0, 1000, ("b"):rep(10))
    s:on_stream(4, 0, "four")
    holds(164, s)
    s:on_stream(0, 0, ("a"):rep(150))
    holds(164, s)
    assert.equal(40, #s:recv(0, 40))
    holds(124, s)
    s:peek(0)
    s:consume(0, 60)
    holds(64, s)
    s:on_stream(0, 20, ("a"):rep(80))
    holds(64, s)
  end)

  it("are gone when the stream is reset, stopped or read to its end", function()
    local s = new()
    s:on_stream(0, 0, ("a"):rep(100))
    s:on_stream(0, 500, ("a"):rep(100))
    s:on_stream(4, 0, ("a"):rep(30))
    s:on_stream(4, 90, ("a"):rep(30))
    s:on_stream(8, 0, ("a"):rep(7), true)
    holds(267, s)
    s:on_reset_stream(0, 7, 600)
    holds(67, s)
    s:shutdown(4, "read", 7)
    holds(7, s)
    s:on_stream(4, 200, ("a"):rep(30))
    holds(7, s)
    s:recv(8)
    holds(0, s)
  end)

  it("are counted as before when memory is refused", function()
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
        holds(3000, s)
      end
      assert.equal(0, (s:on_stream(0, 3500, ("b"):rep(9000))))
      holds(12000, s)
      s:recv(0)
      holds(9000, s)
      s:shutdown(0, "read", 0)
      holds(0, s)
    end
    assert.is_true(refused >= 3 and refused < 12, refused)
  end)

  it("are what a model says, whatever comes", function()
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
        holds(expected(), s)
      end
    end
  end)
end)

describe("a used up budget", function()
  it("refuses STREAM data of a connection that holds its share, which may come again", function()
    local s = full()
    assert.equal(codes.LIMIT, (s:on_stream(0, FLOOR, "more")))
    assert.equal(FLOOR, s:state().recv_used)
    assert.equal(FLOOR, (s:held()))
    s:others_hold(-FLOOR * 4)
    assert.equal(0, (s:on_stream(0, FLOOR, "more")))
    assert.equal(FLOOR + 4, (s:held()))
  end)

  it("takes data of a connection that holds less", function()
    local s = new({ budget = 200000 })
    s:others_hold(200000)
    for i = 0, 63 do assert.equal(0, (s:on_stream(i % 4 * 4, math.floor(i / 4) * 1024, ("x"):rep(1024)))) end
    assert.equal(codes.LIMIT, (s:on_stream(0, 16384, "x")))
    s:recv(0, 1)
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
    assert.equal(0, (s:on_stream(0, 100, ("x"):rep(1000))))
    assert.equal(0, (s:on_stream(0, FLOOR + 10, "", true)))
    s:on_stream(4, 0, "x")
    s:shutdown(4, "read", 7)
    assert.equal(0, (s:on_stream(4, 1, ("x"):rep(1000))))
    assert.equal(FLOOR, (s:held()))
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
