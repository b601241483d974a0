--- Clients with several addresses, each with a link of its own, in virtual time.
local simulation = require "neap.sim"

local WIFI, MOBILE = "10.2.0.9:50000", "10.3.0.9:50001"

--- A download of `size` bytes by a client with a fast link and a slow one; `act(client, got)` after each piece.
local function download(options, size, act)
  local sim = simulation.new{ seed = options.seed or 1 }
  sim:link{ delay = 0.01, rate = 4e6, queue = 50, loss = options.loss }
  local piece, sent, got, id = ("x"):rep(65536), 0, 0, nil
  local server = sim:server{ on_conn = function(conn)
    if not id and conn:is_established() then id = conn:stream_open("uni") end
    while id and sent < size do
      local taken = conn:stream_send(id, piece:sub(1, size - sent))
      if not taken or taken == 0 then return end
      sent = sent + taken
    end
  end }
  local wifi = sim.default_link
  local mobile = sim:link{ delay = 0.05, rate = 1.5e6, queue = 50, loss = options.loss }
  local client
  client = sim:client{ server = server, address = WIFI, link = wifi, on_conn = function(conn)
    for stream in conn.readable_next, conn do
      for bytes in function() return (conn:stream_recv(stream)) end do got = got + #bytes end
    end
    act(client, got)
  end }
  client:add_address(MOBILE, { link = mobile })
  sim:run(function() return got == size end)
  return sim, client, mobile
end

local function active(conn) return conn:paths()[1].local_address end

describe("a client with two uplinks", function()
  it("moves to a slower way while packets are lost on the faster one", function()
    for seed = 1, 5 do
      local begun
      local sim, client = download({ seed = seed, loss = 0.01 }, 2e6, function(client, got)
        if got < 5e5 or begun then return end
        begun = client.sim.now
        assert(client.conn:migrate{ address = MOBILE })
        client.sim:at(begun, function() -- a second later: `now` begins at 1
          assert.equal(MOBILE, active(client.conn), seed)
        end)
      end)
      assert.equal(MOBILE, active(client.conn), seed)
      sim:close()
    end
  end)

  it("takes its download with it when the first goes", function()
    for seed = 1, 5 do
      local has_moved = false
      local sim, client, mobile = download({ seed = seed, loss = 0.01 }, 3e6, function(client, got)
        if got < 1e6 or has_moved then return end
        has_moved = true
        client:remove_address(WIFI)
        assert(client.conn:migrate{ address = MOBILE, gone = true })
      end)
      assert.equal(MOBILE, active(client.conn))
      assert.is_true(mobile.down.delivered > 1000)
      sim:close()
    end
  end)

  it("looks first, and loses nothing but a round trip's congestion window by the move", function()
    local has_moved = false
    local sim, client, mobile = download({}, 3e6, function(client, got)
      if got < 1e6 or has_moved then return end
      has_moved = assert(client.conn:migrate{ address = MOBILE })
    end)
    assert.equal(MOBILE, active(client.conn))
    local kinds = {}
    local event = client.conn:path_event()
    while event do
      kinds[#kinds + 1] = event.kind
      event = client.conn:path_event()
    end
    assert.same({ "path_validated", "migrated" }, kinds)
    assert.is_true(mobile.down.delivered > 1000)
    sim:close()
  end)

  it("stays where it is when the second leads nowhere", function()
    local has_asked = false
    local sim, client = download({}, 3e6, function(client, got)
      if got < 1e5 or has_asked then return end
      has_asked = true
      client:remove_address(MOBILE)
      assert(client.conn:migrate{ address = MOBILE })
    end)
    sim:run(4)
    assert.equal(WIFI, active(client.conn))
    local event = client.conn:path_event()
    assert.same({ "path_failed", MOBILE }, { event.kind, event.local_address })
    sim:close()
  end)
end)

describe("a server with two addresses", function()
  it("has its clients at the one that it prefers", function()
    local sim = simulation.new{ seed = 1 }
    sim:link{ delay = 0.02 }
    local server = sim:server{ address = "10.1.0.1:443", preferred_address = "10.1.0.2:443" }
    server:add_address("10.1.0.2:443")
    local client = sim:client{ server = server }
    sim:run(function() return client.conn:peer() == "10.1.0.2:443" end, 5)
    assert.equal("10.1.0.2:443", client.conn:preferred_address(4))
    assert.is_nil(client.conn:preferred_address(6))
    sim:close()
  end)
end)

describe("a client that goes on from another port", function()
  for _, controller in ipairs{ "bbr", "cubic" } do
    it("keeps the rate that its way has, by " .. controller, function()
      local A, B = "10.2.0.9:50000", "10.2.0.9:50001"
      local sim = simulation.new{ seed = 1 }
      local link = sim:link{ delay = 0.03, rate = 2e6, queue = 200 }
      local server = sim:server{ max_connection_window = 2 ^ 26, max_stream_window = 2 ^ 26, on_conn = function(conn)
        for stream in conn.readable_next, conn do
          while #(conn:stream_recv(stream) or "") > 0 do end
        end
      end }
      local id, piece = nil, ("x"):rep(65536)
      local client = sim:client{ server = server, address = A, link = link, congestion_control = controller,
        on_conn = function(conn)
          if conn:is_established() and not id then id = assert(conn:stream_open("uni")) end
          while id and conn:stream_send(id, piece, false) == #piece do end
          for _ in conn.writable_next, conn do end
        end }
      client:add_address(B, { link = link })
      sim:run(6)
      local before = client.conn:stats()
      assert(client.conn:migrate{ address = B })
      client:touch()
      local most, lost = 0, before.packets_lost
      for _ = 1, 20 do
        sim:run(0.05)
        local stats = client.conn:stats()
        most, lost = math.max(most, stats.pacing_rate, stats.max_bandwidth or 0), stats.packets_lost
      end
      assert.equal(B, active(client.conn))
      assert.is_true(most < 2 * math.max(before.pacing_rate, 2e6), most)
      assert.is_true(lost - before.packets_lost < 300, lost)
      sim:close()
    end)
  end
end)
