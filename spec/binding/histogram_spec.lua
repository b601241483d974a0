local histogram = require("neap.units").histogram

describe("a histogram", function()
  it("knows small values exactly", function()
    local values = {}
    for i = 1, 200 do values[i] = 201 - i end
    local at, least, most, mean, count = histogram(values)
    assert.same({ 1, 200, 100.5, 200 }, { least, most, mean, count })
    assert.same({ 1, 1, 100, 180, 198, 200, 200 },
      { at(0), at(0.005), at(0.5), at(0.9), at(0.99), at(0.999), at(1) })
  end)

  it("knows every other to within 1/256", function()
    for _, value in ipairs { 255, 256, 257, 511, 512, 1000, 4095, 12345, 999999, 2 ^ 31 + 7, 1.5e9, 123456789012,
      2 ^ 53 } do
      -- Between others, so that neither end cuts it.
      local at, least, most = histogram { 1, value, 2 ^ 62 }
      assert.same({ 1, 2 ^ 62 }, { least, most })
      local got = at(0.5)
      assert.is_true(got >= value and got <= value * (1 + 1 / 256), value .. " gave " .. got)
    end
  end)

  it("gives nothing beyond the least and the greatest", function()
    local at = histogram { 1000001, 1000001, 1000003 }
    assert.same({ 1000003, 1000003 }, { at(0), at(1) })
    at = histogram { 1000001 }
    assert.same({ 1000001, 1000001, 1000001 }, { at(0), at(0.5), at(1) })
  end)

  it("counts shares of a thousand as they are meant", function()
    local values = {}
    for i = 1, 1000 do values[i] = i <= 999 and 5 or 77 end
    local at = histogram(values)
    assert.same({ 5, 77 }, { at(0.999), at(0.9995) })
  end)

  it("is 0 when it is empty", function()
    local at, least, most, mean, count = histogram {}
    assert.same({ 0, 0, 0, 0, 0, 0 }, { at(0), at(0.99), least, most, mean, count })
  end)
end)
