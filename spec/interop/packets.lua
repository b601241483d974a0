--- What an observer without keys sees of a datagram: the long headers of all its packets (RFC 9000 §17.2).
local core = require("neap.core")

local packets = {}

-- A variable-length integer at a place, and the place behind it; nil where it is cut off.
local function varint(bytes, at)
  local first = bytes:byte(at)
  if not first then return nil end
  local size = 2 ^ math.floor(first / 64)
  local value = first % 64
  for i = 1, size - 1 do
    local byte = bytes:byte(at + i)
    if not byte then return nil end
    value = value * 256 + byte
  end
  return value, at + size
end

local function hex(text)
  return text == "" and "-" or (text:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

--- Calls say(direction, type, version, dcid, scid, size of the token, size of the packet) for each packet with a long
--- header.
function packets.tell(direction, bytes, say)
  local at = 1
  while at <= #bytes and bytes:byte(at) >= 0x80 do
    local rest = bytes:sub(at)
    local header = core.header_info(rest)
    if not header then return end
    local length, behind
    if header.type == "initial" or header.type == "0rtt" or header.type == "handshake" then
      behind = 8 + #header.dcid + #header.scid
      if header.type == "initial" then
        local size
        size, behind = varint(rest, behind)
        behind = size and behind + size
      end
      if behind then length, behind = varint(rest, behind) end
    end
    local size = length and behind - 1 + length or #rest
    say(direction, header.type, ("%08x"):format(header.version), hex(header.dcid), hex(header.scid),
      #(header.token or ""), ("%d"):format(size))
    at = at + size
  end
end

return packets
