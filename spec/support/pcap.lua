--- Captures of simulated datagrams for programs that read them: pcap, IPv4 and UDP without checksums.
local pcap = {}

local function be16(n) return string.char(math.floor(n / 256) % 256, n % 256) end
local function le16(n) return string.char(n % 256, math.floor(n / 256) % 256) end
local function le32(n) return le16(n % 65536) .. le16(math.floor(n / 65536)) end

local function address(text)
  local a, b, c, d, port = text:match("^(%d+)%.(%d+)%.(%d+)%.(%d+):(%d+)$")
  return string.char(a, b, c, d), be16(tonumber(port))
end

--- A capture: add(at, bytes, from, to), and bytes().
function pcap.new()
  local self = { parts = { le32(0xa1b2c3d4), le16(2), le16(4), le32(0), le32(0), le32(65535), le32(101) } }

  function self.add(at, bytes, from, to)
    local source, source_port = address(from)
    local target, target_port = address(to)
    local size = 28 + #bytes
    local head = "\69\0" .. be16(size) .. "\0\0\64\0\64\17\0\0" .. source .. target
      .. source_port .. target_port .. be16(size - 20) .. "\0\0"
    local parts = self.parts
    parts[#parts + 1] = le32(math.floor(at)) .. le32(math.floor(at % 1 * 1e6)) .. le32(size) .. le32(size)
    parts[#parts + 1] = head
    parts[#parts + 1] = bytes
  end

  function self.bytes() return table.concat(self.parts) end

  return self
end

return pcap
