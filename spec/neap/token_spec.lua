-- Tokens that prove addresses, as programs in Lua have them.
local neap = require "neap"
local helper = require "helper"
local web = require "support.web"

local KEYS = { ("0123456789abcdef"):rep(4), ("fedcba9876543210"):rep(4) }

describe("a token of an earlier connection", function()
  local folder

  setup(function() folder = helper.make_dir() end)
  teardown(function() helper.remove_dir(folder) end)

  local function build(app)
    app:get("/", function() return "hello" end)
  end

  local function ask(client, url)
    local r = assert(client:get(url .. "/"))
    assert.equal("hello", r:body())
    r.conn:close()
    neap.sleep(0.05)
  end

  local function counted(server)
    local s = server:stats()
    return { s.retries_sent, s.tokens_accepted, s.tokens_refused }
  end

  it("saves a client the Retry, also one that has it from a file and resumes nothing", function()
    local file = folder .. "/sessions"
    web.with_app(build, function(client, url, server)
      for n = 0, 2 do
        ask(client, url)
        assert.same({ 1, n, 0 }, counted(server))
      end
      for n = 0, 2 do
        local other = neap.client { ca = web.identity().cert, session_file = file, resumption = false }
        ask(other, url)
        other:close()
        assert.same({ 2, 2 + n, 0 }, counted(server))
      end
      local forgetful = neap.client { ca = web.identity().cert, address_tokens = false }
      for n = 1, 2 do
        ask(forgetful, url)
        assert.equal(2 + n, counted(server)[1])
      end
      forgetful:close()
    end, { retry = true })
  end)

  it("is good at another server with the same token_key_file, which is read again with the certificates", function()
    local file, sessions = folder .. "/keys", folder .. "/tokens"
    local port
    local function visit(url)
      local client = neap.client { ca = web.identity().cert, session_file = sessions, resumption = false }
      ask(client, url)
      client:close()
    end
    helper.write_file(file, KEYS[1] .. "\n")
    web.with_app(build, function(_, url, server)
      port = server.port
      visit(url)
      assert.same({ 1, 0, 0 }, counted(server))
    end, { retry = true, token_key_file = file })
    helper.write_file(file, KEYS[2] .. "\n")
    web.with_app(build, function(_, url, server)
      helper.write_file(file, KEYS[2] .. "\n" .. KEYS[1] .. "\n")
      assert(server:reload_certs())
      visit(url)
      assert.same({ 0, 1, 0 }, counted(server))
      helper.write_file(file, "no key")
      local ok, message = server:reload_certs()
      assert.is_nil(ok)
      assert.matches("1 to 4 lines of 64 hex digits", message)
      visit(url)
      assert.same({ 0, 2, 0 }, counted(server))
      helper.write_file(file, KEYS[1] .. "\n")
      assert(server:reload_certs())
      visit(url)
      assert.same({ 1, 2, 1 }, counted(server))
    end, { retry = true, token_key_file = file, port = port })
  end)

  it("has options of a server, and one of a client", function()
    for _, name in ipairs { "token_key_file", "token_lifetime", "token_entries" } do
      assert.has_error(function() neap.client { [name] = name == "token_key_file" and "x" or 100 } end)
    end
    assert.has_error(function() neap.app():listen { port = 0, address_tokens = true } end)
  end)
end)
