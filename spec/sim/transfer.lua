--- What the simulation specs run: one stream, bytes both ways at once, checked byte by byte.
local sim = require "neap.sim"

local transfer = {}

-- Bytes that differ everywhere, so that what is swapped or repeated is seen.
local pattern
function transfer.pattern(size)
  if not pattern then
    local parts = {}
    for i = 1, 131072 do parts[i] = ("%08x"):format(i * 2654435761 % 4294967296) end
    pattern = table.concat(parts) -- 1 MiB
  end
  return pattern:sub(1, size)
end

-- One side of the stream: sends all of `data`, and compares what comes with it.
local function new_side(conn, id, data)
  local side = { sent = 0, got = 0, finished = false }

  function side.push()
    while side.sent <= #data and not side.ended do
      local piece = data:sub(side.sent + 1, side.sent + 65536)
      local last = side.sent + #piece == #data
      local taken = conn:stream_send(id, piece, last)
      if not taken then return end
      side.sent = side.sent + taken
      side.ended = last and taken == #piece
    end
  end

  function side.pull()
    while not side.finished do
      local bytes, fin = conn:stream_recv(id)
      if not bytes then return end
      if bytes ~= data:sub(side.got + 1, side.got + #bytes) then
        side.wrong = ("wrong bytes at %d"):format(side.got)
      end
      side.got = side.got + #bytes
      side.finished = fin
    end
  end

  return side
end

local function serve(conn, sides, data)
  for id in conn.readable_next, conn do
    if not sides[id] then
      sides[id] = new_side(conn, id, data)
      sides[id].push()
    end
    sides[id].pull()
  end
  for id in conn.writable_next, conn do
    if sides[id] then sides[id].push() end
  end
end

--- A simulation of a client and a server on one link, with a stream that carries `size` bytes each way. `config` is of
-- both, `id_size` (source_connection_id_size) of the client, `more` the options of { client =, server = } alone.
-- Returns a table: sim, client, server, link, done().
function transfer.new(seed, link_options, size, config, id_size, more)
  local run = { sim = sim.new{ seed = seed } }
  local data = transfer.pattern(size)
  local client_sides, server_sides = {}, {}
  local function options(side, own)
    own.max_idle_timeout, own.handshake_timeout = 600, 300
    for name, value in pairs(config or {}) do own[name] = value end
    for name, value in pairs(more and more[side] or {}) do own[name] = value end
    return own
  end
  run.link = run.sim:link(link_options)
  run.server = run.sim:server(options("server", { on_conn = function(conn)
    run.server_conn = run.server_conn or conn
    serve(conn, server_sides, data)
  end }))
  run.client = run.sim:client(options("client", { server = run.server, on_conn = function(conn)
    if conn:is_established() and not run.id then
      run.id = assert(conn:stream_open())
      client_sides[run.id] = new_side(conn, run.id, data)
      client_sides[run.id].push()
    end
    serve(conn, client_sides, data)
  end, source_connection_id_size = id_size }))

  function run.done()
    local here, there = run.id and client_sides[run.id], run.id and server_sides[run.id]
    if here and here.wrong then error("client: " .. here.wrong) end
    if there and there.wrong then error("server: " .. there.wrong) end
    local why = run.client.conn:error() or (run.server_conn and run.server_conn:error())
    if why then run.sim:fail(("connection ended: %s %s %s"):format(why.by, why.name, why.reason)) end
    return here and there and here.finished and there.finished
  end

  --- To the end of the transfer; returns virtual seconds and the trace hash.
  function run.finish(seconds)
    local time = run.sim:run(run.done, seconds or 3600)
    return time, run.sim.hash
  end

  return run
end

return transfer
