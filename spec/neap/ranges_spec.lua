local ranges = require "neap.ranges"

local function text(value, size)
  local list = ranges.parse(value, size or 1000)
  if not list then return tostring(list) end
  local all = {}
  for i, range in ipairs(list) do all[i] = range.first .. "-" .. range.last end
  return table.concat(all, " ")
end

describe("byte ranges", function()
  it("are those of a Range field", function()
    for value, expected in pairs {
      ["bytes=0-9"] = "0-9", ["bytes=990-"] = "990-999", ["bytes=-10"] = "990-999", ["bytes=-5000"] = "0-999",
      ["bytes=0-99999"] = "0-999", ["bytes=1000-"] = "false", ["bytes=-0"] = "false", ["bytes=5-4"] = "nil",
      ["bytes=a-b"] = "nil", ["bytes=-"] = "nil", ["bytes="] = "nil", ["bytes=,"] = "nil", ["lines=0-1"] = "nil",
      ["bytes=0-1,x"] = "nil", ["bytes= 1-2 ,\t4-5"] = "1-5", ["bytes=1--2"] = "nil", ["bytes"] = "nil",
      ["bytes=99999999999999999999-"] = "false", ["bytes=0-99999999999999999999"] = "0-999",
      ["bytes=-99999999999999999999"] = "0-999", ["bytes=5000-,0-0"] = "0-0",
    } do
      assert.equal(expected, text(value), value)
    end
    assert.equal("nil", text("bytes=-5", 0))
    assert.equal("false", text("bytes=-0", 0))
    assert.equal("false", text("bytes=0-", 0))
  end)

  it("stay in the order in which they were asked for, but for those that would have bytes twice", function()
    assert.equal("500-599 0-99", text "bytes=500-599,0-99")
    assert.equal("0-199 500-599", text "bytes=500-599,0-99,50-199")
    assert.equal("0-120", text "bytes=0-20,100-120")
    assert.equal("0-999", text("bytes=0-" .. (",0-"):rep(15)))
  end)

  it("are no more than sixteen, or all is sent", function()
    local many = {}
    for i = 0, 16 do many[i + 1] = i * 200 .. "-" .. i * 200 end
    assert.equal("nil", text("bytes=" .. table.concat(many, ","), 100000))
    many[17] = nil
    assert.equal(16, #ranges.parse("bytes=" .. table.concat(many, ","), 100000))
  end)
end)
