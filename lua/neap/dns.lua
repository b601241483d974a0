--- Names: addresses of hosts and other records of DNS, asked of name servers by c-ares without holding the loop, and
-- kept for as long as they say. Without c-ares there are addresses alone, of the system's resolver in threads.
local core = require "neap.core"
local Descriptor = require "neap.descriptor"
local ip_address = require "neap.ip_address"
local find_services = require "neap.dns_https"
local task = require "neap.task"

local dns = {}

local Resolver = {}
Resolver.__index = Resolver

local MOST = 64 -- questions that are asked at once; others wait
local LEAST_TTL, MOST_TTL = 1, 3600 -- seconds for which an answer is kept
local KEPT = 1024 -- answers that are kept at most,
local KEPT_SIZE = 4096 -- each of so many bytes
local CHAIN = 16 -- CNAMEs that are followed
local LOOK_AGAIN = 5 -- seconds after which resolv.conf is looked at again

local TYPES = { A = true, AAAA = true, HTTPS = true, SVCB = true, TXT = true, MX = true, SRV = true, CNAME = true,
  PTR = true, NS = true, SOA = true }

local by_system = task.resolve

-- ---- what is kept: two tables, of which the older is forgotten when the younger is full

local function recall(self, key)
  local entry = self.young[key] or self.old[key]
  if not entry or entry.expires <= core.now() then return nil end
  return entry
end

local function keep(self, key, entry, ttl)
  entry.expires = core.now() + math.max(LEAST_TTL, math.min(ttl, MOST_TTL))
  if entry.message and #entry.message > KEPT_SIZE then return end
  if not self.young[key] then
    if self.young_count >= KEPT / 2 then self.old, self.young, self.young_count = self.young, {}, 0 end
    self.young_count = self.young_count + 1
  end
  self.young[key] = entry
end

-- ---- answers

local function plain(name)
  return (name:lower():gsub("%.$", ""))
end

-- The records that a message has for a question, behind the CNAMEs that lead from its name to another one, and the
-- seconds for which all of that holds. Records of other names are nobody's answer.
local function pick(message, name, kind)
  local found, aliases = {}, {}
  for _, record in ipairs(message.answers) do
    local owner = plain(record.name)
    if record.type == kind then
      found[owner] = found[owner] or {}
      table.insert(found[owner], record)
    elseif record.type == "CNAME" then
      aliases[owner] = record
    end
  end
  local at, ttl = plain(name), MOST_TTL
  for _ = 1, CHAIN do
    local alias = aliases[at]
    if found[at] or not alias then break end
    at, ttl = plain(alias.target), math.min(ttl, alias.ttl)
  end
  local out = found[at] or {}
  for _, record in ipairs(out) do ttl = math.min(ttl, record.ttl) end
  return out, ttl
end

-- The seconds for which it holds that there is nothing (RFC 2308 §5); 0 where no server says so.
local function negative_ttl(message)
  for _, record in ipairs(message and message.authority or {}) do
    if record.type == "SOA" then return math.min(record.ttl, record.minimum) end
  end
  return 0
end

local ABSENT = { NXDOMAIN = true, NODATA = true }

-- What is made of an answer to a question: { addresses = } | { message = bytes } | { failure = text, reason = }, and
-- the seconds for which it may be kept; nil: not at all.
local function understand(question, value, text, reason, bytes)
  if type(value) == "table" then
    if value[1] then return { addresses = value }, text end
    return { failure = "the name has no address", reason = "NODATA" }, 0
  end
  local message, why = nil, nil
  if value or bytes ~= "" then message, why = core.dns_message(value or bytes) end
  if value then
    if not message then return { failure = why, reason = "FORMERR" } end
    local records, ttl = pick(message, question.name, question.kind)
    if records[1] then return { message = value, asked = core.now() }, ttl end
    return { failure = "the name has no such records", reason = "NODATA" }, negative_ttl(message)
  end
  local entry = { failure = text, reason = reason }
  if ABSENT[reason] then return entry, negative_ttl(message) end
  return entry
end

-- ---- questions

local drive

-- A channel to the servers, anew when resolv.conf has changed and nothing is asked.
local function channel_of(self)
  local now = core.now()
  local options = self._options
  if self._channel and (self.open_count > 0 or options.servers or now < self._look_at) then return self._channel end
  self._look_at = now + LOOK_AGAIN
  local info = not options.servers and core.stat("/etc/resolv.conf")
  local stamp = info and ("%s %s"):format(info.mtime, info.size) or ""
  if self._channel and stamp == self._stamp then return self._channel end
  local channel, message, code = core.dns(options.servers and table.concat(options.servers, ","), options.timeout or 2,
    options.tries or 3, options.search)
  if not channel then return nil, message, code end
  self:_hang_up()
  self._channel, self._stamp = channel, stamp
  self._descriptor = assert(Descriptor.open(channel:fd(), { borrowed = true }))
  return channel
end

function Resolver:_hang_up()
  if self._descriptor then self._descriptor:close() end
  if self._channel then self._channel:close() end
  self._descriptor, self._channel = nil, nil
end

local function send(self, question, kind)
  self.last_id = self.last_id + 1
  self.open[self.last_id] = question
  self.open_count = self.open_count + 1
  if kind then self._channel:query(self.last_id, question.name, kind)
  else self._channel:lookup(self.last_id, question.name, question.family)
  end
end

local function answer(self, question, entry)
  if self.asked[question.key] == question then self.asked[question.key] = nil end
  for _, waiter in ipairs(question.waiters) do task.wake(waiter, entry) end
end

local function begin(self, question)
  local channel, message = channel_of(self)
  if not channel then return answer(self, question, { failure = message, reason = "failed" }) end
  send(self, question, question.kind)
  if self.is_driven then
    self._descriptor:_ready() -- its time-out may be another one now
  else
    self.is_driven = true
    task.go(drive, self)
  end
end

-- Questions for which somebody still waits.
local function begin_queued(self)
  while self.queue[self.queue_first] and self.open_count < MOST do
    local question = self.queue[self.queue_first]
    self.queue[self.queue_first] = nil
    self.queue_first = self.queue_first + 1
    if question.waiters[1] then begin(self, question) else self.asked[question.key] = nil end
  end
end

local function take(self, id, value, text, reason, bytes)
  local question = self.open[id]
  local entry = question.absent
  local ttl
  if entry then -- of which this is to say for how long
    local message = value or bytes
    ttl = negative_ttl(message ~= "" and core.dns_message(message) or nil)
  else
    entry, ttl = understand(question, value, text, reason, bytes)
  end
  self.open[id] = nil
  self.open_count = self.open_count - 1
  if ABSENT[entry.reason] and not question.kind and not question.absent and question.waiters[1] and
    question.name:find(".", 1, true) then
    -- Who looks up addresses is not shown the SOA record: servers have it at hand now.
    question.absent = entry
    return send(self, question, question.family == 6 and "AAAA" or "A")
  end
  if ttl then keep(self, question.key, entry, ttl) end
  answer(self, question, entry)
end

local function go_on(self)
  while true do
    local id, value, text, reason, bytes = self._channel:answer()
    while id do
      take(self, id, value, text, reason, bytes)
      id, value, text, reason, bytes = self._channel:answer()
    end
    begin_queued(self)
    if self.open_count == 0 then break end
    local ok, _, code = self._descriptor:wait("r", self._channel:timeout())
    if not ok and code ~= "timeout" then task.sleep(0.1) end -- nothing to wait with: memory is short
    self._channel:process()
  end
end

-- Runs while questions are under way. An error in it, such as that of a turn that took too long, fails these alone.
function drive(self)
  local ok, trace = xpcall(go_on, debug.traceback, self)
  self.is_driven = false
  if ok then return end
  self:_hang_up()
  local open = self.open
  self.open, self.open_count = {}, 0
  for _, question in pairs(open) do answer(self, question, { failure = "the resolver failed", reason = "failed" }) end
  begin_queued(self)
  error(trace, 0)
end

-- Nobody waits any more: when that holds for all that is under way, it ends.
local function leave(self, question, waiter)
  for i, one in ipairs(question.waiters) do
    if one == waiter then table.remove(question.waiters, i) break end
  end
  for _, open in pairs(self.open) do
    if open.waiters[1] then return end
  end
  if self.open_count == 0 then return end
  for _, open in pairs(self.open) do
    if self.asked[open.key] == open then self.asked[open.key] = nil end
  end
  self._channel:cancel()
  self._descriptor:_ready()
end

-- What is known of a name, or is asked now: an entry as of understand(); nil, message, code when the wait ends before.
local function ask(self, name, kind, family, seconds)
  local key = (kind or "lookup" .. (family or "")) .. " " .. name:lower()
  local entry = recall(self, key)
  if entry then return entry end
  local waiter = task.waiter()
  local question = self.asked[key]
  if question then
    table.insert(question.waiters, waiter)
  else
    question = { key = key, name = name, kind = kind, family = family, waiters = { waiter } }
    self.asked[key] = question
    if self.open_count < MOST and not self.queue[self.queue_first] then
      begin(self, question)
    else
      self.queue_last = self.queue_last + 1
      self.queue[self.queue_last] = question
    end
  end
  local message, code
  entry, message, code = task.await(waiter, seconds)
  if entry then return entry end
  leave(self, question, waiter)
  return nil, message, code
end

-- ---- what scripts call

local function fail(name, entry)
  return nil, ("%s: %s"):format(name, entry.failure), "resolve", entry.reason
end

local function check_name(name, most, what)
  if type(name) ~= "string" or name == "" or #name > most or name:find("\0", 1, true) then
    error(("%s takes a name of 1 to %d bytes"):format(what, most), 3)
  end
end

local function check_options(options, what)
  if options ~= nil and type(options) ~= "table" then error(what .. ": options are a table", 3) end
  return options or {}
end

-- Whether a host is no question for name servers: an address, in whichever spelling, the loopback (RFC 6761 §6.3), or
-- a name of multicast DNS (RFC 6762 §3).
local function is_for_system(host)
  if #host == 0 or #host > 253 or host:find("\0", 1, true) or host:find(":", 1, true) then return true end
  local last = host:match("([^.]*)%.?$"):lower()
  return last:find("^%d+$") ~= nil or last:find("^0x%x*$") ~= nil or last == "localhost" or last == "local"
end

local function has_questions()
  return core.dns ~= nil and not task.is_simulated()
end

local function unsupported()
  if task.is_simulated() then return nil, "a simulation knows the addresses of its hosts alone", "unsupported" end
  return nil, "neap was built without c-ares", "unsupported"
end

-- The addresses that the system gives, without ports.
local function look_up_by_system(host, family, seconds)
  local found, message, code = by_system(host, 0, seconds)
  if not found then return nil, message, code end
  local out = {}
  for _, address in ipairs(found) do
    local ip = address:match("^%[(.*)%]:%d+$") or address:match("^(.*):%d+$")
    if not family or (ip:find(":", 1, true) and 6 or 4) == family then out[#out + 1] = ip end
  end
  if not out[1] then return nil, host .. ": the name has no address", "resolve", "NODATA" end
  return out
end

local function look_up(self, host, family, seconds)
  if not has_questions() or is_for_system(host) then return look_up_by_system(host, family, seconds) end
  local entry, message, code = ask(self, host, nil, family, seconds)
  if not entry then return nil, host .. ": " .. message, code end
  if not entry.addresses then return fail(host, entry) end
  return { (table.unpack or unpack)(entry.addresses) }
end

--- The addresses of a host as a list of texts, in the order in which they are to be tried (RFC 6724), eight at most: by
-- the system's hosts file, else by name servers. `options`: { family = 4 or 6, timeout = seconds }. nil, message,
-- "resolve" or "timeout", and a reason: "NXDOMAIN", "NODATA", "SERVFAIL", "REFUSED" …
function Resolver:lookup(host, options)
  options = check_options(options, "lookup")
  check_name(host, 253, "lookup")
  local family = options.family
  if family ~= nil and family ~= 4 and family ~= 6 then error("lookup: family is 4 or 6", 2) end
  return look_up(self, host, family, options.timeout)
end

--- The records of a name, of one type ("A", "AAAA", "HTTPS", "SVCB", "TXT", "MX", "SRV", "CNAME", "PTR", "NS", "SOA"),
-- each with its `name`, `type` and `ttl`, the seconds for which it still holds. The name is whole: no search list, no
-- hosts file. `options`: { timeout = seconds }. nil, message, code, reason as lookup.
function Resolver:query(name, kind, options)
  options = check_options(options, "query")
  check_name(name, 1024, "query")
  if not TYPES[kind] then error("query takes a type of records, such as \"HTTPS\"", 2) end
  if not has_questions() then return unsupported() end
  if #name > 1 then name = name:gsub("%.$", "") end
  local entry, message, code = ask(self, name, kind, nil, options.timeout)
  if not entry then return nil, name .. ": " .. message, code end
  if not entry.message then return fail(name, entry) end
  local records = pick(core.dns_message(entry.message), name, kind)
  local age = math.floor(core.now() - entry.asked)
  for _, record in ipairs(records) do record.ttl = math.max(0, record.ttl - age) end
  return records
end

-- The name under which the names of an address are (RFC 1035 §3.5, RFC 3596 §2.5).
local function reverse_name(ip)
  local bytes = ip_address.parse(ip)
  if not bytes then return nil end
  local is_ipv4 = #bytes == 4
  local labels = bytes:reverse():gsub(".", function(c)
    local byte = c:byte()
    return is_ipv4 and byte .. "." or ("%x.%x."):format(byte % 16, math.floor(byte / 16))
  end)
  return labels .. (is_ipv4 and "in-addr.arpa" or "ip6.arpa")
end

--- The names of an address, by its PTR records. nil, message, code, reason as lookup.
function Resolver:reverse(ip, options)
  local name = type(ip) == "string" and reverse_name(ip)
  if not name then error("reverse takes an IP address", 2) end
  local records, message, code, reason = self:query(name, "PTR", options)
  if not records then return nil, message, code, reason end
  local out = {}
  for i, record in ipairs(records) do out[i] = record.target end
  return out
end

--- Where the host of an https URL is served (HTTPS records, RFC 9460), best first: a list of { target = name whose
-- addresses to connect to, port =, alpn = { "h3", "h2", … }, hints = addresses to try until those of the target are
-- known, ech = bytes or nil, priority = }; empty where there are no such records. An entry of priority 0 is the end of
-- an alias: the target's addresses, and no more is known. `options`: { timeout = seconds }. nil, message, code, reason
-- as lookup.
function Resolver:https(host, port, options)
  options = check_options(options, "https")
  check_name(host, 253, "https")
  if type(port) ~= "number" then error("https takes a host and a port", 2) end
  if is_for_system(host) then return {} end
  return find_services(self, host, port, options)
end

--- Forgets what is kept.
function Resolver:forget()
  self.young, self.old, self.young_count = {}, {}, 0
end

local OPTIONS = { servers = "table", search = "table", timeout = "number", tries = "number" }

--- A resolver of its own: { servers = { "192.0.2.1", "[2001:db8::1]:5353" } (those of the system, by resolv.conf),
-- search = list of domains for names without a dot (the system's), timeout = seconds of the first try, of which each is
-- twice the one before (2), tries = of each server (3) }. It has lookup, query, reverse and https. nil, message, code.
function dns.new(options)
  options = check_options(options, "dns.new")
  for name, value in pairs(options) do
    if not OPTIONS[name] then error("dns.new has no option " .. tostring(name), 2) end
    if type(value) ~= OPTIONS[name] then error(("dns.new: %s is a %s"):format(name, OPTIONS[name]), 2) end
  end
  if not core.dns then return unsupported() end
  local self = setmetatable({ _options = options, _look_at = 0, young = {}, old = {}, young_count = 0, asked = {},
    open = {}, open_count = 0, last_id = 0, queue = {}, queue_first = 1, queue_last = 0, is_driven = false }, Resolver)
  local ok, message, code = channel_of(self)
  if not ok then return nil, message, code end
  return self
end

local preset -- the resolver of this program

--- The resolver that the functions of this module, clients and sockets ask from now on; nil: the system's servers.
function dns.use(resolver)
  if resolver ~= nil and getmetatable(resolver) ~= Resolver then error("dns.use takes a resolver of dns.new", 2) end
  preset = resolver
end

-- Where nothing can be asked, methods need no object.
local function preset_or_new()
  if preset or not has_questions() then return preset or Resolver end
  local message, code
  preset, message, code = dns.new()
  return preset, message, code
end

for _, name in ipairs { "lookup", "query", "reverse", "https" } do
  --- The method of the program's own resolver.
  dns[name] = function(...)
    local resolver, message, code = preset_or_new()
    if not resolver then return nil, message, code end
    return resolver[name](resolver, ...)
  end
end

--- What clients and sockets ask with: the same addresses, with the port.
function task.resolve(host, port, seconds)
  if not has_questions() or is_for_system(host) then return by_system(host, port, seconds) end
  local resolver = preset_or_new()
  if not resolver then return by_system(host, port, seconds) end
  local found, message, code = look_up(resolver, host, nil, seconds)
  if not found then return nil, message, code end
  for i, ip in ipairs(found) do found[i] = (ip:find(":", 1, true) and "[%s]:%d" or "%s:%d"):format(ip, port) end
  return found
end

return dns
