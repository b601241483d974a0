local base = require("neap.units").base

local LIMIT = -15 -- NEAP_ERR_LIMIT

describe("range set", function()
  local set

  before_each(function() set = base.range_set_new(4) end)

  it("joins what overlaps or touches", function()
    set:insert(10, 20)
    set:insert(30, 40)
    set:insert(20, 25)
    assert.equal("10-25 30-40", set:text())
    set:insert(24, 31)
    assert.equal("10-40", set:text())
    set:insert(0, 100)
    assert.equal("0-100", set:text())
  end)

  it("takes nothing for an empty range", function()
    assert.equal(0, set:insert(5, 5))
    assert.equal("", set:text())
  end)

  it("stays as it was when a range more than its limit comes", function()
    for i = 0, 3 do assert.equal(0, set:insert(i * 10, i * 10 + 5)) end
    assert.equal(LIMIT, set:insert(100, 101))
    assert.equal("0-5 10-15 20-25 30-35", set:text())
    assert.equal(LIMIT, set:remove(2, 3))
    assert.equal("0-5 10-15 20-25 30-35", set:text())
    assert.equal(0, set:insert(5, 10)) -- joins, so it takes no room
    assert.equal("0-15 20-25 30-35", set:text())
    set:drop_below(15)
    assert.equal("20-25 30-35", set:text())
  end)

  it("splits and trims where a part is removed", function()
    set:insert(0, 100)
    set:remove(40, 60)
    assert.equal("0-40 60-100", set:text())
    set:remove(30, 70)
    assert.equal("0-30 70-100", set:text())
    set:remove(0, 80)
    assert.equal("80-100", set:text())
    set:remove(100, 200)
    assert.equal("80-100", set:text())
  end)

  it("agrees with a list of booleans under random use", function()
    local seed, top = 7, 200
    local function random(bound)
      seed = (seed * 1103515245 + 12345) % 2147483648
      return math.floor(seed / 65536) % bound
    end
    set = base.range_set_new(1000)
    local model = {}
    for _ = 1, 3000 do
      local start = random(top)
      local stop = start + random(12)
      local adds = random(2) == 0
      assert.equal(0, adds and set:insert(start, stop) or set:remove(start, stop))
      for i = start, stop - 1 do model[i] = adds or nil end
      local ranges, i = {}, 0
      while i < top + 12 do
        if model[i] then
          local first = i
          while model[i] do i = i + 1 end
          ranges[#ranges + 1] = first .. "-" .. i
        end
        i = i + 1
      end
      assert.equal(table.concat(ranges, " "), set:text())
      local probe, probe_end = random(top), random(top)
      assert.equal(model[probe] == true, set:contains(probe))
      local covered, gap = true, nil
      for p = probe, probe_end - 1 do
        if not model[p] then covered, gap = false, gap or p end
      end
      assert.equal(covered, set:covers(probe, probe_end))
      local gap_start, gap_end = set:first_gap(probe, probe_end)
      assert.equal(gap, gap_start)
      if gap_start then
        assert.is_true(gap_end == probe_end or (model[gap_end] and not model[gap_end - 1]))
      end
    end
  end)

  it("forgets what lies below a number", function()
    set:insert(0, 10)
    set:insert(20, 30)
    set:drop_below(25)
    assert.equal("25-30", set:text())
    set:drop_below(30)
    assert.equal("", set:text())
  end)
end)
