local web = require "support.web"

local OLD, NEW, OTHER = ("o"):rep(16), ("n"):rep(32), ("x"):rep(16)

describe("a signed cookie", function()
  -- Serves, with what the handler `get` says of cookies as JSON, and `set` for what it sets.
  local function with(set, get, fn)
    web.with_app(function(app)
      app:get("/set", function(req, res)
        set(req, res)
        return 204
      end)
      app:get("/get", function(req) return { get(req) } end)
    end, function(client, url)
      local function fetch(cookie)
        return assert(client:get(url .. "/get", { headers = { cookie = cookie } })):json()
      end
      local sent = assert(client:get(url .. "/set")).headers["set-cookie"]
      fn(sent:match("^[^;]*"), fetch, sent)
    end)
  end

  local function seven(req) return req:signed_cookie("id", { NEW, OLD }) end

  it("is believed as it was set, by any of the keys", function()
    for index, keys in ipairs { { NEW, OTHER }, OLD } do
      with(function(_, res) res:signed_cookie("id", "user.7; a", keys) end, seven, function(cookie, fetch, whole)
        assert.matches("; Path=/; Secure; HttpOnly; SameSite=Lax$", whole)
        assert.same({ "user.7; a", index }, fetch(cookie))
        assert.same({ "user.7; a", index }, fetch("id=forged..00; a=b; " .. cookie))
      end)
    end
  end)

  it("is refused when anything of it was changed", function()
    with(function(_, res) res:signed_cookie("id", "7", OLD, { max_age = 100 }) end, seven, function(cookie, fetch)
      local value, expires, mac = cookie:match("^id=(%d)%.(%d+)%.(%x+)$")
      assert.same({ "7", 64 }, { value, #mac })
      assert.same({ "7", 2 }, fetch(cookie))
      local function refused(text)
        local got = fetch(text)
        assert.same({ "a cookie without a signature of ours", "invalid" }, { got[2] or got["2"], got[3] or got["3"] })
      end
      refused("id=8." .. expires .. "." .. mac)
      refused("id=7." .. expires + 1 .. "." .. mac)
      refused("id=7.." .. mac)
      refused("id=7." .. expires .. "." .. mac:sub(1, -2))
      refused("id=7." .. expires .. "." .. mac:upper())
      refused("id=7")
      refused("id=")
      refused(("id=1..00; "):rep(8) .. cookie)
      assert.same({}, fetch("other" .. cookie))
    end)
  end)

  it("is none under another name, with other keys, or when its time is over", function()
    with(function(_, res) res:signed_cookie("id", "7", OLD, { expires = os.time() - 1 }) end, seven,
      function(cookie, fetch) assert.equal("a cookie that is too old", fetch(cookie)["2"]) end)
    with(function(_, res) res:signed_cookie("other", "7", OLD) end, seven, function(cookie, fetch)
      assert.equal("invalid", fetch((cookie:gsub("^other", "id")))["3"])
    end)
    with(function(_, res) res:signed_cookie("id", "7", OTHER) end, seven, function(cookie, fetch)
      assert.equal("invalid", fetch(cookie)["3"])
    end)
  end)

  it("is forgotten by the client when its value is nil", function()
    with(function(_, res) res:signed_cookie("id", nil, OLD) end, seven, function(_, _, whole)
      assert.matches("^id=; .*Max%-Age=0", whole)
    end)
  end)

  it("wants keys that are long enough", function()
    with(function(req, res)
      assert.error_matches(function() res:signed_cookie("id", "7", "short") end, "16 bytes or more")
      assert.error_matches(function() res:signed_cookie("id", "7", {}) end, "needs a key")
      assert.error_matches(function() req:signed_cookie("id", { OLD, 7 }) end, "16 bytes or more")
      res:cookie("done", "yes")
    end, seven, function(cookie) assert.equal("done=yes", cookie) end)
  end)
end)
