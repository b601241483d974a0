--- Traces of whole connections, each event of which is held against the drafts' schema.
local helper = require "spec.helper"
local simulation = require "neap.sim"
local traces = require "qlog.traces"
local transfer = require "sim.transfer"

local it = traces.needed(it, pending)

local find, files, in_folder, read, side = traces.find, traces.files, traces.in_folder, traces.read, traces.side

describe("the traces of a transfer with losses", function()
  it("have every packet of both sides, and what became of it, as the schema says", function()
    in_folder(function(folder)
      local run = transfer.new(3, { delay = 0.02, rate = 2e6, queue = 60, loss = 0.02 }, 200000, { qlog = folder })
      run.finish(60)
      run.client.conn:update_keys()
      run.client.conn:close(7, "enough")
      run.sim:run(2)
      local stats = { client = run.client.conn:stats(), server = run.server_conn:stats() }
      run.sim:close()
      assert.equal(2, #files(folder))
      local groups = {}
      for which in pairs(stats) do
        local header, events, counts = read((side(folder, which)))
        assert.equal(which, header.trace.vantage_point.type)
        groups[#groups + 1] = header.trace.common_fields.group_id
        assert.is_true(counts["quic:packet_sent"] > 150)
        assert.is_true(counts["quic:packet_received"] > 150)
        assert.is_true(counts["quic:packet_lost"] > 0)
        assert.is_true(counts["quic:packets_acked"] > 20)
        assert.is_true(counts["quic:recovery_metrics_updated"] > 20)
        assert.equal(4, counts["quic:key_discarded"])
        for _, name in ipairs{ "connection_started", "connection_closed", "recovery_parameters_set" } do
          assert.equal(1, counts["quic:" .. name], which .. " " .. name)
        end
        for _, name in ipairs{ "parameters_set", "alpn_information", "version_information" } do
          assert.equal(2, counts["quic:" .. name], which .. " " .. name)
        end
        assert.equal("00000001", find(events, "quic:version_information").chosen_version)
        assert.is_table(find(events, "quic:connection_state_updated", function(d)
          return d.new == "handshake_confirmed" end))
        assert.is_table(find(events, "quic:congestion_state_updated", function(d) return d.new == "slow_start" end))
        assert.is_table(find(events, "quic:packet_sent", function(d)
          return d.frames[1] and d.frames[1].frame_type == "stream" end))
        assert.is_table(find(events, "quic:packet_received", function(d)
          return d.frames[1] and d.frames[1].frame_type == "ack" end))
        local closed = find(events, "quic:connection_closed")
        assert.same({ which == "client" and "local" or "remote", 7 }, { closed.initiator, closed.error_code })
      end
      assert.equal(groups[1], groups[2])
    end)
  end)

  it("count as many packets as the statistics", function()
    in_folder(function(folder)
      local run = transfer.new(5, { delay = 0.01, loss = 0.01 }, 50000, { qlog = folder })
      run.finish(60)
      local stats = run.client.conn:stats()
      run.sim:close()
      local _, _, counts = read((side(folder, "client")))
      assert.equal(stats.packets_lost, counts["quic:packet_lost"] or 0)
      assert.is_true(counts["quic:packet_sent"] >= stats.packets_sent)
      assert.is_true(counts["quic:packet_received"] >= stats.packets_received)
    end)
  end)
end)

describe("the trace of a client that moves", function()
  it("tells of both paths", function()
    in_folder(function(folder)
      local sim = simulation.new{ seed = 1 }
      sim:link{ delay = 0.02 }
      local server = sim:server{ on_conn = function() end }
      local client = sim:client{ server = server, address = "10.2.0.9:50000", qlog = folder }
      client:add_address("10.3.0.9:50001", {})
      sim:run(1)
      assert(client.conn:migrate{ address = "10.3.0.9:50001" })
      sim:run(2)
      sim:close()
      local _, events = read((side(folder, "client")))
      assert.is_table(find(events, "quic:migration_state_updated", function(d)
        return d.new == "probing_successful" end))
      local done = find(events, "quic:migration_state_updated", function(d) return d.new == "migration_complete" end)
      assert.same({ "10.3.0.9", 50001 }, { done.tuple_local.ip_v4, done.tuple_local.port_v4 })
      assert.is_table(find(events, "quic:tuple_assigned"))
    end)
  end)
end)

describe("the option qlog", function()
  it("makes files that only their owner reads", function()
    in_folder(function(folder)
      local run = transfer.new(1, { delay = 0.01 }, 1000, { qlog = folder })
      run.finish(10)
      run.sim:close()
      local pipe = assert(io.popen("stat -c %a " .. folder .. "/*"))
      for mode in pipe:lines() do assert.equal("600", mode) end
      pipe:close()
    end)
  end)

  it("traces one connection in so many", function()
    in_folder(function(folder)
      local sim = simulation.new{ seed = 1 }
      sim:link{ delay = 0.01 }
      local server = sim:server{ on_conn = function() end, qlog = folder, qlog_every = 3 }
      for _ = 1, 7 do sim:client{ server = server } end
      sim:run(1)
      sim:close()
      assert.equal(3, #files(folder))
    end)
  end)

  it("writes no more bytes than it may", function()
    in_folder(function(folder)
      local run = transfer.new(1, { delay = 0.01 }, 200000, { qlog = folder, qlog_limit = 20000 })
      run.finish(10)
      run.sim:close()
      for _, name in ipairs(files(folder)) do
        local size = #helper.read_file(folder .. "/" .. name)
        assert.is_true(size > 15000 and size <= 20000, size)
        read(folder .. "/" .. name)
      end
    end)
  end)

  it("names a folder that is there", function()
    local core = require "neap.core"
    local config, message = core.config{ qlog = "/no/such/folder" }
    assert.is_nil(config)
    assert.is_truthy(message:find("/no/such/folder", 1, true))
    assert.has_error(function() core.config{ qlog_every = 0 } end)
  end)
end)
