-- What clients read again of their files: roots, revocation lists, certificates of their own.
local authority = require "spec.crypto.authority"
local neap = require "neap"
local program = require "support.program"
local web = require "support.web"

local helper = web.helper

describe("a client's files", function()
  local ca, root, leaf, stranger, device, dir
  local NAMES = authority.SERVER:gsub("DNS:tide.example", "IP:127.0.0.1")
  local CLIENT = "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=clientAuth\n"

  setup(function()
    ca = authority.new()
    root = ca:issue { name = "root", extensions = authority.CA }
    leaf = ca:issue { name = "leaf", issuer = "root", extensions = NAMES }
    stranger = ca:issue { name = "stranger", extensions = authority.CA }
    device = ca:issue { name = "device", issuer = "stranger", extensions = CLIENT }
  end)
  teardown(function() ca:remove() end)
  before_each(function()
    dir = helper.make_dir()
    helper.write_file(dir .. "/ca.pem", root.pem)
  end)
  after_each(function() helper.remove_dir(dir) end)

  local function place_list(is_old)
    helper.write_file(dir .. "/root.crl", ca:crl { issuer = "root",
      from = is_old and "20200101000000Z" or nil, to = is_old and "20200201000000Z" or nil })
  end

  -- Runs fn(client, visit) beside a server; visit() is whether a new connection was resumed, or nil, message.
  local function with(options, fn, listen)
    local given = { cert = leaf.pem, key = leaf.key }
    for name, value in pairs(listen or {}) do given[name] = value end
    web.with_app(function(app)
      app:get("/", function(req) return tostring(req.client_cert and req.client_cert.common_name) end)
    end, function(_, url)
      options.timeout = 10
      local client = neap.client(options)
      local function visit()
        local response, message, code = client:get(url .. "/")
        if not response then return nil, message, code end
        local said = response:body()
        local is_resumed = response.conn:is_resumed()
        response.conn:close()
        neap.sleep(0.05)
        return is_resumed, said
      end
      local ok, err = xpcall(fn, debug.traceback, client, visit, url)
      client:close()
      if not ok then error(err, 0) end
    end, given)
  end

  it("are read again by reload_certs: a list that was over is current then", function()
    place_list(true)
    with({ ca = dir .. "/ca.pem", crl = dir .. "/root.crl" }, function(client, visit)
      assert.matches('the revocation list of "root" is not current', select(2, visit()))
      place_list()
      assert.matches('the revocation list of "root" is not current', select(2, visit()))
      assert.is_true(client:reload_certs())
      assert.is_false(visit())
    end)
  end)

  it("leave connections alone, and say what new ones and sessions are judged by", function()
    with({ ca = dir .. "/ca.pem" }, function(client, visit, url)
      assert.is_false(visit())
      assert.is_true(visit())
      assert.is_true(client:reload_certs()) -- all is as it was
      assert.is_true(visit())
      local kept = assert(client:get(url .. "/"))
      kept:body()
      helper.write_file(dir .. "/ca.pem", stranger.pem)
      assert.is_true(client:reload_certs())
      local response = assert(client:get(url .. "/"))
      response:body()
      assert.equal(kept.conn, response.conn)
      kept.conn:close()
      neap.sleep(0.05)
      assert.matches('its issuer "root" is not among them', select(2, visit()))
      helper.write_file(dir .. "/ca.pem", root.pem)
      assert.is_true(client:reload_certs())
      assert.is_true(visit()) -- a session of these roots, as none of others has come
    end)
  end)

  it("leave all of the old where one cannot be used, and say which", function()
    place_list()
    with({ ca = dir .. "/ca.pem", crl = dir .. "/root.crl" }, function(client, visit)
      assert.is_false(visit())
      helper.write_file(dir .. "/ca.pem", stranger.pem)
      os.remove(dir .. "/root.crl")
      local ok, message, code = client:reload_certs()
      assert.same({ nil, "system" }, { ok, code })
      assert.matches("root.crl: No such file", message)
      assert.is_true(visit())
    end)
  end)

  it("are those that a client shows, too", function()
    helper.write_file(dir .. "/own.pem", ca.made.leaf.pem)
    helper.write_file(dir .. "/own.key", leaf.key)
    with({ ca = dir .. "/ca.pem", cert = dir .. "/own.pem", key = dir .. "/own.key" }, function(client, visit)
      assert.is_nil((visit()))
      helper.write_file(dir .. "/own.pem", device.pem)
      assert.matches("does not fit", select(2, client:reload_certs()))
      helper.write_file(dir .. "/own.key", device.key)
      assert.is_true(client:reload_certs())
      assert.same({ false, "device" }, { visit() })
    end, { client_certificate = "require", client_ca = stranger.pem })
  end)

  it("are read where nothing could be used before, or the client was closed", function()
    os.remove(dir .. "/ca.pem")
    with({ ca = dir .. "/ca.pem" }, function(client, visit)
      local ok, message, code = client:reload_certs()
      assert.same({ nil, "system" }, { ok, code })
      assert.matches("ca.pem: No such file", message)
      helper.write_file(dir .. "/ca.pem", root.pem)
      assert.is_true(client:reload_certs())
      assert.is_false(visit())
      client:close()
      assert.is_true(client:reload_certs())
      assert.is_false(visit())
    end)
  end)

  it("leave the system's roots to handshakes that are under way", function()
    helper.write_file(dir .. "/leaf.pem", leaf.pem)
    helper.write_file(dir .. "/leaf.key", leaf.key)
    helper.write_file(dir .. "/both.lua", ([[
      local neap = require "neap"
      local app, client = neap.app(), neap.client { timeout = 10 }
      app:get("/", function() return "fine" end)
      local server = assert(app:listen { host = "127.0.0.1", port = 0, certificate = function()
        assert(client:reload_certs())
        assert(neap.quic.reload_certs())
        return { cert = "%s/leaf.pem", key = "%s/leaf.key" }
      end })
      local response, message = client:get("https://127.0.0.1:" .. server.port .. "/")
      io.stdout:write(response and response:body() or message)
      server:close()
    ]]):format(dir, dir))
    assert.matches("fine$", (helper.run(("SSL_CERT_FILE=%s/ca.pem %s run %s/both.lua"):format(dir, program.neap, dir))))
  end)

  it("of neap.quic.connect are read again by neap.quic.reload_certs", function()
    place_list(true)
    web.run(function()
      local listener = assert(neap.quic.listen { host = "127.0.0.1", port = 0, alpn = "x", cert = leaf.pem,
        key = leaf.key })
      local function connect()
        local connection, message = neap.quic.connect("127.0.0.1:" .. listener.port, { alpn = "x",
          ca = dir .. "/ca.pem", crl = dir .. "/root.crl" })
        if not connection then return nil, message end
        connection:close()
        return true
      end
      assert.matches("is not current", select(2, connect()))
      place_list()
      assert.matches("is not current", select(2, connect()))
      assert.is_true(neap.quic.reload_certs())
      assert.is_true(connect())
      os.remove(dir .. "/root.crl")
      local ok, message, code = neap.quic.reload_certs()
      assert.same({ nil, "system" }, { ok, code })
      assert.matches("root.crl: No such file", message)
      assert.is_true(connect())
      listener:close()
    end)
  end)

  it("are read again on SIGHUP, also by a program without servers, which goes on", function()
    place_list(true)
    helper.write_file(dir .. "/visitor.lua", ([[
      local neap = require "neap"
      local client = neap.client { ca = "%s/ca.pem", crl = "%s/root.crl", timeout = 10 }
      print("listening on https://no:1/")
      while true do
        local response, message = client:get(arg[1])
        io.stdout:write(response and "fine" or message, "\n")
        io.stdout:flush()
        neap.sleep(0.1)
      end
    ]]):format(dir, dir))
    helper.write_file(dir .. "/leaf.pem", leaf.pem)
    helper.write_file(dir .. "/leaf.key", leaf.key)
    local server = program.start(("serve %s --listen 127.0.0.1:0 --cert %s/leaf.pem --key %s/leaf.key"):format(dir,
      dir, dir))
    local visitor = program.start(("run %s/visitor.lua https://127.0.0.1:%d/ca.pem </dev/null"):format(dir,
      server.port))
    finally(program.end_all)
    local function hangs_up(says)
      os.execute("kill -HUP " .. visitor.pid)
      program.wait_until(function() return visitor:output():find(says, 1, true) end)
    end
    program.wait_until(function() return visitor:output():find("is not current", 1, true) end)
    os.remove(dir .. "/root.crl")
    hangs_up("a client: the certificates of before stay: ")
    place_list()
    hangs_up("1 client: certificates were read again")
    program.wait_until(function() return visitor:output():find("fine\n", 1, true) end)
    assert.equal(0, visitor:stop())
    assert.equal(0, server:stop())
  end)
end)
