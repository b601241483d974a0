--- `neap serve FOLDER`: files over HTTP/3.
local serve = {}

local USAGE = [==[
neap serve FOLDER [--listen ADDRESS:PORT] [--cert FILE --key FILE] [--list] [--precompressed] [--cache TEXT]
           [--hidden] [--compress] [--tcp] [--http PORT] [--log FORMAT] [--user NAME[:GROUP]] [--early] [--quiet]

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
  --compress              compress what is not there compressed already
  --tcp                   the same over TCP, where browsers look first: HTTP/2 and 1.1, with alt-svc
  --http PORT             plain HTTP that leads to https; goes with --tcp
  --log FORMAT            a line per response as "combined", "common", "json" or "logfmt"
  --user NAME[:GROUP]     be that user once the ports are open (root only)
  --early                 read requests of clients that come again before the handshake is complete (0-RTT)
  --quiet                 no line per request
]==]

local FORMATS = { combined = true, common = true, json = true, logfmt = true }

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
    ["--compress"] = { "compress" }, ["--tcp"] = { "tcp" }, ["--http"] = { "http", true }, ["--log"] = { "log", true },
    ["--user"] = { "user", true },
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
  local http_port = found.http and tonumber(found.http:match("^%d+$"))
  if found.http and (http_port or 65536) > 65535 then return cli.usage("serve", "not a port: ", found.http) end
  if found.log and not FORMATS[found.log] then return cli.usage("serve", "no format of a log: ", found.log) end
  local core = require "neap.core"
  local stat, message = core.stat(words[1])
  if not stat then return cli.fail(1, message) end
  if stat.type ~= "directory" then return cli.fail(1, words[1], " is no folder") end

  return cli.in_loop(function()
    local neap, plain = require "neap", require "neap.plain"
    local app = neap.app()
    if found.log then
      app:use(neap.mw.access_log{ format = found.log, sink = function(line)
        io.stdout:write(line, "\n")
        io.stdout:flush()
      end })
    elseif not found.quiet then
      app:use(function(req, res, next)
        next()
        io.stdout:write(("%s %s %s %d\n"):format(req.peer, req.method, plain.line(req.path), res:status()))
      end)
    end
    if found.compress then app:use(neap.mw.compress()) end
    app:any("/*path", neap.static(words[1], { list = found.list, precompressed = found.precompressed,
      cache = found.cache, hidden = found.hidden }))
    local server, reason = app:listen { host = host, port = port, cert = found.cert, key = found.key,
      early_data = found.early, tcp = found.tcp, http_port = http_port }
    if not server then return cli.fail(1, reason) end
    local code = found.user and require("neap.cli.run").become(cli, found.user)
    if code then error({ exit_code = code }, 0) end
  end)
end

return serve
