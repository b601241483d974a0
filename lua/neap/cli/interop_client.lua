--- `neap interop-client`: the client of the public QUIC interop runner.
local core = require "neap.core"
local hq = require "neap.cli.hq"
local interop = require "neap.cli.interop"
local url = require "neap.url"

local interop_client = {}

local USAGE = [[
neap interop-client [--h3]

The client of the QUIC interop runner (https://interop.seemann.io). It fetches what REQUESTS names into files, over
HTTP/0.9 (ALPN hq-interop) or, in the case http3 and with --h3, HTTP/3.

  TESTCASE       the case
  REQUESTS       URLs, with spaces between
  DOWNLOADS      the folder that files go to (/downloads)
  CERTS          the folder of ca.pem, which the server's certificate leads to (/certs); without it none is verified
  SSLKEYLOGFILE  a file for TLS secrets
  QLOGDIR        a folder for traces of connections (qlog)
  ROLE           "client", where it is set

Exit codes: 0 all files are there; 1 not; 127 the case is not supported; 2 wrong usage. The cases are:
]]

--- USAGE with the names of all cases, at most 100 columns wide.
function interop_client.help(usage)
  local lines, line = {}, " "
  for _, name in ipairs(interop.names()) do
    if #line + #name > 98 then
      lines[#lines + 1], line = line, " "
    end
    line = line .. " " .. name
  end
  lines[#lines + 1] = line
  return usage .. table.concat(lines, "\n") .. "\n"
end

local TICKET_WAIT = 1 -- seconds that a session may come later than the files

local function read_urls(urls, downloads)
  local files, has = {}, {}
  for i, text in ipairs(urls) do
    local target, message = url.parse(text)
    if not target then return nil, message end
    local name = url.decode(target.path:match("[^/]*$"))
    if name == "" or name == "." or name == ".." or name:find("[/%z]") then return nil, "no file's name: " .. text end
    if has[name] then return nil, ("two of the URLs go to one file, %s: %s"):format(name, text) end
    has[name] = true
    files[i] = { url = text, target = target.target, host = target.host, port = target.port,
      path = downloads .. "/" .. name }
  end
  if #files == 0 then return nil, "REQUESTS names nothing" end
  return files
end

-- The files of each server, in the order of its first.
local function by_server(files)
  local groups, known = {}, {}
  for _, file in ipairs(files) do
    local server = file.host .. " " .. file.port
    if not known[server] then
      known[server] = {}
      groups[#groups + 1] = known[server]
    end
    table.insert(known[server], file)
  end
  return groups
end

-- What the next connection resumes comes behind the handshake.
local function await_session(config)
  local task = require "neap.task"
  local none = #core.config({}, "client"):save_sessions()
  local deadline = core.now() + TICKET_WAIT
  while #config:save_sessions() == none and core.now() < deadline do task.sleep(0.005) end
end

-- One connection of HTTP/0.9 for some of a server's files.
local function visit_hq(files, job)
  local quic = require "neap.quic"
  local first = files[1]
  local host = first.host:find(":", 1, true) and "[" .. first.host .. "]" or first.host
  local given = { alpn = hq.ALPN, early = job.is_early, timeout = job.options.handshake_timeout,
    server_name = first.host }
  for name, value in pairs(job.options) do given[name] = value end
  local connection, message = quic.connect(("%s:%d"):format(host, first.port), given)
  if not connection then return nil, message end
  local ok, why = hq.fetch(connection, files, job)
  if ok then hq.settle_keys(connection, job) end
  if ok and job.is_resumed_next then await_session(connection._shared.config) end
  if job.seen then job.seen(connection._conn) end
  connection:close(0, "")
  return ok, why
end

-- One file over HTTP/3. true; nil and a message.
local function fetch_h3(client, file, job)
  local response, message = client:get(file.url, { early = job.is_early })
  if not response then return nil, message end
  job.conn = response.conn
  if response.status ~= 200 then
    response:close()
    return nil, "status " .. response.status
  end
  local out
  out, message = core.create_file(file.path)
  if not out then return nil, message end
  local ok = true
  while ok do
    local bytes
    bytes, message = response:read()
    if not bytes then break end
    ok, message = out:write(bytes)
    hq.update_keys(response.conn, job, #bytes)
  end
  local closed, why = out:close()
  if message or not closed then return nil, message or why end
  return true
end

-- The same as visit_hq over HTTP/3.
local function visit_h3(files, job)
  local neap = require "neap"
  local options = { progress_timeout = job.options.handshake_timeout } -- which counts from the first packet
  for name, value in pairs(job.options) do options[name] = value end
  local client = neap.client(options)
  local failure
  local jobs = {}
  for i, file in ipairs(files) do
    jobs[i] = function()
      local ok, message = fetch_h3(client, file, job)
      if not ok then failure = failure or ("%s: %s"):format(file.url, message) end
      return true
    end
  end
  neap.all(jobs)
  if not failure and job.conn then hq.settle_keys(job.conn, job) end
  if not failure and job.is_resumed_next then await_session(client._config) end
  if job.seen and job.conn then job.seen(job.conn) end
  client:close()
  if failure then return nil, failure end
  return true
end

--- Does what a plan says with a list of URLs. `given`: options of the config beside the plan's; `seen(conn)` is
-- called before each connection is closed. true; nil and a message, and "argument" where the URLs are wrong.
function interop_client.run(plan, urls, downloads, given, seen)
  local files, message = read_urls(urls, downloads)
  if not files then return nil, message, "argument" end
  local job = { options = {}, is_early = plan.is_early, updates_keys = plan.updates_keys, seen = seen }
  for _, part in ipairs { plan.options, given or {} } do
    for name, value in pairs(part) do job.options[name] = value end
  end
  local groups = { files }
  if plan.visits == "two" then
    groups = { { files[1] }, { (table.unpack or unpack)(files, 2) } }
  elseif plan.visits == "each" then
    for i, file in ipairs(files) do groups[i] = { file } end
  end
  local is_h3 = plan.alpn == "h3"
  if not is_h3 then -- whose client has a connection for each server by itself
    local connections = {}
    for _, group in ipairs(groups) do
      for _, one in ipairs(by_server(group)) do connections[#connections + 1] = one end
    end
    groups = connections
  end
  -- Raw connections share their sessions, clients of HTTP/3 have them from a file.
  local sessions = is_h3 and plan.visits == "two" and os.tmpname() or nil
  job.options.session_file = sessions
  local ok, why = true, nil
  for i, group in ipairs(groups) do
    if ok and #group > 0 then
      job.is_resumed_next = plan.visits == "two" and i == 1
      ok, why = (is_h3 and visit_h3 or visit_hq)(group, job)
    end
  end
  if sessions then os.remove(sessions) end
  if ok and job.updates_keys then return nil, "keys were not updated" end
  return ok, why
end

--- The command.
function interop_client.main(cli, args)
  local found, words = cli.parse(args, { ["--help"] = { "help" }, ["-h"] = { "help" }, ["--h3"] = { "h3" } })
  if not found then return cli.usage("interop-client", words) end
  if found.help then
    io.stdout:write(interop_client.help(USAGE))
    return 0
  end
  if #words > 0 then return cli.usage("interop-client", "no words, please") end
  local told, message = interop.environment("client")
  if not told then return cli.usage("interop-client", message) end
  local plan = interop.plan("client", told.case, found.h3)
  if not plan then return cli.fail(interop.UNSUPPORTED, "no such case: ", told.case) end
  local ca = told.certs .. "/ca.pem"
  local trust = core.stat(ca) and { ca = ca } or { verify_peer = false }
  return cli.in_loop(function()
    local ok, why, code = interop_client.run(plan, told.urls, told.downloads, trust)
    if code == "argument" then return cli.usage("interop-client", why) end
    return ok and 0 or cli.fail(1, why)
  end, true)
end

return interop_client
