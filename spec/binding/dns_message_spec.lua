--- What is in messages of DNS, also of servers that lie.
local core = require "neap.core"
local name_server = require "spec.support.name_server"
local number, record, text, svcb = name_server.number, name_server.record, name_server.text, name_server.svcb

if not core.dns_message then
  describe("core.dns_message", function()
    pending("needs c-ares: scripts/bootstrap")
  end)
  return
end

describe("core.dns_message", function()
  local QUESTION = { id = "\1\2", bytes = name_server.name "a.example" .. number(1, 2) .. number(1, 2) }
  local MALFORMED = { nil, "a malformed message of DNS", "invalid" }

  local function message(answers, parts)
    parts = parts or {}
    parts.answers = answers
    return name_server.message(QUESTION, parts)
  end

  -- The one record of a type with these bytes.
  local function read(kind, data)
    local found, why, code = core.dns_message(message { record("a.example", kind, 60, data) })
    if not found then return nil, why, code end
    return found.answers[1]
  end

  local function refuses(kind, data)
    assert.same(MALFORMED, { read(kind, data) })
  end

  it("gives answers, authority and the code", function()
    local found = core.dns_message(message({ record("a.example", "A", 60, "\192\0\2\1") },
      { rcode = 3, authority = { name_server.soa("example", 90, 30) } }))
    assert.equal(3, found.rcode)
    assert.same({ { name = "a.example", type = "A", ttl = 60, address = "192.0.2.1" } }, found.answers)
    assert.same({ { name = "example", type = "SOA", ttl = 90, minimum = 30, primary = "ns.example",
      mailbox = "admin.example" } }, found.authority)
  end)

  it("leaves out other classes, and gives of types that it does not know that they were there", function()
    local found = core.dns_message(message { record("a.example", "A", 60, "\192\0\2\1", 3),
      record("a.example", 999, 0x80000000, "x") })
    assert.same({ { name = "a.example", type = "TYPE999", ttl = 0 } }, found.answers)
  end)

  it("escapes what is odd in names", function()
    assert.equal([[a\.b\000c.\"\\\255]], read("CNAME", "\5a.b\0c\3\"\\\255\0").target)
    assert.equal(".", read("NS", "\0").target)
  end)

  it("ends with a name that leads round, beyond the message, or is too long", function()
    for _, name in ipairs { "\192\12\192", "\192\255", "\63", "\64a\0", "\192", "", "\1a", ("\1a"):rep(200) } do
      refuses("CNAME", name)
    end
    -- A pointer at itself, where the record's own name stands, and two at each other.
    local head = QUESTION.id .. "\129\128\0\1\0\1\0\0\0\0" .. QUESTION.bytes
    local function at(offset) return string.char(192 + math.floor(offset / 256), offset % 256) end
    local rest = "\0\1\0\1\0\0\0\60\0\4\192\0\2\1"
    assert.same(MALFORMED, { core.dns_message(head .. at(#head) .. rest) })
    assert.same(MALFORMED, { core.dns_message(head .. at(#head + 2) .. at(#head) .. rest) })
  end)

  it("follows no more pointers than there are", function()
    local head = QUESTION.id .. "\129\128\0\1\0\2\0\0\0\0" .. QUESTION.bytes
    local start = #head + 11 -- of the data of the first record, which points from its end to the question
    local pointers = { "\192\12" }
    for i = 2, 5000 do pointers[i] = number(0xc000 + start + 2 * (i - 2), 2) end
    local data = table.concat(pointers)
    local found = core.dns_message(head .. "\0" .. number(999, 2) .. "\0\1\0\0\0\60" .. number(#data, 2) .. data ..
      "\192\12\0\5\0\1\0\0\0\60\0\2" .. number(0xc000 + start + 2 * 4999, 2))
    assert.is_true(found == nil or found.answers[2].target == "a.example") -- as the version of c-ares
  end)

  it("takes data that is all of its record", function()
    for kind, data in pairs { A = "\1\2\3\4", AAAA = ("\1"):rep(16), MX = "\0\10\1m\0", SRV = "\0\1\0\2\0\3\1s\0",
      TXT = "\1x", NS = "\1n\0", PTR = "\1p\0", CNAME = "\1c\0", SVCB = "\0\1\0", HTTPS = "\0\0\0",
      SOA = "\1n\0\1m\0" .. ("\0\0\0\1"):rep(5) } do
      assert.equal(kind, assert(read(kind, data)).type)
      refuses(kind, data:sub(1, -2))
      refuses(kind, "")
      if kind ~= "HTTPS" then refuses(kind, data .. "\1") end -- an alias, behind which all is ignored
    end
  end)

  it("bounds the records of an answer", function()
    local records = {}
    for i = 1, 1000 do records[i] = "\192\12\0\1\0\1\0\0\0\60\0\4\192\0\2\1" end
    assert.equal(1000, #core.dns_message(message(records)).answers)
    records[1001] = records[1]
    assert.same(MALFORMED, { core.dns_message(message(records)) })
    assert.same(MALFORMED, { core.dns_message(message({}) .. ("\0"):rep(65536)) })
  end)

  describe("reads SVCB and HTTPS records", function()
    it("with all of their keys", function()
      assert.same({ name = "a.example", type = "HTTPS", ttl = 60, priority = 16, target = "svc.example",
        mandatory = { "alpn", "port" }, alpn = { "h3", "h2" }, no_default_alpn = true, port = 8443,
        ipv4hint = { "192.0.2.1" }, ipv6hint = { "2001:db8::1", "2001:db8::2" }, ech = "e\0ch", key667 = "hello" },
        read("HTTPS", svcb(16, "svc.example", { { 0, number(1, 2) .. number(3, 2) }, { 1, text "h3" .. text "h2" },
          { 2, "" }, { 3, number(8443, 2) }, { 4, "\192\0\2\1" }, { 5, "e\0ch" },
          { 6, "\32\1\13\184" .. ("\0"):rep(11) .. "\1" .. "\32\1\13\184" .. ("\0"):rep(11) .. "\2" },
          { 667, "hello" } })))
    end)

    it("in alias form, whose keys say nothing", function()
      assert.same({ name = "a.example", type = "SVCB", ttl = 60, priority = 0, target = "pool.example" },
        read("SVCB", svcb(0, "pool.example", { { 3, "x" }, { 1, "" } })))
    end)

    it("and refuses those whose keys are not what they should be", function()
      for _, params in ipairs {
        { { 3, "\0\1" }, { 1, "\2h3" } },  -- not in order
        { { 3, "\0\1" }, { 3, "\0\1" } },  -- twice
        { { 1, "" } }, { { 1, "\0" } }, { { 1, "\3h3" } }, { { 1, "\2h3\0" } },
        { { 1, "\2h3" }, { 2, "x" } },
        { { 2, "" } },                     -- and no protocol is left
        { { 3, "\1" } }, { { 3, "\0\1\0" } },
        { { 4, "" } }, { { 4, "\1\2\3" } }, { { 4, "\1\2\3\4\5" } },
        { { 6, "" } }, { { 6, ("\1"):rep(15) } }, { { 6, ("\1"):rep(17) } },
        { { 0, "" } }, { { 0, "\0" } },
        { { 0, "\0\0" } },                 -- itself
        { { 0, "\0\3" } },                 -- which is not there
        { { 0, "\0\3\0\1" }, { 1, "\2h3" }, { 3, "\0\1" } },
        { { 0, "\0\1\0\1" }, { 1, "\2h3" } },
        { { 4, ("\192\0\2\1"):rep(65) } }, -- more than anybody has
      } do
        refuses("HTTPS", svcb(1, ".", params))
      end
      local many = {}
      for i = 1, 65 do many[i] = { 100 + i, "" } end
      refuses("HTTPS", svcb(1, ".", many))
      refuses("HTTPS", number(1, 2) .. "\192\12") -- the target is whole (RFC 9460 §2.2)
      refuses("HTTPS", number(1, 2) .. "\0\0\1\0\9x")
    end)
  end)

  it("ends with anything that is in it", function()
    local whole = message({ record("a.example", "A", 60, "\192\0\2\1"), record("a.example", "TXT", 60, text "tide"),
      record("a.example", "HTTPS", 60, svcb(1, "b.example", { { 0, "\0\1" }, { 1, text "h3" }, { 4, "\192\0\2\1" } })),
      record("a.example", "MX", 60, "\0\1\192\12") }, { authority = { name_server.soa("example", 90, 30) } })
    assert(core.dns_message(whole))
    for size = 0, #whole - 1 do assert.same(MALFORMED, { core.dns_message(whole:sub(1, size)) }) end
    local refused = 0
    for at = 1, #whole do
      for _, byte in ipairs { 0, 1, 63, 64, 127, 192, 255 } do
        local found = core.dns_message(whole:sub(1, at - 1) .. string.char(byte) .. whole:sub(at + 1))
        if not found then refused = refused + 1 end
      end
    end
    assert.is_true(refused > 100)
  end)
end)
