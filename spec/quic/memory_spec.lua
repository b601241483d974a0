-- Memory that runs out while a connection is at work: what had no room was not received, and comes again.
local net = require("support.quic_net")

local MS = net.MS
local bytes = net.bytes
local STREAM, STREAM_AT = 0x0a, 0x0e -- with a length; at an offset

local function is_alive(p, what)
  for _, side in ipairs({ "client", "server" }) do
    local info = p[side]:info()
    assert.equal("none", info.by, ("%s: the %s says %s"):format(what, side, info.reason))
  end
end

--- Requests of several streams answered by the server, for which each side tries again what its own memory refused.
-- Says whether all came through within a minute.
local function talk(p, count)
  local body = ("tide"):rep(700)
  local requests, answered = {}, 0
  local function try(conn, r)
    while r.at <= #body do
      local taken = conn:stream_send(r.id, body:sub(r.at), true)
      if not taken or taken <= 0 then return end
      r.at = r.at + taken
    end
  end
  local function read(conn, r)
    while not r.fin do
      local part, fin = conn:stream_recv(r.id)
      if not part then return end
      r.got = r.got + #part
      r.fin = fin
      if #part == 0 then return end
    end
  end
  local served = {}
  for _ = 1, count do requests[#requests + 1] = { at = 1, got = 0 } end
  return p:run(function()
    for _, r in ipairs(requests) do
      if not r.id then
        local id = p.client:open(true)
        r.id = id and id >= 0 and id or nil
      end
      if r.id then
        try(p.client, r)
        local before = r.fin
        read(p.client, r)
        if r.fin and not before then answered = answered + 1 end
      end
    end
    for id in function() return p.server:readable_next() end do
      served[id] = served[id] or { id = id, at = 1, got = 0 }
    end
    for _, r in pairs(served) do
      read(p.server, r)
      if r.fin then try(p.server, r) end
    end
    for _, r in ipairs(requests) do assert.is_true(r.got <= #body) end
    return answered == count
  end, 60000 * MS)
end

describe("memory that runs out in an established connection", function()
  for _, side in ipairs({ "server", "client" }) do
    it("for any one allocation of the " .. side .. " loses nothing", function()
      local reached = true
      for at = 1, 400 do
        local p = net.pair():handshake()
        local before = p[side .. "_config"]:memory().allocations
        p[side .. "_config"]:fail_at(at)
        assert.is_true(talk(p, 3), "allocation " .. at)
        is_alive(p, "allocation " .. at)
        reached = p[side .. "_config"]:memory().allocations - before >= at
        p:free()
        if not reached then break end
      end
      assert.is_false(reached, "there are more allocations than were tried")
    end)

    it("for half a second of the " .. side .. "'s is not the end", function()
      for _, start in ipairs({ 1, 4, 9, 16, 25, 40 }) do
        local p = net.pair():handshake()
        local config, back = p[side .. "_config"], false
        config:fail_at(start, true)
        local at = p.now + 500 * MS
        local run = p.run
        function p:run(done, most)
          return run(self, function(x)
            if not back and x.now >= at then
              config:fail_at(-1)
              back = true
            end
            return done(x)
          end, most)
        end
        assert.is_true(talk(p, 5), "from allocation " .. start)
        is_alive(p, "from allocation " .. start)
        p.run = nil
        p:free()
      end
    end)
  end

  it("has what could not be sent tried ever more rarely, and sent when there is some", function()
    local p = net.pair():handshake()
    local id = p.server:open(false)
    assert.equal(9000, p.server:stream_send(id, ("x"):rep(9000), true))
    p.now = p.server:timeout()
    p.server:on_timeout(p.now) -- which gives back what records of packets were in
    p.server_config:fail_at(1, true)
    p.server:burst(p.now)
    -- Nobody acknowledges: the connection has its timers only.
    local start, turns = p.now, 0
    while p.now - start < 8000 * MS do
      p.now = math.max(p.server:timeout(), p.now)
      p.server:on_timeout(p.now)
      p.server:burst(p.now)
      turns = turns + 1
      assert.is_true(turns <= 20)
    end
    assert.equal("none", p.server:info().by)
    assert.is_true(p.server:floods().memory_stalls > 0)
    p.server_config:fail_at(-1)
    assert.is_true(p:run(function(x)
      local got, fin = x.client:stream_recv(id)
      return got and fin
    end, 5000 * MS))
    p:free()
  end)

  it("leaves each kind of frame that it refused to come again", function()
    for name, payload in pairs({
      STREAM = bytes(STREAM, 8, 3, "abc"),
      ["STREAM far ahead"] = bytes(STREAM_AT, 0, 500000, 3, "abc"),
      RESET_STREAM = bytes(0x04, 8, 7, 3),
      STOP_SENDING = bytes(0x05, 8, 7),
      MAX_STREAM_DATA = bytes(0x11, 8, 2000000),
      STREAM_DATA_BLOCKED = bytes(0x15, 8, 5),
      CRYPTO = bytes(0x06, 9, 3, "abc"),
      ["nothing but PING"] = bytes(0x01),
    }) do
      -- A client has no CRYPTO for a server after the handshake.
      local from, to = "client", "server"
      if name == "CRYPTO" then from, to = to, from end
      local refusals = 0
      for at = 1, 8 do
        local p = net.pair({ server = { resumption = 0 } }):handshake()
        local receiver, config = p[to], p[to .. "_config"]
        -- Packet numbers in many ranges, so that one more needs memory.
        local first = p:inject(from, net.APPLICATION, bytes(0x01)) and p[from]:stats().packets_sent
        for i = 1, 7 do p:inject(from, net.APPLICATION, bytes(0x01), { number = first + 100 + 2 * i }) end
        local number = first + 200
        config:fail_at(at)
        local dropped = receiver:stats().packets_dropped
        p:inject(from, net.APPLICATION, payload, { number = number })
        local refused = receiver:stats().packets_dropped > dropped
        config:fail_at(-1)
        assert.equal("none", receiver:info().by, name)
        assert.equal(not refused, receiver:has_received(net.APPLICATION, number), name)
        if refused then
          refusals = refusals + 1
          p:inject(from, net.APPLICATION, payload, { number = number })
          assert.equal("none", receiver:info().by, name)
          assert.is_true(receiver:has_received(net.APPLICATION, number), name)
        end
        p:free()
      end
      assert.is_true(refusals >= 1, name)
    end
  end)

  it("does not lose the thread of TLS messages after the handshake", function()
    local ticket = "\4\0\3\247" .. ("\0"):rep(8) .. "\1n" .. "\3\233" .. ("t"):rep(1001) .. "\0\0"
    local refusals = 0
    for at = 1, 8 do
      local p = net.pair({ server = { resumption = 0 } }):handshake()
      p.client_config:fail_at(at)
      -- In three pieces, the first of which ends inside the message's header.
      local number = p.server:stats().packets_sent + 50
      for _, piece in ipairs({ { 0, 2 }, { 2, 500 }, { 502, #ticket - 502 } }) do
        number = number + 1
        local payload = bytes(0x06, piece[1], piece[2], ticket:sub(piece[1] + 1, piece[1] + piece[2]))
        p:inject("server", net.APPLICATION, payload, { number = number })
        if not p.client:has_received(net.APPLICATION, number) then
          refusals = refusals + 1
          p:inject("server", net.APPLICATION, payload, { number = number })
        end
        assert.is_true(p.client:has_received(net.APPLICATION, number))
      end
      -- The next message begins where this one ended: one that is not allowed is seen as such.
      assert.equal("none", p.client:info().by)
      p.client_config:fail_at(-1)
      p:inject("server", net.APPLICATION, bytes(0x06, #ticket, 4, "\99\0\0\0"), { number = number + 1 })
      assert.equal(0x10a, p.client:info().code)
      p:free()
    end
    assert.is_true(refusals >= 3, refusals)
  end)

  -- covers: rfc9000#8.2.2.5
  it("does not have a PATH_CHALLENGE answered twice", function()
    local stream, challenge = bytes(STREAM, 8, 3, "abc"), bytes(0x1a, "12345678")
    for _, payload in ipairs({ challenge .. stream, stream .. challenge }) do
      local p = net.pair():handshake()
      p.server_config:fail_at(1, true)
      local packet = p.client:inject(net.APPLICATION, payload)
      p.server:recv(packet, p.now)
      assert.is_nil((p.server:send(p.now)))
      p.server_config:fail_at(-1)
      -- The same packet, which the network had twice.
      p.server:recv(packet, p.now)
      assert.equal(1200, #p.server:send(p.now))
      p.server:recv(packet, p.now)
      assert.is_nil((p.server:send(p.now)))
      assert.equal("abc", (p.server:stream_recv(8)))
      p:free()
    end
  end)
end)

describe("the memory of a handshake", function()
  -- What a side uses at once beside what its config has: with a chain of two certificates, whichever it shows or
  -- checks.
  local function peaks(options)
    local certificates = require("tls.fixtures").certificates()
    local configs = { client = net.config({ verify_peer = 1 }, 31), server = net.quic.config(32) }
    configs.server:alpn("t")
    assert.equal(0, configs.server:certificate(unpack(certificates.deep)))
    configs.client:ca(certificates.ca[1])
    local before = { client = configs.client:memory().used, server = configs.server:memory().used }
    local p = net.pair({ client_config = configs.client, server_config = configs.server, drop = options.drop })
    p.client:free()
    configs.client:clock(require("tls.fixtures").now)
    p.client = assert(net.quic.client(configs.client, "example.test", net.CLIENT, net.SERVER, p.now))
    p:handshake()
    p:free()
    local out = {}
    for side, config in pairs(configs) do
      out[side] = config:memory().peak - before[side]
      config:free()
    end
    return out
  end

  it("is 24 KiB at most with two certificates, on each side, with datagrams that are lost too", function()
    for lost = 0, 4 do
      local drop = function(direction, index) return direction == "down" and index == lost end
      local most = peaks({ drop = drop })
      assert.is_true(most.client <= 24 * 1024)
      assert.is_true(most.server <= 24 * 1024) -- in the first handshake, which packs the chain for all to come
    end
  end)
end)
