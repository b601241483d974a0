--- A QUIC peer whose TLS is under the hand of a spec: our TLS engine, each of whose messages can be changed on its way
--- out, in packets that are made here. It acknowledges nothing and repeats nothing. What it returns is what it read in
--- the CONNECTION_CLOSE that the connection under test sent it.
local units = require("neap.units")
local fixtures = require("tls.fixtures")
local messages = require("tls.messages")
local net = require("support.quic_net")

local crypto, quic, varint = units.crypto, net.quic, net.varint

local hostile = {}
local Peer = {}
Peer.__index = Peer

local INITIAL, HANDSHAKE, APPLICATION = 0, 2, 3
local LEVELS = { INITIAL, HANDSHAKE, APPLICATION }
local OURS, THEIRS, FIRST_DCID = "hostile!", "S0000001", "original"
local VERSION = "\0\0\0\1"

-- ------------------------------------------------------------------ packets

local function read_varint(bytes, at)
  local first = bytes:byte(at)
  local size = 2 ^ math.floor(first / 64)
  local value = first % 64
  for i = at + 1, at + size - 1 do value = value * 256 + bytes:byte(i) end
  return value, at + size
end

local function header_start(self, level)
  if level == APPLICATION then return "\67" .. self.dcid end
  return string.char(level == INITIAL and 0xc3 or 0xe3) .. VERSION .. string.char(#self.dcid) .. self.dcid
    .. string.char(#OURS) .. OURS .. (level == INITIAL and "\0" or "")
end

--- A packet of these frames, as large as a first datagram has to be.
function Peer:packet(level, frames)
  local start = header_start(self, level)
  local number = self.numbers[level]
  self.numbers[level] = number + 1
  frames = frames .. ("\0"):rep(1200 - #start - #frames - 22)
  local length = ""
  if level ~= APPLICATION then
    local size = #frames + 20
    length = string.char(64 + math.floor(size / 256), size % 256)
  end
  local header = start .. length .. string.char(0, 0, math.floor(number / 256), number % 256)
  return assert(crypto.seal(self.crypto, self.keys.write[level], header, 4, number, frames))
end

-- The frames that there may be beside STREAM and its like, which end the reading.
local function read_frames(self, level, frames)
  local at = 1
  local function take() local value; value, at = read_varint(frames, at); return value end
  local function take_bytes(size) local out = frames:sub(at, at + size - 1); at = at + size; return out end
  while at <= #frames do
    local kind = take()
    if kind == 0x02 or kind == 0x03 then
      table.insert(self.acks, { level = level, largest = take(), delay = take() })
      local ranges = take()
      take()
      for _ = 1, 2 * ranges + (kind == 0x03 and 3 or 0) do take() end
    elseif kind == 0x06 then
      local offset = take()
      local data = take_bytes(take())
      table.insert(self.heard, { level = level, offset = offset, data = data })
      local had = self.received[level]
      if offset <= had and offset + #data > had then
        self.received[level] = offset + #data
        self.arrived[level] = (self.arrived[level] or "") .. data:sub(had - offset + 1)
      end
    elseif kind == 0x07 then
      take_bytes(take())
    elseif kind == 0x18 then
      take(); take()
      take_bytes(frames:byte(at) + 17)
    elseif kind == 0x1e then
      self.confirmed_at = self.confirmed_at or self.now
    elseif kind == 0x1c then
      self.code = self.code or take()
      return
    elseif kind > 0x01 then
      return
    end
  end
end

-- The key of a packet by its first byte, and where its number stands and it ends.
local function read_header(self, datagram, at)
  local first = datagram:byte(at)
  if first < 0x80 then return APPLICATION, at + 1 + #OURS, #datagram end
  local kind = math.floor(first / 16) % 4
  local place = at + 5
  local dcid_size = datagram:byte(place)
  place = place + 1 + dcid_size
  local scid_size = datagram:byte(place)
  self.dcid = datagram:sub(place + 1, place + scid_size)
  place = place + 1 + scid_size
  if kind == 0 then
    local token_size
    token_size, place = read_varint(datagram, place)
    place = place + token_size
  end
  local length
  length, place = read_varint(datagram, place)
  return kind == 0 and INITIAL or HANDSHAKE, place, place + length - 1
end

-- Packets whose keys are still to come wait for them.
function Peer:read_waiting()
  local waiting = self.waiting
  self.waiting = {}
  for _, packet in ipairs(waiting) do
    local key = self.keys.read[packet.level]
    if key then
      local size, number, open = crypto.unmask(self.crypto, key, packet.bytes, packet.number_at)
      local frames = size and crypto.open(self.crypto, key, open, packet.number_at + size, number)
      if frames then
        table.insert(self.seen[packet.level], number)
        read_frames(self, packet.level, frames)
      end
    else
      table.insert(self.waiting, packet)
    end
  end
end

function Peer:read(datagram)
  local at = 1
  while at <= #datagram do
    local level, number_at, last = read_header(self, datagram, at)
    table.insert(self.waiting, { level = level, number_at = number_at - at, bytes = datagram:sub(at, last) })
    at = last + 1
  end
  self:read_waiting()
end

-- ------------------------------------------------------------------ the handshake

function Peer:take_secrets()
  for _, s in ipairs(self.tls:secrets()) do
    self.keys[s.direction][s.level] = crypto.key_derive(1, s.suite, s.secret)
  end
  self:read_waiting()
end

function Peer:crypto_frame(level, bytes)
  local frame = "\6" .. varint(self.sent[level]) .. varint(#bytes) .. bytes
  self.sent[level] = self.sent[level] + #bytes
  return frame
end

-- Everything that the engine has to say, and what the spec makes of it; in packets of their own, at most 1000 bytes
-- each.
function Peer:send(change)
  local any = false
  for _, level in ipairs(LEVELS) do
    local out = {}
    for _, message in ipairs(messages.split(self.tls:output(level))) do
      table.insert(out, change(level, messages.kind(message), message) or message)
    end
    local bytes = table.concat(out)
    for at = 1, #bytes, 1000 do
      any = true
      self:give(self:packet(level, self:crypto_frame(level, bytes:sub(at, at + 999))))
    end
  end
  return any
end

function Peer:give(datagram)
  if not self.conn then
    self.conn = assert(quic.accept(self.config, datagram, THEIRS, nil, net.SERVER, net.CLIENT, self.now))
  end
  self.conn:recv(datagram, self.now, not self.is_server and net.CLIENT or nil)
end

--- Takes what the connection sends; whether there was something.
function Peer:take()
  local any = false
  while true do
    local bytes, segment = self.conn:burst(self.now)
    if not bytes then return any end
    any = true
    for at = 1, #bytes, segment do self:read(bytes:sub(at, math.min(at + segment - 1, #bytes))) end
  end
end

local function parameters(self)
  local out = net.bytes(0x0f, #OURS, OURS, 0x04, 4, varint(100000))
  return self.is_server and out .. net.bytes(0x00, #FIRST_DCID, self.original) or out
end

--- One after the other until nobody has anything to say, or it is over.
function Peer:run(change)
  change = change or function() end
  for _ = 1, 20 do
    local sent = self:send(change)
    local taken = self.conn and self:take()
    for _, level in ipairs(LEVELS) do
      local bytes = self.arrived[level]
      self.arrived[level] = nil
      if bytes and not self.code then
        if not self.tls:receive(level, bytes) then self.has_failed = true end
        self:take_secrets()
      end
    end
    if self.code or self.has_failed or not (sent or taken) then return end
  end
end

function Peer:close()
  self.tls:free()
  if self.conn then self.conn:free() end
  self.config:free()
  assert(self.config:memory().live == 0, "allocations were not given back")
end

--- A hostile peer, whose handshake has not begun: see meet(). `heard` is all the CRYPTO data that came, repetitions
--- included: { level, offset, data }; `acks` the ACK frames, { level, largest, delay }; `seen` the packet numbers by
--- level, in the order in which they came. close() it.
function hostile.open(role, options)
  options = options or {}
  local is_server = role == "server"
  local self = setmetatable({
    is_server = is_server, now = 1000 * net.MS, crypto = crypto.new(("h"):rep(32)), numbers = {}, sent = {},
    received = {}, arrived = {}, heard = {}, waiting = {}, acks = {}, seen = {}, keys = { read = {}, write = {} },
  }, Peer)
  for _, level in ipairs(LEVELS) do
    self.numbers[level], self.sent[level], self.received[level], self.seen[level] = 0, 0, 0, {}
  end
  self.config = net.config(options.theirs, 77, not is_server)
  local ours = { alpn = { "t" }, verify = false }
  for name, value in pairs(options.ours or {}) do ours[name] = value end
  self.engine = assert(fixtures[role .. "_config"](ours))
  if is_server then
    self.conn = assert(quic.client(self.config, "localhost", net.CLIENT, net.SERVER, self.now))
    local first = self.conn:send(self.now)
    local header = quic.header(first, 8)
    self.original, self.dcid = header.dcid, header.scid
    self.keys.read[INITIAL], self.keys.write[INITIAL] = crypto.key_initial(1, header.dcid)
    self.tls = assert(self.engine:server(parameters(self), fixtures.now))
    self:read(first)
    assert(self.tls:receive(INITIAL, self.arrived[INITIAL]))
    self.arrived[INITIAL] = nil
    self:take_secrets()
  else
    self.dcid = FIRST_DCID
    self.keys.write[INITIAL], self.keys.read[INITIAL] = crypto.key_initial(1, FIRST_DCID)
    self.tls = assert(self.engine:client("localhost", parameters(self), fixtures.now))
  end
  return self
end

--- The hostile peer is "client" or "server". `change(level, kind, message)` gives what is sent in place of a message,
--- nil: itself. `after`: { level, bytes } of CRYPTO data that comes when its handshake is complete. options: ours,
--- theirs (of the engine's config, of the connection's). Returns the code of CONNECTION_CLOSE, nil when there was none;
--- whether the hostile side completed the handshake.
function hostile.meet(role, change, after, options)
  local self = hostile.open(role, options)
  self:run(change)
  local complete = not self.has_failed and self.tls:info().complete
  if after and not self.code then
    self:give(self:packet(after[1], self:crypto_frame(after[1], after[2])))
    self:take()
  end
  self:close()
  return self.code, complete
end

return hostile
