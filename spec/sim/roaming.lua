--- A client behind a NAT that gives it another address every few seconds, with losses, and somebody on the way who
-- sends copies of its packets, faster than they are, from addresses where nobody is. All of it from the seed alone.
local sim = require "neap.sim"
local core = require "neap.core"

local roaming = {}

local function dice(seed)
  local a, b = core.hash(seed, 1) % 2147483562 + 1, core.hash(seed, 2) % 2147483398 + 1
  return function(least, most)
    a, b = a * 40014 % 2147483563, b * 40692 % 2147483399
    return least + (a - b) % 2147483562 / 2147483562 * (most - least)
  end
end

local function read(conn, run)
  for id in conn.readable_next, conn do
    repeat
      local bytes, fin = conn:stream_recv(id)
      if bytes and fin then run.finished = run.finished + 1 end
    until not bytes or fin or #bytes == 0
  end
end

--- Sends `size` bytes on a stream every tenth of a second while run.goes_on, and then its end.
local function trickle(lab, run, node, conn, size)
  local id = assert(conn:stream_open(false))
  lab:go(function()
    while not run.is_over() do
      lab:sleep(0.1)
      if run.goes_on then
        conn:stream_send(id, ("x"):rep(size), false)
      elseif conn:stream_send(id, "", true) then
        return node:touch()
      end
      node:touch()
    end
  end)
end

local function rebind(lab, run, random, times)
  lab:go(function()
    local every = random(1.5, 5.5)
    for i = 1, times do
      lab:sleep(every * random(0.7, 1.3))
      local port = 50000 + i
      local host = random(0, 1) < 0.5 and run.client.address:match("^(.*):") or ("10.9.%d.2"):format(i)
      run.client:rebind(("%s:%d"):format(host, port))
    end
    lab:sleep(2)
    run.goes_on = false
  end)
end

local function copy(lab, run, link, delay, random)
  local share, addresses, lead = random(0.05, 0.5), ({ 1, 3, 1000 })[math.ceil(random(0.001, 3))], random(0, 0.9)
  link.up.filter = function(bytes, _, now)
    if random(0, 1) >= share then return end
    run.copies = run.copies + 1
    local number = run.copies % addresses
    lab:inject(now + delay * (1 - lead), bytes, ("192.0.2.%d:%d"):format(number % 200 + 1, number + 1000),
      run.server.address)
  end
end

--- Runs a download, or a transfer both ways, to its end. Returns nothing when all came; what became of it otherwise.
function roaming.lose(seed, is_attacked)
  local random = dice("roaming " .. seed)
  local lab = sim.new{ seed = seed }
  local delay, loss, both = random(0.005, 0.08), random(0, 0.2), random(0, 1) < 0.6
  local keep_alive = ({ 1, 5, 14, both and 0 or 10 })[math.ceil(random(0.001, 4))]
  local link = lab:link{ delay = delay }
  local run = { goes_on = true, finished = 0, copies = 0 }
  local function on_conn(conn) read(conn, run) end
  run.server = lab:server{ on_conn = function(conn)
    run.conn = conn
    read(conn, run)
  end }
  run.client = lab:client{ server = run.server, on_conn = on_conn, keep_alive = keep_alive > 0 and keep_alive or nil }
  function run.is_over() return run.conn:error() or run.client.conn:error() end
  lab:run(function() return run.client.conn:is_confirmed() and run.conn and run.conn:is_confirmed() end)
  link.up.loss, link.down.loss = loss, loss
  trickle(lab, run, run.server, run.conn, 2500)
  if both then trickle(lab, run, run.client, run.client.conn, 1500) end
  rebind(lab, run, random, math.ceil(random(3, 8)))
  if is_attacked then copy(lab, run, link, delay, random) end
  local came, why = pcall(lab.run, lab, function()
    return run.finished == (both and 2 or 1) or run.is_over()
  end, 300)
  local closed = run.is_over()
  lab:close()
  if closed then why, came = closed.by, false end
  return not came and ("seed %d: %s"):format(seed, why) or nil
end

return roaming
