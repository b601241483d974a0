local json = require "neap.json"

-- Has `fn` run by a collector, in the midst of whatever allocates then.
local function when_collected(fn)
  if newproxy then
    getmetatable(newproxy(true)).__gc = fn
  else
    setmetatable({}, { __gc = fn })
  end
end

-- How many of `rounds` results of `make` differ from `expected` while finalizers that call `within` run in between.
local function count_wrong(rounds, expected, make, within)
  local wrong, runs = 0, 0
  for round = 1, rounds do
    collectgarbage("stop")
    for _ = 1, 40 do
      when_collected(function()
        runs = runs + 1
        within()
      end)
    end
    collectgarbage("restart")
    repeat
      if make() ~= expected then wrong = wrong + 1 end
    until runs == 40 * round
  end
  return wrong
end

describe("json.encode", function()
  it("writes values with sorted names", function()
    assert.equal('{"a":[1,2.5,true],"b":"x\\n\\"","c":null}',
      json.encode { b = 'x\n"', a = { 1, 2.5, true }, c = json.null })
  end)

  it("tells empty arrays from empty objects", function()
    assert.equal("{}", json.encode {})
    assert.equal("[]", json.encode(json.array()))
    assert.equal("[]", json.encode(json.decode("[]")))
  end)

  it("writes whole numbers without exponent and the others so that they read back", function()
    assert.equal("9007199254740991", json.encode(9007199254740991))
    assert.equal(0.1, json.decode(json.encode(0.1)))
    assert.equal(1e300, json.decode(json.encode(1e300)))
  end)

  it("writes the shortest text of a number that reads back", function()
    for value, text in pairs { [19.99] = "19.99", [0.1] = "0.1", [1 / 3] = "0.3333333333333333", [1e300] = "1e+300",
      [0.1 + 0.2] = "0.30000000000000004", [5e-324] = "5e-324", [-2.5] = "-2.5" } do
      assert.equal(text, json.encode(value))
      assert.equal(value, json.decode(text))
    end
  end)

  it("writes objects of any size in the order of their names, numbers among them", function()
    local t, parts = {}, {}
    for i = 1, 300 do t[("n%03d"):format(i * 11 % 301)] = i * 11 % 301 end
    for i = 1, 300 do parts[i] = ('"n%03d":%d'):format(i, i) end
    assert.equal("{" .. table.concat(parts, ",") .. "}", json.encode(t))
    assert.equal('{"10":true,"9":[],"a":{"":1,"b":{}}}',
      json.encode { [9] = json.array(), a = { b = {}, [""] = 1 }, [10] = true })
  end)

  it("escapes quotation marks, backslashes and control characters", function()
    assert.equal([["\"\\\b\f\n\r\t\u0000\u001f\u007f/é"]], json.encode('"\\\b\f\n\r\t\0\31\127/é'))
    for byte = 0, 255 do
      local text = ("x"):rep(byte) .. string.char(byte)
      assert.equal(text, json.decode(json.encode(text)))
    end
    local long = ("\n"):rep(100000)
    assert.equal(long, json.decode(json.encode(long)))
    assert.equal('"short"', json.encode("short"))
  end)

  it("takes tables as they are, and writes the next one after an error", function()
    local proxy = setmetatable({ own = 1 }, { __index = function() return 2 end, __pairs = error, __len = error })
    assert.equal('{"own":1}', json.encode(proxy))
    assert.is_nil(json.encode { "begun", print })
    assert.equal('["whole"]', json.encode { "whole" })
  end)

  it("is not disturbed by finalizers that encode or decode meanwhile", function()
    local large, escaped = ("Z"):rep(70000), '"' .. ("\\u0041Z"):rep(400) .. '"'
    local object, list = {}, {}
    for i = 1, 26 do object["k" .. i] = "v" end
    for i = 1, 300 do list[i] = object end
    local expected = json.encode(list)
    local function encode() return json.encode(list) end
    assert.equal(0, count_wrong(3, expected, encode, function() json.encode { "small" } end))
    assert.equal(0, count_wrong(3, expected, encode, function() json.encode { large } end))
    assert.equal(0, count_wrong(3, expected, encode, function() json.decode(escaped) end))
    assert.equal(0, count_wrong(3, expected, encode, function() json.encode { "begun", print } end))
  end)

  it("writes a name that a finalizer takes out of the table meanwhile", function()
    local filler, t = {}, nil
    for i = 1, 60 do filler["k" .. i] = "v" end
    local function take_out()
      for name in pairs(t) do
        if name ~= "a" then t[name] = nil end
      end
      collectgarbage()
      for i = 1, 50 do assert(#("%05d"):format(i):rep(1000)) end
    end
    for round = 1, 5 do
      t = { a = { filler, filler, filler, filler } }
      t[("zname"):rep(1000) .. round] = 1
      collectgarbage("stop")
      when_collected(take_out)
      collectgarbage("restart")
      for _ = 1, 40 do
        local text = json.encode(t)
        local name = text:match(',"([^"]*)":1}$')
        assert.is_true(name == nil or name == ("zname"):rep(1000) .. round)
      end
    end
  end)

  it("writes every value of a table with holes", function()
    assert.equal('{"2":2,"3":3,"5":5}', json.encode { nil, 2, 3, nil, 5, nil, nil, nil })
    for bits = 0, 255 do
      local holed, filled = { nil, nil, nil, nil, nil, nil, nil, nil }, {}
      local object, largest, count = {}, 0, 0
      for i = 1, 8 do
        filled[i] = "null"
        if math.floor(bits / 2 ^ (i - 1)) % 2 == 1 then
          holed[i], filled[i] = i, tostring(i)
          object[#object + 1] = ('"%d":%d'):format(i, i)
          largest, count = i, count + 1
        end
      end
      local list = "[" .. table.concat(filled, ",", 1, largest) .. "]"
      assert.equal(count > 0 and count == largest and list or "{" .. table.concat(object, ",") .. "}",
        json.encode(holed))
      assert.equal(list, json.encode(json.array(holed)))
    end
  end)

  it("refuses an array that is nearly nothing but holes", function()
    assert.same({ nil, "an array with so many holes is no JSON", "json" },
      { json.encode(json.array { [1e9] = true }) })
    assert.equal('{"1000000000":true}', json.encode { [1000000000] = true })
  end)

  it("nests a hundred deep and no deeper, both ways", function()
    local t = { 1 }
    for _ = 2, 100 do t = { t } end
    local text = json.encode(t)
    assert.equal(("["):rep(100) .. "1" .. ("]"):rep(100), text)
    assert.is_table(json.decode(text))
    assert.same({ nil, "a table nested too deep, or in itself, is no JSON", "json" }, { json.encode { t } })
    assert.equal("nested too deep at byte 102 (line 1)", select(2, json.decode("[" .. text .. "]")))
  end)

  it("refuses what has no JSON form and says why", function()
    local loop = {}
    loop[1] = loop
    for _, bad in ipairs { loop, print, 0 / 0, math.huge, { [{}] = 1 }, { [true] = 1 } } do
      local text, why, code = json.encode(bad)
      assert.is_nil(text)
      assert.is_string(why)
      assert.equal("json", code)
    end
  end)
end)

describe("json.decode", function()
  it("reads every kind of value", function()
    assert.same({ a = json.array { 1, -2.5e3, "é😀\t/" }, b = { c = false } },
      json.decode(' { "a" : [1,-2.5e3,"\\u00e9\\ud83d\\ude00\\t\\/"] , "b":{"c":false}}\n'))
    assert.equal(json.null, json.decode("null"))
  end)

  it("is not disturbed by finalizers that encode or decode meanwhile", function()
    local parts, texts = {}, {}
    for i = 1, 400 do
      parts[i] = '"\\u00e9' .. i .. ("a"):rep(200) .. '"'
      texts[i] = "é" .. i .. ("a"):rep(200)
    end
    local text, expected = "[" .. table.concat(parts, ",") .. "]", table.concat(texts, ",")
    local function decode() return table.concat(json.decode(text), ",") end
    local escaped = '"' .. ("\\u0041Z"):rep(400) .. '"'
    assert.equal(0, count_wrong(2, expected, decode, function() json.decode(escaped) end))
    assert.equal(0, count_wrong(2, expected, decode, function() json.encode { ("Z"):rep(70000) } end))
  end)

  it("refuses what RFC 8259 does not allow, with the place", function()
    for _, bad in ipairs {
      "", "{", "[1,]", "[1 2]", '{"a":1,}', "{a:1}", "01", "1.", "1.e5", ".5", "-",
      "0x1", "\0", "+1", "nul", '"\n"', '"\\x"',
      '"\\ud800"', '"abc', "1 2", "[1]]", "'a'", "NaN", ("["):rep(200),
    } do
      local value, why, code = json.decode(bad)
      assert.is_nil(value, bad)
      assert.matches("byte %d+", why)
      assert.equal("json", code)
    end
  end)

  it("refuses numbers that none is large enough for, and keeps the largest", function()
    for _, bad in ipairs { "1e999", "-1e999", '{"a":[1e309]}', ("9"):rep(400) } do
      local value, why, code = json.decode(bad)
      assert.is_nil(value)
      assert.matches("number out of range at byte %d+", why)
      assert.equal("json", code)
    end
    assert.same({ 1.7976931348623157e308, 0, -0.0 }, json.decode "[1.7976931348623157e308,1e-999,-0.0]")
  end)
end)

local found, cjson = pcall(require, "cjson")

describe("JSON beside lua-cjson", function()
  if not found then
    it("says the same", function() pending("lua-cjson is not there") end)
    return
  end

  local function plain(value)
    if value == json.null or value == cjson.null then return "null" end
    if type(value) ~= "table" then return value end
    local copy = {}
    for key, one in pairs(value) do copy[key] = plain(one) end
    return copy
  end

  -- What a text is to both: what was read, or false where it is refused.
  local function read(text)
    local ours, message = json.decode(text)
    local is_taken, theirs = pcall(cjson.decode, text)
    return (ours ~= nil or not message) and plain(ours), is_taken and plain(theirs)
  end

  -- Numbers from a seed, the same in every Lua.
  local state
  local function draw(count)
    state = state * 16807 % 2147483647
    return state % count + 1
  end

  local PIECES = { '""', '"a"', '"tide \\u00e9\\ud83d\\ude00"', '"\\"\\\\\\/\\b\\f\\n\\r\\t"', '"é\127"', "0", "-1",
    "2.5", "1e3", "-0.125E-2", "19.99", "123456789012345", "true", "false", "null", "[]", "{}", " [ ] ", "\t{\n}\r" }

  local function value_text(depth)
    local kind = depth > 0 and draw(4) or 1
    if kind <= 2 then return PIECES[draw(#PIECES)] end
    local parts = {}
    for i = 1, draw(5) - 1 do
      parts[i] = (kind == 3 and "" or ('"n%d" : '):format(draw(9))) .. value_text(depth - 1)
    end
    local text = table.concat(parts, draw(2) == 1 and "," or " ,\n")
    return kind == 3 and "[" .. text .. "]" or "{" .. text .. "}"
  end

  it("reads the same from 5000 texts, and so does each what the other writes of them", function()
    state = 20261129
    for _ = 1, 5000 do
      local text = value_text(5)
      local ours, theirs = read(text)
      assert.same(theirs, ours, text)
      local again, them = read(json.encode(json.decode(text)))
      assert.same(them, again, text)
      assert.same(ours, again, text)
      local of_theirs, by_them = read(cjson.encode(cjson.decode(text)))
      assert.same(by_them, of_theirs, text)
    end
  end)

  it("refuses the same of 5000 texts with a mistake, but for what is listed below", function()
    state = 7
    local refused = 0
    for _ = 1, 5000 do
      local text = value_text(4)
      local at, put = draw(#text), ({ "", ",", "]", "}", "[", "{", ":", '"', "x", " ", "\\" })[draw(11)]
      text = text:sub(1, at - 1) .. put .. text:sub(at + 1)
      local ours, theirs = read(text)
      -- A number that lost its beginning or a part of it is one of theirs all the same.
      local is_odd = text:find("%f[%w]0%d") or (text .. " "):find("%d%.[^%d]") or (" " .. text):find("[^%d]%.%d")
      if not (is_odd and ours == false) then assert.same(theirs, ours, text) end
      if ours == false then refused = refused + 1 end
    end
    assert.is_true(refused > 1000, refused)
  end)

  it("reads by RFC 8259 where lua-cjson takes more, and deeper", function()
    local huge = math.huge
    for _, one in ipairs { { "[NaN]" }, { "[nan]" }, { "Infinity", huge }, { "-inf", -huge }, { "0x10", 16 },
      { "[0x1F]", { 31 } }, { "[01]", { 1 } }, { "[-01]", { -1 } }, { "[1.]", { 1 } }, { "[+1]", { 1 } },
      { "1e400", huge }, { '"\t\n"', "\t\n" } } do
      local ours, theirs = read(one[1])
      assert.is_false(ours, one[1])
      if one[2] ~= nil then assert.same(one[2], theirs, one[1]) else assert.is_table(theirs) end
    end
    local ours, theirs = read(("["):rep(1000) .. ("]"):rep(1000))
    assert.same({ false, "table" }, { ours, type(theirs) })
    assert.same({ {}, {} }, { read(("["):rep(100) .. ("]"):rep(100)) and {}, {} })
  end)

  it("writes numbers that read back, sorted names, slashes as they are, and holes as an object", function()
    for _, one in ipairs { { 1 / 3, "0.3333333333333333", "0.33333333333333" }, { 1e15, "1000000000000000", "1e+15" },
      { 2 ^ 53 + 2, "9007199254740994", "9.007199254741e+15" }, { 5e-324, "5e-324", "4.9406564584125e-324" },
      { "a/b", '"a/b"', '"a\\/b"' }, { { 1, nil, 3 }, '{"1":1,"3":3}', "[1,null,3]" },
      { { [5] = 1 }, '{"5":1}', "[null,null,null,null,1]" }, { { [1000] = 1 }, '{"1000":1}' } } do
      assert.equal(one[2], json.encode(one[1]))
      local is_written, text = pcall(cjson.encode, one[1])
      assert.equal(one[3], is_written and text or nil)
    end
    assert.equal('{"1":1,"a":2,"b":3}', json.encode { b = 3, 1, a = 2 })
    -- What neither writes.
    for _, value in ipairs { 0 / 0, math.huge, { [true] = 1 }, print } do
      assert.is_nil((json.encode(value)))
      assert.is_false((pcall(cjson.encode, value)))
    end
  end)

  it("keeps an empty array and null apart by tables, not by a light userdata", function()
    assert.equal("[]", json.encode(json.decode("[]")))
    assert.equal("{}", cjson.encode(cjson.decode("[]")))
    assert.same({ "table", "userdata" }, { type(json.decode("null")), type(cjson.decode("null")) })
  end)
end)
