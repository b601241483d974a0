-- Who is asked by Retry, as programs in Lua say it.
local neap = require "neap"
local sim = require "neap.sim"
local web = require "support.web"

local function build(app)
  app:get("/", function() return "hello" end)
end

--- How many Retry packets a client costs that has no token.
local function retries(listen)
  local count
  web.with_app(build, function(client, url, server)
    assert.equal("hello", assert(client:get(url .. "/")):body())
    count = server:stats().retries_sent
  end, listen)
  return count
end

describe("the option retry of a server", function()
  it("is a word, true or false, or the number of handshakes from which on everybody is asked", function()
    for _, value in ipairs { "auto", "never", false, 1 } do assert.equal(0, retries { retry = value }) end
    for _, value in ipairs { "always", true, 0 } do assert.equal(1, retries { retry = value }) end
    assert.equal(1, retries { retry_above = 0 })
    assert.equal(0, retries { retry = "never", retry_above = 0 })
  end)

  it("is nothing else, and no client's", function()
    for value, expected in pairs { sometimes = "auto, always or never", [1e6] = "a whole number from 0 to 4096",
                                   [0.5] = "a whole number", [{}] = "auto, always or never" } do
      local ok, message = pcall(neap.quic.listen, { port = 0, alpn = "x", retry = value })
      assert.is_false(ok)
      assert.matches(expected, message, 1, true)
    end
    for _, name in ipairs { "retry", "retry_above" } do
      assert.has_error(function() neap.client { [name] = 1 } end)
    end
  end)
end)

describe("the function retry of a server", function()
  local function endpoint_of(server) return server.endpoint:stats() end

  it("accepts, asks by Retry or refuses, with what the first packet says", function()
    local says, seen = "accept", {}
    local function decide(info)
      seen[#seen + 1] = info
      return says
    end
    web.with_app(build, function(client, url, server)
      assert.equal("hello", assert(client:get(url .. "/")):body())
      local figures = endpoint_of(server)
      assert.same({ 1, 0, 0 }, { figures.accepted, figures.retries_sent, figures.arrivals_waiting })
      assert.equal(1, #seen)
      assert.matches("^127%.0%.0%.1:%d+$", seen[1].from)
      assert.same({ server.address, 1, false, 0, 0 },
        { seen[1].to, seen[1].version, seen[1].has_token, seen[1].half_open, seen[1].connections })
      assert.is_true(seen[1].size >= 1200 and #seen[1].dcid >= 8)
      says = "retry"
      local other = neap.client { ca = web.identity().cert, address_tokens = false }
      assert.equal("hello", assert(other:get(url .. "/")):body())
      other:close()
      assert.same({ 2, 1, 2 }, { endpoint_of(server).accepted, endpoint_of(server).retries_sent, #seen })
      says = "refuse"
      local third = neap.client { ca = web.identity().cert, address_tokens = false, timeout = 5 }
      local res, message = third:get(url .. "/")
      third:close()
      assert.is_nil(res)
      assert.matches("refused", message:lower())
      assert.is_true(endpoint_of(server).refused >= 1)
    end, { retry = decide })
  end)

  it("that fails, waits or gives something else asks by Retry, with a line in the log", function()
    for text, fn in pairs { ["failed: .*no such luck"] = function() error("no such luck") end,
                            ["failed: .*this waits"] = function() neap.sleep(0.1) end,
                            ['gave true, and no "accept"'] = function() return true end } do
      local lines = web.logged(function() assert.equal(1, retries { retry = fn }) end)
      assert.matches("first packet of 127%.0%.0%.1:%d+: 'retry' " .. text, lines)
    end
  end)

  it("that fails by what cannot be told asks by Retry too, be it the log that fails", function()
    local function mute() return setmetatable({}, { __tostring = function() error("no words") end }) end
    for _, fn in ipairs { function() error(mute()) end, mute } do
      local lines = web.logged(function() assert.equal(1, retries { retry = fn }) end)
      assert.matches("'retry' %a+.* an error object %(table%) whose __tostring fails", lines)
    end
    local sink, is_told = neap.log.sink, false
    finally(function() neap.log.sink = sink end)
    function neap.log.sink()
      is_told = true
      error("the disk is full")
    end
    assert.equal(1, retries { retry = function() error("no such luck") end })
    assert.is_true(is_told)
  end)

  it("is not asked about clients with a token", function()
    local count = 0
    web.with_app(build, function(client, url)
      for _ = 1, 3 do
        local r = assert(client:get(url .. "/"))
        r:body()
        r.conn:close()
        neap.sleep(0.05)
      end
    end, { retry = function()
      count = count + 1
      return "retry"
    end })
    assert.equal(1, count)
  end)

  it("decides at hosts of a simulation too, the same each time, and of raw QUIC", function()
    local function play()
      local lab = sim.new { seed = 5 }
      lab:link { delay = 0.02 }
      local server, client = lab:host("server.example", "10.1.0.1"), lab:host("client.example", "10.2.0.1")
      local log = {}
      server:go(function()
        assert(neap.quic.listen { port = 7000, alpn = "echo", retry = function(info)
          log[#log + 1] = ("%s at %.3f"):format(info.from:match("^[^:]*"), neap.now())
          return #log == 1 and "accept" or "retry"
        end }):on_connection(function(connection)
          connection:on_stream(function(stream) assert(stream:write(stream:read("all"))) end)
        end)
      end)
      local times = client:run(function()
        local out = {}
        for i = 1, 2 do
          local begun = neap.now()
          local connection = assert(neap.quic.connect("server.example:7000",
            { alpn = "echo", address_tokens = false, resumption = false }))
          out[i] = math.floor((neap.now() - begun) / 0.04 + 0.5) -- in round trips
          local stream = assert(connection:open_stream())
          stream:write("hello")
          stream:finish()
          assert.equal("hello", stream:read("all"))
          connection:close()
        end
        return out
      end)
      lab:close()
      return times, log
    end
    local times, log = play()
    assert.same({ 1, 2 }, times)
    assert.same({ times, log }, { play() })
    assert.equal(2, #log)
    assert.matches("^10%.2%.0%.1 at", log[1])
  end)

  it("keeps early data until it has decided", function()
    local lab = sim.new { seed = 6 }
    lab:link { delay = 0.02 }
    local server, client = lab:host("server.example", "10.1.0.1"), lab:host("client.example", "10.2.0.1")
    local asked, figures = 0, nil
    server:go(function()
      local listener = assert(neap.quic.listen { port = 7000, alpn = "echo", early_data = true, retry = function()
        asked = asked + 1
        return "accept"
      end })
      listener:on_connection(function(connection)
        connection:on_stream(function(stream)
          local bytes = stream:read("all")
          figures = listener.endpoint:stats()
          assert(stream:write(tostring(#bytes)))
        end)
      end)
    end)
    client:run(function()
      for round = 1, 2 do
        local begun = neap.now()
        local connection = assert(neap.quic.connect("server.example:7000",
          { alpn = "echo", address_tokens = false, early_data = true, early = true }))
        local stream = assert(connection:open_stream())
        stream:write(("x"):rep(3000))
        stream:finish()
        assert.equal("3000", stream:read("all"))
        if round == 2 then
          assert.equal("accepted", connection:early())
          assert.is_true(neap.now() - begun < 0.06) -- one round trip
        else
          neap.sleep(1)
        end
        connection:close()
      end
    end)
    lab:close()
    assert.same({ 2, 2, 0, 0 }, { asked, figures.accepted, figures.arrivals_waiting, figures.arrivals_dropped })
  end)

  it("is no option of a client or of a config", function()
    local function fn() return "accept" end
    assert.has_error(function() neap.client { retry = fn } end)
    assert.has_error(function() require("neap.core").config { retry = fn } end)
  end)
end)
