--- TCP connections of the loop beside all else that it does; over the loopback address, each by turns of the loop.
local core = require "neap.core"
local pair = require "binding.pair"

local EVENT_WIDTH = 11 -- places of an event in the list of link:events

describe("a listener for TCP", function()
  if not core.has_tls_streams then return pending("this build has no TLS over TCP") end

  local loop, listener

  before_each(function()
    loop = assert(core.loop())
    listener = assert(loop:listen_tcp(pair.config(), "127.0.0.1:0"))
  end)
  after_each(function()
    listener:close()
    loop:close()
  end)

  local function turn()
    assert(loop:wait(0.01))
    while listener:next() do end
    loop:flush()
  end

  -- So many clients that are connected.
  local function clients(count)
    local list = {}
    for i = 1, count do
      list[i] = assert(core.socket("tcp", 4))
      list[i]:connect(listener:address())
    end
    local limit = core.now() + 5
    while listener:stats().accepted < count do
      assert(core.now() < limit, "they are not accepted")
      turn()
    end
    return list
  end

  it("goes on with few handshakes a turn, lest QUIC waits for all of them", function()
    local waiting = clients(16)
    local hello = assert(core.tls_side(pair.config(), false)):stream("localhost"):send()
    for _, client in ipairs(waiting) do assert(client:write(hello)) end
    local limit = core.now() + 10
    while #waiting > 0 do
      assert(core.now() < limit, "they are not answered")
      turn()
      local answered = 0
      for i = #waiting, 1, -1 do
        if waiting[i]:read(65536) then
          answered = answered + 1
          table.remove(waiting, i):close()
        end
      end
      assert.is_true(answered <= 2, answered .. " in a turn")
    end
  end)

  -- A client over TLS: what it hears is given to `hear`, what its link tells to `tell(link, kind, stream)`. It, and a
  -- function that goes on until condition().
  local function over_tls(protocols, hear, tell)
    local socket = clients(1)[1]
    local stream = assert(core.tls_side(pair.config(), false, protocols)):stream("localhost")
    local unsent, rest = "", ""
    local function move()
      unsent = unsent .. stream:send()
      unsent = unsent:sub(1 + (unsent ~= "" and socket:write(unsent) or 0))
      rest = rest .. (socket:read() or "")
      rest = rest:sub(1 + stream:receive(rest))
      hear(stream:read())
    end
    local function go_on(condition)
      local limit = core.now() + 5
      while not condition() do
        assert(core.now() < limit, "it does not get there")
        move()
        assert(loop:wait(0.01))
        for link in listener.next, listener do
          local list = {}
          for i = 1, link:events(list), EVENT_WIDTH do tell(link, list[i], list[i + 1]) end
        end
        loop:flush()
      end
    end
    go_on(function() return stream:state() == "open" end)
    return stream, go_on
  end

  it("reads on in a tunnel whose end it has said, over TLS too", function()
    local got, heard, events = "", nil, {}
    local client, go_on = over_tls(nil, function(bytes) got = got .. bytes end, function(link, kind, stream)
      events[kind] = link
      if kind == "data" then heard = link:recv_body(stream) end
    end)
    client:write("CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n")
    go_on(function() return events.request end)
    assert(events.request:send_response(0, { ":status", "200" }, false))
    assert.equal(3, events.request:send_body(0, "bye", true))
    go_on(function() return client:state() == "ended" end)
    assert.truthy(got:find("bye$"))
    client:write("late")
    go_on(function() return heard end)
    assert.equal("late", heard)
    client:close()
    go_on(function() return events.finished end)
  end)

  it("takes what it had no room for once its answers have left", function()
    if not core.has_http2 then return pending("this build has no HTTP/2") end
    local size = 0
    local client, go_on = over_tls({ "h2" }, function(bytes) size = size + #bytes end, function() end)
    local settings, ping = "\0\0\0\4\0\0\0\0\0", "\0\0\8\6\0\0\0\0\0" .. "12345678"
    client:write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" .. settings .. ping:rep(900))
    go_on(function() return size > 900 * #ping end)
  end)

  it("finds out that a client is gone of which nothing comes any more", function()
    local client = clients(1)[1]
    local port = assert(tonumber(client:name():match(":(%d+)$")))
    local pattern = ("^ *%%d+: %%x+:%%x+ %%x+:%04X 01 %%x+:%%x+ (%%x+):"):format(port)
    local timer
    for line in io.lines("/proc/net/tcp") do timer = timer or line:match(pattern) end
    assert.equal("02", timer, "the kernel asks it (TCP keep-alive)")
  end)
end)
