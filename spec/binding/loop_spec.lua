-- Real sockets on the loopback addresses; nothing here waits longer than it has to.
local core = require "neap.core"
local pair = require "binding.pair"

local function new_loop()
  local loop = assert(core.loop())
  finally(function() loop:close() end)
  return loop
end

-- Turns until condition() or five seconds are over; `serve(conn)` for each connection with news.
local function run(loop, endpoints, serve, condition)
  local limit = core.now() + 5
  loop:flush()
  while not condition() do
    assert(core.now() < limit, "the loop does not get there")
    assert(loop:wait(0.5))
    for _, endpoint in ipairs(endpoints) do
      for conn in endpoint.next, endpoint do serve(conn) end
    end
    loop:flush()
  end
end

-- Client and server at `address`; the client sends `size` bytes, the server sends them back. Meanwhile the client's
-- socket also sends to the addresses in `others`.
local function echo(address, size, others)
  local loop = new_loop()
  local server = assert(loop:listen(pair.config(), address))
  local client = assert(loop:client(pair.config()))
  local target = server:address():gsub("^0%.0%.0%.0", "127.0.0.1"):gsub("^%[::%]", "[::1]")
  for _, other in ipairs(others or {}) do assert(client:connect("localhost", other)) end
  local conn = assert(client:connect("localhost", target))
  local data, sent, got, id = ("0123456789abcdef"):rep(size / 16), 0, 0, nil
  local pending = {}
  run(loop, { server, client }, function(each)
    if each == conn then
      if not id and each:is_established() then id = each:stream_open() end
      while id and sent < size do
        local taken = each:stream_send(id, data:sub(sent + 1, sent + 65536), sent + 65536 >= size)
        if not taken then break end
        sent = sent + taken
      end
    end
    for stream in each.readable_next, each do
      local bytes = each:stream_recv(stream)
      while bytes do
        if each == conn then
          assert.equal(data:sub(got + 1, got + #bytes), bytes)
          got = got + #bytes
        else
          pending[#pending + 1] = bytes
        end
        bytes = each:stream_recv(stream)
      end
    end
    while each ~= conn and pending[1] do
      local taken = each:stream_send(0, pending[1])
      if not taken then break end
      pending[1] = pending[1]:sub(taken + 1)
      if pending[1] == "" then table.remove(pending, 1) end
    end
  end, function() return got == size end)
  return loop:stats(), conn
end

-- Whether this process ends by such a signal as usual: its bit in the mask of blocked ones is not set.
local function is_default(name)
  local number = ({ INT = 2, TERM = 15 })[name]
  for line in io.lines("/proc/self/status") do
    local mask = line:match("^SigBlk:%s*(%x+)")
    if mask then return math.floor(tonumber(mask:sub(-4), 16) / 2 ^ (number - 1)) % 2 == 0 end
  end
end

describe("a loop", function()
  it("sends what several connections say to one address in one train", function()
    local loop = new_loop()
    local server = assert(loop:listen(pair.config(), "127.0.0.1:0"))
    local client = assert(loop:client(pair.config()))
    local conns, got = {}, {}
    for i = 1, 8 do conns[i] = assert(client:connect("localhost", (server:address()))) end
    local function serve(conn)
      for id in conn.readable_next, conn do
        local bytes = conn:stream_recv(id)
        if bytes then got[conn] = (got[conn] or "") .. bytes end
      end
    end
    local function all(condition)
      return function()
        for _, conn in ipairs(conns) do
          if not condition(conn) then return false end
        end
        return true
      end
    end
    run(loop, { server, client }, serve, all(function(conn) return conn:is_confirmed() end))
    -- Until nobody has an acknowledgement left to send.
    local quiet = core.now() + 0.1
    run(loop, { server, client }, serve, function() return core.now() > quiet end)
    for i, conn in ipairs(conns) do assert(conn:stream_send(conn:stream_open(), ("%d"):format(i):rep(700), true)) end
    local before = loop:stats()
    loop:flush()
    local after = loop:stats()
    if not after.segmentation then return pending("the kernel has no trains") end
    local messages, bytes = after.messages_sent - before.messages_sent, after.bytes_sent - before.bytes_sent
    assert.is_true(bytes > 8 * 700, bytes .. " bytes")
    assert.is_true(messages <= 2, messages .. " messages")
    local count = 0
    run(loop, { server, client }, serve, function()
      count = 0
      for _, text in pairs(got) do count = count + (#text == 700 and text == text:sub(1, 1):rep(700) and 1 or 0) end
      return count == 8
    end)
  end)

  it("echoes a megabyte over IPv4, many datagrams a system call", function()
    local stats = echo("127.0.0.1:0", 2 ^ 20)
    assert.is_true(stats.bytes_sent > 2 * 2 ^ 20)
    assert.equal(0, stats.send_errors)
    if stats.segmentation then
      assert.is_true(stats.bytes_sent / stats.messages_sent > 2400, "trains of datagrams")
    end
    assert.is_true(stats.messages_sent >= stats.send_calls)
  end)

  -- Trains of a flush of bulk, and system calls that they left by.
  local function flush_bulk()
    local loop = new_loop()
    local server = assert(loop:listen(pair.config(), "127.0.0.1:0"))
    local client = assert(loop:client(pair.config { congestion_control = "steered", send_buffer = 2 ^ 20 }))
    local conn = assert(client:connect("localhost", (server:address())))
    local data = ("x"):rep(2 ^ 19)
    run(loop, { server, client }, function() end, function() return conn:is_confirmed() end)
    assert(conn:steer(2 ^ 20, 1e12))
    assert.equal(#data, conn:stream_send(conn:stream_open(), data, true))
    local before = loop:stats()
    loop:flush()
    local after = loop:stats()
    return after.messages_sent - before.messages_sent, after.send_calls - before.send_calls, after.segmentation
  end

  it("sends trains of a bulk transfer several a system call", function()
    local messages, calls, has_segmentation = flush_bulk()
    if not has_segmentation then return pending("this kernel does not segment") end
    assert.is_true(messages >= 5, messages .. " messages")
    assert.is_true(calls <= (messages + 1) / 2, calls .. " calls for " .. messages)
  end)

  it("goes on sending trains to others when one destination takes none", function()
    local loop = new_loop()
    if not loop:stats().segmentation then return pending("this kernel does not segment") end
    local alpn = {}
    for i = 1, 5 do alpn[i] = ("n"):rep(200) .. i end
    local client = assert(loop:client(pair.config({ alpn = alpn })))
    -- The kernel says EINVAL to port 0, also to the two datagrams of this ClientHello together.
    assert(client:connect("localhost", "127.0.0.1:0"))
    loop:flush()
    local stats = loop:stats()
    assert.equal(2, stats.send_errors)
    assert.is_true(stats.segmentation)
  end)

  it("loses nothing of one connection when ICMP says that the others' ports are closed", function()
    local closed = {}
    for i = 1, 40 do
      local udp = core.udp()
      assert(udp:bind("127.0.0.1:0"))
      closed[i] = udp:address()
      udp:close()
    end
    local stats, conn = echo("127.0.0.1:0", 2 ^ 19, closed)
    assert.equal(0, stats.send_errors)
    assert.equal(0, conn:stats().packets_lost)
  end)

  it("echoes over IPv6", function()
    if not core.udp():bind("[::1]:0") then return pending("no IPv6 on this machine") end
    local _, conn = echo("[::1]:0", 2 ^ 16)
    assert.matches("^%[::1%]:", conn:peer())
  end)

  it("listens at all addresses of both families at one port", function()
    local loop = new_loop()
    local server = assert(loop:listen(pair.config(), ":0"))
    local port = server:address():match("^0%.0%.0%.0:(%d+)$")
    assert.is_string(port)
    local other, message = loop:listen(pair.config(), "[::1]:" .. port)
    if other then return pending("no IPv6 on this machine") end
    assert.matches("in use", message)
  end)

  it("answers from the address it was asked at", function()
    local loop = new_loop()
    local server = assert(loop:listen(pair.config(), "0.0.0.0:0"))
    local asked = "127.0.0.2:" .. server:address():match("%d+$")
    local udp = core.udp()
    assert(udp:bind("127.0.0.1:0"))
    -- A version that nobody speaks is answered with a Version Negotiation packet.
    udp:sendto("\192\26\42\58\74\8" .. ("d"):rep(8) .. "\8" .. ("s"):rep(8) .. ("\0"):rep(1200), asked)
    local answer, from
    run(loop, { server }, function() end, function()
      answer, from = udp:recvfrom(0)
      return answer
    end)
    assert.equal(asked, from)
    assert.equal("version_negotiation", core.header_info(answer).type)
    udp:close()
  end)

  it("says why it cannot listen", function()
    local loop = new_loop()
    local server = assert(loop:listen(pair.config(), "127.0.0.1:0"))
    local endpoint, message, code, number = loop:listen(pair.config(), server:address())
    assert.is_nil(endpoint)
    assert.matches("^127.0.0.1:%d+: .*in use", message)
    assert.equal("system", code)
    assert.equal(98, number)
    for _, address in ipairs{ "", "nowhere", "example.org:443", "localhost", "127.0.0.1:99999", ":x" } do
      endpoint, message, code = loop:listen(pair.config(), address)
      assert.is_nil(endpoint, address)
      assert.matches("not an address", message)
      assert.equal("argument", code)
    end
    endpoint, message = loop:listen(pair.config(), "192.0.2.1:443")
    assert.is_nil(endpoint)
    assert.matches("192.0.2.1:443: ", message)
  end)

  it("waits as long as it is told and no longer", function()
    local loop = new_loop()
    local before = core.now()
    loop:wait(0)
    loop:wait(0.03)
    local passed = core.now() - before
    assert.is_true(passed >= 0.03 and passed < 0.5, passed)
    assert.is_nil(loop:timeout())
    assert.is_number(loop:fd())
  end)

  it("does not turn while nothing happens", function()
    local loop = new_loop()
    local server = assert(loop:listen(pair.config(), "127.0.0.1:0"))
    local client = assert(loop:client(pair.config()))
    local conn = assert(client:connect("localhost", server:address()))
    local accepted
    run(loop, { server, client }, function(each) accepted = each:is_server() and each or accepted end,
      function() return conn:is_confirmed() and accepted and accepted:is_confirmed() end)
    local before, limit = loop:stats().turns, core.now() + 0.5
    while core.now() < limit do
      loop:wait(limit - core.now())
      loop:flush()
      while server:next() or client:next() do end
    end
    assert.is_true(loop:stats().turns - before < 20, loop:stats().turns - before .. " turns in half a second")
  end)

  it("is not kept from its work by empty datagrams", function()
    local loop = new_loop()
    local server = assert(loop:listen(pair.config(), "127.0.0.1:0"))
    local udp = core.udp()
    assert(udp:bind("127.0.0.1:0"))
    for _ = 1, 500 do udp:sendto("", server:address()) end
    local client = assert(loop:client(pair.config()))
    local conn = assert(client:connect("localhost", server:address()))
    run(loop, { server, client }, function() end, function() return conn:is_confirmed() end)
    assert.is_true(loop:stats().messages_received >= 500)
    udp:close()
  end)

  it("brings signals", function()
    local loop = new_loop()
    assert(loop:catch_signals())
    assert.is_true(is_default("TERM"), "before it waits")
    loop:wait(0)
    assert.is_false(is_default("TERM"))
    assert(loop:catch_signals())
    assert.is_nil(loop:signal())
    local pid = io.open("/proc/self/stat"):read("*n")
    for _, name in ipairs{ "TERM", "INT", "HUP" } do
      os.execute("kill -" .. name .. " " .. ("%d"):format(pid))
      loop:wait(5)
      assert.equal(name, loop:signal())
    end
    assert.is_nil(loop:signal())
  end)

  it("takes signals as soon as it listens, and gives them up when it is closed", function()
    local loop = core.loop()
    assert(loop:catch_signals())
    local server = assert(loop:listen(pair.config(), "127.0.0.1:0"))
    assert.is_false(is_default("INT"))
    server:close()
    loop:close()
    assert.is_true(is_default("INT"))
  end)

  it("knows localhost without asking anyone", function()
    local loop = new_loop()
    for _, host in ipairs { "localhost", "LocalHost", "app.localhost" } do
      local name = assert(loop:resolve(host, 80))
      local id, addresses = loop:resolved()
      assert.equal(name, id)
      table.sort(addresses)
      assert.same({ "127.0.0.1:80", "[::1]:80" }, addresses)
    end
  end)

  it("resolves names", function()
    local loop = new_loop()
    local numeric = assert(loop:resolve("192.0.2.7", 443))
    local id, addresses = loop:resolved()
    assert.equal(numeric, id)
    assert.same({ "192.0.2.7:443" }, addresses)
    local name = assert(loop:resolve("localhost.invalid", 80))
    local limit = core.now() + 5
    local message
    repeat
      loop:wait(1)
      id, addresses, message = loop:resolved()
    until id or core.now() > limit
    assert.equal(name, id)
    assert.is_nil(addresses)
    assert.is_string(message)
    assert.is_nil(loop:resolved())
    local _, _, code = loop:resolve(("x"):rep(254), 1)
    assert.equal("argument", code)
  end)

  -- The kernel gives a signal to any thread that does not block it, whose default ends the process.
  it("looks names up in threads that take no signal from the loop, also when they were there first", function()
    local function threads()
      local all = {}
      local listing = assert(io.popen("cd /proc/$PPID/task && grep -H SigBlk */status 2>/dev/null"))
      for id, mask in listing:read("*a"):gmatch("(%d+)/status:SigBlk:%s*(%x+)") do
        all[id] = tonumber(mask:sub(-8), 16)
      end
      listing:close()
      return all
    end

    local before, seen, limit = threads(), nil, core.now() + 10
    repeat
      local loop = core.loop()
      for i = 1, 32 do loop:resolve(("name%d.invalid"):format(i), 1) end
      for id, mask in pairs(threads()) do
        if not before[id] then
          seen = true
          assert.equal(1, math.floor(mask / 2 ^ 14) % 2, "SIGTERM")
        end
      end
      loop:close()
    until seen or core.now() > limit
    assert.is_true(seen)
  end)

  it("looks up a bounded number of names at a time", function()
    local loop = new_loop()
    for _ = 1, 32 do assert(loop:resolve("192.0.2.1", 1)) end
    local id, _, code = loop:resolve("192.0.2.1", 1)
    assert.is_nil(id)
    assert.equal("limit", code)
    loop:resolved()
    assert(loop:resolve("192.0.2.1", 1))
  end)

  it("may be closed with everything in it", function()
    local loop = assert(core.loop())
    local server = assert(loop:listen(pair.config(), "127.0.0.1:0"))
    local conn = assert(loop:client(pair.config()):connect("localhost", server:address()))
    loop:flush()
    loop:resolve("localhost", 1)
    loop:close()
    loop:close()
    assert.is_nil(server:address())
    assert.has_error(function() loop:wait(0) end, "the loop is closed")
    assert.is_false(conn:is_closed())
    server:close()
  end)
end)

describe("a UDP socket", function()
  it("carries datagrams with their addresses and ECN bits", function()
    local one, two = core.udp(), core.udp()
    local here, there = assert(one:bind("127.0.0.1:0")), assert(two:bind("127.0.0.1:0"))
    assert.equal(here, one:address())
    assert.is_true(one:sendto("hello", there, 2))
    assert.same({ "hello", here, 2 }, { two:recvfrom(1) })
    assert.is_true(one:sendto("", there))
    assert.same({ "", here, 0 }, { two:recvfrom(1) })
    assert.same({ nil, "timeout", "again" }, { two:recvfrom(0) })
    assert.is_number(one:fd())
    one:close()
    assert.has_error(function() one:sendto("x", there) end)
    two:close()
  end)

  it("says what is wrong", function()
    local udp = core.udp()
    assert.has_error(function() udp:address() end)
    assert.has_error(function() udp:bind("nowhere") end)
    local bound, message, code = udp:bind("192.0.2.1:1")
    assert.is_nil(bound)
    assert.matches("192.0.2.1:1: ", message)
    assert.equal("system", code)
    assert(udp:bind("127.0.0.1:0"))
    assert.has_error(function() udp:bind("127.0.0.1:0") end)
    local sent
    sent, message, code = udp:sendto(("x"):rep(65508), "127.0.0.1:9")
    assert.is_nil(sent)
    assert.is_string(message)
    assert.equal("system", code)
    udp:close()
  end)
end)
