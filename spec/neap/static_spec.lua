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
      assert.same({ 405, "GET, HEAD" }, { r.status, r.headers.allow })
    end)
  end)
end)
