--- Sockets that whoever started the program has opened for it (sd_listen_fds(3)): systemd, or a script that sets
-- $LISTEN_FDS, $LISTEN_PID and, for names, $LISTEN_FDNAMES.
local core = require "neap.core"

local activation = {}

local FIRST = 3 -- SD_LISTEN_FDS_START

--- The descriptors that are there for this process, a list of { fd =, name = }, in their order.
function activation.all()
  local count = tonumber(os.getenv("LISTEN_FDS") or "")
  if not count or tonumber(os.getenv("LISTEN_PID") or "") ~= core.process_id() then return {} end
  local list, names = {}, {}
  for name in ((os.getenv("LISTEN_FDNAMES") or "") .. ":"):gmatch("([^:]*):") do names[#names + 1] = name end
  for i = 1, math.min(count, 64) do list[i] = { fd = FIRST + i - 1, name = names[i] or "" } end
  return list
end

--- What an option names: a descriptor, a list of them, or the name of some of the above. A list; nil, message,
-- "argument" when there is none of that name.
function activation.take(given)
  if type(given) == "number" then return { given } end
  if type(given) == "table" then return given end
  local list = {}
  for _, one in ipairs(activation.all()) do
    if one.name == given then list[#list + 1] = one.fd end
  end
  if list[1] then return list end
  return nil, ("no socket was given that is named %q (LISTEN_FDNAMES)"):format(given), "argument"
end

--- Whether a value may be such an option.
function activation.is_option(value)
  if type(value) ~= "table" then
    return type(value) == "string" or type(value) == "number" and value >= 0 and value % 1 == 0
  end
  for _, fd in ipairs(value) do
    if type(fd) ~= "number" or fd < 0 or fd % 1 ~= 0 then return false end
  end
  return value[1] ~= nil
end

return activation
