/* DATAGRAM frames on a connection (RFC 9221): who takes them, how large they may be, and the application's verbs. */
#include "quic/conn_trace.h"
#include "quic/multipath.h"
#include "quic/received.h"

static const neap_datagram_options preset = {.urgency = 3};

int neap_conn_open_datagrams(neap_conn *c, uint64_t peer_most, struct failure *why)
{
    const neap_config *config = c->config;
    const struct datagrams_config bounds = {
        .our_most = config_option(config, OPTION_max_datagram_frame_size),
        .send_count = (uint32_t)config_option(config, OPTION_datagram_send_count),
        .send_bytes = (uint32_t)config_option(config, OPTION_datagram_send_bytes),
        .receive_count = (uint32_t)config_option(config, OPTION_datagram_receive_count),
        .receive_bytes = (uint32_t)config_option(config, OPTION_datagram_receive_bytes),
        .budget = &c->config->budget,
    };

    if (!c->datagrams && peer_most == 0 && bounds.our_most == 0)
        return 0;
    if (!c->datagrams) {
        c->datagrams = neap_pool_alloc_lasting(c->pool, sizeof *c->datagrams);
        if (!c->datagrams)
            return neap_fail(why, NEAP_ERR_NO_MEMORY, "no memory for datagrams");
        neap_datagrams_init(c->datagrams, c->pool, &bounds);
    }
    neap_datagrams_set_peer_most(c->datagrams, peer_most);
    return 0;
}

int neap_conn_on_datagram(neap_conn *c, const struct received *p, const struct frame_datagram *f,
                          struct failure *why)
{
    uint64_t most = c->datagrams ? c->datagrams->config.our_most : 0;

    if (f->size > most)
        return neap_fail(why, NEAP_PROTOCOL_VIOLATION,
                         most ? "DATAGRAM larger than we take"
                              : "DATAGRAM to us, who did not offer to take any");
    c->progress += f->data.size > 0;
    if (c->traffic && p->arrival->path)
        c->traffic[p->arrival->path->index].datagrams_received++;
    /* Before its sender has proved its address it takes no more memory than streams may. */
    if (p->type == NEAP_PACKET_0RTT && !neap_conn_may_hold_stream(c, neap_datagram_memory(f->data.size))) {
        neap_datagrams_refuse(c->datagrams);
        return 0;
    }
    neap_datagrams_on_frame(c->datagrams, f->data);
    c->news |= NEWS_DATAGRAM;
    return 0;
}

/* ---- sizes */

/* Of a packet with a number of four bytes, so that what fits now fits when it leaves. */
static size_t header_most(const neap_conn *c)
{
    size_t dcid = conn_peer_cid(c, conn_path(c))->cid.size;

    if (c->handshake && c->handshake->sends_early)
        return 1 + 4 + 1 + dcid + 1 + c->handshake->source_cid.size + 2 + 4;
    return 1 + dcid + 4;
}

size_t neap_conn_datagram_room(const neap_conn *c)
{
    /* By which of several paths it leaves is not known yet. */
    size_t packet =
        c->multipath ? neap_multipath_least_size(c) : path_recovery_udp_payload_size(&conn_path(c)->recovery);
    int64_t size = neap_datagram_payload(packet - header_most(c) - CRYPTO_TAG);

    return size > 0 ? (size_t)size : 0;
}

int64_t neap_conn_datagrams_max(const neap_conn *conn)
{
    const struct datagrams *d = conn->datagrams;

    if (!conn_is_alive(conn))
        return NEAP_ERR_CLOSED;
    int64_t by_peer = d ? neap_datagram_payload(d->peer_most) : -1;
    int64_t by_path = (int64_t)neap_conn_datagram_room(conn);
    if (by_peer < 0)
        return conn->stage < STAGE_ESTABLISHED ? NEAP_ERR_AGAIN : NEAP_ERR_UNSUPPORTED;
    return by_peer < by_path ? by_peer : by_path;
}

/* ---- sending */

int64_t neap_conn_datagrams_queue(neap_conn *conn, const struct span *parts, size_t count,
                                  const neap_datagram_options *options)
{
    int64_t most = neap_conn_datagrams_max(conn);
    uint64_t size = 0;

    if (most < 0)
        return most;
    if (options && options->urgency > 7)
        return NEAP_ERR_ARGUMENT;
    for (size_t i = 0; i < count; i++)
        size += parts[i].size;
    if (size > (uint64_t)most)
        return NEAP_ERR_BUFFER_TOO_SHORT;
    int64_t id = neap_datagrams_queue(conn->datagrams, parts, count, options ? options : &preset, conn->now);
    if (conn->datagrams->fate_count > 0)
        conn->news |= NEWS_DATAGRAM;
    if (conn_is_traced(conn) && id >= 0)
        neap_conn_trace_datagram(conn, false, size);
    neap_conn_wake(conn);
    return id;
}

void neap_conn_expire_datagrams(neap_conn *c)
{
    neap_datagrams_expire(c->datagrams, c->now);
    if (c->datagrams->fate_count > 0)
        c->news |= NEWS_DATAGRAM;
}

void neap_conn_lose_datagrams(neap_conn *c, struct number_space *s)
{
    const struct sent_packet *p;

    for (uint32_t i = 0; c->datagrams && (p = neap_sent_at(&s->recovery.sent, i)) != NULL; i++) {
        for (size_t k = 0; p->fate == FATE_IN_FLIGHT && k < p->frame_count; k++) {
            const struct sent_frame *f = neap_sent_frame(&s->recovery.sent, p, k);

            if (f->kind == KIND_DATAGRAM)
                neap_datagrams_on_lost(c->datagrams, f->id);
        }
    }
    if (c->datagrams && c->datagrams->fate_count > 0)
        c->news |= NEWS_DATAGRAM;
}

/* ---- receiving */

int64_t neap_conn_datagrams_peek(const neap_conn *conn, struct span *view)
{
    if (!conn_is_alive(conn))
        return NEAP_ERR_CLOSED;
    return conn->datagrams && neap_datagrams_peek(conn->datagrams, view) ? (int64_t)view->size
                                                                         : NEAP_ERR_AGAIN;
}

void neap_conn_datagrams_consume(neap_conn *conn)
{
    struct span view;

    if (!conn->datagrams)
        return;
    if (conn_is_traced(conn) && neap_datagrams_peek(conn->datagrams, &view))
        neap_conn_trace_datagram(conn, true, view.size);
    neap_datagrams_consume(conn->datagrams);
}

/* ---- the application's, where no other layer has them */

int64_t neap_conn_datagram_max(const neap_conn *conn)
{
    return conn->owner && conn_is_alive(conn) ? NEAP_ERR_STATE : neap_conn_datagrams_max(conn);
}

int64_t neap_conn_datagram_send(neap_conn *conn, const void *data, size_t size,
                                const neap_datagram_options *options, size_t options_size)
{
    neap_datagram_options known = {0};
    struct span part = span_of(data, size);

    if (conn->owner && conn_is_alive(conn))
        return NEAP_ERR_STATE;
    if (options)
        memcpy(&known, options, options_size < sizeof known ? options_size : sizeof known);
    return neap_conn_datagrams_queue(conn, &part, 1, options ? &known : NULL);
}

int64_t neap_conn_datagram_size(const neap_conn *conn)
{
    struct span view;

    return conn->owner && conn_is_alive(conn) ? NEAP_ERR_STATE : neap_conn_datagrams_peek(conn, &view);
}

int64_t neap_conn_datagram_recv(neap_conn *conn, void *out, size_t size)
{
    struct span view;
    int64_t got = conn->owner && conn_is_alive(conn) ? NEAP_ERR_STATE : neap_conn_datagrams_peek(conn, &view);

    if (got < 0)
        return got;
    if (view.size > size)
        return NEAP_ERR_BUFFER_TOO_SHORT;
    if (view.size)
        memcpy(out, view.data, view.size);
    neap_conn_datagrams_consume(conn);
    return got;
}

bool neap_conn_datagram_next_fate(neap_conn *conn, neap_datagram_fate *out)
{
    return conn->datagrams && neap_datagrams_next_fate(conn->datagrams, out);
}

void neap_conn_datagram_stats(const neap_conn *conn, neap_datagram_stats *out, size_t size)
{
    const neap_datagram_stats none = {0};

    fill_sized(out, size, conn->datagrams ? &conn->datagrams->counters : &none, sizeof none);
}
