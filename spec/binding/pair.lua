--- A client and a server connection in memory, without delay, in virtual time: for specs of the binding.
local q = require "neap.lowlevel"

local pair = {}

local certificate, key
--- PEM of a certificate for "localhost" and its key.
function pair.certificate()
  if not certificate then
    certificate, key = assert(require("neap.core").make_certificate{
      names = { "localhost", "127.0.0.1" }, seed = "pair", wall_clock = 1767225600,
    })
  end
  return certificate, key
end

function pair.config(options)
  local cert, private = pair.certificate()
  local all = { alpn = "h3", wall_clock = 1767225600, ca = cert, cert = cert, key = private }
  for name, value in pairs(options or {}) do all[name] = value end
  return assert(q.config(all))
end

local CLIENT, SERVER = "192.0.2.1:1000", "192.0.2.2:443"

--- Moves datagrams until nobody has one; `self.now` goes to the next timer when `patient`.
local function pump(self)
  local moved
  repeat
    moved = false
    for from, to in pairs{ client = "server", server = "client" } do
      local sender, receiver = self[from], self[to]
      while sender do
        local bytes, info = sender:send(self.now)
        if not bytes then break end
        moved = true
        if to == "server" and not receiver then
          local header = assert(q.header_info(bytes))
          receiver = assert(q.accept(self.config, header, q.random_cid(self.config, 8),
            { from = CLIENT, to = SERVER, at = self.now }))
          self.server = receiver
        end
        receiver:recv(bytes, { from = info.from, to = info.to, ecn = info.ecn, at = self.now })
      end
    end
  until not moved
end

--- Pumps, and lets timers run, until condition() is true or a virtual minute has passed.
local function run(self, condition)
  local limit = self.now + 60
  pump(self)
  while not condition() do
    local wait
    for _, conn in ipairs{ self.client, self.server } do
      local timeout = conn:timeout(self.now)
      if timeout and (not wait or timeout < wait) then wait = timeout end
    end
    assert(wait and self.now < limit, "the pair does not get there")
    self.now = self.now + wait
    for _, conn in ipairs{ self.client, self.server } do
      if conn:timeout(self.now) == 0 then conn:on_timeout(self.now) end
    end
    pump(self)
  end
end

--- { client =, server =, now =, config =, pump =, run = } with both sides confirmed. The client has the config of the
--- server unless it is given one.
function pair.new(options, client_config)
  local self = { now = 1, config = pair.config(options), pump = pump, run = run }
  self.client = assert(q.connect(client_config or self.config, "localhost", SERVER, { from = CLIENT, at = self.now }))
  self:pump()
  self:run(function() return self.server and self.client:is_confirmed() and self.server:is_confirmed() end)
  return self
end

return pair
