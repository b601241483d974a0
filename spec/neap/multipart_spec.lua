local multipart = require "neap.multipart"
local web = require "support.web"
local helper = web.helper

local B = "XbX"

local function part(disposition, content, more)
  return ("--%s\r\nContent-Disposition: form-data; %s\r\n%s\r\n%s\r\n"):format(B, disposition, more or "", content)
end

-- Gives a text in pieces of so many bytes.
local function pieces(text, size)
  local at = 1
  return function()
    if at > #text then return nil end
    at = at + size
    return text:sub(at - size, at - 1)
  end
end

-- All parts of a body: { name, filename or false, content }.
local function read(text, limits, size)
  local all = {}
  for one in multipart.parts(pieces(text, size or #text), B, limits) do
    all[#all + 1] = { one.name, one.filename or false, assert(one:body()) }
  end
  return all
end

local function fault(text, limits, size)
  local ok, err = pcall(read, text, limits, size)
  assert.is_false(ok, text)
  assert.is_true(multipart.is_fault(err), tostring(err))
  return err.status .. " " .. err.message
end

describe("a multipart body", function()
  it("costs as much as it is long, also where a file's name ends with a slash", function()
    local body = part('name=f; filename="' .. ("a"):rep(8000) .. '/"', ""):rep(50) .. "--XbX--"
    local begun = os.clock()
    assert.equal(50, #read(body))
    -- Looked for from each of its characters to the end, names of this length take seconds.
    assert.is_true(os.clock() - begun < 1)
  end)

  local whole = "a preamble\r\n" .. part('name="one"', "1") .. part('name="file"; filename="C:\\dir\\a b.bin"',
    "\r\n--Xb\r\n-\r\n\r\n", "Content-Type: application/x\r\n") .. part('name="empty"', "") .. "--XbX--\r\nepilogue"
  local expected = { { "one", false, "1" }, { "file", "a b.bin", "\r\n--Xb\r\n-\r\n\r\n" }, { "empty", false, "" } }

  it("gives its parts, in whatever pieces it comes", function()
    for size = 1, 90 do assert.same(expected, read(whole, nil, size), size) end
    assert.same(expected, read(whole))
    -- Without a line break before the first delimiter or a body, and with spaces behind a delimiter.
    assert.same({ { "a", false, "" }, { "b", false, "x" } }, read("--XbX  \r\n"
      .. "content-disposition:form-data;name=a\r\n\r\n--XbX\t\r\n"
      .. "Content-Disposition: form-data; name=b\r\n\r\nx\r\n--XbX--"))
    assert.same({}, read("--XbX--"))
  end)

  it("says the same of whatever comes, in whatever pieces it comes", function()
    math.randomseed(9110)
    local bits = { "\r\n", "--XbX", "\r\n--XbX", "--", '"', "\\", ";", "=", ":", "\r", "\n", "\0", "name=", "\r\n\r\n" }
    local good, bad = 0, 0
    for _ = 1, 3000 do
      local text = whole
      for _ = 1, math.random(3) do
        local at = math.random(#text)
        text = text:sub(1, at - 1) .. bits[math.random(#bits)] .. text:sub(at + math.random(0, 6))
      end
      local ok, result = pcall(read, text)
      local again, other = pcall(read, text, nil, math.random(9))
      assert.is_true(ok or multipart.is_fault(result), tostring(result))
      assert.equal(ok, again, text)
      assert.same(ok and result or result.message, ok and other or other.message, text)
      if ok then good = good + 1 else bad = bad + 1 end
    end
    assert.is_true(good > 100 and bad > 100, good .. " " .. bad)
  end)

  it("passes over what is not read of a part", function()
    local names = {}
    for one in multipart.parts(pieces(whole, 7), B) do
      names[#names + 1] = one.name .. tostring(one:read(1))
    end
    assert.same({ "one1", "file\r", "emptynil" }, names)
  end)

  it("ends a part that is left when the next is asked for", function()
    local next_part = multipart.parts(pieces(whole, 7), B)
    local first = next_part()
    assert(next_part())
    assert.is_nil(first:read())
  end)

  it("has names of files without folders, and none that is no name", function()
    for sent, name in pairs { ["../../etc/passwd"] = "passwd", ["/abs"] = "abs", ["a\\\\b"] = "b", [".."] = false,
      [""] = false, ["x/"] = false, ["."] = false, ['q\\"x'] = 'q"x', ["%2e%2e%2fx"] = "%2e%2e%2fx" } do
      assert.equal(name, read(part('name=f; filename="' .. sent .. '"', "") .. "--XbX--")[1][2], sent)
    end
  end)

  it("is refused when it is written wrong", function()
    local last = "--XbX--"
    for _, text in ipairs {
      "", "x", part("name=a", "x"), part("name=a", "x") .. "--XbX", part("name=a", "x") .. "--XbXy\r\n" .. last,
      part("name=a", "x") .. "--XbX-\r\n" .. last, "--XbX\r\n\r\nx\r\n" .. last, part("nom=a", "x") .. last,
      part('name="a', "x") .. last, part("name=a; name=b", "x") .. last, part("name=a", "x", "a b: c\r\n") .. last,
      part("name=a", "x", "a: b\rc\r\n") .. last, part("name=a", "x", "a: b\n c: d\r\n") .. last,
      part("name=a", "x", " folded\r\n") .. last, part("name=a", "x", "nothing\r\n") .. last,
      part("name=a", "x", "Content-Transfer-Encoding: base64\r\n") .. last,
      "--XbX\r\nContent-Disposition: attachment; name=a\r\n\r\nx\r\n" .. last,
    } do
      for _, size in ipairs { 1, 3, 1000 } do assert.matches("^400 multipart: ", fault(text, nil, size)) end
    end
  end)

  it("is refused when it has more than it may", function()
    local two = part("name=a", "12345678") .. part("name=b", "1") .. "--XbX--"
    assert.same(2, #read(two, { parts = 2, part_bytes = 8, bytes = #two }))
    assert.equal("413 multipart: more than 1 parts", fault(two, { parts = 1 }))
    assert.equal("413 multipart: a part has more than 7 bytes", fault(two, { part_bytes = 7 }))
    assert.matches("^413 multipart: more than %d+ bytes", fault(two, { bytes = #two - 1 }, 1))
    local lines = ("x: y\r\n"):rep(16)
    assert.equal("413 multipart: a part has too many fields", fault(part("name=a", "", lines) .. "--XbX--"))
    for _, size in ipairs { 100, 100000 } do
      assert.equal("413 multipart: a part's fields are too long",
        fault(part("name=a", "", "x: " .. ("y"):rep(9000) .. "\r\n") .. "--XbX--", nil, size))
      assert.equal("413 multipart: a part's fields are too long", fault("--XbX\r\n" .. ("y"):rep(90000), nil, size))
      assert.equal("413 multipart: too much is before the first part", fault(("y"):rep(90000), nil, size))
      assert.equal("413 multipart: too much is behind the last part", fault("--XbX--" .. ("y"):rep(90000), nil, size))
    end
    assert.error_matches(function() multipart.parts(pieces("", 1), B, { part = 1 }) end, "unknown option 'part'")
    assert.error_matches(function() multipart.parts(pieces("", 1), B, { parts = 0 }) end, "option 'parts' must be")
  end)

  it("has a boundary that RFC 2046 allows", function()
    for sent, boundary in pairs {
      ["multipart/form-data; boundary=abc"] = "abc", ['Multipart/Form-Data;Boundary="a b"'] = "a b",
      ["multipart/form-data; charset=x; boundary=a'()+_,-./:=?"] = false, ["multipart/form-data"] = false,
      ["multipart/form-data; boundary="] = false, ['multipart/form-data; boundary=""'] = false,
      ['multipart/form-data; boundary="a "'] = false, ["multipart/form-data; boundary=a; boundary=b"] = false,
      ["text/plain; boundary=a"] = false, ['multipart/form-data; boundary="a\r\n"'] = false,
      ["multipart/form-data; boundary=" .. ("x"):rep(70)] = ("x"):rep(70),
      ["multipart/form-data; boundary=" .. ("x"):rep(71)] = false,
      ['multipart/form-data; boundary="a'] = false,
    } do
      assert.equal(boundary, multipart.boundary(sent) or false, sent)
    end
  end)
end)

describe("a request", function()
  local type_of = { ["content-type"] = "multipart/form-data; boundary=" .. B }

  it("gives the parts of its body as they come, to be saved or read", function()
    local folder = helper.make_dir()
    web.with_app(function(app)
      app:post("/", function(req)
        local told = {}
        for one in req:multipart { parts = 3 } do
          if one.filename then
            told[#told + 1] = one.filename .. " " .. assert(one:save(folder .. "/" .. one.filename))
          else
            told[#told + 1] = one.name .. " " .. one:body() .. " " .. tostring(one.content_type)
          end
        end
        return told
      end)
    end, function(client, url)
      local image = ("\r\n--Xb\0"):rep(300000)
      local body = part("name=note", "high tide", "Content-Type: text/plain\r\n") ..
        part('name=image; filename="fw.bin"', image) .. "--XbX--"
      local r = assert(client:post(url .. "/", { headers = type_of, body = pieces(body, 70000) }))
      assert.same({ "note high tide text/plain", "fw.bin 2100000" }, r:json())
      assert.is_true(image == helper.read_file(folder .. "/fw.bin"))
      r = assert(client:post(url .. "/", { headers = type_of, body = "--XbX\r\nbroken" }))
      assert.same({ 400, "multipart: the body ends before its last delimiter" }, { r.status, r:body() })
      r = assert(client:post(url .. "/", { headers = type_of, body = part("name=a", ""):rep(4) .. "--XbX--" }))
      assert.same({ 413, "multipart: more than 3 parts" }, { r.status, r:body() })
      assert.equal(415, assert(client:post(url .. "/", { body = "x" })).status)
      r = assert(client:post(url .. "/", { body = "x", headers = { ["content-type"] = "multipart/form-data" } }))
      assert.equal(400, r.status)
    end)
    helper.remove_dir(folder)
  end)

  it("reads either kind of form, up to a limit", function()
    web.with_app(function(app)
      app:post("/", function(req)
        local values, all, files = req:form(2000)
        if not values then return 400, { all, files } end
        assert(req:form() == values or req.headers["content-type"]:find("urlencoded"))
        return { values, all, files }
      end)
    end, function(client, url)
      local function post(body, headers)
        return assert(client:post(url .. "/", { headers = headers or type_of, body = body })):json()
      end
      local body = part("name=a", "1") .. part("name=a", "2") .. part("name=f; filename=x", "bytes") .. "--XbX--"
      assert.same({ { a = "2" }, { a = { "1", "2" } }, { f = { filename = "x", body = "bytes" } } }, post(body))
      local encoded = { ["content-type"] = "application/x-www-form-urlencoded" }
      assert.same({ { a = "2", b = "x y" }, { a = { "1", "2" }, b = { "x y" } }, {} }, post("a=1&a=2&b=x+y", encoded))
      assert.same({ "multipart: more than 2000 bytes", "limit" }, post(part("name=a", ("x"):rep(2000)) .. "--XbX--"))
      assert.same({ "more than 1000 values", "limit" }, post(("&"):rep(1000), encoded))
      assert.same({ "multipart: the body ends before its last delimiter", "invalid" }, post("--XbX\r\n"))
    end)
  end)
end)
