/* Unidirectional streams (RFC 9114 §6.2): our control stream, and those of the peer: control, QPACK, unknown ones. */
#include "base/limits.h"
#include "base/pool.h"
#include "base/random.h"
#include "base/reader.h"
#include "http/h3.h"
#include "quic/quic.h"

#define CONTROL_OPENING_MAX 64u /* stream type, SETTINGS and GOAWAY, as we write them */
#define GREASE_SPAN 31u         /* reserved identifiers are 31 * N + 33 (RFC 9114 §7.2.4.1) */
#define GREASE_START 33u

/* ---- ours */

static void write_settings(struct neap_h3 *h3, struct writer *w)
{
    uint8_t room[CONTROL_OPENING_MAX];
    struct writer payload = writer_of(room, sizeof(room));
    struct random *random = neap_conn_random(h3->conn);

    write_varint(&payload, SETTING_MAX_FIELD_SECTION_SIZE);
    write_varint(&payload, h3->max_field_section_size);
    write_varint(&payload, GREASE_SPAN * neap_random_below(random, 1u << 24) + GREASE_START);
    write_varint(&payload, neap_random_below(random, 1u << 24));
    H3_TRACE(h3, .kind = NEAP_TRACE_H3_SETTINGS, .payload = room, .payload_size = writer_size(&payload),
             .values = {NEAP_TRACE_OURS});
    H3_TRACE(h3, .kind = NEAP_TRACE_H3_FRAME, .number = h3->control_id, .size = writer_size(&payload),
             .payload = room, .payload_size = writer_size(&payload), .values = {H3_SETTINGS, false});
    write_h3_frame_head(w, H3_SETTINGS, writer_size(&payload));
    write_bytes(w, room, writer_size(&payload));
}

static void write_goaway(const struct neap_h3 *h3, struct writer *w)
{
    size_t size = varint_size(h3->goaway_sent);

    write_h3_frame_head(w, H3_GOAWAY, size);
    write_varint(w, h3->goaway_sent);
    H3_TRACE(h3, .kind = NEAP_TRACE_H3_FRAME, .number = h3->control_id, .size = size, .payload = w->at - size,
             .payload_size = size, .values = {H3_GOAWAY, false});
}

void neap_h3_open_control(struct neap_h3 *h3)
{
    uint8_t room[CONTROL_OPENING_MAX];
    struct writer w = writer_of(room, sizeof(room));

    if (h3->control_id != NO_STREAM || h3->failed)
        return;
    int64_t id = neap_conn_stream_open(h3->conn, false);
    if (id == NEAP_ERR_STREAM_LIMIT && neap_conn_is_established(h3->conn))
        neap_h3_fail(h3, NEAP_H3_GENERAL_PROTOCOL_ERROR, "no room for a control stream");
    if (id < 0)
        return;
    h3->control_id = (uint64_t)id;
    h3->control = neap_conn_hold(h3->conn, h3->control_id, h3);
    H3_TRACE(h3, .kind = NEAP_TRACE_H3_STREAM, .number = h3->control_id,
             .values = {H3_STREAM_CONTROL, false});
    write_varint(&w, H3_STREAM_CONTROL);
    write_settings(h3, &w);
    if (h3->goaway_sent != NO_ID)
        write_goaway(h3, &w);
    /* Nothing that it says waits behind bodies. */
    if (h3->control)
        neap_conn_held_put_first(h3->conn, h3->control);
    struct span opening = span_of(room, writer_size(&w));
    if (neap_conn_held_queue(h3->conn, h3->control, &opening, 1, false) != 0)
        neap_h3_fail(h3, NEAP_H3_INTERNAL_ERROR, "no memory for the control stream");
}

int neap_h3_write_goaway(struct neap_h3 *h3)
{
    uint8_t room[CONTROL_OPENING_MAX];
    struct writer w = writer_of(room, sizeof(room));

    if (h3->control_id == NO_STREAM)
        return NEAP_OK;
    write_goaway(h3, &w);
    struct span frame = span_of(room, writer_size(&w));
    return neap_conn_held_queue(h3->conn, h3->control, &frame, 1, false);
}

/* ---- the peer's control stream */

/* The settings of HTTP/2 that HTTP/3 does not have (RFC 9114 §11.2.2). */
static bool is_reserved_setting(uint64_t id)
{
    return id == 0x00 || (id >= 0x02 && id <= 0x05);
}

static bool has_setting(const struct h3_setting *settings, uint32_t count, uint64_t id)
{
    for (uint32_t i = 0; i < count; i++) {
        if (settings[i].id == id)
            return true;
    }
    return false;
}

/* Into `settings`, which has LIMIT_SETTINGS rows: how many, or -1 when the connection failed. */
static int parse_settings(struct neap_h3 *h3, struct span payload, struct h3_setting *settings)
{
    struct reader in = reader_of(payload);
    uint32_t count = 0;

    while (reader_left(&in) > 0) {
        struct h3_setting setting = {.id = read_varint(&in)};
        setting.value = read_varint(&in);
        if (in.bad) {
            neap_h3_fail(h3, NEAP_H3_FRAME_ERROR, "truncated setting");
            return -1;
        }
        if (is_reserved_setting(setting.id)) {
            neap_h3_fail(h3, NEAP_H3_SETTINGS_ERROR, "setting of HTTP/2");
            return -1;
        }
        if (has_setting(settings, count, setting.id)) {
            neap_h3_fail(h3, NEAP_H3_SETTINGS_ERROR, "setting twice");
            return -1;
        }
        if (count == LIMIT_SETTINGS) {
            neap_h3_fail(h3, NEAP_H3_EXCESSIVE_LOAD, "too many settings");
            return -1;
        }
        settings[count++] = setting;
    }
    return (int)count;
}

static void on_settings(struct neap_h3 *h3, struct span payload)
{
    struct h3_setting settings[LIMIT_SETTINGS];
    int count = parse_settings(h3, payload, settings);

    if (count < 0 || neap_h3_check_early_settings(h3, settings, (size_t)count))
        return;
    neap_h3_drop_settings(h3);
    if (count > 0) {
        h3->settings = neap_pool_alloc_lasting(h3->pool, (size_t)count * sizeof(settings[0]));
        if (!h3->settings) {
            neap_h3_fail(h3, NEAP_H3_INTERNAL_ERROR, "no memory for settings");
            return;
        }
        memcpy(h3->settings, settings, (size_t)count * sizeof(settings[0]));
    }
    H3_TRACE(h3, .kind = NEAP_TRACE_H3_SETTINGS, .payload = payload.data, .payload_size = payload.size,
             .values = {NEAP_TRACE_PEERS});
    h3->setting_count = (uint32_t)count;
    h3->settings_received = true;
    h3->marks |= H3_MARK_SETTINGS;
    neap_h3_peer_setting(h3, SETTING_MAX_FIELD_SECTION_SIZE, &h3->peer_max_field_section_size);
    if (!h3->is_server)
        neap_h3_remember_settings(h3);
}

/* Requests that the server will not answer can be made again elsewhere (RFC 9114 §5.2). */
static void reject_requests_from(struct neap_h3 *h3, uint64_t id)
{
    for (struct list_link *l = h3->requests.next, *next; l != &h3->requests; l = next) {
        struct h3_request *r = LIST_OWNER(l, struct h3_request, link);
        next = l->next;
        if (r->id >= id && r->message != MESSAGE_CLOSED)
            neap_h3_request_abort(r, NEAP_H3_REQUEST_CANCELLED, NEAP_H3_REQUEST_REJECTED);
    }
}

static void on_goaway(struct neap_h3 *h3, uint64_t id)
{
    if (!h3->is_server && (id & 3) != 0)
        neap_h3_fail(h3, NEAP_H3_ID_ERROR, "GOAWAY names no request");
    else if (h3->goaway_received != NO_ID && id > h3->goaway_received)
        neap_h3_fail(h3, NEAP_H3_ID_ERROR, "GOAWAY identifier grew");
    else if (h3->goaway_received != NO_ID)
        neap_h3_glitch(h3);
    if (h3->failed || id == h3->goaway_received)
        return;
    h3->goaway_received = id;
    h3->marks |= H3_MARK_GOAWAY;
    if (!h3->is_server)
        reject_requests_from(h3, id);
}

/* We never push: one is enough. */
static void on_max_push_id(struct neap_h3 *h3, uint64_t id)
{
    if (h3->peer_max_push_id != NO_ID && id < h3->peer_max_push_id)
        neap_h3_fail(h3, NEAP_H3_ID_ERROR, "maximum push ID shrank");
    else if (h3->peer_max_push_id != NO_ID)
        neap_h3_glitch(h3);
    h3->peer_max_push_id = id;
}

/* RFC 9218 §7.2: the element must be a request that the client may make; no push was ever promised. A few for each request
 * are what browsers send. */
static void on_priority_update(struct neap_h3 *h3, uint64_t type, struct span payload)
{
    struct reader in = reader_of(payload);
    uint64_t id = read_varint(&in);

    if (in.bad)
        neap_h3_fail(h3, NEAP_H3_FRAME_ERROR, "PRIORITY_UPDATE without an element");
    else if (type == H3_PRIORITY_UPDATE_PUSH)
        neap_h3_fail(h3, NEAP_H3_ID_ERROR, "priority of a push that was not promised");
    else if ((id & 3) != 0 || !neap_conn_may_open(h3->conn, id))
        neap_h3_fail(h3, NEAP_H3_ID_ERROR, "priority of what is no request");
    else
        neap_h3_priority_update(h3, id, span_after(payload, payload.size - reader_left(&in)));
    if (++h3->priority_updates > LIMIT_PRIORITY_UPDATES + 4 * h3->requests_seen) {
        neap_conn_bounds(h3->conn)->h3_priority_updates++;
        neap_h3_glitch(h3);
    }
}

/* GOAWAY, MAX_PUSH_ID and CANCEL_PUSH hold one varint and nothing else. */
static void on_id_frame(struct neap_h3 *h3, uint64_t type, struct span payload)
{
    struct reader in = reader_of(payload);
    uint64_t id = read_varint(&in);

    if (in.bad || reader_left(&in) > 0)
        neap_h3_fail(h3, NEAP_H3_FRAME_ERROR, "frame of another size than its identifier");
    else if (type == H3_GOAWAY)
        on_goaway(h3, id);
    else if (type == H3_MAX_PUSH_ID)
        on_max_push_id(h3, id);
    else /* no push was ever promised or allowed (RFC 9114 §7.2.3) */
        neap_h3_fail(h3, NEAP_H3_ID_ERROR, "push that does not exist was cancelled");
}

/* A frame header on the control stream (RFC 9114 §6.2.1, §7.2): may it come, and is it of a possible size. */
static void check_control_frame(struct neap_h3 *h3)
{
    const struct h3_frame_reader *r = &h3->control_reader;

    if (!h3->settings_received && r->type != H3_SETTINGS) {
        neap_h3_fail(h3, NEAP_H3_MISSING_SETTINGS, "control stream does not begin with SETTINGS");
        return;
    }
    switch (r->type) {
    case H3_SETTINGS:
        if (h3->settings_received)
            neap_h3_fail(h3, NEAP_H3_FRAME_UNEXPECTED, "second SETTINGS");
        else if (r->left > LIMIT_SETTINGS_FRAME)
            neap_h3_fail(h3, NEAP_H3_EXCESSIVE_LOAD, "SETTINGS too large");
        return;
    case H3_MAX_PUSH_ID:
        if (!h3->is_server) {
            neap_h3_fail(h3, NEAP_H3_FRAME_UNEXPECTED, "MAX_PUSH_ID from a server");
            return;
        } /* fall through */
    case H3_GOAWAY:
    case H3_CANCEL_PUSH:
        if (r->left < 1 || r->left > 8)
            neap_h3_fail(h3, NEAP_H3_FRAME_ERROR, "frame of another size than its identifier");
        return;
    case H3_PRIORITY_UPDATE_REQUEST:
    case H3_PRIORITY_UPDATE_PUSH:
        if (!h3->is_server)
            neap_h3_fail(h3, NEAP_H3_FRAME_UNEXPECTED, "PRIORITY_UPDATE from a server");
        else if (r->left < 1)
            neap_h3_fail(h3, NEAP_H3_FRAME_ERROR, "PRIORITY_UPDATE without an element");
        else if (r->left > LIMIT_PRIORITY_FRAME)
            neap_h3_fail(h3, NEAP_H3_EXCESSIVE_LOAD, "PRIORITY_UPDATE too large");
        return;
    case H3_DATA:
    case H3_HEADERS:
    case H3_PUSH_PROMISE:
        neap_h3_fail(h3, NEAP_H3_FRAME_UNEXPECTED, "frame of a request on the control stream");
        return;
    default:
        if (h3_frame_is_reserved(r->type))
            neap_h3_fail(h3, NEAP_H3_FRAME_UNEXPECTED, "frame of HTTP/2");
        else
            neap_h3_glitch(h3);
    }
}

static bool is_known_control_frame(uint64_t type)
{
    return type == H3_SETTINGS || type == H3_GOAWAY || type == H3_MAX_PUSH_ID || type == H3_CANCEL_PUSH ||
           type == H3_PRIORITY_UPDATE_REQUEST || type == H3_PRIORITY_UPDATE_PUSH;
}

/* Use payload bytes: how many. */
static size_t read_control_payload(struct neap_h3 *h3, struct span view)
{
    struct h3_frame_reader *r = &h3->control_reader;
    size_t used = r->left < view.size ? (size_t)r->left : view.size;
    struct span whole;

    if (!is_known_control_frame(r->type)) {
        r->left -= used;
        r->in_payload = r->left > 0;
        return used;
    }
    switch (neap_h3_payload_collect(&h3->control_payload, h3->pool, r, view, &used, &whole)) {
    case H3_COLLECTED_PART: break;
    case H3_COLLECTED_NO_MEMORY: neap_h3_fail(h3, NEAP_H3_INTERNAL_ERROR, "no memory for a frame"); break;
    case H3_COLLECTED_ALL:
        r->in_payload = false;
        H3_TRACE(h3, .kind = NEAP_TRACE_H3_FRAME, .number = h3->peer_control_id, .size = whole.size,
                 .payload = whole.data, .payload_size = whole.size, .values = {r->type, true});
        if (r->type == H3_SETTINGS)
            on_settings(h3, whole);
        else if (r->type == H3_PRIORITY_UPDATE_REQUEST || r->type == H3_PRIORITY_UPDATE_PUSH)
            on_priority_update(h3, r->type, whole);
        else
            on_id_frame(h3, r->type, whole);
        neap_h3_payload_free(&h3->control_payload, h3->pool);
        break;
    }
    return used;
}

static size_t read_control(struct neap_h3 *h3, struct span view)
{
    size_t used = 0;

    while (!h3->failed &&
           (used < view.size || (h3->control_reader.in_payload && h3->control_reader.left == 0))) {
        struct span rest = span_of(view.data + used, view.size - used);
        if (h3->control_reader.in_payload) {
            used += read_control_payload(h3, rest);
            continue;
        }
        used += neap_h3_frame_read_head(&h3->control_reader, rest);
        if (!h3->control_reader.in_payload)
            continue;
        check_control_frame(h3);
        if (!h3->failed && !is_known_control_frame(h3->control_reader.type))
            H3_TRACE(h3, .kind = NEAP_TRACE_H3_FRAME, .number = h3->peer_control_id,
                     .size = h3->control_reader.left, .values = {h3->control_reader.type, true});
    }
    return used;
}

/* ---- the peer's streams */

static size_t read_critical(struct neap_h3 *h3, uint64_t id, struct span view)
{
    struct failure why = {0};
    size_t count = 0;
    int err;

    if (id == h3->peer_control_id)
        return read_control(h3, view);
    if (id == h3->peer_encoder_id)
        err = neap_qpack_on_encoder_stream(view, &count, &why);
    else
        err = neap_qpack_on_decoder_stream(&h3->decoder_stream, view, &count, &why);
    if (err)
        neap_h3_fail(h3, (uint64_t)err, why.reason);
    for (; count > 0 && !h3->failed; count--)
        neap_h3_glitch(h3);
    return view.size;
}

/* Everything that has arrived; a critical stream never ends (RFC 9114 §6.2.1, RFC 9204 §4.2). */
static void on_critical_readable(struct neap_h3 *h3, uint64_t id)
{
    while (!h3->failed) {
        struct span view = {0};
        bool fin = false;
        int64_t left = neap_conn_stream_peek(h3->conn, id, &view, &fin);
        if (left < 0 && left != NEAP_ERR_STREAM_RESET)
            return;
        if (left >= 0 && view.size > 0) {
            size_t used = read_critical(h3, id, view);
            if (!h3->failed)
                neap_conn_stream_consume(h3->conn, id, used);
        }
        if (left < 0 || fin)
            neap_h3_fail(h3, NEAP_H3_CLOSED_CRITICAL_STREAM, "critical stream closed");
        else if (view.size == 0)
            return;
    }
}

/* The place where a critical stream's ID is kept, NULL for other types. */
static uint64_t *critical_slot(struct neap_h3 *h3, uint64_t type)
{
    switch (type) {
    case H3_STREAM_CONTROL: return &h3->peer_control_id;
    case H3_STREAM_QPACK_ENCODER: return &h3->peer_encoder_id;
    case H3_STREAM_QPACK_DECODER: return &h3->peer_decoder_id;
    default: return NULL;
    }
}

static void on_stream_type(struct neap_h3 *h3, uint64_t id, uint64_t type)
{
    uint64_t *slot = critical_slot(h3, type);

    H3_TRACE(h3, .kind = NEAP_TRACE_H3_STREAM, .number = id, .values = {type, true});
    if (slot && *slot != NO_STREAM) {
        neap_h3_fail(h3, NEAP_H3_STREAM_CREATION_ERROR, "second stream of a critical type");
    } else if (slot) {
        *slot = id;
        on_critical_readable(h3, id);
    } else if (type == H3_STREAM_PUSH) {
        if (h3->is_server)
            neap_h3_fail(h3, NEAP_H3_STREAM_CREATION_ERROR, "push stream of a client");
        else
            neap_h3_fail(h3, NEAP_H3_ID_ERROR, "push was not allowed");
    } else {
        /* RFC 9114 §6.2: reading is aborted, so that nothing of an unknown stream is kept. */
        neap_conn_stream_end(h3->conn, id, NEAP_SHUTDOWN_READ, NEAP_H3_STREAM_CREATION_ERROR);
        neap_h3_glitch(h3);
    }
}

void neap_h3_on_uni_readable(struct neap_h3 *h3, uint64_t id)
{
    struct span view = {0};
    bool fin = false;

    if (id == h3->peer_control_id || id == h3->peer_encoder_id || id == h3->peer_decoder_id) {
        on_critical_readable(h3, id);
        return;
    }
    int64_t left = neap_conn_stream_peek(h3->conn, id, &view, &fin);
    if (left < 0 && left != NEAP_ERR_STREAM_RESET)
        return;
    /* The type stays unread until it is complete: at most 7 bytes wait in the stream. */
    struct reader in = reader_of(view);
    uint64_t type = read_varint(&in);
    if (left >= 0 && !in.bad) {
        size_t size = (size_t)(in.at - view.data);
        bool is_end = fin && size == view.size;
        neap_conn_stream_consume(h3->conn, id, size);
        if (is_end && !critical_slot(h3, type) && type != H3_STREAM_PUSH)
            neap_conn_stream_end_seen(h3->conn, id);
        else
            on_stream_type(h3, id, type);
    } else if (left < 0 || fin) {
        /* RFC 9114 §6.2: a stream may end before its type came. */
        neap_conn_stream_consume(h3->conn, id, view.size);
        neap_conn_stream_end_seen(h3->conn, id);
        neap_h3_glitch(h3);
    }
}
