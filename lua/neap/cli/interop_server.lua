--- `neap interop-server`: the server of the public QUIC interop runner.
local hq = require "neap.cli.hq"
local interop = require "neap.cli.interop"
local interop_client = require "neap.cli.interop_client"

local interop_server = {}

local USAGE = [[
neap interop-server [--h3] [--listen ADDRESS:PORT] [--preferred ADDRESS:PORT]

The server of the QUIC interop runner (https://interop.seemann.io). It gives the files of a folder over HTTP/0.9 (ALPN
hq-interop) or, in the case http3 and with --h3, HTTP/3, until a signal.

  TESTCASE       the case
  WWW            the folder (/www)
  CERTS          the folder of cert.pem and priv.key (/certs)
  SSLKEYLOGFILE  a file for TLS secrets
  QLOGDIR        a folder for traces of connections (qlog)
  ROLE           "server", where it is set

  --listen ADDRESS:PORT     where to listen (":443")
  --preferred ADDRESS:PORT  where clients go in the case connectionmigration; twice: one of IPv4, one of IPv6. Unless
                            told the machine's first addresses, at the next port

Exit codes: 0 after a signal; 1 it cannot listen; 127 the case is not supported; 2 wrong usage. The cases are:
]]

--- Listens as a plan says. `given`: host, port, cert, key, preferred (a list) and options of the config beside the
-- plan's. The listener; nil, message, code.
function interop_server.listen(plan, www, given)
  local options = {}
  for _, part in ipairs { plan.options, given } do
    for name, value in pairs(part) do options[name] = value end
  end
  options.preferred = nil
  if plan.is_preferred then
    options.preferred_address = given.preferred or interop.preferred((given.port or 443) + 1)
  end
  if plan.alpn == "h3" then
    local neap = require "neap"
    return neap.app():any("/*path", neap.static(www)):listen(options)
  end
  options.alpn = plan.alpn
  local listener, message, code = require("neap.quic").listen(options)
  if not listener then return nil, message, code end
  return listener:on_connection(function(connection)
    connection:on_stream(function(stream) hq.serve(stream, www) end)
  end)
end

local function split(text)
  local host, port = text:match("^(.*):(%d+)$")
  port = tonumber(port)
  if not port or port > 65535 then return nil end
  return host, port
end

--- The command.
function interop_server.main(cli, args)
  local found, words = cli.parse(args, { ["--help"] = { "help" }, ["-h"] = { "help" }, ["--h3"] = { "h3" },
    ["--listen"] = { "listen", true }, ["--preferred"] = { "preferred", true, many = true } })
  if not found then return cli.usage("interop-server", words) end
  if found.help then
    io.stdout:write(interop_client.help(USAGE))
    return 0
  end
  if #words > 0 then return cli.usage("interop-server", "no words, please") end
  local host, port = split(found.listen or ":443")
  if not host then return cli.usage("interop-server", "not an address and port: ", found.listen) end
  local told, message = interop.environment("server")
  if not told then return cli.usage("interop-server", message) end
  local plan = interop.plan("server", told.case, found.h3)
  if not plan then return cli.fail(interop.UNSUPPORTED, "no such case: ", told.case) end
  return cli.in_loop(function()
    local listener, why = interop_server.listen(plan, told.www, { host = host, port = port,
      cert = told.certs .. "/cert.pem", key = told.certs .. "/priv.key", preferred = found.preferred })
    if not listener then return cli.fail(1, why) end
    if plan.alpn ~= "h3" then -- app:listen says it by itself
      io.stdout:write("neap: listening on ", listener.address, "\n")
      io.stdout:flush()
    end
  end)
end

return interop_server
