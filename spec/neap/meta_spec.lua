-- The types for editors name what is there, and all of it.
local neap = require "neap"
local core = require "neap.core"
local web = require "support.web"
local pair = require "binding.pair"

local text = ""
for _, name in ipairs { "meta", "meta_client", "meta_quic", "meta_lowlevel", "meta_streams", "meta_paths", "meta_sim",
  "meta_x509", "meta_ids", "meta_cc", "meta_app", "meta_tasks", "meta_socket", "meta_mw",
  "meta_metrics", "meta_safety", "meta_core", "meta_dns", "meta_proxy" } do
  text = text .. assert(web.helper.read_file("lua/neap/" .. name .. ".lua"))
end

-- class → { function = true }
local declared = {}
for class, name in text:gmatch("\nfunction ([%a_][%w_]*)[.:]([%w_]+)%(") do
  declared[class] = declared[class] or {}
  declared[class][name] = true
end

local function each_is_there(class, object)
  for name in pairs(assert(declared[class], "no types of " .. class)) do
    local value = object[name]
    local is_callable = type(value) == "function" or type(value) == "table" and (getmetatable(value) or {}).__call
    assert.is_truthy(is_callable, ("%s:%s is declared, and missing"):format(class, name))
  end
end

local function each_is_declared(class, methods, except)
  for name, value in pairs(methods) do
    if type(value) == "function" and type(name) == "string" and name:sub(1, 1) ~= "_" and not (except or {})[name] then
      assert.is_truthy(declared[class] and declared[class][name], ("%s:%s is not declared"):format(class, name))
    end
  end
end

describe("the types for editors", function()
  it("match the modules", function()
    each_is_there("neap", neap)
    for _, name in ipairs { "json", "url", "lowlevel", "sim", "quic", "mime", "server", "x509", "quic_lb", "cc" } do
      each_is_there(name, neap[name])
      each_is_declared(name, neap[name])
    end
    each_is_there("core", core)
    for _, name in ipairs { "log", "task", "headers", "socket", "process" } do each_is_there(name, neap[name]) end
    for class, object in pairs { names = neap.dns, Resolver = neap.dns.new(), dns = neap.socket.dns,
      ssl = neap.socket.ssl, Tcp = neap.socket.tcp(), UdpSocket = neap.socket.udp(),
      Descriptor = require "neap.descriptor" } do
      each_is_there(class, object)
    end
    each_is_declared("socket", neap.socket)
    each_is_declared("names", neap.dns)
    each_is_declared("Resolver", getmetatable(neap.dns.new()).__index)
    each_is_declared("process", neap.process)
    each_is_declared("App", getmetatable(neap.app()).__index, { new = true, handle = true })
    each_is_there("App", neap.app())
    each_is_there("Proxy", neap.proxy("http://localhost"))
    each_is_declared("Proxy", getmetatable(neap.proxy("http://localhost")).__index)
    each_is_there("Headers", neap.headers.new())
    local lab = neap.sim.new()
    each_is_there("Sim", lab)
    each_is_there("Link", lab:link())
    each_is_there("Host", lab:host("a.example"))
    each_is_there("Node", lab:server())
    lab:close()
    for part in pairs(neap) do
      if part:sub(1, 1) ~= "_" and type(neap[part]) == "table" then
        assert.matches("@field " .. part .. " neap%.", text)
      end
    end
  end)

  it("have every code that the binding gives", function()
    local codes = text:match("alias neap.Code ([^\n]*)")
    local words = web.helper.read_file("lua/binding/module.c"):match("words%[%] = (%b{})")
    local count = 0
    for word in words:gmatch('"([^"]*)"') do
      count = count + 1
      assert.is_truthy(word == "" or codes:find('"' .. word .. '"', 1, true), word) -- the first is no error
    end
    assert.is_true(count > 10)
  end)

  it("match the objects of HTTP", function()
    local id = web.identity()
    web.run(function()
      local app = neap.app()
      app:get("/", function(req, res)
        each_is_there("Request", req)
        each_is_there("Response", res)
        each_is_declared("Response", getmetatable(res).__index, { new = true })
        return ""
      end)
      local server = assert(app:listen { host = "127.0.0.1", port = 0, cert = id.cert, key = id.key })
      local client = neap.client { ca = id.cert }
      local r = assert(client:get("https://127.0.0.1:" .. server.port))
      assert.equal(200, r.status)
      each_is_there("Server", server)
      each_is_declared("Server", getmetatable(server).__index)
      each_is_there("Client", client)
      each_is_declared("Client", getmetatable(client).__index, { explain = true, code_of = true })
      each_is_there("ClientResponse", r)
      each_is_declared("ClientResponse", getmetatable(r).__index, { new = true, break_off = true,
        drop_abandoned = true, keep = true })
      client:close()
      server:close()
    end)
  end)

  it("match the objects of raw QUIC", function()
    local id = web.identity()
    web.run(function()
      local listener = assert(neap.quic.listen {
        host = "127.0.0.1", port = 0, alpn = "x", cert = id.cert, key = id.key,
      })
      local connection = assert(neap.quic.connect("127.0.0.1:" .. listener.port, { alpn = "x", ca = id.cert }))
      local stream = assert(connection:open_stream())
      each_is_there("Listener", listener)
      each_is_declared("Listener", getmetatable(listener).__index)
      each_is_there("Connection", connection)
      each_is_there("Stream", stream)
      each_is_declared("Stream", getmetatable(stream).__index)
      connection:close()
      listener:close()
    end)
  end)

  it("match the low level and the simulation", function()
    local both = pair.new()
    local objects = {
      Config = both.config, Conn = both.client, H3 = core.h3(both.client), Endpoint = core.endpoint(both.config, false),
      Udp = core.udp(), Sim = neap.sim.new(), File = core.open_file("README.md"),
    }
    objects.Node = objects.Sim:client()
    for class, object in pairs(objects) do each_is_there(class, object) end
    for _, class in ipairs { "Config", "File" } do
      each_is_declared(class, debug.getmetatable(objects[class]).__index)
    end
    objects.File:close()
    each_is_declared("Sim", getmetatable(objects.Sim).__index, { push = true, fail = true, next_time = true,
      serve = true, flush_all = true, deliver_due = true, advance = true, count_step = true, look_at_waits = true,
      remove_node = true, keep_time = true, set_clocks = true })
    -- What the binding's README says of a class is declared as well.
    local readme = web.helper.read_file("lua/binding/README.md")
    for class, prefix in pairs { Conn = "conn", H3 = "h3", Endpoint = "endpoint" } do
      for line in readme:gmatch("[^\n]+") do
        if line:find("^| `" .. prefix .. ":") then
          for name in line:match("^| (.-) |"):gmatch(":([%w_]+)%(") do
            assert.is_truthy(declared[class][name], prefix .. ":" .. name .. " is not declared")
          end
        end
      end
    end
  end)

  it("name the options of a config that its documentation and `neap options` list", function()
    local fields = text:match("%-%-%-@class neap.ConfigOptions:[^\n]+\n(.-)\n\n")
    local listed = web.helper.run(require("support.program").neap .. " options")
    local docs, count = web.helper.read_file("docs/options.md"), 0
    for name in fields:gmatch("@field ([%w_]+)") do
      count = count + 1
      assert.is_truthy(docs:find("| `" .. name .. "` |", 1, true), name)
      assert.is_truthy(("\n" .. listed):find("\n" .. name .. "\n", 1, true), name)
    end
    assert.equal(#require("neap.options").MATERIAL, count)
  end)

  -- build/dev/neap run scripts/gen_options.lua --write makes them anew.
  for path, made in pairs(dofile("scripts/gen_options.lua")) do
    it("name every option of a config: " .. path, function()
      local _, count = made:gsub("%f[%w_]send_buffer%f[^%w_]", "")
      assert.equal(1, count)
      assert.equal(made, web.helper.read_file(path))
    end)
  end
end)
