--- What servers send to addresses that have proved nothing (RFC 9000 §8.1, §9.3.1), seen from outside: by the sizes of
-- datagrams and the types of their packets alone.
local Amplification = {}

local INITIAL, HANDSHAKE = 0, 2 -- types of long headers of version 1, RFC 9000 §17.2
local LONG = 0x80
local VERSION_1 = "\0\0\0\1"

function Amplification.new()
  return { most = 0, servers = {} }
end

local function varint(bytes, at)
  local first = bytes:byte(at)
  if not first then return nil end
  local size = 2 ^ math.floor(first / 64)
  if #bytes < at + size - 1 then return nil end
  local value = first % 64
  for i = at + 1, at + size - 1 do value = value * 256 + bytes:byte(i) end
  return value, at + size
end

-- What of a datagram proves an address, if the server can open it: a Handshake packet (§8.1), or a token of its own
-- (§8.1.2, §8.1.3). Packets stand behind one another (§12.2).
local function proves(bytes)
  local at = 1
  while at <= #bytes do
    local first = bytes:byte(at)
    if first < LONG or bytes:sub(at + 1, at + 4) ~= VERSION_1 then return false end
    local kind = math.floor(first / 16) % 4
    if kind == HANDSHAKE then return true end
    local dcid_size = bytes:byte(at + 5)
    local scid_size = dcid_size and bytes:byte(at + 6 + dcid_size)
    if not scid_size then return false end
    local size
    at = at + 7 + dcid_size + scid_size
    if kind == INITIAL then
      size, at = varint(bytes, at)
      if not size or size > 0 then return size ~= nil end
    end
    size, at = varint(bytes, at)
    if not size then return false end
    at = at + size
  end
  return false
end

local function record_of(self, server, peer)
  local of = self.servers[server] or {}
  self.servers[server] = of
  of[peer] = of[peer] or { received = 0, sent = 0 }
  return of[peer]
end

--- A datagram comes to a place. An address that first shows itself with a short header belongs to a connection that
-- moves: it may have answered a challenge once it sends what it cannot have sent before it got something.
function Amplification.on_received(self, datagram, place, now)
  local sender = datagram.sender
  if sender and sender.is_server then -- a client gets it
    local record = self.servers[sender] and self.servers[sender][datagram.to]
    if record then record.heard_at = record.heard_at or now end
    return
  end
  if not place.node.is_server then return end
  local record = record_of(self, place.node, datagram.from)
  record.received = record.received + datagram.size
  local is_long = (datagram.bytes:byte(1) or 0) >= LONG
  record.moves = record.moves == nil and not is_long or record.moves or false
  if record.is_proved then return end
  if record.moves then
    record.is_proved = record.heard_at ~= nil and datagram.left_at ~= nil and datagram.left_at >= record.heard_at
  else
    record.is_proved = proves(datagram.bytes)
  end
end

--- A node sends a datagram.
function Amplification.on_sent(self, datagram)
  local sender = datagram.sender
  if not sender.is_server then
    datagram.left_at = sender.sim.now
    return
  end
  local record = record_of(self, sender, datagram.to)
  record.sent = record.sent + datagram.size
  if record.is_proved then return end
  local ratio = record.sent / record.received
  if ratio > self.most then self.most, self.worst = ratio, datagram.to end
end

return Amplification
