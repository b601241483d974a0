-- Values of the field `priority` (RFC 9218 §4), which are Dictionaries of structured fields (RFC 8941).
local helper = require("helper")
local priority = require("neap.units").http.priority

local function assert_priority(urgency, incremental, ...)
  assert.same({ urgency, incremental }, { priority(...) }, table.concat({ ... }, " | "))
end

describe("a priority", function()
  it("has an urgency of 3 and is not incremental unless it says so", function()
    assert_priority(3, false, "")
    assert_priority(0, false, "u=0")
    assert_priority(7, true, "i, u=7")
    assert_priority(3, true, "i=?1")
    assert_priority(5, false, "u=5 ,\ti=?0")
    assert_priority(1, true, "  u=1;x=2, i;y  ")
  end)

  it("is what the last of equal parameters says, and lines of a field are one", function()
    assert_priority(2, false, "u=1, u=2, i, i=?0")
    assert_priority(2, true, "u=1, i", "u=2")
    assert_priority(3, false, "u=1, i", "u=8, i=1")
  end)

  -- covers: rfc9218#4.2
  it("does not depend on what is not known, of another type or out of range", function()
    for _, value in ipairs({ "u=8", "u=-1", "u=1.0", "u=\"1\"", "u=one", "u=?1", "u", "u=(1)", "u=:MQ==:", "i=1",
      "i=yes", "urgency=1", "x=\"u=1, \\\"i\", y=(a \"b\";c 1.5);d, z=*t/1:2, *.-_9=:aGk=:" }) do
      assert_priority(3, false, value)
    end
  end)

  it("is none where the text is no Dictionary, as those who made up structured fields have it", function()
    local count = 0
    for _, name in ipairs({ "dictionary", "param-dict", "examples", "key-generated", "large-generated" }) do
      for _, case in ipairs(helper.shared_json("structured-fields/" .. name .. ".json", pending)) do
        if case.header_type == "dictionary" and not case.can_fail then
          count = count + 1
          local raw = table.concat(case.raw, ", ")
          assert.equal(case.must_fail ~= true, priority(raw) ~= nil, case.name .. ": " .. raw)
        end
      end
    end
    assert.is_true(count > 400)
  end)

  it("has items as those who made up structured fields have them", function()
    local count = 0
    for _, name in ipairs({ "number", "number-generated", "string", "token", "token-generated", "boolean",
      "binary" }) do
      for _, case in ipairs(helper.shared_json("structured-fields/" .. name .. ".json", pending)) do
        if case.header_type == "item" and not case.can_fail and case.raw[1]:find("^[^ ]+$") then
          count = count + 1
          local raw = ("x=(%s)"):format(case.raw[1])
          assert.equal(case.must_fail ~= true, priority(raw) ~= nil, case.name .. ": " .. raw)
        end
      end
    end
    assert.is_true(count > 100)
  end)
end)
