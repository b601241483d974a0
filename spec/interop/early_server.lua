-- A server of HTTP/3 that reads early data, and says of each request whether it was: ADDRESS:PORT CERTIFICATE KEY
local q = require "neap.lowlevel"

local address, cert, key = ...
local config = assert(q.config { alpn = "h3", cert = cert, key = key, early_data = true })
local socket = assert(q.udp(address))
local me = socket:address()
local by_id, sessions = {}, {} -- our connection IDs → session; all sessions

local function accept(header, peer, now)
  local scid = q.random_cid(config, 8)
  local conn = q.accept(config, header, scid, { from = peer, to = me, at = now })
  if not conn then return nil end
  local session = { conn = conn, h3 = q.h3(conn) }
  sessions[session] = true
  by_id[header.dcid], by_id[scid] = session, session
  return session
end

local function answer(session)
  while true do
    local kind, stream = session.h3:poll()
    if not kind then return end
    if kind == "headers" then
      local body = ("%s %s\n"):format(session.conn:early(), tostring(session.conn:stream_is_early(stream)))
      session.h3:respond(stream, 200, { "content-type", "text/plain" }, body, #body)
    end
  end
end

local function send(session, now)
  while true do
    local bytes, info = session.conn:send(now)
    if not bytes then break end
    socket:sendto(bytes, info.to, info.ecn)
  end
  for _, id in ipairs(session.conn:source_ids() or {}) do by_id[id] = session end
end

print("listening on " .. me)
io.stdout:flush()
while true do
  local wait = 1
  for session in pairs(sessions) do wait = math.min(wait, session.conn:timeout(q.now()) or wait) end
  local bytes, peer = socket:recvfrom(wait)
  local now = q.now()
  local header = bytes and q.header_info(bytes, 8)
  local session = header and by_id[header.dcid]
  if header and not session and header.type == "initial" then session = accept(header, peer, now) end
  if session then
    session.conn:recv(bytes, { from = peer, to = me, at = now })
    answer(session)
    send(session, now)
  end
  for each in pairs(sessions) do
    if each.conn:timeout(now) == 0 then
      each.conn:on_timeout(now)
      answer(each)
      send(each, now)
    end
    if each.conn:is_closed() then sessions[each] = nil end
  end
end
