--- examples/qvis.lua: what qvis asks of a trace before it draws anything. It takes files named .sqlog, cuts them at
--- record separators, wants qlog_version (one of a few), qlog_format "JSON-SEQ" and trace in the first record, and then
--- times that grow, events with category and name, sizes in raw.length and packet types in header.
local helper = require "spec.helper"
local json = require "neap.json"
local traces = require "qlog.traces"
local transfer = require "sim.transfer"

local it = traces.needed(it, pending)

local VERSIONS = { ["draft-02"] = true, ["draft-02-RC1"] = true, ["qlog-03-WIP"] = true, ["0.3"] = true }
local CATEGORIES = { connectivity = true, security = true, transport = true, recovery = true, http = true }

describe("examples/qvis.lua", function()
  it("writes what the loader of qvis takes, with all events", function()
    traces.in_folder(function(folder)
      local run = transfer.new(3, { delay = 0.02, rate = 2e6, queue = 60, loss = 0.02 }, 100000, { qlog = folder })
      run.finish(60)
      run.sim:close()
      for _, which in ipairs{ "client", "server" } do
        local path = traces.side(folder, which)
        local _, events = traces.read(path)
        local output, status = helper.run(("%s/neap run %s/examples/qvis.lua %s %s/out.sqlog"):format(
          helper.quote(helper.build_dir), helper.source_dir, path, folder))
        assert.equal(0, status, output)
        local records = {}
        for record in helper.read_file(folder .. "/out.sqlog"):gmatch("[^\30]+") do
          records[#records + 1] = assert(json.decode(record))
        end
        local head = table.remove(records, 1)
        assert.is_true(VERSIONS[head.qlog_version])
        assert.equal("JSON-SEQ", head.qlog_format)
        assert.equal(which, head.trace.vantage_point.type)
        local common = head.trace.common_fields
        assert.same({ "relative", 0 }, { common.time_format, common.reference_time })
        assert.equal(#events, #records)
        local last, counts = 0, {}
        for _, event in ipairs(records) do
          assert.is_true(event.time >= last)
          last = event.time
          local category = event.name:match("^(%w+):[%w_]+$")
          assert.is_true(CATEGORIES[category], event.name)
          counts[event.name] = (counts[event.name] or 0) + 1
          if event.name:find("packet_sent", 1, true) then
            assert.is_string(event.data.header.packet_type)
            assert.is_number(event.data.raw.length)
            for _, frame in ipairs(event.data.frames) do
              assert.is_true(frame.frame_type ~= "stream" or frame.length ~= nil)
            end
          end
        end
        for _, name in ipairs{ "transport:packet_sent", "transport:packet_received", "transport:parameters_set",
          "recovery:metrics_updated", "recovery:packet_lost", "recovery:parameters_set" } do
          assert.is_true((counts[name] or 0) > 0, name)
        end
      end
    end)
  end)
end)
