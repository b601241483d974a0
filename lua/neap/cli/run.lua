--- `neap run FILE [ARGS…]` and `neap -e CODE`: a script in the loop.
local run = {}

local USAGE = [==[
neap run [OPTIONS] FILE [ARGS...]

Runs a Lua script; `require "neap"` is there, the loop runs, and `...` and `arg` hold ARGS. The program goes on while an
app listens or a task is alive. SIGTERM and SIGINT end it well: GOAWAY, open requests finish, exit code 0; a second one
ends it at once. An app that names no port listens on 4433 of all addresses, with a development certificate that is made
once and kept.

  --turn-limit SECONDS  a handler that computes for longer is ended by an error: 0.01 to 3600
  --user NAME[:GROUP]   be that user when FILE has run: what it listens at is open by then (root only)
]==]

--- Becomes another user: an exit code when it cannot.
function run.become(cli, who)
  local user, group = who:match("^([^:]+):?([^:]*)$")
  if not user then return cli.usage("run", "not a user, or a user and a group: ", who) end
  local ok, message = require("neap.core").drop_privileges(user, group ~= "" and group or nil)
  if not ok then return cli.fail(1, message) end
end

local function start(cli, chunk, args, name, user)
  local global_arg = { [0] = name }
  for i, value in ipairs(args) do global_arg[i] = value end
  rawset(_G, "arg", global_arg)
  return cli.in_loop(function()
    local result = chunk((table.unpack or unpack)(args))
    local code = user and run.become(cli, user)
    if code then error({ exit_code = code }, 0) end
    return result
  end)
end

--- The command.
function run.main(cli, args)
  local found, words = cli.parse(args, { ["--help"] = { "help" }, ["-h"] = { "help" },
    ["--user"] = { "user", true }, ["--turn-limit"] = { "turn_limit", true } }, true)
  if not found then return cli.usage("run", words) end
  if found.help then
    io.stdout:write(USAGE)
    return 0
  end
  local file = table.remove(words, 1)
  if not file then return cli.usage("run", "which file?") end
  if found.turn_limit then
    local ok, message = pcall(require("neap").turn_limit, tonumber(found.turn_limit))
    if not ok then return cli.usage("run", (message:gsub("neap.turn_limit", "--turn-limit"))) end
  end
  local handle, message = io.open(file, "r")
  if not handle then return cli.fail(1, message) end
  handle:close()
  local chunk
  chunk, message = loadfile(file)
  if not chunk then return cli.fail(1, message) end
  local folder = file:match("^(.*/)") or "./"
  package.path = folder .. "?.lua;" .. folder .. "?/init.lua;" .. package.path
  return start(cli, chunk, words, file, found.user)
end

--- `neap -e CODE`.
function run.code(cli, args)
  local code = table.remove(args, 1)
  if not code then return cli.usage("", "-e needs a piece of Lua") end
  local chunk, message = (loadstring or load)(code, "=(command line)")
  if not chunk then return cli.fail(1, message) end
  return start(cli, chunk, args, "-e")
end

return run
