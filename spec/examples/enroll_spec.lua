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
    assert.matches("^other cellar\ns3cret sha256//%S+ attic\n$", helper.read_file(folder .. "/tokens"))
    local output, status = device("two", "s3cret")
    assert.is_true(status ~= 0)
    assert.matches("not enrolled: no such token", output)
    output = helper.run(("%s get -s --ca %s/ca.pem %sreadings"):format(support.neap, folder, server.url))
    assert.matches("who is that", output)
    assert.equal(0, server:stop())
  end)

  it("go on where a crash left them: the key is kept first, and the token is that key's when it is used", function()
    helper.write_file(folder .. "/tokens", "s3cret attic\n")
    local server = support.start("run examples/enroll.lua " .. folder, "NEAP_LISTEN=127.0.0.1:0")
    helper.run("mkdir -p " .. folder .. "/one " .. folder .. "/two")
    local function device(name, token)
      return (helper.run(("%s run examples/device.lua %s %s/ca.pem %s/%s %s"):format(support.neap, server.url, folder,
        folder, name, token or "s3cret")))
    end
    assert.matches("no such token", device("one", "other"))
    local key = assert(helper.read_file(folder .. "/one/key.pem"))
    assert.equal("600 " .. folder .. "/one/key.pem\n", (helper.run("stat -c '%a %n' " .. folder .. "/one/key.pem")))
    assert.matches("^enrolled\n", device("one"))
    os.remove(folder .. "/one/cert.pem") -- as if the answer had been lost
    assert.matches("^enrolled\n", device("one"))
    assert.equal(key, helper.read_file(folder .. "/one/key.pem"))
    assert.matches("no such token", device("two"))
    assert.equal(0, server:stop())
  end)

  it("leave the token as it is when no certificate is issued", function()
    helper.write_file(folder .. "/tokens", "s3cret " .. ("x"):rep(65) .. "\n") -- no name of a certificate
    local server = support.start("run examples/enroll.lua " .. folder, "NEAP_LISTEN=127.0.0.1:0")
    helper.run("mkdir -p " .. folder .. "/one")
    local output = helper.run(("%s run examples/device.lua %s %s/ca.pem %s/one s3cret"):format(support.neap, server.url,
      folder, folder))
    assert.matches("not enrolled", output)
    assert.equal("s3cret " .. ("x"):rep(65) .. "\n", helper.read_file(folder .. "/tokens"))
    assert.equal(0, server:stop())
  end)
end)
