-- Programs that are written for sockets, at hosts of a simulation: the same code, in virtual time.
local neap = require "neap"
local core = require "neap.core"
local sim = require "neap.sim"

local function two_hosts(link, seed)
  local lab = sim.new{ seed = seed or 1 }
  lab:link(link or { delay = 0.02 })
  return lab, lab:host("server.example", "10.1.0.1"), lab:host("client.example", "10.2.0.1")
end

-- What a user would write, in a file of its own, and run over sockets.
local function serve()
  local app = neap.app()
  app:get("/hello", function() return "hello" end)
  app:get("/slow/:seconds", function(req)
    neap.sleep(tonumber(req.params.seconds))
    return "at last"
  end)
  app:post("/echo", function(req, res)
    for piece in req:chunks() do res:write(piece) end
  end)
  app:get("/broken", function() error("oops") end)
  return assert(app:listen{ port = 443 })
end

local function raw_echo()
  assert(neap.quic.listen{ port = 7000, alpn = "echo" }):on_connection(function(connection)
    connection:on_stream(function(stream) assert(stream:write(stream:read("all"))) end)
  end)
end

describe("a program at a host of a simulation", function()
  it("waits for a time that is less than the clock can tell", function()
    local lab, _, client = two_hosts()
    lab:run(1000)
    local begun, over = client:run(function()
      local begun = neap.now()
      neap.task.await(neap.task.waiter(), 1e-17)
      return begun, neap.now()
    end)
    assert.is_true(over > begun and over < begun + 1e-9)
    lab:close()
  end)

  it("serves and asks as it does over sockets, and sleeps in virtual time", function()
    local began = os.time()
    local lab, server, client = two_hosts()
    server:go(serve)
    local text, seconds, round_trip = client:run(function()
      local begun = neap.now()
      local res = assert(neap.client.get("https://server.example/hello"))
      local first = neap.now() - begun
      begun = neap.now()
      local slow = assert(neap.client.get("https://server.example/slow/1000", { progress_timeout = 2000 }))
      return res:body() .. ", " .. slow:body(), neap.now() - begun, first
    end)
    assert.equal("hello, at last", text)
    assert.is_true(seconds >= 1000 and seconds < 1000.2, seconds)
    assert.is_true(round_trip >= 0.08 and round_trip < 0.1, round_trip) -- two round trips of 40 ms
    assert.is_true(os.time() - began < 60)
    lab:close()
  end)

  it("does the same twice, to the byte, also when it ends with connections open, and differs by the seed", function()
    local weather = { delay = 0.01, rate = 2e6, loss = 0.03, reorder = 0.1, jitter = 0.002 }
    local function run(seed)
      local lab, server, client = two_hosts(weather, seed)
      local others = {}
      for i = 1, 3 do others[i] = lab:host(("other%d.example"):format(i)) end
      local listening
      server:go(function() listening = serve() end)
      local body = ("0123456789"):rep(20000)
      local ended = 0
      for i = 1, 3 do
        others[i]:go(function()
          neap.sleep(i * 0.1)
          local res = assert(neap.client.post("https://server.example/echo", { body = body }))
          assert(res:body() == body)
          ended = ended + 1
        end)
      end
      client:run(function()
        local own = neap.client{}
        local results = neap.all{
          function() return assert(own:get("https://server.example/hello")):body() end,
          function() return assert(own:post("https://server.example/echo", { body = body })):body() end,
        }
        assert.same({ "hello", body }, results)
        own:close()
      end)
      lab:run(function() return ended == 3 end)
      server:run(function() listening:shutdown() end)
      local hash, time = lab.hash, lab:time()
      lab:close()
      return hash, time
    end
    local hash, time = run(7)
    assert.same({ hash, time }, { run(7) })
    assert.not_equal(hash, (run(8)))
  end)

  it("speaks raw QUIC, whose timeouts pass in virtual time", function()
    local lab, server, client = two_hosts()
    server:go(raw_echo)
    local echoed, code, waited = client:run(function()
      local connection = assert(neap.quic.connect("server.example:7000", { alpn = "echo", read_timeout = 20 }))
      local stream = connection:open_stream()
      stream:write("to and fro")
      stream:finish()
      local text = stream:read("all")
      local silent, begun = connection:open_stream(), neap.now()
      silent:write("x")
      local _, _, why = silent:read("all")
      return text, why, neap.now() - begun
    end)
    assert.same({ "to and fro", "timeout" }, { echoed, code })
    assert.is_true(waited >= 20 and waited < 21, waited)
    lab:close()
  end)

  it("gets through loss, and gives up in virtual time where nobody answers", function()
    local lab, server, client = two_hosts{ delay = 0.02, loss = 0.2 }
    server:go(serve)
    local size, message, code, seconds = client:run(function()
      local body = ("x"):rep(100000)
      local res = assert(neap.client.post("https://server.example/echo", { body = body }))
      local got = #res:body()
      local begun = neap.now()
      lab.default_link:set{ cut = true }
      local none, why, kind = neap.client{ handshake_timeout = 10 }:get("https://server.example/")
      assert.is_nil(none)
      return got, why, kind, neap.now() - begun
    end)
    assert.equal(100000, size)
    assert.match("no answer", message)
    assert.equal("timeout", code)
    assert.is_true(seconds >= 9 and seconds <= 31, seconds)
    lab:close()
  end)

  it("finds names and addresses of the simulation alone", function()
    local lab, server, client = two_hosts()
    server:go(serve)
    client:run(function()
      local none, message, code = neap.client.get("https://elsewhere.example/")
      assert.is_nil(none)
      assert.equal("resolve", code)
      assert.match("elsewhere.example: no host of the simulation has this name", message)
      assert.equal("hello", assert(neap.client.get("https://10.1.0.1/hello")):body())
      local unix, why, kind = neap.unix.connect("/tmp/socket")
      assert.same({ nil, "a simulation has no Unix sockets", "unsupported" }, { unix, why, kind })
    end)
    server:run(function()
      assert.equal("hello", assert(neap.client.get("https://localhost/hello")):body())
      local second, why, kind = neap.app():listen{ port = 443 }
      assert.is_nil(second)
      assert.match("Address already in use", why)
      assert.equal("system", kind)
      second, why = neap.app():listen{ host = "192.0.2.1", port = 444 }
      assert.is_nil(second)
      assert.match("Cannot assign requested address", why)
      local any = assert(neap.app():listen{ port = 0 })
      assert.is_true(any.port >= 49152)
    end)
    assert.error_matches(function()
      lab:go(function() neap.client.get("https://server.example/") end)
      lab:run(1)
    end, "connecting in a simulation is done at a host")
    lab:close()
  end)

  it("hears from a host that nobody listens at a port, and nothing where there is no host", function()
    local lab, _, client = two_hosts{ delay = 0.02 }
    client:run(function()
      local begun = neap.now()
      local none, message, code = neap.client{ progress_timeout = 5 }:get("https://server.example/")
      assert.same({ nil, "unreachable" }, { none, code })
      assert.match("nobody listens there", message)
      assert.is_true(neap.now() - begun < 3.1, neap.now() - begun) -- an answer from there would still count
      begun = neap.now()
      none, message, code = neap.quic.connect("server.example:7", { alpn = "x" })
      assert.same({ nil, "server.example:7: nobody listens there", "unreachable" }, { none, message, code })
      assert.is_true(neap.now() - begun < 3.1, neap.now() - begun)
      begun = neap.now()
      none, message, code = neap.client{ progress_timeout = 5 }:get("https://192.0.2.99/")
      assert.same({ nil, "timeout" }, { none, code })
      assert.match("no answer", message)
      assert.is_true(neap.now() - begun > 4.999)
    end)
    lab:close()
  end)

  -- A server that is there from `at` on, and takes what `options` say.
  local function serve_from(server, at, options)
    server:go(function()
      neap.sleep(at)
      local app = neap.app()
      app:get("/", function() return "late" end)
      local of_app, of_raw = { port = 443 }, { port = 7000, alpn = "echo" }
      for name, value in pairs(options or {}) do of_app[name], of_raw[name] = value, value end
      assert(app:listen(of_app))
      assert(neap.quic.listen(of_raw))
    end)
  end

  it("is answered by a server that begins to listen meanwhile, by Retry or in another version at first", function()
    for _, options in ipairs{ {}, { retry = "always" }, { versions = "v2" } } do
      local lab, server, client = two_hosts{ delay = 0.6 }
      serve_from(server, 2, options)
      client:run(function()
        local begun = neap.now()
        neap.go(function()
          local connection = assert(neap.quic.connect("server.example:7000", { alpn = "echo" }))
          assert.is_true(neap.now() - begun > 4)
          connection:close()
        end)
        assert.equal("late", assert(neap.client.get("https://server.example/")):body())
        assert.is_true(neap.now() - begun > 4)
        neap.sleep(1)
      end)
      lab:close()
    end
  end)

  it("waits for an address that is slow, though nobody listens at the other", function()
    local lab = sim.new()
    local link = lab:link{ delay = 0.02 }
    local server = lab:host("server.example", { address = "10.1.0.1", link = lab:link{ delay = 1 } })
    local client = lab:host("client.example", { link = link })
    lab:host("other.example", { address = "10.1.0.9", link = lab:link{ delay = 0.02 } })
    serve_from(server, 0)
    client:run(function()
      for _, order in ipairs{ { "10.1.0.9:443", "10.1.0.1:443" }, { "10.1.0.1:443", "10.1.0.9:443" } } do
        local resolve = neap.task.resolve
        function neap.task.resolve() return order end -- luacheck: ignore 122
        local res, message = neap.client{ progress_timeout = 20 }:get("https://server.example/")
        neap.task.resolve = resolve
        assert.equal("late", assert(res, message):body())
      end
    end)
    lab:close()
  end)

  it("has addresses that come and go", function()
    local lab, server, client = two_hosts{ delay = 0.02 }
    local radio = lab:link{ delay = 0.3 }
    server:go(serve)
    lab:run(1)
    server:add_address("10.1.0.2")
    client:run(function() -- for which its certificate is not
      assert.equal("hello", assert(neap.client{ verify_peer = false }:get("https://10.1.0.2/hello")):body())
    end)
    server:remove_address("10.1.0.2")
    client:add_address("10.2.0.2", { link = radio })
    client:remove_address("10.2.0.1")
    client:run(function()
      local _, _, code = neap.client{ progress_timeout = 2 }:get("https://10.1.0.2/hello")
      assert.equal("timeout", code)
      local begun = neap.now()
      assert.equal("hello", assert(neap.client{}:get("https://server.example/hello")):body())
      assert.is_true(neap.now() - begun > 1.2)
    end)
    assert.error_matches(function() client:remove_address("10.2.0.1") end, "client.example has no address 10.2.0.1")
    assert.error_matches(function() client:add_address("10.1.0.1") end, "server.example has 10.1.0.1 already")
    assert.error_matches(function() lab:host("third.example", "10.1.0.1") end, "server.example has 10.1.0.1 already")
    assert.error_matches(function() lab:host("server.example") end, "there is a host server.example already")
    assert.error_matches(function() lab:host("10.0.0.1") end, "a host's name is one of DNS")
    lab:close()
  end)

  it("is at IPv6 and at several addresses", function()
    local lab = sim.new()
    local link = lab:link{ delay = 0.01 }
    local server = lab:host("server.example", { addresses = { "2001:db8::1", "10.1.0.1" } })
    local client = lab:host("client.example", { address = "2001:db8:1::7", link = link })
    local peers = {}
    server:go(function()
      local app = neap.app()
      app:get("/", function(req)
        peers[#peers + 1] = req.peer
        return "ok"
      end)
      assert(app:listen{ port = 443 })
    end)
    client:run(function() assert(neap.client.get("https://server.example/")) end)
    assert.match("^%[2001:db8:1::7%]:%d+$", peers[1])
    lab:close()
  end)

  it("resumes sessions, early too, until they end; and certificates end as well", function()
    local lab, server, client = two_hosts{ delay = 0.05 }
    server:go(function()
      local app = neap.app()
      app:get("/", function(req) return ("early %s, resumed %s"):format(req.is_early, req.is_resumed) end)
      assert(app:listen{ port = 443, early_data = true, ticket_lifetime = 50000 })
    end)
    client:run(function()
      local own = neap.client{ early_data = true, max_idle_timeout = 5 }
      local function ask()
        local begun = neap.now()
        local res, message = own:get("https://server.example/", { early = true })
        return res and res:body() or message, math.floor((neap.now() - begun) * 10 + 0.5) / 10
      end
      assert.same({ "early false, resumed false", 0.2 }, { ask() })
      neap.sleep(40000)
      assert.same({ "early true, resumed true", 0.1 }, { ask() })
      neap.sleep(60000)
      assert.same({ "early false, resumed false", 0.2 }, { ask() })
      neap.sleep(3650 * 86400)
      assert.match("certificate.*expired", (ask()))
    end, 1e9)
    lab:close()
  end)

  it("says that a handler failed, and ends by the error of a task", function()
    local lab, server, client = two_hosts()
    server:go(serve)
    local lines, sink = {}, neap.log.sink
    finally(function() neap.log.sink = sink end)
    neap.log.sink = function(line) lines[#lines + 1] = line end
    assert.equal(500, client:run(function() return neap.client.get("https://server.example/broken").status end))
    assert.match("oops", table.concat(lines))
    client:go(function() neap.go(function() error("nobody catches this") end) end)
    assert.error_matches(function() lab:run(1) end, "nobody catches this.*seed 1")
    lab:run(1)
    lab:close()
  end)

  it("may say neap.run, as a program does, and gives back all that it returns", function()
    local lab, server, client = two_hosts()
    server:go(function()
      serve()
      neap.run()
    end)
    client:go(function() assert.equal("x", neap.run(function() return "x" end)) end)
    local none, message, code = client:run(function()
      return neap.client{ progress_timeout = 3 }:get("https://server.example/slow/10")
    end)
    assert.is_nil(none)
    assert.match("no progress for 3 s", message)
    assert.equal("timeout", code)
    lab:close()
  end)

  it("ends the run by neap.stop", function()
    local lab, _, client = two_hosts()
    client:go(function()
      neap.sleep(3)
      neap.stop()
    end)
    assert.equal(3, lab:run(10))
    assert.equal(13, lab:run(10))
    lab:close()
  end)

  it("leaves clock and scheduler of the program outside as they were", function()
    local before = core.now()
    neap.run(function()
      local order = {}
      neap.go(function() order[#order + 1] = "outside" end)
      local lab, server, client = two_hosts()
      server:go(serve)
      client:run(function()
        neap.sleep(100000)
        order[#order + 1] = "inside"
      end, 200000)
      lab:close()
      neap.sleep(0)
      assert.same({ "inside", "outside" }, order)
    end)
    assert.is_true(core.now() - before < 60)
  end)

  -- A stream that is echoed at its end, on which `walk` is called in the middle; the events of its paths.
  local function walk_with(given, walk)
    local lab, server, client = two_hosts{ delay = 0.02 }
    local radio = lab:link{ delay = 0.1 }
    client:add_address("10.2.0.2", { link = radio })
    server:go(raw_echo)
    local text, events, place = client:run(function()
      given.alpn = "echo"
      local connection = assert(neap.quic.connect("server.example:7000", given))
      local kinds = {}
      connection:on_path(function(event) kinds[#kinds + 1] = event.kind end)
      local stream = connection:open_stream()
      stream:write("before, ")
      neap.sleep(1)
      walk(connection, client)
      neap.sleep(2)
      stream:write("behind")
      stream:finish()
      return stream:read("*a"), table.concat(kinds, " "), connection.local_address
    end)
    assert.equal("before, behind", text)
    local by_radio = radio.up.sent
    lab:close()
    return events, place, by_radio
  end

  it("migrates to another of its addresses, which is proved first", function()
    local events, place, sent = walk_with({}, function(connection)
      local none, message, code = connection:migrate{ address = "192.0.2.9" }
      assert.same({ nil, "192.0.2.9: Cannot assign requested address", "system" }, { none, message, code })
      none, message, code = connection:migrate{ interface = "wlan0" }
      assert.same({ nil, "wlan0: No such device", "system" }, { none, message, code })
      assert(connection:migrate())
      assert.equal("10.2.0.1", connection.local_address:match("^(.*):"))
    end)
    assert.match("migrated", events)
    assert.match("^10.2.0.2:%d+$", place)
    assert.is_true(sent > 3)
  end)

  it("goes to an address without a port, and to another port where it has no other address", function()
    local _, place = walk_with({}, function(connection)
      assert(connection:migrate{ address = "10.2.0.2" })
      neap.sleep(1)
      assert.equal("10.2.0.2", connection.local_address:match("^(.*):"))
      assert(connection:migrate{ address = "10.2.0.1" })
    end)
    assert.match("^10.2.0.1:%d+$", place)
    local lab, server, client = two_hosts()
    server:go(raw_echo)
    client:run(function()
      local connection = assert(neap.quic.connect("server.example:7000", { alpn = "echo" }))
      neap.sleep(1)
      local before = connection.local_address
      assert(connection:migrate{})
      neap.sleep(1)
      assert.match("^10.2.0.1:%d+$", connection.local_address)
      assert.not_equal(before, connection.local_address)
      local stream = connection:open_stream()
      stream:write("behind", { fin = true })
      assert.equal("behind", stream:read("*a"))
    end)
    lab:close()
  end)

  it("probes another address, and stays where it is", function()
    local events, place = walk_with({}, function(connection) assert(connection:probe{ address = "10.2.0.2" }) end)
    assert.equal("path_validated", events)
    assert.match("^10.2.0.1:%d+$", place)
  end)

  it("leaves an address that goes away, where migrate is \"auto\"", function()
    local _, place = walk_with({ migrate = "auto" }, function(_, client) client:remove_address("10.2.0.1") end)
    assert.match("^10.2.0.2:%d+$", place)
  end)

  it("goes to the address that its server prefers", function()
    local lab, server, client = two_hosts()
    server:add_address("10.1.0.5")
    server:go(function()
      local app = neap.app()
      app:get("/", function() return "ok" end)
      assert(app:listen{ port = 443, host = "10.1.0.1", preferred_address = "10.1.0.5:443" })
    end)
    client:run(function()
      local own, moved = neap.client{}, nil
      own:on_path(function(event) moved = event.kind == "migrated" and event.peer or moved end)
      assert.equal("ok", assert(own:get("https://server.example/")):body())
      neap.sleep(2)
      assert.equal("10.1.0.5:443", moved)
      assert.equal("ok", assert(own:get("https://server.example/")):body())
    end)
    lab:close()
  end)

  it("goes to an address of the other family, where the server prefers one of that alone and there is a way", function()
    for _, case in ipairs { { "fd00::2", "[fd00::5]:443" }, { nil, "10.1.0.1:443" } } do
      local lab, server, client = two_hosts()
      server:add_address("fd00::5")
      if case[1] then client:add_address(case[1]) end
      server:go(function()
        local app = neap.app()
        app:get("/", function() return "ok" end)
        assert(app:listen{ port = 443, host = "10.1.0.1", preferred_address = "[fd00::5]:443" })
        assert(neap.quic.listen{ port = 7000, host = "10.1.0.1", alpn = "echo", preferred_address = "[fd00::5]:7000" })
      end)
      client:run(function()
        local own, moved = neap.client{}, "10.1.0.1:443"
        own:on_path(function(event) moved = event.kind == "migrated" and event.peer or moved end)
        assert.equal("ok", assert(own:get("https://server.example/")):body())
        neap.sleep(2)
        assert.equal(case[2], moved)
        assert.equal("ok", assert(own:get("https://server.example/")):body())
        local raw = assert(neap.quic.connect("server.example:7000", { alpn = "echo" }))
        neap.sleep(2)
        assert.equal(case[1] and "[fd00::5]:7000" or "10.1.0.1:7000", raw.peer)
      end)
      lab:close()
    end
  end)

  it("goes on when a NAT forgets its host, and when it moves to another link", function()
    local lab, server, client = two_hosts{ delay = 0.02 }
    local other = lab:link{ delay = 0.05 }
    server:go(raw_echo)
    local text = client:run(function()
      local connection = assert(neap.quic.connect("server.example:7000", { alpn = "echo" }))
      local stream, got = connection:open_stream(), {}
      stream:write("before, ")
      neap.sleep(1) -- an address stays while the handshake lasts (RFC 9000 §9)
      client:rebind()
      neap.sleep(1)
      stream:write("between, ")
      client:rebind("192.0.2.77")
      client:move(other)
      neap.sleep(1)
      stream:write("behind")
      stream:finish()
      got[1] = stream:read("all")
      return table.concat(got)
    end)
    assert.equal("before, between, behind", text)
    assert.is_true(other.up.sent > 0)
    lab:close()
  end)
end)
