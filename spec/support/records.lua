--- TLS over TCP: the engine of core/tls behind the record layer of RFC 8446 §5, so that it can meet programs that know
--- no QUIC. Only what QUIC leaves of TLS is here: no session ids, no KeyUpdate.
local units = require("neap.units")

local crypto, tcp = units.crypto, units.tcp

local records = {}
local Session = {}
Session.__index = Session

local INITIAL, EARLY, HANDSHAKE, APPLICATION = 0, 1, 2, 3
local LEVELS = { INITIAL, EARLY, HANDSHAKE, APPLICATION }
local CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE_TYPE, APPLICATION_DATA = 20, 21, 22, 23
local FRAGMENT_MOST = 16384
local PATIENCE = 10000 -- milliseconds for what the other program does next
local KEY_SIZES = { [0x1301] = 16, [0x1302] = 32, [0x1303] = 32 }
local HASHES = { [0x1301] = 256, [0x1302] = 384, [0x1303] = 256 }

local function u16(value) return string.char(math.floor(value / 256), value % 256) end

--- A handshake of the engine over a connected socket. Its config is `without_params`. `heard` and `said` are all the
--- bytes of its messages.
function records.new(handshake, socket)
  local self = setmetatable({
    handshake = handshake, socket = socket, crypto = crypto.new(("r"):rep(32)), input = "", text = "",
    keys = { read = {}, write = {} }, read_level = INITIAL, heard = "", said = "",
  }, Session)
  self:take_secrets()
  return self
end

records.listen, records.connect = tcp.listen, tcp.connect

-- RFC 8446 §7.3
function Session:take_secrets()
  for _, s in ipairs(self.handshake:secrets()) do
    local hash = HASHES[s.suite]
    self.keys[s.direction][s.level] = {
      suite = s.suite, count = 0,
      key = crypto.expand_label(hash, s.secret, "key", "", KEY_SIZES[s.suite]),
      iv = crypto.expand_label(hash, s.secret, "iv", "", 12),
    }
    if s.direction == "read" and s.level > self.read_level then self.read_level = s.level end
  end
end

-- RFC 8446 §5.3
local function nonce(key)
  local out, count = {}, key.count
  for i = 12, 1, -1 do
    out[i] = string.char(bit.bxor(key.iv:byte(i), count % 256))
    count = math.floor(count / 256)
  end
  key.count = key.count + 1
  return table.concat(out)
end

function Session:write_record(level, kind, fragment)
  local key = self.keys.write[level]
  if not key then return self.socket:send(string.char(kind, 3, 3) .. u16(#fragment) .. fragment) end
  local inner = fragment .. string.char(kind)
  local header = string.char(APPLICATION_DATA, 3, 3) .. u16(#inner + 16)
  return self.socket:send(header .. crypto.aead_seal(self.crypto, key.suite, key.key, nonce(key), header, inner))
end

-- Everything that the engine has to say.
function Session:flush()
  for _, level in ipairs(LEVELS) do
    local bytes = self.handshake:output(level)
    self.said = self.said .. bytes
    for at = 1, #bytes, FRAGMENT_MOST do
      self:write_record(level, HANDSHAKE_TYPE, bytes:sub(at, at + FRAGMENT_MOST - 1))
    end
  end
end

-- The level that we write at now: of the newest key.
local function write_level(self)
  for i = #LEVELS, 2, -1 do
    if self.keys.write[LEVELS[i]] then return LEVELS[i] end
  end
  return INITIAL
end

-- So many bytes of the socket; nil at its end.
function Session:take(size)
  while #self.input < size do
    local more = self.socket:receive(PATIENCE)
    if more == nil then error("the other program says nothing", 0) end
    if more == "" then return nil end
    self.input = self.input .. more
  end
  local out = self.input:sub(1, size)
  self.input = self.input:sub(size + 1)
  return out
end

-- Kind and content of the next record, opened: nil at the end.
function Session:read_record()
  local header = self:take(5)
  if not header then return nil end
  local kind = header:byte(1)
  local fragment = assert(self:take(header:byte(4) * 256 + header:byte(5)), "a record that ends early")
  if kind ~= APPLICATION_DATA then return kind, fragment end
  local key = assert(self.keys.read[self.read_level], "a protected record before there are keys")
  local inner = assert(crypto.aead_open(self.crypto, key.suite, key.key, nonce(key), header, fragment),
    "a record that cannot be opened")
  inner = inner:gsub("%z+$", "")
  return inner:byte(-1), inner:sub(1, -2)
end

--- Sends an alert, as the engine's failure says it.
function Session:fail(code)
  self:write_record(self.read_level == INITIAL and INITIAL or write_level(self), ALERT,
    string.char(2, code > 0x100 and code - 0x100 or 80))
end

--- One record: true; false at the end; nil and { code, reason } (ours) or { alert } (theirs).
function Session:step()
  local kind, fragment = self:read_record()
  if not kind then return false end
  if kind == CHANGE_CIPHER_SPEC then
    assert(fragment == "\1" and not self.handshake:info().complete, "a change_cipher_spec that may not be")
  elseif kind == ALERT then
    if fragment:byte(2) == 0 then return false end -- close_notify
    return nil, { alert = fragment:byte(2) }
  elseif kind == HANDSHAKE_TYPE then
    self.heard = self.heard .. fragment
    local ok, code, reason = self.handshake:receive(self.read_level, fragment)
    self:take_secrets()
    self:flush()
    if not ok then
      self:fail(code)
      return nil, { code = code, reason = reason }
    end
  else
    assert(kind == APPLICATION_DATA, "a record of an unknown kind")
    self.text = self.text .. fragment
  end
  return true
end

--- The handshake to its end: true, or nil and the failure.
function Session:run()
  self:flush()
  while not self.handshake:info().complete do
    local ok, failure = self:step()
    if not ok then return nil, failure or { reason = "closed" } end
  end
  return true
end

function Session:send(text)
  for at = 1, #text, FRAGMENT_MOST do
    self:write_record(APPLICATION, APPLICATION_DATA, text:sub(at, at + FRAGMENT_MOST - 1))
  end
end

--- Application data until `wanted` (plain text) is in it: true, or nil and what came.
function Session:expect(wanted)
  while not self.text:find(wanted, 1, true) do
    local ok, failure = self:step()
    if not ok then return nil, failure or { reason = "closed behind: " .. self.text } end
  end
  return true
end

--- Reads until the other side is done.
function Session:drain()
  while self:step() do end
end

--- close_notify, then the socket; its failures are the other's business.
function Session:close()
  if self.handshake:info().complete then self:write_record(APPLICATION, ALERT, "\1\0") end
  self.socket:close()
  self.handshake:free()
end

return records
