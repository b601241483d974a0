--- What specs share: paths, the shared data folder, hex, and running programs.
local helper = {}

local host = rawget(_G, "spec_host")

--- The root of this tree and the folder of the build under test, absolute.
helper.source_dir = host and host.source_dir or "."
helper.build_dir = host and host.build_dir or "build/dev"

--- The folder of RFC texts and public test vectors: $NEAP_SHARED, else `shared` beside the tree.
helper.shared_dir = os.getenv("NEAP_SHARED") or (helper.source_dir .. "/../shared")

--- The whole content of a file, or nil and the reason.
function helper.read_file(path)
  local file, reason = io.open(path, "rb")
  if not file then return nil, reason end
  local bytes = file:read("*a")
  file:close()
  if not bytes then return nil, path .. ": cannot be read" end
  return bytes
end

function helper.write_file(path, bytes)
  local file = assert(io.open(path, "wb"))
  assert(file:write(bytes))
  assert(file:close())
end

--- The content of a file of the shared folder, or nil and the reason.
function helper.read_shared(path)
  return helper.read_file(helper.shared_dir .. "/" .. path)
end

--- The same inside an `it`, which hands in its own `pending`: where the folder is absent the spec is pending
--- and says why. it("…", function() local bytes = helper.shared("rfc/rfc9001.txt", pending) … end)
function helper.shared(path, pending)
  assert(pending, "give helper.shared() the pending of the calling it")
  local bytes = helper.read_shared(path)
  if bytes then return bytes end
  return pending("needs " .. path .. " of the shared data: set NEAP_SHARED to its folder")
end

--- Like shared(), decoded from JSON.
function helper.shared_json(path, pending)
  return require("cjson").decode(helper.shared(path, pending))
end

--- Bytes of a hex string; spaces and line ends in it do not count.
function helper.unhex(text)
  local digits = text:gsub("%s+", "")
  assert(#digits % 2 == 0 and not digits:find("%X"), "not hex: " .. text)
  return (digits:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end))
end

--- Lower-case hex of bytes.
function helper.hex(bytes)
  return (bytes:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end))
end

--- A word for the shell, whatever is in it.
function helper.quote(word)
  return "'" .. tostring(word):gsub("'", "'\\''") .. "'"
end

--- Runs a shell command to its end: everything it printed (both outputs) and its exit status.
function helper.run(command)
  local pipe = assert(io.popen("( " .. command .. "\n) 2>&1 </dev/null; echo \"<$?>\"", "r"))
  local printed = pipe:read("*a")
  pipe:close()
  local output, status = printed:match("^(.*)<(%d+)>\n$")
  return output, tonumber(status)
end

--- Runs a command that has to succeed and gives what it printed.
function helper.sh(command)
  local output, status = helper.run(command)
  assert(status == 0, command .. "\n" .. output)
  return output
end

--- The version as neap.h says it.
function helper.version()
  return helper.read_file(helper.source_dir .. "/core/include/neap.h"):match('#define NEAP_VERSION "([^"]+)"')
end

--- Whether a program is on the path.
function helper.has_program(name)
  local _, status = helper.run("command -v " .. helper.quote(name))
  return status == 0
end

--- A new empty folder below the build folder; remove it with helper.remove_dir().
function helper.make_dir()
  local output, status = helper.run("mktemp -d " .. helper.quote(helper.build_dir .. "/spec.XXXXXX"))
  assert(status == 0, output)
  return (output:gsub("%s+$", ""))
end

function helper.remove_dir(path)
  assert(path:sub(1, #helper.build_dir) == helper.build_dir, "not ours: " .. path)
  local output, status = helper.run("rm -rf " .. helper.quote(path))
  assert(status == 0, output)
end

return helper
