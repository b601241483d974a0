--- Clients that send as much as congestion control lets them, over one link to one server.
local sim = require "neap.sim"

local flows = {}

local PIECE = ("x"):rep(65536)

local function push(conn, id)
  while true do
    local taken = conn:stream_send(id, PIECE, false)
    if not taken or taken < #PIECE then return end
  end
end

local function drain(conn, got)
  for id in conn.readable_next, conn do
    repeat
      local bytes, fin = conn:stream_recv(id)
      got.bytes = got.bytes + (bytes and #bytes or 0)
    until not bytes or fin or #bytes == 0
  end
end

--- One client for each of `controllers`. A table: sim, link, clients, got (bytes of each that the server has read), and
-- rates(seconds): how many bytes a second each got through from now on for so long.
function flows.new(seed, link_options, controllers, config)
  local run = { sim = sim.new{ seed = seed }, clients = {}, got = {} }
  local function options(more)
    more.max_idle_timeout, more.max_connection_window, more.max_stream_window = 600, 2 ^ 26, 2 ^ 26
    for name, value in pairs(config or {}) do more[name] = value end
    return more
  end
  run.link = run.sim:link(link_options)
  for i, controller in ipairs(controllers) do
    local got = { bytes = 0 }
    run.got[i] = got
    run.clients[i] = run.sim:client(options{
      server = run.sim:server(options{ on_conn = function(conn) drain(conn, got) end }),
      congestion_control = controller,
      on_conn = function(conn)
        if conn:is_established() and not got.id then got.id = assert(conn:stream_open("uni")) end
        if got.id then push(conn, got.id) end
        for id in conn.writable_next, conn do push(conn, id) end
      end,
    })
  end

  function run.rates(seconds)
    local before, rates = {}, {}
    for i, got in ipairs(run.got) do before[i] = got.bytes end
    run.sim:run(seconds)
    for i, got in ipairs(run.got) do rates[i] = (got.bytes - before[i]) / seconds end
    return rates
  end

  return run
end

return flows
