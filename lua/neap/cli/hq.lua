--- HTTP/0.9 over QUIC, which the interop runner's cases speak (ALPN hq-interop): a stream has "GET /path" and an end,
-- its answer is a file and an end. A file that is not there is a reset.
local core = require "neap.core"
local url = require "neap.url"

local hq = {}

hq.ALPN = "hq-interop"

local PIECE = 65536     -- bytes of a file at a time
local LONGEST = 8192    -- bytes of a request
local NOT_THERE = 1     -- code of our resets
local SETTLE, LOOK_EACH = 5, 0.005 -- seconds that another key may take, and between looks for it
local UPDATE_AFTER = 65536 -- bytes before keys are updated: the runner wants that within the first megabyte

-- The path that a stream asks for; nil for what is no request. A stream that ends without an end of the line is one.
local function read_request(stream)
  local text = ""
  while true do
    local bytes, message = stream:read()
    if message then return nil end
    text = text .. (bytes or "")
    local line = text:match("^([^\r\n]*)[\r\n]") or (not bytes and text)
    if line then return line:match("^GET +(/%S*) *$") end
    if #text > LONGEST then return nil end
  end
end

local function open(root, target)
  local path = url.decode(target:match("^[^?#]*")):gsub("^/+", "")
  if path == "" or path:find("\0", 1, true) then return nil end
  local file = core.open_beneath(root, path)
  if not file then return nil end
  if file:stat().type == "file" then return file end
  file:close()
  return nil
end

--- Answers a stream with a file of the folder `root`.
function hq.serve(stream, root)
  local target = read_request(stream)
  local file = target and open(root, target)
  if not file then return stream:reset(NOT_THERE) end
  local bytes
  repeat
    bytes = file:read(PIECE)
    local ok = bytes and stream:write(bytes, { fin = bytes == "" })
    if not bytes then stream:reset(NOT_THERE) end
  until not ok or bytes == ""
  file:close()
end

--- `size` more bytes of a job came: time for other keys, once, where the job says so. The peer acknowledges the
-- handshake first: "again" is tried with what comes next.
function hq.update_keys(conn, job, size)
  job.size = (job.size or 0) + size
  if job.updates_keys and job.size >= UPDATE_AFTER and conn:update_keys() then job.updates_keys = false end
end

--- The same when all files are there, which were small: waits until the peer may have other keys, and until it has
-- acknowledged a packet under these.
function hq.settle_keys(conn, job)
  local task = require "neap.task"
  local deadline = core.now() + SETTLE
  if not job.updates_keys then return end
  while job.updates_keys and core.now() < deadline do
    if conn:update_keys() then job.updates_keys = false else task.sleep(LOOK_EACH) end
  end
  local stats = conn:stats()
  local acked = stats and stats.bytes_acked
  conn:ping()
  while stats and (stats.bytes_acked == acked or stats.bytes_in_flight > 0) and core.now() < deadline do
    task.sleep(LOOK_EACH)
    stats = conn:stats()
  end
end

-- What a stream gives into a file, which is made when something is there. nil, message, code.
local function save(stream, path, job)
  local file, why
  while true do
    local bytes, message, code = stream:read()
    if message then
      if file then file:close() end
      return nil, message, code
    end
    if not file then
      file, why = core.create_file(path)
      if not file then return nil, why, "system" end
    end
    if not bytes then return file:close() end
    local ok
    ok, why = file:write(bytes)
    if not ok then
      file:close()
      return nil, why, "system"
    end
    hq.update_keys(stream.connection, job, #bytes)
  end
end

local function ask(connection, target)
  local stream, message, code = connection:open_stream()
  if not stream then return nil, message, code end
  local ok
  ok, message, code = stream:write(("GET %s\r\n"):format(target), { fin = true })
  if not ok then return nil, message, code end
  return stream
end

-- One file: with what was asked early and not read it begins anew.
local function fetch(connection, file, job, stream)
  local message, code
  for _ = 1, 2 do
    if not stream then stream, message, code = ask(connection, file.target) end
    if not stream then return nil, message, code end
    local ok
    ok, message, code = save(stream, file.path, job)
    if ok then return true end
    if code ~= "early" then return nil, message, code end
    ok, message, code = connection:wait_for_handshake()
    if not ok then return nil, message, code end
    stream = nil
  end
  return nil, message, code
end

--- Fetches `files`, a list of { target =, path = }, side by side on one connection. `job`: updates_keys. true; nil and
-- a message.
function hq.fetch(connection, files, job)
  local task = require "neap.task"
  local left, failure = #files, nil
  local waiter
  local function finish(message)
    failure = failure or message
    left = left - 1
    if left == 0 and waiter then task.wake(waiter, true) end
  end
  -- Streams open in the order of the files: a thousand tasks that wait for one each would all wake for each.
  for i, file in ipairs(files) do
    local stream, message, code = ask(connection, file.target)
    if not stream and code ~= "early" then
      failure, left = failure or message, left - (#files - i + 1)
      break
    end
    task.go(function()
      local ok, why = fetch(connection, file, job, stream)
      finish(not ok and ("%s: %s"):format(file.target, why) or nil)
    end)
  end
  if left > 0 then
    waiter = task.waiter()
    task.await(waiter)
  end
  if failure then return nil, failure end
  return true
end

return hq
