--- A network between QUIC clients and a server, in user space: a NAT, and a link as the interop runner's scenarios have
--- it. What it saw goes to standard output, a line each; spec/interop/runner.lua reads them.
---   neap run spec/interop/impaired.lua LISTEN SERVER [NAME=VALUE...]
--- delay= (seconds, one way), rate= (bytes a second), queue= (datagrams); loss=, corrupt= (percent), burst= (of either,
--- in a row, at most), drop=2,3 (datagrams to the server, from 1), on=, off= (seconds of black holes in turn), first=,
--- every= (seconds until the NAT forgets), address=1 (it takes another address as well), seed=
local core = require("neap.core")

package.path = arg[0]:match("^(.*)spec/interop/") .. "?.lua;" .. package.path
local packets = require("spec.interop.packets")

local listen, server = arg[1], arg[2]
local given = {}
for i = 3, #arg do
  local name, value = arg[i]:match("^(%w+)=(.*)$")
  given[name] = tonumber(value) or value
end

math.randomseed(given.seed or 1)
local LEAST = 0.0005 -- seconds that it sleeps when nothing is due
local dropped_by_list = {}
for number in tostring(given.drop or ""):gmatch("%d+") do dropped_by_list[tonumber(number)] = true end

local function say(...)
  print(table.concat({ ... }, " "))
  io.stdout:flush()
end

-- Sizes of what reaches the server, and of what it sends, until a Handshake packet reaches it (RFC 9000 §8.1).
local is_proved = false
local function tell_size(name, bytes)
  if is_proved then return end
  say("size", name, #bytes)
  if name == "down" then return end
  packets.tell(name, bytes, function(_, kind) is_proved = is_proved or kind == "handshake" end)
end

-- One direction: impairments, then a queue before the rate, then the delay.
local function new_direction(name, deliver)
  local self = { waiting = {}, first = 1, last = 0, free_at = 0, count = 0, bytes = 0, run = {}, marks = {} }
  local function strikes(what)
    local percent, run = given[what] or 0, self.run[what] or 0
    local hit = percent > 0 and run < (given.burst or math.huge) and math.random(0, 99) < percent
    self.run[what] = hit and run + 1 or 0
    return hit
  end
  local function is_lost(now)
    if name == "up" and dropped_by_list[self.count] then return true end
    if strikes("loss") then return true end
    return given.off and now % (given.on + given.off) >= given.on
  end
  function self.put(bytes, to, ecn, now)
    self.count, self.bytes = self.count + 1, self.bytes + #bytes
    packets.tell(name, bytes, say)
    if name == "down" then tell_size(name, bytes) end
    if not self.marks[ecn] then
      self.marks[ecn] = true
      say("mark", name, ecn)
    end
    if is_lost(now) then return end
    if strikes("corrupt") then
      local at = math.random(0, math.min(50, #bytes - 1))
      bytes = bytes:sub(1, at) .. string.char((bytes:byte(at + 1) + math.random(255)) % 256) .. bytes:sub(at + 2)
    end
    local starts = math.max(now, self.free_at)
    if given.rate and (starts - now) * given.rate / 1200 > (given.queue or 25) then return end
    self.free_at = starts + (given.rate and #bytes / given.rate or 0)
    self.last = self.last + 1
    self.waiting[self.last] = { bytes, to, ecn, self.free_at + (given.delay or 0) }
  end
  function self.deliver(now)
    while self.first <= self.last and self.waiting[self.first][4] <= now do
      local one = self.waiting[self.first]
      self.waiting[self.first] = nil
      self.first = self.first + 1
      deliver(one[1], one[2], one[3])
    end
  end
  return self
end

local front = core.udp()
assert(front:bind(listen))
local backs, list, bindings = {}, {}, 0 -- client → socket towards the server

local function new_back(client)
  bindings = bindings + 1
  local udp = core.udp()
  local host = listen:match("^(.*):")
  if given.address then host = ("127.0.0.%d"):format(2 + bindings % 100) end
  assert(udp:bind(host .. ":0"))
  say("binding", udp:address())
  backs[client] = udp
  list[#list + 1] = { udp = udp, client = client }
end

local up = new_direction("up", function(bytes, client, ecn)
  if not backs[client] then new_back(client) end
  tell_size("up", bytes)
  backs[client]:sendto(bytes, server, ecn)
end)
local down = new_direction("down", function(bytes, client, ecn) front:sendto(bytes, client, ecn) end)

local start, told_at = core.now(), 0
local forget_at = given.first

local function rebind(now)
  if not forget_at or now < forget_at then return end
  forget_at = now + (given.every or math.huge)
  for _, one in ipairs(list) do one.udp:close() end
  backs, list = {}, {}
end

say("ready")
while true do
  local busy = false
  if up.count == 0 then start = core.now() end -- time begins with the first datagram
  local now = core.now() - start
  rebind(now)
  local bytes, client, ecn = front:recvfrom(0)
  while bytes do
    busy = true
    up.put(bytes, client, ecn, now)
    bytes, client, ecn = front:recvfrom(0)
  end
  for _, one in ipairs(list) do
    local mark
    bytes, _, mark = one.udp:recvfrom(0)
    while bytes do
      busy = true
      down.put(bytes, one.client, mark, now)
      bytes, _, mark = one.udp:recvfrom(0)
    end
  end
  now = core.now() - start
  up.deliver(now)
  down.deliver(now)
  if now - told_at > 0.2 then
    told_at = now
    say("bytes", up.bytes, down.bytes)
  end
  if not busy then
    bytes, client, ecn = front:recvfrom(LEAST)
    if bytes then up.put(bytes, client, ecn, core.now() - start) end
  end
end
