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
end)
