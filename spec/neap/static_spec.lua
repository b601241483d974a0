local neap = require "neap"
local web = require "support.web"
local helper = require "helper"

describe("static files", function()
  local folder

  setup(function()
    folder = os.tmpname()
    os.remove(folder)
    os.execute("mkdir -p " .. folder .. "/www/sub " .. folder .. "/www/empty")
    helper.write_file(folder .. "/www/index.html", "<h1>home</h1>")
    helper.write_file(folder .. "/www/sub/index.html", "<h1>sub</h1>")
    helper.write_file(folder .. "/www/data.bin", ("0123456789"):rep(100000))
    helper.write_file(folder .. "/www/a b.txt", "spaced")
    helper.write_file(folder .. "/www/nothing.txt", "")
    helper.write_file(folder .. "/secret.txt", "secret")
    os.execute("ln -s ../secret.txt " .. folder .. "/www/link.txt")
  end)

  teardown(function() os.execute("rm -rf " .. folder) end)

  local function with_files(fn)
    web.with_app(function(app) app:any("/*path", neap.static(folder .. "/www")) end, fn)
  end

  it("serves files with type, length and entity tag", function()
    with_files(function(client, url)
      local r = assert(client:get(url .. "/data.bin"))
      assert.same({ 200, "application/octet-stream", "1000000" },
        { r.status, r.headers["content-type"], r.headers["content-length"] })
      assert.is_true(("0123456789"):rep(100000) == r:body())
      assert.matches('^"%x+%.%x+%-%x+"$', r.headers.etag)
      r = assert(client:get(url .. "/a%20b.txt"))
      assert.equal("spaced", r:body())
      assert.matches("^text/plain", r.headers["content-type"])
    end)
  end)

  it("answers folders with their index, and without a slash with a redirect", function()
    with_files(function(client, url)
      assert.equal("<h1>home</h1>", assert(client:get(url .. "/")):body())
      assert.equal("<h1>sub</h1>", assert(client:get(url .. "/sub/")):body())
      local r = assert(client:get(url .. "/sub?x=1"))
      assert.same({ 301, "/sub/?x=1" }, { r.status, r.headers.location })
      assert.equal(404, assert(client:get(url .. "/empty/")).status)
      assert.equal(404, assert(client:get(url .. "/data.bin/")).status)
    end)
  end)

  it("knows each file by one path only", function()
    with_files(function(client, url)
      for _, path in ipairs { "/./data.bin", "/sub/../data.bin", "/%2e/data.bin", "//data.bin", "/sub//index.html",
        "/sub%2Findex.html", "/%2e%2e/secret.txt" } do
        assert.equal(404, assert(client:get(url .. path)).status, path)
      end
    end)
  end)

  it("answers HEAD and what the client has already", function()
    with_files(function(client, url)
      local r = assert(client:head(url .. "/data.bin"))
      assert.same({ 200, "1000000", "" }, { r.status, r.headers["content-length"], r:body() })
      local tag, date = r.headers.etag, r.headers["last-modified"]
      assert.equal(304, assert(client:get(url .. "/data.bin", { headers = { ["if-none-match"] = tag } })).status)
      assert.equal(304, assert(client:get(url .. "/data.bin", { headers = { ["if-modified-since"] = date } })).status)
      r = assert(client:get(url .. "/data.bin", { headers = { ["if-none-match"] = '"other"' } }))
      assert.equal(200, r.status)
      r:close()
    end)
  end)

  it("answers a byte range", function()
    with_files(function(client, url)
      local function range(value)
        local r = assert(client:get(url .. "/data.bin", { headers = { range = value } }))
        return r.status, r.headers["content-range"], #r:body()
      end
      assert.same({ 206, "bytes 5-9/1000000", 5 }, { range("bytes=5-9") })
      assert.same({ 206, "bytes 999998-999999/1000000", 2 }, { range("bytes=-2") })
      assert.same({ 206, "bytes 999999-999999/1000000", 1 }, { range("bytes=999999-") })
      assert.same({ 416, "bytes */1000000" }, { (range("bytes=1000000-")), (select(2, range("bytes=1000000-"))) })
      assert.equal(200, (range("lines=1-2")))
    end)
  end)

  it("takes the end of an empty file for all of it", function()
    with_files(function(client, url)
      local function range(value)
        local r = assert(client:get(url .. "/nothing.txt", { headers = { range = value } }))
        return { r.status, r.headers["content-range"] or "", r:body() }
      end
      assert.same({ 200, "", "" }, range("bytes=-5"))
      assert.same({ 416, "bytes */0", "range not satisfiable\n" }, range("bytes=-0"))
      assert.same({ 416, "bytes */0", "range not satisfiable\n" }, range("bytes=0-"))
    end)
  end)

  it("lets nothing outside of the folder be reached", function()
    with_files(function(client, url)
      for _, path in ipairs {
        "/../secret.txt", "/%2e%2e/secret.txt", "/sub/../../secret.txt", "/..%2fsecret.txt", "/link.txt",
        "//etc/passwd", "/%2fetc/passwd", "/sub/%2e%2e%2f..%2fsecret.txt", "/data.bin%00.txt",
      } do
        local r = assert(client:get(url .. path))
        local body = r:body()
        assert.is_true(r.status == 404 or r.status == 400, path .. " gave " .. r.status)
        assert.is_nil(body:find("secret", 1, true), path)
      end
    end)
  end)

  it("serves under any wildcard's name, below any path, and as middleware", function()
    web.with_app(function(app)
      app:get("/files/*anything", neap.static(folder .. "/www"))
      app:get("/rest/*", neap.static(folder .. "/www"))
      app:use("/mid/*what", neap.static(folder .. "/www"))
    end, function(client, url)
      for _, path in ipairs { "/files/a%20b.txt", "/rest/a%20b.txt", "/mid/a%20b.txt" } do
        assert.equal("spaced", assert(client:get(url .. path)):body(), path)
      end
    end)
  end)

  it("takes GET and HEAD only", function()
    with_files(function(client, url)
      local r = assert(client:post(url .. "/data.bin", { body = "x" }))
      assert.same({ 405, "GET, HEAD, OPTIONS" }, { r.status, r.headers.allow })
      r = assert(client:request("OPTIONS", url .. "/data.bin"))
      assert.same({ 204, "GET, HEAD, OPTIONS" }, { r.status, r.headers.allow })
    end)
  end)

  local function with(options, fn)
    web.with_app(function(app) app:any("/*path", neap.static(folder .. "/www", options)) end, function(client, url)
      fn(function(path, headers) return assert(client:get(url .. path, { headers = headers })) end)
    end)
  end

  it("redirects to a folder with the path that it is mounted at", function()
    web.with_app(function(app)
      app:mount("/docs", neap.app():get("/*", neap.static(folder .. "/www", { list = true })))
    end, function(client, url)
      assert.equal("/docs/sub/?a", assert(client:get(url .. "/docs/sub?a")).headers.location)
      assert.matches("<title>/docs/empty/</title>", assert(client:get(url .. "/docs/empty/")):body())
    end)
  end)

  it("sends what is compressed already to clients that take it", function()
    local www = folder .. "/www/"
    helper.write_file(www .. "app.js", "plain")
    for suffix, content in pairs { br = "as br", gz = "as gzip", zst = "as zstd" } do
      helper.write_file(www .. "app.js." .. suffix, content)
    end
    helper.write_file(www .. "old.css", "new")
    helper.write_file(www .. "old.css.gz", "of before")
    helper.run(("touch -d 2020-01-01 %sold.css.gz"):format(www))
    with({ precompressed = true }, function(get)
      local tags = {}
      for accepted, coding in pairs { ["gzip, br, zstd"] = "br", ["zstd, gzip"] = "zstd", gzip = "gzip" } do
        local r = get("/app.js", { ["accept-encoding"] = accepted })
        assert.same({ 200, coding, "as " .. coding, "text/javascript; charset=utf-8", "accept-encoding" },
          { r.status, r.headers["content-encoding"], r:body(), r.headers["content-type"], r.headers.vary })
        tags[r.headers.etag] = true
        assert.equal(304, get("/app.js", { ["accept-encoding"] = accepted, ["if-none-match"] = r.headers.etag }).status)
      end
      local r = get("/app.js")
      assert.same({ nil, "plain", "accept-encoding" }, { r.headers["content-encoding"], r:body(), r.headers.vary })
      tags[r.headers.etag] = true
      local count = 0
      for _ in pairs(tags) do count = count + 1 end
      assert.equal(4, count)
      r = get("/app.js", { ["accept-encoding"] = "br", range = "bytes=3-" })
      assert.same({ 206, "br", "br" }, { r.status, r.headers["content-encoding"], r:body() })
      assert.equal("new", get("/old.css", { ["accept-encoding"] = "gzip" }):body())
    end)
    with({ precompressed = { "gzip" } }, function(get)
      assert.equal("gzip", get("/app.js", { ["accept-encoding"] = "br, gzip" }).headers["content-encoding"])
    end)
    with(nil, function(get) assert.equal("plain", get("/app.js", { ["accept-encoding"] = "br" }):body()) end)
  end)

  it("lists a folder as a page or as JSON, if it is told to", function()
    local odd = "<b>&\"x'.txt"
    helper.run(("mkdir -p '%s/www/empty/sub'"):format(folder))
    for _, name in ipairs { odd, "javascript:1", ".hidden" } do
      helper.write_file(folder .. "/www/empty/" .. name, "12")
    end
    helper.run(("ln -s /etc/passwd %s/www/empty/link; mkfifo %s/www/empty/fifo"):format(folder, folder))
    with({ list = true }, function(get)
      local r = get("/empty/", { accept = "text/html,*/*;q=0.8" })
      local page = r:body()
      assert.same({ 200, "text/html; charset=utf-8", "accept" },
        { r.status, r.headers["content-type"], r.headers.vary })
      assert.matches('<a href="./%%3Cb%%3E%%26%%22x%%27.txt">&lt;b&gt;&amp;&quot;x&#39;.txt</a>', page)
      assert.matches('<a href="./javascript%%3A1">javascript:1</a>', page)
      assert.matches('<a href="%.%./">.*<a href="./sub/">sub/</a>.*<a href="./%%3Cb', page)
      for _, name in ipairs { "hidden", "link", "fifo" } do assert.is_nil(page:find(name, 1, true), name) end
      local names = {}
      local told = get("/empty/", { accept = "application/json" }):json()
      for i, entry in ipairs(told.entries) do names[i] = entry.name end
      assert.same({ "sub", odd, "javascript:1" }, names)
      assert.equal("<h1>home</h1>", get("/"):body())
      assert.equal(404, get("/empty/fifo").status)
    end)
    with(nil, function(get) assert.equal(404, get("/empty/").status) end)
    with({ list = true, index = false }, function(get)
      local page = get("/"):body()
      assert.matches('<a href="./index.html">index.html</a>', page)
      assert.is_nil(page:find("../", 1, true))
    end)
  end)

  it("follows links as it is told to, and hides what begins with a dot", function()
    local www = folder .. "/www/"
    helper.write_file(www .. ".env", "secret")
    helper.run(("mkdir -p %s.git %s.well-known; ln -sf data.bin %sinner"):format(www, www, www))
    helper.write_file(www .. ".git/config", "secret")
    helper.write_file(www .. ".well-known/x", "found")
    for links, expected in pairs { inside = { 200, 404 }, nowhere = { 404, 404 }, anywhere = { 200, 200 } } do
      with({ links = links }, function(get)
        assert.same(expected, { get("/inner", { range = "bytes=0-0" }).status == 206 and 200 or 404,
          get("/link.txt").status }, links)
        for _, path in ipairs { "/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt" } do
          assert.equal(404, get(path).status)
        end
      end)
    end
    with(nil, function(get)
      assert.same({ 404, 404, 404, 200 }, { get("/.env").status, get("/.git/config").status,
        get("/%2egit/config").status, get("/.well-known/x").status })
    end)
    with({ hidden = true }, function(get) assert.equal("secret", get("/.env"):body()) end)
  end)

  it("tells caches what it was told, for each path", function()
    with({ cache = function(path) return path:find("%.bin$") and "max-age=60" or nil end, headers = { ["x-a"] = "1" } },
      function(get)
        local headers = get("/data.bin").headers
        assert.same({ "max-age=60", "1" }, { headers["cache-control"], headers["x-a"] })
        assert.is_nil(get("/").headers["cache-control"])
      end)
    with({ cache = "no-cache" }, function(get) assert.equal("no-cache", get("/").headers["cache-control"]) end)
  end)

  it("takes no option that it has not, or that is none", function()
    for _, given in ipairs { { indx = "x" }, { links = "some" }, { precompressed = { "lzw" } }, { list = 1 },
      { cache = 60 } } do
      assert.error_matches(function() neap.static(folder .. "/www", given) end, "option")
    end
  end)
end)
