local harness = require("spec.interop.harness")
local helper = require("spec.helper")

describe("Chromium", function()
  local dir, certs, browser, server

  before_each(function()
    dir = helper.make_dir()
    certs = harness.make_certificates(dir)
  end)

  after_each(function()
    if browser then browser:close() end
    browser = nil
    if server then
      local status, log = harness.stop(server, 30)
      server = nil
      assert.equal(0, status, log)
    end
    helper.remove_dir(dir)
  end)

  --- Opens a page of a Lua program of ours and gives what the page says of its protocol, and its text.
  local function visit(command, port, path)
    server = harness.start(command, { dir = dir, name = "neap", port = port })
    browser = require("spec.interop.chromium").start(dir, port, certs.cert)
    local session = browser:open(("https://localhost:%d%s"):format(port, path))
    return browser:protocol(session), browser:evaluate(session, "document.body.innerText")
  end

  it("opens the page of examples/hello.lua over h3", function()
    local port = harness.free_port()
    local protocol, text = visit(("env NEAP_LISTEN=127.0.0.1:%d NEAP_CERT=%s NEAP_KEY=%s %s run %s/examples/hello.lua")
      :format(port, certs.cert, certs.key, harness.neap(), helper.source_dir), port, "/")
    assert.equal("h3", protocol)
    assert.truthy(text:find("Hello", 1, true), text)
  end)

  it("opens a page of a Lua program over h3", function()
    local port = harness.free_port()
    local protocol, text = visit(("%s run %s/spec/interop/app.lua %d %s %s"):format(
      harness.neap(), helper.source_dir, port, certs.cert, certs.key), port, "/protocol")
    assert.equal("h3", protocol)
    assert.equal("GET /protocol", text)
  end)
end)
