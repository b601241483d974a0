local sim = require "neap.sim"
local probe = require "support.link_probe"

describe("a link of neap.sim", function()
  it("delivers in order after its delay", function()
    local lab, send, arrived = probe{ delay = 0.02 }
    for i = 1, 5 do send("datagram " .. i) end
    lab:run(1)
    assert.equal(5, #arrived)
    for i = 1, 5 do
      assert.equal("datagram " .. i, arrived[i].bytes)
      assert.is_true(math.abs(arrived[i].at - 0.02) < 1e-9)
    end
  end)

  it("has a node's answers leave before there are more than its endpoint keeps", function()
    local lab, send, arrived = probe{}
    local node, flushed = lab.nodes[1], {}
    node.answers_most = 3
    node.endpoint.stats = function() return { answers_waiting = 1 } end
    node.flush = function()
      if node.dirty and #arrived > 0 and #arrived < 8 then flushed[#flushed + 1] = #arrived end
    end
    for i = 1, 8 do send("datagram " .. i) end
    lab:run(1)
    assert.same({ 8, 3, 6 }, { #arrived, flushed[1], flushed[2] })
    assert.equal(64, sim.new{}:server{ alpn = "t" }.endpoint:stats().answers_most)
  end)

  it("passes no more than its rate and drops what its queue does not hold", function()
    local lab, send, arrived, link = probe{ rate = 1000, queue = 4 }
    for _ = 1, 10 do send(("x"):rep(100)) end
    lab:run(5)
    assert.equal(5, #arrived) -- one leaves, four wait
    assert.equal(5, link.up.overflowed)
    for i = 1, 5 do assert.is_true(math.abs(arrived[i].at - i * 0.1) < 1e-9) end
    send(("x"):rep(100))
    lab:run(5)
    assert.equal(6, #arrived) -- the queue is empty again
  end)

  it("loses the share it is told to", function()
    local lab, send, arrived = probe{ loss = 0.3 }
    for _ = 1, 10000 do send("x") end
    lab:run(1)
    assert.is_true(#arrived > 6800 and #arrived < 7200, #arrived .. " of 10000")
  end)

  it("loses the datagrams of a list", function()
    local lab, send, arrived = probe{ drop = { 2, 3 } }
    for i = 1, 5 do send(tostring(i)) end
    lab:run(1)
    assert.equal("145", arrived[1].bytes .. arrived[2].bytes .. arrived[3].bytes)
  end)

  it("duplicates, reorders and flips bits when told to", function()
    local lab, send, arrived = probe{ duplicate = 1 }
    send("x")
    lab:run(1)
    assert.equal(2, #arrived)

    lab, send, arrived = probe{ reorder = 0.5, reorder_delay = 0.1 }
    for i = 1, 100 do send(("%03d"):format(i)) end
    lab:run(1)
    local sorted = true
    for i = 2, 100 do sorted = sorted and arrived[i - 1].bytes < arrived[i].bytes end
    assert.is_false(sorted)

    lab, send, arrived = probe{ corrupt = 1 }
    send("\0\0\0\0")
    lab:run(1)
    local sum = 0
    for _, byte in ipairs{ arrived[1].bytes:byte(1, -1) } do sum = sum + byte end
    assert.is_true(sum > 0 and math.log(sum) / math.log(2) % 1 < 1e-9, "one bit")
  end)

  it("does not change the order with jitter alone", function()
    local lab, send, arrived = probe{ jitter = 0.05 }
    for i = 1, 100 do send(("%03d"):format(i)) end
    lab:run(1)
    for i = 1, 100 do assert.equal(("%03d"):format(i), arrived[i].bytes) end
  end)

  it("lets a filter lose and change datagrams", function()
    local lab, send, arrived = probe{ filter = function(bytes, index)
      if index == 1 then return false end
      return bytes .. "!"
    end }
    send("a")
    send("b")
    lab:run(1)
    assert.equal(1, #arrived)
    assert.equal("b!", arrived[1].bytes)
  end)

  it("loses datagrams above its mtu, and tells so where it is a router that does", function()
    local lab, send, arrived = probe{ mtu = 1300, ptb = true, delay = 0.01 }
    local told = {}
    local sender = { address = "10.0.0.1:1", endpoint = {
      too_big = function(_, to, passes, quoted) told[#told + 1] = { to, passes, #quoted, lab:time() } end,
    } }
    send(("x"):rep(1300))
    send(("x"):rep(1301), sender)
    lab:run(1)
    assert.equal(1, #arrived)
    assert.equal(1, #told)
    assert.same({ "10.0.0.2:1", 1300, 528 }, { told[1][1], told[1][2], told[1][3] })
    assert.is_true(math.abs(told[1][4] - 0.01) < 1e-9)
  end)

  it("refuses options it does not know", function()
    assert.error_matches(function() sim.new():link{ lose = 1 } end, "unknown option 'lose'")
    assert.error_matches(function() sim.new():link{ up = { lose = 1 } } end, "unknown option 'lose' of a link's 'up'")
    assert.error_matches(function() sim.new():link{ down = { dlay = 1 } } end, "unknown option 'dlay' of a link's")
  end)
end)

describe("a simulation", function()
  it("says the seed when nothing is left to happen", function()
    local lab = sim.new{ seed = 4711 }
    assert.error_matches(function() lab:run(function() return false end, 1) end, "nothing left to happen.*seed 4711")
  end)

  it("says the seed when the time is over", function()
    local lab = sim.new{ seed = 5 }
    lab:link{ delay = 0.01, loss = 1 }
    lab:client{ server = lab:server(), handshake_timeout = 100 }
    assert.error_matches(function() lab:run(function() return false end, 3) end, "not done after 3 s.*seed 5")
    lab:close()
  end)

  it("refuses options it does not know, its own and its nodes'", function()
    assert.error_matches(function() sim.new{ sed = 1 } end, "unknown option 'sed' of a simulation")
    local lab = sim.new()
    for _, options in ipairs{ { on_con = print }, { server = {} }, { conect = false } } do
      local name = next(options)
      assert.error_matches(function() lab:server(options) end, name)
      if name ~= "server" then assert.error_matches(function() lab:client(options) end, name) end
    end
    lab:close()
  end)

  it("has a bound of steps", function()
    local lab = sim.new{ max_steps = 10 }
    lab:go(function() while true do lab:sleep(0.1) end end)
    assert.error_matches(function() lab:run(100) end, "too many steps")
  end)

  it("runs tasks in virtual time, whose errors end the run", function()
    local lab = sim.new()
    local log = {}
    lab:go(function()
      lab:sleep(5)
      log[#log + 1] = lab:time()
      lab:wait(function() return log[2] end)
      log[#log + 1] = "woken"
    end)
    lab:go(function()
      lab:sleep(7)
      log[#log + 1] = lab:time()
      lab:sleep(1)
    end)
    lab:run(10)
    assert.same({ 5, 7, "woken" }, log)
    lab:go(function() error("oops") end)
    assert.error_matches(function() lab:run(1) end, "oops.*seed 1")
  end)

  it("checks certificates as at the time it plays at", function()
    local lab = sim.new()
    lab:link{ delay = 0.01 }
    local server = lab:server()
    local good, bad = lab:client{ server = server }, lab:client{ server = server, name = "other.example" }
    lab:run(function() return good.conn:is_confirmed() and bad.conn:is_draining() end)
    assert.equal("local", bad.conn:error().by)
    lab:close()
  end)
end)
