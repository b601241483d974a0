/* A connection's birth, its end, and what can be asked of it. */
#include "quic/conn_token.h"
#include "quic/migration.h"
#include "quic/multipath.h"

#define CLIENT_DCID_SIZE 8u /* RFC 9000 §7.2: at least 8 unpredictable bytes */

struct pool *neap_conn_pool(const neap_conn *conn)
{
    return conn->pool;
}

void *neap_conn_shared(const neap_conn *conn, size_t size)
{
    neap_config *config = conn->config;

    if (!config->shared) {
        config->shared = neap_pool_alloc_lasting(config->pool, size);
        config->shared_size = size;
    }
    return config->shared;
}

struct random *neap_conn_random(const neap_conn *conn)
{
    return neap_crypto_random(conn->crypto);
}

neap_bound_stats *neap_conn_bounds(const neap_conn *conn)
{
    return &conn->config->bounds;
}

void *neap_conn_owner(const neap_conn *conn)
{
    return conn->owner;
}

void neap_conn_set_owner(neap_conn *conn, void *owner)
{
    conn->owner = owner;
}

neap_time neap_conn_now(const neap_conn *conn)
{
    return conn->now;
}

/* ---- birth */

void neap_conn_init_space(struct number_space *s, bool keeps_records)
{
    s->read_start = UINT64_MAX;
    neap_ack_init(&s->ack);
    neap_space_recovery_init(&s->recovery, keeps_records);
}

/* What a connection begins with: its path, where the peer's address may be proved already. */
struct beginning {
    bool is_server, validated;
    const neap_cid *source_cid;
    const neap_address *local, *peer;
    neap_time now;
};

static neap_conn *allocate(neap_config *config, const struct beginning *b)
{
    struct pool *pool = config->pool;
    neap_conn *c = neap_pool_alloc_lasting(pool, sizeof *c);
    struct handshake *h = neap_pool_alloc(pool, sizeof *h);

    if (c) {
        c->pool = pool;
        c->config = config;
        c->crypto = config->crypto;
        c->peer_max_udp_payload_size = UINT16_MAX;
        neap_recovery_init(&c->recovery, b->is_server);
    }
    if (!c || !h || !neap_conn_add_path(c, b->local, b->peer, b->validated)) {
        neap_pool_free(pool, c, sizeof *c);
        neap_pool_free(pool, h, sizeof *h);
        return NULL;
    }
    c->config = neap_config_retain(config);
    c->is_server = b->is_server;
    c->fixed_bit = (uint8_t)config_fixed_bit(config);
    c->now = c->idle_from = c->silent_since = b->now;
    c->handshake = h;
    c->pacer_at = c->trim_at = c->wake_at = c->path_timer = c->close.until = NEAP_NEVER;
    c->news = NEWS_STATE;
    h->source_cid = *b->source_cid;
    h->deadline = b->now + config_option(config, OPTION_handshake_timeout) * NEAP_MILLISECOND;
    bool keeps_records = conn_path(c)->recovery.cc.ops->keeps_records;
    for (size_t i = 0; i < 2; i++) {
        neap_conn_init_space(&h->spaces[i], keeps_records);
        h->spaces[i].crypto = &h->crypto[i];
        neap_crypto_stream_init(&h->crypto[i]);
    }
    neap_conn_init_space(&c->application, keeps_records);
    neap_local_cids_init(&c->local_cids, b->source_cid);
    c->idle_timeout = config_option(config, OPTION_max_idle_timeout) < UINT32_MAX
                          ? config_option(config, OPTION_max_idle_timeout) * NEAP_MILLISECOND
                          : 0;
    neap_conn_choose_skip(c, &c->application, &conn_path(c)->recovery);
    return c;
}

static const char *text_or(const struct failure *why, const char *otherwise)
{
    return why->reason ? why->reason : otherwise;
}

void neap_conn_invent_destination(neap_conn *c)
{
    neap_random_cid(c->config, CLIENT_DCID_SIZE, &c->original_dcid);
}

/* Give a client what it needs to say hello. */
static int start_client(neap_conn *c, const char *server_name, struct failure *why)
{
    c->server_port = conn_path(c)->address.peer.port;
    neap_conn_set_version(c, neap_conn_first_version(c->config, server_name, c->server_port));
    c->first_version = c->version;
    neap_conn_invent_destination(c);
    neap_peer_cids_init(&c->peer_cids, &c->original_dcid,
                        config_option(c->config, OPTION_active_connection_id_limit));
    neap_conn_set_initial_keys(c, &c->original_dcid);
    int rc = neap_conn_start_tls(c, server_name, why);
    if (rc == 0)
        neap_conn_show_token(c);

    return rc ? rc : neap_conn_take_tls(c, why);
}

neap_conn *neap_conn_new_client(neap_config *config, const char *server_name, const neap_address *local,
                                const neap_address *peer, const neap_cid *source, neap_time now,
                                const char **why)
{
    struct failure failure = {0};
    struct beginning b = {.validated = true, .source_cid = source, .local = local, .peer = peer, .now = now};
    neap_conn *c = allocate(config, &b);
    if (c && start_client(c, server_name, &failure) == 0)
        return c;
    if (why)
        *why = text_or(&failure, "no memory for a connection");
    neap_conn_free(c);
    return NULL;
}

neap_conn *neap_accept(neap_config *config, const neap_header *header, const neap_cid *scid,
                       const neap_cid *original_dcid, const neap_address *local, const neap_address *peer,
                       neap_time now, const char **why)
{
    neap_cid preferred = {0};

    if (config_has_preferred(config) &&
        (!neap_config_new_cid(config, scid->size, NULL, NULL, &preferred) || cid_equal(&preferred, scid))) {
        if (why)
            *why = "no connection ID for the preferred address";
        return NULL;
    }
    return neap_conn_new_server(config, header, scid, &preferred, original_dcid, local, peer, now, why);
}

neap_conn *neap_conn_new_server(neap_config *config, const neap_header *header, const neap_cid *scid,
                                const neap_cid *preferred, const neap_cid *original_dcid,
                                const neap_address *local, const neap_address *peer, neap_time now,
                                const char **why)
{
    struct failure failure = {0};
    /* RFC 9000 §8.1.2: a token that we gave proves the address. */
    struct beginning b = {.is_server = true,
                          .validated = original_dcid != NULL,
                          .source_cid = scid,
                          .local = local,
                          .peer = peer,
                          .now = now};
    const char *reason = NULL;
    neap_conn *c = NULL;

    if (header->type != NEAP_PACKET_INITIAL || !neap_config_has_version(config, header->version))
        reason = "not an Initial packet of a version that we speak";
    else if (header->dcid.size < LIMIT_MIN_CLIENT_DCID && !original_dcid)
        reason = "the destination connection ID is shorter than 8 bytes";
    else if (!neap_tls_may_serve(&config->tls))
        reason = "a server needs a certificate";
    else
        c = allocate(config, &b);
    if (!c) {
        if (why)
            *why = reason ? reason : "no memory for a connection";
        return NULL;
    }
    neap_conn_set_version(c, header->version);
    c->first_version = c->version;
    c->original_dcid = original_dcid ? *original_dcid : header->dcid;
    c->handshake->retried = original_dcid != NULL;
    c->handshake->retry_scid = header->dcid;
    c->handshake->peer_cid = header->scid;
    c->handshake->peer_cid_known = true;
    neap_peer_cids_init(&c->peer_cids, &header->scid,
                        config_option(config, OPTION_active_connection_id_limit));
    neap_conn_set_initial_keys(c, &header->dcid);
    neap_conn_set_timers(c);
    neap_conn_issue_preferred_id(c, preferred);
    if (neap_conn_start_tls(c, NULL, &failure)) {
        if (why)
            *why = text_or(&failure, "TLS could not start");
        neap_conn_free(c);
        return NULL;
    }
    return c;
}

void neap_conn_set_validated(neap_conn *conn)
{
    if (conn->is_server && conn->counters.packets_received == 0)
        conn_path(conn)->address.validated = true;
}

/* ---- the end */

static void free_application(neap_conn *c)
{
    struct number_space *s = &c->application;

    neap_multipath_finish(c);
    c->recovery.spaces[SPACE_APPLICATION] = NULL;
    neap_ack_free(&s->ack, c->pool);
    neap_sent_free(&s->recovery.sent, c->pool);
    if (s->crypto)
        neap_crypto_stream_free(s->crypto, c->pool);
    neap_pool_free(c->pool, s->crypto, sizeof *s->crypto);
    s->crypto = NULL;
    neap_packet_key_wipe(c->crypto, &s->read);
    neap_packet_key_wipe(c->crypto, &s->write);
    neap_conn_drop_previous_keys(c);
    neap_packet_key_wipe(c->crypto, &c->keys.next_read);
    neap_wipe(&c->keys, sizeof c->keys);
    neap_tls_tail_free(&c->tail, c->pool);
    neap_conn_forget_dates(c);
}

/* The streams go, their counters stay; there is neither credit nor anything to be read. */
static void free_streams(neap_conn *c)
{
    uint64_t received = c->streams.recv_used;
    struct streams counters = {.opened = c->streams.opened,
                               .accepted = c->streams.accepted,
                               .bytes_sent = c->streams.bytes_sent,
                               .counters = c->streams.counters,
                               .recv_limit = received,
                               .recv_used = received,
                               .recv_read = received};

    neap_streams_free(&c->streams);
    c->streams = counters;
    if (c->datagrams)
        neap_datagrams_free(c->datagrams);
}

static void end_offer(neap_conn *c)
{
    bool was_answered = c->counters.packets_received > 0;

    if (c->is_server || !c->handshake || !c->handshake->tls)
        return;
    neap_tls_end_offer(c->handshake->tls, was_answered);
    neap_conn_end_token(c, was_answered);
}

void neap_conn_finish(neap_conn *c)
{
    if (c->stage == STAGE_CLOSED)
        return;
    if (conn_is_alive(c)) {
        end_offer(c);
        c->close.ended_at = c->stage;
        free_streams(c);
    }
    c->stage = STAGE_CLOSED;
    c->news |= NEWS_STATE;
    if (c->handshake && c->handshake->tls && !c->server_name) {
        const char *name = neap_tls_server_name(c->handshake->tls);

        c->server_name = neap_pool_alloc(c->pool, strlen(name) + 1);
        if (c->server_name)
            memcpy(c->server_name, name, strlen(name) + 1);
    }
    neap_conn_free_handshake(c);
    free_application(c);
}

void neap_conn_free(neap_conn *conn)
{
    neap_conn *c = conn;

    if (!c)
        return;
    if (c->entry.endpoint) { /* it is the endpoint's, which has to forget it: that frees it */
        neap_endpoint_forget(c);
        return;
    }
    neap_conn_finish(c);
    if (c->close.reason_room)
        neap_pool_free(c->pool, (void *)(uintptr_t)c->close.reason, c->close.reason_room);
    for (size_t i = 0; i < LIMIT_PATHS; i++)
        neap_conn_free_path(c, conn_path_at(c, i));
    if (c->server_name)
        neap_pool_free(c->pool, c->server_name, strlen(c->server_name) + 1 + c->psk_identity_size);
    neap_conn_drop_certificates(c);
    neap_conn_free_migration(c);
    neap_peer_cids_free(&c->peer_cids, c->pool);
    neap_multipath_free(c);
    neap_pool_free(c->pool, c->datagrams, sizeof *c->datagrams);
    neap_config *config = c->config;
    TRACE(c->tracer, .conn = c, .kind = NEAP_TRACE_GONE, .now = c->now);
    neap_pool_free_secret(c->pool, c, sizeof *c);
    neap_config_free(config);
}

/* From here on there are no streams; what is left answers the peer until `until` (RFC 9000 §10.2). */
static void enter(neap_conn *c, enum conn_stage stage, enum neap_close_by by, bool is_application,
                  uint64_t code)
{
    end_offer(c);
    c->close.by = (uint8_t)by;
    c->close.is_application = is_application;
    c->close.code = code;
    c->close.until = c->now + neap_conn_draining_time(c);
    c->close.ended_at = c->stage;
    c->stage = (uint8_t)stage;
    c->news |= NEWS_STATE;
    free_streams(c);
    TRACE(c->tracer, .conn = c, .kind = NEAP_TRACE_CLOSED, .now = c->now, .values = {by, code},
          .why = c->close.reason);
}

static void set_static_reason(neap_conn *c, const char *reason)
{
    c->close.reason = reason ? reason : "";
    c->close.reason_size = (uint16_t)strlen(c->close.reason);
}

/* A text of somebody else's is copied; without memory there is none. */
static void set_reason(neap_conn *c, struct span reason)
{
    size_t size = reason.size < LIMIT_CLOSE_REASON ? reason.size : LIMIT_CLOSE_REASON;
    char *copy = size ? neap_pool_alloc(c->pool, size + 1) : NULL;

    set_static_reason(c, "");
    if (!copy)
        return;
    memcpy(copy, reason.data, size);
    c->close.reason = copy;
    c->close.reason_size = (uint16_t)size;
    c->close.reason_room = (uint16_t)(size + 1);
}

/* `reason` NULL: it is there already. */
static void end(neap_conn *c, bool is_application, uint64_t code, uint64_t frame_type, const char *reason)
{
    if (reason)
        set_static_reason(c, reason);
    c->close.frame_type = frame_type;
    c->close.owed = true;
    c->close.answer_at = 1;
    enter(c, STAGE_CLOSING, NEAP_CLOSE_LOCAL, is_application, code);
}

void neap_conn_end(neap_conn *c, bool is_application, uint64_t code, uint64_t frame_type, const char *reason)
{
    if (conn_is_alive(c))
        end(c, is_application, code, frame_type, reason ? reason : "");
}

/* What TLS says of certificates is gone with the next handshake; so it is copied. */
void neap_conn_end_by(neap_conn *c, const struct failure *why, uint64_t frame_type)
{
    const char *reason = why->reason;

    if (!conn_is_alive(c))
        return;
    if (why->code >= NEAP_CRYPTO_ERROR && why->code <= NEAP_CRYPTO_ERROR + 0xff && reason) {
        set_reason(c, span_of_string(reason));
        reason = NULL;
    }
    end(c, false, why->code > 0 ? (uint64_t)why->code : NEAP_INTERNAL_ERROR, frame_type, reason);
}

int neap_conn_ping(neap_conn *conn)
{
    if (!conn_is_alive(conn))
        return NEAP_ERR_CLOSED;
    conn->owes_ping = true;
    neap_conn_wake(conn);
    return 0;
}

void neap_conn_keep_alive(neap_conn *conn, neap_time span)
{
    conn->keep_until = span == 0 ? 0 : span < NEAP_NEVER - conn->now ? conn->now + span : NEAP_NEVER;
    neap_conn_wake(conn); /* its timer is another now */
}

void neap_conn_fail(neap_conn *conn, uint64_t code, const char *reason)
{
    neap_conn_wake(conn);
    neap_conn_end(conn, true, code, 0, reason);
}

int neap_conn_close(neap_conn *conn, bool is_application, uint64_t code, const void *reason, size_t size)
{
    neap_conn *c = conn;

    if (!conn_is_alive(c))
        return NEAP_ERR_CLOSED;
    if (code > VARINT_MAX)
        return NEAP_ERR_ARGUMENT;
    set_reason(c, span_of(reason, size));
    c->close.owed = true;
    c->close.answer_at = 1;
    enter(c, STAGE_CLOSING, NEAP_CLOSE_LOCAL, is_application, code);
    neap_conn_wake(c);
    return 0;
}

void neap_conn_drain(neap_conn *c, const struct frame_close *f)
{
    if (!conn_is_alive(c))
        return;
    set_reason(c, f->reason);
    c->close.frame_type = f->frame_type;
    enter(c, STAGE_DRAINING, NEAP_CLOSE_PEER, f->is_application, f->code);
}

void neap_conn_reset(neap_conn *c)
{
    if (!conn_is_alive(c))
        return;
    set_static_reason(c, "stateless reset");
    enter(c, STAGE_DRAINING, NEAP_CLOSE_RESET, false, NEAP_NO_ERROR);
}

void neap_conn_vanish(neap_conn *c, enum neap_close_by by, const char *reason)
{
    if (!conn_is_alive(c))
        return;
    set_static_reason(c, reason);
    enter(c, STAGE_DRAINING, by, false, NEAP_NO_ERROR);
    neap_conn_finish(c);
}

/* ---- questions */

void neap_conn_set_user(neap_conn *conn, void *user)
{
    conn->user = user;
}

void *neap_conn_user(const neap_conn *conn)
{
    return conn->user;
}

void neap_conn_set_tracer(neap_conn *conn, const neap_tracer *tracer)
{
    conn->tracer = tracer;
}

const neap_tracer *neap_conn_tracer(const neap_conn *conn)
{
    return conn->tracer;
}

bool neap_conn_is_server(const neap_conn *conn)
{
    return conn->is_server;
}

bool neap_conn_is_established(const neap_conn *conn)
{
    return conn_reached(conn) >= STAGE_ESTABLISHED;
}

bool neap_conn_is_confirmed(const neap_conn *conn)
{
    return conn_reached(conn) >= STAGE_CONFIRMED;
}

bool neap_conn_is_draining(const neap_conn *conn)
{
    return conn->stage == STAGE_CLOSING || conn->stage == STAGE_DRAINING;
}

bool neap_conn_is_unreachable(const neap_conn *conn)
{
    return conn->is_unreachable && conn->counters.packets_received == 0;
}

void neap_conn_unreachable(neap_conn *c, const neap_address *to, struct span dcid)
{
    bool is_first = !c->is_server && c->counters.packets_received == 0 && conn_is_alive(c) &&
                    !c->handshake->retried && !c->handshake->is_second_flight &&
                    span_equal(dcid, cid_span(&c->original_dcid));

    if (!is_first || c->is_unreachable || !neap_conn_find_path(c, ANY_SLOT, NULL, to))
        return;
    c->is_unreachable = true;
    c->news |= NEWS_STATE;
}

bool neap_conn_is_closed(const neap_conn *conn)
{
    return conn->stage == STAGE_CLOSED;
}

/* What a server's TLS knows of the client by a verified binder, which is before a handler sees early data; NULL once the
 * connection has it, and for a client, to whom it is proved when the handshake is complete. */
static const struct tls *early_knowledge(const neap_conn *c)
{
    return c->is_server && conn_reached(c) < STAGE_ESTABLISHED && c->handshake ? c->handshake->tls : NULL;
}

bool neap_conn_is_resumed(const neap_conn *conn)
{
    const struct tls *tls = early_knowledge(conn);

    return conn->is_resumed || (tls && neap_tls_is_resumed(tls)) ||
           (conn->is_server && conn->early == NEAP_EARLY_ACCEPTED);
}

const char *neap_conn_group(const neap_conn *conn)
{
    return neap_group_name(conn->group);
}

const char *neap_conn_cipher_suite(const neap_conn *conn)
{
    return conn_reached(conn) >= STAGE_ESTABLISHED ? neap_suite_name(conn->application.write.suite) : NULL;
}

uint32_t neap_conn_version(const neap_conn *conn)
{
    return conn->version->number;
}

void neap_conn_close_info(const neap_conn *conn, neap_close_info *out, size_t size)
{
    const struct conn_close *close = &conn->close;

    const neap_close_info known = {
        .by = close->by,
        .is_application = close->is_application,
        .code = close->code,
        .frame_type = close->frame_type,
        .reason = close->reason ? close->reason : "",
        .reason_size = close->reason_size,
    };
    fill_sized(out, size, &known, sizeof known);
}

const char *neap_conn_alpn(const neap_conn *conn, size_t *size)
{
    *size = conn->alpn_size;
    return (const char *)conn->alpn;
}

const char *neap_conn_server_name(const neap_conn *conn)
{
    if (conn->server_name)
        return conn->server_name;
    return conn->handshake && conn->handshake->tls ? neap_tls_server_name(conn->handshake->tls) : "";
}

const uint8_t *neap_conn_psk_identity(const neap_conn *conn, size_t *size)
{
    const struct tls *tls = early_knowledge(conn);

    if (tls) {
        struct span identity = neap_tls_psk_identity(tls);

        *size = identity.size;
        return identity.size ? identity.data : NULL;
    }
    *size = conn->psk_identity_size;
    return *size ? (const uint8_t *)conn->server_name + strlen(conn->server_name) + 1 : NULL;
}

void neap_conn_ids(const neap_conn *conn, neap_cid *source, neap_cid *destination, neap_cid *original)
{
    *source = *neap_local_cids_first(&conn->local_cids);
    *destination = *neap_peer_cids_active(&conn->peer_cids);
    *original = conn->original_dcid;
}

size_t neap_conn_source_ids(const neap_conn *conn, neap_cid *out, size_t max)
{
    const struct local_cids *l;
    size_t count = 0;

    for (uint8_t slot = 0; slot < conn_slots(conn); slot++)
        for (size_t i = 0; (l = conn_local_cids(conn, slot)) && i < sizeof l->ids / sizeof l->ids[0]; i++) {
            if (!l->ids[i].in_use)
                continue;
            if (count < max)
                out[count] = l->ids[i].cid;
            count++;
        }
    return count;
}

void neap_conn_addresses(const neap_conn *conn, neap_address *local, neap_address *peer)
{
    const struct path *path = neap_conn_proved_path(conn);

    *local = path->address.local;
    *peer = path->address.peer;
}

unsigned neap_conn_take_news(neap_conn *c)
{
    unsigned news = c->news;

    c->news = 0;
    return news;
}
