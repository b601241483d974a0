local accept = require "neap.accept"
local web = require "support.web"

describe("what a client takes", function()
  it("is a media type by weight, then by how well it fits, then by the client's order", function()
    local offers = { "text/plain", "text/html", "application/json" }
    for _, case in ipairs {
      { nil, "text/plain" }, { "*/*", "text/plain" }, { "application/json", "application/json" },
      { "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html" },
      { "application/json, text/plain, */*", "application/json" }, { "text/*", "text/plain" },
      { "text/*;q=0.5, text/html;q=0.4, application/json;q=0.45", "text/plain" }, { "image/png", nil },
      { "text/plain;q=0, */*", "text/html" }, { "TEXT/HTML", "text/html" }, { "text/html;level=1, application/*;q=0.1",
        "application/json" }, { "", nil }, { "text/html;q=x", nil }, { "text/html;q=2, text/plain;q=.1", "text/plain" },
      { "text/html ; q=0.2 , application/json ;q=0.3", "application/json" }, { ";q=1,/,,", nil },
      { ("a/b,"):rep(64) .. "text/html", nil },
    } do
      assert.equal(case[2], accept.type(case[1], offers), case[1])
    end
  end)

  it("is a content coding by weight, then by the server's order", function()
    local offers = { "br", "zstd", "gzip" }
    for _, case in ipairs {
      { nil, "identity" }, { "", "identity" }, { "gzip, deflate, br, zstd", "br" }, { "gzip", "gzip" },
      { "x-gzip", "gzip" }, { "br;q=0.5, gzip;q=0.8", "gzip" }, { "*", "br" }, { "br;q=0, *", "zstd" },
      { "identity, gzip;q=0.5", "identity" }, { "identity;q=0, deflate", nil }, { "*;q=0", nil },
      { "*;q=0, identity", "identity" }, { "deflate", "identity" }, { "GZIP;Q=1.0", "gzip" },
      { "gzip;q=0", "identity" },
    } do
      assert.equal(case[2], accept.encoding(case[1], offers), case[1])
    end
  end)

  it("is a language, or one that is near", function()
    local offers = { "de", "en-GB", "fr" }
    for _, case in ipairs {
      { nil, "de" }, { "fr, de;q=0.5", "fr" }, { "en", "en-GB" }, { "fr-CH", "fr" }, { "fr-CH, en;q=0.9", "fr" },
      { "it", nil }, { "it, *;q=0.1", "de" }, { "EN-gb", "en-GB" }, { "de;q=0, *", "en-GB" },
    } do
      assert.equal(case[2], accept.language(case[1], offers), case[1])
    end
  end)

  it("is asked for of a request", function()
    web.with_app(function(app)
      app:get("/", function(req)
        return { req:accepts("text/html", "application/json") or "none", req:accepts_language("de", "fr"),
          req:accepts_encoding("br", "gzip") }
      end)
    end, function(client, url)
      local function ask(headers) return assert(client:get(url .. "/", { headers = headers })):json() end
      assert.same({ "application/json", "fr", "gzip" }, ask { accept = { "text/plain", "application/json" },
        ["accept-language"] = "fr", ["accept-encoding"] = "gzip" })
      assert.same({ "none", "de", "identity" }, ask { accept = "text/plain" })
    end)
  end)

  it("is told to caches once", function()
    local field
    local res = { header = function(_, _, value)
      field = value or field
      return field
    end }
    accept.vary(res, "accept")
    accept.vary(res, "accept-encoding")
    accept.vary(res, "accept")
    assert.equal("accept, accept-encoding", field)
    field = "Accept"
    accept.vary(res, "accept")
    assert.equal("Accept", field)
    field = "*"
    accept.vary(res, "accept")
    assert.equal("*", field)
  end)
end)
