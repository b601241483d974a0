--- What 0-RTT is for, in virtual time: the answer to a first request comes a round trip earlier.
local core = require "neap.core"

local RTT = 0.1
local GET = { ":method", "GET", ":scheme", "https", ":authority", "localhost", ":path", "/" }

describe("the answer to the first request of a connection", function()
  it("comes after two round trips, and after one by 0-RTT", function()
    local sim = require("neap.sim").new { seed = 1 }
    sim:link { delay = RTT / 2 }
    local spoken = {}
    local function h3_of(conn)
      spoken[conn] = spoken[conn] or core.h3(conn)
      return spoken[conn]
    end
    local server = sim:server { alpn = "h3", early_data = true, on_conn = function(conn)
      local h3 = h3_of(conn)
      repeat
        local kind, stream = h3:poll()
        if kind == "headers" then h3:respond(stream, 200, nil, "x") end
      until not kind
    end }
    local asked, answered
    local client = sim:client { alpn = "h3", early_data = true, server = server, connect = false,
      verify_peer = false, on_conn = function(conn)
        local h3 = h3_of(conn)
        repeat
          local kind = h3:poll()
          if kind == "headers" then answered = sim.now end
        until not kind
        if not asked and conn:is_established() then asked = h3:send_request(GET, true) end
      end }
    local took = {}
    for _, how in ipairs { "full", "resumed", "early" } do
      asked, answered = nil, nil
      local begun = sim.now
      local conn = client:connect()
      if how == "early" then asked = h3_of(conn):send_request(GET, true) end
      client:touch()
      sim:run(function() return answered and conn:is_confirmed() end)
      assert.equal(how ~= "full", conn:is_resumed())
      took[#took + 1] = math.floor((answered - begun) / RTT + 0.5)
      sim:run(3 * RTT)
      conn:close(0x100)
      client:touch()
      sim:run(3 * RTT)
    end
    assert.same({ 2, 2, 1 }, took)
  end)
end)
