local http = require("neap.units").http

local OK = { { ":status", "200" }, { "content-type", "text/plain" }, { "content-length", "11" } }

local function with(...)
  local fields = { unpack(OK) }
  for _, field in ipairs({ ... }) do fields[#fields + 1] = field end
  return fields
end

--- How many of `times` equal sections are found.
local function found(fields, times)
  local sections, count = {}, 0
  for i = 1, times do sections[i] = fields end
  for _, is_found in ipairs(http.section_cache(sections)) do count = count + (is_found and 1 or 0) end
  return count
end

describe("the cache of field sections", function()
  it("finds what came twice before", function()
    assert.same({ false, false, true, true }, http.section_cache({ OK, OK, OK, OK }))
  end)

  it("keeps nothing that came once", function()
    local sections = {}
    for i = 1, 200 do sections[i] = with({ "etag", ("%d"):format(i) }) end
    for _, is_found in ipairs(http.section_cache(sections)) do assert.is_false(is_found) end
  end)

  it("holds each byte against what it keeps", function()
    local sections = { OK, OK, OK }
    for i, field in ipairs(OK) do
      for part = 1, 2 do
        for at = 1, #field[part] do
          local changed = { unpack(OK) }
          local text = field[part]
          changed[i] = { field[1], field[2] }
          changed[i][part] = text:sub(1, at - 1) .. string.char(text:byte(at) == 49 and 50 or 49) .. text:sub(at + 1)
          sections[#sections + 1] = changed
        end
      end
    end
    sections[#sections + 1] = { OK[1], OK[2] }
    sections[#sections + 1] = with({ "x", "" })
    sections[#sections + 1] = { OK[1], OK[3], OK[2] }
    local result = http.section_cache(sections)
    assert.is_true(result[3])
    for i = 4, #result do assert.is_false(result[i], i) end
  end)

  it("does not take the end of a name for the begin of a value", function()
    assert.same({ false, false, true, false, false },
      http.section_cache({ with({ "ab", "cab" }), with({ "ab", "cab" }), with({ "ab", "cab" }), with({ "abc", "ab" }),
        with({ "a", "bcab" }) }))
  end)

  it("gives each section its own bytes, however many there are", function()
    local sections = {}
    for round = 1, 6 do
      for i = 1, 40 do sections[#sections + 1] = with({ "x-number", ("%d"):format(i % 13 == 0 and round or i) }) end
    end
    http.section_cache(sections) -- raises when another one is found
  end)

  it("keeps no credentials, and nothing that is never indexed", function()
    for _, name in ipairs({ "set-cookie", "cookie", "authorization", "proxy-authorization", "www-authenticate",
      "proxy-authenticate", "authentication-info", "proxy-authentication-info" }) do
      assert.equal(0, found(with({ name, "secret" }), 5), name)
    end
    assert.equal(0, found(with({ "x-token", "secret", true }), 5))
    assert.equal(3, found(with({ "x-token", "no secret" }), 5))
  end)

  it("does not give a section whose line became never indexed", function()
    local plain, secret = with({ "x-token", "t" }), with({ "x-token", "t", true })
    assert.same({ false, false, true, false, false, true },
      http.section_cache({ plain, plain, plain, secret, secret, plain }))
  end)

  it("is bounded in the size and the lines of a section", function()
    assert.equal(0, found(with({ "x", ("v"):rep(200) }), 5))
    assert.equal(0, found(with({ "x", ("v"):rep(60000) }), 5))
    local many = {}
    for i = 1, 20 do many[i] = { i == 1 and ":status" or "a", i == 1 and "200" or "b" } end
    assert.equal(0, found(many, 5))
  end)

  it("keeps requests as well", function()
    assert.equal(3, found({ { ":method", "GET" }, { ":scheme", "https" }, { ":authority", "a" }, { ":path", "/" } }, 5))
  end)

  it("keeps nothing that a response may not have", function()
    assert.equal(0, found({ { ":status", "101" } }, 5))
    assert.equal(0, found(with({ "connection", "close" }), 5))
  end)
end)
