--- Which address of a server answered last. It goes first the next time (RFC 8305 §4): it need not wait for one that is
--- silent, nor lose a TLS session to it.
local MOST = 256 -- servers that are remembered

local Winners = {}
Winners.__index = Winners

function Winners.new()
  return setmetatable({ known = {}, count = 0 }, Winners)
end

--- The addresses in the order in which they are tried.
function Winners:order(key, addresses)
  local known = self.known[key]
  local list = {}
  for _, address in ipairs(addresses) do
    if known and address == known.address then table.insert(list, 1, address) else list[#list + 1] = address end
  end
  return list
end

local function put(self, key, known)
  if not self.known[key] then
    if self.count == MOST then self.known, self.count = {}, 0 end
    self.count = self.count + 1
  end
  self.known[key] = known
end

--- One has answered; `first` is the one that would have been tried first anyhow.
function Winners:note(key, address, first)
  put(self, key, { address = address, is_other = address ~= first })
end

--- The address that answered last; nil: none is known.
function Winners:of(key)
  local known = self.known[key]
  return known and known.address
end

--- Nobody answers there any more.
function Winners:forget(key)
  if not self.known[key] then return end
  self.known[key], self.count = nil, self.count - 1
end

--- Those that would not have been tried first, a line for each: server and address.
function Winners:text()
  local lines = {}
  for key, known in pairs(self.known) do
    if known.is_other then lines[#lines + 1] = key .. " " .. known.address .. "\n" end
  end
  table.sort(lines)
  return table.concat(lines)
end

--- Takes what text() gave, of servers that are not known here.
function Winners:read(text)
  for key, address in text:gmatch("(%S+) (%S+)\n") do
    if not self.known[key] and self.count < MOST then put(self, key, { address = address, is_other = true }) end
  end
end

return Winners
