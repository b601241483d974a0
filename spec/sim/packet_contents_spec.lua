--- What packets hold, as their sender tells it by its trace, in a download over a bad link while the client moves.
local neap = require "neap"
local sim = require "neap.sim"
local traces = require "qlog.traces"

local it = traces.needed(it, pending)

local SIZE = 1e6

-- fn(packet) for each packet that client and server send: its header and frames, as qlog names them.
local function download(seed, fn)
  local lab = sim.new{ seed = seed }
  lab:link{ delay = 0.02, loss = 0.02 }
  local server, client = lab:host("server.example", "10.1.0.1"), lab:host("client.example", "10.2.0.1")
  client:add_address("10.2.0.2")
  local function tell(whose)
    return function(event)
      if event.name == "quic:packet_sent" then fn(event.data, whose) end
    end
  end
  server:go(function()
    local listener = assert(neap.quic.listen{ port = 7000, alpn = "t", on_trace = tell("server") })
    listener:on_connection(function(connection)
      connection:on_stream(function(stream)
        stream:read_all()
        stream:write(("x"):rep(SIZE))
      end)
    end)
  end)
  client:run(function()
    local connection = assert(neap.quic.connect("server.example:7000", { alpn = "t", on_trace = tell("client") }))
    local stream, got = assert(connection:open_stream()), 0
    stream:write("get", { fin = true })
    for i, bytes in stream:chunks() do
      got = got + #(bytes or i)
      if got > SIZE / 4 and connection.local_address:match("^10%.2%.0%.1:") then
        connection:migrate{ address = "10.2.0.2" }
      end
    end
    assert.equal(SIZE, got)
    neap.sleep(2)
  end)
  lab:close()
end

local function count(packet, kind)
  local n = 0
  for _, frame in ipairs(packet.frames) do
    if frame.frame_type == kind then n = n + 1 end
  end
  return n
end

describe("a packet", function()
  -- covers: rfc9000#8.2.1.2
  it("has one PATH_CHALLENGE at most", function()
    local challenges = { client = 0, server = 0 }
    for seed = 1, 2 do
      download(seed, function(packet, whose)
        local here = count(packet, "path_challenge")
        assert.is_true(here <= 1)
        challenges[whose] = challenges[whose] + here
      end)
    end
    assert.is_true(challenges.client >= 2 and challenges.server >= 2)
  end)

  -- covers: rfc9000#13.2.7.1
  it("asks for an acknowledgement behind thirty-two that do not at the latest, padded or not", function()
    local most, all = 0, 0
    local run = {}
    download(1, function(packet, whose)
      local key = whose .. packet.header.packet_type
      local silent = count(packet, "ack") + count(packet, "padding") == #packet.frames
      run[key] = silent and (run[key] or 0) + 1 or 0
      all = all + (silent and 1 or 0)
      most = math.max(most, run[key])
    end)
    assert.is_true(all > 100, all)
    assert.is_true(most > 1 and most <= 32, most)
  end)
end)
