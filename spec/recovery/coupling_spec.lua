-- How fast a path grows beside others of its connection: what the formula of RFC 6356 makes of it, and what controllers
-- make of that.
local recovery = require("neap.units").recovery

local MS, WHOLE = 1000000, 32768

--- alpha * window / all windows, of RFC 6356 §3, as it stands there: 1 at most.
local function model(paths, i)
  local best, sum, windows = 0, 0, 0
  for _, path in ipairs(paths) do
    local window, rtt = path[1], path[2]
    best, sum, windows = math.max(best, window / rtt ^ 2), sum + window / rtt, windows + window
  end
  local alpha = windows * best / sum ^ 2
  return math.min(alpha * paths[i][1] / windows, 1)
end

describe("the growth that is left to a path", function()
  it("is that of RFC 6356", function()
    local cases = {
      { { 12000, 20 * MS, 1 }, { 12000, 20 * MS, 1 } },
      { { 12000, 20 * MS, 1 }, { 120000, 20 * MS, 1 } },
      { { 12000, 200 * MS, 1 }, { 120000, 20 * MS, 1 } },
      { { 300000, 10 * MS, 1 }, { 2400, 300 * MS, 1 }, { 50000, 77 * MS, 1 } },
    }
    for number, paths in ipairs(cases) do
      local left = { recovery.coupling(paths) }
      for i = 1, #paths do
        assert.near(model(paths, i), left[i] / WHOLE, 0.001 + model(paths, i) / 100, number .. "." .. i)
      end
    end
  end)

  it("is all of it where nothing is in flight on others", function()
    assert.near(WHOLE, (recovery.coupling{ { 12000, 20 * MS, 0 } }), 2)
    assert.near(WHOLE, (recovery.coupling{ { 12000, 20 * MS, 9 }, { 90000, 20 * MS, 0 } }), 2)
  end)

  it("is some, whatever windows and round-trip times there are", function()
    for _, window in ipairs{ 2400, 2 ^ 40 } do
      for _, rtt in ipairs{ 0, 1, 86400000 * MS } do
        for _, left in ipairs{ recovery.coupling{ { 2400, 1, 1 }, { window, rtt, 1 }, { 2 ^ 40, 1, 1 } } } do
          assert.is_true(left >= 1 and left <= WHOLE, left)
        end
      end
    end
  end)
end)

describe("a quarter of its growth", function()
  it("is a quarter of a datagram a window of NewReno", function()
    local cc = recovery.cc(1200)
    cc:lose(1, 10)
    local quarter = { coupling = WHOLE / 4 }
    assert.equal(6000, cc:ack(4 * 6000 - 4, quarter))
    assert.equal(7200, cc:ack(4, quarter))
  end)

  it("is a curve of CUBIC that is sixteen times as flat, since its windows go with the fourth root of that", function()
    --- Seconds until the window is again half of what it lost.
    local function back_after(coupling)
      local cc, before = recovery.cc(1200, "cubic"), 1200 * 2000
      while cc:state().window < before do cc:ack(before - cc:state().window) end
      cc:lose(1, 10 * MS)
      local now, window = 1000 * MS, 0
      while window < 0.85 * before do
        window = cc:ack(cc:state().window, { rtt = 100 * MS, now = now, sent_at = now, coupling = coupling })
        now = now + 100 * MS
      end
      return now / 1000 / MS - 1
    end
    local alone = (0.3 * 2000 / 0.4) ^ (1 / 3) - (0.15 * 2000 / 0.4) ^ (1 / 3)
    assert.near(alone, back_after(0), 0.2)
    assert.near(16 ^ (1 / 3) * alone, back_after(WHOLE / 4), 0.2)
  end)
end)
