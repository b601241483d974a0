local neap = require "neap"
local disposition = require "neap.disposition"
local web = require "support.web"

describe("an attachment", function()
  it("has its name in ASCII, and beside it as it is", function()
    for name, field in pairs {
      ["tides.csv"] = 'attachment; filename="tides.csv"', ["a b.txt"] = 'attachment; filename="a b.txt"',
      ["Übersicht.csv"] = "attachment; filename=\"_bersicht.csv\"; filename*=UTF-8''%C3%9Cbersicht.csv",
      ['q"x.txt'] = "attachment; filename=\"q_x.txt\"; filename*=UTF-8''q%22x.txt",
      ["50%25.txt"] = "attachment; filename=\"50_25.txt\"; filename*=UTF-8''50%2525.txt",
      ["/etc/passwd"] = 'attachment; filename="passwd"', ["a\\b"] = 'attachment; filename="b"', ["x/"] = "attachment",
      ["a\r\nb: c"] = 'attachment; filename="a__b: c"', [""] = "attachment",
      ["\255.txt"] = 'attachment; filename="_.txt"', ["\237\160\128.txt"] = 'attachment; filename="_.txt"',
    } do
      assert.equal(field, disposition.attachment(name), name)
    end
    assert.equal("attachment", disposition.attachment())
  end)

  it("has the type of its name, unless one is set", function()
    web.with_app(function(app)
      app:get("/csv", function(_, res) return res:attachment("a.csv"):send("1;2") end)
      app:get("/set", function(_, res) return res:header("content-type", "x/y"):attachment("a.csv"):send("1;2") end)
    end, function(client, url)
      local r = assert(client:get(url .. "/csv"))
      assert.same({ "text/csv; charset=utf-8", 'attachment; filename="a.csv"' },
        { r.headers["content-type"], r.headers["content-disposition"] })
      assert.equal("x/y", assert(client:get(url .. "/set")).headers["content-type"])
    end)
  end)
end)

describe("a redirect", function()
  local other_hosts = { "//evil.example", "/\\evil.example", "\\\\evil.example", "\\/evil.example", "///evil.example" }
  local no_text = { "/a b", "/a\tb", "\t//evil.example", "/\t/evil.example", "/a\r\nset-cookie: x=1", "/a\0", "" }

  it("leads to a path or to a URL, and nowhere that does not say so", function()
    local results = {}
    web.with_app(function(app)
      app:get("/", function(_, res)
        for _, list in ipairs { other_hosts, no_text } do
          for _, location in ipairs(list) do results[#results + 1] = pcall(res.redirect, res, location) end
        end
        results[#results + 1] = pcall(res.redirect, res, "/x", 200)
        results[#results + 1] = pcall(res.redirect, res, 5)
        return res:redirect("https://tide.example/x?y", 308)
      end)
    end, function(client, url)
      local r = assert(client:get(url .. "/"))
      assert.same({ 308, "https://tide.example/x?y" }, { r.status, r.headers.location })
    end)
    assert.equal(#other_hosts + #no_text + 2, #results)
    for i, ok in ipairs(results) do assert.is_false(ok, i) end
  end)

  it("to what a client said is told from one to another host", function()
    for _, list in ipairs { other_hosts, no_text, { "https://evil.example", "javascript:1", "a", "?x", "mailto:x" } } do
      for _, location in ipairs(list) do assert.is_false(neap.url.is_local(location), location) end
    end
    for _, location in ipairs { "/", "/a?b=//c", "/a//b", "/a\\b", "/%2f/x" } do
      assert.is_true(neap.url.is_local(location), location)
    end
    assert.is_false(neap.url.is_local(nil))
  end)
end)
