--- A reverse proxy (docs/proxy.md): a handler that has other servers answer, over HTTP/1.1.
local address = require "neap.ip_address"
local balance = require "neap.proxy.balance"
local concurrent = require "neap.concurrent"
local Connector = require "neap.connector"
local fields = require "neap.proxy.fields"
local log = require "neap.log"
local options = require "neap.options"
local plain = require "neap.plain"
local relay = require "neap.proxy.relay"
local Upstream = require "neap.proxy.upstream"

local Proxy = {}
Proxy.__index = Proxy

local function is_path(value)
  return type(value) == "string" and value:find("^/[!-~]*[^/]$") ~= nil and not value:find("[?#]")
end

local OWN = {
  strip = options.row("a path like \"/api\", without a slash at its end", is_path),  -- taken from the path
  prefix = options.row("a path like \"/api\", without a slash at its end", is_path), -- put before what is left of it
  host = options.row('"client", "upstream" or a host', function(value)
    return type(value) == "string" and value:find("^[%w.:_%[%]-]+$") ~= nil
  end, "client"),
  forwarded = options.of("boolean", true), -- whether the upstream is told of the client
  trusted = options.of("table"),           -- prefixes of peers whose own forwarded fields are gone on with
  via = options.row("a name", function(value)
    return type(value) == "string" and value:find("^[%w._-]+$") ~= nil
  end, "neap"),
  connections = options.whole(1, 100000, 256), -- to each upstream
  queue = options.whole(0, nil, 1024),         -- requests that wait for one
  requests = options.whole(1, nil, 10000),     -- over one connection
  idle_timeout = options.timeout(30),
  connect_timeout = options.timeout(5), -- TLS and waiting for a connection included
  first_byte_timeout = options.timeout(60),
  between_timeout = options.timeout(60),
  tunnel_timeout = options.timeout(3600), -- of a WebSocket without a byte either way
  balance = options.row('"round_robin", "least_conn" or "hash"', function(value)
    return balance[value] ~= nil
  end, "round_robin"),
  hash = options.of("function"), -- function(req): the key of balance = "hash"; the address of the client unless told
  max_fails = options.whole(0, nil, 3),
  fail_timeout = options.timeout(10),
  health = options.of("table"), -- { path =, interval =, expect =, timeout = }
  tls = options.of("table"),    -- of a config: ca (the system's roots unless told), cert, key, pins …
}

local HEALTH = {
  path = options.row("a path", function(value)
    return type(value) == "string" and value:find("^/[!-~]*$") ~= nil
  end, "/"),
  interval = options.timeout(5),
  timeout = options.timeout(2),
  expect = options.row("a status, or a function(status)", function(value)
    return type(value) == "number" or type(value) == "function"
  end, 200),
}

-- May be sent again where nobody knows whether it was done.
local IDEMPOTENT = require("neap.semantics").IDEMPOTENT

local TEXTS = { [502] = "bad gateway\n", [503] = "service unavailable\n", [504] = "gateway timeout\n" }

local function status_of(code)
  return code == "timeout" and 504 or code == "busy" and 503 or 502
end

local function make_upstreams(given, settings, level)
  if type(given) ~= "table" then given = { given } end
  local list = {}
  for i, one in ipairs(given) do
    local text, weight = one, 1
    if type(one) == "table" then text, weight = one.url, one.weight or 1 end
    if type(text) ~= "string" then error("an upstream is a URL, or { url =, weight = }", level + 1) end
    if type(weight) ~= "number" or not (weight > 0 and weight < math.huge) then
      error("the weight of an upstream is a number above 0", level + 1)
    end
    local made, message = Upstream.new(text, weight, settings)
    list[i] = made or error(message, level + 1)
  end
  if not list[1] then error("a proxy has an upstream", level + 1) end
  return list
end

-- ---- whether upstreams work

local function is_expected(expect, status)
  if type(expect) == "function" then return expect(status) end
  return status == expect
end

-- Asks one upstream: whether it answered as it should, and what it did instead.
local function ask(self, upstream, health)
  local session, message, code = upstream:take()
  if not session then return code == "busy" and upstream.is_healthy, message end
  local exchange
  exchange, message = Connector.request(session, { ":method", "GET", ":scheme", upstream.at.scheme, ":authority",
    upstream.at.authority, ":path", upstream.at.base .. health.path, "user-agent", self.given.via }, true)
  if not exchange then
    upstream:discard(session)
    return false, message
  end
  session.is_spoiled = true -- its body is not read
  local head, is_final
  repeat head, is_final = Connector.head(exchange, health.timeout) until not head or is_final
  if not session.closed then session.transport:cancel(exchange._stream, "request_cancelled") end
  session:forget(exchange)
  if not head then return false, is_final end
  return is_expected(health.expect, tonumber(head[2])), "status " .. head[2]
end

local function watch(self, upstream, health)
  return concurrent.every(health.interval, function()
    local is_well, message = ask(self, upstream, health)
    is_well = is_well and true or false
    if is_well ~= upstream.is_healthy then
      self.say(("proxy: %s %s"):format(upstream.name, is_well and "answers again" or "is out: " .. tostring(message)))
    end
    upstream.is_healthy = is_well
    if is_well then upstream.down_until = 0 end
  end)
end

-- ---- requests

-- The next upstream that was not tried; those that failed are asked when all others have.
local function pick(self, key, tried)
  local working, others = {}, {}
  for _, upstream in ipairs(self.upstreams) do
    if not tried[upstream] then
      local list = upstream:is_up() and working or others
      list[#list + 1] = upstream
    end
  end
  local list = working[1] and working or others
  if not list[2] then return list[1] end
  return balance[self.given.balance](list, key)
end

-- One upstream: "done", or what became of it, as relay.run has it.
local function try(self, upstream, req, res, is_trusted)
  local list = fields.request(req, upstream, self.given, is_trusted)
  local may_repeat = IDEMPOTENT[req.method] and not req.has_body
  local session, was_used, code = upstream:take()
  while true do
    if not session then return "refused", was_used, code end
    local outcome, message, kind = relay.run(session, list, req, res, self.given)
    if outcome == "refused" then upstream:discard(session) end
    -- It may have been closed while the request was on its way.
    local was_closed = kind == "closed" or kind == "reset" or kind == "state" or kind == "system"
    local again = was_used and was_closed and (outcome == "refused" or outcome == "failed" and may_repeat)
      and not res:is_started()
    if not again then return outcome, message, kind end
    session, was_used, code = upstream:take(true)
  end
end

local function is_trusted(self, req)
  if not self.trusted[1] then return false end
  local bytes = address.parse(address.of_peer(req.peer))
  for _, prefix in ipairs(self.trusted) do
    if bytes and address.is_under(bytes, prefix) then return true end
  end
  return false
end

local function complain(self, upstream, message)
  self.complain("proxy", ("proxy: %s: %s"):format(upstream.name, plain.line(tostring(message))), upstream.name)
end

--- Answers a request: what app:any and the others take.
function Proxy:__call(req, res)
  if req.method == "CONNECT" or req.protocol then return 501, "not implemented\n" end
  local given, tried = self.given, {}
  local trusts = is_trusted(self, req)
  local key = given.balance == "hash" and tostring(given.hash and given.hash(req) or address.of_peer(req.peer))
  local may_repeat = IDEMPOTENT[req.method] and not req.has_body
  local last = "busy"
  while true do
    local upstream = pick(self, key, tried)
    if not upstream then return status_of(last), TEXTS[status_of(last)] end
    tried[upstream] = true
    upstream.active, upstream.requests = upstream.active + 1, upstream.requests + 1
    local called, outcome, message, code = pcall(try, self, upstream, req, res, trusts)
    upstream.active = upstream.active - 1
    if not called then error(outcome, 0) end
    if outcome == "done" then
      upstream:worked()
      return
    end
    if code == "gone" then
      -- Nobody has it; it is what logs call this.
      if not res:is_started() then return 499, "" end
      return
    end
    if code ~= "busy" then upstream:failed() end
    complain(self, upstream, message)
    if outcome == "broken" or res:is_started() then
      res:abort()
      return
    end
    last = code
    if outcome == "failed" and (not may_repeat or code == "timeout") then
      return status_of(code), TEXTS[status_of(code)]
    end
  end
end

--- Of each upstream: { url, weight, up, active, open, idle, waiting, requests, failures }.
function Proxy:status()
  local list = {}
  for i, upstream in ipairs(self.upstreams) do list[i] = upstream:status() end
  return list
end

--- Ends its connections and its questions for the health of upstreams. Requests that are under way fail.
function Proxy:close()
  for _, task in ipairs(self.watches) do task:stop() end
  for _, upstream in ipairs(self.upstreams) do upstream:close() end
end

--- A proxy in front of one upstream or several: "http://127.0.0.1:8080", "https://…", "unix:/path", or a list of these
-- and of { url =, weight = }.
return function(upstreams, given)
  given = options.fill(given, OWN, "proxy", 2)
  local self = setmetatable({ given = given, watches = {}, trusted = {}, complain = log.complainer(), say = log.warn },
    Proxy)
  self.upstreams = make_upstreams(upstreams, given, 2)
  for i, text in ipairs(given.trusted or {}) do
    self.trusted[i] = type(text) == "string" and address.prefix(text)
      or error(("proxy: %s is no address and no prefix like 10.0.0.0/8"):format(tostring(text)), 2)
  end
  if given.hash and given.balance ~= "hash" then error("proxy: `hash` needs balance = \"hash\"", 2) end
  if given.health then
    local health = options.fill(given.health, HEALTH, "proxy's health", 2)
    for i, upstream in ipairs(self.upstreams) do self.watches[i] = watch(self, upstream, health) end
  end
  return self
end
