local helper = require("spec.helper")
local http = require("neap.units").http

-- The rows of Appendix A: cells are folded, with a space where the text had one.
local function rfc_table(text)
  local rows = {}
  local appendix = text:match(".*Appendix A%.  Static Table(.-)Table 4: Static Table")
  for index, name, value in appendix:gmatch("| (%s*%d*%s*) | (%S*)%s* | ([^\n]-)%s*|\n") do
    if index:match("%d") then
      rows[#rows + 1] = { name, value }
    elseif value ~= "" then
      local row = rows[#rows]
      row[2] = row[2] .. (row[2]:match("[-/]$") and "" or " ") .. value
    end
  end
  return rows
end

describe("the static table", function()
  it("is that of RFC 9204 Appendix A", function()
    local rows = rfc_table(helper.shared("rfc/rfc9204.txt", pending))
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
