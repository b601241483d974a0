--- Every message of a handshake changed on its way: an error or not, never both sides complete, never a crash.
local fixtures = require("tls.fixtures")
local messages = require("tls.messages")
local pair = require("tls.pair")

local MOST = 32 -- positions tried in a message

local function positions(size)
  local list, step = {}, math.max(1, size / MOST)
  local at = 1
  while at <= size do
    table.insert(list, math.floor(at))
    at = at + step
  end
  return list
end

local function flip(message, at, bit)
  local byte = message:byte(at)
  local flipped = math.floor(byte / bit) % 2 == 1 and byte - bit or byte + bit
  return message:sub(1, at - 1) .. string.char(flipped) .. message:sub(at + 1)
end

local CHANGES = {
  ["with a bit flipped"] = function(message, at, i) return flip(message, at, 2 ^ (i % 8)) end,
  ["cut off, with the length that it has then"] = function(message, at)
    if at < 5 then return "" end
    return messages.build(messages.kind(message), message:sub(5, at - 1))
  end,
  ["cut off"] = function(message, at) return message:sub(1, at - 1) end,
  ["with a byte more in it"] = function(message, at)
    local where = math.max(at, 5)
    return messages.build(messages.kind(message), message:sub(5, where - 1) .. "\0" .. message:sub(where))
  end,
  ["with a byte less in it"] = function(message, at)
    if at < 5 then return "" end
    return messages.build(messages.kind(message), message:sub(5, at - 1) .. message:sub(at + 1))
  end,
  ["with a byte of ones"] = function(message, at)
    return message:sub(1, at - 1) .. (message:byte(at) == 255 and "\0" or "\255") .. message:sub(at + 1)
  end,
}

local client_config = assert(fixtures.client_config({ groups = { 0x1d, 0x17 } }))
local server_config = assert(fixtures.server_config({ groups = { 0x17 } }))

local function handshakes()
  return { assert(client_config:client("example.test", "client params", fixtures.now)),
    assert(server_config:server("server params", fixtures.now)) }
end

-- A handshake whose message number `which` is changed; the verdict of both sides.
local function run_with(which, change)
  local p = pair.new({
    handshakes = handshakes(),
    filter = function(_, _, message, count)
      return count == which and change(message) or nil
    end,
  })
  local ok, failure = p:run()
  local both = p.client:info().complete and p.server:info().complete
  p.client:free()
  p.server:free()
  return ok, failure, both
end

describe("a handshake with HelloRetryRequest", function()
  -- The original messages, in order: two hellos each, the server's flight, the client's Finished.
  local original = pair.new({ handshakes = handshakes() })
  assert(original:run())

  local used = { client = client_config:used(), server = server_config:used() }

  for which, seen in ipairs(original.seen) do
    for name, change in pairs(CHANGES) do
      it(("survives message %d (%s, kind %d) %s"):format(which, seen.from, messages.kind(seen.message), name),
        function()
          for i, at in ipairs(positions(#seen.message)) do
            local changed = change(seen.message, at, i) ~= seen.message
            local _, failure, both = run_with(which, function(message) return change(message, at, i) end)
            assert.is_true(not (changed and both))
            if failure then
              assert.is_true(failure.code == pair.PROTOCOL_VIOLATION or failure.code > 0x100 and failure.code < 0x200)
              assert.is_true(#failure.reason > 0)
            end
          end
        end)
    end
  end

  it("has given all memory back", function()
    original.client:free()
    original.server:free()
    assert.is_true((client_config:used()) <= used.client)
    assert.is_true((server_config:used()) <= used.server)
  end)

  it("survives messages of random bytes at each step", function()
    math.randomseed(42)
    for which = 1, #original.seen do
      for size = 0, 200, 5 do
        local body = {}
        for i = 1, size do body[i] = string.char(math.random(0, 255)) end
        local _, _, both = run_with(which, function(message)
          return messages.build(messages.kind(message), table.concat(body))
        end)
        assert.is_false(both)
      end
    end
  end)
end)
