--- neap in libuv's loop: an HTTP/3 server beside what luv does. Run it with a Lua that has both:
--      luajit examples/luv.lua
local neap = require "neap"
local uv = require "luv"

local app = neap.app()
app:get("/", function() return "hello from libuv's loop\n" end)
local server = assert(app:listen{ port = tonumber(os.getenv("PORT") or 4433) })
io.stdout:setvbuf("line")
print("listening on " .. server.url)

local loop = neap.loop()
local poll, timer = assert(uv.new_poll(loop:fd())), uv.new_timer()

-- neap is called when its descriptor can be read, and when its time has come.
local function step()
  if not loop:step() then return uv.stop() end
  local seconds = loop:timeout()
  if seconds then timer:start(math.ceil(seconds * 1000), 0, step) else timer:stop() end
end
poll:start("r", step)
step()

-- What else the program does with luv.
local signal = uv.new_signal()
signal:start("sigterm", function()
  neap.go(function() server:shutdown(5) end)
  step()
end)

uv.run()
