local helper = require "helper"
local support = require "support.program"

describe("examples/enroll.lua and examples/device.lua", function()
  local folder

  before_each(function() folder = helper.make_dir() end)

  after_each(function()
    support.end_all()
    helper.remove_dir(folder)
  end)

  it("certify a device by a token once, and take its readings, early when it comes again", function()
    helper.write_file(folder .. "/tokens", "other cellar\ns3cret attic\n")
    local server = support.start("run examples/enroll.lua " .. folder, "NEAP_LISTEN=127.0.0.1:0")
    local function device(name, token)
      helper.run("mkdir -p " .. folder .. "/" .. name)
      return helper.run(("%s run examples/device.lua %s %s/ca.pem %s/%s %s"):format(support.neap, server.url, folder,
        folder, name, token))
    end
    assert.same({ "enrolled\n204\tfull\t\n204\tfull\t\n{\"attic\":21}\n", 0 }, { device("one", "s3cret") })
    assert.same({ "204\tresumed\tearly\n204\tresumed\t\n{\"attic\":21}\n", 0 }, { device("one", "") })
    assert.equal("other cellar\n", helper.read_file(folder .. "/tokens"))
    local output, status = device("two", "s3cret")
    assert.is_true(status ~= 0)
    assert.matches("not enrolled: no such token", output)
    output = helper.run(("%s get -s --ca %s/ca.pem %sreadings"):format(support.neap, folder, server.url))
    assert.matches("who is that", output)
    assert.equal(0, server:stop())
  end)
end)
