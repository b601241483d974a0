--- What servers of a simulation show and its clients trust, where they are told nothing else: from fixed seeds, and of
-- a fixed day, whenever a simulation runs.
local core = require "neap.core"

local material = { WALL_CLOCK = 1767225600 } -- 2026-01-01

local DAYS = 3650
local SEED = "neap.sim"

local plain -- of nodes

--- A self-signed certificate for "localhost" and "test.example": { cert =, key = }.
function material.certificate()
  if not plain then
    local cert, key = assert(core.make_certificate{
      names = { "localhost", "test.example" }, days = DAYS, seed = SEED, wall_clock = material.WALL_CLOCK,
    })
    plain = { cert = cert, key = key }
  end
  return plain
end

local authority -- of hosts

--- The authority of hosts: { cert =, key = }.
function material.authority()
  if not authority then
    local x509 = require "neap.x509"
    local config = assert(core.config{ seed = SEED .. "/authority", wall_clock = material.WALL_CLOCK })
    local cert, key = assert(x509._authority(config, { subject = "neap.sim", days = DAYS }))
    authority = { cert = cert, key = key }
  end
  return authority
end

local issued = {} -- by the names that they are for

--- A certificate of that authority: { cert =, key = }.
function material.issue(names)
  local text = table.concat(names, " ")
  if not issued[text] then
    local x509 = require "neap.x509"
    local config = assert(core.config{ seed = SEED .. "/" .. text, wall_clock = material.WALL_CLOCK })
    local key = assert(config:make_key())
    local cert = assert(x509._issue(config, {
      key = key, subject = names[1], names = names, days = DAYS - 1, uses = { "server" },
      ca_cert = material.authority().cert, ca_key = material.authority().key,
    }))
    issued[text] = { cert = cert, key = key }
  end
  return issued[text]
end

return material
