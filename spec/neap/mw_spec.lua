-- The middleware that neap ships, over loopback and in virtual time.
local neap = require "neap"
local address = require "neap.ip_address"
local core = require "neap.core"
local helper = require "helper"
local sim = require "neap.sim"
local web = require "support.web"

local mw = neap.mw

-- Serves what `build(app)` makes and runs fn(get, lab): get(path, options) asks it, in virtual time.
local function serve(build, fn)
  local lab = sim.new{ seed = 5 }
  lab:link{ delay = 0.01 }
  local server, client = lab:host("server.example", "10.1.0.1"), lab:host("client.example", "10.2.0.1")
  server:go(function()
    local app = neap.app()
    build(app)
    assert(app:listen{ port = 443 })
  end)
  client:run(function()
    fn(function(path, options)
      local given = {}
      for name, value in pairs(options or {}) do given[name] = value end
      local method = given.method or "GET"
      given.method = nil
      return assert(neap.client.request(method, "https://server.example" .. path, given))
    end)
  end)
  lab:close()
end

describe("neap.mw", function()
  it("names what it has when it is asked for something else, and refuses unknown options", function()
    assert.error_matches(function() return mw.cros end, "neap.mw has no \"cros\": it has access_log")
    assert.error_matches(function() mw.cors{ orign = "*" } end, "unknown option 'orign' of cors")
    assert.error_matches(function() mw.rate_limit{} end, "takes a `limit`")
    assert.error_matches(function() mw.cors{ credentials = true } end, "named origins")
    assert.error_matches(function() mw.ip_filter{ allow = { "10.0.0.0/33" } } end, "no address and no prefix")
    assert.error_matches(function() mw.basic_auth{} end, "`users` or `check`")
    assert.error_matches(function() mw.compress{ encodings = { "lzma" } } end, "no encoding \"lzma\"")
    assert.error_matches(function() mw.compress{ levels = { gzip = 99 } } end, "no level of gzip")
    assert.error_matches(function() mw.session{} end, "takes `keys`")
    assert.error_matches(function() mw.csrf{ trusted_origins = { "admin.example" } } end, "an origin is like")
  end)
end)

describe("request_id", function()
  it("names each request, and takes a name only where it is trusted and safe", function()
    serve(function(app)
      app:use(mw.request_id())
      app:use("/trusted", mw.request_id{ trust = true, header = "X-Trace" })
      app:get("/", function(req) return req.request_id end)
      app:get("/trusted", function(req) return req.request_id end)
    end, function(get)
      local first, second = get("/", { headers = { ["x-request-id"] = "mine" } }), get("/")
      assert.matches("^%x+$", first.headers["x-request-id"])
      assert.equal(32, #first.headers["x-request-id"])
      assert.equal(first.headers["x-request-id"], first:body())
      assert.not_equal(first.headers["x-request-id"], second.headers["x-request-id"])
      assert.equal("job-7.a", get("/trusted", { headers = { ["x-trace"] = "job-7.a" } }):body())
      for _, bad in ipairs { "a b", "a\"b", ("x"):rep(129) } do
        assert.matches("^%x+$", get("/trusted", { headers = { ["x-trace"] = bad } }):body())
      end
    end)
  end)
end)

describe("cors", function()
  it("answers preflights, and says on responses who may read them", function()
    serve(function(app)
      app:use(mw.cors{ origin = { "https://a.example" }, credentials = true, expose = { "x-total" }, max_age = 60 })
      app:get("/", function() return "data" end)
      app:get("/varied", function() return 200, "data", { vary = "accept" } end)
      app:post("/", function() return 201 end)
    end, function(get)
      local res = get("/", { headers = { origin = "https://a.example" } })
      assert.equal("https://a.example", res.headers["access-control-allow-origin"])
      assert.equal("true", res.headers["access-control-allow-credentials"])
      assert.equal("x-total", res.headers["access-control-expose-headers"])
      assert.equal("origin", res.headers.vary)
      res = get("/varied", { headers = { origin = "https://a.example" } })
      assert.equal("accept, origin", res.headers.vary)
      res = get("/", { headers = { origin = "https://evil.example" } })
      assert.equal("data", res:body())
      assert.is_nil(res.headers["access-control-allow-origin"])
      assert.equal("origin", res.headers.vary)
      res = get("/", { method = "OPTIONS", headers = { origin = "https://a.example",
        ["access-control-request-method"] = "PUT", ["access-control-request-headers"] = "x-one" } })
      assert.equal(204, res.status)
      assert.equal("GET, HEAD, PUT, POST, DELETE, PATCH", res.headers["access-control-allow-methods"])
      assert.equal("x-one", res.headers["access-control-allow-headers"])
      assert.equal("60", res.headers["access-control-max-age"])
      res = get("/", { method = "OPTIONS", headers = { origin = "https://evil.example",
        ["access-control-request-method"] = "PUT" } })
      assert.is_nil(res.headers["access-control-allow-methods"])
      assert.is_nil(res.headers["access-control-allow-origin"])
    end)
  end)
end)

describe("body_limit", function()
  it("refuses bodies that say they are longer, and those that turn out to be, whichever way they are read", function()
    local reads = {
      body = function(req) return #assert(req:body()) .. "" end,
      json = function(req) return assert(req:json()) end,
      save = function(req)
        local path = os.tmpname()
        local ok, size = pcall(req.save, req, path)
        os.remove(path)
        if not ok then error(size, 0) end
        return size .. ""
      end,
      chunks = function(req)
        local size = 0
        for chunk in req:chunks() do size = size + #chunk end
        return size .. ""
      end,
    }
    serve(function(app)
      app:use(mw.body_limit{ bytes = 1000 })
      for name, read in pairs(reads) do app:post("/" .. name, read) end
    end, function(get)
      local function pieces(count)
        return function()
          count = count - 1
          return count >= 0 and ("x"):rep(100) or nil
        end
      end
      for name in pairs(reads) do
        if name ~= "json" then
          assert.equal("1000", get("/" .. name, { method = "POST", body = pieces(10) }):body(), name)
          assert.equal("1000", get("/" .. name, { method = "POST", body = ("x"):rep(1000) }):body(), name)
        end
        local res = get("/" .. name, { method = "POST", body = pieces(11) })
        assert.equal(413, res.status, name)
        assert.equal("the body has more than 1000 bytes\n", res:body())
        assert.equal(413, get("/" .. name, { method = "POST", body = ("x"):rep(1001) }).status, name)
      end
    end)
  end)
end)

describe("timeout", function()
  it("answers for a handler that waits too long, and leaves others alone", function()
    local ended
    serve(function(app)
      app:use(mw.timeout{ seconds = 2 })
      app:get("/slow", function()
        ended = select(3, neap.sleep(10))
        neap.sleep(10)
        return "never"
      end)
      app:get("/says", function()
        local _, _, code = neap.sleep(10)
        return 504, "a part had a " .. code
      end)
      app:get("/quick", function()
        neap.sleep(1)
        return "quick"
      end)
      app:get("/pieces", function(_, res)
        res:write("one")
        neap.sleep(5)
        neap.sleep(5)
        res:write("two")
      end)
    end, function(get)
      local begun = neap.now()
      local res = get("/slow")
      assert.equal(503, res.status)
      assert.equal("service unavailable\n", res:body())
      assert.equal("timeout", ended)
      assert.is_true(neap.now() - begun < 2.2)
      res = get("/says")
      assert.equal(504, res.status)
      assert.equal("a part had a timeout", res:body())
      assert.equal("quick", get("/quick"):body())
      local cut = get("/pieces")
      assert.equal(200, cut.status)
      assert.is_nil((cut:body()))
    end)
  end)

  it("is no other request's, however the handler ended", function()
    serve(function(app)
      app:use("/bounded", mw.timeout{ seconds = 2 })
      app:get("/bounded", function(_, res)
        res:write("one")
        neap.sleep(1)
        error(setmetatable({}, { __tostring = function() error("an error that has no text") end }))
      end)
      app:get("/", function()
        neap.sleep(5)
        neap.sleep(1)
        return "all the time there is"
      end)
    end, function(get)
      local log = web.logged(function()
        for _ = 1, 3 do assert.is_nil((get("/bounded"):body())) end
      end)
      assert.matches("__tostring fails", log)
      for _ = 1, 3 do assert.equal("all the time there is", get("/"):body()) end
    end)
  end)
end)

describe("basic_auth and bearer_auth", function()
  local function basic(text)
    local out = helper.run(("printf %%s %s | base64 -w0"):format(helper.quote(text)))
    return { headers = { authorization = "Basic " .. out } }
  end

  it("let in who has a password, and say what is wanted", function()
    serve(function(app)
      app:use("/basic", mw.basic_auth{ users = { root = "geheim:x", ["ä"] = "" }, realm = "lab" })
      app:get("/basic", function(req) return req.user end)
      app:use("/asked", mw.basic_auth{ check = function(name, password)
        neap.sleep(0.1)
        return name == password and "double " .. name
      end })
      app:get("/asked", function(req) return req.user end)
    end, function(get)
      local res = get("/basic")
      assert.equal(401, res.status)
      assert.equal('Basic realm="lab", charset="UTF-8"', res.headers["www-authenticate"])
      assert.equal("root", get("/basic", basic("root:geheim:x")):body())
      assert.equal("ä", get("/basic", basic("ä:")):body())
      for _, wrong in ipairs { "root:geheim:", "root", "nobody:x", ":", "root:geheim:xy" } do
        assert.equal(401, get("/basic", basic(wrong)).status, wrong)
      end
      for _, wrong in ipairs { "Basic ====", "Basic x", "Basic " .. ("A"):rep(8192), "Bearer x", "Basic" } do
        assert.equal(401, get("/basic", { headers = { authorization = wrong } }).status)
      end
      assert.equal("double b", get("/asked", basic("b:b")):body())
      assert.equal(401, get("/asked", basic("b:c")).status)
    end)
  end)

  it("let in who has a token", function()
    serve(function(app)
      app:use(mw.bearer_auth{ tokens = { ["abc-1.2"] = "sensor", "plain" } })
      app:get("/", function(req) return tostring(req.user) end)
    end, function(get)
      local function with(text) return get("/", { headers = { authorization = text } }) end
      assert.equal("sensor", with("Bearer abc-1.2"):body())
      assert.equal("true", with("bearer  plain"):body())
      assert.equal('Bearer realm="restricted"', get("/").headers["www-authenticate"])
      for _, wrong in ipairs { "Bearer abc-1.3", "Bearer", "Bearer a b", "Basic abc-1.2" } do
        local res = with(wrong)
        assert.equal(401, res.status)
        assert.matches('error="invalid_token"', res.headers["www-authenticate"])
      end
    end)
  end)
end)

describe("ip_filter", function()
  it("reads addresses and prefixes of both families", function()
    local function under(text, prefix) return address.is_under(address.parse(text), address.prefix(prefix)) end
    assert.is_true(under("10.1.2.3", "10.0.0.0/8"))
    assert.is_false(under("11.1.2.3", "10.0.0.0/8"))
    assert.is_true(under("192.0.2.129", "192.0.2.128/25"))
    assert.is_false(under("192.0.2.127", "192.0.2.128/25"))
    assert.is_true(under("::ffff:10.1.2.3", "10.0.0.0/8"))
    assert.is_true(under("2001:db8:1::5%eth0", "2001:db8::/32"))
    assert.is_false(under("2001:db9::", "2001:db8::/32"))
    assert.is_true(under("1.2.3.4", "0.0.0.0/0"))
    assert.is_false(under("::1", "0.0.0.0/0"))
    for _, text in ipairs { "1.2.3", "1.2.3.256", "01.2.3.4", "::1::", "1:2:3:4:5:6:7", "g::", "12345::", "", ":",
      "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7::8:9", "1.2.3.4:5::" } do
      assert.is_nil(address.parse(text), text)
    end
    for _, text in ipairs { "::", "1::", "::1", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:1.2.3.4", "fe80::1%lo" } do
      assert.equal(16, #address.parse(text), text)
    end
    assert.equal("2001:db8::1", address.of_peer("[2001:db8::1]:443"))
    assert.equal("1.2.3.4", address.of_peer("1.2.3.4:9"))
  end)

  it("lets in by prefix, and denies first", function()
    serve(function(app)
      app:use("/in", mw.ip_filter{ allow = { "10.0.0.0/8" } })
      app:use("/out", mw.ip_filter{ allow = { "10.0.0.0/8" }, deny = { "10.2.0.1" } })
      app:use("/other", mw.ip_filter{ allow = { "192.168.0.0/16" } })
      app:use("/none", mw.ip_filter{ deny = { "::/0" }, ip = function() return "what" end })
      app:get("/*rest", function() return "in" end)
    end, function(get)
      assert.equal(200, get("/in").status)
      for _, path in ipairs { "/out", "/other", "/none" } do assert.equal(403, get(path).status, path) end
    end)
  end)
end)

describe("rate_limit", function()
  it("lets a burst through, then as many as the rate, and says when", function()
    serve(function(app)
      app:use(mw.rate_limit{ limit = 2, per = 1, burst = 3 })
      app:get("/", function() return "ok" end)
    end, function(get)
      local statuses, left = {}, {}
      for i = 1, 5 do
        local res = get("/")
        statuses[i], left[i] = res.status, res.headers.ratelimit
        if res.status == 429 then assert.equal("1", res.headers["retry-after"]) end
      end
      assert.same({ 200, 200, 200 }, { statuses[1], statuses[2], statuses[3] })
      assert.equal(429, statuses[5])
      assert.equal('"default";q=3;w=2', get("/").headers["ratelimit-policy"])
      assert.matches('^"default";r=2;t=1$', left[1])
      neap.sleep(1)
      assert.equal(200, get("/").status)
    end)
  end)

  it("keeps a bounded number of keys, and forgets who was not seen longest", function()
    local store = require("neap.mw.buckets").new(100)
    assert.is_true(store:take("first", 1, 1, 1, 0))
    assert.is_false((store:take("first", 1, 1, 1, 0)))
    for i = 1, 99 do store:take("k" .. i, 1, 1, 1, 0) end
    assert.is_false((store:take("first", 1, 1, 1, 0)))
    for i = 1, 10000 do
      store:take("x" .. i, 1, 1, 1, 0)
      if i % 50 == 0 then assert.is_false((store:take("first", 1, 1, 1, 0)), i) end
    end
    local count = 0
    for _, part in ipairs { store.young, store.old } do
      for _ in pairs(part) do count = count + 1 end
    end
    assert.is_true(count <= 200, count)
    assert.is_true(store:take("k1", 1, 1, 1, 0)) -- forgotten
    assert.equal(address.group("2001:db8::1"), address.group("2001:db8::ffff:2"))
    assert.not_equal(address.group("10.0.0.1"), address.group("10.0.0.2"))
  end)

  it("asks another store, and tells when that fails", function()
    local asked = {}
    serve(function(app)
      app:use("/a", mw.rate_limit{ limit = 5, by = function(req) return req.headers["x-key"] end,
        cost = function() return 2 end, store = { take = function(_, key, cost, rate, burst)
          asked = { key, cost, rate, burst }
          neap.sleep(0.1)
          return true, 1, 0
        end } })
      app:use("/b", mw.rate_limit{ limit = 5, store = { take = function() return nil, "redis is away" end } })
      app:get("/*all", function() return "ok" end)
      app:on_error(function(err) return 500, err end)
    end, function(get)
      assert.equal(200, get("/a", { headers = { ["x-key"] = "k" } }).status)
      assert.same({ "k", 2, 5, 5 }, asked)
      asked = {}
      assert.equal(200, get("/a").status)
      assert.same({}, asked)
      assert.matches("redis is away", get("/b"):body())
    end)
  end)
end)

describe("etag", function()
  it("tags whole bodies, and answers 304 to who has one", function()
    serve(function(app)
      app:use(mw.etag())
      app:get("/", function() return "the body" end)
      app:get("/own", function(_, res) return res:header("etag", '"own"'):send("x") end)
      app:get("/missing", function() return 404, "nothing" end)
    end, function(get)
      local res = get("/")
      local tag = res.headers.etag
      assert.matches('^"%x+"$', tag)
      assert.equal("the body", res:body())
      res = get("/", { headers = { ["if-none-match"] = 'W/"x", ' .. tag } })
      assert.equal(304, res.status)
      assert.equal(tag, res.headers.etag)
      assert.equal("", res:body())
      assert.equal(412, get("/", { headers = { ["if-match"] = '"other"' } }).status)
      assert.equal('"own"', get("/own").headers.etag)
      assert.equal(304, get("/own", { headers = { ["if-none-match"] = '"own"' } }).status)
      assert.is_nil(get("/missing").headers.etag)
      assert.equal(tag, get("/", { method = "HEAD" }).headers.etag)
    end)
  end)
end)

describe("secure_headers", function()
  it("sets what a handler does not, error pages too", function()
    serve(function(app)
      app:use(mw.secure_headers{ content_security_policy = "default-src 'self'", x_frame_options = false })
      app:get("/", function(_, res) return res:header("referrer-policy", "no-referrer"):send("x") end)
      app:get("/bad", function() error("oops") end)
      app:on_error(function() return 500 end)
    end, function(get)
      local res = get("/")
      assert.equal("no-referrer", res.headers["referrer-policy"])
      assert.equal("nosniff", res.headers["x-content-type-options"])
      assert.equal("default-src 'self'", res.headers["content-security-policy"])
      assert.is_nil(res.headers["x-frame-options"])
      assert.equal("nosniff", get("/bad").headers["x-content-type-options"])
    end)
  end)
end)

describe("csrf", function()
  it("refuses what another site has a browser send, and nothing else", function()
    serve(function(app)
      app:use(mw.csrf{ trusted_origins = { "https://admin.example" } })
      app:any("/", function() return "done" end)
    end, function(get)
      local function post(headers) return get("/", { method = "POST", headers = headers }).status end
      assert.equal(200, post())
      assert.equal(200, post{ ["sec-fetch-site"] = "same-origin" })
      assert.equal(200, post{ ["sec-fetch-site"] = "none" })
      assert.equal(403, post{ ["sec-fetch-site"] = "cross-site" })
      assert.equal(403, post{ ["sec-fetch-site"] = "same-site" })
      assert.equal(200, post{ origin = "https://server.example" })
      assert.equal(403, post{ origin = "https://server.example.evil" })
      assert.equal(403, post{ origin = "null" })
      assert.equal(200, post{ origin = "https://admin.example", ["sec-fetch-site"] = "cross-site" })
      assert.equal(200, get("/", { headers = { ["sec-fetch-site"] = "cross-site" } }).status)
    end)
  end)
end)

describe("compress", function()
  local COMMANDS = { gzip = "gzip -dc", br = "brotli -dc", zstd = "zstd -dc" }

  local function decoded(name, bytes)
    if not helper.has_program(COMMANDS[name]:match("^%S+")) then return nil end
    local path = os.tmpname()
    helper.write_file(path, bytes)
    local text = helper.run(("%s <%s"):format(COMMANDS[name], path))
    os.remove(path)
    return text
  end

  local TEXT = ("a line that comes again and again\n"):rep(500)

  it("is in the coding that the client likes best, whole and in pieces", function()
    serve(function(app)
      app:use(mw.compress())
      app:get("/whole", function() return TEXT end)
      app:get("/pieces", function(_, res)
        res:header("content-type", "text/plain")
        for _ = 1, 5 do
          res:write(TEXT)
          neap.sleep(1)
        end
      end)
    end, function(get)
      for _, name in ipairs(core.codings()) do
        for path, wanted in pairs { ["/whole"] = TEXT, ["/pieces"] = TEXT:rep(5) } do
          local res = get(path, { headers = { ["accept-encoding"] = name } })
          assert.equal(name, res.headers["content-encoding"])
          assert.equal("accept-encoding", res.headers.vary)
          local body = res:body()
          assert.is_true(#body < 2000, #body)
          local text = decoded(name, body)
          if text then assert.equal(wanted, text) end
        end
      end
      assert.is_truthy(decoded("gzip", get("/whole", { headers = { ["accept-encoding"] = "gzip" } }):body()))
      local function coding_for(accepted)
        return get("/whole", { headers = { ["accept-encoding"] = accepted } }).headers["content-encoding"]
      end
      assert.equal("gzip", coding_for("br;q=0.5, gzip"))
      assert.is_nil(coding_for("gzip;q=0"))
      assert.equal(TEXT, get("/whole"):body())
      -- A piece does not wait for the next.
      local begun = neap.now()
      local res = get("/pieces", { headers = { ["accept-encoding"] = "gzip" } })
      assert.is_truthy(res:read())
      assert.is_true(neap.now() - begun < 0.5)
    end)
  end)

  it("leaves alone what would not become smaller, or must stay as it is", function()
    serve(function(app)
      app:use(mw.compress())
      local function with(path, headers, body)
        app:get(path, function() return 200, body or TEXT, headers end)
      end
      with("/small", {}, "small")
      with("/image", { ["content-type"] = "image/png" })
      with("/coded", { ["content-encoding"] = "x-own" })
      with("/fixed", { ["cache-control"] = "public, no-transform" })
      with("/tagged", { etag = '"one"' })
      app:get("/none", function() return 204 end)
      app:get("/told", function(_, res)
        res:header("content-type", "text/plain"):header("content-length", 5):write("small")
      end)
    end, function(get)
      local headers = { ["accept-encoding"] = "gzip" }
      for _, path in ipairs { "/small", "/image", "/fixed", "/none" } do
        assert.is_nil(get(path, { headers = headers }).headers["content-encoding"], path)
      end
      assert.equal("x-own", get("/coded", { headers = headers }).headers["content-encoding"])
      assert.is_nil(get("/told", { headers = headers }).headers["content-encoding"])
      assert.equal('W/"one"', get("/tagged", { headers = headers }).headers.etag)
      local res = get("/tagged", { method = "HEAD", headers = headers })
      assert.equal("", res:body())
    end)
  end)

  it("has files in it, and not parts of them", function()
    local path = os.tmpname()
    helper.write_file(path, TEXT:rep(20))
    local handler = function(_, res) return res:file(path, { type = "text/plain" }) end
    serve(function(app)
      app:use("/coded", mw.compress())
      app:get("/coded", handler)
      app:use("/late", mw.compress())
      app:get("/late", function(_, res)
        res:trailers{ ["x-sum"] = "1" }
        return res:file(path, { type = "text/plain" })
      end)
    end, function(get)
      for _, name in ipairs(core.codings()) do
        for _, where in ipairs { "/coded", "/late" } do
          local res = get(where, { headers = { ["accept-encoding"] = name } })
          assert.equal(name, res.headers["content-encoding"])
          assert.matches('^W/"', res.headers.etag)
          local body = res:body()
          assert.is_true(#body < 10000, #body)
          local text = decoded(name, body)
          if text then assert.equal(TEXT:rep(20), text) end
        end
      end
      local res = get("/coded", { headers = { ["accept-encoding"] = "gzip", range = "bytes=2-5" } })
      assert.same({ 206, "line" }, { res.status, res:body() })
    end)
    os.remove(path)
  end)

  it("has comments of a stream of events in it", function()
    if not helper.has_program("gzip") then pending("no gzip") return end
    serve(function(app)
      app:use(mw.compress())
      app:get("/", function(_, res)
        local es = res:sse{ heartbeat = 1 }
        neap.sleep(3.5)
        es:send("one")
        neap.sleep(1.5)
      end)
    end, function(get)
      local res = get("/", { headers = { ["accept-encoding"] = "gzip" } })
      assert.equal("gzip", res.headers["content-encoding"])
      assert.equal((":\n\n"):rep(4) .. "data: one\n\n:\n\n", decoded("gzip", res:body()))
    end)
  end)
end)

describe("session", function()
  local KEY = ("k"):rep(32)

  local function cookie_of(res)
    local line = res.headers["set-cookie"]
    return line and line:match("^([^;]+)"), line
  end

  local function routes(app)
    app:get("/count", function(req)
      req.session.count = (req.session.count or 0) + 1
      return req.session.count .. ""
    end)
    app:get("/read", function(req) return tostring(req.session.count) end)
    app:get("/login", function(req)
      req.session_is_new = true
      req.session.count = 100
      return "in"
    end)
    app:get("/out", function(req)
      req.session = nil
      return "out"
    end)
  end

  for name, store in pairs { ["a cookie"] = false, ["a store"] = "memory" } do
    it("lives in " .. name .. " from request to request, and cannot be made up", function()
      serve(function(app)
        app:use(mw.session{ keys = KEY, store = store or nil })
        routes(app)
      end, function(get)
        local res = get("/count")
        local cookie, line = cookie_of(res)
        assert.matches("^__Host%-session=", line)
        assert.matches("; HttpOnly", line)
        assert.matches("; Secure", line)
        assert.equal("1", res:body())
        res = get("/count", { headers = { cookie = cookie } })
        assert.equal("2", res:body())
        cookie = cookie_of(res) or cookie
        res = get("/read", { headers = { cookie = cookie } })
        assert.equal("2", res:body())
        assert.is_nil(res.headers["set-cookie"])
        assert.equal("nil", get("/read", { headers = { cookie = cookie:gsub("=..", "=xx") } }):body())
        assert.is_nil(get("/read").headers["set-cookie"])
        local after = cookie_of(get("/login", { headers = { cookie = cookie } }))
        assert.not_equal(cookie, after)
        assert.equal("100", get("/read", { headers = { cookie = after } }):body())
        if store then assert.equal("nil", get("/read", { headers = { cookie = cookie } }):body()) end
        local _, gone = cookie_of(get("/out", { headers = { cookie = after } }))
        assert.matches("Max%-Age=0", gone)
        if store then assert.equal("nil", get("/read", { headers = { cookie = after } }):body()) end
      end)
    end)
  end

  it("is refused where it has no place in a cookie, and forgotten where the store is full", function()
    serve(function(app)
      app:use(mw.session{ keys = KEY })
      app:get("/", function(req)
        req.session.text = ("x"):rep(5000)
        return "kept"
      end)
      app:on_error(function(err) return 500, err end)
    end, function(get)
      local res = get("/")
      assert.equal(500, res.status)
      assert.matches("has no place in a cookie", res:body())
    end)
    local store = require("neap.mw.memory_store")(10)
    for i = 1, 100 do store:set("id" .. i, "text", 60) end
    assert.is_nil(store:get("id1"))
    assert.equal("text", store:get("id100"))
    store:delete("id100")
    assert.is_nil(store:get("id100"))
    store:set("short", "text", -1)
    assert.is_nil(store:get("short"))
  end)
end)

describe("access_log", function()
  local function logged(options, requests)
    local lines = {}
    options.sink = function(line) lines[#lines + 1] = line end
    serve(function(app)
      app:use(mw.request_id{ trust = true }, mw.access_log(options))
      app:get("/items/:id", function() return "item" end)
    end, requests)
    return lines
  end

  local HOSTILE = { headers = { ["user-agent"] = 'x" 200\\ \195\164', referer = "https://a.example/?q=1 2" } }

  it("has a line for each response, with what clients send escaped", function()
    local function requests(get)
      get("/items/7?a=%22", HOSTILE)
      get("/nothing")
    end
    local lines = logged({ format = "combined" }, requests)
    assert.equal(2, #lines)
    assert.matches('^10%.2%.0%.1 %- %- %[%d%d/%u%l%l/%d%d%d%d:%d%d:%d%d:%d%d %+0000%] '
      .. '"GET /items/7%?a=%%22 HTTP/3%.0" 200 4 "https://a%.example/%?q=1 2" "x\\x22 200\\x5c \\xc3\\xa4"$', lines[1])
    assert.matches('" 404 %d+ "%-" ', lines[2])
    assert.equal(1, #logged({ skip = function(_, _, info) return info.status == 404 end }, requests))

    local entry = assert(neap.json.decode(logged({ format = "json" }, requests)[1]))
    assert.equal(200, entry.status)
    assert.equal("/items/:id", entry.route)
    assert.equal('x" 200\\ \\xc3\\xa4', entry.user_agent)
    assert.matches("^%d+%-%d%d%-%d%dT", entry.time)

    local line = logged({ format = "logfmt" }, requests)[1]
    assert.matches(' method=GET scheme=https host=server.example target="/items/7%?a=%%22" protocol=HTTP/3.0 ', line)
    assert.is_nil(line:find("\n"))

    lines = logged({ format = function(one) return one.method .. " " .. one.bytes end }, requests)
    assert.equal("GET 4", lines[1])
  end)

  it("may be for a part of an app", function()
    local lines = {}
    serve(function(app)
      app:use("/api", mw.access_log{ format = function(entry) return entry.target end,
        sink = function(line) lines[#lines + 1] = line end })
      app:get("/api/one", function() return "x" end)
      app:get("/two", function() return "x" end)
    end, function(get)
      get("/api/one")
      get("/two")
    end)
    assert.same({ "/api/one" }, lines)
  end)
end)

describe("five middlewares", function()
  it("nest around a handler, in the order in which they were given", function()
    web.with_app(function(app)
      app:use(mw.request_id(), mw.secure_headers(), mw.cors(), mw.etag(), mw.compress{ min_size = 1 })
      app:get("/", function() return { hello = "world" } end)
    end, function(client, url)
      local res = assert(client:get(url .. "/", { headers = { origin = "https://x.example" } }))
      assert.same({ hello = "world" }, res:json())
      assert.equal("*", res.headers["access-control-allow-origin"])
      assert.is_truthy(res.headers.etag and res.headers["x-request-id"] and res.headers["x-content-type-options"])
    end)
  end)
end)
