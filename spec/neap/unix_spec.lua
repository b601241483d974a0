--- Unix stream sockets between tasks.
local neap = require "neap"
local core = require "neap.core"
local web = require "support.web"
local helper = web.helper

describe("neap.unix", function()
  local folder, path

  before_each(function()
    folder = helper.make_dir()
    path = folder .. "/here"
  end)

  after_each(function() helper.remove_dir(folder) end)

  -- Runs serve(client socket) as a task for each client, and fn(path) beside it.
  local function with_server(serve, fn)
    web.run(function()
      local listener = assert(neap.unix.listen(path))
      neap.go(function()
        while true do
          local client = listener:accept(2)
          if not client then return end
          neap.go(function()
            serve(client)
            client:close()
          end)
        end
      end)
      local ok, err = xpcall(fn, debug.traceback)
      listener:close()
      if not ok then error(err, 0) end
    end)
  end

  local function echo(client)
    for line in function() return client:read("*l") end do client:write(line:upper() .. "\n") end
  end

  it("carries lines both ways, for several at once", function()
    with_server(echo, function()
      local sockets = {}
      for i = 1, 5 do
        sockets[i] = assert(neap.unix.connect(path, 2))
        assert(sockets[i]:write("line " .. i .. "\r\nan"))
      end
      for i = 5, 1, -1 do
        assert.equal("LINE " .. i, sockets[i]:read("*l"))
        assert(sockets[i]:write("other\n"))
        assert.equal("ANOTHER", sockets[i]:read("*l"))
        sockets[i]:close()
        assert.same({ nil, "closed", "closed" }, { sockets[i]:read() })
        assert.same({ nil, "closed", "closed" }, { sockets[i]:write("x") })
      end
    end)
  end)

  it("waits while the other side is slower, and reads by count", function()
    local data = ("0123456789"):rep(100000)
    with_server(function(client)
      neap.sleep(0.05)
      local size = 0
      while size < #data do
        local bytes = assert(client:read())
        size = size + #bytes
      end
      assert(client:write(data))
    end, function()
      local socket = assert(neap.unix.connect(path, 5))
      assert(socket:write(data))
      assert.equal(data:sub(1, 7), socket:read(7))
      assert.equal(data:sub(8), socket:read(#data - 7))
      assert.is_nil(socket:read(1))
      socket:close()
    end)
  end)

  it("reads and writes in two tasks", function()
    with_server(echo, function()
      local socket = assert(neap.unix.connect(path, 5))
      local lines = 0
      neap.go(function()
        for _ = 1, 20000 do socket:write("a line\n") end
      end)
      while lines < 20000 do
        assert.equal("A LINE", socket:read("*l"))
        lines = lines + 1
      end
      socket:close()
    end)
  end)

  it("gives up after its timeout, and beyond a line of 1 MiB", function()
    with_server(function(client)
      client:read("*l")
      client:write(("x"):rep(1024 * 1024 + 65537))
      client:read()
    end, function()
      local socket = assert(neap.unix.connect(path, 0.05))
      assert.same({ nil, "timeout", "timeout" }, { socket:read() })
      socket.timeout = 5
      socket:write("go\n")
      assert.same({ nil, "more than 1 MiB at once", "limit" }, { socket:read("*l") })
      socket:close()
    end)
  end)

  it("ends a wait when it is closed by another task", function()
    with_server(function(client) client:read() end, function()
      local socket = assert(neap.unix.connect(path))
      neap.go(function() socket:close() end)
      assert.same({ nil, "closed", "closed" }, { socket:read() })
    end)
  end)

  it("makes a file for its user alone, and takes the place of one that was left, not of one in use", function()
    web.run(function()
      local listener = assert(neap.unix.listen(path))
      assert.equal("600", (helper.run("stat -c %a " .. helper.quote(path))):match("%d+"))
      assert.same({ nil, path .. ": Address already in use", "system", 98 }, { neap.unix.listen(path) })
      listener:close()
      assert.is_nil(core.stat(path))
      assert(core.unix_listen(path)):close() -- leaves its file
      assert(core.stat(path))
      listener = assert(neap.unix.listen(path))
      listener:close()
      assert(core.write_file(path, "no socket"))
      assert.same({ nil, path .. ": Address already in use", "system", 98 }, { neap.unix.listen(path) })
      assert.same({ nil, path .. ": Connection refused", "system", 111 }, { neap.unix.connect(path) })
    end)
  end)

  it("costs its reader as much for many short lines as for few, and for little at a time as for much", function()
    -- What strings are made, in KiB, while fn runs.
    local function made(fn)
      collectgarbage()
      collectgarbage("stop")
      local before = collectgarbage("count")
      local ok, err = pcall(fn)
      local size = collectgarbage("count") - before
      collectgarbage("restart")
      assert(ok, err)
      return size
    end
    local socket, given
    socket = setmetatable({ fd = function() return nil end, close = function() end }, { __index = {
      read = function() return table.remove(given) or "" end,
    } })
    local unix_connect = core.unix_connect
    core.unix_connect = function() return socket end
    finally(function() core.unix_connect = unix_connect end)
    local reader = assert(neap.unix.connect("anywhere"))
    given = { ("\n"):rep(65536) }
    assert.is_true(made(function()
      for _ = 1, 65536 do assert(reader:read("*l") == "") end
    end) < 4096)
    given = { "\n" }
    for i = 1, 50000 do given[i + 1] = "x" end
    assert.is_true(made(function() assert(reader:read("*l") == ("x"):rep(50000)) end) < 4096)
    given = { "!" }
    for i = 1, 50000 do given[i + 1] = "x" end
    assert.is_true(made(function() assert(reader:read(50001) == ("x"):rep(50000) .. "!") end) < 4096)
    given = { "f\n\r\ng", "e", "a\r\nb\ncd" }
    assert.same({ "a", "b", "cde", "f" }, { reader:read("*l"), reader:read("*l"), reader:read(3), reader:read("*l") })
    assert.same({ "", "g" }, { reader:read("*l"), reader:read() })
    assert.is_nil(reader:read())
  end)

  it("is collected when nobody has it any more, also when it was waited for", function()
    web.run(function()
      local listener = assert(neap.unix.listen(path))
      local weak = setmetatable({}, { __mode = "k" })
      for _ = 1, 100 do
        local socket = assert(neap.unix.connect(path, 0.001))
        assert.same({ nil, "timeout", "timeout" }, { socket:read("*l") })
        weak[socket] = true
        assert(listener:accept()):close()
      end
      for _ = 1, 3 do collectgarbage() end
      local left = 0
      for _ in pairs(weak) do left = left + 1 end
      assert.is_true(left <= 2, left) -- the last one may still be in a register
      listener:close()
    end)
  end)

  it("goes on accepting when descriptors were short for a moment", function()
    local program = folder .. "/short.lua"
    helper.write_file(program, [[
      local neap = require "neap"
      neap.run(function()
        local path, taken = arg[1], {}
        local listener = assert(neap.unix.listen(path))
        local client = assert(neap.unix.connect(path, 5))
        local answer
        neap.go(function()
          local socket = assert(listener:accept(5))
          assert(socket:write("here\n"))
          local none, _, code = listener:accept()
          answer = not none and code
        end)
        repeat
          local file = io.open("/dev/null")
          taken[#taken + 1] = file
        until not file
        neap.sleep(0.15)
        for _, file in ipairs(taken) do file:close() end
        print(client:read("*l"))
        listener:close()
        neap.sleep(0)
        print(answer)
      end)
    ]])
    local printed = helper.run(("ulimit -n 40; %s/neap run %s %s"):format(helper.quote(helper.build_dir),
      helper.quote(program), helper.quote(path)))
    assert.match("\nhere\nclosed\n", "\n" .. printed, 1, true)
    local _, lines = printed:gsub("Too many open files: trying again", "")
    assert.equal(1, lines, printed)
  end)

  it("is not told of by the loop once it is closed", function()
    web.run(function()
      local listener = assert(core.unix_listen(path))
      local loop, sockets, count = neap.task.loop(), {}, 0
      for i = 1, 64 do
        sockets[i] = assert(core.unix_connect(path))
        assert(sockets[i]:watch(loop, true, false))
        assert(listener:accept()):close()
      end
      for _, socket in ipairs(sockets) do socket:close() end
      repeat
        local fd = loop:next_watch()
        count = count + (fd and 1 or 0)
      until not fd
      assert.equal(0, count)
      listener:close()
    end)
  end)

  it("lets the loop sleep when an answer comes that nobody waits for any more", function()
    web.run(function()
      local listener = assert(neap.unix.listen(path))
      local server
      neap.go(function() server = listener:accept() end)
      local client = assert(neap.unix.connect(path, 0.02))
      assert.equal("timeout", (select(3, client:read("*l"))))
      listener:close() -- nobody waits at any socket now
      assert(server:write("late\n"))
      local before = neap.task.loop():stats().turns
      neap.sleep(0.2)
      assert.is_true(neap.task.loop():stats().turns - before < 20)
      assert.equal("late", client:read("*l"))
      client:close()
      server:close()
    end)
  end)

  it("waits at as many sockets at once as the process may have open", function()
    local program = folder .. "/many.lua"
    helper.write_file(program, [[
      local neap = require "neap"
      neap.run(function()
        local listener, held, clients = assert(neap.unix.listen(arg[1])), {}, {}
        neap.go(function()
          for client in function() return listener:accept() end do held[#held + 1] = client end
        end)
        for i = 1, 1100 do clients[i] = assert(neap.unix.connect(arg[1], 2)) end
        local codes = {}
        for _, client in ipairs(clients) do
          client.timeout = 0.3
          neap.go(function()
            local _, _, code = client:read("*l")
            codes[code] = (codes[code] or 0) + 1
          end)
        end
        neap.sleep(1)
        print(("%d timeouts"):format(codes.timeout))
        listener:close()
      end)
    ]])
    assert.match("1100 timeouts\n", (helper.run(("ulimit -n 4000; %s/neap run %s %s"):format(
      helper.quote(helper.build_dir), helper.quote(program), helper.quote(path)))), 1, true)
  end)

  it("connects when those before it are accepted, however many come at once", function()
    web.run(function()
      local listener, sockets = assert(neap.unix.listen(path)), {}
      for i = 1, 300 do
        neap.go(function() sockets[i] = assert(neap.unix.connect(path, 5)) end)
      end
      neap.sleep(0)
      local accepted = {}
      for i = 1, 300 do accepted[i] = assert(listener:accept()) end
      neap.sleep(0.1)
      assert.equal(300, #sockets)
      for i = 1, 300 do
        sockets[i]:close()
        accepted[i]:close()
      end
      listener:close()
    end)
  end)

  it("gives up connecting after the seconds that it may take", function()
    web.run(function()
      local listener, held = assert(neap.unix.listen(path)), {}
      local message, code
      repeat
        held[#held + 1], message, code = neap.unix.connect(path, 0.05)
      until code
      assert.same({ path .. ": timeout", "timeout" }, { message, code })
      assert.is_true(#held > 100)
      for _, socket in ipairs(held) do socket:close() end
      listener:close()
    end)
  end)

  it("does not take the place of a program that has bound and is about to listen", function()
    local script = folder .. "/other.py"
    helper.write_file(script, [[
import fcntl, os, socket, sys, time
folder = os.open(os.path.dirname(sys.argv[1]), os.O_RDONLY)
fcntl.flock(folder, fcntl.LOCK_EX)
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
print("bound", flush=True)
time.sleep(0.05)
server.listen()
os.close(folder)
sys.stdin.read()
]])
    local done = folder .. "/done"
    os.execute("mkfifo " .. helper.quote(done))
    local other = io.popen(("python3 %s %s < %s"):format(helper.quote(script), helper.quote(path), helper.quote(done)))
    local keep = assert(io.open(done, "w"))
    assert.equal("bound", other:read("*l"))
    local listener, _, code, number = core.unix_listen(path)
    keep:close()
    other:close()
    assert.is_nil(listener)
    assert.same({ "system", 98 }, { code, number })
    assert(core.unix_listen(path)):close() -- left behind now
  end)
end)
