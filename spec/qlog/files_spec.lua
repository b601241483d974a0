--- The folder of traces: whose connections have a file in it, how many, and what happens when none can be written.
local helper = require "spec.helper"
local pair = require "spec.binding.pair"
local q = require "neap.lowlevel"
local simulation = require "neap.sim"
local traces = require "qlog.traces"

local files, in_folder = traces.files, traces.in_folder
local SERVER = "192.0.2.2:443"

-- A server's endpoint, and one Initial from each of `count` addresses that answer nothing.
local function spoof(config, count)
  local endpoint = assert(q.endpoint(config, true))
  local client_config = pair.config()
  for i = 1, count do
    local from = ("198.51.%d.%d:4000"):format(i / 250, i % 250 + 1)
    local conn = assert(q.connect(client_config, "localhost", SERVER, { from = from, at = 1 }))
    assert(endpoint:recv(assert(conn:send(1)), { from = from, to = SERVER, at = 1 }))
    while endpoint:send(1) do end
  end
  return endpoint
end

-- A simulation with one link, and a server with these options that waits for clients.
local function simulate(options, seed)
  local sim = simulation.new{ seed = seed or 1 }
  sim:link{ delay = 0.01 }
  options.on_conn = function() end
  return sim, sim:server(options)
end

describe("a server's traces of clients that never prove their address", function()
  local it = traces.needed(it, pending)

  it("make no files", function()
    in_folder(function(folder)
      local endpoint = spoof(pair.config{ qlog = folder }, 40)
      assert.equal(40, endpoint:stats().accepted)
      assert.same({}, files(folder))
      endpoint:close()
      assert.same({}, files(folder))
    end)
  end)

  it("leave a place for the client that does, with all that happened or from the proof on", function()
    in_folder(function(folder)
      local sim, server = simulate{ qlog = folder, handshake_timeout = 60 }
      local dead = sim:link{ delay = 0.01, down = { cut = true } }
      for _ = 1, 200 do sim:client{ server = server, link = dead, handshake_timeout = 1 } end
      sim:run(0.5)
      sim:link{ delay = 0.01 }
      local client = sim:client{ server = server }
      sim:run(function() return client.conn:is_confirmed() end)
      sim:close()
      assert.equal(1, #files(folder))
      local _, events = traces.read((traces.side(folder, "server")))
      assert.is_table(traces.find(events, "quic:connection_started"))
      assert.is_table(traces.find(events, "quic:connection_state_updated", function(d)
        return d.new == "handshake_confirmed" end))
    end)
  end)

  it("begin with the first packet where few are half open", function()
    in_folder(function(folder)
      local made = pair.new{ qlog = folder }
      assert.equal(2, #files(folder))
      made.client:close(0, "")
      made:pump()
      local _, events = traces.read((traces.side(folder, "server")))
      assert.equal("initial", traces.find(events, "quic:packet_received").header.packet_type)
    end)
  end)
end)

describe("a folder of traces", function()
  local it = traces.needed(it, pending)

  local function connect(count, options, seed)
    local sim, server = simulate(options, seed)
    for _ = 1, count do sim:client{ server = server } end
    sim:run(1)
    sim:close()
    return server.config:qlog_stats()
  end

  it("has no more files than the option qlog_files says, those of earlier counted", function()
    in_folder(function(folder)
      assert.equal(3, connect(5, { qlog = folder, qlog_files = 3 }).files)
      assert.equal(3, #files(folder))
      local stats = connect(4, { qlog = folder, qlog_files = 5 }, 2)
      assert.equal(5, #files(folder))
      assert.same({ 5, 2 }, { stats.files, stats.refused })
    end)
  end)

  it("has no more bytes than the option qlog_total says", function()
    in_folder(function(folder)
      local stats = connect(12, { qlog = folder, qlog_total = 20000 })
      local size = 0
      for _, name in ipairs(files(folder)) do
        size = size + #helper.read_file(folder .. "/" .. name)
        if #helper.read_file(folder .. "/" .. name) > 0 then traces.read(folder .. "/" .. name) end
      end
      assert.is_true(size > 5000 and size <= 20000, size)
      assert.equal(size, stats.bytes)
      assert.is_true(stats.refused > 0)
    end)
  end)

  it("is looked at again when somebody made room", function()
    in_folder(function(folder)
      local sim, server = simulate{ qlog = folder, qlog_files = 1 }
      sim:client{ server = server }
      sim:run(1)
      os.remove(traces.side(folder, "server"))
      sim:client{ server = server }
      sim:run(20)
      sim:client{ server = server }
      sim:run(1)
      sim:close()
      assert.equal(1, #files(folder))
    end)
  end)

  it("does not end the process when a file may not grow, and counts that", function()
    in_folder(function(folder)
      local script = folder .. "/script.lua"
      local file = assert(io.open(script, "w"))
      file:write([[
        local transfer = require "sim.transfer"
        local run = transfer.new(1, { delay = 0.01 }, 300000, { qlog = arg[1], keylog = arg[1] .. "/keys" })
        run.finish(10)
        print(run.server.config:qlog_stats().failed)
        run.sim:close()
      ]])
      file:close()
      local printed = helper.run(("ulimit -f 16; LUA_PATH='spec/?.lua;;' %s/neap run %s %s"):format(
        helper.quote(helper.build_dir), script, folder))
      assert.equal("1\n", printed)
    end)
  end)
end)

describe("an empty QLOGDIR and SSLKEYLOGFILE", function()
  it("are as none", function()
    in_folder(function(folder)
      local script = folder .. "/script.lua"
      local file = assert(io.open(script, "w"))
      file:write([[
        local neap = require "neap"
        local app = neap.app()
        app:get("/", function() return "here" end)
        local server = assert(app:listen{ host = "127.0.0.1", port = 0 })
        neap.run(function()
          local client = neap.client{ verify_peer = false }
          print(assert(client:get(server.url .. "/")).status)
          assert(require("neap.quic").connect("127.0.0.1", server.port, { alpn = "h3", verify_peer = false })):close()
          client:close()
          server:close()
        end)
      ]])
      file:close()
      local printed = helper.run(("QLOGDIR= SSLKEYLOGFILE= HOME=%s %s/neap run %s"):format(folder,
        helper.quote(helper.build_dir), script))
      assert.match("\n200\n$", printed)
    end)
  end)
end)
