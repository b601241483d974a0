--- What is sent and taken at which encryption level (RFC 9001 §4, §5.6, §5.7), as a peer sees it that opens the
--- packets.
local crypto = require("neap.units").crypto
local hostile = require("support.hostile_tls")
local messages = require("tls.messages")
local net = require("support.quic_net")

local MS = net.MS
local INITIAL, HANDSHAKE, APPLICATION = 0, 2, 3

-- The kinds of all messages that came at a level.
local function kinds(peer, level)
  local bytes, out = "", {}
  for _, frame in ipairs(peer.heard) do
    if frame.level == level and frame.offset == #bytes then bytes = bytes .. frame.data end
  end
  for i, message in ipairs(messages.split(bytes)) do out[i] = messages.kind(message) end
  return out
end

describe("CRYPTO data of a server", function()
  -- covers: rfc9001#4.9.2 rfc9001#4.4.4
  it("is sent at the highest level that there is for it, and after the handshake it is tickets alone", function()
    local peer = hostile.open("client", { ours = { resumption = true } })
    peer:run()
    assert.is_true(peer.tls:info().complete)
    assert.same({ messages.SERVER_HELLO }, kinds(peer, INITIAL))
    assert.same({ messages.ENCRYPTED_EXTENSIONS, messages.CERTIFICATE, messages.CERTIFICATE_VERIFY,
      messages.FINISHED }, kinds(peer, HANDSHAKE))
    local tickets = kinds(peer, APPLICATION)
    assert.is_true(#tickets > 0)
    for _, kind in ipairs(tickets) do assert.equal(messages.NEW_SESSION_TICKET, kind) end
    peer:close()
  end)

  -- covers: rfc9001#4.1 rfc9001#4.9.1
  it("is repeated at the level at which it was, though there are keys of higher ones", function()
    local peer = hostile.open("client")
    peer:run(function(_, kind) return kind == messages.FINISHED and "" or nil end)
    local first, again = {}, { [INITIAL] = 0, [HANDSHAKE] = 0 }
    for _ = 1, 4 do
      peer:give(peer:packet(INITIAL, "\1")) -- which lets it send on: its address is not proved
      peer:take()
      peer.now = assert(peer.conn:timeout())
      peer.conn:on_timeout(peer.now)
      peer:take()
    end
    for _, frame in ipairs(peer.heard) do
      local had = first[frame.level] or ""
      if frame.offset == #had then
        first[frame.level] = had .. frame.data
      else
        assert.equal(had:sub(frame.offset + 1, frame.offset + #frame.data), frame.data)
        again[frame.level] = again[frame.level] + 1
      end
    end
    assert.is_true(again[INITIAL] > 0)
    assert.is_true(again[HANDSHAKE] > 0)
    assert.is_nil(first[APPLICATION])
    peer:close()
  end)

  -- covers: rfc9001#4.1.2.1
  it("is complete with the client's Finished, and HANDSHAKE_DONE is in the answer to it", function()
    local peer = hostile.open("client")
    peer:run()
    assert.equal(peer.now, peer.confirmed_at)
    peer:close()
  end)
end)

describe("a client", function()
  -- covers: rfc9001#5.6.6
  it("does not look into 0-RTT packets that it gets", function()
    local p = net.pair()
    local hello = p.client:send(p.now)
    local dcid = net.quic.header(hello, 8).scid
    local key = crypto.key_derive(1, 0x1301, ("k"):rep(32))
    local header = "\211\0\0\0\1" .. string.char(#dcid) .. dcid .. "\8S0000001" .. "\64\38" .. "\0\0\0\0"
    local early = crypto.seal(crypto.new(("e"):rep(32)), key, header, 4, 0, "\1" .. ("\0"):rep(17))
    p:transmit("up", hello)
    for _ = 1, 20 do p:deliver("down", early) end
    assert.equal(0, p.client:stats().packets_received)
    p:handshake()
    assert.equal("none", p.client:info().by)
    p:free()
  end)

  -- covers: rfc9001#5.7.1 rfc9001#5.7.5
  it("takes nothing of 1-RTT packets that come before the handshake's last message", function()
    local held = {}
    local p
    p = net.pair({ filter = function(direction, datagram)
      if direction == "down" and net.quic.header(datagram, 8).type ~= 5 and #held < 10 then
        table.insert(held, datagram)
        return nil
      end
      return datagram
    end })
    p:run(function(x) return x.server ~= nil end)
    p:flush()
    local id = assert(p.server:open(true))
    p.server:stream_send(id, "early words", true)
    p:flush()
    p:settle(15 * MS)
    assert.is_false(p.client:info().established)
    assert.is_nil(p.client:readable_next())
    p.filter = nil
    for _, datagram in ipairs(held) do p:deliver("down", datagram) end
    assert.is_true(p.client:info().established)
    p:run(function(x) return x.client:readable_next() ~= nil end, 2000 * MS)
    assert.equal("early words", (p.client:stream_recv(id)))
    p:free()
  end)
end)
