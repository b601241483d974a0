--- External pre-shared keys, as an application and its clients see them.
local neap = require "neap"
local support = require "support.program"
local web = require "support.web"
local helper = web.helper

local KEY, OTHER = ("key of a sensor "):rep(2), ("key of another, "):rep(2)

-- A server that has nothing but keys, and fn(url) beside it.
local function with_keys(psk, fn, more)
  web.run(function()
    local app = neap.app()
    app:get("/", function(req) return tostring(req.psk_identity or nil) .. " " .. tostring(req.is_resumed) end)
    local given = { host = "127.0.0.1", port = 0, psk = psk }
    for name, value in pairs(more or {}) do given[name] = value end
    local server = assert(app:listen(given))
    local ok, err = xpcall(fn, debug.traceback, "https://127.0.0.1:" .. server.port .. "/", server)
    server:close()
    if not ok then error(err, 0) end
  end)
end

local function get(url, options)
  options.timeout = 10
  local client = neap.client(options)
  local r, message, code = client:get(url)
  local body = r and r:body()
  local identity = r and r.conn:psk_identity()
  client:close()
  return body or nil, message or identity, code
end

describe("option psk", function()
  it("lets in who has a key, without certificates, and says who it is", function()
    with_keys({ ["sensor 1"] = KEY, ["sensor 2"] = { key = OTHER, hash = "sha384" } }, function(url)
      assert.same({ "sensor 1 false", "sensor 1" }, { get(url, { psk = { identity = "sensor 1", key = KEY } }) })
      assert.same({ "sensor 2 false", "sensor 2" },
        { get(url, { psk = { identity = "sensor 2", key = OTHER, hash = "sha384" } }) })
    end)
  end)

  it("keeps out who has another key or none, and tells neither which identities there are", function()
    with_keys({ ["sensor 1"] = KEY }, function(url)
      local _, wrong_key = get(url, { psk = { identity = "sensor 1", key = OTHER } })
      local _, unknown = get(url, { psk = { identity = "nobody", key = OTHER } })
      assert.matches("decrypt_error", wrong_key)
      assert.equal(wrong_key, unknown)
      assert.matches("handshake_failure", select(2, get(url, { verify_peer = false })))
    end)
  end)

  it("is enough for a server that reads early data", function()
    with_keys({ ["sensor 1"] = KEY }, function(url)
      local client = neap.client { psk = { identity = "sensor 1", key = KEY }, early_data = true, timeout = 10 }
      local first = assert(client:get(url))
      first:body()
      neap.sleep(0.05) -- the tickets come behind the handshake
      first.conn:close()
      neap.sleep(0.05)
      local r = assert(client:get(url, { early = true }))
      assert.equal("accepted", r.conn:early())
      client:close()
    end, { early_data = true })
  end)

  it("may be a function, which waits for what it looks up", function()
    local asked = {}
    local function look_up(identity, question)
      asked[#asked + 1] = identity .. " " .. question.kind
      neap.sleep(0.02)
      if identity == "sensor 1" then return KEY end
      if identity == "sensor 2" then return OTHER, "sha384" end
    end
    with_keys(look_up, function(url)
      assert.equal("sensor 1 false", (get(url, { psk = { identity = "sensor 1", key = KEY } })))
      assert.equal("sensor 2 false", (get(url, { psk = { identity = "sensor 2", key = OTHER, hash = "sha384" } })))
      assert.matches("decrypt_error", select(2, get(url, { psk = { identity = "nobody", key = KEY } })))
      assert.same({ "sensor 1 psk", "sensor 2 psk", "nobody psk" }, asked)
    end)
  end)

  it("tells the log, and not the client, of a function that fails", function()
    for _, case in ipairs { { function() error("no such table") end, "no such table" },
      { function() return 7 end, "'psk' gave a key that is no string" },
      { function() return "short" end, "the key of 'psk': a key has 16 to 64 bytes" } } do
      local log = web.logged(function()
        with_keys(case[1], function(url)
          assert.matches("internal_error", select(2, get(url, { psk = { identity = "sensor 1", key = KEY } })))
        end)
      end)
      assert.is_truthy(log:find(case[2], 1, true), log)
    end
  end)

  it("may be a function that gives { key =, hash = }, and nothing else in it", function()
    local found = { ["sensor 1"] = { key = KEY }, ["sensor 2"] = { key = OTHER, hash = "sha384" },
      ["sensor 3"] = { key = KEY, hsah = "sha384" }, ["sensor 4"] = { hash = "sha384" } }
    local log = web.logged(function()
      with_keys(function(identity) return found[identity] end, function(url)
        assert.equal("sensor 1 false", (get(url, { psk = { identity = "sensor 1", key = KEY } })))
        assert.equal("sensor 2 false", (get(url, { psk = { identity = "sensor 2", key = OTHER, hash = "sha384" } })))
        assert.matches("internal_error", select(2, get(url, { psk = { identity = "sensor 3", key = KEY } })))
        neap.sleep(1.1) -- a line a second
        assert.matches("internal_error", select(2, get(url, { psk = { identity = "sensor 4", key = KEY } })))
      end)
    end)
    assert.matches("'psk' gave an unknown field 'hsah'", log)
    assert.matches("'psk' gave a key that is no string", log)
  end)

  it("tells the log why a function has no key, and the client what any unknown one is told", function()
    local log = web.logged(function()
      with_keys(function() return nil, "locked out" end, function(url)
        assert.matches("decrypt_error", select(2, get(url, { psk = { identity = "sensor 1", key = KEY } })))
      end)
    end)
    assert.matches("handshake with 127.0.0.1:%d+: locked out", log)
  end)

  it("is remembered by sessions, which are good while the key is", function()
    local keys = { ["sensor 1"] = KEY }
    with_keys(function(identity) return keys[identity] end, function(url)
      local client = neap.client { psk = { identity = "sensor 1", key = KEY }, timeout = 10 }
      local function ask()
        local r, message = client:get((url:gsub("127%.0%.0%.1", "localhost")))
        if not r then return message end
        local body = r:body()
        r.conn:close()
        neap.sleep(0.05)
        return body
      end
      assert.equal("sensor 1 false", ask())
      assert.equal("sensor 1 true", ask())
      keys = {}
      assert.matches("decrypt_error", ask())
      client:close()
    end, { host = "localhost" })
  end)

  it("stands beside a certificate", function()
    local id = web.identity()
    with_keys({ ["sensor 1"] = KEY }, function(url)
      assert.equal("sensor 1 false", (get(url, { psk = { identity = "sensor 1", key = KEY } })))
      assert.equal("nil false", (get(url, { ca = id.cert })))
      assert.equal("nil false", (get(url, { ca = id.cert, psk = { identity = "nobody", key = KEY } })))
      assert.matches("unknown_ca", select(2, get(url, { psk = { identity = "nobody", key = KEY } })))
      assert.matches("unknown_ca",
        select(2, get(url, { verify_peer = false, psk = { identity = "nobody", key = KEY } })))
    end, { cert = id.cert, key = id.key })
  end)

  it("is for raw QUIC too", function()
    web.run(function()
      local seen
      local server = assert(neap.quic.listen { alpn = "x", host = "127.0.0.1", port = 0, psk = { a = KEY } })
      server:on_connection(function(connection) seen = connection:psk_identity() end)
      local conn = assert(neap.quic.connect("127.0.0.1:" .. server.port, { alpn = "x",
        psk = { identity = "a", key = KEY } }))
      assert.equal("a", conn:psk_identity())
      while not seen do neap.sleep(0.01) end
      assert.equal("a", seen)
      conn:close()
      server:close()
    end)
  end)

  it("is refused when it cannot be one", function()
    local app = neap.app()
    local function refused(psk, why) assert.error_matches(function() app:listen { psk = psk } end, why) end
    refused("key", "option 'psk' must be { identity =, key = }, { %[identity%] = key } or a function")
    refused({ a = "short" }, "option 'psk': an identity has 1 to 128 bytes, a key 16 to 64")
    refused({ [("a"):rep(129)] = KEY }, "an identity has 1 to 128 bytes")
    refused({ KEY }, "option 'psk': an identity is a string")
    refused({ a = true }, "option 'psk': a key is a string")
    refused({ identity = "a" }, "option 'psk': a key is a string")
    refused({ a = { key = KEY, hash = "md5" } }, "option 'psk': a key's hash is sha256 or sha384")
  end)

  it("warns of a key that looks like the hex text of one, which is taken as its own bytes", function()
    local TEXT = 'warn option \'psk\': the key of "a" is hex digits alone, and is taken as these %d bytes'
    local hex = helper.hex(("\171"):rep(32))
    for key, size in pairs { [hex] = 64, [hex:sub(1, 32)] = 32, [hex:sub(1, 33)] = false, [hex:sub(1, 30)] = false,
      [helper.unhex(hex)] = false, [hex:sub(1, 62) .. "xy"] = false } do
      for _, psk in ipairs { { a = key }, { a = { key = key, hash = "sha384" } }, { identity = "a", key = key } } do
        for _, make in ipairs {
          function() neap.client { psk = psk } end,
          function() assert(neap.app():listen { host = "127.0.0.1", port = 0, psk = psk }):close() end,
        } do
          local logged = web.logged(function() web.run(make) end)
          if size then assert.matches(TEXT:format(size), logged) else assert.equal("", logged) end
        end
      end
    end
    local logged = web.logged(function()
      with_keys(function() return hex end, function(url)
        assert.equal("a false", (get(url, { psk = { identity = "a", key = hex } })))
      end)
    end)
    assert.matches("warn .*the key of 'psk' is hex digits alone, and is taken as these 64 bytes", logged)
  end)

  it("of a client is one identity and its key", function()
    for _, psk in ipairs { {}, { a = KEY, b = OTHER }, function() return KEY end } do
      local _, err = pcall(function() neap.client { psk = psk } end)
      assert.matches("psk_spec.lua:%d+: option 'psk' of a client is one identity and its key: { identity =, key = }",
        err)
      assert.error_matches(function() assert(neap.quic.connect("127.0.0.1:1", { alpn = "x", psk = psk })) end,
        "option 'psk' of a client is one identity and its key")
    end
    for psk, field in pairs { [{ identity = "a", key = KEY, b = OTHER }] = "b",
      [{ a = { key = KEY, identity = "b" } }] = "identity" } do
      assert.error_matches(function() neap.client { psk = psk } end, "option 'psk': unknown field '" .. field .. "'")
    end
    with_keys({ a = KEY }, function(url)
      assert.equal("a false", (get(url, { psk = { a = KEY } })))
    end)
  end)

  it("is refused beside what is asked of every certificate, as a server that takes the key shows none", function()
    local asked = { pins = ("0"):rep(64), ocsp_required = true, verify_server = function() return true end }
    for name, value in pairs(asked) do
      local given = { psk = { identity = "a", key = KEY }, ca = true, alpn = "x", [name] = value }
      for _, connect in ipairs { function() neap.client(given) end,
        function() assert(neap.quic.connect("127.0.0.1:1", given)) end } do
        local ok, err = pcall(connect)
        assert.is_false(ok)
        assert.matches("psk_spec.lua:%d+: option '" .. name .. "' cannot hold beside `psk`", err)
      end
    end
    neap.client { psk = { identity = "a", key = KEY }, ca = true, ocsp_required = false }:close()
  end)

  it("is told to `neap get`", function()
    local folder = helper.make_dir()
    local file = assert(io.open(folder .. "/app.lua", "w"))
    file:write(([[local neap = require "neap"
      local app = neap.app()
      app:get("/", function(req) return tostring(req.psk_identity) end)
      assert(app:listen { psk = { ["sensor:1"] = %q } })
      neap.run()]]):format(KEY))
    file:close()
    local server = support.start("run " .. folder .. "/app.lua", "NEAP_LISTEN=127.0.0.1:0")
    local function run(words) return helper.run(("%s get -s %s %s"):format(support.neap, words, server.url)) end
    local output, status = run("--psk sensor:1:" .. helper.hex(KEY))
    assert.same({ "sensor:1", 0 }, { output, status })
    assert.matches('pre%-shared key of "sensor:1"', (run("-v --psk sensor:1:" .. helper.hex(KEY))))
    output, status = run("--pin sha256//" .. ("A"):rep(43) .. "= --psk sensor:1:" .. helper.hex(KEY))
    assert.equal(2, status)
    assert.matches("%-%-pin and %-%-psk do not go together", output)
    for _, words in ipairs { "-k", "--psk sensor:1:" .. helper.hex(KEY) } do
      output, status = run("--crl /dev/null " .. words)
      assert.equal(2, status)
      assert.matches("%-%-crl checks nothing with %-k, or with %-%-psk and no %-%-ca", output)
    end
    output, status = run("--psk sensor:1:" .. helper.hex(OTHER))
    assert.is_true(status ~= 0)
    assert.matches("decrypt_error", output)
    output, status = run("--psk sensor")
    assert.is_true(status ~= 0)
    assert.matches("%-%-psk is IDENTITY:KEY", output)
    output, status = run("--psk @" .. folder .. "/none")
    assert.equal(1, status)
    assert.equal("neap: " .. folder .. "/none: No such file or directory\n", output)
    helper.write_file(folder .. "/key", "sensor:1:" .. helper.hex(KEY) .. "\n")
    assert.same({ "sensor:1", 0 }, { run("--psk @" .. folder .. "/key") })
    output, status = run("--cert x --key y --psk @" .. folder .. "/key")
    assert.equal(2, status)
    assert.matches("%-%-cert is never shown with %-%-psk and no %-%-ca", output)
    assert.equal(0, server:stop())
    helper.remove_dir(folder)
  end)
end)
