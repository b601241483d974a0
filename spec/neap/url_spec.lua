local url = require "neap.url"

describe("url.parse", function()
  it("splits host, port, path and query", function()
    local u = assert(url.parse("https://Example.org:4433/a/b?x=1&y=2#there"))
    assert.same({ "https", "example.org", 4433, "example.org:4433", "/a/b", "x=1&y=2", "/a/b?x=1&y=2" },
      { u.scheme, u.host, u.port, u.authority, u.path, u.query, u.target })
  end)

  it("defaults to port 443 and path /", function()
    local u = assert(url.parse("https://example.org"))
    assert.equal(443, u.port)
    assert.equal("example.org", u.authority)
    assert.equal("/", u.target)
    assert.equal("/?q", assert(url.parse("https://example.org?q")).target)
  end)

  it("keeps the brackets of an IPv6 literal in the authority only", function()
    local u = assert(url.parse("https://[2001:db8::1]:8443/"))
    assert.equal("2001:db8::1", u.host)
    assert.equal("[2001:db8::1]:8443", u.authority)
  end)

  it("refuses what is no URL for a request", function()
    for _, bad in ipairs {
      "example.org", "https://", "https:///x", "https://u:p@example.org/", "https://a b/",
      "https://example.org:0/", "https://example.org:65536/", "https://example.org/\r\nx",
    } do
      local u, why = url.parse(bad)
      assert.is_nil(u, bad)
      assert.is_string(why)
    end
  end)
end)

describe("url.join", function()
  local base = assert(url.parse("https://example.org:4433/a/b?x=1"))

  it("follows absolute, rooted, relative and query references", function()
    assert.equal("https://other/x", url.join(base, "https://other/x"))
    assert.equal("https://other/x", url.join(base, "//other/x"))
    assert.equal("https://example.org:4433/c?d", url.join(base, "/c?d"))
    assert.equal("https://example.org:4433/a/c", url.join(base, "c"))
    assert.equal("https://example.org:4433/c/", url.join(base, "../c/"))
    assert.equal("https://example.org:4433/a/b?y", url.join(base, "?y"))
  end)
end)

describe("url.normalize", function()
  it("never climbs above the root", function()
    assert.equal("/etc/passwd", url.normalize("/../../etc/./passwd"))
    assert.equal("/a/", url.normalize("/a/b/.."))
    assert.equal("/", url.normalize("/.."))
  end)
end)

describe("url.parse_query", function()
  it("looks at as many pairs as it is told to", function()
    local query, all = url.parse_query("a=1&b=2&a=3&c=4", 3)
    assert.same({ { a = "3", b = "2" }, { a = { "1", "3" }, b = { "2" } } }, { query, all })
  end)

  it("decodes names and values and keeps repeats", function()
    local query, all = url.parse_query("a=1&b=%C3%A9+x&a=2&flag")
    assert.same({ a = "2", b = "é x", flag = "" }, query)
    assert.same({ "1", "2" }, all.a)
  end)

  it("reads back what make_query writes", function()
    local values = { ["a b"] = "1&2=3", ["é"] = "%+" }
    assert.same(values, (url.parse_query(url.make_query(values))))
  end)
end)
