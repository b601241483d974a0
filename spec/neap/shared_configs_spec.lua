--- Configs of neap.quic.connect: shared by equal options, and not kept for ever.
local authority = require "spec.crypto.authority"
local neap = require "neap"
local core = require "neap.core"
local helper = require "helper"
local shared_configs = require "neap.shared_configs"
local web = require "support.web"

local MOST = 32

local function fresh() return { alpn = { "x" }, verify_server = function(der) return der end } end

local function is_alive(entry) return (pcall(entry.config.memory, entry.config)) end

describe("configs of outgoing connections", function()
  it("are one for equal options", function()
    local first = assert(shared_configs.take({ alpn = { "x" }, max_idle_timeout = 7 }, {}))
    assert.equal(first, shared_configs.take({ alpn = { "x" }, max_idle_timeout = 7 }, {}))
    assert.not_equal(first, shared_configs.take({ alpn = { "x" }, max_idle_timeout = 8 }, {}))
    local given = fresh()
    assert.equal(shared_configs.take(given, {}), shared_configs.take(given, {}))
    assert.not_equal(shared_configs.take(given, {}), shared_configs.take(fresh(), {}))
  end)

  it("are what their options said, whatever becomes of the tables in them", function()
    local ca = authority.new()
    finally(function() ca:remove() end)
    local root = ca:issue { name = "root", extensions = authority.CA }
    local leaf = ca:issue { name = "leaf", issuer = "root",
      extensions = authority.SERVER:gsub("DNS:tide.example", "IP:127.0.0.1") }
    local stranger = ca:issue { name = "stranger", extensions = authority.CA }
    web.run(function()
      local certs = { { cert = leaf.pem, key = leaf.key } }
      local server = assert(neap.quic.listen { alpn = "x", host = "127.0.0.1", port = 0, certs = certs })
      local app = neap.app()
      app:get("/", function() return "here" end)
      local web_certs = { { cert = leaf.pem, key = leaf.key } }
      local web_server = assert(app:listen { host = "127.0.0.1", port = 0, certs = web_certs })
      local function connect(list)
        local conn, message = neap.quic.connect("127.0.0.1:" .. server.port, { alpn = "x", ca = list, timeout = 5 })
        if conn then conn:close() end
        return conn and true, message
      end
      local mine, kept = { stranger.pem }, { root.pem }
      local client = neap.client { ca = kept, timeout = 5, resumption = false }
      local function get()
        local r, message = client:get("https://127.0.0.1:" .. web_server.port .. "/")
        if not r then return nil, message end
        r:body()
        r.conn:close()
        return true
      end
      assert.is_nil((connect(mine)))
      assert.is_true(get())
      mine[1], kept[1] = root.pem, stranger.pem
      certs[1], web_certs[1].cert = nil, "no certificate"
      assert.is_true(connect(mine))
      for _, one in ipairs { neap.quic, server, web_server, client } do assert.is_true(one.reload_certs(one)) end
      assert.is_nil((connect { stranger.pem }))
      assert.is_true(connect { root.pem })
      assert.is_true(get())
      client:close()
      web_server:close()
      server:close()
    end)
  end)

  it("go when there are many that nobody uses, the ones that were not used for longest first", function()
    local given, entries = fresh(), {}
    local often = assert(shared_configs.take(given, {}))
    for i = 1, 3 * MOST do
      entries[i] = assert(shared_configs.take(fresh(), {}))
      assert.equal(often, shared_configs.take(given, {}))
    end
    for i, entry in ipairs(entries) do assert.equal(i > 3 * MOST - (MOST - 1), is_alive(entry), i) end
    assert.is_true(is_alive(often))
  end)

  it("stay while connections use them, however many they are", function()
    local connections, entries = {}, {}
    for i = 1, 2 * MOST do
      entries[i] = assert(shared_configs.take(fresh(), connections))
      connections[i] = { _shared = entries[i] }
    end
    for i, entry in ipairs(entries) do assert.is_true(is_alive(entry), i) end
    assert(shared_configs.take(fresh(), {}))
    local alive = 0
    for _, entry in ipairs(entries) do alive = alive + (is_alive(entry) and 1 or 0) end
    assert.equal(MOST - 1, alive)
  end)

  it("are not made of options that cannot be used", function()
    local entry, message = shared_configs.take({ alpn = { "x" }, ca = "no root" }, {})
    assert.is_nil(entry)
    assert.is_string(message)
  end)

  it("give back what they hold when connections with a function of their own have ended", function()
    local folder = helper.make_dir()
    -- Each config holds its key log open.
    local function count_logs()
      return select(2, helper.run("ls -l /proc/$PPID/fd"):gsub("keys%.log", ""))
    end
    web.run(function()
      local id = web.identity()
      local server = assert(neap.quic.listen { alpn = "x", host = "127.0.0.1", port = 0, cert = id.cert, key = id.key })
      local asked = 0
      local function connect()
        local conn = assert(neap.quic.connect("127.0.0.1:" .. server.port, { alpn = "x", ca = id.cert,
          keylog = folder .. "/keys.log", verify_server = function()
            asked = asked + 1
            return true
          end }))
        conn:close()
      end
      for _ = 1, 2 * MOST do connect() end
      local most, ends = 2 * MOST, core.now() + 10
      repeat -- connections that are closed still drain
        neap.sleep(0.01)
        connect()
        most = math.min(most, count_logs())
      until most <= MOST + 1 or core.now() > ends
      assert.is_true(most <= MOST + 1, most)
      assert.is_true(asked > 2 * MOST)
      server:close()
    end)
    helper.remove_dir(folder)
  end)
end)
