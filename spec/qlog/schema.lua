--- The schema of qlog as a Lua table, after the CDDL of draft-ietf-quic-qlog-main-schema, -quic-events and -h3-events:
--- which fields an event has, and of which types. A field that is not in it is wrong, unless the draft lets anybody add
--- some.
local schema = {}

local function whole(value) return type(value) == "number" and value >= 0 and value % 1 == 0 end
local function number(value) return type(value) == "number" and value >= 0 end
local function text(value) return type(value) == "string" end
local function bool(value) return type(value) == "boolean" end
local function hex(value) return text(value) and #value % 2 == 0 and not value:find("[^0-9a-f]") end

local function one_of(words)
  local set = {}
  for word in words:gmatch("%S+") do set[word] = true end
  return function(value) return set[value] == true end
end

local check_object

--- An object: `fields` are required; those of `optional` may be missing; `open`: others may be there.
local function object(fields, optional, open)
  return function(value) return check_object(value, fields, optional or {}, open) end
end

local function list(of, least)
  return function(value)
    if type(value) ~= "table" or #value < (least or 0) then return false end
    for _, item in ipairs(value) do
      local ok, why = of(item)
      if not ok then return false, why end
    end
    return true
  end
end

function check_object(value, fields, optional, open)
  if type(value) ~= "table" then return false, "no object" end
  for name, check in pairs(fields) do
    if value[name] == nil then return false, name .. " is missing" end
    local ok, why = check(value[name])
    if not ok then return false, name .. ": " .. (why or tostring(value[name])) end
  end
  for name, given in pairs(value) do
    local check = optional[name]
    if check then
      local ok, why = check(given)
      if not ok then return false, name .. ": " .. (why or tostring(given)) end
    elseif not fields[name] and not open then
      return false, name .. " is unknown"
    end
  end
  return true
end

local raw = object({}, { length = whole, payload_length = whole, data = hex })
local endpoint = object({}, { ip_v4 = text, port_v4 = whole, ip_v6 = text, port_v6 = whole,
  connection_ids = list(hex, 1) })
local stream_type = one_of "unidirectional bidirectional"
local initiator = one_of "local remote"
local key_type = one_of("server_initial_secret client_initial_secret server_handshake_secret client_handshake_secret "
  .. "server_0rtt_secret client_0rtt_secret server_1rtt_secret client_1rtt_secret")
local known_error = one_of("no_error internal_error connection_refused flow_control_error stream_limit_error "
  .. "stream_state_error final_size_error frame_encoding_error transport_parameter_error connection_id_limit_error "
  .. "protocol_violation invalid_token application_error crypto_buffer_exceeded key_update_error aead_limit_reached "
  .. "no_viable_path unknown")
local function transport_error(value)
  return known_error(value) or (text(value) and value:find("^crypto_error_0x1[0-9a-f][0-9a-f]$") ~= nil)
end
local application_error = one_of("unknown http_no_error http_general_protocol_error http_internal_error "
  .. "http_stream_creation_error http_closed_critical_stream http_frame_unexpected http_frame_error "
  .. "http_excessive_load http_id_error http_settings_error http_missing_settings http_request_rejected "
  .. "http_request_cancelled http_request_incomplete http_early_response http_connect_error http_version_fallback")

local FRAMES = {
  padding = { {}, {} }, ping = { {}, {} }, handshake_done = { {}, {} }, datagram = { {}, {} },
  ack = { {}, { ack_delay = number, acked_ranges = list(list(whole, 1), 1), ect0 = whole, ect1 = whole,
    ce = whole } },
  reset_stream = { { stream_id = whole, error = application_error, final_size = whole }, { error_code = whole } },
  reset_stream_at = { { stream_id = whole, error = application_error, final_size = whole, reliable_size = whole },
    { error_code = whole } },
  stop_sending = { { stream_id = whole, error = application_error }, { error_code = whole } },
  crypto = { { offset = whole, raw = object{ length = whole } }, {} },
  new_token = { { token = object({}, { type = one_of "retry resumption", raw = raw }) }, {} },
  stream = { { stream_id = whole, raw = object{ length = whole } }, { offset = whole, fin = bool } },
  max_data = { { maximum = whole }, {} },
  max_stream_data = { { stream_id = whole, maximum = whole }, {} },
  max_streams = { { stream_type = stream_type, maximum = whole }, {} },
  data_blocked = { { limit = whole }, {} },
  stream_data_blocked = { { stream_id = whole, limit = whole }, {} },
  streams_blocked = { { stream_type = stream_type, limit = whole }, {} },
  new_connection_id = { { sequence_number = whole, retire_prior_to = whole, connection_id = hex },
    { connection_id_length = whole, stateless_reset_token = hex } },
  retire_connection_id = { { sequence_number = whole }, {} },
  path_challenge = { {}, { data = hex } },
  path_response = { {}, { data = hex } },
  path_ack = { { path_id = whole }, { ack_delay = number, acked_ranges = list(list(whole, 1), 1), ect0 = whole,
    ect1 = whole, ce = whole } },
  path_abandon = { { path_id = whole, error_code = whole }, {} },
  path_status_backup = { { path_id = whole, path_status_sequence_number = whole }, {} },
  path_status_available = { { path_id = whole, path_status_sequence_number = whole }, {} },
  path_new_connection_id = { { path_id = whole, sequence_number = whole, retire_prior_to = whole,
    connection_id = hex }, { connection_id_length = whole, stateless_reset_token = hex } },
  path_retire_connection_id = { { path_id = whole, sequence_number = whole }, {} },
  max_path_id = { { maximum_path_id = whole }, {} },
  paths_blocked = { { maximum_path_id = whole }, {} },
  path_cids_blocked = { { path_id = whole, next_sequence_number = whole }, {} },
  connection_close = { {}, { error_space = one_of "transport application", error = function(value)
    return transport_error(value) or application_error(value)
  end, error_code = whole, reason = text, reason_bytes = hex, trigger_frame_type = whole } },
  unknown = { { frame_type_bytes = whole }, {} },
}

local function frame(value)
  local rules = type(value) == "table" and FRAMES[value.frame_type]
  if not rules then return false, "frame_type " .. tostring(type(value) == "table" and value.frame_type) end
  local optional = { raw = raw, frame_type = text }
  for name, check in pairs(rules[2]) do optional[name] = check end
  return check_object(value, rules[1], optional)
end

local header = object({ packet_type =
  one_of "initial handshake 0RTT 1RTT retry version_negotiation stateless_reset unknown" },
  { spin_bit = bool, key_phase = whole, key_phase_bit = bool, packet_number_length = whole, packet_number = whole,
    length = whole, version = hex, scil = whole, dcil = whole, scid = hex, dcid = hex, path_id = whole })
local space = one_of "initial handshake application_data"
local packet = { frames = list(frame), raw = raw, is_mtu_probe_packet = bool, trigger = text }
local migration = one_of("probing_started probing_abandoned probing_successful migration_started migration_abandoned "
  .. "migration_complete path_opened path_closed path_status")
local ecn = one_of "testing unknown failed capable"


local protocol = object({}, { byte_value = hex, string_value = text })
local parameters = { initiator = initiator, resumption_allowed = bool, early_data_enabled = bool, tls_cipher = text,
  original_destination_connection_id = hex, initial_source_connection_id = hex, retry_source_connection_id = hex,
  stateless_reset_token = hex, disable_active_migration = bool, max_idle_timeout = whole, max_udp_payload_size = whole,
  ack_delay_exponent = whole, max_ack_delay = whole, active_connection_id_limit = whole, initial_max_data = whole,
  initial_max_stream_data_bidi_local = whole, initial_max_stream_data_bidi_remote = whole,
  initial_max_stream_data_uni = whole, initial_max_streams_bidi = whole, initial_max_streams_uni = whole,
  max_datagram_frame_size = whole, grease_quic_bit = bool, reset_stream_at = bool,
  initial_max_path_id = whole }
local restored = {}
for name in ([[disable_active_migration max_idle_timeout max_udp_payload_size active_connection_id_limit initial_max_data
  initial_max_stream_data_bidi_local initial_max_stream_data_bidi_remote initial_max_stream_data_uni
  initial_max_streams_bidi initial_max_streams_uni max_datagram_frame_size grease_quic_bit]]):gmatch("%S+") do
  restored[name] = parameters[name]
end
local place = one_of "application transport network"
local datagrams = { count = whole, raw = list(raw, 1), ecn = list(function(value)
  return value == "Not-ECT" or value == "ECT(0)" or value == "ECT(1)" or value == "CE"
end, 1), datagram_payload_checksums = list(whole, 1) }
local blocked_state = one_of "blocked unblocked"
local stream_state = one_of("idle open closed half_closed_local half_closed_remote ready send data_sent reset_sent "
  .. "reset_received receive size_known data_read reset_read data_received destroyed")

local h3_parameters = { max_field_section_size = whole, max_table_capacity = whole, blocked_streams_count = whole,
  extended_connect = whole, h3_datagram = whole }
local h3_set = { initiator = initiator, waits_for_settings = bool }
for name, check in pairs(h3_parameters) do h3_set[name] = check end
local field = object({}, { name = text, name_bytes = hex, value = text, value_bytes = hex })
local setting = object({ value = whole }, { name_bytes = whole, name = one_of(
  "settings_qpack_max_table_capacity settings_max_field_section_size settings_qpack_blocked_streams "
    .. "settings_enable_connect_protocol settings_h3_datagram reserved unknown") })

local H3_FRAMES = {
  data = { {}, {} }, headers = { { headers = list(field) }, {} }, cancel_push = { { push_id = whole }, {} },
  settings = { { settings = list(setting) }, {} }, push_promise = { { push_id = whole, headers = list(field) }, {} },
  goaway = { { id = whole }, {} }, max_push_id = { { push_id = whole }, {} },
  reserved = { { frame_type_bytes = whole }, {} }, unknown = { { frame_type_bytes = whole }, {} },
  priority_update = { { priority_field_value = text }, { stream_id = whole, push_id = whole } },
  origin = { { origin_entries = list(object({ origin_len = whole }, { ascii_origin = text })) }, {} },
}

local function h3_frame(value)
  local rules = type(value) == "table" and H3_FRAMES[value.frame_type]
  if not rules then return false, "frame_type " .. tostring(type(value) == "table" and value.frame_type) end
  local optional = { raw = raw, frame_type = text }
  for name, check in pairs(rules[2]) do optional[name] = check end
  return check_object(value, rules[1], optional)
end

schema.events = {
  ["quic:connection_started"] = object{ ["local"] = endpoint, remote = endpoint },
  ["quic:connection_closed"] = object({}, { initiator = initiator, connection_error = transport_error,
    application_error = application_error, error_code = whole, internal_code = whole, reason = text,
    trigger = one_of "idle_timeout application error version_mismatch stateless_reset aborted unspecified" }),
  ["quic:connection_state_updated"] = object({ new = text }, { old = text }),
  ["quic:version_information"] = object({}, { server_versions = list(hex, 1), client_versions = list(hex, 1),
    chosen_version = hex }),
  ["quic:alpn_information"] = object({}, { server_alpns = list(protocol), client_alpns = list(protocol),
    chosen_alpn = protocol }),
  ["quic:parameters_set"] = object({}, parameters),
  ["quic:parameters_restored"] = object({}, restored),
  ["quic:connection_id_updated"] = object({ initiator = initiator }, { old = hex, new = hex }),
  ["quic:spin_bit_updated"] = object{ state = bool },
  ["quic:timer_updated"] = object({ event_type = one_of "set expired cancelled" }, { timer_id = whole,
    timer_type = one_of "ack pto loss_timeout path_validation handshake_timeout idle_timeout",
    packet_number_space = space, delta = number }),
  ["quic:udp_datagrams_sent"] = object({}, datagrams),
  ["quic:udp_datagrams_received"] = object({}, datagrams),
  ["quic:stream_state_updated"] = object({ stream_id = whole, new = stream_state,
    stream_side = one_of "sending receiving" }, { stream_type = stream_type, old = stream_state,
    trigger = one_of "local remote" }),
  ["quic:stream_data_moved"] = object({}, { stream_id = whole, offset = whole, from = place, to = place,
    additional_info = one_of "fin_set stream_reset", raw = raw }),
  ["quic:datagram_data_moved"] = object({}, { from = place, to = place, raw = raw }),
  ["quic:connection_data_blocked_updated"] = object({ new = blocked_state }, { old = blocked_state, reason = one_of(
    "scheduling pacing amplification_protection congestion_control connection_flow_control stream_flow_control "
      .. "stream_id application") }),
  ["http3:parameters_set"] = object({}, h3_set),
  ["http3:parameters_restored"] = object({}, h3_parameters),
  ["http3:stream_type_set"] = object({ stream_id = whole, stream_type =
    one_of "request control push reserved unknown qpack_encode qpack_decode" }, { initiator = initiator,
    stream_type_bytes = whole, associated_push_id = whole }),
  ["http3:priority_updated"] = object({ new = text }, { stream_id = whole, push_id = whole, old = text,
    trigger = one_of "client_signal_received local other",
    reason = one_of "client_signal_only client_server_merged local_policy other" }),
  ["http3:frame_created"] = object{ stream_id = whole, frame = h3_frame },
  ["http3:frame_parsed"] = object{ stream_id = whole, frame = h3_frame },
  ["quic:packet_sent"] = object({ header = header }, packet),
  ["quic:packet_received"] = object({ header = header }, packet),
  ["quic:packet_dropped"] = object({}, { header = header, raw = raw, details = object({}, {}, true), trigger = one_of(
    "internal_error rejected unsupported"
      .. " invalid duplicate connection_unknown decryption_failure key_unavailable general") }),
  ["quic:packet_buffered"] = object({}, { header = header, raw = raw,
    trigger = one_of "backpressure keys_unavailable" }),
  ["quic:packets_acked"] = object({}, { packet_number_space = space, packet_numbers = list(whole, 1) }),
  ["quic:packet_lost"] = object({}, { header = header, frames = list(frame), is_mtu_probe_packet = bool,
    trigger = one_of "reordering_threshold time_threshold pto_expired" }),
  ["quic:mtu_updated"] = object({ new = whole }, { old = whole, done = bool }),
  ["quic:key_updated"] = object({ key_type = key_type }, { key_phase = whole,
    trigger = one_of "tls remote_update local_update" }),
  ["quic:key_discarded"] = object({ key_type = key_type }, { key_phase = whole,
    trigger = one_of "tls remote_update local_update" }),
  ["quic:tuple_assigned"] = object({ tuple_id = text }, { tuple_remote = endpoint, tuple_local = endpoint }),
  ["quic:migration_state_updated"] = object({ new = migration }, { old = migration, tuple_id = text,
    tuple_remote = endpoint,
    tuple_local = endpoint }),
  ["quic:recovery_parameters_set"] = object({ timer_granularity = whole }, { reordering_threshold = whole,
    time_threshold = number,
    initial_rtt = number, max_datagram_size = whole, initial_congestion_window = whole,
      minimum_congestion_window = whole,
    loss_reduction_factor = number, persistent_congestion_threshold = whole }, true),
  ["quic:recovery_metrics_updated"] = object({}, { min_rtt = number, smoothed_rtt = number, latest_rtt = number,
    rtt_variance = number, pto_count = whole, congestion_window = whole, bytes_in_flight = whole, ssthresh = whole,
    packets_in_flight = whole, pacing_rate = whole }, true),
  ["quic:congestion_state_updated"] = object({ new = text }, { old = text, trigger = text }),
  ["quic:ecn_state_updated"] = object({ new = ecn }, { old = ecn }),
}

schema.header = object({
  file_schema = one_of "urn:ietf:params:qlog:file:sequential",
    serialization_format = one_of "application/qlog+json-seq",
  trace = object({ event_schemas = list(text, 1) }, {
    vantage_point = object({ type = one_of "client server network unknown" }, { name = text, flow = text }),
    common_fields = object({}, { group_id = text, time_format = one_of "relative_to_epoch relative_to_previous_event",
      reference_time = object({ clock_type = text, epoch = text }, { wall_clock_time = text }) }, true),
  }),
}, { title = text, description = text })

--- What is wrong with an event; nil: nothing.
function schema.refuse(event)
  local ok, why = check_object(event, { time = number, name = text,
    data = function(data) return type(data) == "table" end },
    { tuple = text, time_format = text, group_id = text })
  if not ok then return why end
  local check = schema.events[event.name]
  if not check then return event.name .. " is no event" end
  ok, why = check(event.data)
  return not ok and event.name .. ": " .. (why or "wrong") or nil
end

return schema
