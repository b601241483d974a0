-- Servers behind a load balancer, in memory: what QUIC-LB is for.
local neap = require "neap"
local core = require "neap.core"

local q = neap.lowlevel

local VIP = "192.0.2.1:443"
local KEY, OTHER_KEY = ("k"):rep(16), ("0f"):rep(16)
local SECRET = ("s"):rep(32)
local cert, key

-- options.servers: of each server; options.configs: what the balancer knows.
local function world(options)
  local self = { now = 1000, servers = {}, clients = {}, lost = 0, fallbacks = 0, routed = {}, conns = {} }
  if not cert then cert, key = core.make_certificate { names = { "localhost" }, seed = "lb" } end
  for i, own in ipairs(options.servers) do
    local given = { cert = cert, key = key, alpn = "t", seed = "server" .. i, static_secret = SECRET }
    for name, value in pairs(own) do given[name] = value end
    local config = assert(q.config(given, "server"))
    self.servers[i] = { config = config, endpoint = assert(q.endpoint(config, true)), conns = {} }
    self.routed[i] = 0
  end
  local client_config = assert(q.config({ alpn = "t", verify_peer = false, seed = "client" }, "client"))
  self.configs = options.configs
  self.by_id = options.by_id
  self.by_address = {}

  function self.client(address)
    local endpoint = assert(q.endpoint(client_config, false))
    local conn = assert(endpoint:connect("localhost", VIP, { from = address, at = self.now }))
    local client = { endpoint = endpoint, conn = conn, address = address }
    self.clients[#self.clients + 1] = client
    return client
  end

  -- Which server a datagram from this address goes to.
  function self.balance(bytes, from)
    local id = neap.quic_lb.route(bytes, self.configs)
    local index = id and self.by_id[id]
    if index then return index end
    self.fallbacks = self.fallbacks + 1
    self.by_address[from] = self.by_address[from] or self.fallbacks % #self.servers + 1
    return self.by_address[from]
  end

  function self.up(bytes, from)
    local index = self.balance(bytes, from)
    self.routed[index] = self.routed[index] + 1
    self.servers[index].endpoint:recv(bytes, { from = from, to = VIP, at = self.now })
  end

  local function drain(endpoint, give)
    while true do
      local bytes, info = endpoint:send(self.now)
      if not bytes then return end
      for at = 1, #bytes, info.segment_size do give(bytes:sub(at, at + info.segment_size - 1), info.to) end
    end
  end

  function self.run(rounds)
    for _ = 1, rounds or 10 do
      for _, client in ipairs(self.clients) do
        drain(client.endpoint, function(bytes) self.up(bytes, client.address) end)
      end
      for _, server in ipairs(self.servers) do
        while true do
          local conn = server.endpoint:next()
          if not conn then break end
          server.conns[conn] = true
        end
        drain(server.endpoint, function(bytes, to)
          for _, client in ipairs(self.clients) do
            if client.address == to then
              client.endpoint:recv(bytes, { from = VIP, to = to, at = self.now })
            end
          end
        end)
      end
      for _, client in ipairs(self.clients) do while client.endpoint:next() do end end
      self.now = self.now + 0.01
    end
  end

  function self.server_of(client)
    for i, server in ipairs(self.servers) do
      for conn in pairs(server.conns) do
        if not conn:is_closed() and conn:peer() == client.address then return i, conn end
      end
    end
  end
  return self
end

local function two_servers(first, second)
  return world {
    servers = { { quic_lb = first or { config_id = 0, server_id = "A1", nonce_length = 6, key = KEY } },
      { quic_lb = second or { config_id = 0, server_id = "B2", nonce_length = 6, key = KEY } } },
    configs = { { config_id = 0, server_id_length = 2, nonce_length = 6, key = KEY } },
    by_id = { A1 = 1, B2 = 2 },
  }
end

describe("servers behind a load balancer", function()
  it("keep their clients when those have other addresses", function()
    local w = two_servers()
    local clients = {}
    for i = 1, 8 do clients[i] = w.client(("198.51.100.%d:5000"):format(i)) end
    w.run(20)
    local at, used = {}, {}
    for i, client in ipairs(clients) do
      assert.is_true(client.conn:is_established())
      at[i] = w.server_of(client)
      used[at[i]] = true
    end
    assert.same({ true, true }, used)
    w.by_address = {}
    for i, client in ipairs(clients) do client.address = ("203.0.113.%d:7777"):format(i) end
    local before = w.fallbacks
    for _, client in ipairs(clients) do client.conn:ping() end
    w.run(40)
    for i, client in ipairs(clients) do
      assert.is_true(client.conn:is_established() and not client.conn:is_closed())
      assert.equal(at[i], (w.server_of(client)))
    end
    assert.equal(before, w.fallbacks) -- every packet named its server
  end)

  it("cannot be asked for each other's reset tokens, although they have one secret", function()
    local w = two_servers()
    local a, b = w.servers[1], w.servers[2]
    local client = w.client("198.51.100.1:1")
    w.run(20)
    local index = w.server_of(client)
    local id = select(2, client.conn:ids())
    local function reset_of(server) return (q.stateless_reset(server.config, id, 100)):sub(-16) end
    assert.are_not.equal(reset_of(a), reset_of(b))
    -- The other one's reset says nothing to the client; its own server's ends the connection.
    local other, own = index == 1 and b or a, index == 1 and a or b
    client.endpoint:recv(q.stateless_reset(other.config, id, 100), { from = VIP, to = client.address, at = w.now })
    assert.is_false(client.conn:is_draining())
    client.endpoint:recv(q.stateless_reset(own.config, id, 100), { from = VIP, to = client.address, at = w.now })
    assert.is_true(client.conn:is_draining())
  end)

  it("go over to another configuration while they serve, and their connections with them", function()
    local w = two_servers()
    local client = w.client("198.51.100.1:1")
    w.run(20)
    local index, conn = w.server_of(client)
    local server = w.servers[index]
    w.configs[2] = { config_id = 1, server_id_length = 3, nonce_length = 4, key = OTHER_KEY }
    w.by_id["new"] = index
    for _, id in ipairs(conn:source_ids()) do assert.equal(0, math.floor(id:byte(1) / 32)) end
    assert.is_true(server.config:set_quic_lb { config_id = 1, server_id = "new", nonce_length = 4, key = OTHER_KEY })
    server.endpoint:rotate_ids()
    w.run(10)
    local ids = conn:source_ids()
    assert.is_true(#ids >= 2)
    for _, id in ipairs(ids) do assert.equal(1, math.floor(id:byte(1) / 32)) end
    table.remove(w.configs, 1) -- the balancer forgets the old one
    client.address = "203.0.113.9:9"
    client.conn:ping()
    w.run(20)
    assert.equal(index, (w.server_of(client)))
  end)

  it("refuse a configuration that could be taken for the one before, or is too long for their IDs", function()
    local w = two_servers()
    local config = w.servers[1].config
    for _, lb in ipairs { { config_id = 0, server_id = "A1", nonce_length = 6, key = OTHER_KEY },
                          { config_id = 1, server_id = "A1", nonce_length = 9, key = KEY } } do
      local ok, _, code = config:set_quic_lb(lb)
      assert.same({ nil, "in use" }, { ok, code })
    end
    assert.is_true(config:set_quic_lb { config_id = 1, server_id = "A1", nonce_length = 6 })
  end)

  for name, lb in pairs {
    ["without a key"] = { config_id = 0, server_id = "A1", nonce_length = 6 },
    ["without a configuration"] = { config_id = 7, nonce_length = 0 },
  } do
    it("give a connection one ID at a time " .. name .. ", and ask it not to migrate", function()
      local w = two_servers(lb, lb)
      local client = w.client("198.51.100.1:1")
      w.run(20)
      local _, conn = w.server_of(client)
      local ids = conn:source_ids()
      assert.equal(1, #ids)
      if lb.config_id == 7 then
        assert.equal(7 * 32 + #ids[1] - 1, ids[1]:byte(1))
        assert.is_true(w.servers[1].config:connection_ids().unroutable
          + w.servers[2].config:connection_ids().unroutable > 0)
      else
        assert.equal("A1", ids[1]:sub(2, 3))
      end
      assert.is_true(conn:rotate_ids())
      w.run(10)
      local new = conn:source_ids()
      assert.equal(1, #new)
      assert.are_not.equal(ids[1], new[1])
      assert.is_true(client.conn:is_established() and not client.conn:is_draining())
    end)
  end

  it("count what they make, and what nonces are left", function()
    local w = two_servers()
    local client = w.client("198.51.100.1:1")
    w.run(20)
    local index = w.server_of(client)
    local ids = w.servers[index].config:connection_ids()
    assert.same({ 0, 0, 0 }, { ids.refused, ids.collisions, ids.unroutable })
    assert.equal(4, ids.made)
    assert.equal(2 ^ 48 - 1 - 4, ids.nonces_left)
    assert.is_nil(q.config({ alpn = "t" }):connection_ids().nonces_left)
  end)
end)

describe("connection IDs of a config", function()
  it("begin with connection_id_prefix", function()
    local config = assert(q.config { connection_id_prefix = "w7", source_connection_id_size = 8 })
    local a, b = config:new_cid(), config:new_cid()
    assert.same({ "w7", "w7", 8, 8 }, { a:sub(1, 2), b:sub(1, 2), #a, #b })
    assert.are_not.equal(a, b)
  end)

  it("leave 4 random bytes behind a prefix, and take no two schemes", function()
    for _, options in ipairs {
      { connection_id_prefix = "12345" }, { connection_id_prefix = "" }, { connection_id_prefix = 7 },
      { connection_id_prefix = "a", quic_lb = { config_id = 0, server_id = "x", nonce_length = 4 } },
      { quic_lb = { config_id = 8, server_id = "x", nonce_length = 4 } }, { quic_lb = "x" },
      { quic_lb = { config_id = 0, server_id = "x", nonce_length = 3 } },
      { quic_lb = { config_id = 0, server_id = "", nonce_length = 4 } },
      { quic_lb = { config_id = 0, server_id = "x", nonce_length = 4, key = "short" } },
      { quic_lb = { config_id = 0, server_id = "x", nonce_length = 4, other = 1 } },
      { quic_lb = { config_id = 0, nonce_length = 4 } },
    } do
      assert.has_error(function() q.config(options) end)
    end
    assert.has_error(function() neap.app():listen { port = 0, connection_id_prefix = "123456" } end)
  end)

  it("are counted by servers, which know how many nonces are left", function()
    local server
    require("support.web").with_app(function(app) app:get("/", function() return "x" end) end, function(client, url, s)
      assert(client:get(url))
      server = s
    end, { quic_lb = { config_id = 0, server_id = "A1", nonce_length = 6, key = KEY } })
    local ids = server:connection_ids()
    assert.is_true(ids.made > 0 and ids.nonces_left < 2 ^ 48)
  end)

  it("name the server that has them: what a load balancer has for a configuration names none", function()
    local balancers = { config_id = 0, server_id_length = 2, nonce_length = 8, key = KEY }
    local config = assert(q.config { quic_lb = { config_id = 0, server_id = "A1", nonce_length = 8, key = KEY } })
    for _, lb in ipairs { balancers, { config_id = 1, nonce_length = 8, key = KEY } } do
      assert.error_matches(function() q.config { quic_lb = lb } end, "'server_id' must be a string of 1 to 15 bytes")
      assert.error_matches(function() config:set_quic_lb(lb) end, "'server_id' must be a string of 1 to 15 bytes")
    end
    assert.error_matches(function() q.config { quic_lb = { config_id = 7, server_id_length = 2 } } end,
      "'server_id_length' is a load balancer's, a server has 'server_id'")
    assert.equal("A1", (neap.quic_lb.decode(config:new_cid(), { balancers }, true)))
    assert.error_matches(function() neap.quic_lb.decode("x", { { config_id = 1, nonce_length = 8 } }) end,
      "'server_id_length' must be a whole number")
  end)

  it("are as long as QUIC-LB needs, and longer where the option says so", function()
    local lb = { config_id = 2, server_id = ("x"):rep(8), nonce_length = 8, key = KEY }
    assert.equal(17, #q.config({ quic_lb = lb }):new_cid())
    assert.equal(20, #q.config({ quic_lb = lb, source_connection_id_size = 20 }):new_cid())
    assert.has_error(function() neap.client { quic_lb = lb } end)
  end)
end)
