local messages = require("tls.messages")
local pair = require("tls.pair")

local alert, vector = pair.alert, messages.vector

local function ticket(extensions, text)
  return messages.build(messages.NEW_SESSION_TICKET, "\0\0\14\16" .. "\1\2\3\4" .. vector("nonce", 1)
    .. vector(text or "ticket", 2) .. vector(extensions or "", 2))
end

-- The two ways in which data after the handshake is taken: by the handshake, and by the tail that survives it.
for _, way in ipairs({ "handshake", "tail" }) do
  describe("data after the handshake, given to the " .. way, function()
    local function give(side, bytes, fragment)
      local p = pair.new()
      assert.is_true(p:run())
      local used = p[side .. "_config"]:used()
      local tail = way == "tail" and p[side]:take_tail()
      for at = 1, #bytes, fragment or #bytes do
        local piece = bytes:sub(at, at + (fragment or #bytes) - 1)
        local ok, code
        if tail then ok, code = tail:receive(piece) else ok, code = p[side]:receive(pair.APPLICATION, piece) end
        if not ok then return code end
      end
      if not tail then
        assert.equal(used, (p[side .. "_config"]:used()))
        assert.is_true(p[side]:info().complete)
      end
      return nil
    end

    -- covers: rfc8446#4.6.1.14 rfc8446#9.3.6
    it("may be tickets for a client, which it ignores, in any fragmentation", function()
      assert.is_nil(give("client", ticket()))
      assert.is_nil(give("client", ticket("\250\250\0\1x") .. ticket():rep(5)))
      assert.is_nil(give("client", ticket() .. ticket(), 1))
      assert.is_nil(give("client", ticket("\0\42\0\4\255\255\255\255")))
      assert.is_nil(give("client", ticket("", ("t"):rep(60000)), 1000))
    end)

    -- covers: rfc9001#4.6.1.2
    it("may not allow early data by a size of its own", function()
      for _, size in ipairs({ "\0\0\0\0", "\255\255\255\254", "\0\0\64\0" }) do
        assert.equal(pair.PROTOCOL_VIOLATION, give("client", ticket("\0\42\0\4" .. size)))
      end
      assert.equal(alert(50), give("client", ticket("\0\42\0\3\255\255\255")))
      assert.equal(alert(50), give("client", ticket("\0\42\0\5\255\255\255\255\255")))
      assert.equal(alert(50), give("client", ticket("\0\42\0\0")))
    end)

    it("may not be a malformed ticket", function()
      local body = messages.body(ticket())
      for size = 0, #body - 1 do
        assert.equal(alert(50), give("client", messages.build(messages.NEW_SESSION_TICKET, body:sub(1, size))))
      end
      assert.equal(alert(50), give("client", messages.build(messages.NEW_SESSION_TICKET, body .. "\0")))
      assert.equal(alert(50), give("client", ticket("", "")))
      assert.equal(alert(50), give("client", ticket("\0\42\0")))
      assert.equal(alert(47), give("client", ticket("\250\250\0\0\250\250\0\0")))
      assert.equal(alert(47), give("client", ticket("\0\51\0\0")))
      assert.equal(alert(47), give("client", "\4\255\255\255"))
    end)

    -- covers: rfc9001#6.2 rfc9001#6.3 rfc8446#4.5.3
    it("may not be KeyUpdate, EndOfEarlyData or anything else", function()
      for _, side in ipairs({ "client", "server" }) do
        for kind = 0, 255 do
          local is_ticket = side == "client" and kind == messages.NEW_SESSION_TICKET
          local is_request = side == "client" and kind == messages.CERTIFICATE_REQUEST
          if kind % 7 == 0 or kind < 32 then
            local code = give(side, string.char(kind) .. "\0\0\1\0")
            if is_ticket then
              assert.equal(alert(50), code)
            elseif is_request then
              assert.equal(pair.PROTOCOL_VIOLATION, code) -- covers: rfc9001#4.4.5
            else
              assert.equal(alert(10), code)
            end
          end
        end
      end
      assert.equal(alert(10), give("client", ticket() .. "\24"))
    end)
  end)
end

describe("the tail", function()
  it("goes on with a message that was half there", function()
    local p = pair.new()
    assert.is_true(p:run())
    local bytes = ticket()
    assert.is_true(p.client:receive(pair.APPLICATION, bytes:sub(1, 9)))
    local tail = p.client:take_tail()
    assert.is_true(tail:receive(bytes:sub(10)))
    assert.is_true(tail:receive(bytes:sub(1, 3)))
    assert.same({ nil, alert(50) }, { (function() local ok, code = tail:receive("\0"); return ok, code end)() })
    tail:free()
  end)
end)
