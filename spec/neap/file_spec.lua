local neap = require "neap"
local web = require "support.web"
local helper = web.helper

describe("res:file", function()
  local folder, content

  setup(function()
    folder = helper.make_dir()
    content = ("0123456789"):rep(100)
    helper.run(("mkdir -p %s/in/sub"):format(folder))
    helper.write_file(folder .. "/in/page.html", content)
    helper.write_file(folder .. "/in/empty", "")
    helper.write_file(folder .. "/secret", "secret")
  end)
  teardown(function() helper.remove_dir(folder) end)

  local function with_route(handler, fn)
    web.with_app(function(app) app:any("/", handler) end, fn)
  end

  it("sends a file with its type, length and entity tag", function()
    with_route(function(_, res) return res:file(folder .. "/in/page.html") end, function(client, url)
      local r = assert(client:get(url .. "/"))
      local h = r.headers
      assert.same({ 200, "text/html; charset=utf-8", "1000", "bytes" },
        { r.status, h["content-type"], h["content-length"], h["accept-ranges"] })
      assert.equal(content, r:body())
      assert.equal(304, assert(client:get(url .. "/", { headers = { ["if-none-match"] = h.etag } })).status)
      assert.equal(304,
        assert(client:get(url .. "/", { headers = { ["if-modified-since"] = h["last-modified"] } })).status)
      r = assert(client:head(url .. "/"))
      assert.same({ 200, "1000", "" }, { r.status, r.headers["content-length"], r:body() })
    end)
  end)

  it("answers a byte range, unless the handler has set a status", function()
    with_route(function(req, res)
      if req.query.status then res:status(tonumber(req.query.status)) end
      return res:file(folder .. "/in/page.html")
    end, function(client, url)
      local range = { headers = { range = "bytes=10-19" } }
      local r = assert(client:get(url .. "/", range))
      assert.same({ 206, "bytes 10-19/1000", "0123456789" }, { r.status, r.headers["content-range"], r:body() })
      r = assert(client:get(url .. "/?status=404", range))
      assert.same({ 404, content }, { r.status, r:body() })
      assert.is_nil(r.headers["accept-ranges"])
      r = assert(client:get(url .. "/", { headers = { range = "bytes=1000-" } }))
      assert.same({ 416, "bytes */1000" }, { r.status, r.headers["content-range"] })
      r = assert(client:get(url .. "/", { headers = { range = "bytes=0-1", ["if-range"] = '"other"' } }))
      assert.same({ 200, content }, { r.status, r:body() })
    end)
  end)

  -- Writes a file, as if at that time ("2023-11-14 22:13:20.1").
  local function write_at(path, bytes, time)
    helper.write_file(path, bytes)
    helper.run(("TZ=UTC touch -d '%s' %s"):format(time, path))
  end

  it("has another entity tag when it changes within a second, or a microsecond", function()
    local path = folder .. "/in/quick"
    with_route(function(_, res) return res:file(path) end, function(client, url)
      for _, times in ipairs {
        { "2023-11-14 22:13:20.1", "2023-11-14 22:13:20.9" },
        { "2023-11-14 22:13:20.999999998", "2023-11-14 22:13:20.999999999" },
      } do
        write_at(path, "AAAA", times[1])
        local r = assert(client:get(url .. "/"))
        local tag = r.headers.etag
        assert.equal("Tue, 14 Nov 2023 22:13:20 GMT", r.headers["last-modified"])
        write_at(path, "BBBB", times[2])
        r = assert(client:get(url .. "/", { headers = { ["if-none-match"] = tag } }))
        assert.same({ 200, "BBBB" }, { r.status, r:body() })
        r = assert(client:get(url .. "/", { headers = { range = "bytes=2-3", ["if-range"] = tag } }))
        assert.same({ 200, "BBBB" }, { r.status, r:body() })
      end
    end)
  end)

  it("is a 412 when it is not the one that the request is about", function()
    local path, own = folder .. "/in/old", nil
    write_at(path, "tide", "2023-11-14 22:13:20.5")
    with_route(function(req, res)
      if own then res:header("etag", own) end
      if req.query.status then res:status(tonumber(req.query.status)) end
      return res:file(path)
    end, function(client, url)
      local function status(headers, query, method)
        local r = assert(client:request(method or "GET", url .. "/" .. (query or ""), { headers = headers }))
        r:body()
        return r.status
      end
      local tag = assert(client:get(url .. "/")).headers.etag
      local changed, before, after =
        "Tue, 14 Nov 2023 22:13:20 GMT", "Tue, 14 Nov 2023 22:13:19 GMT", "Tue, 14 Nov 2023 22:13:21 GMT"
      for _, case in ipairs {
        { 200, { ["if-match"] = tag } }, { 200, { ["if-match"] = '"a", ' .. tag } }, { 200, { ["if-match"] = "*" } },
        { 412, { ["if-match"] = '"a"' } }, { 412, { ["if-match"] = "W/" .. tag } },
        { 200, { ["if-unmodified-since"] = changed } }, { 200, { ["if-unmodified-since"] = after } },
        { 412, { ["if-unmodified-since"] = before } },
        { 412, { ["if-unmodified-since"] = "Tuesday, 14-Nov-23 22:13:19 GMT" } },
        { 200, { ["if-unmodified-since"] = "Tuesday, 14-Nov-23 22:13:20 GMT" } },
        { 412, { ["if-unmodified-since"] = "Sun Nov  6 08:49:37 1994" } },
        { 200, { ["if-unmodified-since"] = "yesterday" } }, -- no date: as if it were not there
        { 200, { ["if-match"] = tag, ["if-unmodified-since"] = before } },
        { 412, { ["if-match"] = '"a"', ["if-none-match"] = tag } },
        { 412, { ["if-unmodified-since"] = before, ["if-none-match"] = tag } },
        { 304, { ["if-match"] = tag, ["if-none-match"] = tag } },
        { 206, { ["if-match"] = tag, range = "bytes=0-1" } },
        { 412, { ["if-match"] = '"a"', range = "bytes=0-1" } },
        { 404, { ["if-match"] = '"a"' }, "?status=404" },
        { 412, { ["if-match"] = '"a"' }, "", "HEAD" }, { 200, { ["if-match"] = '"a"' }, "", "POST" },
      } do
        assert.equal(case[1], status(case[2], case[3], case[4]), require("neap.json").encode(case[2]))
      end
      own = 'W/"own"' -- weak: enough for what a cache has, not for parts of it or for If-Match
      assert.same({ 304, 412, 200 }, { status { ["if-none-match"] = own }, status { ["if-match"] = own },
        status { range = "bytes=0-1", ["if-range"] = own } })
    end)
  end)

  it("looks at all lines of If-None-Match, and at If-Modified-Since as at a time", function()
    local path = folder .. "/in/dated"
    write_at(path, "tide", "2023-11-14 22:13:20.5")
    with_route(function(_, res) return res:file(path) end, function(client, url)
      local function status(headers) return assert(client:get(url .. "/", { headers = headers })).status end
      local tag = assert(client:get(url .. "/")).headers.etag
      assert.equal(304, status { ["if-none-match"] = { '"a"', tag } })
      for time, expected in pairs { ["Tue, 14 Nov 2023 22:13:19 GMT"] = 200, ["Tue, 14 Nov 2023 22:13:20 GMT"] = 304,
        ["Tue, 14 Nov 2023 22:13:21 GMT"] = 304, ["Tuesday, 14-Nov-23 22:13:20 GMT"] = 304, ["yesterday"] = 200 } do
        assert.equal(expected, status { ["if-modified-since"] = time }, time)
      end
      assert.equal(200, status { ["if-modified-since"] = "Tue, 14 Nov 2023 22:13:20 GMT", ["if-none-match"] = '"a"' })
      for time, expected in pairs { ["Tue, 14 Nov 2023 22:13:20 GMT"] = 206,
        ["Tue, 14 Nov 2023 22:13:21 GMT"] = 200 } do
        assert.equal(expected, status { range = "bytes=0-1", ["if-range"] = time }, time)
      end
      -- A time of now may be that of two versions.
      helper.write_file(path, "tide")
      local changed = assert(client:get(url .. "/")).headers["last-modified"]
      assert.equal(200, status { range = "bytes=0-1", ["if-range"] = changed })
    end)
  end)

  it("answers several byte ranges as parts", function()
    with_route(function(_, res) return res:file(folder .. "/in/page.html") end, function(client, url)
      local function ask(range, method)
        return assert(client:request(method or "GET", url .. "/", { headers = { range = range } }))
      end
      local r = ask "bytes=500-509, 0-4,-3, 2000-"
      local boundary = r.headers["content-type"]:match("^multipart/byteranges; boundary=(%x+)$")
      local body = r:body()
      local function part(first, last)
        local head = "\r\n--%s\r\ncontent-type: text/html; charset=utf-8\r\ncontent-range: bytes %d-%d/1000\r\n\r\n"
        return head:format(boundary, first, last) .. content:sub(first + 1, last + 1)
      end
      assert.equal(part(500, 509) .. part(0, 4) .. part(997, 999) .. "\r\n--" .. boundary .. "--\r\n", body)
      assert.same({ 206, tostring(#body), nil },
        { r.status, r.headers["content-length"], r.headers["content-range"] })
      r = ask "bytes=5-9,0-7"
      assert.same({ 206, "bytes 0-9/1000", content:sub(1, 10) },
        { r.status, r.headers["content-range"], r:body() })
      assert.equal(200, ask("bytes=0-1,5-6", "HEAD").status)
      assert.equal(416, ask("bytes=1000-,-0").status)
    end)
  end)

  it("sends the file of a descriptor, or of a file of io, which stays open", function()
    local open = assert(io.open(folder .. "/in/page.html"))
    open:seek("set", 7)
    with_route(function(_, res) return res:file(open, { type = "text/x-open" }) end, function(client, url)
      for _ = 1, 2 do
        local r = assert(client:get(url .. "/"))
        assert.same({ "text/x-open", content }, { r.headers["content-type"], r:body() })
      end
      assert.equal("7", open:read(1))
    end)
    open:close()
    local said
    with_route(function(_, res)
      said = { res:file(1000000) }
      return 204
    end, function(client, url) assert.equal(204, assert(client:get(url .. "/")).status) end)
    assert.same({ nil, "descriptor: Bad file descriptor", "system", 9 }, said)
  end)

  it("takes the unit of a range in capitals too", function()
    with_route(function(_, res) return res:file(folder .. "/in/page.html") end, function(client, url)
      local r = assert(client:get(url .. "/", { headers = { range = "Bytes=0-9" } }))
      assert.same({ 206, "bytes 0-9/1000" }, { r.status, r.headers["content-range"] })
    end)
  end)

  it("keeps the headers that are set, and takes a type", function()
    with_route(function(req, res)
      if req.query.tag then res:header("etag", req.query.tag) end
      if req.query.type then res:header("content-type", "text/x-set") end
      return res:file(folder .. "/in/empty", { type = "text/x-given" })
    end, function(client, url)
      local r = assert(client:get(url .. "/"))
      assert.same({ 200, "0", "text/x-given", "" },
        { r.status, r.headers["content-length"], r.headers["content-type"], r:body() })
      assert.equal("text/x-set", assert(client:get(url .. "/?type=1")).headers["content-type"])
      r = assert(client:get(url .. "/?tag=%22own%22", { headers = { ["if-none-match"] = '"own"' } }))
      assert.same({ 304, '"own"' }, { r.status, r.headers.etag })
    end)
  end)

  it("sends what follows the file, and tells middleware of it", function()
    local status, sent
    web.with_app(function(app)
      app:use(function(_, res, next) status = next():status(); sent = res.sent end)
      app:get("/", function(_, res) return res:trailers({ ["x-sum"] = "1" }):file(folder .. "/in/page.html") end)
    end, function(client, url)
      local r = assert(client:get(url .. "/"))
      assert.equal(content, r:body())
      assert.equal("1", r:trailers():get("x-sum"))
      assert.same({ 200, 1000 }, { status, sent })
    end)
  end)

  it("says that there is no such file, before anything is sent", function()
    local said
    with_route(function(req, res)
      said = { res:file(req.query.path, { root = folder .. "/in" }) }
      if not said[1] then return 404 end
      return res
    end, function(client, url)
      for path, what in pairs { missing = 2, ["../secret"] = 18, sub = 21, ["/etc/passwd"] = 18 } do
        assert.equal(404, assert(client:get(url .. "/?path=" .. path)).status)
        assert.same({ "system", what }, { said[3], said[4] }, path)
      end
      assert.equal(200, assert(client:get(url .. "/?path=page.html")).status)
    end)
  end)

  it("is an error where there is a body already, and with an option that it has not", function()
    for _, handler in ipairs {
      function(_, res) return res:send("x"):file(folder .. "/in/empty") end,
      function(_, res) return res:file(folder .. "/in/empty", { name = "x" }) end,
      function(_, res) return res:file({}) end,
    } do
      local log = web.logged(function()
        with_route(handler, function(client, url) assert.equal(500, assert(client:get(url .. "/")).status) end)
      end)
      assert.matches("the response has its body already", log:gsub("res:file has no option name",
        "the response has its body already"):gsub("res:file takes a path, a descriptor or an open file, not a table",
        "the response has its body already"))
    end
  end)

  it("breaks off when the file becomes shorter, and says so in the log", function()
    local log = web.logged(function()
      helper.run(("head -c 4000000 /dev/zero > %s/big"):format(folder))
      with_route(function(_, res) return res:file(folder .. "/big") end, function(client, url)
        local r = assert(client:get(url .. "/"))
        assert.equal("4000000", r.headers["content-length"])
        assert(r:read())
        helper.run(("truncate -s 3000000 %s/big"):format(folder))
        local message, code
        repeat
          local bytes
          bytes, message, code = r:read()
        until not bytes
        assert.same({ "reset by peer", "reset" }, { message, code })
      end)
    end)
    assert.matches("GET /, after the headers were sent: the file became shorter while it was sent", log)
  end)

  it("sends what was promised of a file that grows", function()
    helper.run(("head -c 4000000 /dev/zero > %s/big"):format(folder))
    with_route(function(_, res) return res:file(folder .. "/big") end, function(client, url)
      local r = assert(client:get(url .. "/"))
      assert(r:read())
      helper.run(("truncate -s 5000000 %s/big"):format(folder))
      local size = assert(r:save(folder .. "/out"))
      assert.is_true(size > 0 and size < 4000000)
    end)
  end)

  it("makes no garbage of the bytes", function()
    helper.run(("head -c 20000000 /dev/zero > %s/big"):format(folder))
    with_route(function(_, res) return res:file(folder .. "/big") end, function(client, url)
      local r = assert(client:get(url .. "/"))
      collectgarbage()
      collectgarbage("stop")
      finally(function() collectgarbage("restart") end)
      local before = collectgarbage("count")
      assert.equal(20000000, r:save(folder .. "/out"))
      -- What waits for room or bytes costs a little, 20 MB of strings would be 19531 KB at each end.
      local made = collectgarbage("count") - before
      assert.is_true(made < 1000, made)
    end)
  end)
end)

-- How many descriptors of the file this process has open.
local function count_open(path)
  local pipe = io.popen(("ls -l /proc/$PPID/fd | grep -c ' -> %s$'"):format(path))
  local count = pipe:read("*n")
  pipe:close()
  return count
end

-- What fn leaves to the collector stays open while this runs.
local function without_collector(fn)
  collectgarbage()
  collectgarbage("stop")
  finally(function() collectgarbage("restart") end)
  fn()
end

describe("req:save", function()
  local folder

  setup(function() folder = helper.make_dir() end)
  teardown(function() helper.remove_dir(folder) end)

  it("takes the path of a file, as response:save does: without one nothing goes to standard output", function()
    web.with_app(function(app)
      app:post("/", function(req)
        local ok, message = pcall(req.save, req, nil)
        return 200, { ok = ok, message = message }
      end)
    end, function(client, url)
      local r = assert(client:post(url .. "/", { body = "kept from the screen" }))
      for _, path in ipairs { false, 1, {} } do
        local ok, message = pcall(r.save, r, path)
        assert.is_false(ok)
        assert.matches("takes the path of a file", message)
      end
      assert.is_false(pcall(r.save, r))
      local said = assert(r:json())
      assert.is_false(said.ok)
      assert.matches("takes the path of a file", said.message)
    end)
  end)

  it("makes no file of a body that was read or saved before, or had broken off", function()
    local path, said, again = folder .. "/kept", nil, nil
    web.with_app(function(app)
      app:post("/read", function(req)
        req:body()
        said = { req:save(path) }
        return 200
      end)
      app:post("/saved", function(req)
        again = { req:save(folder .. "/out") }
        said = { req:save(path) }
        return 200
      end)
      app:post("/broken", function(req)
        req:save(folder .. "/out")
        said = { pcall(req.save, req, path) }
        return 204
      end)
    end, function(client, url)
      helper.write_file(path, "kept")
      assert.equal(200, assert(client:post(url .. "/read", { body = "some" })).status)
      assert.same({ nil, "the body was read before", "state" }, said)
      assert.equal(200, assert(client:post(url .. "/saved", { body = "" })).status)
      assert.same({ { 0 }, { nil, "the body was read before", "state" } }, { again, said })
      client:post(url .. "/broken", { body = function() error("no more", 0) end })
      neap.sleep(0.1)
      assert.is_false(said[1])
      assert.equal("reset", said[2].code)
      assert.equal("kept", helper.read_file(path))
    end)
  end)

  it("leaves no descriptor open when it raises", function()
    local path, file = folder .. "/out", nil
    without_collector(function()
      local ok, message = pcall(require("neap.body").save, path, function(made)
        file = made
        error("no more", 0)
      end)
      assert.same({ false, "no more" }, { ok, message })
      assert.is_not_nil(file)
      assert.equal(0, count_open(path))
    end)
  end)

  it("writes the rest of the body, and says why it cannot", function()
    local path, said
    web.with_app(function(app)
      app:post("/", function(req)
        local first = req:read(5)
        said = { req:save(path) }
        return first .. " " .. tostring(said[1])
      end)
      app:post("/broken", function(req)
        said = { req:save(path) }
        return req:save(path) and 200 or 201
      end)
    end, function(client, url)
      local content = ("first") .. ("0123456789"):rep(100000)
      path = folder .. "/out"
      assert.equal("first 1000000", assert(client:post(url .. "/", { body = content })):body())
      assert.is_true(content:sub(6) == helper.read_file(path))
      path = "/dev/full"
      assert.equal("first nil", assert(client:post(url .. "/", { body = content })):body())
      assert.same({ nil, "write: No space left on device", "system", 28 }, said)
      path = folder .. "/out"
      local r, message = client:post(url .. "/broken", { body = function() error("no more", 0) end })
      assert.is_nil(r)
      assert.equal("no more", message)
      neap.sleep(0.1)
      assert.same({ nil, "reset by peer", "reset" }, { said[1], said[2], said[3] })
    end)
  end)
end)

describe("a response's save", function()
  local folder

  setup(function() folder = helper.make_dir() end)
  teardown(function() helper.remove_dir(folder) end)

  it("writes the rest of the body, and says why it cannot", function()
    web.with_app(function(app)
      app:get("/", function(_, res) res:write("first "); res:write(("last"):rep(100)) end)
      app:get("/broken", function(_, res)
        res:write("first ")
        neap.sleep(0.05)
        res:abort()
      end)
    end, function(client, url)
      local r = assert(client:get(url .. "/"))
      assert.equal("first", r:read(5))
      assert.equal(401, r:save(folder .. "/out"))
      assert.equal(" " .. ("last"):rep(100), helper.read_file(folder .. "/out"))
      r = assert(client:get(url .. "/"))
      assert.same({ nil, "write: No space left on device", "system", 28 }, { r:save("/dev/full") })
      assert.same({ nil, "write: No space left on device", "system", 28 }, { r:read() })
      r = assert(client:get(url .. "/"))
      assert.same({ nil, folder .. "/none/x: No such file or directory", "system", 2 }, { r:save(folder .. "/none/x") })
      assert.equal(406, #r:body())
      r = assert(client:get(url .. "/broken"))
      assert.equal("reset", (select(3, r:save(folder .. "/out"))))
    end)
  end)

  it("makes no file of a body that was read or saved before, or had broken off", function()
    local path = folder .. "/kept"
    web.with_app(function(app)
      app:any("/", function() return "some" end)
    end, function(client, url)
      helper.write_file(path, "kept")
      local r = assert(client:get(url .. "/"))
      assert.equal("some", r:body())
      assert.same({ nil, "the body was read before", "state" }, { r:save(path) })
      r = assert(client:get(url .. "/"))
      assert.equal(4, r:save(folder .. "/out"))
      assert.same({ nil, "the body was read before", "state" }, { r:save(path) })
      r = assert(client:get(url .. "/"))
      r:close()
      assert.same({ nil, "the response was closed", "closed" }, { r:save(path) })
      assert.equal("kept", helper.read_file(path))
      r = assert(client:head(url .. "/"))
      assert.same({ 0, "" }, { r:save(path), helper.read_file(path) })
    end)
  end)

  it("leaves a file alone when the time of the request is over", function()
    local path = folder .. "/late"
    helper.write_file(path, "kept")
    web.with_app(function(app)
      app:get("/", function() return "some" end)
    end, function(client, url)
      local r = assert(client:get(url .. "/", { timeout = 0.2 }))
      neap.sleep(0.25)
      assert.equal("timeout", (select(3, r:save(path))))
      assert.equal("kept", helper.read_file(path))
    end)
  end)
end)

describe("a request whose body is a file", function()
  local folder, content

  setup(function()
    folder = helper.make_dir()
    content = ("0123456789"):rep(100000)
    helper.write_file(folder .. "/in", content)
  end)
  teardown(function() helper.remove_dir(folder) end)

  local function with_upload(fn)
    web.with_app(function(app)
      app:any("/", function(req)
        local parts = {}
        for chunk in req:chunks() do parts[#parts + 1] = chunk end
        local body = table.concat(parts)
        local trailers = req:trailers()
        return { length = req.headers["content-length"], is_same = body == content, size = #body,
          sum = trailers and trailers:get("x-sum") }
      end)
      app:post("/moved", function(_, res) return res:redirect("/", 307) end)
      app:post("/seen", function(_, res) return res:redirect("/", 303) end)
      app:post("/small", function() return 413 end)
    end, fn)
  end

  it("has its length and its bytes", function()
    with_upload(function(client, url)
      local r = assert(client:put(url .. "/", { file = folder .. "/in" })):json()
      assert.same({ length = "1000000", is_same = true, size = 1000000 }, r)
      r = assert(client:put(url .. "/", { file = folder .. "/in", trailers = { ["x-sum"] = "1" } })):json()
      assert.same({ true, "1" }, { r.is_same, r.sum })
      helper.write_file(folder .. "/empty", "")
      r = assert(client:put(url .. "/", { file = folder .. "/empty" })):json()
      assert.same({ "0", 0 }, { r.length, r.size })
    end)
  end)

  it("is sent again where a redirect asks for it", function()
    with_upload(function(client, url)
      local r = assert(client:post(url .. "/moved", { file = folder .. "/in", follow = 1 })):json()
      assert.is_true(r.is_same)
      r = assert(client:post(url .. "/seen", { file = folder .. "/in", follow = 1 })):json()
      assert.equal(0, r.size)
    end)
  end)

  it("is closed again when the request fails before it is sent", function()
    local path = folder .. "/in"
    local bad = setmetatable({}, { __tostring = function() error("no text", 0) end })
    with_upload(function(client, url)
      assert(client:get(url .. "/"))
      without_collector(function()
        assert.is_nil((client:put(url .. "/", { file = path, headers = { ["bad name"] = "1" } })))
        local said = { pcall(client.put, client, url .. "/", { file = path, query = { a = bad } }) }
        assert.same({ false, "no text" }, said)
        assert.equal(0, count_open(path))
      end)
    end)
  end)

  it("needs not be read by a server that has answered", function()
    with_upload(function(client, url)
      assert.equal(413, assert(client:post(url .. "/small", { file = folder .. "/in" })).status)
    end)
  end)

  it("fails with a file that is not there, becomes shorter, or has another size than is said", function()
    with_upload(function(client, url)
      local said = { client:put(url .. "/", { file = folder .. "/none" }) }
      assert.same({ nil, folder .. "/none: No such file or directory", "system" }, { said[1], said[2], said[3] })
      said = { client:put(url .. "/", { file = folder }) }
      assert.same({ nil, folder .. ": Is a directory", "system" }, { said[1], said[2], said[3] })
      said = { client:put(url .. "/", { file = folder .. "/in", headers = { ["content-length"] = 5 } }) }
      assert.same({ nil, "the file has another size than its content-length" }, { said[1], said[2] })
      helper.run(("head -c 20000000 /dev/zero > %s/big"):format(folder))
      neap.go(function() helper.run(("truncate -s 1000 %s/big"):format(folder)) end)
      said = { client:put(url .. "/", { file = folder .. "/big" }) }
      assert.same({ nil, "the file became shorter while it was sent" }, { said[1], said[2] })
    end)
  end)
end)
