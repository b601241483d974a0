-- What a peer does in vain (RFC 9114 §10.5): it closes the connection when it is too much, and time excuses it.
local exchange = require("spec.http.exchange")

local code, data, headers = exchange.code, exchange.data, exchange.headers
local GET, POST, OK = exchange.GET, exchange.POST, exchange.OK

describe("a request", function()
  it("made and left without end closes the connection, whatever small things come beside it", function()
    local peer = exchange.peer("client")
    local pair = peer.pair
    local upload = peer:bidi(headers(POST))
    local left = 0
    while left < 3000 and not pair:closed("server") do
      for _ = 1, 40 do
        local id = pair:open("client", true)
        if not id then break end
        left = left + 1
        pair:send("client", id, headers(GET), false)
        pair:shutdown("client", id, "write", code.REQUEST_CANCELLED)
        pair:shutdown("client", id, "read", code.REQUEST_CANCELLED)
        pair:send("client", upload, data("x"):rep(3), false)
      end
      for _ = 1, 10 do pair:send("client", assert(pair:open("client", true)), headers(GET), true) end
      pair:run()
      for _, event in ipairs((exchange.events(pair, "server"))) do
        if event.type == "finished" then
          pair:respond(event.stream, OK, true)
        elseif event.type == "reset" or event.type == "stopped" then
          pair:cancel("server", event.stream, code.REQUEST_CANCELLED)
        end
      end
      pair:run()
    end
    assert.equal(code.EXCESSIVE_LOAD, (peer:close_code()))
    assert.is_true(left <= 1300, left)
    peer:free()
  end)

  it("that is left now and then closes nothing, however often", function()
    local pair = exchange.pair()
    for _ = 1, 1100 do
      local id = assert(pair:request(GET, true))
      pair:run()
      exchange.events(pair, "server")
      pair:respond(id, OK, false)
      pair:send_body("server", id, "data: something happened\n\n", false)
      pair:run()
      exchange.events(pair, "client")
      pair:cancel("client", id, code.REQUEST_CANCELLED)
      pair:run()
      assert.equal(("stopped:%d(0x10c)"):format(id), exchange.story(pair, "server"))
      pair:cancel("server", id, code.REQUEST_CANCELLED)
      pair:run(10)
    end
    assert.is_nil(pair:closed("server"))
    pair:free()
  end)
end)
