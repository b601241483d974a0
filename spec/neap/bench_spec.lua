--- neap bench against servers that answer, fail, stall, leave.
local helper = require "helper"
local json = require "neap.json"
local support = require "support.program"

local neap = support.neap

describe("neap bench", function()
  local folder, server

  setup(function() folder = helper.make_dir() end)
  teardown(function() helper.remove_dir(folder) end)
  after_each(support.end_all)

  -- A server whose app `code` fills.
  local function serve(code)
    helper.write_file(folder .. "/app.lua", ([[
      local neap = require "neap"
      local app = neap.app()
      %s
      assert(app:listen { host = "127.0.0.1", port = 0, shutdown_timeout = 0.1 })
    ]]):format(code))
    server = support.start("run " .. folder .. "/app.lua")
  end

  -- Output and exit code; URL in `words` is the server's.
  local function bench(words)
    return helper.run(neap .. " bench -k " .. words:gsub("URL", server.url))
  end

  local function result_of(words, expected)
    local output, status = bench("--json " .. words)
    assert.equal(expected or 0, status, output)
    return assert(json.decode(output:match("{.*}"))), output
  end

  it("prints how many requests were answered, how fast, and what it cost itself", function()
    serve [[app:get("/", function() return "high water" end)]]
    local output, status = bench("-n 500 -c 2 -m 5 URL")
    assert.equal(0, status, output)
    assert.matches("requests%s+500 answered, 0 failed in [%d.]+ %S+: [%d,]+ a second\n", output)
    assert.matches("status%s+200: 500\n", output)
    for _, name in ipairs { "latency", "first byte", "handshake" } do
      assert.matches(name .. "%s+p50 [%d.]+ %S+   p90 [%d.]+ %S+   p99 [%d.]+ %S+   p99.9 [%d.]+ %S+   max", output)
    end
    assert.matches("body%s+5.0 KB received", output)
    assert.matches("own CPU%s+[%d.]+ %S+ a request", output)
    assert.equal(0, server:stop())
  end)

  it("counts the same in JSON", function()
    serve [[app:get("/", function() return "high water" end)]]
    local r = result_of("-n 300 -c 3 -m 4 URL")
    assert.same({ 300, 300, 0, 0, 3, 3000 },
      { r.begun, r.answered, r.failed, r.open, r.connections_opened, r.body_received })
    assert.same({ { status = 200, count = 300 } }, r.statuses)
    assert.same({}, r.failures)
    assert.same({ 300, 300, 3 }, { r.latency.count, r.first_byte.count, r.connect.count })
    local l = r.latency
    assert.is_true(0 < l.min and l.min <= l.p50 and l.p50 <= l.p90 and l.p90 <= l.p99 and l.p99 <= l.p999 and
      l.p999 <= l.max and l.min <= l.mean and l.mean <= l.max)
    assert.is_true(r.cpu_per_request > 0 and r.udp_received > 3000 and r.udp_sent > 0)
    assert.is_true(math.abs(r.requests_per_second - 300 / r.seconds) < 1)
    assert.equal(0, server:stop())
  end)

  it("ends after a duration, and counts nothing of the warm-up", function()
    serve [[
      local count = 0
      app:get("/", function() count = count + 1; return "x" end)
      app:get("/count", function() return tostring(count) end)
    ]]
    local r = result_of("-D 400ms --warm-up 0.4 -c 1 -m 3 URL")
    assert.is_true(r.seconds >= 0.4 and r.answered > 0)
    local all = tonumber((helper.run(neap .. " get -k " .. server.url .. "count")))
    assert.is_true(r.answered < all, ("%d of %d"):format(r.answered, all))
    assert.equal(0, server:stop())
  end)

  it("sends method, headers and body, and asks for several URLs in turn", function()
    helper.write_file(folder .. "/body", ("tide"):rep(100000))
    serve [[
      app:route("PUT", "/a", function(req)
        local is_fine = req:body() == ("tide"):rep(100000) and req.headers["x-port"] == "5" and
          req.headers["content-length"] == "400000" and req.headers["user-agent"]:find("^neap%-bench/")
        return is_fine and 200 or 400
      end)
      app:route("PUT", "/b", function() return 201 end)
    ]]
    local r = result_of(("-n 10 -c 1 -m 3 -X PUT -H 'X-Port: 5' -d @%s/body URLa URLb"):format(folder))
    assert.same({ { status = 200, count = 5 }, { status = 201, count = 5 } }, r.statuses)
    assert.is_true(r.body_sent >= 5 * 400000) -- who does not read a body need not get it all
    assert.equal(0, server:stop())
  end)

  it("tells failures by their kind, and ends with 1", function()
    serve [[
      app:get("/reset", function(_, res) res:abort() end)
      app:get("/slow", function() neap.sleep(20) end)
      app:get("/half", function(_, res)
        res:write("first")
        neap.sleep(20)
      end)
    ]]
    local r = result_of("-n 6 -c 1 -m 2 URLreset", 1)
    assert.same({ 0, 6, { { reason = "reset: H3_INTERNAL_ERROR", count = 6 } } }, { r.answered, r.failed, r.failures })
    r = result_of("-n 2 -c 1 -m 2 --timeout 200ms URLslow", 1)
    assert.same({ 2, { { reason = "timeout: no response", count = 2 } } }, { r.failed, r.failures })
    r = result_of("-n 2 -c 1 -m 2 --timeout 200ms URLhalf", 1)
    assert.same({ 2, { { reason = "timeout: no end of the response", count = 2 } } }, { r.failed, r.failures })
    assert.equal(2, r.first_byte.count)
    local output = bench("-n 6 URLreset")
    assert.matches("failed%s+6 × reset: H3_INTERNAL_ERROR\n", output)
    assert.matches("neap: no request was answered: reset: H3_INTERNAL_ERROR\n", output)
    assert.equal(0, server:stop())
  end)

  it("takes a bad status for an answer, unless -f says otherwise", function()
    serve [[app:get("/", function() return 200 end)]]
    local r = result_of("-n 4 URLnone")
    assert.same({ { status = 404, count = 4 } }, r.statuses)
    local output, status = bench("-f -n 4 URLnone")
    assert.equal(1, status)
    assert.matches("neap: status 404", output)
    assert.equal(0, server:stop())
  end)

  it("keeps to a rate, and counts from when a request was to be sent", function()
    -- For 0.4 s nobody is served: of 150 requests 40 were to begin meanwhile. Counting from when they were sent, one
    -- alone would have been slow.
    serve [[
      local core = require "neap.core"
      local count = 0
      app:get("/", function()
        count = count + 1
        local until_then = core.now() + 0.4
        while count == 50 and core.now() < until_then do end
        return "x"
      end)
    ]]
    local r = result_of("-r 100 -D 1.5 -c 1 -m 1 URL")
    assert.is_true(r.begun >= 149 and r.begun <= 151, r.begun)
    assert.is_true(r.latency.p90 > 0.15, r.latency.p90)
    assert.is_true(r.latency.max >= 0.39, r.latency.max)
    r = result_of("-r 200 -n 20 -c 1 -m 1 URL")
    assert.same({ 20, 20, 0 }, { r.begun, r.answered, r.late })
    assert.equal(0, server:stop())
  end)

  it("counts what a rate asked for and was never sent", function()
    serve [[app:get("/", function() neap.sleep(20) end)]]
    local r, output = result_of("-r 50 -D 1 -c 1 -m 2 --timeout 10 URL", 1)
    assert.same({ 0, 0, 2 }, { r.answered, r.failed, r.open })
    assert.is_true(r.late >= 47 and r.late <= 48, r.late)
    assert.equal(r.late + 2, r.latency.count)
    assert.is_true(r.latency.p50 > 0.4, r.latency.p50)
    assert.matches("neap: no request was answered\n", output)
    assert.equal(0, server:stop())
  end)

  it("makes a connection for each request", function()
    serve [[app:get("/", function(req) return req.peer end)]]
    local r = result_of("--handshakes -n 7 -c 3 URL")
    assert.same({ 7, 7, 7, 0 }, { r.answered, r.connections_opened, r.connect.count, r.connections_lost })
    assert.is_true(r.latency.min > r.connect.min)
    assert.equal(0, server:stop())
  end)

  it("says how many connections were resumed, when they are to be", function()
    serve [[app:get("/", function(req) return tostring(req.is_resumed) end)]]
    local r = result_of("--handshakes --resume -n 20 -c 1 URL")
    assert.same({ 20, 19 }, { r.connections_opened, r.resumed })
    assert.equal(0, result_of("--handshakes -n 5 -c 1 URL").resumed)
    assert.matches("connections%s+5 opened %(4 resumed%), 0 lost", (bench("--handshakes --resume -n 5 -c 1 URL")))
    assert.matches("connections%s+2 opened %(0 resumed%), 0 lost", (bench("--resume -n 5 -c 2 URL")))
    assert.matches("connections%s+5 opened, 0 lost", (bench("--handshakes -n 5 -c 1 URL")))
    assert.equal(0, server:stop())
  end)

  it("goes on when the server wants another connection", function()
    -- A server that says GOAWAY with every third request of a connection, as those do that count them.
    helper.write_file(folder .. "/server.lua", [[
      local core = require "neap.core"
      local cert, key = core.make_certificate { names = { "localhost" }, days = 1 }
      local loop = core.loop()
      local endpoint = loop:listen(core.config { alpn = "h3", cert = cert, key = key }, "127.0.0.1:0")
      loop:catch_signals()
      print("listening on https://" .. endpoint:address() .. "/")
      io.stdout:flush()
      local sessions = {}
      repeat
        loop:wait(0.1)
        local conn = endpoint:next()
        while conn do
          local s = sessions[conn] or { h3 = core.h3(conn), count = 0 }
          sessions[conn] = s
          local event, stream = s.h3:poll()
          while event do
            if event == "headers" then
              s.count = s.count + 1
              if s.count == 3 then s.h3:goaway() end
              s.h3:respond(stream, 200, nil, "x")
            end
            event, stream = s.h3:poll()
          end
          if conn:is_closed() then sessions[conn] = nil end
          conn = endpoint:next()
        end
        loop:flush()
      until loop:signal()
    ]])
    server = support.start("run " .. folder .. "/server.lua")
    for _, streams in ipairs { 1, 5 } do
      local r = result_of("-n 20 -c 1 -m " .. streams .. " URL")
      assert.same({ 20, 0 }, { r.answered, r.failed })
      assert.is_true(r.connections_opened >= 4, r.connections_opened)
    end
    assert.equal(0, server:stop())
  end)

  it("sends again what the server had not begun with, and does not call it failed at the end", function()
    serve [[
      local count = 0
      app:get("/", function(_, res)
        count = count + 1
        if count % 3 == 0 then return "x" end
        res:abort(0x10b)
      end)
      app:get("/late", function(_, res)
        neap.sleep(0.4)
        res:abort(0x10b)
      end)
    ]]
    local r = result_of("-n 10 -c 1 -m 2 URL")
    assert.same({ 10, 0 }, { r.answered, r.failed })
    assert.is_true(r.rejected >= 18, r.rejected)
    r = result_of("-D 200ms -c 1 -m 2 URLlate", 1)
    assert.same({ 2, 0, 0, 2 }, { r.begun, r.answered, r.failed, r.open })
    assert.equal(0, server:stop())
  end)

  it("ends well when the server does", function()
    serve [[app:get("/", function() return "x" end)]]
    os.execute(("%s bench -k -D 30 --timeout 0.3 --json %s > %s/out 2>&1 &"):format(neap, server.url, folder))
    support.wait_until(function() return helper.run("pgrep -f 'bench -k -D 30'") ~= "" end)
    helper.run("sleep 0.5")
    server:stop()
    support.wait_until(function() return (helper.read_file(folder .. "/out") or ""):find("}\n") end, 20)
    local r = json.decode(helper.read_file(folder .. "/out"):match("{.*}"))
    assert.is_true(r.answered > 0)
    assert.is_true(r.connections_lost > 0)
  end)

  it("ends with 1 when the server left in the middle, and tells failed connections from failed requests", function()
    -- It answers, says that it leaves, and takes no other connection, as a server that got SIGTERM.
    serve [[
      local count = 0
      app:get("/", function()
        count = count + 1
        if count == 20 then os.execute("kill -TERM $PPID") end
        return "x"
      end)
    ]]
    local r, output = result_of("-D 1.5 -c 2 -m 2 -r 100 --timeout 0.8 URL", 1)
    assert.is_true(r.answered >= 19, output)
    assert.same({ 0, {} }, { r.failed, r.failures })
    assert.equal(0, r.connections_open)
    assert.is_true(r.connections_failed > 0 and #r.connection_failures > 0, output)
    assert.matches("neap: %d+ connections? failed, none was open at the end: connection[^\n]*\n", output)
    assert.equal(0, server:stop())
    -- Nor is it a success where no handshake has failed yet.
    serve [[app:get("/", function()
      os.execute("kill -TERM $PPID")
      return "x"
    end)]]
    output = bench("-D 0.5 -c 1 -m 1 -r 100 --timeout 60 URL; echo code $?")
    assert.matches("neap: [^\n]*n[^\n]* open at the end", output)
    assert.matches("connections%s+%d+ opened, %d+ lost, %d+ failed, 0 open at the end\n", output)
    assert.matches("code 1", output)
    assert.equal(0, server:stop())
  end)

  it("prints what there is when it is interrupted", function()
    serve [[app:get("/", function() return "x" end)]]
    os.execute(("(env %s bench -k -D 60 %s > %s/out 2>&1 & echo $! > %s/pid; wait $!; echo $? > %s/status) &"):format(
      neap, server.url, folder, folder, folder))
    helper.run("sleep 1")
    helper.run(("kill -INT $(cat %s/pid)"):format(folder))
    local status
    support.wait_until(function()
      status = (helper.read_file(folder .. "/status") or ""):match("%d+")
      return status
    end)
    local output = helper.read_file(folder .. "/out")
    assert.equal("1", status, output)
    assert.matches("neap: interrupted\n", output)
    assert.matches("requests%s+[%d,]+ answered", output)
    assert.equal(0, server:stop())
  end)

  it("verifies the server, and says when there is none", function()
    serve [[app:get("/", function() return "x" end)]]
    local output, status = helper.run(("%s bench -n 1 %s"):format(neap, server.url))
    assert.equal(1, status)
    assert.matches("^neap: [^\n]*unknown_ca[^\n]*\n$", output)
    local cert = support.cache .. "/neap/dev-cert.pem"
    output, status = helper.run(("%s bench -n 1 --ca %s --connect 127.0.0.1:%d https://localhost/"):format(neap, cert,
      server.port))
    assert.equal(0, status, output)
    assert.equal(0, server:stop())
    output, status = helper.run(neap .. " bench -k -n 1 --timeout 0.3 https://127.0.0.1:9/")
    assert.equal(1, status)
    assert.matches("^neap: 127.0.0.1:9: nobody listens there\n$", output)
  end)

  it("answers wrong usage with one clear line and exit code 2", function()
    for words, what in pairs {
      [""] = "which URL", ["-c 0 https://x/"] = "%-c takes a whole number", ["-m 1.5 https://x/"] = "%-m takes",
      ["-n x https://x/"] = "%-n takes", ["-r 0 https://x/"] = "%-r takes requests a second",
      ["-D 0 https://x/"] = "%-D takes seconds", ["-D 5x https://x/"] = "%-D takes seconds",
      ["--warm-up -1 https://x/"] = "%-%-warm%-up takes", ["--timeout no https://x/"] = "%-%-timeout takes",
      ["-c 100000 -m 100 https://x/"] = "1000000 requests", ["http://x/"] = "https",
      ["https://x/ https://y/"] = "several servers", ["--connect nowhere https://x/"] = "HOST:PORT",
      ["-H nothing https://x/"] = "a header is", ["-d @/none https://x/"] = "/none", ["--nope"] = "unknown option",
      ["-r 1e-12 https://x/"] = "%-r takes requests a second, from 0.0001 up to 10000000",
      ["-X CONNECT https://x/"] = "CONNECT",
      ["-H content-length:5 https://x/"] = 'content%-length says "5", and the body has 0 bytes',
      ["https://x/\195\164"] = "path", ["-H 'host: a,b' https://x/"] = "authority",
      ["-X 'G T' https://x/"] = "method", ["-H 'a b: c' https://x/"] = '"a b"',
    } do
      local output, status = helper.run("timeout -s KILL 5 env " .. neap .. " bench " .. words)
      assert.equal(2, status, words .. ": " .. output)
      assert.matches("^neap: [^\n]*" .. what, output)
    end
    local output, status = helper.run(neap .. " bench --help")
    assert.equal(0, status)
    assert.matches("neap bench", output)
  end)
end)
