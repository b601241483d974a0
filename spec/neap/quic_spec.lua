local neap = require "neap"
local web = require "support.web"

local function with_pair(on_connection, fn, listen, connect)
  local id = web.identity()
  web.run(function()
    local options = { host = "127.0.0.1", port = 0, alpn = "test/1", cert = id.cert, key = id.key }
    for name, value in pairs(listen or {}) do options[name] = value end
    local server = assert(neap.quic.listen(options))
    server:on_connection(on_connection)
    local given = { alpn = "test/1", ca = id.cert }
    for name, value in pairs(connect or {}) do given[name] = value end
    local conn = assert(neap.quic.connect("127.0.0.1:" .. server.port, given))
    local ok, err = xpcall(fn, function(e) return type(e) == "table" and e or debug.traceback(e, 2) end, conn, server)
    conn:close(0, "bye")
    server:close()
    if not ok then error(err, 0) end
  end)
end

local function echo(conn)
  for stream in conn:streams() do
    neap.go(function()
      for bytes in stream:chunks() do
        if not stream:write(bytes) then return end
      end
      stream:finish()
    end)
  end
end

describe("raw QUIC", function()
  it("echoes a megabyte on each of several streams", function()
    with_pair(echo, function(conn)
      local data = ("neap"):rep(262144)
      local jobs = {}
      for i = 1, 4 do
        jobs[i] = function()
          local stream = assert(conn:open_stream())
          neap.go(function() assert(stream:write(data, { fin = true })) end)
          return stream:read_all() == data
        end
      end
      assert.same({ true, true, true, true }, neap.all(jobs))
    end)
  end)

  it("says on both sides who closed a connection, by which code and why", function()
    local asked
    with_pair(function(server_conn)
      asked = { server_conn:accept_stream() }
    end, function(conn)
      neap.sleep(0.05)
      conn:close(5, "bye")
      assert.same({ nil, "closed: code 5: bye", "closed", 5 }, { conn:open_stream() })
      for _ = 1, 100 do
        if asked then break end
        neap.sleep(0.02)
      end
      assert.same({ nil, "closed by the client: code 5: bye", "closed", 5 }, asked)
    end)
    local seen
    with_pair(function(server_conn)
      neap.sleep(0.05)
      server_conn:close(300000)
    end, function(conn)
      seen = { conn:accept_stream() }
    end)
    assert.same({ nil, "closed by the server: code 300000", "closed", 300000 }, seen)
  end)

  it("resumes TLS sessions of earlier connections with equal options, and says so", function()
    with_pair(echo, function(first, server)
      local address = "127.0.0.1:" .. server.port
      local function ask(given)
        given.alpn, given.ca = { "test/1" }, web.identity().cert
        local conn = assert(neap.quic.connect(address, given))
        local stream = assert(conn:open_stream())
        assert(stream:write("x", { fin = true }))
        assert.equal("x", stream:read_all())
        neap.sleep(0.05)
        conn:close()
        return conn:is_resumed()
      end
      assert.is_false(first:is_resumed())
      assert.same({ false, true, true }, { ask { max_idle_timeout = 7 }, ask { max_idle_timeout = 7 },
        ask { timeout = 5, max_idle_timeout = 7 } })
      assert.same({ false, false }, { ask { resumption = false }, ask { resumption = false } })
      assert.same({ false, true }, { ask { max_idle_timeout = 8 }, ask { max_idle_timeout = 8 } })
    end)
  end)

  it("resets a stream behind what the peer is to read", function()
    with_pair(function(conn)
      local stream = assert(conn:open_uni_stream())
      assert(stream:write("the beginning, and what is not needed"))
      assert.is_true(stream:reset(5, 13))
      stream = assert(conn:open_uni_stream())
      assert(stream:write("all"))
      assert.is_true(stream:reset(6, true))
    end, function(conn)
      local codes = { [3] = { "the beginning", 5 }, [7] = { "all", 6 } }
      for _ = 1, 2 do
        local stream = assert(conn:accept_stream())
        local text = ""
        local bytes, _, code, number
        repeat
          bytes, _, code, number = stream:read()
          text = text .. (bytes or "")
        until not bytes
        assert.same(codes[stream.id], { text, number })
        assert.equal("reset", code)
      end
    end)
  end)

  it("keeps what came before a reset or a timeout for who reads again, whatever he reads", function()
    with_pair(function(conn)
      for i = 1, 3 do
        local stream = assert(conn:open_uni_stream())
        assert(stream:write("one\ntwo"))
        if i < 3 then assert(stream:reset(7, true)) else neap.sleep(1) end
      end
    end, function(conn)
      local stream = assert(conn:accept_stream())
      assert.same({ nil, "the peer reset the stream", "reset", 7 }, { stream:read("*a") })
      assert.equal("one\ntwo", stream:read())
      assert.same({ nil, "the peer reset the stream", "reset", 7 }, { stream:read() })
      stream = assert(conn:accept_stream())
      assert.same({ nil, "limit" }, { stream:read_all(3), (select(3, stream:read_all(3))) })
      assert.equal("one\ntwo", stream:read(7))
      stream = assert(conn:accept_stream())
      assert.equal("timeout", (select(3, stream:read_all())))
      assert.equal("one\ntwo", stream:read())
    end, nil, { read_timeout = 0.2 })
  end)

  it("sends and reads datagrams, and tells what became of them", function()
    local told, done = {}, false
    with_pair(function(conn)
      for data in conn:datagrams() do assert(conn:send_datagram(data:upper())) end
      done = true
    end, function(conn)
      assert.is_true(conn:max_datagram() > 1100)
      assert.is_true(conn:send_datagram("hello", { deadline = 5, urgency = 1, notify = function(fate)
        told[#told + 1] = fate
      end }))
      assert.equal("HELLO", conn:read_datagram())
      assert(conn:send_datagram("again"))
      assert.equal("AGAIN", conn:read_datagram())
      neap.sleep(0.1)
      assert.same({ "acked" }, told)
      assert.equal(2, conn:datagram_stats().received)
      assert.equal("short", select(3, conn:send_datagram(("x"):rep(70000))))
      assert.error_matches(function() conn:send_datagram(1) end, "send_datagram takes a string, not a number")
      assert.error_matches(function() conn:send_datagram("x", { urgency = 8 }) end, "'urgency' must be")
      assert.error_matches(function() conn:send_datagram("x", { urgent = 8 }) end, "unknown option 'urgent'")
      neap.go(function()
        neap.sleep(0.05)
        conn:close(3, "enough")
      end)
      assert.equal("closed", select(3, conn:read_datagram()))
      neap.sleep(0.1)
      assert.is_true(done)
    end, { max_datagram_frame_size = 65535 }, { max_datagram_frame_size = 65535 })
  end)

  it("waits for a datagram as long as it is told, and has none where they were not agreed on", function()
    with_pair(function() end, function(conn)
      assert.equal("timeout", select(3, conn:read_datagram()))
      assert.equal("unsupported", select(3, conn:send_datagram("x")))
      assert.equal("unsupported", select(3, conn:max_datagram()))
    end, {}, { read_timeout = 0.05 })
  end)

  it("sends streams by their priority", function()
    local order = {}
    with_pair(function(conn)
      local streams = {}
      for n = 1, 3 do
        streams[n] = assert(conn:open_uni_stream())
        assert.is_true(streams[n]:set_priority { urgency = 4 - n })
      end
      for n = 1, 3 do neap.go(streams[n].write, streams[n], ("x"):rep(200000), { fin = true }) end
      assert.has_error(function() streams[1]:set_priority(3) end, "set_priority takes a table")
      assert.error_matches(function() streams[1]:set_priority { urgency = 8 } end, "whole number from 0 to 7")
      assert.error_matches(function() streams[1]:set_priority { urgent = 1 } end, "has no 'urgent'")
    end, function(conn)
      local jobs = {}
      for n = 1, 3 do
        local stream = assert(conn:accept_stream())
        jobs[n] = function()
          assert.equal(200000, #stream:read_all())
          order[#order + 1] = stream.id
        end
      end
      neap.all(jobs)
      assert.same({ 11, 7, 3 }, order)
    end)
  end)

  it("says what is wrong with a reset, a priority, a datagram and a way to go", function()
    local theirs
    with_pair(function(conn)
      theirs = conn
      for stream in conn:streams() do stream:read_all() end
    end, function(conn)
      local stream = assert(conn:open_uni_stream())
      assert(stream:write("header body"))
      assert.same({ nil, "fewer than 100 bytes were written", "argument" }, { stream:reset(7, 100) })
      assert.error_matches(function() stream:set_priority { incremental = 1 } end, "incremental is a boolean")
      local most = conn:max_datagram()
      assert.same({ nil, ("a datagram of 9000 bytes is too large: max_datagram() says %d"):format(most), "short" },
        { conn:send_datagram(("x"):rep(9000)) })
      assert.equal(1, conn:version())
      neap.sleep(0.1)
      assert.is_true(conn:rotate_ids())
      for _, case in ipairs {
        { conn, { address = "::1" }, "'address' is not of the family", "argument" },
        { conn, { peer = "127.0.0.9:4671" }, "'peer' is neither", "argument" },
        { theirs, { address = "127.0.0.3" }, "a server's connection stays", "argument" },
      } do
        for _, verb in ipairs { "migrate", "probe" } do
          local none, message, code = case[1][verb](case[1], case[2])
          assert.same({ nil, case[4] }, { none, code })
          assert.matches(case[3], message)
        end
      end
      assert.error_matches(function() conn:migrate { interface = "" } end, "'interface' is the name of one")
      conn:close()
      for i = 2, 9 do
        assert.same({ nil, "the connection is closed", "closed" }, { conn:migrate { address = "127.0.0." .. i } })
      end
    end, { max_datagram_frame_size = 65535 }, { max_datagram_frame_size = 65535 })
  end)

  it("is told how many connection IDs a listener made, and nonces it has left", function()
    with_pair(echo, function(_, server)
      local ids = server:connection_ids()
      assert.is_true(ids.made > 0 and ids.nonces_left > 2 ^ 62, ids.nonces_left)
    end, { quic_lb = { config_id = 0, server_id = "ab", nonce_length = 8, key = ("k"):rep(16) } })
  end)

  it("wants strings for what is written and where to, and says so", function()
    with_pair(echo, function(conn)
      local stream = assert(conn:open_stream())
      assert.error_matches(function() stream:write(nil) end, "stream:write takes a string, not a nil")
      assert.error_matches(function() neap.quic.connect(nil, { alpn = "x" }) end,
        'connect takes "host:port", not a nil')
      assert(stream:write("x", { fin = true }))
      assert.equal("x", stream:read_all())
    end)
  end)

  it("connects to no port that is none, and says so", function()
    web.run(function()
      for address, why in pairs {
        ["127.0.0.1:70000"] = "no such port: 70000", ["[::1]:0"] = "no such port: 0",
        ["localhost:99999999999999999999"] = "no such port: 99999999999999999999",
        ["localhost"] = "not host:port: localhost",
      } do
        assert.same({ nil, why, "argument" }, { neap.quic.connect(address, { alpn = "x" }) })
      end
    end)
  end)

  it("does not listen with a key that has no certificate", function()
    web.run(function()
      assert.error_matches(function() neap.quic.listen { port = 0, alpn = "x", key = web.identity().key } end,
        "'key' needs 'cert'")
    end)
  end)

  it("reads numbers of bytes, lines and all", function()
    with_pair(echo, function(conn)
      local stream = assert(conn:open_stream())
      assert(stream:write("12345one\r\ntwo\nrest of it", { fin = true }))
      assert.equal("12345", stream:read(5))
      assert.equal("one", stream:read("*l"))
      assert.equal("two", stream:read("l"))
      assert.equal("rest of it", stream:read("*a"))
      assert.is_nil(stream:read())
    end)
  end)

  it("reads many short lines and then a large piece of one stream", function()
    with_pair(echo, function(conn)
      local stream = assert(conn:open_stream())
      neap.go(function() stream:write(("ab\n"):rep(100000) .. ("x"):rep(1000000), { fin = true }) end)
      local lines = 0
      while lines < 100000 do
        assert.equal("ab", (stream:read("*l")))
        lines = lines + 1
      end
      assert.equal(1000000, #stream:read(1000000))
      assert.is_nil(stream:read(1))
    end)
  end)

  it("forgets streams that end in any way", function()
    local function count(connection)
      local n = 0
      for _ in pairs(connection._streams) do n = n + 1 end
      return n
    end
    local theirs
    with_pair(function(conn)
      theirs = conn
      for stream in conn:streams() do
        neap.go(function()
          local what = stream:read(1)
          if what == "r" then stream:reset(3) end
          if what == "s" then stream:stop(4) end
          stream:read_all()
          if what == "w" then
            while stream:write("more") do neap.sleep(0.005) end
          end
          stream:finish()
        end)
      end
    end, function(conn)
      for _, how in ipairs { "r", "s", "w", "a", "n" } do
        local stream = assert(conn:open_stream())
        assert(stream:write(how))
        if how == "w" then stream:stop(7) end
        if how == "a" then stream:reset(8) else stream:finish() end
        stream:read_all()
      end
      neap.sleep(0.1)
      assert.same({ 0, 0 }, { count(conn), count(theirs) })
    end)
  end)

  it("opens one-way streams", function()
    local got
    with_pair(function(conn)
      for stream in conn:streams() do
        assert.is_false(stream:is_bidirectional())
        got = stream:read_all()
      end
    end, function(conn)
      local stream = assert(conn:open_uni_stream())
      assert(stream:write("one way", { fin = true }))
      neap.sleep(0.1)
      assert.equal("one way", got)
    end)
  end)

  describe("on the side that serves", function()
    local function resets(on_connection)
      web.logged(function()
        with_pair(on_connection, function(conn)
          for i = 1, 12 do
            local stream = assert(conn:open_stream())
            assert(stream:write("a"))
            stream:reset(7)
            if i % 3 == 0 then neap.sleep(0.02) end
          end
        end, { initial_max_streams_bidi = 3 }, { write_timeout = 5 })
      end)
    end

    it("gives a stream back that the peer resets while its lines are read", function()
      resets(function(conn)
        for stream in conn:streams() do
          neap.go(function()
            for line in stream:lines() do assert(stream:write(line .. "\n")) end
            stream:finish()
          end)
        end
      end)
    end)

    it("gives a stream back whose handler looks at nothing", function()
      resets(function(conn) conn:on_stream(function(stream) stream:read() end) end)
    end)

    it("finishes a stream when its handler returns, and stops what is still sent", function()
      with_pair(function(conn)
        conn:on_stream(function(stream) assert(stream:write("hello " .. stream:read(1))) end)
      end, function(conn)
        local stream = assert(conn:open_stream())
        assert(stream:write("a"))
        assert.equal("hello a", stream:read_all())
        local _, _, code, number = stream:write(("x"):rep(4000000))
        assert.same({ "stopped", 0 }, { code, number })
      end)
    end)

    it("resets a stream whose handler dies, and reads of one-way streams too", function()
      local logged = web.logged(function()
        with_pair(function(conn)
          conn:on_stream(function(stream)
            stream:read(1)
            error("the handler died")
          end)
        end, function(conn)
          local stream = assert(conn:open_stream())
          assert(stream:write("a"))
          local bytes, _, code, number = stream:read()
          assert.same({ nil, "reset", 1 }, { bytes, code, number })
          stream = assert(conn:open_uni_stream())
          assert(stream:write("a"))
          neap.sleep(0.05)
          _, _, code, number = stream:write("b")
          assert.same({ "stopped", 1 }, { code, number })
        end)
      end)
      assert.matches("the handler died", logged)
    end)
  end)

  it("waits no longer than write_timeout for a stream", function()
    with_pair(function(conn)
      conn:accept_stream()
    end, function(conn)
      assert(assert(conn:open_stream()):write("a"))
      local stream, message, code = conn:open_stream()
      assert.same({ nil, "timeout" }, { stream, code })
      assert.equal("timeout: the peer allows no more streams", message)
      assert.is_nil(next(conn._openers or {}))
    end, { initial_max_streams_bidi = 1 }, { write_timeout = 0.1 })
  end)

  it("waits for credit when the peer allows no more streams", function()
    with_pair(echo, function(conn)
      for i = 1, 12 do
        local stream = assert(conn:open_stream())
        assert(stream:write("n" .. i, { fin = true }))
        assert.equal("n" .. i, stream:read_all())
      end
    end, { initial_max_streams_bidi = 3 })
  end)

  it("tells a reset and a stop with their codes", function()
    local stopped
    with_pair(function(conn)
      for stream in conn:streams() do
        neap.go(function()
          local line = stream:read("*l")
          if line == "reset me" then stream:reset(77) end
          if line == "stop me" then
            stream:stop(78)
            neap.sleep(0.05)
          end
        end)
      end
    end, function(conn)
      local stream = assert(conn:open_stream())
      assert(stream:write("reset me\n"))
      local bytes, _, code, number = stream:read()
      assert.same({ nil, "reset", 77 }, { bytes, code, number })
      stream = assert(conn:open_stream())
      assert(stream:write("stop me\n"))
      neap.sleep(0.1)
      _, _, stopped, number = stream:write("more")
      assert.same({ "stopped", 78 }, { stopped, number })
    end)
  end)

  it("raises in a loop over a stream that breaks off", function()
    with_pair(function(conn)
      for stream in conn:streams() do
        neap.go(function()
          stream:write("one\ntwo\nthr")
          neap.sleep(0.05)
          stream:reset(77)
        end)
      end
    end, function(conn)
      for _, what in ipairs { "lines", "chunks" } do
        local stream = assert(conn:open_stream())
        assert(stream:write("x"))
        local got = {}
        local ok, err = pcall(function()
          for bytes in stream[what](stream) do got[#got + 1] = bytes end
        end)
        assert.is_false(ok)
        assert.matches("^body broke off: reset", tostring(err))
        assert.same({ "reset", 77 }, { err.code, err.number })
        if what == "lines" then assert.same({ "one", "two" }, got) end
      end
    end)
  end)

  it("ends everything that waits when the connection is closed, and says why", function()
    with_pair(function(conn)
      neap.sleep(0.05)
      conn:close(42, "enough")
    end, function(conn)
      local stream = assert(conn:open_stream())
      assert(stream:write("x"))
      local bytes, message, code, number = stream:read()
      assert.same({ nil, "closed", 42 }, { bytes, code, number })
      assert.matches("enough", message)
      assert.is_nil(conn:open_stream())
    end)
  end)

  it("refuses a peer that speaks another protocol", function()
    local id = web.identity()
    web.run(function()
      local server = assert(neap.quic.listen { host = "127.0.0.1", port = 0, alpn = "a", cert = id.cert, key = id.key })
      local conn, message, code, number = neap.quic.connect("127.0.0.1:" .. server.port, { alpn = "b", ca = id.cert })
      assert.equal(0x100 + 120, number)
      assert.is_nil(conn)
      assert.equal("tls", code)
      assert.matches("no_application_protocol", message)
      server:close()
    end)
  end)
end)
