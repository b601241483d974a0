--- Sockets that somebody else has opened: a Python script opens them, and becomes neap.
local helper = require "helper"
local leash = require "support.leash"
local program = require "support.program"

local STARTER = [==[
import os, socket, sys
kinds = dict(quic=socket.SOCK_DGRAM, https=socket.SOCK_STREAM, http=socket.SOCK_STREAM)
names, ports = [], []
sockets = [socket.socket(socket.AF_INET, kind) for kind in kinds.values()]
for s in sockets: s.bind(("127.0.0.1", 0))
for s in sockets[1:]: s.listen()
os.environ["LISTEN_FDS"] = "3"
os.environ["LISTEN_FDNAMES"] = os.environ.get("NAMES", "quic:https:http")
os.environ["LISTEN_PID"] = str(os.getpid() + int(os.environ.get("ANOTHER", "0")))
print(*["%s=%d" % (name, s.getsockname()[1]) for name, s in zip(kinds, sockets)], flush=True)
copies = [os.dup2(s.fileno(), 20 + i) for i, s in enumerate(sockets)]
for i, copy in enumerate(copies): os.dup2(copy, 3 + i)
os.execvp(sys.argv[1], sys.argv[1:])
]==]

local APP = [==[
local neap = require "neap"
local app = neap.app()
app:get("/", function(req) return req.proto .. "\n" end)
local server, message = app:listen { fd = "quic", tcp_fd = "https", http_fd = "http", plain = "serve" }
if not server then io.stdout:write("not listening: ", message, "\n") os.exit(3, true) end
neap.run()
]==]

local dir

before_each(function()
  dir = helper.make_dir()
  helper.write_file(dir .. "/starter.py", STARTER)
  helper.write_file(dir .. "/app.lua", APP)
end)

after_each(function()
  leash.end_all()
  helper.remove_dir(dir)
end)

local function start(environment)
  local command = ("env %s XDG_CACHE_HOME=%s python3 %s/starter.py %s/neap run %s/app.lua"):format(environment or "A=",
    helper.quote(program.cache), dir, helper.build_dir, dir)
  local process = leash.start(command, dir .. "/log")
  local function output() return helper.read_file(dir .. "/log") or "" end
  leash.wait_until(function() return output():find("listening", 1, true) or leash.status(process) end)
  return process, output()
end

describe("a server at sockets that were opened for it", function()
  it("answers at each what belongs there", function()
    local process, output = start()
    local function port(name) return tonumber(output:match(name .. "=(%d+)")) end
    assert.matches("listening on https://127.0.0.1:" .. port("quic"), output, 1, true)
    assert.equal("h3\n", helper.run(("%s get -k https://127.0.0.1:%d/"):format(program.neap, port("quic"))))
    local ASK = [[python3 -c 'import ssl, urllib.request
print(urllib.request.urlopen("%s://127.0.0.1:%d/", context=%s, timeout=10).read().decode().strip())']]
    assert.equal("http/1.1\n", helper.run(ASK:format("https", port("https"), "ssl._create_unverified_context()")))
    assert.equal("http/1.1\n", helper.run(ASK:format("http", port("http"), "None")))
    assert.equal(0, leash.stop(process))
  end)

  it("does not listen when none of that name is there", function()
    local process, output = start("NAMES=quic:https:other")
    assert.matches('not listening: no socket was given that is named "http"', output, 1, true)
    assert.equal(3, leash.stop(process))
  end)

  it("takes none that were meant for another process", function()
    local _, output = start("ANOTHER=1")
    assert.matches('named "quic"', output, 1, true)
  end)

  it("does not take one for what it is not", function()
    local _, output = start("NAMES=https:quic:http")
    assert.matches("not listening: a descriptor to listen at: Invalid argument", output, 1, true)
  end)
end)
