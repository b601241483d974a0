--- TCP connections of the loop beside all else that it does; over the loopback address, each by turns of the loop.
local core = require "neap.core"
local pair = require "binding.pair"

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

  it("finds out that a client is gone of which nothing comes any more", function()
    local client = clients(1)[1]
    local port = assert(tonumber(client:name():match(":(%d+)$")))
    local pattern = ("^ *%%d+: %%x+:%%x+ %%x+:%04X 01 %%x+:%%x+ (%%x+):"):format(port)
    local timer
    for line in io.lines("/proc/net/tcp") do timer = timer or line:match(pattern) end
    assert.equal("02", timer, "the kernel asks it (TCP keep-alive)")
  end)
end)
