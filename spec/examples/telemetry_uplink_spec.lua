local helper = require "helper"
local leash = require "spec.support.leash"
local support = require "support.program"

describe("examples/telemetry_uplink.lua", function()
  local folder

  before_each(function() folder = helper.make_dir() end)
  after_each(function()
    support.end_all()
    leash.end_all()
    helper.remove_dir(folder)
  end)

  local function device(url, samples)
    return ("NEAP_INSECURE=1 timeout 30 env %s run examples/telemetry_uplink.lua %s %s %d 0.01"):format(support.neap,
      url, folder, samples)
  end

  it("has every sample taken once, over a restart, and early the second time", function()
    local server = support.start("run examples/telemetry_uplink.lua serve", "NEAP_LISTEN=127.0.0.1:0")
    local output, status = helper.run(device(server.url, 20))
    assert.equal(0, status, output)
    output, status = helper.run(device(server.url, 20))
    assert.equal(0, status, output)
    assert.matches(", early", output, 1, true)
    local devices = helper.run(("%s get -s -k %sdevices"):format(support.neap, server.url))
    assert.matches('"count":40', devices, 1, true)
    assert.matches('"last":40', devices, 1, true)
    assert.equal(0, server:stop())
  end)

  it("keeps samples while nobody takes them, and sends them when somebody does", function()
    local server = support.start("run examples/telemetry_uplink.lua serve", "NEAP_LISTEN=127.0.0.1:0")
    local url = server.url
    assert.equal(0, server:stop())
    local process = leash.start("env " .. device(url, 30), folder .. "/device.log")
    leash.wait_until(function() return (helper.read_file(folder .. "/device.log") or ""):find("not taken", 1, true) end)
    server = support.start("run examples/telemetry_uplink.lua serve", "NEAP_LISTEN=" .. url:match("//([^/]+)"):gsub(
      "localhost", "127.0.0.1"))
    leash.wait_until(function() return leash.status(process) end, 25)
    assert.equal(0, leash.status(process), helper.read_file(folder .. "/device.log"))
    local devices = helper.run(("%s get -s -k %sdevices"):format(support.neap, url))
    assert.matches('"count":30', devices, 1, true)
    server:stop()
  end)
end)
