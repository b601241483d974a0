-- A trace for qvis, which reads no newer qlog than version 0.3: neap run examples/qvis.lua IN.sqlog OUT.sqlog
--
-- There events have the categories of then ("transport:packet_sent"), frames a length of their own, and the head other
-- names; what qvis does not know goes along.
local json = require "neap.json"

local input, output = arg[1], arg[2]
if not output then error("usage: neap run examples/qvis.lua IN.sqlog OUT.sqlog", 0) end

local CATEGORIES = {
  connectivity = "server_listening connection_started connection_closed connection_id_updated spin_bit_updated "
    .. "connection_state_updated mtu_updated",
  security = "key_updated key_discarded",
  recovery = "recovery_parameters_set recovery_metrics_updated congestion_state_updated packet_lost timer_updated",
}

local names = {} -- all others of quic: are of transport:
for category, list in pairs(CATEGORIES) do
  for name in list:gmatch("%S+") do names[name] = category .. ":" .. name:gsub("^recovery_", "") end
end
names.timer_updated = "recovery:loss_timer_updated"
names.stream_data_moved = "transport:data_moved"
names.udp_datagrams_sent = "transport:datagrams_sent"
names.udp_datagrams_received = "transport:datagrams_received"

local function rename(name)
  local space, event = name:match("^(%w+):(.*)$")
  if space == "http3" then return "http:" .. event end
  return space == "quic" and (names[event] or "transport:" .. event) or name
end

local function translate(event)
  local data = event.data
  event.name = rename(event.name)
  for _, frame in ipairs(data.frames or {}) do
    if frame.raw then frame.length = frame.raw.length or frame.raw.payload_length end
  end
  if data.frame and data.frame.raw then data.length = data.frame.raw.payload_length end
  if data.initiator then data.owner = data.initiator end
  return event
end

local function head_of(head)
  local trace = head.trace
  trace.common_fields.time_format, trace.common_fields.reference_time = "relative", 0
  trace.event_schemas = nil
  return { qlog_version = "0.3", qlog_format = "JSON-SEQ", title = head.title, trace = trace }
end

local file = assert(io.open(input, "rb"))
local bytes = file:read("*a")
file:close()
local out = assert(io.open(output, "wb"))
local is_head = true
for record in bytes:gmatch("\30([^\30]*)\n") do
  local value = assert(json.decode(record))
  out:write("\30", json.encode(is_head and head_of(value) or translate(value)), "\n")
  is_head = false
end
out:close()
