--- Names with several addresses, of which some are silent, and what clients keep for the next time.
local neap = require "neap"
local core = require "neap.core"
local helper = require "helper"
local support = require "support.program"
local web = require "support.web"

-- Serves `build`'s app at a name with another address, where nobody listens; fn(url, swap): `url` has that one first,
-- after swap() second. Its port is the same, since sessions are for a name and a port.
local function with_other(build, fn, listen)
  local resolve = neap.task.resolve
  local is_first = true
  finally(function() neap.task.resolve = resolve end)
  web.with_app(build, function(_, url, server)
    local alive, dead = "127.0.0.1:" .. server.port, "127.0.0.2:" .. server.port
    function neap.task.resolve() -- luacheck: ignore 122
      return is_first and { dead, alive } or { alive, dead }
    end
    fn((url:gsub("127%.0%.0%.1", "localhost")), function() is_first = not is_first end)
  end, listen)
end

-- The same; somebody is at the other address, who says nothing.
local function with_silent(build, fn, listen)
  local silent = core.udp()
  with_other(build, function(url, swap)
    assert(silent:bind("127.0.0.2:" .. url:match("%d+$")))
    fn(url, swap)
  end, listen)
  silent:close()
end

local function new_client(options)
  local given = { ca = web.identity().cert, timeout = 10 }
  for name, value in pairs(options or {}) do given[name] = value end
  return neap.client(given)
end

local function home(app)
  app:get("/", function() return "home" end)
end

local function acquaint(client, url)
  local r = assert(client:get(url .. "/"))
  r:body()
  while not r.conn:is_confirmed() do neap.sleep(0.005) end
  r.conn:close()
  while next(client._pool) do neap.sleep(0.005) end
end

describe("a client whose task is cancelled while it connects", function()
  it("reaches the server when it is there, and nobody waits for ever", function()
    local id = web.identity()
    web.run(function()
      local silent = neap.socket.udp()
      assert(silent:setsockname("127.0.0.1", 0))
      local _, port = silent:getsockname()
      local client = new_client { protocols = { "h3" } }
      local url = ("https://127.0.0.1:%d/"):format(port)
      local first = neap.go(function() return client:get(url) end)
      neap.sleep(0.1)
      local second = neap.go(function() return (assert(client:post(url, { body = "x" })):body()) end)
      neap.sleep(0.1)
      first:cancel()
      pcall(first.join, first)
      silent:close()
      local app = neap.app()
      home(app)
      app:post("/", function() return "home" end)
      local server = assert(app:listen { host = "127.0.0.1", port = tonumber(port), cert = id.cert, key = id.key })
      assert.equal("home", second:join(8))
      assert.equal("home", (assert(client:get(url)):body()))
      client:close()
      server:close()
    end)
  end)
end)

describe("a client of a name with a silent address", function()
  it("ends at once by what it refuses, and says why", function()
    with_silent(home, function(url, swap)
      swap()
      for _, case in ipairs {
        { "access_denied.*not on my list", { verify_server = function() return nil, "not on my list" end } },
        { "bad_certificate_status_response", { ocsp_required = true } },
        { "internal_error: 'verify_server' failed: no list", { verify_server = function() error("no list", 0) end } },
        { "unknown_ca", { ca = core.make_certificate { names = { "other" } } } },
      } do
        local client, begun = new_client(case[2]), core.now()
        local r, message, code
        web.logged(function() r, message, code = client:get(url .. "/") end)
        assert.is_nil(r)
        assert.equal("tls", code)
        assert.matches(case[1], message)
        assert.is_true(core.now() - begun < 5, message)
        client:close()
      end
    end)
  end)

  it("says what the address said that was there, and not that the other was silent", function()
    with_silent(home, function(url, swap)
      swap()
      local client = new_client { handshake_timeout = 1, alpn = "another" }
      local r, message, code = client:get(url .. "/")
      assert.same({ nil, "tls" }, { r, code })
      assert.matches("no_application_protocol", message)
      client:close()
    end)
  end)

  it("does not wait for it until the handshake is over when the other has refused by a TLS alert", function()
    with_silent(home, function(url, swap)
      for _ = 1, 2 do
        swap()
        local client, begun = new_client { alpn = "another" }, core.now()
        local r, message, code = client:get(url .. "/")
        assert.same({ nil, "tls" }, { r, code })
        assert.matches("no_application_protocol", message)
        assert.is_true(core.now() - begun < 3)
        client:close()
      end
    end)
  end)

  it("waits for it a moment, though the other has refused by a TLS alert", function()
    with_silent(home, function(url)
      local resolve, id = neap.task.resolve, web.identity()
      local refusing = assert(neap.quic.listen { host = "127.0.0.3", port = 0, alpn = "x", cert = id.cert,
        key = id.key })
      function neap.task.resolve(...) -- luacheck: ignore 122
        local addresses = resolve(...)
        return { refusing.address, addresses[1], addresses[2] } -- refuses, is silent, answers
      end
      local client = new_client()
      assert.equal("home", assert(client:get(url .. "/")):body())
      client:close()
      refusing:close()
    end)
  end)

  it("sends what is safe early to each, and what is not to one at a time", function()
    local seen = {}
    with_silent(function(app)
      home(app)
      app:any("/a", { early = true }, function(req)
        seen[#seen + 1] = req.method .. " " .. tostring(req.is_early) .. " " .. (req:body() or "")
        return 204
      end)
    end, function(url)
      for _, case in ipairs { { "GET", true, true }, { "POST", "unsafe", false } } do
        local client = new_client { early_data = true }
        acquaint(client, url)
        client._winners = require("neap.winners").new() -- as a program that is started anew
        local r = assert(client:request(case[1], url .. "/a",
          { early = case[2], body = case[1] == "POST" and "x" or nil }))
        assert.equal("accepted", r.conn:early())
        assert.equal(case[3], r.was_early)
        client:close()
      end
    end, { early_data = true })
    assert.same({ "GET true ", "POST false x" }, seen)
  end)
end)

it("addresses of which two have refused at one time are not waited for", function()
  web.run(function()
    local client = { _winners = require("neap.winners").new(), _endpoint = true }
    local attempts, closed = {}, 0
    local function never() return false end
    local conn = { close = function() closed = closed + 1 end, is_established = never, is_unreachable = never }
    local begun = core.now()
    local attempt, message, code = require("neap.client_race").run(client, "x", "x", { "a", "b" }, 10, function(address)
      local made = { address = address, conn = conn }
      attempts[#attempts + 1] = made
      if #attempts == 2 then
        neap.go(function()
          for _, one in ipairs(attempts) do
            one.failed = { by = "reset" }
            neap.task.wake(one.waiter, one)
          end
        end)
      end
      return made
    end)
    assert.same({ nil, "reset" }, { attempt, code }, message)
    assert.is_true(core.now() - begun < 5)
    assert.equal(0, closed)
  end)
end)

it("an address that answers in the turn in which another refuses is taken", function()
  web.run(function()
    local client = { _winners = require("neap.winners").new(), _endpoint = true }
    local attempts = {}
    local begun = core.now()
    local attempt = require("neap.client_race").run(client, "x", "x", { "a", "b" }, 10, function(address)
      local made = { address = address }
      made.conn = { close = function() end, is_unreachable = function() return false end }
      function made.conn.is_established() return made.is_there == true end
      attempts[#attempts + 1] = made
      if #attempts == 2 then
        neap.go(function()
          attempts[1].failed, attempts[2].is_there = { by = "reset" }, true
          for _, one in ipairs(attempts) do neap.task.wake(one.waiter, one) end
        end)
      end
      return made
    end)
    assert.equal(attempts[2], attempt)
    assert.is_true(core.now() - begun < 5)
  end)
end)

describe("a client of an address where nobody listens", function()
  it("tries the next one at once, as soon as ICMP says so", function()
    with_other(home, function(url)
      local client, begun = new_client(), core.now()
      local r = assert(client:get(url .. "/"))
      assert.equal("home", r:body())
      assert.is_true(core.now() - begun < 0.2, core.now() - begun)
      client:close()
    end)
  end)

  it("waits a moment for a server that is about to start, and says that nobody listens", function()
    web.run(function()
      local taken = core.udp()
      local port = assert(taken:bind("127.0.0.1:0")):match("%d+$")
      taken:close()
      local client, begun = new_client(), core.now()
      local r, message, code = client:get(("https://127.0.0.1:%s/"):format(port))
      assert.is_nil(r)
      assert.same({ "unreachable", ("127.0.0.1:%s: nobody listens there"):format(port) }, { code, message })
      assert.is_true(core.now() - begun < 5, core.now() - begun)
      client:close()
    end)
  end)
end)

describe("a client with a session file", function()
  after_each(support.end_all)

  it("has a session each time, however soon it is closed behind an early answer", function()
    local folder = helper.make_dir()
    finally(function() helper.remove_dir(folder) end)
    web.with_app(home, function(_, url)
      local answers = {}
      for i = 1, 6 do
        local client = new_client { early_data = true, session_file = folder .. "/sessions" }
        local r = assert(client:get(url .. "/", { early = true }))
        answers[i] = tostring(r.was_early)
        client:close()
      end
      assert.equal("false true true true true true", table.concat(answers, " "))
    end, { early_data = true })
  end)

  it("does not wait for them when it is closed a second time, nor outside of a task", function()
    local folder = helper.make_dir()
    finally(function() helper.remove_dir(folder) end)
    local lab = neap.sim.new { seed = 1 }
    lab:link { delay = 0.02 }
    local host, client = lab:host("client.example", "10.2.0.1"), nil
    lab:host("server.example", "10.1.0.1"):go(function()
      local app = neap.app()
      home(app)
      assert(app:listen { port = 443 })
    end)
    host:run(function()
      client = neap.client { session_file = folder .. "/sessions" }
      assert.equal("home", assert(client:get("https://server.example/")):body())
      local function never() return false end
      -- As of a server that never confirms.
      client._pool = { [""] = { conn = { is_confirmed = never, is_draining = never } } }
      local began, ended = neap.now(), nil
      neap.go(function()
        client:close()
        ended = neap.now() - began
      end)
      neap.sleep(0.02)
      assert.is_nil(ended)
      local second = neap.now()
      client:close()
      assert.equal(second, neap.now())
      neap.sleep(0.02)
      assert.near(0.02, ended, 0.001)
    end)
    client:close()
    lab:close()
  end)

  it("has a session each time when its program ends without closing it", function()
    local folder = helper.make_dir()
    finally(function() helper.remove_dir(folder) end)
    local id = web.identity()
    helper.write_file(folder .. "/cert.pem", id.cert)
    helper.write_file(folder .. "/key.pem", id.key)
    helper.write_file(folder .. "/server.lua", [[local neap = require "neap"
      local app = neap.app()
      app:get("/", function(req) return tostring(req.is_early) end)
      app:get("/late", { early = false }, function() return "late" end)
      assert(app:listen { early_data = true })
      neap.run()]])
    helper.write_file(folder .. "/client.lua", ([[local neap = require "neap"
      local client = neap.client { ca = "%s/cert.pem", early_data = true, session_file = "%s/sessions" }
      neap.run(function() print(assert(client:get(arg[1], { early = true })):body()) end)]]):format(folder, folder))
    local server = support.start("run " .. folder .. "/server.lua",
      ("NEAP_LISTEN=127.0.0.1:0 NEAP_CERT=%s/cert.pem NEAP_KEY=%s/key.pem"):format(folder, folder))
    local answers = {}
    for i = 1, 6 do
      local output = helper.run(("%s run %s/client.lua %s"):format(support.neap, folder, server.url))
      answers[i] = output:match("%a+")
    end
    assert.equal("false true true true true true", table.concat(answers, " "))
    -- A request whose server asked for it again was not early, though its connection's early data was read.
    for path, how in pairs { ["late"] = "not used", [""] = "accepted" } do
      local output = helper.run(("%s get -v --early --sessions %s/sessions --ca %s/cert.pem %s%s"):format(support.neap,
        folder, folder, server.url, path))
      assert.equal(how, output:match("0%-RTT ([%a ]+)"), output)
    end
    assert.equal(0, server:stop())
  end)
end)
