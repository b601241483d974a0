--- What the Lua part of a request costs, with an HTTP/3 below it that costs nothing (lua_stub.c):
--- NEAP_BENCH_PATH=/hello build/bench/bench_lua scripts/bench.d/lua.lua TURNS [ROUNDS] → µs of CPU a request
--- NEAP_BENCH_MIDDLEWARE: through so many pieces of it
--- /constant: a constant response; /hello: a string; /hello/tide: with a parameter; /json: four fields, and two headers
--- read
local core = require("neap.core")

local turns, rounds = tonumber((...)), tonumber((select(2, ...)) or 5)

local REQUESTS = 100 -- of a turn, as in lua_stub.c

-- A connection that has something new in each turn, and no socket.
local cert, key = core.make_certificate({ names = { "localhost" }, days = 1 })
local conn = assert(core.connect(core.config({ alpn = "h3", verify_peer = false }), "localhost", "127.0.0.1:4433"))
local is_told, is_over = false, false
local endpoint = {
  address = function() return "127.0.0.1:4433" end,
  next = function()
    is_told = not is_told
    return is_told and not is_over and conn or nil
  end,
  close = function() end,
}
local loop = { listen = function() return endpoint end }
function loop.wait() end
loop.flush, loop.resolved, loop.signal, loop.busy_poll = loop.wait, loop.wait, loop.wait, loop.wait
function core.loop() return loop end

local h3
local make_h3 = core.h3
function core.h3(...)
  h3 = make_h3(...)
  return h3
end

local neap = require("neap")
local task = require("neap.task")

local app = neap.app()
-- Middleware that does nothing but go on; each is a function of its own, as in a program.
for _ = 1, tonumber(os.getenv("NEAP_BENCH_MIDDLEWARE") or 0) do
  app:use((loadstring or load)("return function(_, _, next) return next() end")())
end
app:get("/hello", function()
  return "hello tide\n"
end)
app:get("/constant", { body = "hello tide\n" })
app:get("/hello/:name", function(req)
  return "hello " .. req.params.name .. "\n"
end)
app:get("/json", function(req)
  return { id = 7, agent = req.headers["user-agent"], language = req.headers["accept-language"], is_tide = true }
end)
local server = assert(app:listen({ cert = cert, key = key }))

local function run(count)
  local before = os.clock()
  for _ = 1, count do task.turn() end
  return (os.clock() - before) / count / REQUESTS * 1e6
end

run(turns) -- until everything is compiled that will be
local times = {}
for i = 1, rounds do times[i] = run(turns) end
table.sort(times)
is_over = true
task.turn() -- the requests of a turn run in the next one
local answered, expected = h3:peer_setting(1), (rounds + 1) * turns * REQUESTS
assert(answered == expected, answered .. " of " .. expected .. " were answered")
server:close()
print(("%.2f"):format(times[math.ceil(rounds / 2)]))
