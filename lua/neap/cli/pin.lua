--- `neap pin FILE`: what a client may know a certificate's key by.
local core = require "neap.core"

local pin = {}

local USAGE = [[
neap pin FILE...

Says the pin of the first certificate in each FILE (PEM or DER): sha256// and the SHA-256 of its public key in base64,
as `neap get --pin`, the option `pins` and curl's --pinnedpubkey take it. It stays when a certificate is renewed with
its key. Pin a second key as well, kept elsewhere: a server that loses its only pinned key is not found again.
]]

--- The command.
function pin.main(cli, args)
  local found, words = cli.parse(args, { ["--help"] = { "help" }, ["-h"] = { "help" } })
  if not found then return cli.usage("pin", words) end
  if found.help then
    io.stdout:write(USAGE)
    return 0
  end
  if #words == 0 then return cli.usage("pin", "which file?") end
  local config = core.config {}
  for _, path in ipairs(words) do
    local made, message, code = config:certificate_pin(path)
    if not made then return cli.fail(1, code == "system" and message or path .. ": " .. message) end
    io.stdout:write(made, #words > 1 and "  " .. path or "", "\n")
  end
  return 0
end

return pin
