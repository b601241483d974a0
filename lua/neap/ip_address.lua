--- IP addresses as bytes, and prefixes of them.
local address = {}

-- The bytes of "192.0.2.1".
local function parse_ipv4(text)
  local bytes = {}
  for part in (text .. "."):gmatch("([^.]*)%.") do
    local number = part:match("^%d%d?%d?$") and tonumber(part)
    if not number or number > 255 or #part > 1 and part:sub(1, 1) == "0" then return nil end
    bytes[#bytes + 1] = string.char(number)
  end
  return #bytes == 4 and table.concat(bytes) or nil
end

-- The groups of half of an IPv6 address as bytes; "" of nothing.
local function parse_groups(text)
  if text == "" then return "" end
  local bytes = {}
  for group in (text .. ":"):gmatch("([^:]*):") do
    if group:find(".", 1, true) then
      local last = parse_ipv4(group)
      if not last or not text:find(group, -#group, true) then return nil end
      bytes[#bytes + 1] = last
    else
      local number = group:match("^%x%x?%x?%x?$") and tonumber(group, 16)
      if not number then return nil end
      bytes[#bytes + 1] = string.char(math.floor(number / 256), number % 256)
    end
  end
  return table.concat(bytes)
end

local function parse_ipv6(text)
  local before, after = text:match("^(.-)::(.*)$")
  if not before then
    local bytes = parse_groups(text)
    return bytes and #bytes == 16 and bytes or nil
  end
  if after:find("::", 1, true) then return nil end
  before, after = parse_groups(before), parse_groups(after)
  if not before or not after or #before + #after > 14 then return nil end
  return before .. ("\0"):rep(16 - #before - #after) .. after
end

local MAPPED = ("\0"):rep(10) .. "\255\255" -- of IPv4 in IPv6 (RFC 4291 §2.5.5.2)

--- The bytes of an address, 4 or 16; nil for what is none. A scope (%eth0) is left out, an IPv4 address that is mapped
-- into IPv6 is itself.
function address.parse(text)
  if not text:find(":", 1, true) then return parse_ipv4(text) end
  local bytes = parse_ipv6((text:gsub("%%.*$", "")))
  if bytes and bytes:sub(1, 12) == MAPPED then return bytes:sub(13) end
  return bytes
end

--- The address of a peer ("192.0.2.1:443", "[2001:db8::1]:443") as text.
function address.of_peer(peer)
  return peer:match("^%[(.*)%]:%d+$") or peer:match("^(.*):%d+$") or peer
end

--- A prefix like "10.0.0.0/8" or a single address: { bytes =, bits = }; nil for what is none.
function address.prefix(text)
  local host, bits = text:match("^([^/]+)/(%d%d?%d?)$")
  local bytes = address.parse(host or text)
  if not bytes then return nil end
  bits = tonumber(bits) or #bytes * 8
  if bits > #bytes * 8 then return nil end
  return { bytes = bytes, bits = bits }
end

--- Whether an address, as bytes, is under a prefix.
function address.is_under(bytes, prefix)
  if #bytes ~= #prefix.bytes then return false end
  local whole, rest = math.floor(prefix.bits / 8), prefix.bits % 8
  if bytes:sub(1, whole) ~= prefix.bytes:sub(1, whole) then return false end
  if rest == 0 then return true end
  local unit = 2 ^ (8 - rest)
  return math.floor(bytes:byte(whole + 1) / unit) == math.floor(prefix.bytes:byte(whole + 1) / unit)
end

--- What stands for who is at an address: an IPv4 address, or the 64 bits of IPv6 that one customer has all of.
function address.group(text)
  local bytes = address.parse(text)
  if bytes and #bytes == 16 then return bytes:sub(1, 8) end
  return bytes or text
end

-- Groups of peers, which ask again and again; all are forgotten at once when they are many.
local MOST = 1000
local groups, count = {}, 0

--- The same of a peer.
function address.group_of_peer(peer)
  local group = groups[peer]
  if not group then
    if count == MOST then groups, count = {}, 0 end
    group = address.group(address.of_peer(peer))
    groups[peer], count = group, count + 1
  end
  return group
end

return address
