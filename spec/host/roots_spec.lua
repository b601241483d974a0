--- The roots that a client trusts that was given none.
local helper = require("spec.helper")

describe("SSL_CERT_FILE", function()
  local dir

  setup(function()
    dir = helper.make_dir()
    helper.write_file(dir .. "/connect.lua", [[
      local lowlevel = require("neap.lowlevel")
      local conn, message = lowlevel.connect(lowlevel.config({ alpn = "h3" }), "tide.example", "127.0.0.1:1")
      print(conn and "connects" or message)
    ]])
    helper.write_file(dir .. "/no certificate.pem", "tide\n")
    local _, status = helper.run(("cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
      .. "-keyout key.pem -out root.pem -subj /CN=root"):format(helper.quote(dir)))
    assert.equal(0, status)
  end)

  teardown(function() helper.remove_dir(dir) end)

  local function connect(file)
    return (helper.run(("SSL_CERT_FILE=%s %s/spec_host %s/connect.lua"):format(
      helper.quote(file), helper.build_dir, helper.quote(dir))))
  end

  it("names the roots of a client that was given none", function()
    assert.equal("connects\n", connect(dir .. "/root.pem"))
    assert.equal("connects\n", connect(dir)) -- a folder
  end)

  it("must name certificates that can be read", function()
    local message = "no root certificates can be read where SSL_CERT_FILE points\n"
    assert.equal(message, connect(dir .. "/none.pem"))
    assert.equal(message, connect(dir .. "/no certificate.pem"))
  end)

  it("says nothing to a program that runs with another user's rights", function()
    local program = dir .. "/setuid"
    local owner = helper.run(("cp %s/spec_host %s && chown 65534 %s && chmod 4755 %s && chmod 755 %s"):format(
      helper.build_dir, helper.quote(program), helper.quote(program), helper.quote(program), helper.quote(dir)))
    local _, status = helper.run(("test -u %s -a $(id -u) != $(stat -c %%u %s)"):format(
      helper.quote(program), helper.quote(program)))
    if owner ~= "" or status ~= 0 then return pending("needs to give a file away: run as root") end
    local shown = helper.run(("SSL_CERT_FILE=%s %s %s/connect.lua"):format(
      helper.quote(dir .. "/none.pem"), helper.quote(program), helper.quote(dir)))
    -- Its own lines follow where a sanitizer cannot look at such a program's memory.
    assert.is_truthy(shown:find("^connects\n") or shown:find("^no root certificates found on this system"), shown)
  end)

  it("counts as not set when it is empty", function()
    if not helper.read_file("/etc/ssl/certs/ca-certificates.crt") then
      return pending("needs /etc/ssl/certs/ca-certificates.crt: install ca-certificates")
    end
    assert.equal("connects\n", connect(""))
  end)
end)
