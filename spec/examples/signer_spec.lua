local helper = require "helper"
local leash = require "spec.support.leash"
local support = require "support.program"

describe("examples/signer.lua", function()
  local folder

  before_each(function() folder = helper.make_dir() end)

  after_each(function()
    support.end_all()
    helper.remove_dir(folder)
  end)

  local function keep(log)
    local words = ("env %s run examples/signer.lua keep %s/sock %s/cert.pem"):format(support.neap, folder, folder)
    os.remove(log) -- what one of before said
    local process = leash.start(words, log)
    leash.wait_until(function() return (helper.read_file(log) or ""):find("signing at", 1, true) end)
    return process
  end

  it("serves with a key that another process keeps, and refuses while that is gone", function()
    local log = os.tmpname()
    local keeper = keep(log)
    local server = support.start(("run examples/signer.lua serve %s/sock %s/cert.pem"):format(folder, folder),
      "NEAP_LISTEN=127.0.0.1:0")
    local get = ("%s get -s --ca %s/cert.pem %s"):format(support.neap, folder, server.url)
    local output, status = helper.run(get)
    assert.same({ "signed by another process\n", 0 }, { output, status })
    leash.stop(keeper)
    output, status = helper.run(get)
    assert.is_true(status ~= 0)
    assert.matches("internal_error", output)
    keeper = keep(log)
    -- The key is another now, and so is the certificate in the file: what the server has does not fit it. The client
    -- refuses the certificate, or the server its signature, whoever is first.
    output, status = helper.run(get)
    assert.is_true(status ~= 0)
    assert.is_truthy(output:find("certificate", 1, true) or output:find("internal_error", 1, true), output)
    assert.matches("internal_error", (helper.run(get:gsub("%-%-ca %S+", "-k"))))
    leash.stop(keeper)
    assert.matches("handshake with 127.0.0.1:%d+: .*sock: Connection refused", server:output())
    assert.equal(0, server:stop())
    os.remove(log)
  end)

  it("keeps the key of the one that is there when it is started again, and goes on at SIGHUP", function()
    local log = os.tmpname()
    local keeper = keep(log)
    local certificate = helper.read_file(folder .. "/cert.pem")
    local output, status = helper.run(("%s run examples/signer.lua keep %s/sock %s/cert.pem"):format(support.neap,
      folder, folder))
    assert.is_true(status ~= 0)
    assert.matches("Address already in use", output)
    assert.equal(certificate, helper.read_file(folder .. "/cert.pem"))
    os.execute("kill -HUP " .. keeper.pid)
    local server = support.start(("run examples/signer.lua serve %s/sock %s/cert.pem"):format(folder, folder),
      "NEAP_LISTEN=127.0.0.1:0")
    assert.equal("signed by another process\n", (helper.run(("%s get -s --ca %s/cert.pem %s"):format(support.neap,
      folder, server.url))))
    assert.is_nil(leash.status(keeper))
    assert.equal(0, server:stop())
    assert.equal(0, leash.stop(keeper))
    os.remove(log)
  end)
end)
