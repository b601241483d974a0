--- `neap serve FOLDER`: files over HTTP/3.
local serve = {}

local USAGE = [[
neap serve FOLDER [--listen ADDRESS:PORT] [--cert FILE --key FILE] [--list] [--precompressed] [--cache TEXT]
           [--hidden] [--early] [--quiet]

Serves the files of FOLDER over HTTP/3: types by name, index.html, entity tags, ranges, HEAD. Nothing outside
of FOLDER can be reached. Listens on 4433 of all addresses unless told; without a certificate a development one
is made once and kept.

  --listen ADDRESS:PORT   where to listen (":8443", "127.0.0.1:8443", "[::1]:8443")
  --cert FILE             certificate chain, PEM
  --key FILE              its private key, PEM
  --list                  show what is in folders that have no index.html
  --precompressed         send NAME.br, NAME.zst or NAME.gz in place of NAME to clients that take it
  --cache TEXT            cache-control of every file ("no-cache", "max-age=3600")
  --hidden                send files whose names begin with a dot, too
  --early                 read requests of clients that come again before the handshake is complete (0-RTT)
  --quiet                 no line per request
]]

--- "address:port" as host and port; nil when it is none.
local function split(text)
  local host, port = text:match("^(.*):(%d+)$")
  if not host and text:match("^%d+$") then host, port = "", text end
  if not host then return nil end
  port = tonumber(port)
  if port > 65535 then return nil end
  return host, port
end

--- The command.
function serve.main(cli, args)
  local found, words = cli.parse(args, {
    ["--help"] = { "help" }, ["-h"] = { "help" }, ["--listen"] = { "listen", true }, ["--cert"] = { "cert", true },
    ["--key"] = { "key", true }, ["--list"] = { "list" }, ["--precompressed"] = { "precompressed" },
    ["--cache"] = { "cache", true }, ["--hidden"] = { "hidden" },
    ["--early"] = { "early" }, ["--quiet"] = { "quiet" }, ["-q"] = { "quiet" },
  })
  if not found then return cli.usage("serve", words) end
  if found.help then
    io.stdout:write(USAGE)
    return 0
  end
  if #words ~= 1 then return cli.usage("serve", #words == 0 and "which folder?" or "one folder, please") end
  if (found.cert == nil) ~= (found.key == nil) then return cli.usage("serve", "--cert and --key go together") end
  local host, port
  if found.listen then
    host, port = split(found.listen)
    if not host then return cli.usage("serve", "not an address and port: ", found.listen) end
  end
  local core = require "neap.core"
  local stat, message = core.stat(words[1])
  if not stat then return cli.fail(1, message) end
  if stat.type ~= "directory" then return cli.fail(1, words[1], " is no folder") end

  return cli.in_loop(function()
    local neap, plain = require "neap", require "neap.plain"
    local app = neap.app()
    if not found.quiet then
      app:use(function(req, res, next)
        next()
        io.stdout:write(("%s %s %s %d\n"):format(req.peer, req.method, plain.line(req.path), res:status()))
      end)
    end
    app:any("/*path", neap.static(words[1], { list = found.list, precompressed = found.precompressed,
      cache = found.cache, hidden = found.hidden }))
    local server, reason = app:listen { host = host, port = port, cert = found.cert, key = found.key,
      early_data = found.early }
    if not server then return cli.fail(1, reason) end
  end)
end

return serve
