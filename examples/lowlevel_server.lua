-- An HTTP/3 server whose script owns the socket, the clock and every datagram.
--   neap run examples/lowlevel_server.lua 127.0.0.1:4433 cert.pem key.pem
-- The Initial of a new client is answered with a Retry first, so that its address is known to be real.
local q = require "neap.lowlevel"

local address, cert, key = ...
if not key then
  io.stderr:write("usage: lowlevel_server.lua ADDRESS:PORT CERTIFICATE KEY\n")
  os.exit(2, true)
end
local config = assert(q.config{ alpn = "h3", cert = cert, key = key })
local socket = assert(q.udp(address))
local me = socket:address()
local by_id, sessions = {}, {} -- our connection IDs → session; all sessions

local function accept(header, peer, now)
  if not header.token then
    local scid = q.random_cid(config, 8)
    socket:sendto(q.retry(config, header, scid, peer), peer)
    return nil
  end
  local original = q.validate_token(config, header, peer)
  if not original then return nil end
  local conn = q.accept(config, header, header.dcid, { original_dcid = original, from = peer, to = me, at = now })
  if not conn then return nil end
  local session = { conn = conn, h3 = q.h3(conn), ids = { header.dcid } }
  sessions[session] = true
  by_id[header.dcid] = session
  return session
end

local function answer(session)
  while true do
    local kind, stream, fields = session.h3:poll()
    if not kind then return end
    if kind == "headers" then
      local path = "?"
      for i = 1, #fields, 2 do
        if fields[i] == ":path" then path = fields[i + 1] end
      end
      local body = "you asked for " .. path .. "\n"
      session.h3:respond(stream, 200, { "content-type", "text/plain" }, body, #body)
    elseif kind == "reset" or kind == "stopped" then
      session.h3:cancel(stream, 0x10c)
    end
  end
end

local function send(session, now)
  while true do
    local bytes, info = session.conn:send(now)
    if not bytes then break end
    socket:sendto(bytes, info.to)
  end
  for _, id in ipairs(session.conn:source_ids() or {}) do by_id[id] = session end
end

local function forget(session)
  sessions[session] = nil
  for id, owner in pairs(by_id) do
    if owner == session then by_id[id] = nil end
  end
end

local function take(bytes, peer, now)
  local header = q.header_info(bytes, 8)
  if not header then return end
  local session = by_id[header.dcid]
  if not session and header.type == "initial" then session = accept(header, peer, now) end
  if not session then
    if header.type == "unknown" and #bytes >= 1200 then socket:sendto(q.negotiate_version(config, header), peer) end
    return
  end
  session.conn:recv(bytes, { from = peer, to = me, at = now })
  answer(session)
  send(session, now)
end

print("listening on " .. me)
io.stdout:flush()
while true do
  local wait
  for session in pairs(sessions) do
    local timeout = session.conn:timeout(q.now())
    if timeout and (not wait or timeout < wait) then wait = timeout end
  end
  local bytes, peer = socket:recvfrom(wait)
  local now = q.now()
  if bytes then take(bytes, peer, now) end
  for session in pairs(sessions) do
    if session.conn:timeout(now) == 0 then
      session.conn:on_timeout(now)
      answer(session)
      send(session, now)
    end
    if session.conn:is_closed() then forget(session) end
  end
end
