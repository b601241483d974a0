-- What multipath_spec.lua runs in a network of its own: a client with two uplinks, veth pairs to the server's
-- namespace. It opens a second path (`how`: HTTP/3 by the name of an "interface" or by an "address", or "raw" QUIC),
-- and downloads. Prints what came, and how much of it by each path.
package.path = "spec/?.lua;" .. package.path
local neap = require "neap"
local core = require "neap.core"

local role, how = ...
local SIZE = 10e6
local HOST = "10.9.0.1"

local function write(stream)
  local piece = ("x"):rep(100000)
  for _ = 1, SIZE / #piece do assert(stream:write(piece)) end
end

if role == "server" then
  local app = neap.app()
  app:get("/small", function(_, res) res:send("small") end)
  app:get("/large", function(_, res) write(res) end)
  app:listen{ host = HOST, port = 4433, initial_max_path_id = 1 }
  local listener = assert(neap.quic.listen{ host = HOST, port = 4434, alpn = "t", initial_max_path_id = 1 })
  listener:on_connection(function(conn)
    conn:on_stream(function(stream)
      stream:read_all()
      write(stream)
      stream:finish()
    end)
  end)
  print "listening"
  io.stdout:flush()
  neap.run()
  return
end

local WAYS = { interface = { interface = "c1" }, address = { address = "10.2.0.2" }, raw = { interface = "c1" } }

local function told(event) print(("%s %d %s"):format(event.kind, event.path_id, event.local_address)) end

local function raw()
  local conn = assert(neap.quic.connect(HOST .. ":4434", { alpn = "t", verify_peer = false, initial_max_path_id = 1 }))
  conn:on_path(told)
  neap.sleep(0.2)
  assert(conn:open_path(WAYS.raw))
  neap.sleep(0.2)
  return conn, function()
    local stream = assert(conn:open_stream())
    stream:finish()
    return #assert(stream:read_all(SIZE))
  end, conn
end

local function http()
  local client = neap.client{ verify_peer = false, initial_max_path_id = 1 }
  client:on_path(told)
  local small = assert(client:get("https://" .. HOST .. ":4433/small"))
  assert(small:body())
  print("opened=" .. assert(client:open_path(WAYS[how])))
  neap.sleep(0.2)
  return small.conn, function()
    return #assert(assert(client:get("https://" .. HOST .. ":4433/large")):body(SIZE))
  end, client
end

neap.run(function()
  local conn, download, owner = (how == "raw" and raw or http)()
  local begin = core.now()
  print(("got=%d took=%.2f"):format(download(), core.now() - begin))
  for _, path in ipairs(conn:paths()) do
    print(("by%d=%d local%d=%s"):format(path.path_id, path.bytes_received, path.path_id, path.local_address))
  end
  owner:close()
end)
