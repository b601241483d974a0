-- Programs of others against HTTP/2 without TLS: h2spec (scripts/h2spec makes it), curl, nghttp.
local helper = require("spec.helper")
local leash = require("spec.support.leash")
local program = require("spec.support.program")
local units = require("neap.units")

if not units.transport.http2 then
  describe("HTTP/2 and programs of others", function()
    it("understand each other", function() pending("this build has no libnghttp2 (NEAP_WITH_HTTP2)") end)
  end)
  return
end

local h2 = require("spec.tcp.h2")
local listener = require("spec.tcp.h2_listener")

-- What a command says whose PORT is that of a listener, and its status.
local function visit(command, seconds)
  local socket, port = listener.open()
  local log = os.tmpname()
  local process = leash.start((command:gsub("PORT", port)), log)
  local ends = os.time() + seconds
  listener.serve(socket, function() return leash.status(process) or os.time() > ends end)
  local status = leash.stop(process)
  socket:close()
  local output = helper.read_file(log) or ""
  os.remove(log)
  return output, status
end

after_each(leash.end_all)

describe("a server of HTTP/2", function()
  it("fails none of h2spec's tests", function()
    local h2spec = helper.run("scripts/h2spec path"):match("%S+")
    if not helper.has_program(h2spec) then pending("there is no h2spec: run scripts/h2spec") return end
    local output, status = visit(helper.quote(h2spec) .. " -h 127.0.0.1 -p PORT -o 2", 120)
    assert.equal(0, status, output:match("Failures:.*") or output)
    local passed = tonumber(output:match("(%d+) passed, 0 skipped, 0 failed"))
    assert.is_true((passed or 0) >= 145, output)
  end)

  it("serves curl", function()
    if not helper.has_program("curl") then pending("there is no curl") return end
    local file = os.tmpname()
    helper.write_file(file, ("0123456789"):rep(100000))
    -- One connection each: with prior knowledge 7.88 cannot use one again.
    local curl = "curl -sS --http2-prior-knowledge -m 20 -w '%{http_version} %{size_download}\n' -o /dev/null "
    local got, got_status = visit(curl .. "http://127.0.0.1:PORT/big", 30)
    local output, status = visit(curl .. "--data-binary @" .. file .. " http://127.0.0.1:PORT/echo", 30)
    os.remove(file)
    assert.equal(0, status, output)
    assert.equal("2 1000000\n", output)
    assert.same({ "2 300000\n", 0 }, { got, got_status })
  end)

  it("serves nghttp, a hundred at a time", function()
    if not helper.has_program("nghttp") then pending("there is no nghttp: apt-get install nghttp2-client") return end
    local output, status = visit("nghttp -n -s -m 100 http://127.0.0.1:PORT/big", 60)
    assert.equal(0, status, output)
    assert.equal(100, select(2, output:gsub(" 200 +%S+ /big", "")), output)
  end)
end)

-- It thinks before it answers: tests send frames behind a request, and want its stream to be open.
local APP = [[
local neap = require "neap"
local app = neap.app()
app:get("/", function(req)
  neap.sleep(0.2)
  return "hello over " .. req.proto
end)
app:post("/", function(req) return req:body() end)
assert(app:listen { host = "127.0.0.1", port = 0, tcp = true })
neap.run()
]]

describe("an app over TCP", function()
  it("fails none of h2spec's tests, over TLS", function()
    local h2spec = helper.run("scripts/h2spec path"):match("%S+")
    if not helper.has_program(h2spec) then pending("there is no h2spec: run scripts/h2spec") return end
    local folder = helper.make_dir()
    helper.write_file(folder .. "/app.lua", APP)
    local server = program.start("run " .. helper.quote(folder .. "/app.lua"))
    local output, status = helper.run(("timeout 120 %s -t -k -h 127.0.0.1 -p %d -o 2"):format(helper.quote(h2spec),
      server.port))
    assert.equal(0, server:stop())
    helper.remove_dir(folder)
    assert.equal(0, status, output:match("Failures:.*") or output)
    assert.is_true((tonumber(output:match("(%d+) passed, 0 skipped, 0 failed")) or 0) >= 145, output)
  end)
end)

describe("a server of HTTP/2 and Node", function()
  local SCRIPT = [[
    const session = require("http2").connect("http://127.0.0.1:PORT");
    session.on("error", (error) => { console.log("session", error.message); process.exit(1); });
    const sent = Buffer.alloc(100000, "node"), open = new Set();
    function done(i) {
      open.delete(i);
      if (open.size === 0) session.ping(() => { console.log("all"); session.close(); });
    }
    for (let i = 0; i < 50; i++) open.add(i);
    for (let i = 0; i < 50; i++) {
      const request = session.request({ ":method": "POST", ":path": "/echo" });
      if (i % 5 === 0) { // is given up
        request.write(sent);
        setTimeout(() => request.close(8), 10);
        request.on("close", () => done(i));
        continue;
      }
      const parts = [];
      let status;
      request.on("response", (fields) => { status = fields[":status"]; });
      request.on("data", (part) => parts.push(part));
      request.on("end", () => {
        if (status === 200 && Buffer.concat(parts).equals(sent)) return done(i);
        console.log("wrong", i, status);
        process.exit(1);
      });
      request.end(sent);
    }]]

  it("exchange bodies, fifty at a time, of which some are given up", function()
    if not helper.has_program("node") then pending("there is no Node") return end
    local output, status = visit("node -e " .. helper.quote(SCRIPT), 30)
    assert.equal("all\n", output)
    assert.equal(0, status)
  end)
end)

describe("a client of HTTP/2", function()
  it("fetches a file from nginx, and posts to it", function()
    if not helper.has_program("nginx") then pending("there is no nginx") return end
    local folder = helper.make_dir()
    local socket, port = units.tcp.listen()
    socket:close()
    local body = ("0123456789"):rep(100000)
    helper.write_file(folder .. "/file", body)
    helper.sh("chmod 755 " .. helper.quote(folder))
    helper.write_file(folder .. "/nginx.conf", ([[
      daemon off; master_process off; pid %s/pid; error_log %s/error.log; events {}
      http {
        access_log off; client_body_temp_path %s/t1; proxy_temp_path %s/t2; fastcgi_temp_path %s/t3;
        uwsgi_temp_path %s/t4; scgi_temp_path %s/t5; client_max_body_size 2m;
        server { listen 127.0.0.1:%d http2; root %s; location /post { return 204; } }
      }]]):gsub("%%s", folder):gsub("%%d", port))
    local log = os.tmpname()
    local nginx = leash.start("nginx -c " .. helper.quote(folder .. "/nginx.conf"), log)
    local connection
    leash.wait_until(function()
      connection = units.tcp.connect(port)
      return connection
    end)
    local client = h2.client()
    local get = { { ":method", "GET" }, { ":scheme", "http" }, { ":authority", "localhost" }, { ":path", "/file" } }
    local post = h2.with({ { ":method", "POST" } }, get[2], get[3], { ":path", "/post" },
      { "content-length", tostring(#body) })
    for _ = 1, 20 do assert(client:send_request(get, true)) end
    local upload, left = assert(client:send_request(post, false)), body
    local function go_on() left = left:sub((client:send_body(upload, left, true) or 0) + 1) end
    go_on()
    local got, ended, status, ends = {}, 0, {}, os.time() + 20
    while ended < 21 and os.time() < ends do
      connection:send(client:send())
      local bytes = connection:receive(50)
      if bytes then assert.equal(#bytes, client:receive(bytes)) end
      for _, event in ipairs((h2.events(client))) do
        local id = event.stream
        if event.type == "headers" then status[id] = event.fields[1][2] end
        if event.type == "data" then got[id] = (got[id] or "") .. event.body end
        if event.type == "finished" then ended = ended + 1 end
        if event.type == "writable" then go_on() end
      end
    end
    assert.equal(21, ended)
    for id = 1, 39, 2 do assert.is_true(status[id] == "200" and got[id] == body) end
    assert.equal("204", status[upload])
    client:free()
    connection:close()
    leash.stop(nginx)
    os.remove(log)
    helper.remove_dir(folder)
  end)
end)
