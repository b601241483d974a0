--- What a server's log has of the functions that its handshakes ask.
local authority = require "spec.crypto.authority"
local neap = require "neap"
local web = require "support.web"

local KEY = ("key of a sensor "):rep(2)

describe("the log of a server whose handshakes ask", function()
  local ca, root, cert, dir
  setup(function()
    ca = authority.new()
    root = ca:issue { name = "root", extensions = authority.CA }
    cert = ca:issue { name = "srv", issuer = "root",
      extensions = (authority.SERVER:gsub("DNS:tide.example", "DNS:here.example,IP:127.0.0.1")) }
    dir = web.helper.make_dir()
    web.helper.write_file(dir .. "/cert.pem", cert.pem)
    web.helper.write_file(dir .. "/root.key", root.key)
    web.helper.write_file(dir .. "/none.der", "no response")
  end)
  teardown(function()
    ca:remove()
    web.helper.remove_dir(dir)
  end)

  -- What a server logs while `times` clients ask it, and what the last of them has: its body, or nil and why not.
  local function logged(server_options, client_options, times, before)
    local body, message
    local text = web.logged(function()
      web.run(function()
        local app = neap.app()
        app:get("/", function() return "x" end)
        server_options.host, server_options.port = "127.0.0.1", 0
        local server = assert(app:listen(server_options))
        for i = 1, times or 1 do
          if before then before(i, client_options) end
          local client = neap.client(client_options)
          local response
          response, message = client:get("https://127.0.0.1:" .. server.port .. "/")
          body = response and response:body()
          client:close()
        end
        server:close()
      end)
    end)
    return text, message, body
  end

  it("is not filled at a client's will where a function raises, and says where that was once", function()
    local text = logged({ psk = function(identity) error("store is down: " .. identity) end },
      { psk = { identity = "nobody", key = KEY } }, 200)
    local _, lines = text:gsub("\n", "\n")
    assert.is_true(lines < 40, lines .. " lines for 200 handshakes within seconds")
    local _, traces = text:gsub("stack traceback", "")
    assert.equal(1, traces)
    assert.matches("error handshake with 127.0.0.1:%d+: [^\n]*store is down: nobody\n", text)
  end)

  it("says that the store is down, also while strangers ask", function()
    local down
    local text = logged({ psk = function(identity)
      if identity == "stranger" then return nil, "nobody knows stranger" end
      return nil, "the store is down"
    end }, { psk = { identity = "stranger", key = KEY } }, 2, function(i, options)
      if i == 2 then options.psk = { identity = "sensor 7", key = KEY } end
    end)
    down = text:find("the store is down", 1, true)
    assert.is_truthy(down, text)
  end)

  it("has one line a second for strangers, by whatever names they call themselves", function()
    local text = logged({ psk = function(identity) return nil, "nobody knows " .. identity end },
      { psk = { identity = "stranger", key = KEY } }, 20, function(i, options)
        options.psk = { identity = ("%%stranger [%d]"):format(i), key = KEY }
      end)
    local _, lines = text:gsub("nobody knows %%stranger", "")
    assert.is_true(lines <= 3, text)
  end)

  it("says what was wrong with a key of psk", function()
    local text = logged({ psk = function() return "abcd" end }, { psk = { identity = "a", key = KEY } })
    assert.matches("16 to 64", text)
  end)

  it("says that there is no certificate for a name, as the client is told", function()
    local text, message = logged({ certificate = function() return nil end }, { ca = root.pem })
    assert.matches("there is no certificate for this name", message)
    assert.matches("'certificate' gave none for no name: there is no certificate for this name", text)
  end)

  it("a certificate that cannot be read is no matter of the client's name", function()
    local text, message = logged({ certificate = function() return { cert = "/nowhere.pem", key = cert.key } end },
      { ca = root.pem })
    assert.matches("internal_error", message)
    assert.matches("the certificate of 'certificate': /nowhere.pem: ", text)
    text, message = logged({ certificate = function()
      return { cert = dir .. "/cert.pem", key = dir .. "/root.key" }
    end }, { ca = root.pem })
    assert.matches("internal_error", message)
    local why = ("%s/cert.pem, %s/root.key: the private key does not fit"):format(dir, dir)
    assert.is_truthy(text:find(why, 1, true), text)
  end)

  it("says that an OCSP response cannot be shown, which costs no handshake", function()
    for path, why in pairs { ["/nowhere.der"] = "'certificate' gave no OCSP response: %s: ",
      ["/none.der"] = "the OCSP response of 'certificate': %s: the OCSP response is none for this certificate" } do
      local text, message, body = logged({ certificate = function()
        return { cert = cert.pem, key = cert.key, ocsp_file = dir .. path }
      end }, { ca = root.pem })
      assert.equal("x", body, message)
      assert.is_truthy(text:find(why:format(dir .. path), 1, true), text)
    end
  end)
end)
