--- client:download: files that go on where they broke off.
local helper = require "helper"
local neap = require "neap"
local web = require "support.web"

local TEXT = ("tide and ebb\n"):rep(40000)

describe("client:download", function()
  local folder, path

  before_each(function()
    folder = helper.make_dir()
    path = folder .. "/file"
    helper.write_file(folder .. "/source", TEXT)
  end)
  after_each(function() helper.remove_dir(folder) end)

  -- fn(client, url, asked): `asked` lists the ranges of the requests. `breaks`: how many of them break off.
  local function with(given, fn)
    local asked = {}
    web.with_app(function(app)
      app:get("/whole", neap.static(folder))
      app:get("/file", function(req, res)
        asked[#asked + 1] = req.headers.range or "all"
        if #asked > (given.breaks or 0) then return res:file(folder .. "/source") end
        local from = tonumber((req.headers.range or ""):match("bytes=(%d+)")) or 0
        res:status(from > 0 and 206 or 200):header("content-length", #TEXT - from)
        if from > 0 then res:header("content-range", ("bytes %d-%d/%d"):format(from, #TEXT - 1, #TEXT)) end
        res:header("etag", given.tag or '"a"')
        res:write(TEXT:sub(from + 1, from + 100000))
        neap.sleep(0.05)
        res:abort()
      end)
      app:get("/part", function()
        asked[#asked + 1] = "part"
        return 206, ("x"):rep(100), { ["content-range"] = "bytes 0-99/1000", etag = '"a"' }
      end)
      -- What goes on with the first five bytes is said by `given.part`.
      app:get("/rest", function(req)
        asked[#asked + 1] = req.headers.range or "all"
        if req.headers.range and #asked == 1 then return (table.unpack or unpack)(given.part) end
        return 200, "whole file", { etag = '"new"' }
      end)
      app:get("/busy", function()
        asked[#asked + 1] = "busy"
        return #asked < 3 and 503 or 200, "there"
      end)
    end, function(client, url) fn(client, url, asked) end)
  end

  it("fetches a file, tells how far it is, and leaves nothing else", function()
    with({}, function(client, url, asked)
      local last, total
      assert.equal(#TEXT, client:download(url .. "/file", path, { progress = function(size, of)
        assert.is_true(size >= (last or 0))
        last, total = size, of
      end }))
      assert.same({ #TEXT, #TEXT }, { last, total })
      assert.equal(TEXT, helper.read_file(path))
      assert.same({ "all" }, asked)
      assert.is_nil(helper.read_file(path .. ".part"))
      assert.is_nil(helper.read_file(path .. ".part.of"))
    end)
  end)

  it("goes on where it broke off", function()
    with({ breaks = 3 }, function(client, url, asked)
      -- The file that comes at last has another tag than what broke off: all of it is sent again.
      local size = assert(client:download(url .. "/file", path, { wait = 0.01 }))
      assert.equal(#TEXT, size)
      assert.equal(TEXT, helper.read_file(path))
      assert.equal("all", asked[1])
      local before = 0
      for i = 2, 4 do
        local from = tonumber(asked[i]:match("^bytes=(%d+)%-$"))
        assert.is_true(from > before and from <= before + 100000, asked[i])
        before = from
      end
      assert.equal(4, #asked)
    end)
  end)

  it("goes on in the next run, as long as the file is the same", function()
    with({}, function(client, url, asked)
      local tag = assert(client:get(url .. "/file")).headers.etag
      for _, known in ipairs { tag, '"another"' } do
        helper.write_file(path .. ".part", TEXT:sub(1, 5000))
        helper.write_file(path .. ".part.of", url .. "/file\n" .. known .. "\n")
        local first
        local function progress(size) first = first or size end
        assert.equal(#TEXT, client:download(url .. "/file", path, { progress = progress }))
        assert.equal(TEXT, helper.read_file(path))
        assert.equal("bytes=5000-", asked[#asked])
      end
      helper.write_file(path .. ".part", "of somebody else")
      helper.write_file(path .. ".part.of", "https://other.example/\n" .. tag .. "\n")
      assert.equal(#TEXT, client:download(url .. "/file", path))
      assert.equal("all", asked[#asked])
      assert.equal(TEXT, helper.read_file(path))
    end)
  end)

  it("begins again where nothing says that the file is the same", function()
    with({ breaks = 1, tag = 'W/"weak"' }, function(client, url, asked)
      assert.equal(#TEXT, client:download(url .. "/file", path, { wait = 0.01 }))
      assert.same({ "all", "all" }, asked)
      assert.equal(TEXT, helper.read_file(path))
    end)
  end)

  it("asks again where that may help, and not for what is final", function()
    with({}, function(client, url, asked)
      assert.equal(5, client:download(url .. "/busy", path, { wait = 0.01 }))
      assert.equal(3, #asked)
      local size, message, code = client:download(url .. "/nothing", path)
      assert.same({ "status 404", "status" }, { message, code })
      assert.is_nil(size)
      size, message, code = client:download(url .. "/file", folder .. "/none/file")
      assert.is_nil(size)
      assert.equal("system", code)
      assert.matches("No such file", message)
    end)
  end)

  it("ends with a server that sends the beginning again and again", function()
    with({}, function(client, url, asked)
      local size, message, code = client:download(url .. "/part", path, { wait = 0.01, retries = 3 })
      assert.is_nil(size)
      assert.equal("status", code, message)
      assert.equal(1, #asked)
    end)
  end)

  it("takes no part that is of another file, or not what was asked for, and fetches the whole then", function()
    local rest = ("r"):rep(5)
    for what, part in pairs {
      ["another tag"] = { 206, rest, { ["content-range"] = "bytes 5-9/10", etag = '"other"' } },
      ["no size"] = { 206, rest, { ["content-range"] = "bytes 5-9/*", etag = '"a"' } },
      ["another place"] = { 206, rest, { ["content-range"] = "bytes 4-8/9", etag = '"a"' } },
      ["less than it says"] = { 206, rest, { ["content-range"] = "bytes 5-99/100", etag = '"a"' } },
      ["more than it says"] = { 206, ("r"):rep(50), { ["content-range"] = "bytes 5-9/10", etag = '"a"' } },
      ["nothing of it"] = { 206, rest, { etag = '"a"' } },
    } do
      with({ part = part }, function(client, url, asked)
        helper.write_file(path .. ".part", "first")
        helper.write_file(path .. ".part.of", url .. "/rest\n\"a\"\n")
        assert.equal(10, client:download(url .. "/rest", path, { wait = 0.01 }), what)
        assert.equal("whole file", helper.read_file(path), what)
        assert.equal("bytes=5-", asked[1])
        os.remove(path)
      end)
    end
  end)

  it("fetches into a path once at a time, and follows no link that lies where the part is to be", function()
    with({}, function(client, url)
      local first = neap.go(function() return client:download(url .. "/file", path) end)
      neap.sleep(0)
      local size, _, code = client:download(url .. "/file", path)
      assert.same({ "busy" }, { code, size })
      assert.equal(#TEXT, first:join(10))
      helper.write_file(folder .. "/victim", "mine")
      helper.run(("ln -s %s/victim %s.part"):format(folder, path))
      size, _, code = client:download(url .. "/file", path)
      assert.same({ "system" }, { code, size })
      assert.equal("mine", helper.read_file(folder .. "/victim"))
    end)
  end)

  it("takes the headers of a request as a client takes them", function()
    with({}, function(client, url)
      local headers = neap.headers.new { ["Accept-Encoding"] = "gzip", ["X-A"] = "1" }
      assert.equal(#TEXT, client:download(url .. "/file", path, { headers = headers }))
      assert.equal("gzip", headers:get("accept-encoding"))
    end)
  end)

  it("keeps nothing that has another checksum, and nothing that is too large", function()
    with({}, function(client, url)
      local right = helper.run("sha256sum " .. folder .. "/source"):match("^%x+")
      assert.equal(#TEXT, client:download(url .. "/file", path, { sha256 = right:upper() }))
      os.remove(path)
      local size, _, code = client:download(url .. "/file", path, { sha256 = ("0"):rep(64) })
      assert.same({ "checksum" }, { code, size })
      for _, name in ipairs { path, path .. ".part", path .. ".part.of" } do assert.is_nil(helper.read_file(name)) end
      local message
      size, message = client:download(url .. "/file", path, { most = 1000 })
      assert.is_nil(size)
      assert.matches("larger than 1000 bytes", message)
      assert.is_nil(helper.read_file(path))
    end)
  end)
end)
