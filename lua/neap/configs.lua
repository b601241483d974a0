--- Configs of what listens and connects, with a line in the log about what is not as new as it should be.
local asking = require "neap.asking"
local core = require "neap.core"
local log = require "neap.log"
local nearest = require "neap.nearest"
local options = require "neap.options"
local task = require "neap.task"

local configs = {}

-- A client's requests say so by themselves; a server would say it to its clients alone.
local function warn(role, texts)
  for _, text in ipairs(role == "server" and texts or {}) do log.warn(text) end
end

-- Pre-shared keys that may have been meant otherwise: the two would only be told that they have different ones.
local function warn_of_hex(psk)
  if type(psk) ~= "table" then return end
  if psk.identity then psk = { [psk.identity] = psk } end
  for identity, one in pairs(psk) do
    local key = type(one) == "table" and one.key or one
    if options.is_hex_text(key) then
      local text = "option 'psk': the key of %q is hex digits alone, and is taken as these %d bytes"
      log.warn(text:format(identity, #key))
    end
  end
end

-- The options with what those of a simulation's hosts have besides.
local function placed(given, role)
  local place = task.place()
  return place.prepare and place:prepare(given, role) or given
end

-- What core.config said, with the name that was meant where it is an option it does not know: one of its own, or of
-- the rows that were split off before.
local function with_hint(message, own)
  local name = message:match("^unknown option '(.*)'$")
  if not name then return message end
  local known = {}
  for _, option in ipairs(core.options()) do known[option.name] = true end
  for _, row in ipairs(options.MATERIAL) do known[row[1]] = true end
  for one in pairs(own or {}) do known[one] = true end
  return message .. nearest.hint(name, known, "'")
end

--- A config for a role, "client" or "server"; nil, message, code when a file of the options cannot be used. Misuse is
-- an error of who gave the options: `level` is theirs, as error() counts for the caller. `own`: the rows of options
-- that the caller took out of what was given, for a name that is unknown.
function configs.new(given, role, level, own)
  if given.congestion_control == "steered" then
    error("option 'congestion_control': \"steered\" is of neap.lowlevel; here a policy steers, by the name that "
      .. "neap.cc.register gave it", level + 1)
  end
  given = placed(given, role)
  local ok, config, message, code = pcall(core.config, given, role)
  if not ok then error(with_hint(config, own), level + 1) end
  if not config then return nil, message, code end
  warn(role, message)
  warn_of_hex(given.psk)
  local place = task.place()
  if place.keep_time then place:keep_time(config, given.wall_clock) end
  return config
end

--- Reads what the options name again: true; nil, message, code when something of it cannot be used, and then all of the
-- old stays. A client without roots of its own has the system's, which it took when it connected first: handshakes that
-- are under way need them.
function configs.reload(config, given, role)
  given = placed(given, role)
  if role == "client" and given.verify_peer ~= false and not (given.ca or given.pins or given.psk) then
    local all = { ca = true }
    for name, value in pairs(given) do all[name] = value end
    given = all
  end
  local ok, message, code = config:reload(given)
  if not ok then return nil, message, code end
  asking.begin_anew()
  warn(role, message)
  return true
end

--- Gives a server another configuration of QUIC-LB, and its connections IDs of it.
function configs.set_quic_lb(config, endpoint, quic_lb)
  local ok, message, code = config:set_quic_lb(quic_lb)
  if not ok then return nil, message, code end
  endpoint:rotate_ids()
  return true
end

return configs
