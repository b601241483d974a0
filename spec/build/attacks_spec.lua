--- docs/attacks.md names specs and bounds that are there.
local helper = require("spec.helper")

local function read(path) return assert(helper.read_file(helper.source_dir .. "/" .. path), path) end

describe("docs/attacks.md", function()
  local rows = {}
  for line in read("docs/attacks.md"):gmatch("[^\n]+") do
    local cells = {}
    for cell in line:gmatch("|([^|]*)") do cells[#cells + 1] = cell end
    if #cells >= 4 and cells[4]:find("_spec.lua", 1, true) then rows[#rows + 1] = cells end
  end

  it("has a spec in each row, or several, whose sentences begin so", function()
    assert.is_true(#rows >= 60, #rows)
    for _, cells in ipairs(rows) do
      for one in (cells[4] .. ";"):gmatch("%s*(.-)%s*;") do
        local file, sentence = one:match("^`([%w_/]+_spec%.lua)` (.+)$")
        assert(read("spec/" .. file):find('it("' .. sentence, 1, true), one)
      end
    end
  end)

  it("has each counter of a row in its specs", function()
    local missing = {}
    for _, cells in ipairs(rows) do
      local specs = {}
      for file in cells[4]:gmatch("`([%w_/]+_spec%.lua)`") do specs[#specs + 1] = read("spec/" .. file) end
      local text = table.concat(specs)
      for name in cells[3]:gmatch("`([%w_]+)`") do
        if not text:find("%f[%w_]" .. name .. "%f[^%w_]") then missing[#missing + 1] = cells[1] .. name end
      end
    end
    assert.same({}, missing)
  end)

  it("says in each row what one sees, or that it has no effect", function()
    for _, cells in ipairs(rows) do assert.matches("%S", cells[3], cells[1]) end
  end)

  it("names bounds, options and counters that there are", function()
    local limits, options = read("core/base/limits.h"), read("core/quic/options.h")
    local header = read("core/include/neap.h") .. read("core/tcp/transport.h")
    for _, cells in ipairs(rows) do
      for name in cells[2]:gmatch("`([%w_]+)`") do
        local is_limit = name:find("^LIMIT_") ~= nil
        assert(is_limit and limits:find("#define " .. name .. "%f[^%w_]") or options:find("X%(" .. name .. ","), name)
      end
      for name in cells[3]:gmatch("`([%w_]+)`") do assert(header:find("%f[%w_]" .. name .. "%f[^%w_]"), name) end
    end
  end)
end)
