#include "tls/tls.h"

#include "base/pool.h"
#include "tls/hello.h"
#include "tls/state.h"

/* ---- which message each state waits for */

typedef int (*message_handler)(struct tls *tls, struct span message, struct failure *why);

static const struct step {
    enum tls_state state;
    enum handshake_type type;
    message_handler on_message;
} steps[] = {
    {WAIT_SERVER_HELLO, SERVER_HELLO, neap_client_on_server_hello},
    {WAIT_ENCRYPTED_EXTENSIONS, ENCRYPTED_EXTENSIONS, neap_client_on_encrypted_extensions},
    {WAIT_CERTIFICATE_OR_REQUEST, CERTIFICATE_REQUEST, neap_client_on_certificate_request},
    {WAIT_CERTIFICATE_OR_REQUEST, CERTIFICATE, neap_tls_on_certificate},
    {WAIT_CERTIFICATE_OR_REQUEST, COMPRESSED_CERTIFICATE, neap_tls_on_compressed_certificate},
    {WAIT_CERTIFICATE, CERTIFICATE, neap_tls_on_certificate},
    {WAIT_CERTIFICATE, COMPRESSED_CERTIFICATE, neap_tls_on_compressed_certificate},
    {WAIT_CERTIFICATE_VERIFY, CERTIFICATE_VERIFY, neap_tls_on_certificate_verify},
    {WAIT_SERVER_FINISHED, FINISHED, neap_client_on_finished},
    {WAIT_CLIENT_HELLO, CLIENT_HELLO, neap_server_on_client_hello},
    {WAIT_SECOND_CLIENT_HELLO, CLIENT_HELLO, neap_server_on_client_hello},
    {WAIT_CLIENT_CERTIFICATE, CERTIFICATE, neap_tls_on_certificate},
    {WAIT_CLIENT_CERTIFICATE, COMPRESSED_CERTIFICATE, neap_tls_on_compressed_certificate},
    {WAIT_CLIENT_CERTIFICATE_VERIFY, CERTIFICATE_VERIFY, neap_tls_on_certificate_verify},
    {WAIT_CLIENT_FINISHED, FINISHED, neap_server_on_finished},
};

static const struct step *find_step(enum tls_state state, uint8_t type)
{
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
        if (steps[i].state == state && steps[i].type == type)
            return &steps[i];
    return NULL;
}

/* Anybody may send a server what follows its flight, and none of it is large. */
static size_t most_bytes(const struct tls *tls)
{
    bool is_behind_flight = tls->state == WAIT_CLIENT_CERTIFICATE ||
                            tls->state == WAIT_CLIENT_CERTIFICATE_VERIFY ||
                            tls->state == WAIT_CLIENT_FINISHED;

    return is_behind_flight ? LIMIT_CLIENT_CERTIFICATES : LIMIT_TLS_MESSAGE;
}

static int receive_one(struct tls *tls, struct span *bytes, struct failure *why)
{
    struct assembly *assembly = &tls->tail.assembly;
    uint8_t type = assembly->size ? assembly->data[0] : bytes->data[0];
    const struct step *step = find_step(tls->state, type);
    enum tls_level level = tls->read_level;
    struct span message;

    if (!step)
        return neap_tls_alert(why, ALERT_UNEXPECTED_MESSAGE, "handshake message out of its order");
    int rc = neap_assembly_next(assembly, tls->config->pool, most_bytes(tls), bytes, &message, why);
    if (rc != 1)
        return rc;
    rc = step->on_message(tls, message, why);
    neap_assembly_done(assembly, tls->config->pool);
    if (rc == TLS_ASKED)
        rc = 0;
    /* RFC 9001 §4.1.3: nothing may be left of a level when the next one's keys are there. */
    if (rc == 0 && tls->read_level != level && bytes->size > 0)
        rc = neap_fail(why, NEAP_PROTOCOL_VIOLATION,
                       "handshake data behind the message that changed the keys");
    return rc;
}

/* While somebody looks at the peer, the rest of its flight may be here: it stays where it is. Whatever else is asked, it is
 * the peer's turn to wait. */
static bool is_left(const struct tls *tls)
{
    return tls->state == WAIT_ANSWER && tls->asking->kind == NEAP_ASK_PEER;
}

static int receive(struct tls *tls, enum tls_level level, struct span *bytes, struct failure *why)
{
    int rc = 0;

    if (bytes->size == 0)
        return 0;
    if (level != tls->read_level)
        return neap_fail(why, NEAP_PROTOCOL_VIOLATION,
                         "handshake data at an encryption level that is not in turn");
    if (tls->state == CONNECTED)
        return neap_tls_tail_receive(&tls->tail, tls->config->pool, bytes, tls->wall_clock, why);
    while (rc == 0 && bytes->size > 0 && !is_left(tls))
        rc = receive_one(tls, bytes, why);
    return rc;
}

/* RFC 8446 §6: the secrets of a failed handshake are forgotten. */
static int fail_handshake(struct tls *tls, int code, const char *reason, struct failure *why)
{
    neap_schedule_forget_handshake(&tls->schedule);
    neap_tls_forget_psk(tls);
    neap_tls_end_asking(tls);
    neap_wipe(tls->secrets, sizeof tls->secrets);
    tls->secrets_count = tls->secrets_taken = 0;
    tls->failed = code;
    return neap_fail(why, code, reason);
}

void neap_tls_set_clock(struct tls *tls, int64_t wall_clock)
{
    tls->wall_clock = wall_clock;
}

int neap_tls_receive(struct tls *tls, enum tls_level level, struct span *bytes, struct failure *why)
{
    struct failure local = {0};

    if (tls->failed)
        return neap_fail(why, tls->failed, "the handshake has failed");
    int rc = receive(tls, level, bytes, &local);
    return rc ? fail_handshake(tls, rc, local.reason, why) : 0;
}

int neap_tls_go_on(struct tls *tls, struct failure *why)
{
    struct failure local = {0};

    tls->asking->kind = NEAP_ASK_NOTHING;
    int rc = tls->asking->step(tls, &local);
    return rc && rc != TLS_ASKED ? fail_handshake(tls, rc, local.reason, why) : 0;
}

/* ---- life */

static struct tls *new_handshake(const struct tls_config *config, const struct tls_start *start)
{
    struct tls *tls = neap_pool_alloc(config->pool, sizeof *tls);

    if (!tls)
        return NULL;
    tls->config = config;
    tls->wall_clock = start->wall_clock;
    tls->version = tls->original_version = start->version;
    tls->without_early = start->without_early;
    tls->port = start->port;
    if (start->limits)
        memcpy(tls->limits, start->limits, sizeof tls->limits);
    tls->local_size =
        start->local_address.size <= sizeof tls->local_address ? (uint8_t)start->local_address.size : 0;
    if (tls->local_size)
        memcpy(tls->local_address, start->local_address.data, tls->local_size);
    tls->params = neap_tls_copy(tls, start->params);
    if (!tls->params.data) {
        neap_tls_free(tls);
        return NULL;
    }
    return tls;
}

/* What the owner must have set before any handshake. */
static int check_config(const struct tls_config *config, bool is_client, struct span params,
                        struct failure *why)
{
    if (params.size > LIMIT_TLS_PARAMETERS)
        return neap_fail(why, NEAP_ERR_ARGUMENT, "transport parameters too long");
    if (config->alpn_size == 0 || config->alpn_size > sizeof config->alpn)
        return neap_fail(why, NEAP_ERR_ARGUMENT, "QUIC needs an application protocol"); /* RFC 9001 §8.1 */
    if (!neap_tls_preferred_suite(config, 0) || !neap_tls_preferred_group(config, is_client, 0))
        return neap_fail(why, NEAP_ERR_UNSUPPORTED, "no cipher suite or group that this build has");
    return 0;
}

/* A chain is for a name; a pin without roots says exactly which key is meant. */
static bool needs_name(const struct tls_config *config)
{
    bool has_pins_only = !neap_trust_is_empty(config->trust) && neap_trust_count(config->trust) == 0;

    return config->verify_peer && !has_pins_only && !neap_tls_needs_psk(config);
}

/* Early data goes with the protocol of the session (RFC 8446 §4.2.10), and not a second time with one to which nobody
 * answered: it may have been read. Nor before the application has said what it thinks of the server. */
static void offer_early(struct tls *tls, const struct session *session)
{
    const struct tls_config *config = tls->config;

    if (!config->early_data || tls->without_early || !session->allows_early || tls->was_offered ||
        session->alpn.size == 0 || session->peer_certificate.size > 0 ||
        !neap_hello_lists_protocol(span_of(config->alpn, config->alpn_size), session->alpn))
        return;
    tls->early = NEAP_EARLY_OFFERED;
    tls->early_suite = session->suite;
    tls->alpn_size = (uint8_t)session->alpn.size;
    memcpy(tls->alpn, session->alpn.data, session->alpn.size);
}

void neap_client_binding(const struct tls_config *config, uint8_t out[32])
{
    uint8_t all[32 + 32 + 1] = {0};

    neap_trust_fingerprint(config->trust, config->verify_peer, config->staple, all);
    if (config->identities)
        memcpy(all + 32, config->identities->digest, 32);
    all[64] = (config->asks & NEAP_ASK_PEER) != 0;
    neap_hash(HASH_SHA256, span_of(all, sizeof all), out);
}

void neap_client_hold_binding(struct tls *tls)
{
    uint8_t binding[32];

    neap_client_binding(tls->config, binding);
    if (memcmp(binding, tls->binding, sizeof binding) != 0)
        memset(tls->binding, 0, sizeof tls->binding);
}

/* What was authenticated by the external key that the config has now, or else by its roots and pins, where the key is not all
 * that it has. */
static void take_session(struct tls *tls)
{
    const struct tls_config *config = tls->config;
    struct span name = span_of_string(tls->server_name);
    uint8_t binding[32];

    if (tls->external) {
        neap_psk_binding(&tls->external->key, psk_identity(tls->external), binding);
        tls->offer = neap_sessions_take(config->store, name, tls->port, tls->version, binding,
                                        tls->wall_clock, &tls->was_offered);
    }
    if (!tls->offer.data && !neap_tls_needs_psk(config))
        tls->offer = neap_sessions_take(config->store, name, tls->port, tls->version, tls->binding,
                                        tls->wall_clock, &tls->was_offered);
}

/* What the application is to be shown of the server is there: it is of the sessions that we wrote. */
static bool may_be_asked_about(const struct tls *tls, const struct session *session)
{
    return !tls_may_ask(tls, NEAP_ASK_PEER) || session->psk_identity.size > 0 ||
           session->peer_certificate.size > 0;
}

/* A session with this server from the store: it is offered once, here. And the external key, always. */
static void take_offer(struct tls *tls)
{
    const struct tls_config *config = tls->config;
    struct session session;

    tls->external = neap_psks_first(config->psks);
    neap_client_binding(config, tls->binding);
    if (!config->resumption || !config->store)
        return;
    take_session(tls);
    if (!tls->offer.data)
        return;
    if (!neap_session_read(tls->offer, &session) || !neap_tls_wants_suite(config, session.suite) ||
        !may_be_asked_about(tls, &session)) {
        neap_session_drop(config->pool, &tls->offer);
        return;
    }
    memcpy(tls->psk, session.psk.data, session.psk.size);
    tls->psk_size = (uint8_t)session.psk.size;
    tls->good_until = session.good_until;
    tls->is_vouched_for = neap_tls_has_means(tls); /* then, as now: it is bound to these roots and pins */
    offer_early(tls, &session);
}

bool neap_tls_offered(const struct tls *tls, struct session *out)
{
    return tls->early == NEAP_EARLY_OFFERED && tls->offer.data && neap_session_read(tls->offer, out);
}

uint32_t neap_tls_session_rtt(const struct tls *tls)
{
    struct session session;

    if (!tls->is_client)
        return tls->tail.rtt;
    return tls->offer.data && neap_session_read(tls->offer, &session) ? session.rtt : 0;
}

void neap_tls_set_rtt(struct tls *tls, uint32_t rtt)
{
    tls->tail.rtt = rtt;
}

void neap_tls_end_offer(struct tls *tls, bool was_answered)
{
    struct span name = span_of_string(tls->server_name);

    if (!tls->offer.data || tls->state != WAIT_SERVER_HELLO || tls->retried || tls->failed)
        return;
    if (was_answered)
        neap_sessions_forget(tls->config->store, name, tls->port);
    else if (!tls->was_offered)
        neap_sessions_put(tls->config->store, name, tls->port, tls->offer, true, 0);
    neap_tls_forget_psk(tls);
}

void neap_tls_forget_psk(struct tls *tls)
{
    neap_wipe(tls->psk, sizeof tls->psk);
    tls->psk_size = 0;
    neap_session_drop(tls->config->pool, &tls->offer);
}

int neap_tls_take_psk(struct tls *tls, const struct psk_key *key, struct span identity, struct failure *why)
{
    tls->psk_identity = neap_tls_copy(tls, identity);
    if (!tls->psk_identity.data)
        return neap_tls_no_memory(why);
    memcpy(tls->psk, key->bytes, key->size);
    tls->psk_size = key->size;
    neap_psk_binding(key, identity, tls->binding);
    return 0;
}

int neap_tls_keep_peer(struct tls *tls, const struct span *ders, size_t count, struct failure *why)
{
    tls->peer = neap_peer_chain_new(tls->config->crypto, ders, count, why);
    if (tls->peer)
        return 0;
    return why->code ? why->code : neap_tls_no_memory(why);
}

int neap_tls_take_session(struct tls *tls, const struct session *session, struct failure *why)
{
    tls->resumed = true;
    if (session->psk_identity.size > 0) {
        memcpy(tls->binding, session->binding, sizeof tls->binding);
        tls->psk_identity = neap_tls_copy(tls, session->psk_identity);
        if (!tls->psk_identity.data)
            return neap_tls_no_memory(why);
    }
    return session->peer_certificate.size > 0 ? neap_tls_keep_peer(tls, &session->peer_certificate, 1, why)
                                              : 0;
}

struct tls *neap_tls_client(const struct tls_config *config, const struct tls_start *start,
                            struct failure *why)
{
    const char *server_name = start->server_name;
    size_t name_size = server_name ? strlen(server_name) : 0;

    if (check_config(config, true, start->params, why))
        return NULL;
    if (name_size > 1 && server_name[name_size - 1] == '.')
        name_size--; /* the root's dot is no part of SNI nor of a certificate (RFC 6066 §3) */
    if (name_size == 0 && needs_name(config)) {
        neap_fail(why, NEAP_ERR_ARGUMENT, "a server name is needed to check the certificate against");
        return NULL;
    }
    if (name_size > LIMIT_SERVER_NAME) {
        neap_fail(why, NEAP_ERR_ARGUMENT, "server name too long");
        return NULL;
    }
    struct tls *tls = new_handshake(config, start);
    if (!tls) {
        neap_tls_no_memory(why);
        return NULL;
    }
    tls->is_client = tls->tail.is_client = true;
    tls->state = WAIT_SERVER_HELLO;
    if (name_size)
        memcpy(tls->server_name, server_name, name_size);
    neap_random_bytes(neap_crypto_random(config->crypto), tls->client_random, sizeof tls->client_random);
    tls->group = neap_tls_preferred_group(config, true, 0);
    take_offer(tls);
    int rc = neap_client_write_hello(tls, why);
    if (rc == 0 && tls->early == NEAP_EARLY_OFFERED)
        rc = neap_tls_early_keys(tls, (enum crypto_suite)tls->early_suite, tls->first_hello, why);
    if (rc) {
        neap_tls_free(tls);
        return NULL;
    }
    return tls;
}

struct tls *neap_tls_server(const struct tls_config *config, const struct tls_start *start,
                            struct failure *why)
{
    if (check_config(config, false, start->params, why))
        return NULL;
    if (!neap_tls_may_serve(config)) {
        neap_fail(why, NEAP_ERR_CERTIFICATE, "a server needs a certificate");
        return NULL;
    }
    if (!neap_tls_may_verify_clients(config)) {
        neap_fail(why, NEAP_ERR_CERTIFICATE,
                  "a server that asks for client certificates needs roots for them");
        return NULL;
    }
    struct tls *tls = new_handshake(config, start);
    if (!tls) {
        neap_tls_no_memory(why);
        return NULL;
    }
    tls->state = WAIT_CLIENT_HELLO;
    return tls;
}

void neap_tls_free(struct tls *tls)
{
    if (!tls)
        return;
    struct pool *pool = tls->config->pool;
    for (int level = 0; level < TLS_LEVELS; level++)
        neap_pool_free(pool, tls->output[level].data, tls->output[level].room);
    neap_tls_drop(tls, &tls->first_hello);
    neap_tls_drop(tls, &tls->params);
    neap_tls_drop(tls, &tls->psk_identity);
    neap_tls_drop(tls, &tls->peer_params);
    neap_tls_tail_free(&tls->tail, pool);
    if (tls->share)
        neap_pool_free_secret(pool, tls->share, sizeof *tls->share);
    neap_tls_end_asking(tls);
    neap_identity_free(tls->identity);
    neap_session_drop(pool, &tls->offer);
    neap_peer_chain_free(tls->peer);
    neap_schedule_free(&tls->schedule);
    neap_pool_free_secret(pool, tls, sizeof *tls);
}

struct span neap_tls_copy(struct tls *tls, struct span bytes)
{
    /* One byte more: an empty copy is a copy too, and the room is found again from the size. */
    uint8_t *data = neap_pool_alloc(tls->config->pool, bytes.size + 1);

    if (!data)
        return (struct span){0};
    if (bytes.size)
        memcpy(data, bytes.data, bytes.size);
    return span_of(data, bytes.size);
}

void neap_tls_drop(struct tls *tls, struct span *copy)
{
    if (copy->data)
        neap_pool_free(tls->config->pool, (void *)(uintptr_t)copy->data, copy->size + 1);
    *copy = (struct span){0};
}

int neap_tls_keep_params(struct tls *tls, struct span params, struct failure *why)
{
    if (params.size > LIMIT_TLS_PARAMETERS)
        return neap_fail(why, NEAP_TRANSPORT_PARAMETER_ERROR, "transport parameters are too long");
    neap_tls_drop(tls, &tls->peer_params);
    tls->peer_params = neap_tls_copy(tls, params);
    return tls->peer_params.data ? 0 : neap_tls_no_memory(why);
}

struct tls_tail neap_tls_take_tail(struct tls *tls)
{
    struct tls_tail tail = tls->tail;

    tls->tail = (struct tls_tail){.is_client = tail.is_client};
    return tail;
}

/* ---- output */

struct span neap_tls_output(const struct tls *tls, enum tls_level level)
{
    const struct output *out = &tls->output[level];

    return out->data ? span_of(out->data + out->taken, out->size - out->taken) : (struct span){0};
}

void neap_tls_output_taken(struct tls *tls, enum tls_level level, size_t size)
{
    struct output *out = &tls->output[level];

    out->taken += size;
    if (out->taken < out->size)
        return;
    neap_pool_free(tls->config->pool, out->data, out->room);
    *out = (struct output){0};
}

int neap_tls_reserve(struct tls *tls, enum tls_level level, size_t size, struct failure *why)
{
    struct output *out = &tls->output[level];
    struct pool *pool = tls->config->pool;
    size_t need = out->size + size;

    if (need <= out->room)
        return 0;
    uint8_t *data =
        out->data ? neap_pool_resize(pool, out->data, out->room, need) : neap_pool_alloc(pool, need);
    if (!data)
        return neap_tls_no_memory(why);
    out->data = data;
    out->room = need;
    return 0;
}

int neap_tls_begin_message(struct tls *tls, enum tls_level level, enum handshake_type type, size_t room,
                           struct writer *w, struct failure *why)
{
    struct output *out = &tls->output[level];

    if (MESSAGE_HEADER + room > LIMIT_TLS_MESSAGE)
        return neap_fail(why, NEAP_ERR_LIMIT, "our handshake message would be above the limit");
    int rc = neap_tls_reserve(tls, level, MESSAGE_HEADER + room, why);
    if (rc)
        return rc;
    *w = writer_of(out->data + out->size, MESSAGE_HEADER + room);
    write_u8(w, (uint8_t)type);
    write_u24(w, 0);
    return 0;
}

int neap_tls_end_message(struct tls *tls, enum tls_level level, struct writer *w, struct failure *why)
{
    struct output *out = &tls->output[level];

    if (w->full)
        return neap_fail(why, NEAP_INTERNAL_ERROR, "handshake message larger than was reckoned");
    vector_close(w, w->start + 1, 3);
    struct span message = span_of(w->start, writer_size(w));
    if (!tls->schedule.started) {
        tls->first_hello = neap_tls_copy(tls, message);
        if (!tls->first_hello.data)
            return neap_tls_no_memory(why);
    } else if (level != TLS_APPLICATION) {
        neap_schedule_add(&tls->schedule, message);
    }
    out->size += message.size;
    return 0;
}

/* ---- secrets */

static int put_secret(struct tls *tls, const struct tls_secret *made, const uint8_t *secret,
                      struct failure *why)
{
    if (tls->secrets_count == SECRETS_QUEUED)
        return neap_fail(why, NEAP_INTERNAL_ERROR, "more secrets than a handshake has");
    struct tls_secret *s = &tls->secrets[tls->secrets_count++];

    *s = *made;
    s->size = crypto_hash_size(neap_suite_hash(s->suite));
    memcpy(s->secret, secret, s->size);
    return 0;
}

int neap_tls_put_secret(struct tls *tls, enum tls_level level, enum tls_direction direction,
                        const uint8_t *secret, struct failure *why)
{
    const struct tls_secret made = {.level = level, .direction = direction, .suite = tls->schedule.suite};

    return put_secret(tls, &made, secret, why);
}

bool neap_tls_next_secret(struct tls *tls, struct tls_secret *out)
{
    if (tls->secrets_taken == tls->secrets_count)
        return false;
    *out = tls->secrets[tls->secrets_taken];
    neap_wipe(&tls->secrets[tls->secrets_taken], sizeof *tls->secrets);
    tls->secrets_taken++;
    return true;
}

static char *append_hex(char *at, const uint8_t *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < size; i++) {
        *at++ = digits[bytes[i] >> 4];
        *at++ = digits[bytes[i] & 15];
    }
    return at;
}

/* One secret in NSS key log format, when somebody asked for it. */
static void log_secret_of(const struct tls *tls, enum crypto_hash hash, const char *label,
                          const uint8_t *secret)
{
    char line[sizeof "CLIENT_HANDSHAKE_TRAFFIC_SECRET" + 1 + 64 + 1 + 2 * CRYPTO_MAX_HASH + 1];
    size_t label_size = strlen(label);

    if (!tls->config->keylog)
        return;
    memcpy(line, label, label_size);
    char *at = line + label_size;
    *at++ = ' ';
    at = append_hex(at, tls->client_random, sizeof tls->client_random);
    *at++ = ' ';
    at = append_hex(at, secret, crypto_hash_size(hash));
    *at = '\0';
    tls->config->keylog(tls->config->keylog_context, line);
    neap_wipe(line, sizeof line);
}

static void log_secret(const struct tls *tls, const char *label, const uint8_t *secret)
{
    log_secret_of(tls, tls->schedule.hash, label, secret);
}

int neap_tls_early_keys(struct tls *tls, enum crypto_suite suite, struct span hello, struct failure *why)
{
    const struct tls_secret made = {
        .level = TLS_EARLY, .direction = tls->is_client ? TLS_WRITE : TLS_READ, .suite = suite};
    uint8_t secret[CRYPTO_MAX_HASH];

    neap_schedule_early(neap_suite_hash(suite), tls_psk(tls), hello, secret);
    log_secret_of(tls, neap_suite_hash(suite), "CLIENT_EARLY_TRAFFIC_SECRET", secret);
    int rc = put_secret(tls, &made, secret, why);
    neap_wipe(secret, sizeof secret);
    return rc;
}

int neap_tls_handshake_keys(struct tls *tls, struct span shared, struct failure *why)
{
    struct schedule *s = &tls->schedule;

    neap_schedule_handshake(s, tls->keyed ? tls_psk(tls) : (struct span){0}, shared);
    neap_tls_forget_psk(tls);
    log_secret(tls, "CLIENT_HANDSHAKE_TRAFFIC_SECRET", s->client_handshake);
    log_secret(tls, "SERVER_HANDSHAKE_TRAFFIC_SECRET", s->server_handshake);
    const uint8_t *ours = tls->is_client ? s->client_handshake : s->server_handshake;
    const uint8_t *theirs = tls->is_client ? s->server_handshake : s->client_handshake;
    int rc = neap_tls_put_secret(tls, TLS_HANDSHAKE, TLS_WRITE, ours, why);
    return rc ? rc : neap_tls_put_secret(tls, TLS_HANDSHAKE, TLS_READ, theirs, why);
}

void neap_tls_application_keys(struct tls *tls)
{
    struct schedule *s = &tls->schedule;

    neap_schedule_application(s);
    log_secret(tls, "CLIENT_TRAFFIC_SECRET_0", s->client_application);
    log_secret(tls, "SERVER_TRAFFIC_SECRET_0", s->server_application);
    if (!tls->config->keylog)
        return;
    uint8_t exporter[CRYPTO_MAX_HASH];
    neap_schedule_exporter(s, exporter);
    log_secret(tls, "EXPORTER_SECRET", exporter);
    neap_wipe(exporter, sizeof exporter);
}

/* ---- Finished (RFC 8446 §4.4.4) */

int neap_tls_write_finished(struct tls *tls, const uint8_t *traffic_secret, struct failure *why)
{
    uint8_t mac[CRYPTO_MAX_HASH];
    struct writer w;

    int rc = neap_tls_begin_message(tls, TLS_HANDSHAKE, FINISHED, sizeof mac, &w, why);
    if (rc)
        return rc;
    neap_schedule_finished(&tls->schedule, traffic_secret, mac);
    write_bytes(&w, mac, crypto_hash_size(tls->schedule.hash));
    return neap_tls_end_message(tls, TLS_HANDSHAKE, &w, why);
}

int neap_tls_check_finished(struct tls *tls, struct span message, const uint8_t *traffic_secret,
                            struct failure *why)
{
    uint8_t mac[CRYPTO_MAX_HASH];
    size_t size = crypto_hash_size(tls->schedule.hash);

    if (message.size != MESSAGE_HEADER + size)
        return neap_tls_alert(why, ALERT_DECODE_ERROR, "Finished of a wrong size");
    neap_schedule_finished(&tls->schedule, traffic_secret, mac);
    if (!neap_equal_constant_time(mac, message.data + MESSAGE_HEADER, size))
        return neap_tls_alert(why, ALERT_DECRYPT_ERROR, "Finished does not fit the handshake");
    neap_schedule_add(&tls->schedule, message);
    return 0;
}
