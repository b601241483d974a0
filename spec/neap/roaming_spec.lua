--- Connections that change their address, over the real sockets of one machine. Links, routes and interfaces are in
--- spec/runtime/roam_spec.lua.
local neap = require "neap"
local web = require "support.web"

local function free_port()
  local socket = require("neap.core").udp()
  local port = assert(socket:bind("127.0.0.2:0")):match(":(%d+)$")
  socket:close()
  return port
end

local function with_server(fn, listen, connect)
  local id = web.identity()
  web.run(function()
    local options = { host = "127.0.0.1", port = 0, alpn = "t", cert = id.cert, key = id.key }
    for name, value in pairs(listen or {}) do options[name] = value end
    local server = assert(neap.quic.listen(options))
    local state = { server = server, moved = {} }
    server:on_connection(function(conn)
      state.conn = conn
      conn:on_path(function(event) table.insert(state.moved, event.kind .. " " .. event.peer) end)
      conn:on_stream(function(stream) stream:write(stream:read_all()) end)
    end)
    local given = { alpn = "t", ca = id.cert }
    for name, value in pairs(connect or {}) do given[name] = value end
    local conn = assert(neap.quic.connect("127.0.0.1:" .. server.port, given))
    local ok, err = xpcall(fn, debug.traceback, conn, state)
    conn:close()
    server:close()
    if not ok then error(err, 0) end
  end)
end

local function echo(conn, text)
  local stream = assert(conn:open_stream())
  stream:write(text, { fin = true })
  return stream:read_all()
end

--- Waits until `condition` is true, a few seconds at most.
local function await(condition)
  for _ = 1, 300 do
    if condition() then return true end
    neap.sleep(0.01)
  end
  return false
end

describe("a connection of neap.quic", function()
  it("goes to another address of this machine, and both sides are told", function()
    with_server(function(conn, state)
      local events = {}
      conn:on_path(function(event) table.insert(events, event.kind) end)
      assert.equal("x", echo(conn, "x"))
      assert.is_true(await(function() return conn:migrate { address = "127.0.0.3" } end))
      assert.is_true(await(function() return conn.local_address:match("^127%.0%.0%.3:") end))
      assert.equal("y", echo(conn, "y"))
      assert.is_true(await(function() return state.moved[1] end))
      assert.equal("peer_migrated " .. conn.local_address, state.moved[1])
      assert.equal(conn.local_address, state.conn.peer)
      assert.same({ "path_validated", "migrated" }, events)
      assert.is_true(conn:paths()[1].is_active)
      assert.equal("validated", conn:paths()[1].state)
    end)
  end)

  it("looks at a path, and stays", function()
    with_server(function(conn)
      local here = conn.local_address
      assert.is_true(await(function() return conn:probe { address = "127.0.0.3" } end))
      assert.is_true(await(function() return (conn:paths()[2] or {}).state == "validated" end))
      assert.equal(here, conn.local_address)
      assert.equal("x", echo(conn, "x"))
    end)
  end)

  it("stays where an address is not this machine's, and says so", function()
    with_server(function(conn)
      echo(conn, "x")
      local ok, message, code = conn:migrate { address = "192.0.2.77" }
      assert.is_nil(ok)
      assert.matches("192.0.2.77", message, 1, true)
      assert.equal("system", code)
      ok, message, code = conn:migrate { interface = "nosuch0" }
      assert.is_nil(ok)
      assert.matches("nosuch0", message)
      assert.equal("system", code)
      assert.has_error(function() conn:migrate { adress = "127.0.0.1" } end)
      assert.equal("x", echo(conn, "x"))
    end)
  end)

  it("says that its server wants no migration", function()
    with_server(function(conn)
      echo(conn, "x")
      local ok, message, code = conn:migrate { address = "127.0.0.3" }
      assert.same({ nil, "the peer does not let us use other addresses", "migration" }, { ok, message, code })
    end, { disable_active_migration = true })
  end)

  it("opens no more sockets than six, and closes those of paths that are gone", function()
    with_server(function(conn)
      echo(conn, "x")
      local codes = {}
      for i = 3, 12 do
        local _, _, code = conn:probe { address = "127.0.0." .. i }
        codes[code or "ok"] = (codes[code or "ok"] or 0) + 1
      end
      assert.is_true(codes.ok == 3, codes.ok)
      assert.equal("x", echo(conn, "x"))
    end)
  end)

  it("follows routes by itself, and is at an address of its own from the start", function()
    with_server(function(conn)
      assert.matches("^127%.0%.0%.1:", conn.local_address)
      assert.equal("x", echo(conn, "x"))
    end, nil, { migrate = "auto" })
  end)

  it("goes where its server prefers to be, which serves both addresses", function()
    local preferred = "127.0.0.2:" .. free_port()
    with_server(function(conn, state)
      assert.is_true(await(function() return conn.peer == preferred end))
      assert.equal("x", echo(conn, "x"))
      assert.equal(preferred, state.conn.local_address)
      assert.is_true(conn:paths()[1].is_preferred)
    end, { preferred_address = preferred })
  end)

  it("does not, when it is not to", function()
    local preferred = "127.0.0.2:" .. free_port()
    with_server(function(conn, state)
      assert.equal("x", echo(conn, "x"))
      neap.sleep(0.2)
      assert.equal("127.0.0.1:" .. state.server.port, conn.peer)
    end, { preferred_address = preferred }, { use_preferred_address = false })
  end)
end)

describe("a server's preferred address", function()
  it("is one that it can listen at, with a port, one of each family", function()
    local id = web.identity()
    web.run(function()
      local given = { host = "127.0.0.1", port = 0, alpn = "t", cert = id.cert, key = id.key }
      given.preferred_address = "192.0.2.77:4433"
      local server, message, code = neap.quic.listen(given)
      assert.is_nil(server)
      assert.matches("192.0.2.77", message, 1, true)
      assert.equal("system", code)
      for _, wrong in ipairs { "127.0.0.2", { "127.0.0.2:1", "127.0.0.3:1" }, "here", { 7 } } do
        given.preferred_address = wrong
        assert.has_error(function() neap.quic.listen(given) end)
      end
      assert.has_error(function()
        neap.quic.connect("127.0.0.1:1", { alpn = "t", preferred_address = "127.0.0.2:1" })
      end)
    end)
  end)
end)

describe("a client of HTTP/3", function()
  it("moves all its connections, and the server's handlers see it", function()
    local id = web.identity()
    web.run(function()
      local app = neap.app()
      app:get("/", function(req) return req.peer end)
      local server = assert(app:listen { host = "127.0.0.1", port = 0, cert = id.cert, key = id.key })
      local told, mine = {}, {}
      server:on_path(function(event) table.insert(told, event.kind) end)
      local client = neap.client { ca = id.cert }
      client:on_path(function(event, authority) table.insert(mine, event.kind .. " " .. authority) end)
      local url = "https://127.0.0.1:" .. server.port .. "/"
      assert.same({ nil, "there is no connection", "closed" }, { client:migrate { address = "127.0.0.4" } })
      local before = client:get(url):body()
      assert.is_true(await(function() return client:migrate { address = "127.0.0.4" } end))
      assert.is_true(await(function() return told[1] end))
      local after = client:get(url):body()
      assert.matches("^127%.0%.0%.1:", before)
      assert.matches("^127%.0%.0%.4:", after)
      assert.same({ "peer_migrated" }, told)
      assert.same({ "path_validated 127.0.0.1:" .. server.port, "migrated 127.0.0.1:" .. server.port }, mine)
      client:close()
      server:close()
    end)
  end)
end)
