-- What a peer sends is text of its choice: no function that takes it apart may go back over it.
local Headers = require "neap.headers"
local json = require "neap.json"
local plain = require "neap.plain"
local Request = require "neap.request"
local Router = require "neap.router"
local url = require "neap.url"
local work = require "support.work"

local function request(fields, target)
  local query = (target or "/"):match("%?(.*)$") or false
  local req = Request.new({}, 0, true, "GET", target or "/", false, query, "host", "https", false, false)
  req.headers = Headers.wrap(fields)
  return req
end

describe("the count of work", function()
  it("tells what goes back over its text from what does not", function()
    local function spaces(size) return (" "):rep(size) .. "x" end
    assert.is_false((work.is_linear(spaces, function(text) return text:gsub("%s+$", "") end)))
    assert.is_false((work.is_linear(spaces, function(text) return text:match("(.-)(%s*)$") end)))
    assert.is_true((work.is_linear(spaces, function(text) return text:match("^%s*(x)$") end)))
    assert.is_true((work.is_linear(spaces, function(text) return text:gsub(" ", "+") end)))
  end)

  -- No match that is empty and right behind another: Lua 5.4 leaves it out.
  it("matches as Lua does", function()
    for _, one in ipairs {
      { "a=1; b=2", "([^=;%s]+)=([^;]*)" }, { "/a//b/", "/([^/]*)" }, { "x[a[b]]:1", "(%b[]):(%d+)" },
      { "%41%zz", "%%(%x%x)" }, { "a-b]c", "[^]%w-]*(.-)c" }, { "", "^(.*)$" }, { "abc", "b?c$" },
      { "k: v ", "^(%w+):" },
    } do
      local text, pattern = one[1], one[2]
      local real = { text:find(pattern) }
      local _, same = work.count(function() return { text:find(pattern) } end)
      assert.same(real, same)
      local all = {}
      for first, second in text:gmatch(pattern:gsub("^%^", "")) do all[#all + 1] = { first, second } end
      local _, found = work.count(function()
        local list = {}
        for first, second in text:gmatch(pattern:gsub("^%^", "")) do list[#list + 1] = { first, second } end
        return list
      end)
      assert.same(all, found)
    end
  end)
end)

describe("text from a peer", function()
  local function of(piece, head, tail)
    return function(size) return (head or "") .. piece:rep(math.floor(size / #piece)) .. (tail or "") end
  end
  local base = { scheme = "https", authority = "a", path = "/" }

  for name, one in pairs {
    ["a line for a terminal"] = { of "\155", plain.lines },
    ["a line of characters"] = { of "\195\184", plain.lines },
    ["lines for a terminal"] = { of "\n\27\t", plain.lines },
    ["a cookie without ="] = { of "a", function(text) return request({ "cookie", text }):cookie("sid") end },
    ["a cookie of spaces"] = { of(" ", "sid=", "x"), function(text)
      return request({ "cookie", text }):cookie("sid")
    end },
    ["a cookie of spaces before the name"] = { of(" ", "x=1;", "sid"), function(text)
      return request({ "cookie", text }):cookie("sid")
    end },
    ["many cookies"] = { of "a=b; ", function(text) return request({ "cookie", text }):cookie("sid") end },
    ["many names that are no cookies"] = { of "a;", function(text)
      return request({ "cookie", text }):cookie("sid")
    end },
    ["many equals signs"] = { of "=", function(text) return request({ "cookie", text }):cookie("sid") end },
    ["an authority of digits"] = { of("1", "https://", ":x"), url.parse },
    ["an authority in brackets"] = { of("[", "https://"), url.parse },
    ["a URL of letters"] = { of "a", url.parse },
    ["a URL's query"] = { of("?", "https://a/"), url.parse },
    ["a URL's fragment"] = { of("#", "https://a/"), url.parse },
    ["a path that a reference replaces"] = { of("a", "/", "/"), function(text)
      return url.join({ scheme = "https", authority = "a", path = text }, "b")
    end },
    ["a reference"] = { of("a"), function(text) return url.join(base, text) end },
    ["a reference of slashes and dots"] = { of("/../.", "x"), function(text) return url.join(base, text) end },
    ["a query of letters"] = { of "a", url.parse_query },
    ["a query of one name"] = { of "a=&", url.parse_query },
    ["a query of equals signs"] = { of "=", url.parse_query },
    ["percent signs"] = { of "%", function(text) return url.decode(text, true) end },
    ["slashes"] = { of("/", "", "x"), Router.normalize },
    ["dot segments"] = { of("a/../", "/"), Router.normalize },
    ["escaped slashes"] = { of("%2F", "/", "x"), function(text) return request({}, text).path end },
    ["segments"] = { of "/a", Router.segments },
    ["JSON of spaces"] = { of(" ", "[", "x"), json.decode },
    ["JSON of digits"] = { of("1", "[", "x"), json.decode },
    ["a JSON string without an end"] = { of("a", '["'), json.decode },
    ["a JSON string of escapes"] = { of("\\n", '["', '"]'), json.decode },
    ["a JSON array"] = { of("1,", "[", "1]"), json.decode },
  } do
    it("such as " .. name .. " is linear work", function()
      local is_linear, first, second = work.is_linear(one[1], one[2])
      assert.is_true(is_linear, ("%d instructions, and %d for twice the length"):format(first, second))
    end)
  end

  it("such as lines of one name behind as many others is linear work", function()
    local function lines(size)
      local list = {}
      for i = 1, size / 20 do list[#list + 1], list[#list + 2] = "x-" .. i, "1" end
      for i = 1, size / 20 do list[#list + 1], list[#list + 2] = "x", tostring(i) end
      return list
    end
    local is_linear, first, second = work.is_linear(lines, function(list)
      return #Headers.wrap(list):get_all("x")
    end)
    assert.is_true(is_linear, ("%d instructions, and %d for twice the length"):format(first, second))
  end)

  it("such as an If-None-Match or a path is linear work for static files", function()
    local folder = require("helper").make_dir()
    local handler = require "neap.static"(folder)
    require("helper").write_file(folder .. "/index.html", "tide")
    local function answer(fields, target)
      local res = {}
      function res.header(_, _, ...) return select("#", ...) > 0 and res or nil end
      function res.status(_, status) return status and res or 200 end
      function res.send() return res end
      res.error = res.send
      res._send_file = res.send
      return (handler(request(fields, target), res))
    end
    for name, one in pairs {
      tags = { of('"a", '), "if-none-match" }, quotes = { of('"', "", "x"), "if-none-match" },
      spaces = { of(" ", "", "x"), "if-none-match" }, starred = { of("*", " "), "if-none-match" },
      matches = { of('"a", '), "if-match" }, dates = { of("Sun, 06 "), "if-unmodified-since" },
      range = { of("1", "bytes=", "x"), "range" }, ranges = { of("1-,", "bytes="), "range" },
    } do
      local is_linear, first, second = work.is_linear(one[1], function(text) return answer({ one[2], text }) end)
      assert.is_true(is_linear, ("%s: %d, %d"):format(name, first, second))
    end
    for name, make in pairs { slashes = of("/", "/", "x"), escaped = of("%2F", "/", "x"), dots = of("/.", "", "x") } do
      local is_linear, first, second = work.is_linear(make, function(text) return answer({}, text) end)
      assert.is_true(is_linear, ("%s: %d, %d"):format(name, first, second))
    end
    require("helper").remove_dir(folder)
  end)
end)

describe("req:cookie", function()
  it("splits at ; and the first =, and takes the first of a name", function()
    local req = request { "cookie", " a=1 ;b = x=y; c; =d;e=%41%20 ;\ta=2", "cookie", "f=6; z z=9" }
    assert.same({ "1", "x=y", "A ", "6" }, { req:cookie("a"), req:cookie("b"), req:cookie("e"), req:cookie("f") })
    assert.is_nil(req:cookie("z"))
    assert.equal("9", req:cookie("z z"))
  end)

  it("is nil for one that is not there", function()
    assert.equal(1, select("#", request({}):cookie("a")))
    assert.equal(1, select("#", request({ "cookie", "b=1" }):cookie("a")))
    assert.equal("nil", tostring(request({ "cookie", "b=1" }):cookie("a")))
  end)
end)
