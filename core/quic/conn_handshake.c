/* The handshake: TLS fed and drained, keys installed and discarded (RFC 9001 §4), what is held before an address is proved. */
#include "quic/conn_token.h"
#include "quic/conn_trace.h"
#include "quic/migration.h"

#define GREASE_BITS 0x3ffffu /* of the random number that greases our parameters */

/* What somebody chose stays as it is. */
static void size_send_buffer(const neap_conn *c, struct streams_config *config)
{
    uint64_t told = config_option(c->config, OPTION_send_buffer);
    uint64_t share = neap_pool_stats(c->pool).limit / LIMIT_SEND_BUFFER_SHARE;
    uint64_t most = share > 0 && share < LIMIT_SEND_BUFFER_MOST ? share : LIMIT_SEND_BUFFER_MOST;

    config->send_buffer = told ? (uint32_t)told : LIMIT_SEND_BUFFER_LEAST;
    config->send_buffer_most = (uint32_t)(told ? told : most);
    config->send_ahead = told ? 0 : LIMIT_SEND_AHEAD;
}

/* The protocol where the config has it, which stays as long as the connection; NULL for none. */
static const uint8_t *find_alpn(const struct tls_config *config, struct span name)
{
    for (size_t at = 0; at < config->alpn_size; at += 1u + config->alpn[at])
        if (span_equal(span_of(config->alpn + at + 1, config->alpn[at]), name))
            return config->alpn + at + 1;
    return NULL;
}

static void take_alpn(neap_conn *c)
{
    struct span alpn = neap_tls_alpn(c->handshake->tls);

    c->alpn = find_alpn(&c->config->tls, alpn);
    c->alpn_size = c->alpn ? (uint8_t)alpn.size : 0;
}

/* The address that the client talks to; empty where it is not known. */
static struct span local_ip(const neap_conn *c)
{
    const neap_address *local = &conn_path(c)->address.local;

    return span_of(local->ip, local->family == 4 ? 4 : local->family == 6 ? 16 : 0);
}

static struct tls *new_tls(const neap_conn *c, const struct transport_params *params, const char *server_name,
                           struct failure *why)
{
    uint8_t room[LIMIT_TLS_PARAMETERS];
    struct writer w = writer_of(room, sizeof room);
    struct random *random = neap_crypto_random(c->crypto);
    uint64_t grease =
        config_option(c->config, OPTION_grease) ? (neap_random_u64(random) & GREASE_BITS) | 1 : 0;
    uint64_t limits[SESSION_LIMITS];

    neap_params_write(&w, params, c->is_server, grease);
    if (w.full) {
        neap_fail(why, NEAP_ERR_LIMIT, "transport parameters are too long");
        return NULL;
    }
    neap_conn_early_limits(params, limits);
    struct tls_start start = {.server_name = server_name,
                              .port = conn_path(c)->address.peer.port,
                              .version = c->version->number,
                              .without_early = c->handshake->is_second_flight,
                              .params = span_of(room, writer_size(&w)),
                              .limits = limits,
                              .wall_clock = neap_config_wall_clock(c->config),
                              .local_address = local_ip(c)};
    struct tls *tls = c->is_server ? neap_tls_server(&c->config->tls, &start, why)
                                   : neap_tls_client(&c->config->tls, &start, why);
    if (!tls)
        neap_fail(why, NEAP_ERR_NO_MEMORY, "no memory for TLS");
    return tls;
}

/* A server's ticket says of the round trip in 16 bits how many of these it was, and before them a mark of the client's IP address:
 * where that is another one the way there may be too. */
#define TICKET_RTT_UNIT (64 * MICROSECOND)

static uint32_t client_mark(const neap_conn *c)
{
    static const uint64_t key[2];
    const neap_address *peer = &conn_path(c)->address.peer;

    return (uint32_t)neap_siphash(key, span_of(peer->ip, peer->family == 4 ? 4 : 16)) << 16;
}

/* What sessions say of the round trip, from now on. */
static uint32_t rtt_in_session(const neap_conn *c)
{
    const struct rtt *rtt = &conn_path(c)->recovery.rtt;
    neap_time unit = c->is_server ? TICKET_RTT_UNIT : MICROSECOND;
    neap_time most = c->is_server ? UINT16_MAX : UINT32_MAX;

    if (!rtt->has_sample)
        return 0;
    uint32_t units = (uint32_t)(rtt->smoothed / unit < most ? rtt->smoothed / unit : most);
    return c->is_server ? client_mark(c) | units : units;
}

/* RFC 9002 §6.2.2: the same peer, most likely over the same network. */
void neap_conn_guess_rtt(neap_conn *c)
{
    uint32_t told = neap_tls_session_rtt(c->handshake->tls);
    neap_time guess = told * MICROSECOND;

    if (c->is_server)
        guess = (told & ~(uint32_t)UINT16_MAX) == client_mark(c) ? (told & UINT16_MAX) * TICKET_RTT_UNIT : 0;
    neap_path_recovery_guess_rtt(&conn_path(c)->recovery, guess);
}

struct tls *neap_conn_renew_tls(const neap_conn *c, struct failure *why)
{
    uint8_t versions[VERSION_LIST_ROOM];
    struct transport_params params = neap_conn_our_params(c, versions);
    const char *name = neap_tls_server_name(c->handshake->tls);

    return new_tls(c, &params, name[0] ? name : NULL, why);
}

int neap_conn_start_tls(neap_conn *c, const char *server_name, struct failure *why)
{
    uint8_t versions[VERSION_LIST_ROOM];
    struct transport_params params = neap_conn_our_params(c, versions);
    struct streams_config config = {
        .is_server = c->is_server,
        .ours = &params,
        .max_connection_window = config_option(c->config, OPTION_max_connection_window),
        .max_stream_window = config_option(c->config, OPTION_max_stream_window),
        .send_most = config_option(c->config, OPTION_max_send_buffer),
        .budget = &c->config->budget,
    };
    size_send_buffer(c, &config);
    struct random *random = neap_crypto_random(c->crypto);
    struct session session;

    neap_random_refresh(random, neap_config_wall_clock(c->config));
    config.map_secret = neap_random_u64(random);
    neap_streams_init(&c->streams, c->pool, &config);
    c->handshake->tls = new_tls(c, &params, server_name, why);
    if (!c->handshake->tls)
        return why->code;
    if (!c->is_server)
        neap_conn_guess_rtt(c);
    if (!neap_tls_offered(c->handshake->tls, &session))
        return 0;
    take_alpn(c);
    return neap_conn_offer_early(c, &session, why);
}

void neap_conn_set_initial_keys(neap_conn *c, const neap_cid *dcid)
{
    struct number_space *s = &c->handshake->spaces[SPACE_INITIAL];
    struct packet_key *client = c->is_server ? &s->read : &s->write;
    struct packet_key *server = c->is_server ? &s->write : &s->read;

    neap_packet_key_initial(client, server, c->labels, cid_span(dcid));
    neap_recovery_add_space(&c->recovery, SPACE_INITIAL, &s->recovery);
}

static void free_space(neap_conn *c, struct number_space *s)
{
    neap_packet_key_wipe(c->crypto, &s->read);
    neap_packet_key_wipe(c->crypto, &s->write);
    neap_ack_free(&s->ack, c->pool);
    neap_sent_free(&s->recovery.sent, c->pool);
    neap_crypto_stream_free(s->crypto, c->pool);
    s->probes = 0;
}

void neap_conn_discard_space(neap_conn *c, enum space space)
{
    struct number_space *s = conn_space(c, space);

    if (!s || !space_can_send(s))
        return;
    neap_recovery_discard(&c->recovery, space, c->now);
    free_space(c, s);
    if (space == SPACE_INITIAL)
        neap_packet_key_wipe(c->crypto, &c->handshake->other_read);
    TRACE(c->tracer, .conn = c, .kind = NEAP_TRACE_KEYS_DISCARDED, .now = c->now,
          .packet_type = space == SPACE_INITIAL ? NEAP_PACKET_INITIAL : NEAP_PACKET_HANDSHAKE);
}

/* What streams and datagrams of 0-RTT packets have. */
static size_t early_data_memory(const neap_conn *c)
{
    return neap_streams_memory(&c->streams) + (c->datagrams ? (size_t)c->datagrams->received.bytes : 0);
}

/* CRYPTO out of order, with all the memory that it takes, what TLS holds, packets without keys, streams of 0-RTT packets. */
static size_t early_bytes(const neap_conn *c)
{
    const struct handshake *h = c->handshake;
    size_t held = early_data_memory(c) + (h->tls ? neap_tls_held(h->tls) : 0);

    for (size_t i = 0; i < 2; i++)
        held += neap_reassembly_memory(&h->spaces[i].crypto->recv);
    for (size_t i = 0; i < h->kept_count; i++)
        held += h->kept[i].size;
    return held;
}

void neap_conn_count_early(neap_conn *c)
{
    struct handshake *h = c->handshake;

    if (!h || !h->early)
        return;
    size_t held = conn_path(c)->address.validated ? 0 : early_bytes(c);
    h->early->used += held - h->early_held;
    h->early_held = held;
}

bool neap_conn_may_hold_stream(neap_conn *c, size_t size)
{
    const struct handshake *h = c->handshake;

    if (!h || !h->early || conn_path(c)->address.validated)
        return true;
    return early_data_memory(c) + size <= LIMIT_EARLY_STREAMS && neap_conn_may_hold(c, size);
}

bool neap_conn_may_hold(neap_conn *c, size_t size)
{
    const struct handshake *h = c->handshake;

    if (!h || !h->early || conn_path(c)->address.validated)
        return true;
    neap_conn_count_early(c);
    bool is_little = h->early_held + size <= LIMIT_EARLY_LEAST;
    if (!is_little && h->early->used + size > LIMIT_EARLY_BYTES)
        return false;
    /* Little leaves memory for two that have proved their address; more leaves all others their little, too,
     * and what they take for what they send. */
    uint64_t half_open = *h->early->half_open;
    return is_little ? conn_has_memory_for(c->pool, LIMIT_HANDSHAKES_PROVED - 1, half_open, size)
                     : conn_has_memory_for(c->pool, LIMIT_HANDSHAKES_PROVED, half_open,
                                           size + half_open * (LIMIT_EARLY_LEAST + LIMIT_HANDSHAKE_RECORDS));
}

void neap_conn_free_handshake(neap_conn *c)
{
    struct handshake *h = c->handshake;

    if (!h)
        return;
    if (h->early)
        h->early->used -= h->early_held;
    neap_conn_discard_space(c, SPACE_INITIAL);
    neap_conn_discard_space(c, SPACE_HANDSHAKE);
    for (size_t i = 0; i < 2; i++)
        free_space(c, &h->spaces[i]);
    neap_packet_key_wipe(c->crypto, &h->other_read);
    for (size_t i = 0; i < h->kept_count; i++)
        neap_pool_free(c->pool, h->kept[i].bytes, h->kept[i].size);
    if (h->tls)
        neap_tls_free(h->tls);
    neap_pool_free(c->pool, h->token, h->token_size);
    neap_session_drop(c->pool, &h->shown_token);
    neap_pool_free(c->pool, h->offer, sizeof *h->offer);
    neap_pool_free_secret(c->pool, h, sizeof *h);
    c->handshake = NULL;
}

static void install_secret(neap_conn *c, const struct tls_secret *secret)
{
    if (secret->level == TLS_APPLICATION) {
        neap_conn_install_application(c, secret);
        return;
    }
    if (secret->level == TLS_EARLY) {
        neap_conn_install_early(c, secret);
        return;
    }
    struct number_space *s = &c->handshake->spaces[SPACE_HANDSHAKE];

    neap_packet_key_derive(secret->direction == TLS_READ ? &s->read : &s->write, c->labels, secret->suite,
                           secret->secret);
    neap_recovery_add_space(&c->recovery, SPACE_HANDSHAKE, &s->recovery);
    neap_recovery_set_timer(&c->recovery, c->now);
}

/* What is asked for after TLS is gone: the name, a zero byte, and the identity of an external key. */
static int keep_names(neap_conn *c, struct failure *why)
{
    const char *name = neap_tls_server_name(c->handshake->tls);
    struct span identity = neap_tls_psk_identity(c->handshake->tls);
    size_t size = strlen(name) + 1;

    c->server_name = neap_pool_alloc_lasting(c->pool, size + identity.size);
    if (!c->server_name)
        return neap_fail(why, NEAP_ERR_NO_MEMORY, "no memory for names");
    memcpy(c->server_name, name, size);
    if (identity.size)
        memcpy(c->server_name + size, identity.data, identity.size);
    c->psk_identity_size = (uint8_t)identity.size;
    take_alpn(c);
    return 0;
}

void neap_conn_confirm(neap_conn *c)
{
    if (c->stage >= STAGE_CONFIRMED)
        return;
    c->stage = STAGE_CONFIRMED;
    c->recovery.handshake_confirmed = true;
    c->recovery.peer_validated = true;
    neap_conn_discard_space(c, SPACE_INITIAL);
    neap_conn_discard_space(c, SPACE_HANDSHAKE);
    neap_recovery_set_timer(&c->recovery, c->now);
    neap_conn_try_preferred(c);
    c->news |= NEWS_STATE;
    TRACE(c->tracer, .conn = c, .kind = NEAP_TRACE_HANDSHAKE_STATE, .now = c->now, .why = "confirmed");
}

/* What sessions of this connection have to know of the server. */
static void remember_server(neap_conn *c)
{
    struct transport_params p;
    struct failure ignored = {0};
    uint64_t limits[SESSION_LIMITS];

    if (c->is_server || !c->config->tls.early_data ||
        neap_params_parse(neap_tls_peer_params(c->handshake->tls), true, &p, &ignored))
        return;
    neap_conn_early_limits(&p, limits);
    neap_tls_tail_remember(&c->tail, c->pool, limits);
}

static int complete(neap_conn *c, struct failure *why)
{
    int rc = keep_names(c, why);

    if (rc == 0)
        rc = neap_conn_keep_certificates(c, why);
    if (rc)
        return rc;
    rc = neap_conn_note_dates(c, why);
    if (rc)
        return rc;
    c->tail = neap_tls_take_tail(c->handshake->tls);
    c->is_resumed = neap_tls_is_resumed(c->handshake->tls);
    c->group = neap_tls_group(c->handshake->tls);
    remember_server(c);
    neap_conn_keep_early_key(c);
    c->stage = STAGE_ESTABLISHED;
    c->news |= NEWS_STATE;
    TRACE(c->tracer, .conn = c, .kind = NEAP_TRACE_HANDSHAKE_STATE, .now = c->now, .why = "established");
    if (!c->is_server)
        return 0;
    /* RFC 9001 §4.1.2: a server's handshake is confirmed when it is complete. */
    c->owes_handshake_done = true;
    neap_conn_owe_token(c);
    neap_conn_confirm(c);
    return 0;
}

static bool make_crypto(neap_conn *c, struct number_space *s)
{
    if (s->crypto)
        return true;
    s->crypto = neap_pool_alloc(c->pool, sizeof *s->crypto);
    if (s->crypto)
        neap_crypto_stream_init(s->crypto);
    return s->crypto;
}

static int take_output(neap_conn *c, enum tls_level level, enum space space, struct failure *why)
{
    struct tls *tls = c->handshake->tls;
    struct number_space *s = conn_space(c, space);
    struct span bytes = neap_tls_output(tls, level);

    if (bytes.size == 0)
        return 0;
    if (!make_crypto(c, s) || neap_send_buffer_append(&s->crypto->send, c->pool, bytes) < bytes.size)
        return neap_fail(why, NEAP_ERR_NO_MEMORY, "no memory for CRYPTO data");
    neap_tls_output_taken(tls, level, bytes.size);
    return 0;
}

/* Tickets, of which the client has need of none: without memory for all of them there are none. */
static void take_tickets(neap_conn *c)
{
    struct number_space *s = &c->application;
    struct failure ignored = {0};

    if (take_output(c, TLS_APPLICATION, SPACE_APPLICATION, &ignored) == 0 || !s->crypto)
        return;
    neap_crypto_stream_free(s->crypto, c->pool);
    neap_pool_free(c->pool, s->crypto, sizeof *s->crypto);
    s->crypto = NULL;
}

/* Each question is told once. */
static void tell_question(neap_conn *c)
{
    uint64_t id = neap_tls_asking(c->handshake->tls);

    if (id == 0 || id == c->handshake->question_told)
        return;
    c->handshake->question_told = id;
    c->news |= NEWS_QUESTION;
}

int neap_conn_take_tls(neap_conn *c, struct failure *why)
{
    struct tls *tls = c->handshake->tls;
    struct tls_secret secret;

    tell_question(c);
    neap_conn_follow_version(c);
    neap_conn_follow_early(c);
    if (c->early == NEAP_EARLY_ACCEPTED &&
        !c->alpn) /* a server's, which speaks before the handshake is complete */
        take_alpn(c);
    while (neap_tls_next_secret(tls, &secret)) {
        install_secret(c, &secret);
        neap_wipe(&secret, sizeof secret);
    }
    int rc = take_output(c, TLS_INITIAL, SPACE_INITIAL, why);
    if (rc == 0)
        rc = take_output(c, TLS_HANDSHAKE, SPACE_HANDSHAKE, why);
    if (rc == 0)
        rc = neap_conn_take_params(c, why);
    if (rc == 0 && c->stage < STAGE_ESTABLISHED && neap_tls_is_complete(tls))
        rc = complete(c, why);
    if (rc == 0)
        take_tickets(c);
    return rc;
}

/* Take what can be taken from the front of *bytes. A handshake cannot go on after a failure of ours, such as no memory
 * in the middle of a message; what comes after it can. */
static int feed_tls(neap_conn *c, enum space space, struct span *bytes, struct failure *why)
{
    int64_t wall_clock = neap_config_wall_clock(c->config);

    if (space == SPACE_APPLICATION) {
        c->tail.rtt = rtt_in_session(c);
        return neap_tls_tail_receive(&c->tail, c->pool, bytes, wall_clock, why);
    }
    neap_tls_set_clock(c->handshake->tls, wall_clock);
    if (c->is_server && conn_path(c)->recovery.rtt.has_sample)
        neap_tls_set_rtt(c->handshake->tls, rtt_in_session(c));
    int rc =
        neap_tls_receive(c->handshake->tls, space == SPACE_INITIAL ? TLS_INITIAL : TLS_HANDSHAKE, bytes, why);

    if (rc == 0)
        rc = neap_conn_take_tls(c, why);
    return rc < 0 ? NEAP_INTERNAL_ERROR : rc;
}

/* Hand on what is in order, as far as TLS takes it. */
static int drain_crypto(neap_conn *c, enum space space, struct failure *why)
{
    struct number_space *s = conn_space(c, space);
    struct span bytes;
    int rc = 0;

    while (rc == 0 && (bytes = neap_reassembly_peek(&s->crypto->recv)).size > 0) {
        struct span left = bytes;

        rc = feed_tls(c, space, &left, why);
        /* The keys of this space, and its buffers with them, may have gone with what was read. */
        if (!packet_key_is_set(&s->read))
            break;
        neap_reassembly_consume(&s->crypto->recv, c->pool, bytes.size - left.size);
        if (left.size > 0)
            break; /* until a question is answered, or there is memory */
    }
    return rc;
}

int neap_conn_continue_tls(neap_conn *c, struct failure *why)
{
    struct number_space *s = conn_space(c, SPACE_HANDSHAKE);
    int rc = neap_conn_take_tls(c, why);

    return rc == 0 && packet_key_is_set(&s->read) ? drain_crypto(c, SPACE_HANDSHAKE, why) : rc;
}

int neap_conn_on_crypto(neap_conn *c, enum space space, const struct frame_crypto *f, struct failure *why)
{
    struct number_space *s = conn_space(c, space);

    /* RFC 9369 §4.1: what the server says in the original version it goes on saying in that. */
    if (space == SPACE_INITIAL)
        c->handshake->version_settled = true;
    /* What stands behind the end of the handshake in one packet with it is a repetition: nobody waits for more. */
    if (!packet_key_is_set(&s->read))
        return 0;
    /* RFC 9000 §7.5. A client has nothing to say after the handshake: whatever its first byte is ends the connection, and
     * nothing is kept until that comes. */
    if (c->is_server && space == SPACE_APPLICATION && f->offset > 0 && f->offset <= VARINT_MAX - f->data.size)
        return neap_fail(why, NEAP_CRYPTO_BUFFER_EXCEEDED, "CRYPTO of a client after the handshake");
    if (!make_crypto(c, s))
        return NEAP_ERR_NO_MEMORY;
    /* As if the packet had not come: it comes again. */
    if (!neap_conn_may_hold(c, neap_crypto_stream_growth(s->crypto, f)))
        return NEAP_ERR_LIMIT;
    int rc = neap_crypto_stream_on_crypto(s->crypto, c->pool, f, why);
    return rc ? rc : drain_crypto(c, space, why);
}
