local helper = require "helper"
local leash = require "spec.support.leash"
local support = require "support.program"

describe("examples/sensor_datagrams.lua", function()
  local folder

  before_each(function() folder = helper.make_dir() end)
  after_each(function()
    leash.end_all()
    helper.remove_dir(folder)
  end)

  it("sends readings of its own and of a command's, and says how many came", function()
    local log = folder .. "/receiver.log"
    leash.start(("env %s run examples/sensor_datagrams.lua receive 127.0.0.1:0"):format(support.neap), log)
    local address = leash.wait_until(function()
      return (helper.read_file(log) or ""):match("receiving at (%S+)\n")
    end)
    local send = "NEAP_INSECURE=1 timeout 20 env %s run examples/sensor_datagrams.lua send %s %s"
    local output, status = helper.run(send:format(support.neap, address, "30"))
    assert.same({ "30 readings: 30 came, 0 were lost, 0 too late to leave\n", 0 }, { output, status })
    leash.wait_until(function() return helper.read_file(log):find("has gone", 1, true) end)
    assert.matches("30 of 30 readings, 0.0 %% lost, %d+ ms old\nthe sender has gone", helper.read_file(log))
    output, status = helper.run(send:format(support.neap, address, "5 printf '1.5\\n1.6\\n1.7\\n'"))
    assert.same({ "3 readings: 3 came, 0 were lost, 0 too late to leave\n", 0 }, { output, status })
  end)
end)
