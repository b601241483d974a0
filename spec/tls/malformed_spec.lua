--- Every message of both roles, nearly right: each field cut, extended, emptied, doubled, gone, with a length that does
--- not fit, entries and extensions doubled, missing and out of order; and every message at a wrong level, twice, never,
--- and with another's type. What is not of the form of tls.grammar has to be refused where it is read, not only by the
--- signature or the Finished behind it.
local fixtures = require("tls.fixtures")
local grammar = require("tls.grammar")
local messages = require("tls.messages")
local pair = require("tls.pair")

local DECRYPT_ERROR = pair.alert(51)

--- A client and a server: their configs, a whole handshake, which leaves sessions behind, and one that resumes.
local function acquaintance(client_options, server_options)
  local world = {
    client_config = assert(fixtures.client_config(client_options)),
    server_config = assert(fixtures.server_config(server_options)), server_options = server_options,
  }
  function world.handshakes()
    return { assert(world.client_config:client("example.test", "client params", fixtures.now)),
      assert(world.server_config:server("server params", fixtures.now)) }
  end
  world.whole = pair.new({ handshakes = world.handshakes() })
  assert(world.whole:run())
  world.saved = select(2, world.client_config:sessions())
  world.resumed = pair.new({ handshakes = world.handshakes() })
  assert(world.resumed:run())
  assert(world.resumed.client:info().resumed)
  return world
end

local SUITES = { 0x1301, 0x1302 }
local retried = acquaintance({ groups = { 0x1d, 0x17 }, resumption = true, suites = SUITES },
  { groups = { 0x17 }, resumption = true })
local LIMITS = { 4, 1000, 200, 300, 400, 10, 11, 30000, 65527, 1 }
local early = acquaintance({ resumption = true, suites = SUITES, early = true, limits = LIMITS },
  { resumption = true, early = true, limits = LIMITS })
assert(early.resumed.client:info().early == "accepted")

-- The client has the sessions of the first run, or none; a server with early data has a register with room in it.
local function prepare(world, resumes)
  if world.server_options.early then world.server_config = assert(fixtures.server_config(world.server_options)) end
  while world.client_config:sessions() > 0 do
    assert(world.client_config:client("example.test", "", fixtures.now)):free()
  end
  if resumes then assert.equal(0, world.client_config:load_sessions(world.saved)) end
end

-- Runs it again with another message number `which`, or more of them: what the failure was, and whether both sides
-- completed.
local function run_with(world, which, change, resumes)
  prepare(world, resumes)
  local p = pair.new({
    handshakes = world.handshakes(),
    filter = function(_, _, message, count) return count == which and change(message) or nil end,
  })
  local ok, failure = p:run()
  local both = p.client:info().complete and p.server:info().complete
  p.client:free()
  p.server:free()
  return ok, failure, both
end

local function is_clean(failure)
  return (failure.code == pair.PROTOCOL_VIOLATION or failure.code > 0x100 and failure.code < 0x200)
    and #failure.reason > 0
end

local FORMS = {
  [messages.CLIENT_HELLO] = "CLIENT_HELLO", [messages.SERVER_HELLO] = "SERVER_HELLO",
  [messages.ENCRYPTED_EXTENSIONS] = "ENCRYPTED_EXTENSIONS", [messages.CERTIFICATE] = "CERTIFICATE",
  [messages.CERTIFICATE_VERIFY] = "CERTIFICATE_VERIFY", [messages.FINISHED] = "FINISHED",
  [messages.NEW_SESSION_TICKET] = "NEW_SESSION_TICKET",
}
local RETRY_RANDOM = "\207\33\173\116\229\154\97\17"

local TYPES = { 254, 255 } -- message_hash, what is in no registry, and all that there are
for kind = 0, 31 do table.insert(TYPES, kind) end

local function form_of(message)
  local name = FORMS[messages.kind(message)]
  if name == "SERVER_HELLO" and message:sub(7, 14) == RETRY_RANDOM then name = "HELLO_RETRY_REQUEST" end
  return name, grammar[name]
end

local function refuses_mutations(world, resumes)
  for which, seen in ipairs((resumes and world.resumed or world.whole).seen) do
    local name, form = form_of(seen.message)
    it(("refuses message %d, %s of the %s, where it is malformed"):format(which, name, seen.from), function()
      local mutations = grammar.mutations(form, messages.body(seen.message))
      assert.is_true(#mutations >= 4)
      for _, m in ipairs(mutations) do
        local changed = messages.build(messages.kind(seen.message), m.body)
        local _, failure, both = run_with(world, which, function() return changed end, resumes)
        local what = ("%s: %s"):format(m.name, failure and ("%x %s"):format(failure.code, failure.reason) or "taken")
        if failure then assert.is_true(is_clean(failure), what) end
        -- A ticket is behind the handshake, and nothing signs it.
        if name ~= "NEW_SESSION_TICKET" then assert.is_false(both, what) end
        if m.is_malformed or m.doubles_extension then
          assert.is_truthy(failure, what)
          assert.are_not.equal(seen.from, failure.side, what)
          assert.are_not.equal(DECRYPT_ERROR, failure.code, what)
        end
      end
    end)
  end
end

local function refuses_disorder(world, resumes)
  for which, seen in ipairs((resumes and world.resumed or world.whole).seen) do
    local name = form_of(seen.message)
    local is_ticket = name == "NEW_SESSION_TICKET"

    it(("refuses message %d, %s of the %s, with the type of any other"):format(which, name, seen.from), function()
      for _, kind in ipairs(TYPES) do
        if kind ~= messages.kind(seen.message) then
          local _, failure, both = run_with(world, which, function(m) return string.char(kind) .. m:sub(2) end, resumes)
          assert.is_truthy(failure, kind)
          assert.is_true(is_clean(failure), kind)
          if not is_ticket then assert.is_false(both) end
        end
      end
    end)

    it(("refuses message %d, %s of the %s, whose header has another length"):format(which, name, seen.from),
      function()
        for _, by in ipairs({ -1, 1, -4, 256, 65536 }) do
          local _, failure, both = run_with(world, which, function(m)
            return m:sub(1, 1) .. messages.bytes(#m - 4 + by, 3) .. m:sub(5)
          end, resumes)
          if failure then assert.is_true(is_clean(failure)) end
          if not is_ticket then assert.is_false(both) end
        end
      end)

    if not is_ticket then
      it(("refuses message %d, %s of the %s, twice or never"):format(which, name, seen.from), function()
        local _, failure, both = run_with(world, which, function(m) return m .. m end, resumes)
        assert.is_truthy(failure)
        assert.is_true(is_clean(failure))
        assert.is_false(both and name ~= "FINISHED")
        _, failure, both = run_with(world, which, function() return "" end, resumes)
        if failure then assert.is_true(is_clean(failure)) end
        assert.is_false(both)
      end)
    end

    it(("refuses message %d, %s of the %s, at every other level"):format(which, name, seen.from), function()
      for level = 0, 3 do
        if level ~= seen.level then
          prepare(world, resumes)
          local p = pair.new({ handshakes = world.handshakes() })
          local deliver, failed = p.deliver, nil
          function p:deliver(side, at, bytes)
            if self.count >= which and not failed and side ~= seen.from then
              failed = { self[side]:receive(level, seen.message) }
              return nil, { side = side, code = failed[2], reason = failed[3] }
            end
            return deliver(self, side, at, bytes)
          end
          p:run()
          assert.is_nil(failed[1])
          assert.equal(pair.PROTOCOL_VIOLATION, failed[2])
          p.client:free()
          p.server:free()
        end
      end
    end)
  end
end

describe("a handshake with HelloRetryRequest", function()
  refuses_mutations(retried, false)
  refuses_disorder(retried, false)
end)

describe("a handshake that resumes", function()
  refuses_mutations(retried, true)
  refuses_disorder(retried, true)
end)

describe("a handshake with early data", function()
  refuses_mutations(early, true)
end)

describe("a client that is asked for a certificate", function()
  local request = "\0" .. messages.vector("\0\13" .. messages.vector("\0\4\4\3\8\4", 2) .. "\250\250\0\1x", 2)

  it("refuses a CertificateRequest that is malformed", function()
    local certificate
    for which, seen in ipairs(retried.whole.seen) do
      if messages.kind(seen.message) == messages.CERTIFICATE then certificate = which end
    end
    for _, m in ipairs(grammar.mutations(grammar.CERTIFICATE_REQUEST, request)) do
      local _, failure, both = run_with(retried, certificate, function(message)
        return messages.build(messages.CERTIFICATE_REQUEST, m.body) .. message
      end)
      assert.is_truthy(failure, m.name)
      assert.is_true(is_clean(failure), m.name)
      assert.is_false(both)
      if m.is_malformed or m.doubles_extension then assert.are_not.equal(DECRYPT_ERROR, failure.code, m.name) end
    end
  end)
end)

describe("the memory of both configs", function()
  it("is as it was, whatever was refused", function()
    prepare(retried, false)
    local client, server = retried.client_config:used(), retried.server_config:used()
    for which = 1, #retried.whole.seen do
      run_with(retried, which, function(message) return message:sub(1, -2) end)
    end
    prepare(retried, false)
    assert.equal(client, (retried.client_config:used()))
    assert.equal(server, (retried.server_config:used()))
  end)
end)
