--- Configs of what listens and connects, with a line in the log about what is not as new as it should be.
local core = require "neap.core"
local log = require "neap.log"

local configs = {}

-- A client's requests say so by themselves; a server would say it to its clients alone.
local function warn(role, texts)
  for _, text in ipairs(role == "server" and texts or {}) do log.warn(text) end
end

--- A config for a role, "client" or "server"; nil, message, code when a file of the options cannot be used. Misuse is
-- an error of who gave the options: `level` is theirs, as error() counts for the caller.
function configs.new(given, role, level)
  local ok, config, message, code = pcall(core.config, given, role)
  if not ok then error(config, level + 1) end
  if not config then return nil, message, code end
  warn(role, message)
  return config
end

--- Reads what the options name again: true; nil, message, code when something of it cannot be used, and then all of the
-- old stays. A client without roots of its own has the system's, which it took when it connected first: handshakes that
-- are under way need them.
function configs.reload(config, given, role)
  if role == "client" and given.verify_peer ~= false and not (given.ca or given.pins or given.psk) then
    local all = { ca = true }
    for name, value in pairs(given) do all[name] = value end
    given = all
  end
  local ok, message, code = config:reload(given)
  if not ok then return nil, message, code end
  warn(role, message)
  return true
end

return configs
