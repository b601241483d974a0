--- HTTP/3 that begins by 0-RTT with what it remembers of its server, wherever memory ends.
local net = require("support.quic_net")

local MS = net.MS

describe("HTTP/3 by 0-RTT", function()
  local configs

  local function meet()
    configs = { client = net.config({ early_data = 1 }, 11, false), server = net.config({ early_data = 1 }, 12, true) }
    configs.server:register()
    assert.equal(0, configs.server:set_h3())
  end

  local function part()
    for _, config in pairs(configs) do
      config:free()
      assert.equal(0, config:memory().live)
    end
  end

  -- A pair, with HTTP/3 on both sides where there is memory for it; the request of the client is sent when it can be.
  -- `fail_at`: of `side`, from before the client's HTTP/3 is made. What came of it, when all is freed.
  local function exchange(side, fail_at)
    local p = net.pair({ client_config = configs.client, server_config = configs.server })
    local out = { was_early = p.client:info().is_early, answers = 0 }
    configs[side]:fail_at(fail_at)
    local client, server, asked = p.client:h3(), nil, -1
    local function turn()
      if p.server and not server then server = p.server:h3() end
      if server then server:poll(true) end
      if client then
        if asked < 0 then asked = client:get() end
        local sections, resets = client:poll()
        out.answers = out.answers + sections
        if resets > 0 then asked = -1 end -- early data was rejected
      end
      return out.answers > 0 and p.client:info().confirmed
    end
    turn()
    out.is_done = p:run(turn, 4000 * MS)
    configs[side]:fail_at(-1)
    p:run(turn, 1000 * MS) -- tickets come
    out.early = p.client:info().early
    if client then client:free() end
    if server then server:free() end
    p:free()
    return out
  end

  it("has a request answered, before and after there is a session", function()
    meet()
    assert.is_true(exchange("client", -1).is_done)
    local out = exchange("client", -1)
    assert.is_true(out.was_early)
    assert.equal("accepted", out.early)
    assert.is_true(out.is_done)
    part()
  end)

  it("leaks nothing on either side, does without what it could not keep, and goes on the next time", function()
    for _, side in ipairs({ "client", "server" }) do
      local done, early = 0, 0
      for at = 1, 60 do
        meet()
        exchange(side, -1) -- a session with what the server told
        local out = exchange(side, at)
        if out.is_done then done = done + 1 end
        if out.is_done and out.early == "accepted" then early = early + 1 end
        assert.is_true(exchange(side, -1).is_done, side .. " " .. at)
        part()
      end
      assert.is_true(done > 10 and done < 60, done)
      assert.is_true(early > 5, early)
    end
  end)
end)
