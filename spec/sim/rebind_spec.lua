-- A client behind a NAT that gives it another port, then another address, in virtual time.
local sim = require "neap.sim"
local transfer = require "sim.transfer"

local MEGABYTE = 1000000
local SIZE, EVERY = 10 * MEGABYTE, 5
local BOTH = { "10.2.0.2:50001", "10.9.0.2:50001", "10.9.0.2:50002", "10.9.0.3:50002", "10.2.0.2:50000" }

--- Gives the client of a simulation its next address every `every` seconds.
local function rebind(lab, client, addresses, every)
  local count = 0
  lab:go(function()
    for _, address in ipairs(addresses) do
      lab:sleep(every)
      client:rebind(address)
      count = count + 1
    end
  end)
  return function() return count end
end

--- The server sends SIZE bytes on a stream of its own, the client only reads. When all that is under way to it is lost
--- with its old address it has nothing to say: only keep_alive shows the server the new one.
local function download(link, options)
  local lab = sim.new{ seed = options.seed }
  lab:link(link)
  local data = transfer.pattern(MEGABYTE)
  local run = { sim = lab, got = 0 }
  local id, sent = nil, 0
  run.server = lab:server{ max_idle_timeout = 60, on_conn = function(conn)
    run.conn = run.conn or conn
    if conn ~= run.conn or not conn:is_confirmed() then return end
    id = id or conn:stream_open(false)
    while sent < SIZE do
      local piece = data:sub(sent % MEGABYTE + 1, sent % MEGABYTE + 50000)
      local taken = conn:stream_send(id, piece, sent + #piece == SIZE)
      if not taken or taken == 0 then break end
      sent = sent + taken
    end
  end }
  run.client = lab:client{ server = run.server, max_idle_timeout = 60, keep_alive = 1, on_conn = function(conn)
    for stream in conn.readable_next, conn do
      while true do
        local bytes, fin = conn:stream_recv(stream)
        if not bytes then break end
        run.wrong = run.wrong or bytes ~= (data .. data):sub(run.got % MEGABYTE + 1, run.got % MEGABYTE + #bytes)
        run.got = run.got + #bytes
        run.finished = fin
        if #bytes == 0 or fin then break end
      end
    end
  end }
  return run
end

describe("a NAT that changes port and address every five seconds", function()
  it("does not stop a download of 10 MB", function()
    for seed = 1, 3 do
      local run = download({ delay = 0.02, rate = 4e5, queue = 60, loss = (seed - 1) * 0.01 }, { seed = seed })
      local count = rebind(run.sim, run.client, BOTH, EVERY)
      local time = run.sim:run(function() return run.finished end, 120)
      assert.same({ true, SIZE, false }, { run.finished, run.got, run.wrong }, "seed " .. seed)
      assert.is_true(count() >= 4, "seed " .. seed .. " " .. count())
      assert.is_true(time > 4 * EVERY)
      assert.equal(count(), run.conn:stats().path_changes, "seed " .. seed)
      run.sim:close()
    end
  end)

  it("does not stop a transfer both ways, with losses", function()
    for seed = 1, 3 do
      local run = transfer.new(seed, { delay = 0.02, rate = 5e4, queue = 60, loss = 0.02 }, MEGABYTE)
      local count = rebind(run.sim, run.client, BOTH, EVERY)
      run.finish(600)
      assert.is_true(count() >= 3, "seed " .. seed)
      assert.equal(count(), run.server_conn:stats().path_changes, "seed " .. seed)
      run.sim:close()
    end
  end)

  it("is told to the application when the new address is proved", function()
    local run = transfer.new(1, { delay = 0.02, rate = 4e5, queue = 60 }, MEGABYTE)
    rebind(run.sim, run.client, { "10.9.0.2:4000" }, 1)
    run.sim:run(function() return run.server_conn and run.server_conn:stats().path_changes == 1 end, 60)
    assert.equal("10.2.0.2:50000", run.server_conn:peer())
    run.finish(600)
    assert.equal("10.9.0.2:4000", run.server_conn:peer())
    run.sim:close()
  end)

  it("is a client's only, and gives no address that is taken", function()
    local run = transfer.new(1, {}, 1000)
    assert.error_matches(function() run.server:rebind("10.9.0.2:1") end, "behind a NAT")
    assert.error_matches(function() run.client:rebind(run.server.address) end, "taken")
    run.sim:close()
  end)
end)

describe("a port that changes ever again", function()
  it("does not make a server forget what it has in flight", function()
    local lab = sim.new{ seed = 3 }
    local link = lab:link{ delay = 0.02, rate = 1e6, queue = 60 }
    local piece, id, conn = ("x"):rep(65536), nil, nil
    local server = lab:server{ on_conn = function(one)
      conn = one
      if not id and one:is_established() then id = one:stream_open("uni") end
      while id and one:stream_send(id, piece, false) == #piece do end
      for _ in one.writable_next, one do end
    end }
    local client = lab:client{ server = server, address = "10.2.0.9:20000", link = link,
      max_connection_window = 2 ^ 26, max_stream_window = 2 ^ 26, on_conn = function(one)
        for stream in one.readable_next, one do
          while #(one:stream_recv(stream) or "") > 0 do end
        end
      end }
    lab:run(2)
    local most = 0
    for hop = 1, 4 do
      local place = client.places[client.inside or client.address]
      local old = { node = client, inside = place.inside, outside = place.outside, link = place.link }
      client:rebind("10.2.0.9:" .. 20000 + hop)
      lab:take_place(old, 2) -- the client listens there as well
      for _ = 1, 4 do
        lab:run(0.02)
        local in_flight = 0
        for _, path in ipairs(conn:paths()) do in_flight = in_flight + path.bytes_in_flight end
        most = math.max(most, in_flight / conn:stats().congestion_window)
      end
    end
    assert.is_true(conn:stats().path_changes >= 4)
    assert.is_true(most <= 1.1, most)
    lab:close()
  end)
end)
