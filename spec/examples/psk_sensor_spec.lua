local helper = require "helper"
local support = require "support.program"

describe("examples/psk_sensor.lua", function()
  local folder

  before_each(function() folder = helper.make_dir() end)

  after_each(function()
    support.end_all()
    helper.remove_dir(folder)
  end)

  local function write(name, text)
    local file = assert(io.open(folder .. "/" .. name, "w"))
    file:write(text)
    file:close()
    return folder .. "/" .. name
  end

  it("takes readings of the sensors that have a key, and of no others", function()
    local mine, other = "attic:" .. ("0123456789abcdef"):rep(4) .. "\n", "cellar:" .. ("00112233"):rep(8) .. "\n"
    local keys = write("keys", other .. mine)
    local server = support.start("run examples/psk_sensor.lua serve " .. keys, "NEAP_LISTEN=127.0.0.1:0")
    local post = ("%s run examples/psk_sensor.lua post %s %s"):format(support.neap, server.url, write("mine", mine))
    assert.same({ "attic\t204\nattic\t204\nattic\t204\n{\"attic\":21.5}\n", 0 }, { helper.run(post) })
    write("keys", other) -- the sensor is lost
    local output, status = helper.run(post)
    assert.is_true(status ~= 0)
    assert.matches("decrypt_error", output)
    assert.equal(0, server:stop())
  end)

  it("says what is wrong with what it was given", function()
    local function says(words, text)
      local run = ("timeout 10 env %s run examples/psk_sensor.lua %s </dev/null"):format(support.neap, words)
      local output, status = helper.run(run)
      assert.is_true(status ~= 0)
      assert.matches(text, output, 1, true)
    end
    says("serve", "which file has the keys?")
    says("serve " .. folder .. "/none", "none: No such file")
    says("post https://127.0.0.1:1/", "which file has the key?")
    says("post https://127.0.0.1:1/ " .. write("empty", "\n"), "no line \"IDENTITY:KEY IN HEX\" in " .. folder)
    says("post https://127.0.0.1:1/ " .. write("odd", "attic:" .. ("0"):rep(33) .. "\n"), "no line \"IDENTITY:KEY")
  end)
end)
