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
end)
