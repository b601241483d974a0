--- A small authority: keys, certification requests (PKCS #10), and the certificates that are issued for them.
-- What is made is PEM text; what is taken may be DER as well. What can happen gives nil, message, code.
local core = require "neap.core"
local options = require "neap.options"

local x509 = {}

local USES = { server = 1, client = 2 }
local AUTHORITY = 4

local is_text = options.of("string")
local days = options.whole(1, 36500)
local subject = options.row("a common name, or { common_name =, organization = }", function(value)
  if type(value) == "string" then return true end
  if type(value) ~= "table" or not (value.common_name or value.organization) then return false end
  for name, text in pairs(value) do
    if name ~= "common_name" and name ~= "organization" or type(text) ~= "string" then return false end
  end
  return true
end)
local names = options.row("a list of up to 32 DNS names and IP addresses", function(value)
  if type(value) ~= "table" or #value > 32 then return false end
  for _, name in ipairs(value) do
    if type(name) ~= "string" then return false end
  end
  return true
end)
local uses = options.row('a list of "client" and "server"', function(value)
  if type(value) ~= "table" or #value == 0 then return false end
  for _, use in ipairs(value) do
    if not USES[use] then return false end
  end
  return true
end)

local REQUEST = { key = is_text, subject = subject, names = names }
local ISSUE = {
  request = is_text, key = is_text, subject = subject, names = names, days = days, uses = uses, ca_cert = is_text,
  ca_key = is_text,
}
local AUTHORITY_OPTIONS = {
  key = is_text, subject = subject, days = days, ca_cert = is_text, ca_key = is_text,
  path_length = options.row("a whole number from 0", function(value)
    return type(value) == "number" and value >= 0 and value <= 1000 and value % 1 == 0
  end),
}

-- What the binding takes, of checked options; `needed` has to be there.
local function plan_of(given, rules, what, needed)
  options.check(given, rules, what, 3)
  for _, name in ipairs(needed) do
    if given[name] == nil then error(("%s needs '%s'"):format(what, name), 3) end
  end
  local plan = {}
  for name, value in pairs(given) do plan[name] = value end
  if type(given.subject) == "table" then
    plan.common_name, plan.organization = given.subject.common_name, given.subject.organization
  else
    plan.common_name = given.subject
  end
  return plan
end

local shared

-- What the functions need of a config is its randomness and its clock.
local function config()
  shared = shared or assert(core.config {})
  return shared
end

--- A fresh ECDSA P-256 key.
function x509.key()
  return config():make_key()
end

--- A request for a certificate: `key`, `subject` (a common name, or { common_name =, organization = }), and `names`,
-- DNS names and IP addresses that are asked for. The key stays where it is: the request has its public half.
function x509.request(given)
  return config():make_request(plan_of(given, REQUEST, "a request", { "key", "subject" }))
end

--- What a request says, when its key signed it: { common_name =, organization =, names = { … }, pin = }. Anybody can
-- make one that says anything: who it is for is to be known otherwise.
function x509.read_request(text)
  if type(text) ~= "string" then
    error("read_request takes the text of a request, PEM or DER, not a " .. type(text), 2)
  end
  return config():read_request(text)
end

-- The same as x509.issue, by the clock of a config.
function x509._issue(with, given)
  local plan = plan_of(given, ISSUE, "a certificate", { "ca_cert", "ca_key" })
  if (given.request == nil) == (given.key == nil) then error("a certificate is for a 'request' or for a 'key'", 2) end
  if given.key and not given.subject then error("a certificate for a 'key' needs 'subject'", 2) end
  plan.uses = 0
  local seen = {}
  for _, use in ipairs(given.uses or { "client" }) do
    if not seen[use] then plan.uses = plan.uses + USES[use] end
    seen[use] = true
  end
  return with:issue_certificate(plan)
end

--- A certificate: for the `request` (verified; its key, and its subject unless `subject` says another, never its
-- names) or for a `key` with a `subject`. `names` (of a server one at least), `days` (365, but not beyond the
-- authority's), `uses` ({ "client" }), `ca_cert` and `ca_key` of who signs.
function x509.issue(given)
  return x509._issue(config(), given)
end

-- The same as x509.authority, by the clock of a config.
function x509._authority(with, given)
  local plan = plan_of(given, AUTHORITY_OPTIONS, "an authority", { "subject" })
  if (given.ca_cert == nil) ~= (given.ca_key == nil) then error("'ca_cert' and 'ca_key' go together", 2) end
  plan.uses, plan.days = AUTHORITY, given.days or 3650
  local message, code
  if not plan.key then
    plan.key, message, code = with:make_key()
    if not plan.key then return nil, message, code end
  end
  local certificate
  certificate, message, code = with:issue_certificate(plan)
  if not certificate then return nil, message, code end
  return certificate, plan.key
end

--- An authority: its certificate and its key. `subject`, `days` (3650), `key` (a fresh one unless told), `path_length`
-- (how many authorities may be below it; any number unless told), and `ca_cert`, `ca_key` of one that it is below: else
-- it signs itself.
function x509.authority(given)
  return x509._authority(config(), given)
end

return x509
