local neap = require "neap"
local sim = require "neap.sim"
local web = require "support.web"

-- Serves events in virtual time: handler(es, req, res) at the server, client(response, lab) at the client.
local function with_events(handler, client, given, request)
  local lab = sim.new { seed = 1 }
  lab:link { delay = 0.02 }
  local server_host = lab:host("server.example", "10.1.0.1")
  local client_host = lab:host("client.example", "10.2.0.1")
  server_host:run(function()
    local app = neap.app()
    app:get("/", function(req, res) return handler(res:sse(given), req, res) end)
    assert(app:listen { port = 443 })
  end)
  client_host:run(function()
    local user = neap.client { verify_peer = false, progress_timeout = 1000 }
    client(assert(user:get("https://server.example/", request)))
  end)
  lab:run(2000)
  lab:close()
end

local function all(given, send)
  local text
  web.with_app(function(app)
    app:get("/", function(_, res) send(res:sse(given)) end)
  end, function(client, url)
    local r = assert(client:get(url .. "/"))
    assert.same({ 200, "text/event-stream", "no-store", nil }, { r.status, r.headers["content-type"],
      r.headers["cache-control"], r.headers["content-length"] })
    text = r:body()
  end)
  return text
end

describe("server-sent events", function()
  it("have their fields, and a line of each line of data", function()
    assert.equal("retry: 2500\n\nevent: tide\nid: 7\ndata: high\n\ndata: a\ndata: b\ndata: c\ndata: \n\n" ..
      'data: {"level":3}\n\nid: \nretry: 1000\ndata: 5\n\n: so\n: it is\n\n', all({ retry = 2.5 }, function(es)
      assert(es:send { event = "tide", id = 7, data = "high" })
      assert(es:send "a\r\nb\rc\n")
      assert(es:send { data = { level = 3 } })
      assert(es:send { id = "", retry = 1, data = 5 })
      assert(es:comment "so\nit is")
    end))
  end)

  it("take no fields that would be others", function()
    assert.equal(":\n\n", all(nil, function(es)
      for _, event in ipairs { { event = "a\ndata: b" }, { id = "1\r2" }, { id = "1\0" }, { retry = "x" },
        { evnt = "x" }, {}, { retry = -1 }, { data = { print } } } do
        assert.is_false(pcall(es.send, es, event))
      end
    end))
  end)

  it("tell what the client had last", function()
    local id
    with_events(function(es) id = es.last_id end, function(r) r:body() end, nil,
      { headers = { ["last-event-id"] = "41" } })
    assert.equal("41", id)
  end)

  it("have a comment after so many seconds of silence, and none while something is sent", function()
    local text
    with_events(function(es)
      for i = 1, 4 do
        es:wait(6)
        assert(es:send(i))
      end
      es:wait(25)
    end, function(r) text = r:body() end, { heartbeat = 10 })
    assert.equal(":\n\ndata: 1\n\ndata: 2\n\ndata: 3\n\ndata: 4\n\n:\n\n:\n\n", text)
    with_events(function(es) es:wait(100) end, function(r) text = r:body() end, { heartbeat = false })
    assert.equal(":\n\n", text)
  end)

  it("tell at once that the client is gone", function()
    local begun, gone, was_open, results
    with_events(function(es)
      begun = neap.now()
      was_open = es:wait(500)
      gone = neap.now() - begun
      results = { es.closed, es:send "x" }
      es:send "y"
      results.went_on = true
    end, function(r)
      neap.sleep(3)
      r:close()
    end)
    assert.is_false(was_open)
    assert.is_true(gone > 2.9 and gone < 3.2, gone)
    assert.same({ true, nil, "the peer wants no more", "stopped" }, results)
  end)

  it("end when the server does, so that it need not wait for them", function()
    local server, took
    local text
    web.with_app(function(app)
      app:get("/", function(_, res)
        local es = res:sse()
        while es:wait(100) do es:send "never" end
        es:send "bye"
      end)
    end, function(client, url, one)
      server = one
      local r = assert(client:get(url .. "/"))
      assert.equal(":\n\n", r:read())
      local begun = neap.now()
      neap.go(function()
        server:shutdown(10)
        took = neap.now() - begun
      end)
      text = r:body()
      client:close()
      while not took do neap.sleep(0.01) end
    end)
    assert.equal("data: bye\n\n", text)
    assert.is_true(took < 5, took)
  end)

  it("wait for a client that is slower, without comments in between", function()
    local sent, text = 0, nil
    local data = ("x"):rep(100000)
    with_events(function(es)
      for _ = 1, 40 do
        assert(es:send(data))
        sent = sent + 1
      end
    end, function(r)
      neap.sleep(50)
      assert.is_true(sent > 0 and sent < 30, sent)
      text = r:body()
    end, { heartbeat = 1 })
    assert.is_true(text == ":\n\n" .. ("data: " .. data .. "\n\n"):rep(40))
  end)

  it("are nothing but headers for HEAD", function()
    web.with_app(function(app)
      app:get("/", function(_, res)
        local es = res:sse()
        assert.is_true(es.closed)
        assert.is_false(es:wait(100))
      end)
    end, function(client, url)
      local r = assert(client:head(url .. "/"))
      assert.same({ 200, "text/event-stream", "" }, { r.status, r.headers["content-type"], r:body() })
    end)
  end)
end)
