--- A client and a server handshake in one process, with everything between them visible and changeable.
local fixtures = require("tls.fixtures")
local messages = require("tls.messages")

local pair = {}
pair.__index = pair

pair.INITIAL, pair.EARLY, pair.HANDSHAKE, pair.APPLICATION = 0, 1, 2, 3
pair.LEVELS = { pair.INITIAL, pair.HANDSHAKE, pair.APPLICATION }

--- CRYPTO_ERROR of an alert.
function pair.alert(number) return 0x100 + number end
pair.PROTOCOL_VIOLATION = 0x0a

--- options: client, server (configs or options for them), handshakes ({ client, server }, instead of new ones), name,
--- client_params, server_params, now, server_now, version, port, fragment (bytes a receive),
--- filter(side, level, message, count) -> bytes that arrive instead.
function pair.new(options)
  options = options or {}
  local self = setmetatable({ options = options, secrets = { client = {}, server = {} }, seen = {}, count = 0,
    left = {} }, pair)
  if options.handshakes then
    self.client, self.server = unpack(options.handshakes)
    return self
  end
  local function config(side, given)
    if type(given) == "userdata" then return given end
    return assert(fixtures[side .. "_config"](given))
  end
  self.client_config = config("client", options.client)
  self.server_config = config("server", options.server)
  local name = options.name
  if name == nil then name = "example.test" elseif name == false then name = nil end
  local now = options.now or fixtures.now
  local version = options.version or 1
  self.client = assert(self.client_config:client(name, options.client_params or "client params", now,
    version, options.port or 443))
  self.server = assert(self.server_config:server(options.server_params or "server params",
    options.server_now or now, version))
  return self
end

function pair:take_secrets(side)
  for _, s in ipairs(self[side]:secrets()) do
    local key = s.level .. s.direction
    assert(not self.secrets[side][key], "a secret came twice")
    self.secrets[side][key] = s.secret
    table.insert(self.secrets[side], key)
    self.secrets[side].suite = s.suite
  end
end

--- Give bytes to a side in fragments: true, or nil and { side, code, reason }.
function pair:deliver(side, level, bytes)
  local size = self.options.fragment or #bytes
  for at = 1, #bytes, math.max(size, 1) do
    local ok, code, reason = self[side]:receive(level, bytes:sub(at, at + size - 1))
    if not ok then return nil, { side = side, code = code, reason = reason } end
    if code then -- the rest, for when a question is answered
      self.left[side] = { level = level, bytes = code .. bytes:sub(at + size) }
      break
    end
  end
  self:take_secrets(side)
  return true
end

--- Move what a side has to send at a level; how many bytes there were, or nil and the failure.
function pair:move(from, to, level)
  local bytes = self[from]:output(level)
  if bytes == "" then return 0 end
  local arriving = {}
  for _, message in ipairs(messages.split(bytes)) do
    self.count = self.count + 1
    table.insert(self.seen, { from = from, level = level, message = message })
    if self.options.filter then
      message = self.options.filter(from, level, message, self.count) or message
    end
    table.insert(arriving, message)
  end
  local ok, failure = self:deliver(to, level, table.concat(arriving))
  if not ok then return nil, failure end
  return #bytes
end

--- Run until nobody has anything to say: true when both sides are complete, false when they wait, or nil and
--- { side, code, reason }.
function pair:run()
  self:take_secrets("client")
  repeat
    local moved = 0
    for side, left in pairs(self.left) do
      if not self[side]:question() then
        self.left[side] = nil
        local ok, failure = self:deliver(side, left.level, left.bytes)
        if not ok then return nil, failure end
        moved = moved + #left.bytes
      end
    end
    for _, way in ipairs({ { "client", "server" }, { "server", "client" } }) do
      for _, level in ipairs(pair.LEVELS) do
        local size, failure = self:move(way[1], way[2], level)
        if not size then return nil, failure end
        moved = moved + size
      end
    end
  until moved == 0
  return self.client:info().complete and self.server:info().complete
end

--- Run, and change the first message of a kind from a side on its way.
function pair.tampered(options, side, kind, change)
  local done = false
  local filter = options.filter
  options.filter = function(from, level, message, count)
    if filter then message = filter(from, level, message, count) or message end
    if from == side and messages.kind(message) == kind and not done then
      done = true
      return change(message)
    end
    return message
  end
  local p = pair.new(options)
  local ok, failure = p:run()
  assert(done, "the message to change never came")
  return ok, failure, p
end

return pair
