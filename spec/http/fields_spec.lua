local http = require("neap.units").http

local MESSAGE_ERROR = 0x10e

-- As the application gives them, and as they come out of QPACK: the rules are the same.
local function check(kind, fields)
  local info, code, reason = http.fields_check(kind, fields)
  local decoded, decoded_code, decoded_reason = http.fields_check(kind, fields, true)
  if not info then assert.equal(MESSAGE_ERROR, code) end
  if decoded then assert.same(info, decoded) end
  assert.equal(code, decoded_code)
  assert.equal(reason, decoded_reason)
  return info, reason
end

-- A GET request with some of its parts replaced (false: left out) and fields behind them.
local function request(parts, ...)
  local fields = {}
  for _, name in ipairs({ ":method", ":scheme", ":authority", ":path" }) do
    local value = parts[name]
    if value == nil then
      value = ({ [":method"] = "GET", [":scheme"] = "https", [":authority"] = "example.com", [":path"] = "/" })[name]
    end
    if value then fields[#fields + 1] = { name, value } end
  end
  for _, field in ipairs({ ... }) do fields[#fields + 1] = field end
  return fields
end

local function good(kind, fields, message)
  local info, reason = check(kind, fields)
  assert(info, (message or "") .. " refused: " .. tostring(reason))
  return info
end

local function bad(kind, fields, message)
  local info, reason = check(kind, fields)
  assert(not info, (message or "") .. " accepted")
  assert.is_string(reason)
  return reason
end

local kinds = {
  request = function(...) return request({}, ...) end,
  response = function(...) return { { ":status", "200" }, ... } end,
  trailers = function(...) return { ... } end,
}

describe("field names", function()
  -- covers: rfc9114#4.2.1 rfc9114#4.2.2
  it("are tokens in lower case, at every position", function()
    for byte = 0, 255 do
      local char = string.char(byte)
      local allowed = byte < 128 and char:match("[a-z0-9!#$%%&'*+%-.^_`|~]") ~= nil
      for _, name in ipairs({ char .. "x", "x" .. char .. "y", "x" .. char, char }) do
        for kind, fields in pairs(kinds) do
          local info = check(kind, fields({ name, "v" }))
          if (info ~= nil) ~= allowed then error(("byte %d in %q of a %s"):format(byte, name, kind)) end
        end
      end
    end
  end)

  it("are not empty", function()
    for kind, fields in pairs(kinds) do bad(kind, fields({ "", "v" })) end
  end)

  it("in upper case are named as such", function()
    assert.equal("upper case in a field name", bad("request", request({}, { "Accept", "x" })))
  end)
end)

describe("field values", function()
  it("hold visible bytes, and space and tab between them", function()
    for byte = 0, 255 do
      local char = string.char(byte)
      local visible = (byte > 0x20 and byte ~= 0x7f)
      local blank = byte == 0x20 or byte == 0x09
      local cases =
        { [char .. "x"] = visible, ["x" .. char] = visible, ["x" .. char .. "y"] = visible or blank, [char] = visible }
      for value, allowed in pairs(cases) do
        for kind, fields in pairs(kinds) do
          if (check(kind, fields({ "name", value })) ~= nil) ~= allowed then
            error(("byte %d in %q of a %s"):format(byte, value, kind))
          end
        end
      end
    end
  end)

  it("may be empty", function()
    for kind, fields in pairs(kinds) do good(kind, fields({ "name", "" })) end
  end)
end)

describe("each byte at each position of names, values and targets", function()
  local parts = {
    { "name", "[a-z0-9!#$%%&'*+%-.^_`|~]", function(text) return request({}, { text, "v" }) end },
    { "value", "[\t\32-\126\128-\255]", function(text) return request({}, { "name", "v" .. text .. "v" }) end },
    { "authority", "[A-Za-z0-9%-._~!$%%&'()*+;=:%[%]]", function(text) return request({ [":authority"] = text }) end },
    { "path", "[!-\"$-~]", function(text) return request({ [":path"] = "/" .. text }) end },
  }

  it("is looked at, whatever the size", function()
    for _, part in ipairs(parts) do
      local what, allowed, fields = unpack(part)
      for byte = 0, 255 do
        local char = string.char(byte)
        local ok = char:match(allowed) ~= nil
        for _, size in ipairs({ 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17 }) do
          for at = 1, size do
            local text = ("a"):rep(at - 1) .. char .. ("z"):rep(size - at)
            if not (what == "name" and char == ":" and at == 1) and (check("request", fields(text)) ~= nil) ~= ok then
              error(("byte %d at %d of %d in a %s"):format(byte, at, size, what))
            end
          end
        end
      end
    end
  end)
end)

describe("connection-specific fields", function()
  -- covers: rfc9114#4.2.3 rfc9114#4.1.7
  it("are refused everywhere", function()
    for _, name in ipairs({ "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade" }) do
      for kind, fields in pairs(kinds) do bad(kind, fields({ name, "close" }), name) end
    end
  end)

  -- covers: rfc9114#4.2.4
  it("leave te, which says trailers in a request", function()
    good("request", request({}, { "te", "trailers" }))
    for _, value in ipairs({ "", "gzip", "trailers, gzip", "trailer", "trailerss" }) do
      bad("request", request({}, { "te", value }), value)
    end
    bad("response", kinds.response({ "te", "trailers" }))
    bad("trailers", { { "te", "trailers" } })
  end)

  it("are not those with similar names", function()
    for _, name in ipairs({ "connectiom", "keep-alivf", "upgradf", "transfer-encodinh", "proxy-connectiom", "tf" }) do
      good("request", request({}, { name, "x" }))
    end
  end)
end)

describe("pseudo-header fields", function()
  -- covers: rfc9114#4.3.1.6
  it("of a request are there once each", function()
    good("request", request({}))
    for _, name in ipairs({ ":method", ":scheme", ":path" }) do bad("request", request({ [name] = false }), name) end
    for _, field in ipairs(request({})) do
      local fields = request({})
      table.insert(fields, 1, field)
      assert.equal("pseudo-header field twice", bad("request", fields))
    end
  end)

  -- covers: rfc9114#4.3.5 rfc9114#4.3.6
  it("come before the regular ones", function()
    for i = 2, 5 do
      local fields = request({})
      table.insert(fields, i - 1, { "accept", "*/*" })
      bad("request", fields)
    end
    bad("response", { { "server", "x" }, { ":status", "200" } })
  end)

  -- covers: rfc9114#4.3.1 rfc9114#4.3.2 rfc9114#4.3.3 rfc9114#4.3.4
  it("are those of their kind of section", function()
    bad("request", request({}, { ":status", "200" }))
    local fields = request({})
    table.insert(fields, 1, { ":status", "200" })
    bad("request", fields)
    for _, name in ipairs({ ":method", ":scheme", ":authority", ":path", ":protocol", ":", ":statut", ":x" }) do
      bad("response", { { ":status", "200" }, { name, "x" } }, name)
      bad("trailers", { { name, "x" } }, name)
    end
    bad("trailers", { { ":status", "200" } })
    for _, name in ipairs({ ":protocol", ":", ":Method", ":pathx", ":host" }) do
      fields = request({})
      table.insert(fields, 1, { name, "x" })
      bad("request", fields, name)
    end
  end)

  it(":method is a token", function()
    for _, method in ipairs({ "GET", "get", "M-SEARCH", "X" }) do
      good("request", request({ [":method"] = method }))
    end
    for _, method in ipairs({ "", "G T", "GET ", "G,T", "G\0", "GET:" }) do
      bad("request", request({ [":method"] = method }))
    end
  end)

  it(":scheme is a scheme", function()
    for _, scheme in ipairs({ "https", "http", "HTTPS", "coap+tcp", "x-1.2" }) do
      good("request", request({ [":scheme"] = scheme }))
    end
    for _, scheme in ipairs({ "", "1http", "ht tp", "http:", "h\255" }) do
      bad("request", request({ [":scheme"] = scheme }))
    end
  end)

  -- covers: rfc9114#4.3.1.5
  it(":path begins with a slash, or is the asterisk of OPTIONS", function()
    for _, path in ipairs({ "/", "/a/b?c=d&e", "//", "/%20", "/{x}|y" }) do
      good("request", request({ [":path"] = path }))
    end
    for _, path in ipairs({ "", "a", "*", "?x", "/a b", "/a#b", "/\0", "/\127", "/\195\164", "http://x/" }) do
      bad("request", request({ [":path"] = path }), path)
    end
    good("request", request({ [":method"] = "OPTIONS", [":path"] = "*" }))
    good("request", request({ [":scheme"] = "urn", [":path"] = "" }))
  end)

  -- covers: rfc9114#4.3.1.1 rfc9114#4.3.1.7 rfc9114#4.3.1.8 rfc9114#4.3.1.9
  it(":authority or host names the server, without userinfo", function()
    good("request", request({ [":authority"] = "example.com:443" }))
    good("request", request({ [":authority"] = "[2001:db8::1]:443" }))
    good("request", request({ [":authority"] = false }, { "host", "example.com" }))
    good("request", request({}, { "host", "example.com" }))
    bad("request", request({ [":authority"] = false }))
    bad("request", request({ [":authority"] = "" }))
    bad("request", request({ [":authority"] = false }, { "host", "" }))
    bad("request", request({}, { "host", "" }))
    bad("request", request({}, { "host", "other.example" }))
    bad("request", request({}, { "host", "example.com" }, { "host", "example.com" }))
    for _, authority in ipairs({ "user@example.com", "a,b", "a b", "a/b", "a?b", "a#b", "a\0", "\195\164",
      "a\"b" }) do
      bad("request", request({ [":authority"] = authority }), authority)
      bad("request", request({ [":authority"] = false }, { "host", authority }), authority)
    end
    good("request", request({ [":authority"] = false, [":scheme"] = "urn" }))
  end)

  -- covers: rfc9114#4.4.1
  it("of CONNECT are :method and :authority with a port", function()
    local function connect(authority, ...)
      return { { ":method", "CONNECT" }, { ":authority", authority }, ... }
    end
    assert.is_true(good("request", connect("example.com:443")).is_connect)
    for _, authority in ipairs({ "", "example.com", "example.com:", ":443", "a@b:1", "443" }) do
      bad("request", connect(authority), authority)
    end
    bad("request", { { ":method", "CONNECT" } })
    bad("request", connect("a:1", { ":scheme", "https" }))
    bad("request", connect("a:1", { ":path", "/" }))
    bad("request", connect("a:1", { ":scheme", "https" }, { ":path", "/" }))
    bad("request", connect("a:1", { ":protocol", "websocket" }, { ":scheme", "https" }, { ":path", "/" }))
  end)

  -- covers: rfc9114#4.3.2.1
  it("of a response are one :status of three digits that is not 101", function()
    for _, status in ipairs({ "100", "103", "200", "404", "599", "999" }) do
      assert.equal(tonumber(status), good("response", { { ":status", status } }).status)
    end
    for _, status in ipairs({ "", "0", "20", "2000", "0200", "099", "2x0", " 200", "+20", "101", "2\0000" }) do
      bad("response", { { ":status", status } }, status)
    end
    bad("response", {})
    bad("response", { { "server", "x" } })
    bad("response", { { ":status", "200" }, { ":status", "200" } })
  end)
end)

describe("content-length", function()
  it("is digits, once, below 2^62", function()
    for value, length in pairs({ ["0"] = 0, ["5"] = 5, ["007"] = 7, ["4611686018427387903"] = 2 ^ 62 }) do
      assert.equal(length, good("request", request({}, { "content-length", value })).content_length)
      assert.equal(length, good("response", kinds.response({ "content-length", value })).content_length)
    end
    for _, value in ipairs({ "", "1,1", "1, 1", "0x5", "-1", "+1", "1.0", "1 1", "4611686018427387904",
      "9223372036854775808", "18446744073709551616", "18446744073709551619", ("9"):rep(40) }) do
      bad("request", request({}, { "content-length", value }), value)
      bad("response", kinds.response({ "content-length", value }), value)
    end
    bad("request", request({}, { "content-length", "1" }, { "content-length", "1" }))
    assert.equal(-1, good("request", request({})).content_length)
  end)
end)

describe("a request", function()
  it("tells HEAD and CONNECT apart from others", function()
    assert.is_true(good("request", request({ [":method"] = "HEAD" })).is_head)
    assert.is_false(good("request", request({ [":method"] = "head" })).is_head)
    assert.is_false(good("request", request({})).is_connect)
  end)
end)
