--- HTTP/3 in traces: settings, streams, frames, and what is not told of fields.
local neap = require "neap"
local simulation = require "neap.sim"
local traces = require "qlog.traces"

local it = traces.needed(it, pending)

local find = traces.find

-- What a client asks for is run(client's host, neap.client); the traces of both sides are in the folder then.
local function exchange(folder, run, options)
  local lab = simulation.new{ seed = 1 }
  local link = lab:link{ delay = 0.02 }
  local server = lab:host("server.example")
  local client = lab:host("client.example", { link = link })
  server:go(function()
    local app = neap.app()
    app:get("/*rest", function(req, res)
      res:header("set-cookie", "a=hunter2")
      if req.path == "/urgent" then res:header("priority", "u=1, i") end
      return ("x"):rep(req.path == "/urgent" and 300000 or 3000)
    end)
    app:post("/", function(req) return req:body() end)
    assert(app:listen{ port = 443, qlog = folder, early_data = true })
  end)
  client:run(function()
    local given = { qlog = folder }
    for name, value in pairs(options or {}) do given[name] = value end
    run(neap.client(given))
  end)
  lab:close()
end

local function frame_of(events, name, kind, id)
  local data = find(events, name, function(d)
    return d.frame.frame_type == kind and (id == nil or d.stream_id == id)
  end)
  return data and data.frame
end

local function header(frame, name)
  for _, field in ipairs(frame.headers) do
    if field.name == name then return field end
  end
end

describe("the traces of a request", function()
  it("have the settings, streams and frames of both sides", function()
    traces.in_folder(function(folder)
      exchange(folder, function(client)
        assert.equal(3000, #client:get("https://server.example/page"):body())
        assert.equal(70000, #client:post("https://server.example/", { body = ("y"):rep(70000) }):body())
        client:close()
      end)
      for which, other in pairs{ client = "remote", server = "local" } do
        local _, events = traces.read((traces.side(folder, which)))
        local sent = which == "client" and "http3:frame_created" or "http3:frame_parsed"
        local answered = which == "client" and "http3:frame_parsed" or "http3:frame_created"
        for _, initiator in ipairs{ "local", "remote" } do
          local set = find(events, "http3:parameters_set", function(d) return d.initiator == initiator end)
          assert.equal(65536, set.max_field_section_size)
          assert.is_table(find(events, "http3:stream_type_set", function(d)
            return d.initiator == initiator and d.stream_type == "control" end))
        end
        assert.equal("settings_max_field_section_size", frame_of(events, sent, "settings").settings[1].name)
        local own = other == "remote" and "local" or "remote"
        assert.equal(own, find(events, "http3:stream_type_set", function(d)
          return d.stream_id == 0 and d.stream_type == "request" end).initiator)
        local headers = frame_of(events, sent, "headers", 0)
        assert.equal("/page", header(headers, ":path").value)
        assert.is_true(headers.raw.payload_length > 10)
        assert.equal(3000, frame_of(events, answered, "data", 0).raw.payload_length)
        local size = 0
        for _, event in ipairs(events) do
          if event.name == sent and event.data.stream_id == 4 and event.data.frame.frame_type == "data" then
            size = size + event.data.frame.raw.payload_length
          end
        end
        assert.equal(70000, size)
      end
    end)
  end)

  it("have the priorities of a response: the request's, an update of it, and the server's own", function()
    traces.in_folder(function(folder)
      exchange(folder, function(client)
        local res = assert(client:get("https://server.example/urgent", { priority = { urgency = 1 } }))
        assert(res:set_priority{ urgency = 5, incremental = true })
        res:body()
        client:close()
      end)
      local function updates(which)
        local seen = {}
        local _, events = traces.read((traces.side(folder, which)))
        for _, event in ipairs(events) do
          local d = event.data
          if event.name == "http3:priority_updated" then
            seen[#seen + 1] = ("%d %s>%s %s %s"):format(d.stream_id, d.old or "", d.new, d.trigger, d.reason)
          end
        end
        return seen
      end
      assert.same({ "0 >u=1 local local_policy", "0 u=1>u=5, i local local_policy" }, updates("client"))
      assert.same({ "0 >u=1 client_signal_received client_signal_only",
        "0 u=1>u=1, i local client_server_merged",
        "0 u=1, i>u=1, i client_signal_received client_server_merged" }, updates("server"))
    end)
  end)

  it("have no values of fields that are credentials", function()
    traces.in_folder(function(folder)
      exchange(folder, function(client)
        client:get("https://server.example/", { headers = { cookie = "a=hunter2", authorization = "Bearer hunter2" } })
        client:close()
      end)
      for _, which in ipairs{ "client", "server" } do
        local path = traces.side(folder, which)
        local _, events = traces.read(path)
        local headers = frame_of(events, which == "client" and "http3:frame_created" or "http3:frame_parsed", "headers")
        for _, name in ipairs{ "cookie", "authorization" } do
          assert.same({ name = name }, header(headers, name))
        end
        assert.is_nil(assert(io.open(path)):read("*a"):find("hunter2", 1, true))
      end
    end)
  end)

  it("name the errors of HTTP/3, and GOAWAY", function()
    traces.in_folder(function(folder)
      exchange(folder, function(client)
        client:get("https://server.example/")
        client:close()
      end)
      local _, events = traces.read((traces.side(folder, "client")))
      assert.equal("http_no_error", find(events, "quic:connection_closed").application_error)
    end)
  end)
end)

describe("the trace of a client that sends early", function()
  it("has what it remembers of the server", function()
    traces.in_folder(function(folder)
      exchange(folder, function(client)
        client:get("https://server.example/", { early = true }):body()
        neap.sleep(20)
        client:get("https://server.example/", { early = true }):body()
        client:close()
      end, { early_data = true, max_idle_timeout = 5 })
      local found
      for _, name in ipairs(traces.files(folder)) do
        local _, events = traces.read(folder .. "/" .. name)
        local settings = find(events, "http3:parameters_restored")
        if settings then
          found = true
          assert.equal(65536, settings.max_field_section_size)
          assert.is_true(find(events, "quic:parameters_restored").initial_max_data > 0)
          assert.is_table(find(events, "quic:packet_sent", function(d) return d.header.packet_type == "0RTT" end))
        end
      end
      assert.is_true(found)
    end)
  end)
end)
