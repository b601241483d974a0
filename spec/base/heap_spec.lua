local base = require("neap.units").base

describe("heap", function()
  local heap

  before_each(function() heap = base.heap_new() end)

  it("is empty at first and after the last node left", function()
    assert.is_nil(heap:first())
    heap:set(3, 10)
    heap:remove(3)
    heap:remove(3)
    assert.is_nil(heap:first())
  end)

  it("agrees with a search of all keys under random use", function()
    local seed = 11
    local function random(bound)
      seed = (seed * 1103515245 + 12345) % 2147483648
      return math.floor(seed / 65536) % bound
    end
    local model = {}
    for round = 1, 6000 do
      local node = random(round < 3000 and 200 or 2000)
      if random(3) == 0 then
        heap:remove(node)
        model[node] = nil
      else
        model[node] = random(1000)
        heap:set(node, model[node])
      end
      local least
      for _, at in pairs(model) do least = least and math.min(least, at) or at end
      local first, at = heap:first()
      assert.equal(least, at)
      if first then assert.equal(least, model[first]) end
    end
  end)

  it("gives thousands back in their order", function()
    local keys = {}
    for node = 0, 3999 do
      keys[node + 1] = node * 7919 % 4001
      heap:set(node, keys[node + 1])
    end
    table.sort(keys)
    for _, key in ipairs(keys) do
      local node, at = heap:first()
      assert.equal(key, at)
      heap:remove(node)
    end
    assert.is_nil(heap:first())
  end)
end)
