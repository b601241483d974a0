local json = require "neap.json"

describe("json.encode", function()
  it("writes values with sorted names", function()
    assert.equal('{"a":[1,2.5,true],"b":"x\\n\\"","c":null}',
      json.encode { b = 'x\n"', a = { 1, 2.5, true }, c = json.null })
  end)

  it("tells empty arrays from empty objects", function()
    assert.equal("{}", json.encode {})
    assert.equal("[]", json.encode(json.array()))
    assert.equal("[]", json.encode(json.decode("[]")))
  end)

  it("writes whole numbers without exponent and the others so that they read back", function()
    assert.equal("9007199254740991", json.encode(9007199254740991))
    assert.equal(0.1, json.decode(json.encode(0.1)))
    assert.equal(1e300, json.decode(json.encode(1e300)))
  end)

  it("writes the shortest text of a number that reads back", function()
    for value, text in pairs { [19.99] = "19.99", [0.1] = "0.1", [1 / 3] = "0.3333333333333333", [1e300] = "1e+300",
      [0.1 + 0.2] = "0.30000000000000004", [5e-324] = "5e-324", [-2.5] = "-2.5" } do
      assert.equal(text, json.encode(value))
      assert.equal(value, json.decode(text))
    end
  end)

  it("refuses what has no JSON form and says why", function()
    local loop = {}
    loop[1] = loop
    for _, bad in ipairs { loop, print, 0 / 0, math.huge, { [{}] = 1 }, { [true] = 1 } } do
      local text, why, code = json.encode(bad)
      assert.is_nil(text)
      assert.is_string(why)
      assert.equal("json", code)
    end
  end)
end)

describe("json.decode", function()
  it("reads every kind of value", function()
    assert.same({ a = json.array { 1, -2.5e3, "é😀\t/" }, b = { c = false } },
      json.decode(' { "a" : [1,-2.5e3,"\\u00e9\\ud83d\\ude00\\t\\/"] , "b":{"c":false}}\n'))
    assert.equal(json.null, json.decode("null"))
  end)

  it("refuses what RFC 8259 does not allow, with the place", function()
    for _, bad in ipairs {
      "", "{", "[1,]", "[1 2]", '{"a":1,}', "{a:1}", "01", "1.", "+1", "nul", '"\n"', '"\\x"',
      '"\\ud800"', '"abc', "1 2", "[1]]", "'a'", "NaN", ("["):rep(200),
    } do
      local value, why, code = json.decode(bad)
      assert.is_nil(value, bad)
      assert.matches("byte %d+", why)
      assert.equal("json", code)
    end
  end)

  it("refuses numbers that none is large enough for, and keeps the largest", function()
    for _, bad in ipairs { "1e999", "-1e999", '{"a":[1e309]}', ("9"):rep(400) } do
      local value, why, code = json.decode(bad)
      assert.is_nil(value)
      assert.matches("number out of range at byte %d+", why)
      assert.equal("json", code)
    end
    assert.same({ 1.7976931348623157e308, 0, -0.0 }, json.decode "[1.7976931348623157e308,1e-999,-0.0]")
  end)
end)
