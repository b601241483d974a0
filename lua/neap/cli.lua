--- The command line: `neap run`, `serve`, `get`, `bench`, `cert`, `pin`, `options`, `-e`. Returns exit codes: 0 fine, 1
-- it failed, 2 wrong usage.
local core = require "neap.core"
local nearest = require "neap.nearest"
local plain = require "neap.plain"
local task = require "neap.task"

local cli = {}

local USAGE = [[
neap: HTTP/3 and QUIC, scripted in Lua

  neap run FILE [ARGS...]      run a script; apps in it are served
  neap serve FOLDER            serve the files of a folder over HTTP/3
  neap get URL...              fetch over HTTP/3
  neap bench URL               measure a server: requests a second, latencies, handshakes
  neap cert [FOLDER]           make a development certificate
  neap pin FILE...             say the pin of a certificate: what clients may know a server by
  neap options                 list the options of servers and clients
  neap interop-client          the client of the public QUIC interop runner
  neap interop-server          its server
  neap -e CODE [ARGS...]       run a piece of Lua
  neap --version [-v]          say which version this is, with its libraries; -v: and what computes AES-GCM
  neap COMMAND --help          say more about a command

SSLKEYLOGFILE names a file for TLS secrets, QLOGDIR a folder for traces (qlog); NEAP_LISTEN (address:port), NEAP_CERT
and NEAP_KEY stand in for what a script does not say. NEAP_CRYPTO chooses what computes AES-GCM: vaes512, vaes256,
aesni, armv8 or mbedtls.
]]

local commands = {
  run = "neap.cli.run", serve = "neap.cli.serve", get = "neap.cli.get", cert = "neap.cli.cert",
  pin = "neap.cli.pin", options = "neap.cli.options", bench = "neap.cli.bench",
  ["interop-client"] = "neap.cli.interop_client", ["interop-server"] = "neap.cli.interop_server",
}

--- One clear line on standard error, which may hold what a peer sent, and the exit code.
function cli.fail(code, ...)
  local parts = { ... }
  for i, part in ipairs(parts) do parts[i] = tostring(part) end
  io.stderr:write("neap: ", plain.lines(table.concat(parts, "")), "\n")
  return code
end

--- Wrong usage: what is wrong, and where to read more.
function cli.usage(command, ...)
  cli.fail(2, ...)
  io.stderr:write("Try: neap ", command, command ~= "" and " " or "", "--help\n")
  return 2
end

--- Reads options from `args` (a list). `spec` maps a spelling to { name, takes_value } or to a list
-- of such for options that come several times ({ name, true, many = true }); another that does is wrong. Returns
-- options and the other words; nil and what is wrong. With `first_word_ends` everything from the first word on is left
-- alone.
function cli.parse(args, spec, first_word_ends)
  local found, words = {}, {}
  local i = 1
  while i <= #args do
    local arg = args[i]
    if arg == "--" then
      for k = i + 1, #args do words[#words + 1] = args[k] end
      break
    elseif arg:sub(1, 1) == "-" and arg ~= "-" then
      local flag, value = arg:match("^(%-%-[^=]+)=(.*)$")
      flag = flag or arg
      local option = spec[flag]
      if not option then return nil, "unknown option " .. flag .. nearest.hint(flag, spec) end
      if option[2] then
        if value == nil then
          i = i + 1
          value = args[i]
        end
        if value == nil then return nil, "option " .. flag .. " needs a value" end
      elseif value ~= nil then
        return nil, "option " .. flag .. " takes no value"
      else
        value = true
      end
      if option.many then
        found[option[1]] = found[option[1]] or {}
        table.insert(found[option[1]], value)
      elseif found[option[1]] ~= nil then
        return nil, "option " .. flag .. " comes twice"
      else
        found[option[1]] = value
      end
    else
      words[#words + 1] = arg
      if first_word_ends then
        for k = i + 1, #args do words[#words + 1] = args[k] end
        break
      end
    end
    i = i + 1
  end
  return found, words
end

--- Runs fn in the loop; its return is the exit code. A server that it leaves listening is served
-- until a signal. A signal ends a server well; a job, which has an end of its own, has failed then.
function cli.in_loop(fn, is_job)
  local neap = require "neap"
  require("neap.server").announce = function(server)
    io.stdout:write("neap: listening on ", server.url, "\n")
    io.stdout:flush()
  end
  task.catch_signals()
  if is_job then
    local on_signal = task.on_signal
    task.on_signal = function(name) on_signal(name == "HUP" and "TERM" or name) end -- it reads nothing again
  end
  local code = is_job and 1 or 0
  local finished = false
  task.go(function()
    local ok, result = xpcall(fn, function(err)
      if type(err) == "table" and err.exit_code then return err end
      err = tostring(err)
      local why_not = task.why_not
      -- assert(app:listen()) that fails is no mistake in the script: one line says it all.
      if why_not and err:sub(-#why_not) == why_not then return why_not end
      return debug.traceback(err, 2)
    end)
    if ok then
      code = type(result) == "number" and result or 0
      if code == 0 and task.why_not and not task.is_held() and not is_job then code = cli.fail(1, task.why_not) end
    elseif type(result) == "table" then
      code = result.exit_code
    else
      code = cli.fail(1, result)
    end
    finished = true
    if code ~= 0 then neap.stop() end
  end)
  task.run()
  if is_job and not finished then cli.fail(1, "interrupted") end
  require("neap.client").close_all()
  if package.loaded["neap.quic"] then require("neap.quic").close_all() end
  return code
end

--- The program: `arg` as Lua has it. Returns the exit code.
function cli.main(arg)
  local name = arg[1]
  if name == nil then
    io.stderr:write(USAGE)
    return 2
  end
  if name == "--help" or name == "-h" or name == "help" then
    io.stdout:write(USAGE)
    return 0
  end
  if name == "--version" or name == "-V" then
    local engine = rawget(_G, "jit") and jit.version or _VERSION
    io.stdout:write("neap ", core.version, " (", core.backend, "; ", engine, ")\n")
    if arg[2] ~= "-v" then return 0 end
    if core.without_qlog then io.stdout:write("built without qlog\n") end
    io.stdout:write("AES-GCM: ", core.config({}):engine(), "\n")
    local complaint = require("neap.engine").complaint()
    return complaint and cli.fail(1, complaint) or 0
  end
  local rest = {}
  for i = 2, #arg do rest[#rest + 1] = arg[i] end
  if name == "-e" then return require("neap.cli.run").code(cli, rest) end
  if not commands[name] then return cli.usage("", "there is no command ", name, nearest.hint(name, commands)) end
  return require(commands[name]).main(cli, rest)
end

return cli
