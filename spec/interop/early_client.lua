-- A client of HTTP/3 by hand, without settings to wait for, that sends its request in 0-RTT when it comes back.
--   neap run spec/interop/early_client.lua ADDRESS:PORT NAME CA.pem SESSIONS
-- Prints what early data was at first and in the end, and whether it resumed and was answered. SESSIONS is a file.
local q = require "neap.lowlevel"

local peer, host, ca, path = ...
local config = assert(q.config { alpn = "h3", ca = ca, early_data = true, max_idle_timeout = 10 })

local file = io.open(path, "rb")
if file then
  assert(config:load_sessions(file:read("*a")))
  file:close()
end

-- Prefix of no dynamic table, :method GET, :scheme https, :path / of the static one, and :authority spelt out.
local fields = "\0\0\209\215\193\80" .. string.char(#host) .. host
local request = "\1" .. string.char(#fields) .. fields
local settings = "\0\4\0"

local function visit()
  local socket = assert(q.udp("127.0.0.1:0"))
  local me = socket:address()
  local conn = assert(q.connect(config, host, peer, { from = me, at = q.now() }))
  local asked, response, rejected = nil, "", false
  local seen = conn:early()
  local function talk()
    if conn:early() == "rejected" and asked and not rejected then
      rejected = true
      assert(conn:begin_again())
      asked = nil
    end
    if not asked and (conn:is_early() or conn:is_established()) then
      local control = assert(conn:stream_open("uni"))
      assert(conn:stream_send(control, settings))
      asked = assert(conn:stream_open("bidi"))
      assert(conn:stream_send(asked, request, true))
    end
    local bytes, fin = conn:stream_recv(asked or 0)
    while asked and bytes do
      response = response .. bytes
      if fin then return true end
      bytes, fin = conn:stream_recv(asked)
    end
    return false
  end
  local function send()
    while true do
      local bytes, info = conn:send(q.now())
      if not bytes then return end
      socket:sendto(bytes, info.to, info.ecn)
    end
  end
  local done, stop = false, nil
  while not conn:is_draining() and not conn:is_closed() do
    done = talk() or done
    if done and not stop then stop = q.now() + 0.2 end -- tickets may come behind the response
    if stop and q.now() >= stop then conn:close(0x100) end
    send()
    local wait = math.min(conn:timeout(q.now()) or 1, 0.1)
    local bytes, from, ecn = socket:recvfrom(wait)
    local now = q.now()
    if bytes then
      conn:recv(bytes, { from = from, to = me, ecn = ecn, at = now })
    elseif conn:timeout(now) == 0 then
      conn:on_timeout(now)
    end
  end
  local why = conn:error()
  -- A response begins with HEADERS, perhaps behind a frame of a reserved type.
  local is_answer = done and #response > 2
  print(seen, conn:early(), conn:is_resumed() and "resumed" or "full", is_answer and "answered" or why and why.name)
  send()
end

visit()
file = assert(io.open(path, "wb"))
file:write(config:save_sessions())
file:close()
