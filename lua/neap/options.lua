--- Splits an options table: what a module takes for itself, the rest for core.config, which refuses
-- unknown names.
local options = {}

--- `own` maps the names that the caller knows to their defaults (options.NONE for none).
options.NONE = {}

function options.split(given, own)
  local mine, config = {}, {}
  for name, default in pairs(own) do
    if default ~= options.NONE then mine[name] = default end
  end
  for name, value in pairs(given or {}) do
    if own[name] ~= nil then mine[name] = value else config[name] = value end
  end
  return mine, config
end

return options
