/* The connection as the application sees it: created, polled, told to go away. */
#include "base/fill.h"
#include "base/limits.h"
#include "base/pool.h"
#include "http/h3.h"
#include "quic/quic.h"

#define HEADER_TIMEOUT (10 * NEAP_SECOND)

uint64_t neap_h3_field_section_size(const neap_h3_config *config)
{
    if (!config || config->max_field_section_size == 0)
        return LIMIT_FIELD_SECTION;
    return config->max_field_section_size < VARINT_MAX ? config->max_field_section_size : VARINT_MAX;
}

neap_h3 *neap_h3_new(neap_conn *conn, const neap_h3_config *config)
{
    struct pool *pool = neap_conn_pool(conn);
    struct neap_h3 *h3 = neap_conn_owner(conn) ? NULL : neap_pool_alloc_lasting(pool, sizeof(*h3));

    if (!h3)
        return NULL;
    neap_conn_set_owner(conn, h3);
    *h3 = (struct neap_h3){
        .conn = conn,
        .pool = pool,
        .is_server = neap_conn_is_server(conn),
        .control_id = NO_STREAM,
        .peer_control_id = NO_STREAM,
        .peer_encoder_id = NO_STREAM,
        .peer_decoder_id = NO_STREAM,
        .goaway_sent = NO_ID,
        .goaway_received = NO_ID,
        .peer_max_push_id = NO_ID,
        .peer_max_field_section_size = VARINT_MAX,
        .max_field_section_size = neap_h3_field_section_size(config),
        .header_timeout = HEADER_TIMEOUT,
    };
    if (config && config->header_timeout > 0)
        h3->header_timeout = config->header_timeout < NEAP_NEVER / 2 ? config->header_timeout : NEAP_NEVER;
    list_init(&h3->requests);
    neap_h3_begin_early(h3);
    neap_h3_open_control(h3);
    return h3;
}

void neap_h3_free(neap_h3 *h3)
{
    if (!h3)
        return;
    while (!list_empty(&h3->requests))
        neap_h3_request_free(LIST_OWNER(h3->requests.next, struct h3_request, link));
    neap_conn_wake_at(h3->conn, NEAP_NEVER);
    /* The owner stays: a second control stream would be an error (RFC 9114 §6.2.1). */
    if (h3->control_id != NO_STREAM)
        neap_conn_release(h3->conn, h3->control);
    neap_field_list_free(&h3->fields, h3->pool);
    neap_h3_payload_free(&h3->control_payload, h3->pool);
    neap_h3_drop_settings(h3);
    neap_pool_free(h3->pool, h3->ahead, sizeof(*h3->ahead));
    neap_pool_free(h3->pool, h3, sizeof(*h3));
}

int neap_h3_fail(struct neap_h3 *h3, uint64_t code, const char *reason)
{
    if (!h3->failed) {
        h3->failed = true;
        neap_conn_fail(h3->conn, code, reason);
    }
    return (int)code;
}

bool neap_h3_is_closed(const struct neap_h3 *h3)
{
    return h3->failed || neap_conn_is_draining(h3->conn) || neap_conn_is_closed(h3->conn);
}

#define FORGIVEN_EVERY (NEAP_SECOND / LIMIT_GLITCH_RATE)

static uint64_t forgiven_since(const struct neap_h3 *h3)
{
    return (neap_conn_now(h3->conn) - h3->forgiven_at) / FORGIVEN_EVERY;
}

static void forgive(struct neap_h3 *h3)
{
    uint64_t forgiven = forgiven_since(h3);

    if (forgiven >= h3->glitches) {
        h3->glitches = 0;
        h3->forgiven_at = neap_conn_now(h3->conn);
    } else {
        h3->glitches = (uint16_t)(h3->glitches - forgiven);
        h3->forgiven_at += forgiven * FORGIVEN_EVERY;
    }
}

void neap_h3_glitch(struct neap_h3 *h3)
{
    forgive(h3);
    h3->glitches_seen++;
    if (++h3->glitches <= LIMIT_GLITCHES)
        return;
    neap_conn_bounds(h3->conn)->h3_overloads += !h3->failed;
    neap_h3_fail(h3, NEAP_H3_EXCESSIVE_LOAD, "too much in vain");
}

void neap_h3_merit(struct neap_h3 *h3, uint32_t merit)
{
    h3->glitches = (uint16_t)(merit < h3->glitches ? h3->glitches - merit : 0);
}

/* A client's stream that was not seen before is a request (RFC 9114 §6.1), unless we are going away. */
static void on_new_request(struct neap_h3 *h3, uint64_t id)
{
    uint64_t refusal = NEAP_H3_INTERNAL_ERROR;
    struct h3_request *r = NULL;

    if (h3->goaway_sent != NO_ID && id >= h3->goaway_sent)
        refusal = NEAP_H3_REQUEST_REJECTED;
    else
        r = neap_h3_request_new(h3, id);
    if (r) {
        if (id >= h3->next_request_id)
            h3->next_request_id = id + 4;
        neap_h3_request_on_writable(r); /* STOP_SENDING may have come first */
        neap_h3_request_ready(r);
        return;
    }
    neap_conn_stream_end(h3->conn, id, NEAP_SHUTDOWN_READ, refusal);
    neap_conn_stream_end(h3->conn, id, NEAP_SHUTDOWN_WRITE, refusal);
}

static void on_readable(struct neap_h3 *h3, uint64_t id)
{
    if (!neap_stream_is_bidi(id)) {
        neap_h3_on_uni_readable(h3, id);
        return;
    }
    struct h3_request *r = neap_h3_find_request(h3, id);
    if (r) {
        r->data_reported = false;
        neap_h3_request_ready(r);
    } else if (neap_stream_is_server_initiated(id) && !h3->is_server) {
        neap_h3_fail(h3, NEAP_H3_STREAM_CREATION_ERROR, "bidirectional stream of a server");
    } else if (!neap_stream_is_server_initiated(id) && h3->is_server) {
        on_new_request(h3, id);
    }
}

static void on_writable(struct neap_h3 *h3, uint64_t id)
{
    uint64_t code;
    struct h3_request *r = neap_h3_find_request(h3, id);

    if (r)
        neap_h3_request_on_writable(r);
    else if (id == h3->control_id && neap_conn_stream_error(h3->conn, id, NEAP_SHUTDOWN_WRITE, &code) == 0)
        neap_h3_fail(h3, NEAP_H3_CLOSED_CRITICAL_STREAM, "our control stream was stopped");
}

/* What QUIC has noted since the last poll. */
static void take_marks(struct neap_h3 *h3)
{
    int64_t id;

    while (!h3->failed && (id = neap_conn_stream_readable_next(h3->conn)) >= 0)
        on_readable(h3, (uint64_t)id);
    while (!h3->failed && (id = neap_conn_stream_writable_next(h3->conn)) >= 0)
        on_writable(h3, (uint64_t)id);
}

static bool next_of_connection(struct neap_h3 *h3, neap_h3_event *out)
{
    if (!h3->established_reported && neap_conn_is_established(h3->conn)) {
        h3->established_reported = true;
        out->type = NEAP_H3_ESTABLISHED;
        return true;
    }
    if (h3->marks & H3_MARK_SETTINGS) {
        h3->marks &= (uint8_t)~H3_MARK_SETTINGS;
        out->type = NEAP_H3_SETTINGS;
        return true;
    }
    if (h3->marks & H3_MARK_GOAWAY) {
        h3->marks &= (uint8_t)~H3_MARK_GOAWAY;
        out->type = NEAP_H3_GOAWAY;
        out->stream = h3->goaway_received;
        return true;
    }
    return false;
}

/* An event of a request; the one that had its turn goes to the end of the line. */
static bool next_of_requests(struct neap_h3 *h3, neap_h3_event *out)
{
    while (!h3->failed && h3->ready) {
        struct h3_request *r = LIST_OWNER(h3->ready, struct h3_request, ready_link);

        ring_remove(&h3->ready, &r->ready_link);
        bool has_event = neap_h3_request_advance(r, out);
        out->user = r->user;
        if (h3->failed)
            return false;
        if (!neap_h3_request_settle(r) && has_event)
            neap_h3_request_ready(r);
        if (has_event)
            return true;
    }
    return false;
}

int neap_h3_poll(neap_h3 *h3, neap_h3_event *out)
{
    neap_close_info info;

    *out = (neap_h3_event){0};
    neap_field_list_clear(&h3->fields, h3->pool);
    neap_h3_settle_early(h3);
    if (h3->control_id == NO_STREAM)
        neap_h3_open_control(h3);
    take_marks(h3);
    neap_h3_expire_sections(h3);
    if (!h3->failed && (next_of_connection(h3, out) || next_of_requests(h3, out)))
        return NEAP_OK;
    /* The rooms serve one batch of requests. */
    neap_field_list_free(&h3->fields, h3->pool);
    if (!neap_h3_is_closed(h3))
        return NEAP_ERR_AGAIN;
    *out = (neap_h3_event){.type = NEAP_H3_CLOSED};
    if (h3->closed_reported)
        return NEAP_ERR_CLOSED;
    h3->closed_reported = true;
    neap_conn_close_info(h3->conn, &info, sizeof info);
    out->code = info.code;
    return NEAP_OK;
}

int neap_h3_control_lost(struct neap_h3 *h3, int err)
{
    /* What was said may be cut, and cannot be said again. */
    if (err == NEAP_ERR_NO_MEMORY)
        neap_h3_fail(h3, NEAP_H3_INTERNAL_ERROR, "no memory for the control stream");
    else
        neap_h3_fail(h3, NEAP_H3_CLOSED_CRITICAL_STREAM, "our control stream was stopped");
    return err == NEAP_ERR_NO_MEMORY ? err : NEAP_ERR_CLOSED;
}

int neap_h3_goaway(neap_h3 *h3)
{
    if (neap_h3_is_closed(h3))
        return NEAP_ERR_CLOSED;
    uint64_t id = h3->is_server ? h3->next_request_id : 0;
    /* RFC 9114 §5.2: the identifier never grows, and what was refused once stays refused. */
    if (h3->goaway_sent != NO_ID && id >= h3->goaway_sent)
        return NEAP_OK;
    h3->goaway_sent = id;
    int err = neap_h3_write_goaway(h3);
    if (err == NEAP_OK)
        return NEAP_OK;
    return neap_h3_control_lost(h3, err);
}

int neap_h3_set_user(neap_h3 *h3, uint64_t stream, void *user)
{
    struct h3_request *r = neap_h3_find_request(h3, stream);

    if (!r)
        return NEAP_ERR_STREAM_STATE;
    r->user = user;
    return NEAP_OK;
}

void *neap_h3_user(const neap_h3 *h3, uint64_t stream)
{
    const struct h3_request *r = neap_h3_find_request(h3, stream);

    if (r || !h3->closed_reported)
        return r ? r->user : NULL;
    /* The streams went with the connection. */
    for (const struct list_link *l = h3->requests.next; l != &h3->requests; l = l->next) {
        const struct h3_request *open = LIST_OWNER(l, const struct h3_request, link);

        if (open->id == stream)
            return open->user;
    }
    return NULL;
}

size_t neap_h3_open_requests(const neap_h3 *h3)
{
    return h3->open_requests;
}

void neap_h3_get_stats(const neap_h3 *h3, neap_h3_stats *out, size_t size)
{
    uint64_t forgiven = forgiven_since(h3);
    const neap_h3_stats known = {
        .requests = h3->requests_seen,
        .open_requests = h3->open_requests,
        .glitches = h3->glitches_seen,
        .glitches_held = h3->glitches > forgiven ? h3->glitches - forgiven : 0,
        .priority_updates = h3->priority_updates,
        .partial_bytes = h3->partial_size,
    };

    fill_sized(out, size, &known, sizeof known);
}

int neap_h3_peer_setting(const neap_h3 *h3, uint64_t id, uint64_t *value)
{
    if (!h3->settings_received)
        return NEAP_ERR_AGAIN;
    /* What is not sent has its default: no bound for a field section, else 0. */
    *value = id == SETTING_MAX_FIELD_SECTION_SIZE ? VARINT_MAX : 0;
    for (uint32_t i = 0; i < h3->setting_count; i++) {
        if (h3->settings[i].id == id)
            *value = h3->settings[i].value;
    }
    return NEAP_OK;
}
