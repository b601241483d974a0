--- Handshakes that ask: functions of the application answer them, each question in a task of its own, which may wait.
local certificate = require "neap.certificate"
local core = require "neap.core"
local log = require "neap.log"
local options = require "neap.options"
local Session = require "neap.session"
local task = require "neap.task"

local asking = {}

local MOST = 1024 -- questions that are looked into at once, of one server or client,
local SHARE = 64 -- and of one address; the others wait for their turn
local SLOW = 1 -- seconds after which a client that has gone may have had enough of waiting
local INTERNAL_ERROR, ACCESS_DENIED, UNRECOGNIZED_NAME = 80, 49, 112 -- alerts, RFC 8446 §6.2

local function read_file(path)
  local file, message = io.open(path, "rb")
  if not file then return nil, message end
  local bytes
  bytes, message = file:read("*a")
  file:close()
  return bytes, not bytes and ("%s: %s"):format(path, message) or nil
end

-- What is no PEM and no DER is the path of a file, which is put into `paths`.
local function material(text, paths)
  if type(text) ~= "string" or text:find("-----BEGIN", 1, true) then return text end
  if text:byte(1) == 0x30 and #text > 32 then return text end
  paths[#paths + 1] = text
  return read_file(text)
end

local CERTIFICATE_FIELDS = { cert = true, key = true, ocsp_file = true }
local PSK_FIELDS = { key = true, hash = true }

-- nil, or what is wrong with the table that the function `option` gave.
local function unknown_field(option, found, known)
  for field in pairs(found) do
    if not known[field] then return ("'%s' gave an unknown field '%s'"):format(option, tostring(field)) end
  end
end

local function is_asking(conn, id)
  local question = conn:question()
  return question and question.id == id and question
end

-- Why an answer was not taken: where it ended the handshake, what that says.
local function reason_of(conn, message, code)
  local why = code == "crypto" and conn:error()
  return why and why.reason ~= "" and why.reason or message
end

-- What the function gave for a name, with what its paths name: { cert =, key =, response =, … }, `note` what the
-- log is to be told; {}: it has none. false and why it said no; nil and what is wrong with what it gave.
local function ask_certificate(question, fn)
  local found, why = fn(question.server_name, question)
  if not found then
    if why then return false, why end
    return {}
  end
  if type(found) ~= "table" or type(found.cert) ~= "string" then
    return nil, "'certificate' gave no { cert =, key = }"
  end
  why = unknown_field("certificate", found, CERTIFICATE_FIELDS)
  if why then return nil, why end
  local path = found.ocsp_file
  if path ~= nil and type(path) ~= "string" then return nil, "of 'certificate': 'ocsp_file' must be a path" end
  local given, paths = {}, {}
  given.cert, why = material(found.cert, paths)
  if given.cert then given.key, why = material(found.key, paths) end
  if why then return nil, "the certificate of 'certificate': " .. why end
  given.from = #paths > 0 and table.concat(paths, ", ") .. ": " or ""
  if path then
    given.response_path = path
    given.response, why = read_file(path)
    if why then given.note = "'certificate' gave no OCSP response: " .. why end
  end
  return given
end

-- An OCSP response that cannot be shown costs no handshake: who requires one refuses it himself.
local function give_certificate(conn, question, given)
  local id = question.id
  local ok, message, code = conn:answer_certificate(id, given.cert, given.key, given.response)
  if not ok and not given.cert then
    return false, ("'certificate' gave none for %s: %s"):format(question.server_name or "no name",
      reason_of(conn, message, code)), code
  end
  if not ok and given.response and is_asking(conn, id) then
    local unshown = message
    ok, message, code = conn:answer_certificate(id, given.cert, given.key)
    if ok then given.note = ("the OCSP response of 'certificate': %s: %s"):format(given.response_path, unshown) end
  end
  if ok then return true, given.note end
  return nil, "the certificate of 'certificate': " .. given.from .. reason_of(conn, message, code), code
end

local function answer_certificate(conn, question, fn)
  local given, why = ask_certificate(question, fn)
  if not given then return given, why end
  local result, message, code = give_certificate(conn, question, given)
  return result, message, code, given
end

-- A key and its hash, { key =, hash = }, or nil and why there is none: what the client is told of that is the same for
-- every identity.
local function answer_psk(conn, question, fn)
  local found, more = fn(question.bytes, question)
  local key, hash = found, more
  if type(found) == "table" then
    local wrong = unknown_field("psk", found, PSK_FIELDS)
    if wrong then return nil, wrong end
    key, hash = found.key, found.hash
  end
  if found ~= nil and type(key) ~= "string" then return nil, "'psk' gave a key that is no string" end
  local ok, message, code = conn:answer_psk(question.id, key, key and hash)
  if code == "argument" then message = "a key has 16 to 64 bytes" end
  -- With "crypto" the client has another key, or none: its own affair.
  if not ok and code ~= "crypto" then return nil, "the key of 'psk': " .. message, code end
  if key and options.is_hex_text(key) then
    return true, ("the key of 'psk' is hex digits alone, and is taken as these %d bytes"):format(#key)
  end
  return true, found == nil and more or nil
end

-- The option of each kind, what becomes of what its function returns (true and what the log is to be told, if anything;
-- false, why: it said no; nil, message, code: what it gave is wrong), and the alert of a no.
local kinds = {
  signature = {
    option = "sign",
    answer = function(conn, question, fn)
      local signature, why = fn(question.bytes, question.scheme, question.server_name, question)
      if type(signature) ~= "string" then return false, why or "'sign' gave no signature" end
      local ok, message, code = conn:answer_signature(question.id, signature)
      if code == "crypto" then message = "it is not one of the certificate's key" end
      if not ok then return nil, "the signature of 'sign': " .. message, code end
      return true
    end,
  },
  certificate = { option = "certificate", alert = UNRECOGNIZED_NAME, answer = answer_certificate },
  psk = { option = "psk", answer = answer_psk },
  peer = {
    option = "verify_server",
    alert = ACCESS_DENIED,
    answer = function(conn, question, fn)
      local ok, why = fn(question.certificate, question)
      if ok ~= true then return false, why or "'verify_server' did not say true" end
      return conn:answer_peer(question.id)
    end,
  },
  client = { -- the peer of a server
    option = "verify_client",
    alert = ACCESS_DENIED,
    answer = function(conn, question, fn)
      local ok, why = fn(certificate.of(conn:peer_certificates()), question, conn)
      if ok ~= true then return false, why or "'verify_client' did not say true" end
      return conn:answer_peer(question.id)
    end,
  },
}

local function kind_of(conn, question)
  return question.kind == "peer" and conn:is_server() and "client" or question.kind
end

-- The functions among the options of a config, by kind; nil when there are none.
local function functions_of(config)
  local functions
  for kind, row in pairs(kinds) do
    local fn = config[row.option]
    if type(fn) == "function" then
      functions = functions or {}
      functions[kind] = fn
    end
  end
  return functions
end

-- The address of "host:port": of IPv6 the network of 64 bits, of which one peer has all addresses.
local function network(peer)
  local host = peer:match("^%[([^%%%]]*).*%]:%d+$")
  if not host then return peer:match("^(.*):%d+$") or peer end
  local mapped = host:match("^::ffff:(%d+%.%d+%.%d+%.%d+)$")
  if mapped then return mapped end
  local head, tail = host:match("^(.-)::(.*)$")
  local groups, behind = {}, 0
  for group in (head or host):gmatch("[^:]+") do groups[#groups + 1] = group end
  for _ in (tail or ""):gmatch("[^:]+") do behind = behind + 1 end
  if tail then
    for _ = 1, 8 - #groups - behind do groups[#groups + 1] = "0" end
    for group in tail:gmatch("[^:]+") do groups[#groups + 1] = group end
  end
  return table.concat(groups, ":", 1, math.min(4, #groups)) .. "::/64"
end

-- Questions wait by address, each in the order of its coming, and addresses with a question whose turn may be are in a
-- line of their own, once each: who asks much waits for himself. A handshake that has ended leaves its question behind:
-- these are swept out when there may be as many of them as of the others, so that connections in handshake bound all. A
-- function that has not returned by then hangs: its place is free for another, up to as many that hang as there are
-- places, and from then on those keep theirs.
local SWEEP_LEAST = 256

local function share_of(self, address)
  local share = self.shares[address]
  if not share then
    share = { address = address, open = 0, hanging = 0, first = 1, last = 0, is_in_line = false }
    self.shares[address] = share
  end
  return share
end

-- How many of the `most` places are taken, of an address or of all.
local function taken(of, most) return of.open - math.min(of.hanging, most) end

local function get_in_line(self, share)
  if share.is_in_line or taken(share, SHARE) >= SHARE or share.first > share.last then return end
  share.is_in_line = true
  self.line_last = self.line_last + 1
  self.line[self.line_last] = share
end

local function take_from_line(self)
  local share = self.line[self.line_first]
  if not share then return nil end
  self.line[self.line_first] = nil
  self.line_first = self.line_first + 1
  share.is_in_line = false
  return share
end

-- The first that still asks: conn, question.
local function take_waiting(self, share)
  while share.first <= share.last do
    local entry = share[share.first]
    share[share.first] = nil
    share.first = share.first + 1
    self.waiting = self.waiting - 1
    local question = is_asking(entry.conn, entry.id)
    if question then return entry.conn, question end
  end
end

local function forget_if_idle(self, share)
  if share.open == 0 and share.first > share.last and not share.is_in_line then self.shares[share.address] = nil end
end

local function sweep(self)
  if self.waiting < self.sweep_at then return end
  for _, share in pairs(self.shares) do
    local last = share.first - 1
    for i = share.first, share.last do
      local entry = share[i]
      share[i] = nil
      if is_asking(entry.conn, entry.id) then
        last = last + 1
        share[last] = entry
      end
    end
    self.waiting = self.waiting - (share.last - last)
    share.last = last
    forget_if_idle(self, share)
  end
  self.sweep_at = math.max(SWEEP_LEAST, 2 * self.waiting)
end

-- Handshakes that want the same certificate are given what one of them asks for: the others join its turn and take none
-- of their own, up to MOST, while the function has not been at it for SLOW seconds. An answer that began before a
-- reload is for none that asks after it.
local reloads = 0

--- What was asked for is to be asked for anew.
function asking.begin_anew()
  reloads = reloads + 1
end

-- The certificate that is wanted, where it is kept for the next who want it.
local function wanted_of(self, kind, question)
  if kind ~= "certificate" or not self.keeps_certificates then return nil end
  return ("%d %s %s"):format(reloads, (question.server_name or ""):lower(), table.concat(question.schemes, " "))
end

local function has_joined(self, turn)
  local first = turn.wanted and self.wanted[turn.wanted]
  if not first or self.joined == MOST or turn.begun - first.begun >= SLOW then return false end
  self.joined = self.joined + 1
  first.joined = first.joined or {}
  first.joined[#first.joined + 1] = turn
  return true
end

local look_into

-- Those whose turn it is, an address after the other.
local function take_turns(self)
  while taken(self, MOST) < MOST do
    local share = take_from_line(self)
    if not share then return end
    local conn, question = take_waiting(self, share)
    if conn then
      local kind = kind_of(conn, question)
      local turn = { conn = conn, question = question, kind = kind, share = share, peer = conn:peer(),
        begun = core.now(), wanted = wanted_of(self, kind, question) }
      if not has_joined(self, turn) then
        self.open, share.open = self.open + 1, share.open + 1
        self.turns[conn] = turn
        if turn.wanted then self.wanted[turn.wanted] = turn end
        task.go(look_into, self, turn)
      end
    end
    get_in_line(self, share)
    forget_if_idle(self, share)
  end
end

local function count_hanging(self, share, by)
  self.hanging, share.hanging = self.hanging + by, share.hanging + by
end

local function has_ended(self, turn)
  local share = turn.share
  if turn.hangs then
    turn.hangs = false
    count_hanging(self, share, -1)
    task.wake(turn.watcher, true)
  end
  if self.turns[turn.conn] == turn then self.turns[turn.conn] = nil end
  if turn.wanted and self.wanted[turn.wanted] == turn then self.wanted[turn.wanted] = nil end
  self.open, share.open = self.open - 1, share.open - 1
  get_in_line(self, share)
  forget_if_idle(self, share)
  take_turns(self)
end

local function complain_of_slow(self, turn, ending, lasted)
  self.complain("slow", ("handshake with %s: '%s' had not answered after %.1f seconds" .. ending):format(turn.peer,
    kinds[turn.kind].option, core.now() - turn.begun, lasted))
end

-- Of a client that went soon it is not known yet.
local function watch(self, turn, lasted)
  if not turn.hangs then return end
  turn.watcher = task.waiter()
  if task.await(turn.watcher, turn.begun + SLOW - core.now()) then return end
  complain_of_slow(self, turn, "; it ended after %.1f", lasted)
end

-- The handshake may be over while the function for its question has not returned.
local function look_after(self, conn)
  local turn = self.turns[conn]
  if not turn or is_asking(conn, turn.question.id) then return end
  self.turns[conn] = nil
  turn.hangs = true
  count_hanging(self, turn.share, 1)
  local why, lasted = conn:error(), core.now() - turn.begun
  if (why and why.by == "handshake_timeout") or lasted >= SLOW then
    complain_of_slow(self, turn, ", when it ended")
  else
    task.go(watch, self, turn, lasted)
  end
  get_in_line(self, turn.share)
  take_turns(self)
end

local reasons = setmetatable({}, { __mode = "k" }) -- why a function of the application's refused, by connection

--- conn:error(), with the reason for which a function of the application's refused the peer: that is for the
-- application, and the peer does not read it.
function asking.error_of(conn)
  local why = conn:error()
  if why and why.by == "local" and reasons[conn] then why.reason = reasons[conn] end
  return why
end

-- What of ours a client refuses, by its alert (RFC 8446 §6.2).
local refusals = { [51] = "signature or Finished" }
for _, alert in ipairs { 42, 43, 44, 45, 46, 48, ACCESS_DENIED, 113 } do refusals[alert] = "certificate" end

--- Of a server's connection that drains or is closed: complain(kind, text), as log.complainer gives it, where we ended
-- it by a TLS alert, and where the client ended it by one that says that our certificate is not good. What a function
-- refused is in the log already.
function asking.tell_refusal(conn, complain)
  if conn:is_closed() or reasons[conn] then return end -- it came once before, when it began to drain
  local why = conn:error()
  if not Session.is_alert(why) then return end
  local alert = why.code - 0x100
  local what = ("%s (%d)%s"):format(why.name, alert, why.reason ~= "" and ": " .. why.reason or "")
  if why.by == "local" then
    complain(why.name, ("handshake with %s refused: %s"):format(conn:peer(), what))
  elseif why.by == "peer" and refusals[alert] then
    complain("peer " .. why.name, ("%s refused our %s: %s"):format(conn:peer(), refusals[alert], what))
  end
end

-- Without what the client chose, and may choose anew each time.
local function without_name(text, question)
  local name = question.kind == "psk" and question.bytes or question.server_name
  return name and text:gsub(name:gsub("%p", "%%%0"), "?") or text
end

-- An error of a function: where it was raised is said once, as long as the next is raised there too.
local function tell_failure(self, option, where, trace, question)
  local message, stack = trace:match("^(.-)\n(stack traceback:.*)$")
  local is_known = not stack or self.stacks[option] == stack
  local text = where .. (is_known and message or trace)
  if self.tell_error(option, text, without_name(message or trace, question)) then self.stacks[option] = stack end
end

-- What became of a question: as xpcall gives it of the answer of its kind.
local function settle(self, turn, ok, result, why, code)
  local conn, question, row = turn.conn, turn.question, kinds[turn.kind]
  why = why ~= nil and tostring(why) or nil
  local where = ("handshake with %s: "):format(turn.peer)
  local function complain(kind) self.complain(row.option .. kind, where .. why, without_name(why, question)) end
  if ok and result then
    if why then complain(" gave") end
    return
  end
  -- What went wrong is nothing that a peer should read. With "crypto" the connection has ended by the answer; otherwise
  -- there may be nobody any more whom to refuse.
  local alert = ok and result == false and row.alert or INTERNAL_ERROR
  if not conn:refuse_question(question.id, alert) and code ~= "crypto" then return end
  if ok then
    reasons[conn] = why
    return complain(result == false and " refused" or " is wrong")
  end
  local trace = tostring(result)
  reasons[conn] = ("'%s' failed: %s"):format(row.option, trace:match("^[^\n]*"))
  tell_failure(self, row.option, where, trace, question)
end

function look_into(self, turn)
  local ok, result, why, code, given = xpcall(kinds[turn.kind].answer, debug.traceback, turn.conn, turn.question,
    self.functions[turn.kind])
  has_ended(self, turn)
  settle(self, turn, ok, result, why, code)
  if not turn.joined then return end
  self.joined = self.joined - #turn.joined
  for _, other in ipairs(turn.joined) do
    task.sleep(0) -- each with a turn of the loop, as it signs
    if is_asking(other.conn, other.question.id) then
      if given then result, why, code = give_certificate(other.conn, other.question, given) end
      settle(self, other, ok, result, why, code)
    end
  end
end

--- answer(conn), for connections that have asked anew or ended: the third of task.attach. Of the options of a config;
-- nil where none of them is a function that is asked.
function asking.answerer(config)
  local functions = functions_of(config)
  if not functions then return nil end
  local self = { functions = functions, open = 0, hanging = 0, waiting = 0, turns = {}, shares = {}, line = {},
    line_first = 1, line_last = 0, sweep_at = SWEEP_LEAST, complain = log.complainer(),
    tell_error = log.complainer(nil, function(text) task.on_error(text) end), stacks = {},
    wanted = {}, joined = 0, keeps_certificates = config.certificate_ttl ~= 0 }
  return function(conn)
    look_after(self, conn)
    local question = conn:question()
    if not question then return end
    local kind = kind_of(conn, question)
    if not functions[kind] then
      conn:refuse_question(question.id)
      reasons[conn] = "nobody answers for its " .. kind
      self.complain("nobody", ("handshake with %s: %s"):format(conn:peer(), reasons[conn]))
      return
    end
    sweep(self)
    local share = share_of(self, network(conn:peer()))
    share.last = share.last + 1
    share[share.last] = { conn = conn, id = question.id }
    self.waiting = self.waiting + 1
    get_in_line(self, share)
    take_turns(self)
    if taken(self, MOST) >= MOST then
      self.complain("many", ("%d questions of handshakes are open, and %d wait"):format(self.open, self.waiting))
    end
  end
end

return asking
