-- An HTTP/3 client whose script owns the socket, the clock and every datagram.
--   neap run examples/lowlevel_client.lua 127.0.0.1:4433 localhost /path [CA.pem]
local q = require "neap.lowlevel"

local peer, host, path, ca = ...
if not path then
  io.stderr:write("usage: lowlevel_client.lua ADDRESS:PORT HOST PATH [CA.pem]\n")
  os.exit(2, true)
end
local config = assert(q.config{ alpn = "h3", ca = ca, max_idle_timeout = 10 })
local socket = assert(q.udp(peer:find("^%[") and "[::]:0" or "0.0.0.0:0"))
local me = socket:address()
local conn = assert(q.connect(config, host, peer, { from = me, at = q.now() }))
local h3 = assert(q.h3(conn))
local asked, finished

local function talk()
  if not asked and conn:is_established() then
    asked = assert(h3:send_request({ ":method", "GET", ":scheme", "https", ":authority", host, ":path", path }, true))
  end
  while true do
    local kind, stream, detail = h3:poll()
    if not kind then return end
    if kind == "headers" then
      for i = 1, #detail, 2 do io.stderr:write(detail[i], ": ", detail[i + 1], "\n") end
    elseif kind == "data" then
      local bytes = h3:recv_body(stream)
      while bytes do
        io.stdout:write(bytes)
        bytes = h3:recv_body(stream)
      end
    elseif kind == "finished" or kind == "reset" then
      finished = kind
      conn:close(0x100) -- H3_NO_ERROR
    end
  end
end

local function send()
  while true do
    local bytes, info = conn:send(q.now())
    if not bytes then return end
    socket:sendto(bytes, info.to) -- what is not sent is as if lost: a probe may be larger than the link takes
  end
end

while not finished and not conn:is_draining() and not conn:is_closed() do
  send()
  local bytes, from, ecn = socket:recvfrom(conn:timeout(q.now()))
  local now = q.now()
  if bytes then
    conn:recv(bytes, { from = from, to = me, ecn = ecn, at = now })
  else
    conn:on_timeout(now)
  end
  talk()
end
send() -- the CONNECTION_CLOSE
if finished ~= "finished" then
  local why = conn:error()
  io.stderr:write("no response: ", why and (why.name .. " " .. why.reason) or "the stream was reset", "\n")
  os.exit(1, true)
end
