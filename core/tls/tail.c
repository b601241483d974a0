/* What may come after the handshake: tickets to a client, and nothing else in QUIC (RFC 9001 §4.4, §4.6.1, §6). */
#include "base/pool.h"
#include "base/reader.h"
#include "tls/extensions.h"
#include "tls/state.h"

/* What a client has to know to send early with them. */
struct remembered {
    uint64_t taker; /* our number in the store */
    uint64_t limits[SESSION_LIMITS];
    uint16_t size;
    uint8_t data[LIMIT_SESSION_DATA];
};

/* What a client's tickets belong to. */
struct ticket_taker {
    struct session_store *store;
    enum crypto_suite suite;
    uint16_t port;
    uint32_t version;
    int64_t good_until;
    uint8_t binding[32];
    uint8_t resumption[CRYPTO_MAX_HASH]; /* the master secret of that name */
    uint8_t left; /* so many more are kept: no server needs to give more than there is room for */
    uint8_t alpn_size, name_size, psk_identity_size;
    uint16_t certificate_size;
    struct remembered *remembered; /* NULL: its sessions do not allow early data */
    uint8_t names[]; /* the protocol, the server's name, the external key's identity, the server's leaf */
};

static size_t taker_size(const struct ticket_taker *taker)
{
    return sizeof *taker + taker->alpn_size + taker->name_size + taker->psk_identity_size +
           taker->certificate_size;
}

static struct span take_names(const uint8_t **at, size_t size)
{
    struct span names = span_of(*at, size);

    *at += size;
    return names;
}

static void keep_names(uint8_t **at, struct span names)
{
    if (names.size)
        memcpy(*at, names.data, names.size);
    *at += names.size;
}

void neap_tls_begin_taking(struct tls *tls)
{
    const struct tls_config *config = tls->config;
    struct span name = span_of_string(tls->server_name), leaf = {0};
    uint8_t binding[32];

    if (!config->resumption || !config->store || name.size == 0 || !time_is_known(tls->wall_clock))
        return;
    if (tls_may_ask(tls, NEAP_ASK_PEER)) /* it is asked again when the session is resumed */
        leaf = neap_tls_peer_certificate(tls, 0);
    if (leaf.size > LIMIT_TICKET_CERTIFICATE)
        return;
    /* Roots that were added meanwhile did not vouch for it, or did alone; certificates of ours were not shown. */
    neap_client_binding(config, binding);
    if (tls->psk_identity.size == 0 && memcmp(binding, tls->binding, sizeof binding) != 0)
        return;
    struct ticket_taker *taker = neap_pool_alloc_lasting(
        config->pool, sizeof *taker + tls->alpn_size + name.size + tls->psk_identity.size + leaf.size);
    if (!taker)
        return;
    taker->store = config->store;
    taker->suite = tls->schedule.suite;
    taker->port = tls->port;
    taker->version = tls->version;
    taker->good_until = tls->good_until;
    memcpy(taker->binding, tls->binding, sizeof taker->binding);
    neap_schedule_resumption(&tls->schedule, (struct span){0}, taker->resumption);
    taker->left = LIMIT_SESSIONS_SERVER;
    taker->alpn_size = tls->alpn_size;
    taker->name_size = (uint8_t)name.size;
    taker->psk_identity_size = (uint8_t)tls->psk_identity.size;
    taker->certificate_size = (uint16_t)leaf.size;
    uint8_t *at = taker->names;
    keep_names(&at, span_of(tls->alpn, tls->alpn_size));
    keep_names(&at, name);
    keep_names(&at, tls->psk_identity);
    keep_names(&at, leaf);
    tls->tail.taker = taker;
}

void neap_tls_tail_remember(struct tls_tail *tail, struct pool *pool, const uint64_t limits[SESSION_LIMITS])
{
    struct ticket_taker *taker = tail->taker;
    struct remembered *remembered =
        taker && !taker->remembered ? neap_pool_alloc_lasting(pool, sizeof *remembered) : NULL;

    if (!remembered)
        return;
    remembered->taker = ++taker->store->takers;
    memcpy(remembered->limits, limits, sizeof remembered->limits);
    taker->remembered = remembered;
}

bool neap_tls_tail_set_data(struct tls_tail *tail, struct span data)
{
    struct remembered *remembered = tail->taker ? tail->taker->remembered : NULL;

    if (!remembered || data.size > sizeof remembered->data)
        return false;
    if (data.size)
        memcpy(remembered->data, data.data, data.size);
    remembered->size = (uint16_t)data.size;
    neap_sessions_set_data(tail->taker->store, remembered->taker, data);
    return true;
}

struct ticket {
    uint32_t lifetime, age_add;
    struct span nonce, ticket;
    bool allows_early;
};

/* NewSessionTicket (RFC 8446 §4.6.1). 0xffffffff says that 0-RTT is allowed; QUIC has limits of its own. */
static int read_ticket(struct span body, struct ticket *out, struct failure *why)
{
    struct reader r = reader_of(body);
    struct extensions ext;

    out->lifetime = read_u32(&r);
    out->age_add = read_u32(&r);
    out->nonce = read_vector(&r, 1);
    out->ticket = read_vector(&r, 2);
    struct span block = read_vector(&r, 2);
    if (r.bad || reader_left(&r) > 0 || out->ticket.size == 0)
        return neap_tls_alert(why, ALERT_DECODE_ERROR, "NewSessionTicket of a wrong form");
    int rc = neap_extensions_parse(block, IN_TICKET, 0, &ext, why);
    out->allows_early = rc == 0 && extension_present(&ext, EXT_EARLY_DATA);
    if (rc || !extension_present(&ext, EXT_EARLY_DATA))
        return rc;
    r = reader_of(ext.data[EXT_EARLY_DATA]);
    uint32_t most = read_u32(&r);
    if (r.bad || reader_left(&r) > 0)
        return neap_tls_alert(why, ALERT_DECODE_ERROR, "early_data of a wrong form");
    if (most != UINT32_MAX)
        return neap_fail(why, NEAP_PROTOCOL_VIOLATION, "max_early_data_size other than 0xffffffff");
    return 0;
}

/* One that is too large, or for which there is no memory, is let go: the next handshake is a full one then. */
static void keep_ticket(const struct tls_tail *tail, struct pool *pool, const struct ticket *ticket,
                        int64_t wall_clock)
{
    struct ticket_taker *taker = tail->taker;
    enum crypto_hash hash = neap_suite_hash(taker->suite);
    const uint8_t *at = taker->names;
    uint8_t psk[CRYPTO_MAX_HASH];

    if (ticket->lifetime == 0 || ticket->ticket.size > LIMIT_TICKET || taker->left == 0 ||
        !time_is_known(wall_clock))
        return;
    taker->left--;
    neap_resumption_psk(hash, taker->resumption, ticket->nonce, psk);
    struct session session = {
        .suite = (uint16_t)taker->suite,
        .version = taker->version,
        .issued = wall_clock,
        .lifetime = ticket->lifetime < SESSION_AGE_MOST ? ticket->lifetime : SESSION_AGE_MOST,
        .good_until = taker->good_until,
        .age_add = ticket->age_add,
        .rtt = tail->rtt,
        .psk = span_of(psk, crypto_hash_size(hash)),
        .ticket = ticket->ticket,
        .allows_early = ticket->allows_early && taker->remembered,
    };
    session.alpn = take_names(&at, taker->alpn_size);
    session.server_name = take_names(&at, taker->name_size);
    session.psk_identity = take_names(&at, taker->psk_identity_size);
    session.peer_certificate = take_names(&at, taker->certificate_size);
    if (session.allows_early) {
        memcpy(session.limits, taker->remembered->limits, sizeof session.limits);
        session.data = span_of(taker->remembered->data, taker->remembered->size);
    }
    memcpy(session.binding, taker->binding, sizeof session.binding);
    size_t size = neap_session_size(&session);
    uint8_t *bytes = neap_pool_alloc_unset(pool, size);
    if (bytes) {
        struct writer w = writer_of(bytes, size);

        neap_session_write(&w, &session);
        neap_sessions_put(taker->store, session.server_name, taker->port, span_of(bytes, size), false,
                          taker->remembered ? taker->remembered->taker : 0);
        neap_pool_free_secret(pool, bytes, size);
    }
    neap_wipe(psk, sizeof psk);
}

static int check_type(const struct tls_tail *tail, uint8_t type, struct failure *why)
{
    if (tail->is_client && type == NEW_SESSION_TICKET)
        return 0;
    if (tail->is_client && type == CERTIFICATE_REQUEST)
        return neap_fail(why, NEAP_PROTOCOL_VIOLATION, "CertificateRequest after the handshake");
    return neap_tls_alert(why, ALERT_UNEXPECTED_MESSAGE,
                          "TLS message that QUIC does not allow after the handshake");
}

int neap_tls_tail_receive(struct tls_tail *tail, struct pool *pool, struct span *bytes, int64_t wall_clock,
                          struct failure *why)
{
    struct span message;
    struct ticket ticket;
    int rc = 0;

    while (rc == 0 && bytes->size > 0) {
        if (tail->assembly.size == 0) {
            rc = check_type(tail, bytes->data[0], why);
            if (rc)
                break;
        }
        rc = neap_assembly_next(&tail->assembly, pool, LIMIT_TLS_MESSAGE, bytes, &message, why);
        if (rc != 1)
            break;
        rc = read_ticket(span_of(message.data + MESSAGE_HEADER, message.size - MESSAGE_HEADER), &ticket, why);
        if (rc == 0 && tail->taker)
            keep_ticket(tail, pool, &ticket, wall_clock);
        neap_assembly_done(&tail->assembly, pool);
    }
    return rc;
}

void neap_tls_tail_free(struct tls_tail *tail, struct pool *pool)
{
    neap_assembly_done(&tail->assembly, pool);
    if (tail->taker) {
        neap_pool_free(pool, tail->taker->remembered, sizeof *tail->taker->remembered);
        neap_pool_free_secret(pool, tail->taker, taker_size(tail->taker));
    }
    tail->taker = NULL;
}
