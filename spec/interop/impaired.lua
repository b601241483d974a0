--- A network between QUIC clients and a server, in user space: a NAT, and a link as the interop runner's scenarios have
--- it. What it saw goes to standard output, a line each; spec/interop/runner.lua reads them.
---   neap run spec/interop/impaired.lua LISTEN SERVER [NAME=VALUE...]
--- beside=LISTEN,SERVER (another server behind the same link); delay= (seconds, one way), rate= (bytes a second),
--- queue= (datagrams that wait, besides the one that leaves); loss=, corrupt= (percent), burst= (of either in a row, at
--- most), drop=2,3 (datagrams to the server, from 1), on=, off= (seconds of black holes in turn), first=, every=
--- (seconds until the NAT forgets), address=1 (it takes another address as well), seed=
local core = require("neap.core")

package.path = arg[0]:match("^(.*)spec/interop/") .. "?.lua;" .. package.path
local packets = require("spec.interop.packets")
local random = require("neap.sim.random")

local listen, server = arg[1], arg[2]
local given = {}
for i = 3, #arg do
  local name, value = arg[i]:match("^(%w+)=(.*)$")
  given[name] = tonumber(value) or value
end

local seed = given.seed or 1
math.randomseed(seed)
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
  local draw = random.generator(("%s %s"):format(name, seed)) -- the same datagrams by number, whatever the other has
  local self = { waiting = {}, first = 1, last = 0, leaving = 1, free_at = 0, count = 0, bytes = 0, run = {},
    marks = {} }
  local function strikes(what)
    local percent, run = given[what] or 0, self.run[what] or 0
    local hit = percent > 0 and run < (given.burst or math.huge) and draw() * 100 < percent
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
    self.leaving = math.max(self.leaving, self.first)
    while self.leaving <= self.last and self.waiting[self.leaving].leaves <= now do self.leaving = self.leaving + 1 end
    if self.last - self.leaving >= (given.queue or 25) then return end
    self.free_at = math.max(now, self.free_at) + (given.rate and #bytes / given.rate or 0)
    self.last = self.last + 1
    self.waiting[self.last] = { bytes = bytes, to = to, ecn = ecn, leaves = self.free_at }
  end
  function self.deliver(now)
    while self.first <= self.last and self.waiting[self.first].leaves + (given.delay or 0) <= now do
      local one = self.waiting[self.first]
      self.waiting[self.first] = nil
      self.first = self.first + 1
      deliver(one, now)
    end
  end
  return self
end

-- A way: where its clients send to, its server, and each client's socket towards that. Counted is what it brought down
-- in packets with a short header, and when.
local ways, list, bindings = {}, {}, 0

local function new_way(address, to)
  local way = { front = core.udp(), host = address:match("^(.*):"), server = to, backs = {}, brought = 0 }
  assert(way.front:bind(address))
  ways[#ways + 1] = way
end

new_way(listen, server)
if given.beside then new_way(given.beside:match("^(.*),(.*)$")) end

local function new_back(way, client)
  bindings = bindings + 1
  local udp = core.udp()
  local host = given.address and ("127.0.0.%d"):format(2 + bindings % 100) or way.host
  assert(udp:bind(host .. ":0"))
  say("binding", udp:address())
  way.backs[client] = udp
  list[#list + 1] = { udp = udp, to = { way = way, client = client } }
end

local up = new_direction("up", function(one)
  local way, client = one.to.way, one.to.client
  if not way.backs[client] then new_back(way, client) end
  tell_size("up", one.bytes)
  way.backs[client]:sendto(one.bytes, way.server, one.ecn)
end)
local down = new_direction("down", function(one, now)
  local way = one.to.way
  if one.bytes:byte() < 0x80 then
    way.begun_at, way.brought, way.brought_at = way.begun_at or now, way.brought + #one.bytes, now
  end
  way.front:sendto(one.bytes, one.to.client, one.ecn)
end)

local start, told_at = core.now(), 0
local forget_at = given.first

local function rebind(now)
  if not forget_at or now < forget_at then return end
  forget_at = now + (given.every or math.huge)
  for _, one in ipairs(list) do one.udp:close() end
  list = {}
  for _, way in ipairs(ways) do way.backs = {} end
end

-- Takes what came to a way: whether anything did. Waits so long for the first.
local function take(way, now, seconds)
  local bytes, client, ecn = way.front:recvfrom(seconds)
  if not bytes then return false end
  now = seconds > 0 and core.now() - start or now
  while bytes do
    up.put(bytes, { way = way, client = client }, ecn, now)
    bytes, client, ecn = way.front:recvfrom(0)
  end
  return true
end

say("ready")
while true do
  local busy = false
  if up.count == 0 then start = core.now() end -- time begins with the first datagram
  local now = core.now() - start
  rebind(now)
  for _, way in ipairs(ways) do busy = take(way, now, 0) or busy end
  for _, one in ipairs(list) do
    local bytes, _, mark = one.udp:recvfrom(0)
    while bytes do
      busy = true
      down.put(bytes, one.to, mark, now)
      bytes, _, mark = one.udp:recvfrom(0)
    end
  end
  now = core.now() - start
  up.deliver(now)
  down.deliver(now)
  if now - told_at > 0.2 then
    told_at = now
    say("bytes", up.bytes, down.bytes)
    for i, way in ipairs(ways) do
      if way.begun_at then say(("brought %d %d %.6f %.6f"):format(i, way.brought, way.begun_at, way.brought_at)) end
    end
  end
  if not busy then take(ways[1], now, LEAST) end
end
