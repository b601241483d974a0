-- Who is asked by Retry, as programs in Lua say it.
local neap = require "neap"
local web = require "support.web"

local function build(app)
  app:get("/", function() return "hello" end)
end

--- How many Retry packets a client costs that has no token.
local function retries(listen)
  local count
  web.with_app(build, function(client, url, server)
    assert.equal("hello", assert(client:get(url .. "/")):body())
    count = server:stats().retries_sent
  end, listen)
  return count
end

describe("the option retry of a server", function()
  it("is a word, true or false, or the number of handshakes from which on everybody is asked", function()
    for _, value in ipairs { "auto", "never", false, 1 } do assert.equal(0, retries { retry = value }) end
    for _, value in ipairs { "always", true, 0 } do assert.equal(1, retries { retry = value }) end
    assert.equal(1, retries { retry_above = 0 })
    assert.equal(0, retries { retry = "never", retry_above = 0 })
  end)

  it("is nothing else, and no client's", function()
    for value, expected in pairs { sometimes = "auto, always or never", [1e6] = "a whole number from 0 to 4096",
                                   [0.5] = "a whole number", [{}] = "auto, always or never" } do
      local ok, message = pcall(neap.quic.listen, { port = 0, alpn = "x", retry = value })
      assert.is_false(ok)
      assert.matches(expected, message, 1, true)
    end
    for _, name in ipairs { "retry", "retry_above" } do
      assert.has_error(function() neap.client { [name] = 1 } end)
    end
  end)
end)
