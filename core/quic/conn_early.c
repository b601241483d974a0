/* 0-RTT (RFC 9001 §4.6, RFC 9000 §7.4.1): what can be asked of it, its keys, and what follows from the server's answer. */
#include "quic/conn_trace.h"

/* In the order in which sessions have them. The first may not become less, or the server breaks its word; where one of the others
 * did, a server does not accept early data. */
enum limit {
    LIMIT_OF_IDS,
    LIMIT_OF_DATA,
    LIMIT_OF_BIDI_LOCAL,
    LIMIT_OF_BIDI_REMOTE,
    LIMIT_OF_UNI,
    LIMIT_OF_STREAMS_BIDI,
    LIMIT_OF_STREAMS_UNI,
    LIMIT_OF_DATAGRAM,
    LIMIT_OF_RESET_AT, /* 1: RESET_STREAM_AT is taken */
    LIMIT_OF_IDLE,     /* VARINT_MAX: none */
    LIMIT_OF_UDP_PAYLOAD,
    LIMIT_OF_MIGRATION, /* 0: none */
};

#define LIMITS_PROMISED 9u

void neap_conn_early_limits(const struct transport_params *p, uint64_t out[SESSION_LIMITS])
{
    const uint64_t limits[SESSION_LIMITS] = {
        [LIMIT_OF_IDS] = p->active_connection_id_limit,
        [LIMIT_OF_DATA] = p->max_data,
        [LIMIT_OF_BIDI_LOCAL] = p->max_stream_data_bidi_local,
        [LIMIT_OF_BIDI_REMOTE] = p->max_stream_data_bidi_remote,
        [LIMIT_OF_UNI] = p->max_stream_data_uni,
        [LIMIT_OF_STREAMS_BIDI] = p->max_streams_bidi,
        [LIMIT_OF_STREAMS_UNI] = p->max_streams_uni,
        [LIMIT_OF_DATAGRAM] = p->max_datagram_frame_size,
        [LIMIT_OF_RESET_AT] = params_has(p, PARAM_reset_stream_at),
        [LIMIT_OF_IDLE] = p->max_idle_timeout_ms ? p->max_idle_timeout_ms : VARINT_MAX,
        [LIMIT_OF_UDP_PAYLOAD] = p->max_udp_payload_size,
        [LIMIT_OF_MIGRATION] = !params_has(p, PARAM_disable_active_migration),
    };

    memcpy(out, limits, sizeof limits);
}

int neap_conn_check_early_limits(const neap_conn *c, const struct transport_params *p, struct failure *why)
{
    const struct early_offer *offer = c->handshake->offer;
    uint64_t now[SESSION_LIMITS];

    if (c->is_server || c->early != NEAP_EARLY_ACCEPTED)
        return 0;
    neap_conn_early_limits(p, now);
    for (size_t i = 0; i < LIMITS_PROMISED; i++)
        if (now[i] < offer->limits[i])
            return neap_fail(why, NEAP_PROTOCOL_VIOLATION,
                             "server accepts early data and has lowered a limit that was held");
    return 0;
}

/* ---- a client's */

struct transport_params neap_conn_remembered_params(const uint64_t limits[SESSION_LIMITS])
{
    struct transport_params p = neap_params_default();

    p.active_connection_id_limit = limits[LIMIT_OF_IDS];
    p.max_data = limits[LIMIT_OF_DATA];
    p.max_stream_data_bidi_local = limits[LIMIT_OF_BIDI_LOCAL];
    p.max_stream_data_bidi_remote = limits[LIMIT_OF_BIDI_REMOTE];
    p.max_stream_data_uni = limits[LIMIT_OF_UNI];
    p.max_streams_bidi = limits[LIMIT_OF_STREAMS_BIDI];
    p.max_streams_uni = limits[LIMIT_OF_STREAMS_UNI];
    p.max_datagram_frame_size = limits[LIMIT_OF_DATAGRAM];
    p.max_idle_timeout_ms = limits[LIMIT_OF_IDLE] < VARINT_MAX ? limits[LIMIT_OF_IDLE] : 0;
    p.max_udp_payload_size = limits[LIMIT_OF_UDP_PAYLOAD];
    if (limits[LIMIT_OF_RESET_AT])
        params_add(&p, PARAM_reset_stream_at);
    if (!limits[LIMIT_OF_MIGRATION])
        params_add(&p, PARAM_disable_active_migration);
    return p;
}

int neap_conn_offer_early(neap_conn *c, const struct session *session, struct failure *why)
{
    const uint64_t *limits = session->limits;
    const struct transport_params p = neap_conn_remembered_params(limits);
    struct early_offer *offer = neap_pool_alloc(c->pool, sizeof *offer);

    if (!offer)
        return neap_fail(why, NEAP_ERR_NO_MEMORY, "no memory for early data");
    memcpy(offer->limits, limits, sizeof offer->limits);
    offer->size = (uint16_t)session->data.size;
    if (offer->size)
        memcpy(offer->data, session->data.data, offer->size);
    c->handshake->offer = offer;
    neap_streams_set_peer_params(&c->streams, &p);
    c->early = NEAP_EARLY_OFFERED;
    return neap_conn_open_datagrams(c, limits[LIMIT_OF_DATAGRAM], why);
}

/* Nobody will acknowledge what was sent: it goes as if it never left, its numbers stay used (RFC 9002 §6.4, RFC 9000
 * §17.2.3). */
void neap_conn_take_back_early(neap_conn *c)
{
    struct number_space *s = &c->application;
    const struct stream_limits *ours = c->streams.ours;

    neap_conn_lose_datagrams(c, s);
    neap_recovery_discard(&c->recovery, SPACE_APPLICATION, c->now);
    neap_sent_free(&s->recovery.sent, c->pool);
    neap_space_recovery_init(&s->recovery, conn_path(c)->recovery.cc.ops->keeps_records);
    neap_packet_key_wipe(c->crypto, &s->write);
    s->probes = 0;
    c->handshake->sends_early = false;
    c->awaits_again = ours[0].next > 0 || ours[1].next > 0;
}

int neap_conn_begin_again(neap_conn *conn)
{
    return conn->owner ? NEAP_ERR_STATE : neap_conn_streams_begin_again(conn);
}

int neap_conn_streams_begin_again(neap_conn *conn)
{
    if (!conn_is_alive(conn))
        return NEAP_ERR_CLOSED;
    if (!conn->awaits_again)
        return NEAP_ERR_STATE;
    neap_streams_drop_ours(&conn->streams);
    conn->awaits_again = false;
    conn->news |= NEWS_CREDIT;
    neap_conn_wake(conn);
    return 0;
}

/* ---- keys */

void neap_conn_install_early(neap_conn *c, const struct tls_secret *secret)
{
    struct number_space *s = &c->application;
    /* RFC 9369 §4.1: 0-RTT packets are of the version that the client began with. */
    const struct version_labels *labels = neap_version_labels(c->first_version->number);

    if (secret->direction == TLS_READ) {
        neap_packet_key_derive(&c->handshake->early_read, labels, secret->suite, secret->secret);
        return;
    }
    neap_packet_key_derive(&s->write, labels, secret->suite, secret->secret);
    c->handshake->sends_early = true;
    neap_recovery_add_space(&c->recovery, SPACE_APPLICATION, &s->recovery);
}

void neap_conn_follow_early(neap_conn *c)
{
    enum neap_early early = neap_tls_early(c->handshake->tls);

    /* A second flight offers none. */
    if (early == (enum neap_early)c->early || c->handshake->is_second_flight)
        return;
    c->early = early;
    c->news |= NEWS_STATE;
    if (!c->is_server && early == NEAP_EARLY_REJECTED)
        neap_conn_take_back_early(c);
}

/* Until then what the application opens is held to the limits that were remembered, and goes nowhere. */
void neap_conn_reject_first_early(neap_conn *c)
{
    const struct stream_limits *ours = c->streams.ours;

    if (!c->handshake->is_second_flight || c->early != NEAP_EARLY_OFFERED)
        return;
    c->early = NEAP_EARLY_REJECTED;
    c->awaits_again = ours[0].next > 0 || ours[1].next > 0;
    c->news |= NEWS_STATE;
}

struct packet_key *neap_conn_early_key(neap_conn *c)
{
    if (c->handshake && packet_key_is_set(&c->handshake->early_read))
        return &c->handshake->early_read;
    return c->previous_is_early ? c->keys.previous_read : NULL;
}

bool neap_conn_may_get_early_key(const neap_conn *c)
{
    return c->is_server && c->handshake && c->config->tls.early_data && c->config->tls.strike &&
           neap_tls_suite(c->handshake->tls) == 0;
}

void neap_conn_keep_early_key(neap_conn *c)
{
    struct packet_key *key = &c->handshake->early_read;

    if (!packet_key_is_set(key))
        return;
    c->previous_is_early = neap_conn_keep_previous_key(c, key);
}

/* ---- questions */

enum neap_early neap_conn_early(const neap_conn *conn)
{
    return (enum neap_early)conn->early;
}

bool neap_conn_is_early(const neap_conn *conn)
{
    return !conn->is_server && conn->stage == STAGE_HANDSHAKE &&
           (conn->early == NEAP_EARLY_OFFERED || conn->early == NEAP_EARLY_ACCEPTED);
}

bool neap_conn_stream_is_early(const neap_conn *conn, uint64_t id)
{
    return conn->is_server && conn->stage == STAGE_HANDSHAKE && !neap_stream_is_server_initiated(id) &&
           id >> 2 < conn->streams.theirs[neap_stream_is_bidi(id) ? 0 : 1].next;
}

int neap_conn_set_session_data(neap_conn *conn, const void *data, size_t size)
{
    if (size > LIMIT_SESSION_DATA)
        return NEAP_ERR_ARGUMENT;
    return neap_tls_tail_set_data(&conn->tail, span_of(data, size)) ? 0 : NEAP_ERR_STATE;
}

const void *neap_conn_session_data(const neap_conn *conn, size_t *size)
{
    const struct early_offer *offer = conn->handshake ? conn->handshake->offer : NULL;

    *size = offer ? offer->size : 0;
    return *size ? offer->data : NULL;
}
