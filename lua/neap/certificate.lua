--- A peer's certificate: what it says is read when it is first asked for, so that who never asks pays nothing.
local core = require "neap.core"

local Certificate = {}

-- None where the last one is no text.
local function last_common_name(parts)
  local name
  for _, part in ipairs(parts or {}) do
    if part.type == "CN" then name = part.value end
  end
  return name
end

function Certificate.__index(self, key)
  if rawget(self, "sha256") then return nil end
  local said = assert(core.certificate(self.der))
  for field, value in pairs(said) do rawset(self, field, value) end
  self.common_name = last_common_name(said.subject_parts)
  return rawget(self, key)
end

function Certificate:__tostring()
  return self.subject or "certificate " .. self.sha256
end

local certificate = {}

--- Of a list of DERs, leaf first: the leaf, whose `chain` has what came behind it; nil of nil.
function certificate.of(ders)
  if not ders then return nil end
  local leaf = setmetatable({ der = ders[1], chain = {} }, Certificate)
  for i = 2, #ders do leaf.chain[i - 1] = setmetatable({ der = ders[i], chain = {} }, Certificate) end
  return leaf
end

local of_peers = setmetatable({}, { __mode = "k" }) -- by connection

--- What the peer of a connection of core's showed; nil: nothing. The same each time.
function certificate.of_peer(conn)
  local known = of_peers[conn]
  if not known then
    known = certificate.of(conn:peer_certificates())
    of_peers[conn] = known
  end
  return known
end

return certificate
