local log = require "neap.log"
local web = require "support.web"

describe("the log", function()
  it("writes level and words in one line, above its level only", function()
    local output = web.logged(function()
      log.info("port", 4433)
      log.debug("nothing")
    end)
    assert.matches("^%d+%-%d+%-%d+T%d+:%d+:%d+Z info port 4433$", output)
  end)

  it("lets no text begin a line of its own or steer the terminal", function()
    local output = web.logged(function() log.warn("bad path\n2026-01-01T00:00:00Z error forged\r\27[2J\0\127\155") end)
    assert.matches("bad path\n  2026", output)
    assert.is_nil(output:find("[%z\1-\9\11-\31\127]"))
    assert.matches("\\x0d\\x1b%[2J\\x00\\x7f", output)
  end)

  it("shows what is no printable character of UTF-8 by its bytes, such as controls behind ASCII", function()
    local function logged(text)
      return (web.logged(function() log.warn(text) end):gsub("^%S+ warn ", ""))
    end
    for text, expected in pairs {
      ["a\194\1552J"] = "a\\xc2\\x9b2J", ["\1552J"] = "\\x9b2J", ["a\194\133b"] = "a\\xc2\\x85b",
      ["a\226\128\168b\226\128\174"] = "a\\xe2\\x80\\xa8b\\xe2\\x80\\xae", ["\226\129\166"] = "\\xe2\\x81\\xa6",
      ["\192\155"] = "\\xc0\\x9b", ["\224\130\155"] = "\\xe0\\x82\\x9b", ["\240\128\130\155"] = "\\xf0\\x80\\x82\\x9b",
      ["\237\160\128"] = "\\xed\\xa0\\x80", ["\244\144\128\128"] = "\\xf4\\x90\\x80\\x80", ["\255\254"] = "\\xff\\xfe",
      ["\195"] = "\\xc3", ["\195x"] = "\\xc3x", ["\230\188"] = "\\xe6\\xbc", ["ø\155"] = "ø\\x9b",
      ["\n\155\tx"] = "\n  \\x9b    x",
    } do
      assert.equal(expected, logged(text))
    end
    for _, text in ipairs { "", "Ærø 漢字 \240\159\140\138", "\194\160\223\191",
      "\224\160\128\239\191\189\244\143\191\191" } do
      assert.equal(text, logged(text))
    end
  end)

  it("has a line a second of what peers bring about, of each kind, and says how many were left out", function()
    local now = 100
    local complain = log.complainer(function() return now end)
    local output = web.logged(function()
      for i = 1, 3 do complain("one", "first " .. i) end
      complain("other", "second")
      now = 100.9
      complain("one", "first 4")
      now = 101
      complain("one", "first 5")
      complain("other", "second")
      now = 103
      complain("one", "first 6")
    end)
    assert.equal("first 1\nsecond\nfirst 5 (and 3 more since the last line)\nsecond\nfirst 6",
      (output:gsub("[^\n]* warn ", "")))
  end)

  it("has a line for each of up to eight reasons of a kind, and in the first line of the next how many more", function()
    local now, lines = 100, {}
    local complain = log.complainer(function() return now end, function(line) lines[#lines + 1] = line end)
    for _ = 1, 2 do
      for i = 1, 10 do complain("one", "reason " .. i, "reason " .. i) end
    end
    assert.equal(8, #lines)
    now = 101
    assert.is_true(complain("one", "again\nand why", "reason 1"))
    assert.is_false(complain("one", "again", "reason 1"))
    assert.same({ "reason 8", "again (and 12 more since the last line)\nand why" }, { lines[8], lines[9] })
  end)
end)
