-- What `neap get` says of a server whose certificate is not as it must be.
local authority = require "spec.crypto.authority"
local program = require "support.program"
local helper = require "helper"

describe("neap get", function()
  local ca, folder

  setup(function()
    ca = authority.new()
    folder = ca.dir .. "/files"
    helper.run("mkdir " .. helper.quote(folder))
    helper.write_file(folder .. "/tide.txt", "high\n")
    ca:issue { name = "root", extensions = authority.CA }
    ca:issue { name = "elsewhere", issuer = "root", extensions = authority.SERVER }
    ca:issue { name = "here", issuer = "root",
      extensions = (authority.SERVER:gsub("DNS:tide.example", "DNS:localhost,IP:127.0.0.1")) }
    ca:issue { name = "old", issuer = "root", days = -1,
      extensions = (authority.SERVER:gsub("DNS:tide.example", "DNS:localhost,IP:127.0.0.1")) }
  end)
  teardown(function() ca:remove() end)
  after_each(program.end_all)

  local function get(name, words)
    local base = helper.quote(ca.dir .. "/" .. name)
    local server = program.start(("serve %s --listen 127.0.0.1:0 --cert %s.pem --key %s.key"):format(
      helper.quote(folder), base, base))
    local output, status = helper.run(("%s get %s https://127.0.0.1:%d/tide.txt 2>&1"):format(program.neap, words,
      server.port))
    server:stop()
    return output, status
  end

  local function says(text, name, words)
    local output, status = get(name, words)
    assert.equal(1, status)
    assert.is_truthy(output:find(text, 1, true), output)
  end

  it("says for whom the certificate is, and who was asked for", function()
    says("the certificate is for another name: for tide.example, *.wild.example, 192.0.2.7, 2001:db8::7, not for "
      .. "127.0.0.1", "elsewhere", "--ca " .. helper.quote(ca.dir .. "/root.pem"))
  end)

  it("says when it ended", function()
    says("the certificate has expired: it ended on 20", "old", "--ca " .. helper.quote(ca.dir .. "/root.pem"))
  end)

  it("says which authority is not trusted", function()
    says('its issuer "root" is not among them', "here", "--ca " .. helper.quote(ca.dir .. "/elsewhere.pem"))
  end)

  it("takes revocation lists, and says who was revoked by whom", function()
    local words = ("--ca %s --crl %s"):format(helper.quote(ca.dir .. "/root.pem"),
      helper.quote(ca.dir .. "/root-list.pem"))
    ca:crl { issuer = "root", revoked = { "here" } }
    says('the certificate of "here" has been revoked by its issuer "root"', "here", words)
    ca:crl { issuer = "root" }
    assert.same({ "high\n", 0 }, { get("here", words) })
  end)
end)
