local neap = require "neap"
local helper = require "helper"
local support = require "support.program"
local web = require "support.web"

local KEY = ("0123456789abcdef"):rep(4)

describe("a client that comes again", function()
  local folder

  setup(function() folder = helper.make_dir() end)
  teardown(function() helper.remove_dir(folder) end)

  local function build(app)
    app:get("/", function(req) return tostring(req.is_resumed) end)
  end

  -- What a new connection of the client says, and what its server says.
  local function ask(client, url)
    local r = assert(client:get(url .. "/"))
    local theirs = r:body()
    local ours = tostring(r.conn:is_resumed())
    assert.equal(ours, theirs)
    r.conn:close()
    neap.sleep(0.05)
    return ours == "true"
  end

  it("resumes its TLS session, and both sides say so", function()
    web.with_app(build, function(client, url)
      assert.is_false(ask(client, url))
      assert.is_true(ask(client, url))
      assert.is_true(ask(client, url))
    end)
  end)

  it("does so with what a client before it left in a file, which is for its owner alone", function()
    local file = folder .. "/sessions"
    web.with_app(build, function(_, url)
      local answers = {}
      for i = 1, 3 do
        local client = neap.client { ca = web.identity().cert, session_file = file }
        answers[i] = ask(client, url)
        client:close()
      end
      assert.same({ false, true, true }, answers)
      assert.equal("600\n", (helper.run("stat -c %a " .. file)))
      local other = neap.client { verify_peer = false, session_file = file }
      assert.is_false(ask(other, url))
      other:close()
    end)
  end)

  it("leaves a file alone that is none of sessions, and says so, as when it cannot be written", function()
    local file = folder .. "/other"
    helper.write_file(file, "something else")
    web.with_app(build, function(_, url)
      local client = neap.client { ca = web.identity().cert, session_file = file }
      local told = web.logged(function() assert.is_false(ask(client, url)) end)
      assert.truthy(told:find(file .. " is none of TLS sessions, and is left alone", 1, true))
      assert.is_true(ask(client, url))
      client:close()
      assert.equal("something else", helper.read_file(file))
      local cut = helper.read_file(folder .. "/sessions"):sub(1, -2)
      helper.write_file(file, cut)
      client = neap.client { ca = web.identity().cert, session_file = file }
      ask(client, url)
      client:close()
      assert.are_not.equal(cut, helper.read_file(file))
      client = neap.client { ca = web.identity().cert, session_file = folder .. "/none/here" }
      assert.is_false(ask(client, url))
      local said = web.logged(function() client:close() end)
      assert.truthy(said:find("TLS sessions are not kept: ", 1, true))
    end)
  end)

  it("keeps its sessions in a file that a link leads to, and in nothing else than a file", function()
    local place = folder .. "/places"
    helper.run(("mkdir %s && cd %s && : >empty && ln -s empty link && ln -s nowhere lost && mkfifo pipe"):format(place,
      place))
    helper.run(("cd %s && ln -s pipe to && ln -s /dev/null null"):format(place))
    local function kind(name) return (helper.run(("stat -c %%F %s/%s"):format(place, name))) end
    local function tell(url, name)
      return web.logged(function()
        local client = neap.client { ca = web.identity().cert, session_file = place .. "/" .. name }
        for _ = 1, 2 do
          ask(client, url)
          client:close()
        end
      end)
    end
    web.with_app(build, function(_, url)
      assert.equal("", tell(url, "link"))
      assert.equal("symbolic link\n", kind("link"))
      assert.truthy(helper.read_file(place .. "/empty"):find("^neap sessions "))
      for name, what in pairs { null = "no regular file", pipe = "no regular file", to = "no regular file",
        lost = "a link that leads nowhere" } do
        local before = kind(name)
        local told = tell(url, name)
        assert.truthy(told:find(("%s/%s is %s, and is left alone"):format(place, name, what), 1, true), told)
        assert.equal(before, kind(name))
      end
      assert.same({ "empty", "link", "lost", "null", "pipe", "to" }, require("neap.core").list(place))
    end)
  end)

  it("leaves a file alone that has become somebody's meanwhile, and says so once", function()
    local file = folder .. "/taken"
    web.with_app(build, function(_, url)
      local client = neap.client { ca = web.identity().cert, session_file = file }
      ask(client, url)
      helper.write_file(file, "something else")
      local told = web.logged(function() client:close() end)
      assert.truthy(told:find("TLS sessions are not kept: " .. file .. " is none of TLS sessions", 1, true))
      assert.equal("something else", helper.read_file(file))
    end)
  end)

  it("has its sessions kept when neap.run ends, though it is not closed", function()
    local file = folder .. "/ended"
    local client
    web.with_app(build, function(_, url)
      client = neap.client { ca = web.identity().cert, session_file = file }
      ask(client, url)
      assert.is_nil((helper.read_file(file)))
    end)
    assert.truthy(helper.read_file(file):find("^neap sessions "))
    assert.is_true(#helper.read_file(file) > 100)
    client:close()
  end)

  it("keeps what others have put into the file meanwhile, each session once, and none that it has used", function()
    local file = folder .. "/shared"
    local function new() return neap.client { ca = web.identity().cert, session_file = file } end
    web.with_app(build, function(_, one)
      web.with_app(build, function(_, two)
        local a, b = new(), new()
        ask(a, one)
        ask(b, two)
        a:close()
        b:close()
        local c = new()
        assert.is_true(ask(c, one))
        assert.is_true(ask(c, two))
        local before = helper.read_file(file)
        c:close()
        local size = #helper.read_file(file)
        assert.are_not.equal(before, helper.read_file(file))
        local d = new()
        assert.is_true(ask(d, one))
        d:close()
        assert.equal(size, #helper.read_file(file))
      end)
    end)
  end)

  -- The sessions of a file, each with its server, as keys.
  local function sessions_in(file)
    local bytes, found = helper.read_file(file), {}
    local at = select(2, bytes:find("neap sessions 1\n", 1, true)) + 1
    while at <= #bytes do
      local name = bytes:byte(at + 2)
      local past = at + 5 + name + bytes:byte(at + 3 + name) * 256 + bytes:byte(at + 4 + name)
      found[bytes:sub(at, past - 1)], at = true, past
    end
    return found
  end

  it("puts nothing back that another has used meanwhile, though it has read it before", function()
    local file = folder .. "/used"
    local function new() return neap.client { ca = web.identity().cert, session_file = file } end
    web.with_app(build, function(_, one)
      web.with_app(build, function(_, two)
        local first = new()
        ask(first, one)
        first:close()
        local there = sessions_in(file)
        local slow, other = new(), new()
        ask(slow, two) -- which has read the file then
        assert.is_true(ask(other, one))
        other:close()
        local left, used = sessions_in(file), nil
        for one_session in pairs(there) do used = used or not left[one_session] and one_session end
        assert.is_string(used)
        for _ = 1, 2 do
          slow:close()
          assert.is_nil(sessions_in(file)[used])
          for one_session in pairs(left) do assert.is_true(sessions_in(file)[one_session]) end
          ask(slow, two)
        end
        slow:close()
      end)
    end)
  end)

  it("loses nothing when several put what they have into the file at one time", function()
    finally(support.end_all)
    local id = web.identity()
    helper.write_file(folder .. "/cert.pem", id.cert)
    helper.write_file(folder .. "/key.pem", id.key)
    local server = support.start("serve --listen 0.0.0.0:0 --cert " .. folder .. "/cert.pem --key " .. folder
      .. "/key.pem " .. folder)
    helper.write_file(folder .. "/page", "page")
    -- Of each a server by another name, so that nobody has the others' sessions.
    local commands = {}
    for n = 1, 6 do
      commands[n] = ("timeout 60 env %s get --insecure --sessions %s/at_once https://127.0.0.%d:%d/page &"):format(
        support.neap, folder, n, server.port)
    end
    helper.run(table.concat(commands, " ") .. " wait")
    local names = {}
    for session in pairs(sessions_in(folder .. "/at_once")) do names[session:match("127%.0%.0%.(%d)")] = true end
    assert.same({ ["1"] = true, ["2"] = true, ["3"] = true, ["4"] = true, ["5"] = true, ["6"] = true }, names)
    assert.equal(0, server:stop())
  end)

  it("tries the address first that answered last, so that its session is not lost to a silent one", function()
    web.with_app(build, function(_, url)
      local silent = assert(require("neap.core").udp())
      assert(silent:bind("127.0.0.1:0"))
      local resolve = neap.task.resolve
      finally(function() neap.task.resolve = resolve end)
      neap.task.resolve = function() return { silent:address(), (url:match("//(.*)")) } end
      local client = neap.client { ca = web.identity().cert }
      local answers = {}
      for i = 1, 4 do answers[i] = ask(client, "https://localhost") end
      assert.same({ false, true, true, true }, answers)
      client:close()
      silent:close()
    end)
  end)

  it("leaves that address in the file of its sessions too, for who comes after it", function()
    local file = folder .. "/addresses"
    web.with_app(build, function(_, url)
      local silent = assert(require("neap.core").udp())
      assert(silent:bind("127.0.0.1:0"))
      local resolve = neap.task.resolve
      finally(function() neap.task.resolve = resolve end)
      local answering = url:match("//(.*)")
      local order = { silent:address(), answering }
      neap.task.resolve = function() return order end
      local function visit()
        local client = neap.client { ca = web.identity().cert, session_file = file }
        local answer = ask(client, "https://localhost")
        client:close()
        local came = 0
        while silent:recvfrom(0) do came = came + 1 end
        return answer, came > 0
      end
      assert.same({ false, true }, { visit() })
      for _ = 1, 3 do assert.same({ true, false }, { visit() }) end
      assert.truthy(helper.read_file(file):find("\nlocalhost " .. answering .. "\n", 1, true))
      -- Who is the first of the addresses needs no line, and one that is none of them any more changes nothing.
      order = { answering, silent:address() }
      assert.same({ true, false }, { visit() })
      assert.is_nil(helper.read_file(file):find(answering, 1, true))
      order = { silent:address(), answering }
      assert.same({ true, true }, { visit() })
      order = { answering }
      assert.same({ true, false }, { visit() })
      silent:close()
    end)
  end)

  it("and does not want it has a full handshake", function()
    web.with_app(build, function(_, url)
      local client = neap.client { ca = web.identity().cert, resumption = false }
      assert.is_false(ask(client, url))
      assert.is_false(ask(client, url))
      client:close()
    end)
  end)

  it("is known to another server with the same key file, and to none with another", function()
    local id = web.identity()
    local keys = { folder .. "/one", folder .. "/both", folder .. "/other" }
    helper.write_file(keys[1], KEY .. "\n")
    helper.write_file(keys[2], KEY:reverse() .. "\n" .. KEY .. "\n")
    helper.write_file(keys[3], KEY:gsub("0", "1") .. "\n")
    web.run(function()
      local client = neap.client { ca = id.cert }
      local answers, port = {}, 0
      for i, file in ipairs({ keys[1], keys[1], keys[2], keys[3] }) do
        local app = neap.app()
        build(app)
        local server = assert(app:listen { host = "127.0.0.1", port = port, cert = id.cert, key = id.key,
          ticket_key_file = file })
        port = server.port
        answers[i] = ask(client, "https://127.0.0.1:" .. port)
        server:close()
      end
      client:close()
      assert.same({ false, true, true, false }, answers)
    end)
  end)

  it("needs a key file that is one", function()
    local file = folder .. "/bad"
    local function said()
      return select(2, require("neap.core").config { ticket_key_file = file })
    end
    assert.equal(file .. ": No such file or directory", said())
    for _, text in ipairs({ "", "\n", KEY .. "0", KEY:sub(1, 63), KEY:gsub("a", "g"), (KEY .. "\n"):rep(5),
      KEY .. " " .. KEY, KEY .. "\0" .. KEY }) do
      helper.write_file(file, text)
      assert.equal(file .. ": it must be 1 to 4 lines of 64 hex digits", said(), text)
    end
    for _, text in ipairs({ KEY, KEY .. "\r\n" .. KEY, "\n\n" .. KEY .. "\n\n", (KEY:upper() .. "\n"):rep(4) }) do
      helper.write_file(file, text)
      assert.is_userdata((require("neap.core").config { ticket_key_file = file }))
    end
  end)
end)
