--- Handshakes that ask: functions of the application answer them, each question in a task of its own, which may wait.
local certificate = require "neap.certificate"
local core = require "neap.core"
local log = require "neap.log"
local task = require "neap.task"

local asking = {}

local MOST = 1024 -- questions that are looked into at once, of one server or client
local INTERNAL_ERROR, ACCESS_DENIED, UNRECOGNIZED_NAME = 80, 49, 112 -- alerts, RFC 8446 §6.2

-- What is no PEM and no DER is the path of a file.
local function material(text)
  if type(text) ~= "string" or text:find("-----BEGIN", 1, true) then return text end
  if text:byte(1) == 0x30 and #text > 32 then return text end
  local file, message = io.open(text, "rb")
  if not file then return nil, message end
  local bytes
  bytes, message = file:read("*a")
  file:close()
  return bytes, message
end

local function answer_certificate(conn, question, fn)
  local found, why = fn(question.server_name, question)
  if not found then
    if why then return nil, why end
    return conn:answer_certificate(question.id)
  end
  if type(found) ~= "table" or type(found.cert) ~= "string" then
    return nil, "'certificate' gave no { cert =, key = }"
  end
  local cert, key
  cert, why = material(found.cert)
  if cert then key, why = material(found.key) end
  if why then return nil, why end
  local ok, message, code = conn:answer_certificate(question.id, cert, key)
  if not ok then return nil, "the certificate of 'certificate': " .. message, code end
  return true
end

-- The option of each kind, what becomes of what its function returns (true, or nil, message, code), and the alert of a
-- no.
local kinds = {
  signature = {
    option = "sign",
    answer = function(conn, question, fn)
      local signature, why = fn(question.bytes, question.scheme, question.server_name, question)
      if type(signature) ~= "string" then return nil, why or "'sign' gave no signature" end
      local ok, message, code = conn:answer_signature(question.id, signature)
      if not ok then return nil, "the signature of 'sign': " .. message, code end
      return true
    end,
  },
  certificate = { option = "certificate", alert = UNRECOGNIZED_NAME, answer = answer_certificate },
  psk = {
    option = "psk",
    answer = function(conn, question, fn)
      local key, hash = fn(question.bytes, question)
      if key ~= nil and type(key) ~= "string" then return nil, "'psk' gave a key that is no string" end
      local ok, message, code = conn:answer_psk(question.id, key, key and hash)
      if code == "crypto" then return true end -- the client has another key, or none: its own affair
      if not ok then return nil, "the key of 'psk': " .. message, code end
      return true
    end,
  },
  peer = {
    option = "verify_server",
    alert = ACCESS_DENIED,
    answer = function(conn, question, fn)
      local ok, why = fn(question.certificate, question)
      if ok ~= true then return nil, why or "'verify_server' did not say true" end
      return conn:answer_peer(question.id)
    end,
  },
  client = { -- the peer of a server
    option = "verify_client",
    alert = ACCESS_DENIED,
    answer = function(conn, question, fn)
      local ok, why = fn(certificate.of(conn:peer_certificates()), question, conn)
      if ok ~= true then return nil, why or "'verify_client' did not say true" end
      return conn:answer_peer(question.id)
    end,
  },
}

local function kind_of(conn, question)
  return question.kind == "peer" and conn:is_server() and "client" or question.kind
end

--- The functions among the options of a config, as asking.answerer takes them; nil when there are none.
function asking.functions(config)
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

-- A line a second about what peers may bring about at will.
local function complainer()
  local last, more = nil, 0
  return function(text)
    local now = core.now()
    if last and now - last < 1 then
      more = more + 1
      return
    end
    log.warn(text .. (more > 0 and (" (and %d more since the last line)"):format(more) or ""))
    last, more = now, 0
  end
end

local function look_into(self, conn, question)
  local kind = kind_of(conn, question)
  local row = kinds[kind]
  local ok, result, why, code = xpcall(row.answer, debug.traceback, conn, question, self.functions[kind])
  self.open = self.open - 1
  if ok and result then return end
  -- What went wrong is nothing that a peer should read. With "crypto" the connection has ended by the answer; otherwise
  -- there may be nobody any more whom to refuse.
  if not conn:refuse_question(question.id, ok and row.alert or INTERNAL_ERROR) and code ~= "crypto" then return end
  local where = ("handshake with %s: "):format(conn:peer() or "a peer")
  if ok then self.complain(where .. tostring(why)) else task.on_error(where .. tostring(result)) end
end

--- answer(conn), for connections that have asked anew: the third of task.attach. `functions` as asking.functions gives
-- them, nil: nothing is ever asked.
function asking.answerer(functions)
  if not functions then return nil end
  local self = { functions = functions, open = 0, complain = complainer() }
  return function(conn)
    local question = conn:question()
    if not question then return end
    local kind = kind_of(conn, question)
    if not functions[kind] or self.open >= MOST then
      conn:refuse_question(question.id)
      self.complain(("handshake with %s: %s"):format(conn:peer(), self.open >= MOST and "too many questions are open"
        or "nobody answers for its " .. kind))
      return
    end
    self.open = self.open + 1
    task.go(look_into, self, conn, question)
  end
end

return asking
