--- TCP connections to a name: its addresses race (RFC 8305), so that a family which does not work costs a quarter of a
-- second and not a time-out.
local Base = require "neap.socket_base"
local core = require "neap.core"
local Descriptor = require "neap.descriptor"

local connecting = {}

local DELAY = 0.25 -- seconds until the next address is tried beside those before (RFC 8305 §5)

--- The addresses with the families in turns, that of the first one first (RFC 8305 §4).
function connecting.interleave(addresses)
  local own, other, out = {}, {}, {}
  for _, address in ipairs(addresses) do
    local list = Base.family_of(address) == Base.family_of(addresses[1]) and own or other
    list[#list + 1] = address
  end
  for i = 1, math.max(#own, #other) do
    out[#out + 1] = own[i]
    out[#out + 1] = other[i]
  end
  return out
end

-- Begins with one address: true and its socket when it is there already; nil and what is under way, or nil, nil, text.
local function begin(address, make)
  local socket, message = make(Base.family_of(address))
  if not socket then return nil, nil, message end
  local ok, code, number
  ok, message, code, number = socket:connect(address)
  if ok then return true, socket end
  if code == "again" then return nil, Descriptor.new(Descriptor, socket) end
  socket:close()
  return nil, nil, Base.text_of(message, code, number)
end

-- The socket of one that has got there, and whether any has failed; those that have are taken off the list.
local function look(attempts)
  local message
  for i = #attempts, 1, -1 do
    local socket = attempts[i]._socket
    local _, is_writable = socket:ready()
    if is_writable then
      local ok, text, code, number = socket:connected()
      table.remove(attempts, i)
      if ok then return socket end
      message = Base.text_of(text, code, number)
      socket:close()
    end
  end
  return nil, message
end

--- A connected descriptor of the binding to one of the addresses; nil and a text. `make(family)` gives sockets.
function connecting.race(addresses, deadline, make)
  local order, attempts = connecting.interleave(addresses), {}
  local at, next_at, last = 1, core.now(), "no address"
  local function finish(socket, message)
    for _, attempt in ipairs(attempts) do attempt:close() end
    return socket, message
  end
  while order[at] or attempts[1] do
    local now = core.now()
    if deadline and now > deadline then return finish(nil, "timeout") end
    if order[at] and (now >= next_at or not attempts[1]) then
      local ok, socket, message = begin(order[at], make)
      if ok then return finish(socket) end
      attempts[#attempts + 1] = socket
      last, at, next_at = message or last, at + 1, socket and now + DELAY or now
    else
      local wake = order[at] and math.min(next_at, deadline or next_at) or deadline
      local ok, message, code, is_ended = Descriptor.wait_any({}, attempts, wake)
      if not ok and (is_ended or code ~= "timeout") then return finish(nil, message) end
      local socket, failed = look(attempts)
      if socket then return finish(socket) end
      if failed then last, next_at = failed, now end
      if not ok and deadline and core.now() >= deadline then return finish(nil, "timeout") end
    end
  end
  return nil, last
end

return connecting
