local helper = require "helper"
local nearest = require "neap.nearest"
local neap = require "neap"
local program = require("support.program").neap

describe("the nearest known name", function()
  local KNOWN = { port = 1, host = 1, part = 1, read_timeout = 1, ["--listen"] = 1, ["--key"] = 1, ["-n"] = 1 }

  it("is the one that was meant, whichever letter is wrong", function()
    for name, meant in pairs {
      prot = "port", prt = "part", pport = "port", hots = "host", read_timeot = "read_timeout",
      ["--lsten"] = "--listen", ["--listn"] = "--listen", ["--kee"] = "--key",
    } do assert.equal(meant, nearest.name(name, KNOWN), name) end
  end)

  it("is the first in the alphabet of those that are as near", function()
    for _, names in ipairs { { "bart", "cart", "dart" }, { "dart", "cart", "bart" }, { "cart", "bart", "dart" } } do
      local known = {}
      for _, name in ipairs(names) do known[name] = true end
      assert.equal("bart", nearest.name("aart", known))
    end
  end)

  it("is none where nothing is near, or the name is no text or a long one", function()
    for _, name in ipairs { "zebra", "x", "-m", "--q", "", ("port"):rep(100), 5, true } do
      assert.is_nil(nearest.name(name, KNOWN), tostring(name))
    end
    assert.equal("", nearest.hint("zebra", KNOWN))
  end)

  it("is said where an option is refused, the library's own and the connections'", function()
    local app = neap.app()
    for given, meant in pairs { prot = "port", max_idle_timeot = "max_idle_timeout", cret = "cert" } do
      local ok, err = pcall(function() app:listen { [given] = 1 } end)
      assert.is_false(ok)
      local message = ("unknown option '%s': did you mean '%s'%%?$"):format(given, meant)
      assert.matches("^[%w_./]*nearest_spec.lua:%d+: " .. message, err)
    end
    assert.error_matches(function() neap.client { timeot = 5 } end,
      "unknown option 'timeot': did you mean 'timeout'%?$")
    assert.error_matches(function() neap.mw.cors { orign = "*" } end,
      "unknown option 'orign' of cors: did you mean 'origin'%?$")
    assert.error_matches(function() neap.client { zebra = 5 } end, "unknown option 'zebra'$")
  end)

  it("is said on the command line, of commands and their options", function()
    for words, what in pairs {
      ["serve . --lsten :1"] = "neap: unknown option --lsten: did you mean --listen?",
      ["serve . --lsten=:1"] = "neap: unknown option --lsten: did you mean --listen?",
      ["get --insecrue https://x/"] = "neap: unknown option --insecrue: did you mean --insecure?",
      ["get --nope https://x/"] = "neap: unknown option --nope",
      ["sevre ."] = "neap: there is no command sevre: did you mean serve?",
      ["fly"] = "neap: there is no command fly",
    } do
      local output, status = helper.run(program .. " " .. words .. " 2>&1")
      assert.same({ 2, what }, { status, output:match("^[^\n]*") })
    end
  end)
end)
