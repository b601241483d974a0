/* HTTP/3 (draft-ietf-quic-qlog-h3-events): settings, streams, frames. */
#include "base/reader.h"
#include "qlog/trace.h"

#include <string.h>

#define FIELD_ROOM \
    512u /* bytes that are left before another field is written, beside twice its size in escapes */

/* Names of settings (RFC 9114 §7.2.4.1, RFC 9204 §5, RFC 9220 §3, RFC 9297 §2.1.1): in parameters_set, in the frame. */
static const struct {
    uint64_t id;
    const char *parameter, *name;
} settings[] = {
    {0x01, "max_table_capacity", "settings_qpack_max_table_capacity"},
    {0x06, "max_field_section_size", "settings_max_field_section_size"},
    {0x07, "blocked_streams_count", "settings_qpack_blocked_streams"},
    {0x08, "extended_connect", "settings_enable_connect_protocol"},
    {0x33, "h3_datagram", "settings_h3_datagram"},
};
#define SETTINGS (sizeof settings / sizeof settings[0])

static size_t find_setting(uint64_t id)
{
    size_t at = 0;

    while (at < SETTINGS && settings[at].id != id)
        at++;
    return at;
}

/* Identifiers of the form 31 * N + 33 mean nothing (RFC 9114 §7.2.8). */
static bool is_reserved(uint64_t id)
{
    return id >= 33 && (id - 33) % 31 == 0;
}

static void write_settings(struct record *r, struct span payload)
{
    struct reader in = reader_of(payload);

    neap_record_open(r, "settings", '[');
    while (reader_left(&in) > 0) {
        uint64_t id = read_varint(&in), value = read_varint(&in);
        size_t at = find_setting(id);

        if (in.bad)
            break;
        neap_record_open(r, NULL, '{');
        neap_record_string(r, "name",
                           at < SETTINGS     ? settings[at].name
                           : is_reserved(id) ? "reserved"
                                             : "unknown");
        if (at == SETTINGS && !is_reserved(id))
            neap_record_number(r, "name_bytes", id);
        neap_record_number(r, "value", value);
        neap_record_close(r, '{');
    }
    neap_record_close(r, '[');
}

void neap_qlog_h3_settings(neap_qlog *q, const neap_trace_event *e)
{
    bool is_remembered = e->values[0] == NEAP_TRACE_REMEMBERED;
    struct reader in = reader_of(span_of(e->payload, e->payload_size));

    q->is_h3 = true;
    struct record r = neap_qlog_begin_event(
        q, e->now, is_remembered ? "http3:parameters_restored" : "http3:parameters_set");
    if (!is_remembered)
        neap_qlog_initiator(&r, e->values[0] == NEAP_TRACE_PEERS);
    while (reader_left(&in) > 0) {
        uint64_t id = read_varint(&in), value = read_varint(&in);
        size_t at = find_setting(id);

        if (!in.bad && at < SETTINGS)
            neap_record_number(&r, settings[at].parameter, value);
    }
    if (e->values[0] == NEAP_TRACE_OURS)
        neap_record_bool(&r, "waits_for_settings", false);
    neap_qlog_end_event(q, &r);
}

void neap_qlog_h3_stream(neap_qlog *q, const neap_trace_event *e)
{
    static const char *const types[] = {"control", "push", "qpack_encode", "qpack_decode"};
    uint64_t type = e->values[0];
    struct record r = neap_qlog_begin_event(q, e->now, "http3:stream_type_set");

    q->is_h3 = true;
    neap_qlog_initiator(&r, e->values[1] != 0);
    neap_record_number(&r, "stream_id", e->number);
    neap_record_string(&r, "stream_type",
                       type == NEAP_TRACE_H3_REQUEST           ? "request"
                       : type < sizeof types / sizeof types[0] ? types[type]
                       : is_reserved(type)                     ? "reserved"
                                                               : "unknown");
    if (type != NEAP_TRACE_H3_REQUEST && type >= sizeof types / sizeof types[0] && !is_reserved(type))
        neap_record_number(&r, "stream_type_bytes", type);
    neap_qlog_end_event(q, &r);
}

/* As the field says it (RFC 9218 §4). */
static void write_urgency(struct record *r, const char *name, uint64_t urgency, uint64_t incremental)
{
    const char text[] = {'u', '=', (char)('0' + urgency), ',', ' ', 'i'};

    neap_record_text(r, name, text, incremental ? 6 : 3);
}

void neap_qlog_h3_priority(neap_qlog *q, const neap_trace_event *e)
{
    bool is_ours = e->values[0] == NEAP_TRACE_OURS;
    struct record r = neap_qlog_begin_event(q, e->now, "http3:priority_updated");

    q->is_h3 = true;
    neap_record_number(&r, "stream_id", e->number);
    if (e->values[3] != UINT64_MAX)
        write_urgency(&r, "old", e->values[3], e->values[4]);
    write_urgency(&r, "new", e->values[1], e->values[2]);
    neap_record_string(&r, "trigger", is_ours ? "local" : "client_signal_received");
    neap_record_string(&r, "reason",
                       e->values[5] ? "client_server_merged"
                       : is_ours    ? "local_policy"
                                    : "client_signal_only");
    neap_qlog_end_event(q, &r);
}

/* ---- frames */

/* Fields whose values are credentials: whoever has them may do what their owner may. */
static bool is_secret(const neap_field *f)
{
    static const char *const names[] = {"authorization", "proxy-authorization", "cookie", "set-cookie"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (f->name_size == strlen(names[i]) && memcmp(f->name, names[i], f->name_size) == 0)
            return true;
    return f->never_indexed;
}

/* Those that there is room for. */
static void write_fields(struct record *r, const neap_trace_event *e)
{
    neap_record_open(r, "headers", '[');
    for (size_t i = 0; i < e->field_count; i++) {
        const neap_field *f = &e->fields[i];
        size_t value_size = is_secret(f) ? 0 : f->value_size;

        if (record_left(r) < FIELD_ROOM || (record_left(r) - FIELD_ROOM) / 6 < f->name_size + value_size)
            break;
        neap_record_open(r, NULL, '{');
        neap_record_text(r, "name", f->name, f->name_size);
        if (!is_secret(f))
            neap_record_text(r, "value", f->value ? f->value : "", value_size);
        neap_record_close(r, '{');
    }
    neap_record_close(r, '[');
}

static void write_id(struct record *r, const char *name, const neap_trace_event *e)
{
    struct reader in = reader_of(span_of(e->payload, e->payload_size));

    neap_record_number(r, name, read_varint(&in));
}

/* RFC 9218 §7: the element, and its priority as it was said. */
static void write_priority(struct record *r, const neap_trace_event *e, bool is_push)
{
    struct reader in = reader_of(span_of(e->payload, e->payload_size));

    neap_record_number(r, is_push ? "push_id" : "stream_id", read_varint(&in));
    neap_record_text(r, "priority_field_value", (const char *)in.at, reader_left(&in));
}

static void write_frame(struct record *r, const neap_trace_event *e)
{
    uint64_t type = e->values[0];
    const char *name = is_reserved(type) ? "reserved" : "unknown";

    switch (type) {
    case 0x00: name = "data"; break;
    case 0x01: name = "headers"; break;
    case 0x03: name = "cancel_push"; break;
    case 0x04: name = "settings"; break;
    case 0x07: name = "goaway"; break;
    case 0x0d: name = "max_push_id"; break;
    case 0xf0700:
    case 0xf0701: name = "priority_update"; break;
    default: break;
    }
    neap_record_string(r, "frame_type", name);
    switch (type) {
    case 0x00: break;
    case 0x01: write_fields(r, e); break;
    case 0x03:
    case 0x0d: write_id(r, "push_id", e); break;
    case 0x04: write_settings(r, span_of(e->payload, e->payload_size)); break;
    case 0x07: write_id(r, "id", e); break;
    case 0xf0700:
    case 0xf0701: write_priority(r, e, type == 0xf0701); break;
    default: neap_record_number(r, "frame_type_bytes", type);
    }
}

void neap_qlog_h3_frame(neap_qlog *q, const neap_trace_event *e)
{
    struct record r =
        neap_qlog_begin_event(q, e->now, e->values[1] ? "http3:frame_parsed" : "http3:frame_created");

    q->is_h3 = true;
    neap_record_number(&r, "stream_id", e->number);
    neap_record_open(&r, "frame", '{');
    write_frame(&r, e);
    neap_record_open(&r, "raw", '{');
    neap_record_number(&r, "payload_length", e->size);
    neap_record_close(&r, '{');
    neap_record_close(&r, '{');
    neap_qlog_end_event(q, &r);
}
