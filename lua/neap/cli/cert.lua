--- `neap cert`: a development certificate.
local core = require "neap.core"

local cert = {}

local USAGE = [[
neap cert [FOLDER] [--name NAME]... [--days N]

Writes cert.pem and key.pem into FOLDER, here unless told: a self-signed ECDSA P-256 certificate for localhost and the
loopback addresses, or for the names and addresses given. It is good for 90 days unless told. A FOLDER that has a slash
(./tls) is made where it is missing. For development: clients must be told to trust it.
]]

--- The command.
function cert.main(cli, args)
  local found, words = cli.parse(args, {
    ["--help"] = { "help" }, ["-h"] = { "help" }, ["--name"] = { "names", true, many = true },
    ["--days"] = { "days", true },
  })
  if not found then return cli.usage("cert", words) end
  if found.help then
    io.stdout:write(USAGE)
    return 0
  end
  if #words > 1 then return cli.usage("cert", "one folder, please") end
  local days = tonumber(found.days or 90)
  if not days or days < 1 or days > 3650 or days % 1 ~= 0 then return cli.usage("cert", "--days takes 1 to 3650") end
  local folder = words[1] or "."
  -- `neap cert localhost` means a name.
  if not folder:find("/", 1, true) and not core.open_beneath(".", folder) then
    return cli.usage("cert", ("no folder %s here: ./%s makes it; names go with --name"):format(folder, folder))
  end
  local names = found.names or require("neap.devcert").names
  local certificate, key, code = core.make_certificate { names = names, days = days }
  if code == "argument" then
    return cli.usage("cert", "--name takes a host (*.example.org: every host of it) or an address, 32 in all")
  end
  if not certificate then return cli.fail(1, key) end
  local ok, message = core.mkdir(folder)
  if ok then ok, message = core.write_file(folder .. "/key.pem", key, 384) end
  if ok then ok, message = core.write_file(folder .. "/cert.pem", certificate, 420) end
  if not ok then return cli.fail(1, message) end
  io.stdout:write(folder, "/cert.pem\n", folder, "/key.pem\n")
  return 0
end

return cert
