--- What `neap get` cannot do in one go, against servers of other people. Prints one line for each response.
--- neap run spec/interop/client.lua CA head URL | status URL | group URL GROUP | post URL FILE OUT |
---   parallel URL DIR COUNT | figures URL KEY_UPDATE_PACKETS
local neap = require("neap")

local ca, verb, url, a, b = ...
local client = neap.client({ ca = ca, groups = verb == "group" and a or nil,
  key_update_packets = verb == "figures" and tonumber(a) or nil })

local function read_file(path)
  local file = assert(io.open(path, "rb"))
  local bytes = file:read("*a")
  file:close()
  return bytes
end

local function write_file(path, bytes)
  local file = assert(io.open(path, "wb"))
  assert(file:write(bytes))
  file:close()
end

local LIMIT = 256 * 1024 * 1024

local verbs = {}

function verbs.head()
  local response = assert(client:request("HEAD", url))
  print(response.status, response.headers["content-length"], #assert(response:body(LIMIT)))
end

function verbs.status()
  local response = assert(client:get(url))
  assert(response:body(LIMIT))
  print(response.status)
end

function verbs.group()
  local response = assert(client:get(url))
  assert(response:body(LIMIT))
  print(response.status, response.conn:group())
end

function verbs.figures()
  local response = assert(client:get(url))
  local size = #assert(response:body(LIMIT))
  local stats = response.conn:stats()
  print(size, stats.ecn, stats.ecn_sent, stats.ecn_received, stats.key_updates)
end

function verbs.post()
  local response = assert(client:post(url, { body = read_file(a) }))
  write_file(b, assert(response:body(LIMIT)))
  print(response.status)
end

function verbs.parallel()
  local count = tonumber(b)
  local done, failed = 0, nil
  for index = 0, count - 1 do
    neap.go(function()
      local response, reason = client:get(url .. index)
      local body
      if response then body, reason = response:body(LIMIT) end
      if body and response.status == 200 then
        write_file(a .. "/" .. index, body)
      else
        failed = failed or reason or response.status
      end
      done = done + 1
    end)
  end
  while done < count do neap.sleep(0.01) end
  assert(not failed, failed)
  print(done)
end

assert(verbs[verb], "no such verb")()
client:close()
