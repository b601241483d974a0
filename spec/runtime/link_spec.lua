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

  -- A client over TLS: `say(text)`, and `heard()` what has come.
  local function over_tls()
    local socket = clients(1)[1]
    local stream = assert(core.tls_side(pair.config(), false)):stream("localhost")
    local client, got, rest = { stream = stream }, {}, ""
    function client.move()
      local bytes = stream:send()
      if bytes ~= "" then assert(socket:write(bytes)) end
      rest = rest .. (socket:read() or "")
      rest = rest:sub(1 + stream:receive(rest))
      got[#got + 1] = stream:read()
    end
    function client.heard() return table.concat(got) end
    return client
  end

  it("reads on in a tunnel whose end it has said, over TLS too", function()
    local client = over_tls()
    local link, heard, events = nil, {}, {}
    local function until_true(condition)
      local limit = core.now() + 5
      while not condition() do
        assert(core.now() < limit, "the tunnel does not get there")
        client.move()
        assert(loop:wait(0.01))
        for each in listener.next, listener do
          link = each
          local list = {}
          for i = 1, link:events(list), EVENT_WIDTH do
            events[list[i]] = true
            if list[i] == "data" then heard[#heard + 1] = link:recv_body(list[i + 1]) end
          end
        end
        loop:flush()
      end
    end
    until_true(function() return client.stream:state() == "open" end)
    client.stream:write("CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n")
    until_true(function() return events.request end)
    assert(link:send_response(0, { ":status", "200" }, false))
    assert.equal(3, link:send_body(0, "bye", true))
    until_true(function() return client.stream:state() == "ended" end)
    assert.truthy(client.heard():find("bye$"))
    client.stream:write("late")
    until_true(function() return heard[1] end)
    assert.equal("late", table.concat(heard))
    client.stream:close()
    until_true(function() return events.finished end)
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
