-- What a program says to its service manager, and whose it becomes.
local helper = require "helper"
local leash = require "spec.support.leash"
local support = require "support.program"

local MANAGER = [[
import os, socket, sys
path = sys.argv[1]
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("\0" + path[1:] if path[0] == "@" else path)
print("bound", flush=True)
while True:
    for line in s.recv(4096).decode().split("\n"):
        print(line, flush=True)
]]

local SCRIPT = [[
local neap = require "neap"
local app, other = neap.app(), neap.app()
app:get("/", function() return tostring(neap.service.notify("STATUS=asked")) end)
assert(app:listen { host = "127.0.0.1", port = 0, cert = CERT, key = KEY })
neap.sleep(0)
assert(other:listen { host = "127.0.0.1", port = 0, cert = CERT, key = KEY })
]]

describe("a service", function()
  local folder, identity

  before_each(function()
    folder = helper.make_dir()
    identity = require("support.web").identity()
    helper.write_file(folder .. "/cert.pem", identity.cert)
    helper.write_file(folder .. "/key.pem", identity.key)
    local paths = ("local CERT, KEY = %q, %q\n"):format(folder .. "/cert.pem", folder .. "/key.pem")
    helper.write_file(folder .. "/app.lua", paths .. SCRIPT)
    helper.write_file(folder .. "/manager.py", MANAGER)
  end)

  after_each(function()
    support.end_all()
    helper.remove_dir(folder)
  end)

  local function manager(address)
    local log = folder .. "/manager.log"
    leash.start(("python3 %s/manager.py %s"):format(folder, helper.quote(address)), log)
    leash.wait_until(function() return (helper.read_file(log) or ""):find("bound") end)
    return function() return helper.read_file(log) end
  end

  local function count(text, line)
    return select(2, text:gsub(line, ""))
  end

  it("says that it is ready, alive, reloading and stopping", function()
    local told = manager(folder .. "/notify")
    local server = support.start("run " .. folder .. "/app.lua",
      ("NOTIFY_SOCKET=%s/notify WATCHDOG_USEC=200000"):format(folder))
    leash.wait_until(function() return count(told(), "WATCHDOG=1") >= 3 end)
    assert.equal(1, count(told(), "READY=1"))
    assert.matches("^bound\nREADY=1\nWATCHDOG=1\n", told())
    local output = helper.run(("%s get --insecure %s"):format(support.neap, server.url))
    assert.matches("^true", output)
    leash.wait_until(function() return told():find("STATUS=asked") end)
    helper.run("kill -HUP " .. server.pid)
    leash.wait_until(function() return told():find("RELOADING=1\nMONOTONIC_USEC=%d+\nREADY=1\n") end)
    assert.equal(0, server:stop())
    leash.wait_until(function() return told():find("STOPPING=1") end)
    assert.equal(1, count(told(), "STOPPING=1"))
  end)

  it("speaks to an abstract socket, and only as the process that was meant", function()
    local name = "@neap-" .. folder:gsub("[^%w]", "-")
    local told = manager(name)
    local server = support.start("run " .. folder .. "/app.lua",
      ("NOTIFY_SOCKET=%s WATCHDOG_USEC=100000 WATCHDOG_PID=1"):format(name))
    leash.wait_until(function() return told():find("READY=1") end)
    assert.equal(0, server:stop())
    leash.wait_until(function() return told():find("STOPPING=1") end)
    assert.equal(0, count(told(), "WATCHDOG=1"))
  end)

  it("goes on when the manager is not there", function()
    local server = support.start("run " .. folder .. "/app.lua", "NOTIFY_SOCKET=/nonexistent/notify")
    leash.wait_until(function() return server:output():find("was not told") end)
    assert.equal("false", (helper.run(("%s get --insecure %s"):format(support.neap, server.url)):match("^%a+")))
    assert.equal(0, server:stop())
  end)

  it("becomes another user for good when its ports are open", function()
    if helper.run("id -u"):match("^%d+") ~= "0" then return pending("needs root") end
    helper.run("chmod -R a+rX " .. folder)
    helper.write_file(folder .. "/who.lua", (helper.read_file(folder .. "/app.lua"):gsub("tostring%b()", [[(function()
      local status = io.open("/proc/self/status"):read("*a")
      return status:match("Uid:[^\n]*") .. status:match("Gid:[^\n]*") .. status:match("NoNewPrivs:[^\n]*") .. " " ..
        tostring(select(2, neap.drop_privileges("root")))
    end)()]])))
    local server = support.start("run --user nobody:daemon " .. folder .. "/who.lua")
    local output = helper.run(("%s get --insecure %s"):format(support.neap, server.url))
    local nobody, daemon = helper.run("id -u nobody"):match("%d+"), helper.run("getent group daemon"):match(":(%d+):")
    assert.matches(("Uid:\t%s\t%s\t%s\t%s"):format(nobody, nobody, nobody, nobody), output)
    assert.matches(("Gid:\t%s\t%s\t%s\t%s"):format(daemon, daemon, daemon, daemon), output)
    assert.matches("NoNewPrivs:\t1 initgroups", output)
    assert.equal(0, server:stop())
    for user, message in pairs { ["no-such"] = "no user named no%-such", ["nobody:no-such"] = "no group named no%-such",
      [":x"] = "not a user" } do
      local text, status = helper.run(("timeout 20 env %s run --user %s %s/app.lua"):format(support.neap, user, folder))
      assert.matches(message, text)
      assert.not_equal(0, status)
    end
  end)
end)

describe("neap serve", function()
  it("has a companion over TCP, compresses, logs and leads from plain HTTP", function()
    local folder = helper.make_dir()
    finally(function()
      support.end_all()
      helper.remove_dir(folder)
    end)
    helper.write_file(folder .. "/page.txt", ("a line\n"):rep(1000))
    for words, message in pairs { ["--http x"] = "not a port", ["--log nice"] = "no format of a log" } do
      local output, status = helper.run(("%s serve %s %s"):format(support.neap, words, folder))
      assert.matches(message, output)
      assert.equal(2, status)
    end
    local server = support.start(("serve %s --listen 127.0.0.1:0 --tcp --compress --log logfmt"):format(folder))
    local get = helper.run(("curl -sk --http1.1 -D - -o /dev/null -H 'accept-encoding: gzip' %spage.txt")
      :format(server.url))
    assert.matches("^HTTP/1.1 200", get)
    assert.matches("alt%-svc: h3=\":" .. server.port .. "\"", get)
    leash.wait_until(function() return server:output():find("status=200") end)
    assert.matches("target=/page.txt protocol=HTTP/1.1 status=200", server:output())
    assert.equal(0, server:stop())
  end)
end)
