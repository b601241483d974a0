local http = require("neap.units").http

describe("the static table", function()
  it("is that of RFC 9204 Appendix A", function()
    local rows = require("spec.vectors.qpack_static")
    assert.equal(99, #rows)
    for index, row in ipairs(rows) do assert.same(row, { http.static_get(index - 1) }) end
  end)

  -- covers: rfc9204#3.1.1
  it("ends at index 98", function()
    assert.equal("x-frame-options", (http.static_get(98)))
    assert.is_nil((http.static_get(99)))
    assert.is_nil((http.static_get(2 ^ 52)))
  end)

  it("finds each entry by its name and value, and names alone", function()
    local first = {}
    for index = 0, 98 do
      local name, value = http.static_get(index)
      first[name] = first[name] or index
      assert.same({ index, first[name] }, { http.static_find(name, value) })
      local _, by_name = http.static_find(name, value .. "!")
      assert.equal(first[name], by_name)
    end
  end)

  it("finds nothing else", function()
    for _, name in ipairs({ "", "a", "ag", "agf", "x-frame-option", "X-Frame-Options", ":autority", "x-unknown" }) do
      assert.same({ -1, -1 }, { http.static_find(name, "") })
    end
  end)
end)
