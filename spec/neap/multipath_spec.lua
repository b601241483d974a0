-- Several paths at a time as programs have them, at hosts of a simulation.
local neap = require "neap"
local log = require "neap.log"

local unpack = unpack or table.unpack

--- A server whose streams send `size` bytes, and fn(connection) at a client with two links. What fn returns.
local function at_two_links(options, fn)
  local lab = neap.sim.new{ seed = 1 }
  local wifi = lab:link{ delay = 0.01, rate = 10e6 / 8 }
  local mobile = lab:link{ delay = 0.02, rate = 10e6 / 8 }
  local server = lab:host("server.example")
  local phone = lab:host("phone.example", { link = wifi, address = "10.3.7.2" })
  phone:add_address("10.4.7.2", { link = mobile })
  server:go(function()
    neap.quic.listen{ port = 4433, alpn = "x", initial_max_path_id = options.server or 2 }
      :on_connection(function(connection)
        if options.on_server then options.on_server(connection) end
        connection:on_stream(function(stream)
          stream:write(("x"):rep(options.size or 1000))
          stream:finish()
        end)
      end)
  end)
  local results = { phone:run(function()
    local connection = assert(neap.quic.connect("server.example:4433",
      { alpn = "x", initial_max_path_id = options.client or 2 }))
    neap.sleep(0.2)
    return fn(connection, wifi, mobile)
  end) }
  lab:close()
  return unpack(results)
end

local function read_all(connection)
  local stream = connection:open_stream()
  stream:finish()
  return #stream:read("*a")
end

describe("a connection with several paths", function()
  it("opens one from an address, hears of it, reads by both and closes it", function()
    local kinds = {}
    local got, rows, closed = at_two_links({ size = 3e6 }, function(connection)
      connection:on_path(function(event) kinds[#kinds + 1] = event.kind .. " " .. event.path_id end)
      local id = assert(connection:open_path{ address = "10.4.7.2" })
      neap.sleep(0.2)
      local got = read_all(connection)
      local rows = {}
      for _, path in ipairs(connection:paths()) do rows[path.path_id] = path end
      assert.is_true(connection:close_path(id))
      neap.sleep(2)
      return got, rows, #connection:paths()
    end)
    assert.equal(3e6, got)
    assert.is_true(rows[0].is_open and rows[1].is_open)
    assert.is_true(rows[0].bytes_received > 1e6 and rows[1].bytes_received > 1e6)
    assert.equal(1, closed)
    assert.same({ "path_opened 1", "path_closed 1" }, kinds)
  end)

  it("says why none is opened, closed or made a backup", function()
    local codes = { at_two_links({ server = 0 }, function(connection)
      return select(3, connection:open_path{ address = "10.4.7.2" })
    end) }
    assert.same({ "unsupported" }, codes)
    codes = { at_two_links({ server = 1 }, function(connection)
      local own = select(3, connection:close_path(0))
      local none = select(3, connection:close_path(7))
      local no_status = select(3, connection:set_path_status(7, "backup"))
      assert(connection:open_path{ address = "10.4.7.2" })
      return own, none, no_status, select(3, connection:open_path{ address = "10.4.7.2" })
    end) }
    assert.same({ "in use", "argument", "argument", "limit" }, codes)
    at_two_links({}, function(connection)
      assert.has_error(function() connection:set_path_status(0, "best") end)
      assert.has_error(function() connection:schedule_paths("fast") end)
      assert.has_error(function() connection:open_path{ fast = true } end)
    end)
  end)

  it("has its paths filled in the order that a function says", function()
    local asked = 0
    local function only_the_second(paths)
      asked = asked + 1
      for _, path in ipairs(paths) do assert(path.is_open) end
      return { 1 }
    end
    local mobile = at_two_links({ size = 2e6, on_server = function(connection)
      assert(connection:schedule_paths(only_the_second))
    end }, function(connection, _, mobile)
      assert(connection:open_path{ address = "10.4.7.2" })
      neap.sleep(0.3)
      read_all(connection) -- the order is known from the second turn on
      local before = mobile.down.delivered_bytes
      read_all(connection)
      return mobile.down.delivered_bytes - before
    end)
    assert.is_true(asked > 10, asked)
    assert.is_true(mobile > 1.9e6, mobile)
  end)

  it("goes on by the option where that function fails, with one line in the log", function()
    local said = 0
    for _, wrong in ipairs{ function() error("no idea") end, function() return "fast" end,
      function() return { 1.5 } end, function() return { 0, 1, 2, 3, 4, 5 } end } do
      local sink, lines = log.sink, {}
      log.sink = function(line) lines[#lines + 1] = line end
      local got = at_two_links({ size = 1e6, on_server = function(connection)
        connection:schedule_paths(wrong)
      end }, function(connection)
        assert(connection:open_path{ address = "10.4.7.2" })
        neap.sleep(0.3)
        return read_all(connection)
      end)
      log.sink = sink
      assert.equal(1e6, got)
      assert.is_true(#lines <= 1, table.concat(lines, "\n"))
      for _, line in ipairs(lines) do assert.matches("the order of paths is the option's again", line) end
      said = said + #lines
    end
    assert.is_true(said >= 1)
  end)
end)

describe("a client of HTTP/3 with several links", function()
  it("opens a path for each of its connections, and a response comes by both", function()
    local lab = neap.sim.new{ seed = 1 }
    local wifi, mobile = lab:link{ delay = 0.01, rate = 10e6 / 8 }, lab:link{ delay = 0.02, rate = 10e6 / 8 }
    for _, name in ipairs{ "one.example", "two.example" } do
      lab:host(name):go(function()
        local app = neap.app()
        app:get("/", function(_, res) res:send(("x"):rep(3e6)) end)
        app:listen{ port = 443, initial_max_path_id = 1 }
      end)
    end
    local phone = lab:host("phone.example", { link = wifi, address = "10.3.7.2" })
    phone:add_address("10.4.7.2", { link = mobile })
    local told = {}
    phone:run(function()
      local client = neap.client{ initial_max_path_id = 1 }
      client:on_path(function(event, authority) told[#told + 1] = event.kind .. " " .. authority:match("^%a+") end)
      assert.same({ "closed" }, { select(3, client:open_path{ address = "10.4.7.2" }) })
      for _, name in ipairs{ "one.example", "two.example" } do assert(client:get("https://" .. name .. "/")):body() end
      assert.equal(2, client:open_path{ address = "10.4.7.2" })
      assert.same({ "limit" }, { select(3, client:open_path{ address = "10.4.7.2" }) })
      neap.sleep(0.2)
      local before = { wifi.down.delivered_bytes, mobile.down.delivered_bytes }
      assert.equal(3e6, #assert(client:get("https://one.example/")):body())
      assert.is_true(wifi.down.delivered_bytes - before[1] > 1e6)
      assert.is_true(mobile.down.delivered_bytes - before[2] > 1e6)
      client:close()
    end)
    lab:close()
    table.sort(told)
    assert.same({ "path_opened one", "path_opened two" }, told)
  end)
end)
