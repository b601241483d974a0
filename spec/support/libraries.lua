--- For specs: Lua libraries of Debian's.
local helper = require "spec.helper"

local libraries = {}

--- A library, for a Lua that it may have no folder for: its chunk; nil: it is not installed.
function libraries.find(name)
  for _, version in ipairs { "5.1", "5.3", "5.4" } do
    local path = ("/usr/share/lua/%s/%s.lua"):format(version, name:gsub("%.", "/"))
    if helper.read_file(path) then return assert(loadfile(path)) end
  end
end

return libraries
