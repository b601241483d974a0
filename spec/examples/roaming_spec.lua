local helper = require "helper"
local support = require "support.program"

describe("examples/roaming.lua", function()
  it("reports, by a connection that follows the machine's routes", function()
    local folder = helper.make_dir()
    finally(function()
      support.end_all()
      helper.remove_dir(folder)
    end)
    helper.write_file(folder .. "/app.lua", [[
      local neap = require "neap"
      local app = neap.app()
      app:post("/", function(req) return { got = req:json().number } end)
      local folder = ...
      assert(app:listen { cert = folder .. "/cert.pem", key = folder .. "/key.pem" })
      neap.run()
    ]])
    local id = require("support.web").identity()
    helper.write_file(folder .. "/cert.pem", id.cert)
    helper.write_file(folder .. "/key.pem", id.key)
    local server = support.start(("run %s/app.lua %s"):format(folder, folder), "NEAP_LISTEN=127.0.0.1:0")
    local output = helper.run(("%s run examples/roaming.lua %s 2 %s/cert.pem"):format(support.neap, server.url, folder))
    assert.matches("1\t200\n2\t200\n", output)
  end)
end)
