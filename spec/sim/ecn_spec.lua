-- Explicit congestion notification in virtual time: routers that mark, change marks or drop what has one.
local transfer = require "sim.transfer"

local function start(link, config, size)
  local path = { delay = 0.02, queue = 1000 }
  for name, value in pairs(link) do path[name] = value end
  return transfer.new(1, path, size or 300000, config)
end

-- Figures of both sides.
local function sides(run)
  return { client = run.client.conn:stats(), server = run.server_conn:stats() }
end

describe("a connection", function()
  -- covers: rfc9000#13.4.1.1
  it("marks all that it sends where the path carries marks, and tells of what came marked", function()
    local run = start{}
    run.finish(60)
    local client, server = sides(run).client, sides(run).server
    assert.same({ "capable", "capable" }, { client.ecn, server.ecn })
    assert.is_true(client.ecn_sent > 0.98 * client.packets_sent)
    assert.is_true(server.ecn_sent > 0.98 * server.packets_sent)
    assert.is_true(server.ecn_received > 0.9 * client.ecn_sent)
    assert.same({ 0, 0 }, { client.ecn_ce_told, server.ecn_ce_received })
    run.sim:close()
  end)

  it("marks nothing where the option says so", function()
    local run = start({}, { ecn = false })
    run.finish(60)
    for _, stats in pairs(sides(run)) do
      assert.same({ "off", 0, 0 }, { stats.ecn, stats.ecn_sent, stats.ecn_received })
    end
    run.sim:close()
  end)

  local function congest(_, _, _, datagram)
    if datagram.ecn == 2 then datagram.ecn = 3 end
    return true
  end

  for treatment, link in pairs{
    ["remove them"] = { ecn = "bleach" }, ["make ECT(1) of them"] = { ecn = "ect1" }, ["drop them"] = { ecn = "drop" },
    ["make CE of all"] = { filter = congest },
  } do
    it(("goes on unmarked where a router does this to marks: %s"):format(treatment), function()
      local run = start(link)
      run.finish(60)
      for name, stats in pairs(sides(run)) do
        assert.equal("failed", stats.ecn, name)
        assert.is_true(stats.ecn_sent <= 40, ("%s: %d"):format(name, stats.ecn_sent))
      end
      run.sim:close()
    end)
  end

  it("outlives a path that drops what is marked from a moment on", function()
    local run = start({}, nil, 3000000)
    run.sim:run(function() return run.server_conn and run.server_conn:stats().ecn == "capable" end, 10)
    run.link.up.ecn, run.link.down.ecn = "drop", "drop"
    run.finish(120)
    assert.equal("failed", sides(run).server.ecn)
    run.sim:close()
  end)

  -- covers: rfc9000#13.4.2.2.1
  it("loses nothing to a queue that marks, where the same queue without marks overflows again and again", function()
    local function lost(ecn)
      local run = start({ delay = 0.05, rate = 1e5, queue = 20, mark_above = 10 }, { ecn = ecn }, 1000000)
      run.sim:run(2) -- what slow start overshoots is lost before any mark is heard of
      local before = sides(run).server.packets_lost
      local seconds = run.finish(120)
      local server = sides(run).server
      run.sim:close()
      return server.packets_lost - before, server.ecn_ce_told, seconds, run.link.down.marked
    end
    local with, told, seconds, marked = lost(true)
    local without, _, longer = lost(false)
    assert.same({ 0, true }, { with, without > 0 })
    assert.is_true(told > 0 and told <= marked, ("%d of %d"):format(told, marked))
    assert.is_true(seconds < 1.25 * longer, ("%g, %g without marks"):format(seconds, longer))
  end)

  it("begins anew where its client moves", function()
    local run = start({ rate = 1e6 }, nil, 1000000)
    run.sim:run(0.5)
    assert.equal("capable", run.server_conn:stats().ecn)
    run.link.down.ecn = "bleach"
    run.client:rebind("10.2.0.99:50001")
    run.finish(60)
    local stats = sides(run)
    assert.same({ "failed", 1 }, { stats.server.ecn, stats.server.path_changes })
    run.sim:close()
  end)

  -- All that was marked is lost, and the unmarked probe after it comes: the same as behind a router that drops marks.
  it("goes on marked after an outage", function()
    local run = start({ rate = 1e6 }, nil, 1000000)
    run.sim:run(0.5)
    assert.equal("capable", run.server_conn:stats().ecn)
    local lost = run.server_conn:stats().packets_lost
    run.link:set{ outages = { { 0.5, 0.7 } } }
    run.finish(60)
    local server = sides(run).server
    assert.is_true(server.packets_lost - lost > 10)
    assert.equal("capable", server.ecn)
    assert.is_true(server.ecn_sent > 0.95 * server.packets_sent)
    run.sim:close()
  end)

  -- What three times two datagrams allow left marked, all at once, and nothing was left to ask again without.
  it("proves the address of a client that moves while much is to be sent, behind a router that drops marks", function()
    local run = start({ ecn = "drop" }, nil, 10000000)
    run.sim:run(function() return run.server_conn and run.server_conn:is_confirmed() end, 10)
    run.sim:run(5)
    local came, address = 0, "10.2.0.99:50001"
    run.link:set{ up = { filter = function(_, _, _, datagram)
      if tostring(datagram.from) ~= address then return true end
      came = came + 1
      return came <= 2
    end } }
    run.client:rebind(address)
    run.sim:run(3)
    assert.is_true(came > 2, came)
    run.sim:close()
  end)

  -- Its challenges were marked, each of them, and so none came: the client's new address stayed unproved for minutes.
  it("proves the address of a client that is nearly silent, behind a router that drops marks", function()
    local run = start({ ecn = "drop" }, { keep_alive = 0.5 }, 20000)
    run.finish(10)
    for i = 1, 5 do
      run.sim:run(2)
      local address = ("10.2.0.99:%d"):format(50000 + i)
      run.client:rebind(address)
      local before = run.sim:time()
      run.sim:run(function() return run.server_conn:peer() == address end, 600)
      assert.is_true(run.sim:time() - before < 3, ("%d: after %g s"):format(i, run.sim:time() - before))
    end
    run.sim:close()
  end)
end)
