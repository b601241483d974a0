--- Events of QUIC that say what the packets alone do not.
local simulation = require "neap.sim"
local traces = require "qlog.traces"
local transfer = require "sim.transfer"

local it = traces.needed(it, pending)

local find, in_folder = traces.find, traces.in_folder

local function both(folder, fn)
  for _, which in ipairs{ "client", "server" } do
    local _, events, counts = traces.read((traces.side(folder, which)))
    fn(which, events, counts)
  end
end

describe("a trace", function()
  it("has the versions, protocols and parameters of both sides", function()
    in_folder(function(folder)
      local run = transfer.new(1, { delay = 0.01 }, 1000, { qlog = folder }, nil, {
        client = { initial_max_data = 300000 }, server = { initial_max_data = 400000 } })
      run.finish(10)
      run.sim:close()
      both(folder, function(which, events)
        local versions = find(events, "quic:version_information")
        assert.same({ "00000001", "6b3343cf" }, versions[which .. "_versions"])
        assert.equal("00000001", versions.chosen_version)
        assert.same({ { string_value = "neap-sim" } }, find(events, "quic:alpn_information")[which .. "_alpns"])
        local here = find(events, "quic:parameters_set", function(d) return d.initiator == "local" end)
        local there = find(events, "quic:parameters_set", function(d) return d.initiator == "remote" end)
        local expected = which == "client" and { 300000, 400000 } or { 400000, 300000 }
        assert.same(expected, { here.initial_max_data, there.initial_max_data })
      end)
    end)
  end)

  it("has the versions that a server lists in Version Negotiation", function()
    in_folder(function(folder)
      local sim = simulation.new{ seed = 1 }
      sim:link{ delay = 0.01 }
      local server = sim:server{ versions = "v2", on_conn = function() end }
      local client = sim:client{ server = server, qlog = folder }
      sim:run(function() return client.conn:is_confirmed() end)
      sim:close()
      local _, events = traces.read((traces.side(folder, "client")))
      local heard = find(events, "quic:version_information", function(d) return d.server_versions end)
      assert.equal("6b3343cf", heard.chosen_version)
    end)
  end)

  it("has what streams do, and what the application gives and takes", function()
    in_folder(function(folder)
      local run = transfer.new(2, { delay = 0.01 }, 50000, { qlog = folder })
      run.finish(10)
      run.sim:run(1)
      run.sim:close()
      both(folder, function(which, events)
        local moved = { application = 0, transport = 0 }
        local states, ends = {}, 0
        for _, event in ipairs(events) do
          local data = event.data
          if event.name == "quic:stream_data_moved" then
            moved[data.to] = moved[data.to] + data.raw.length
            ends = ends + (data.additional_info == "fin_set" and 1 or 0)
          elseif event.name == "quic:stream_state_updated" then
            states[#states + 1] = data.stream_side .. " " .. data.new
          end
        end
        assert.same({ application = 50000, transport = 50000 }, moved, which)
        assert.equal(2, ends)
        table.sort(states)
        assert.same({ "receiving closed", "receiving open", "sending closed", "sending open" }, states)
      end)
    end)
  end)

  it("has a stream that is reset", function()
    in_folder(function(folder)
      local sim = simulation.new{ seed = 1 }
      sim:link{ delay = 0.01 }
      local server = sim:server{ qlog = folder, on_conn = function() end }
      local client = sim:client{ server = server, qlog = folder }
      sim:run(function() return client.conn:is_confirmed() end)
      local id = client.conn:stream_open()
      client.conn:stream_send(id, "abc")
      client:touch()
      sim:run(0.1)
      client.conn:stream_shutdown(id, "write", 5)
      client:touch()
      sim:run(0.5)
      sim:close()
      local _, events = traces.read((traces.side(folder, "server")))
      assert.equal(id, find(events, "quic:stream_state_updated", function(d)
        return d.new == "reset_received" and d.stream_side == "receiving" end).stream_id)
      _, events = traces.read((traces.side(folder, "client")))
      assert.equal(id, find(events, "quic:stream_state_updated", function(d)
        return d.new == "closed" and d.stream_side == "sending" end).stream_id)
    end)
  end)

  it("has DATAGRAM frames' way, UDP datagrams, the loss timer and the spin bit", function()
    in_folder(function(folder)
      local sim = simulation.new{ seed = 3 }
      sim:link{ delay = 0.02 }
      local function serve(conn) conn:datagram_recv() end
      local server = sim:server{ qlog = folder, max_datagram_frame_size = 1000, spin_bit = true, on_conn = serve }
      local client = sim:client{ server = server, qlog = folder, max_datagram_frame_size = 1000, spin_bit = true }
      sim:run(function() return client.conn:is_confirmed() end)
      for _ = 1, 4 do
        assert(client.conn:datagram_send("twelve bytes"))
        client:touch()
        sim:run(0.1)
      end
      sim:run(2)
      sim:close()
      both(folder, function(which, events, counts)
        local way = find(events, "quic:datagram_data_moved")
        assert.same({ which == "client" and "transport" or "application", 12 }, { way.to, way.raw.length })
        local sizes = { sent = 0, received = 0 }
        for _, event in ipairs(events) do
          local direction = event.name:match("^quic:udp_datagrams_(%a+)$")
          for _, raw in ipairs(direction and event.data.raw or {}) do
            sizes[direction] = sizes[direction] + raw.length
          end
        end
        assert.is_true(sizes.sent > 1200 and sizes.received > 1200)
        for _, kind in ipairs{ "set", "cancelled" } do
          assert.is_table(find(events, "quic:timer_updated", function(d) return d.event_type == kind end), kind)
        end
        assert.is_true(which == "server" or counts["quic:spin_bit_updated"] > 0)
      end)
    end)
  end)

  it("has why packets are lost, when the loss timer expires, and what keeps data back", function()
    in_folder(function(folder)
      local run = transfer.new(3, { delay = 0.02, rate = 1e6, queue = 30, loss = 0.03 }, 300000, { qlog = folder })
      run.finish(60)
      run.sim:close()
      both(folder, function(_, events)
        local triggers, reasons = {}, {}
        for _, event in ipairs(events) do
          if event.name == "quic:packet_lost" then triggers[event.data.trigger] = true end
          if event.name == "quic:connection_data_blocked_updated" then
            reasons[event.data.reason or event.data.new] = true
          end
        end
        assert.is_true(triggers.reordering_threshold)
        assert.is_true(reasons.congestion_control)
        assert.is_true(reasons.unblocked)
      end)
      local _, events = traces.read((traces.side(folder, "server")))
      assert.is_table(find(events, "quic:timer_updated"))
    end)
  end)

  it("has the probe timer's end, and losses by time", function()
    in_folder(function(folder)
      local sim = simulation.new{ seed = 1 }
      local link = sim:link{ delay = 0.02 }
      local server = sim:server{ on_conn = function() end }
      local client = sim:client{ server = server, qlog = folder }
      sim:run(function() return client.conn:is_confirmed() end)
      sim:run(1)
      link:set{ delay = 0.02, up = { cut = true } }
      client.conn:ping()
      client:touch()
      sim:run(0.03)
      link:set{ delay = 0.02, up = { cut = false } }
      sim:run(2)
      sim:close()
      local _, events = traces.read((traces.side(folder, "client")))
      assert.is_table(find(events, "quic:timer_updated", function(d) return d.event_type == "expired" end))
      assert.equal("time_threshold", find(events, "quic:packet_lost").trigger)
    end)
  end)

  it("has connection IDs that change", function()
    in_folder(function(folder)
      local run = transfer.new(1, { delay = 0.01 }, 1000, { qlog = folder })
      run.finish(10)
      run.server_conn:rotate_ids()
      run.server:touch()
      run.sim:run(1)
      run.client.conn:ping()
      run.client:touch()
      run.sim:run(1)
      run.sim:close()
      both(folder, function(which, events)
        local updates = {}
        for _, event in ipairs(events) do
          if event.name == "quic:connection_id_updated" then updates[#updates + 1] = event.data end
        end
        assert.equal(2, #updates, which)
        assert.equal(which == "client" and "remote" or "local", updates[2].initiator)
        assert.equal(updates[1].new, updates[2].old)
      end)
    end)
  end)
end)
