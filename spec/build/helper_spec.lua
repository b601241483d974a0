local helper = require("spec.helper")

describe("spec.helper", function()
  it("turns hex into bytes and back", function()
    assert.equal("\0\255neap", helper.unhex("00 ff\n6e656170"))
    assert.equal("00ff6e656170", helper.hex("\0\255neap"))
  end)

  it("refuses what is not hex", function()
    assert.has_error(function() helper.unhex("0") end)
    assert.has_error(function() helper.unhex("0g") end)
  end)

  it("runs a command and gives output and status", function()
    assert.same({ "tide\n", 7 }, { helper.run("echo tide; exit 7") })
  end)

  it("quotes any word for the shell", function()
    local word = "it's $HOME \"here\""
    assert.equal(word .. "\n", (helper.run("printf '%s\\n' " .. helper.quote(word))))
  end)
end)
