--- `neap options`: the options of listen, connect and the client.
local core = require "neap.core"
local rows = require "neap.options"

local MATERIAL, preset = rows.MATERIAL, rows.preset

local options = {}

local USAGE = [[
neap options

Lists the options that app:listen, neap.client, neap.quic and neap.sim all take: name, range, default and what each
one does; then certificates and the like. What each of the four takes besides is typed in lua/neap/meta.lua.
]]

--- The command.
function options.main(cli, args)
  local found, words = cli.parse(args, { ["--help"] = { "help" }, ["-h"] = { "help" } })
  if not found then return cli.usage("options", words) end
  if found.help then
    io.stdout:write(USAGE)
    return 0
  end
  if #words > 0 then return cli.usage("options", "no words, please") end
  for _, option in ipairs(core.options()) do
    io.stdout:write(("%s (%s; default %s)\n"):format(option.name, option.range, preset(option)))
    if option.text ~= "" then io.stdout:write("    ", option.text, "\n") end -- builds without reasons have none
  end
  for _, row in ipairs(MATERIAL) do io.stdout:write(("%s\n    %s\n"):format(row[1], row[2])) end
  return 0
end

return options
