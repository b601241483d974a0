/* Datagrams in: to the connection that they name, to a new one, or answered without any. */
#include "quic/endpoint.h"
#include "quic/received.h"

/* The ClientHello may take several datagrams. Once it is there, it shows whether anything is to be signed. */
static void weigh_handshake(neap_endpoint *e, const neap_conn *c)
{
    struct handshake *h = c->handshake;

    if (!h || h->charge.cost == 0 || !neap_tls_is_keyed(h->tls))
        return;
    neap_admission_resumed(e->admission, &conn_path(c)->address.peer, &h->charge,
                           neap_crypto_handshake_cost(c->crypto) * MICROSECOND, e->now);
}

void neap_conn_charge(neap_conn *c, uint64_t work_before)
{
    uint64_t work = neap_crypto_work(c->crypto) - work_before;
    neap_endpoint *e = c->entry.endpoint;

    if (work > 0 && e && e->is_server)
        neap_admission_worked(e->admission, &conn_path(c)->address.peer,
                              config_option(e->config, OPTION_handshake_rate), work * MICROSECOND, c->now);
}

/* A datagram, and what follows it of its train for the same connection. Once they are over, it gets its turn to send. Returns how
 * many bytes they have. */
static size_t deliver(neap_endpoint *e, struct endpoint_entry *entry, neap_udp_datagram *d, size_t size,
                      const struct packet_header *h)
{
    neap_recv_info info = {.from = d->from, .to = d->to, .ecn = d->ecn};
    uint64_t work = neap_crypto_work(entry_conn(entry)->crypto);
    size_t taken = neap_conn_recv_train(entry_conn(entry), d->bytes, size, d->size, h, &info, e->now);

    neap_conn_charge(entry_conn(entry), work);
    weigh_handshake(e, entry_conn(entry));
    neap_endpoint_touch(e, entry_conn(entry));
    neap_endpoint_settle(e, entry);
    return taken;
}

/* The destination of a client that comes back from a Retry becomes our connection ID again: one of another length would not be
 * found in short headers. */
static enum neap_token check_token(neap_endpoint *e, const neap_udp_datagram *d, const neap_header *h,
                                   neap_cid *original)
{
    enum neap_token token = neap_check_token(e->config, h, &d->from, original);

    if (token == NEAP_TOKEN_NONE && neap_is_frame_token(span_of(h->token, h->token_size)))
        e->stats.tokens_refused++;
    return token == NEAP_TOKEN_RETRY &&
                   h->dcid.size != config_option(e->config, OPTION_source_connection_id_size)
               ? NEAP_TOKEN_INVALID
               : token;
}

static int accept_failed(neap_endpoint *e, int code, const char *why)
{
    e->stats.accept_failures++;
    TRACE(e->tracer, .kind = NEAP_TRACE_ACCEPT_FAILED, .now = e->now, .why = why);
    return code;
}

/* Ours of a new connection: the first, unless a Retry had it already, and the one that goes with a preferred address. */
static bool draw_ids(neap_endpoint *e, bool is_retried, neap_cid *scid, neap_cid *preferred)
{
    return (is_retried || neap_endpoint_new_cid(e, scid)) &&
           (!config_has_preferred(e->config) ||
            (neap_endpoint_new_cid(e, preferred) && !cid_equal(preferred, scid)));
}

/* A first Initial that does not even open leaves nothing behind, and takes no connection IDs: they were not shown. */
static int start(neap_endpoint *e, neap_udp_datagram *d, const neap_header *h, const neap_cid *original,
                 bool is_known)
{
    neap_recv_info info = {.from = d->from, .to = d->to, .ecn = d->ecn};
    neap_cid scid = h->dcid, preferred = {0};
    const char *why = NULL;
    uint64_t mark = neap_config_mark_cids(e->config);

    if (!draw_ids(e, original != NULL, &scid, &preferred))
        return accept_failed(e, NEAP_ERR_LIMIT, "no connection ID of this size is left");
    neap_conn *conn =
        neap_conn_new_server(e->config, h, &scid, &preferred, original, &d->to, &d->from, e->now, &why);
    if (!conn) {
        neap_config_give_cids_back(e->config, mark);
        return accept_failed(e, NEAP_ERR_NO_MEMORY, why);
    }
    if (is_known)
        neap_conn_set_validated(conn);
    conn->tracer = e->tracer;
    conn->handshake->early = &e->early;
    uint64_t work = neap_crypto_work(conn->crypto);
    neap_conn_recv(conn, d->bytes, d->size, &info, e->now);
    if (conn->counters.packets_received == 0) {
        neap_conn_free(conn);
        neap_config_give_cids_back(e->config, mark);
        e->stats.udp_datagrams_dropped++;
        return 0;
    }
    struct endpoint_entry *entry = neap_endpoint_add(e, conn);
    if (!entry)
        return accept_failed(e, NEAP_ERR_NO_MEMORY, "no memory for a connection");
    entry->first = neap_admission_hash(e->admission, cid_span(&h->dcid));
    if (original)
        neap_admission_spend(e->admission, entry->first, e->now);
    struct admission_charge charge =
        neap_admission_begun(e->admission, &d->from, config_option(e->config, OPTION_handshake_rate), e->now);
    if (conn->handshake)
        conn->handshake->charge = charge;
    neap_conn_charge(conn, work);
    weigh_handshake(e, conn);
    e->stats.accepted++;
    e->stats.tokens_accepted += is_known;
    neap_endpoint_touch(e, conn);
    neap_endpoint_settle(e, entry);
    return 0;
}

static int drop(neap_endpoint *e)
{
    e->stats.udp_datagrams_dropped++;
    return 0;
}

static bool has_memory_for(const neap_endpoint *e, uint64_t more)
{
    return conn_has_memory_for(e->pool, more, e->stats.half_open, 0);
}

/* Who is accepted gets to the end of its handshake: several that have each a part of the memory and wait for the rest
 * would all wait in vain. The last of it is for those that have their address. */
static enum admission_says ask_memory(neap_endpoint *e, bool validated)
{
    neap_time patience = config_option(e->config, OPTION_handshake_timeout) * NEAP_MILLISECOND;
    bool is_short = !has_memory_for(e, 1);

    if (!is_short)
        e->memory_short_at = 0;
    else if (e->memory_short_at == 0)
        e->memory_short_at = e->now;
    if (has_memory_for(e, validated ? 1 : LIMIT_HANDSHAKES_PROVED))
        return ADMISSION_BEGIN;
    /* Handshakes and short connections leave their memory to those that come again. Where nobody leaves for longer than
     * a handshake may take, waiting is of no use. */
    if (is_short && e->now - e->memory_short_at >= patience)
        return ADMISSION_REFUSE;
    return validated ? ADMISSION_LATER : ADMISSION_RETRY;
}

enum retry_policy { RETRY_AUTO, RETRY_ALWAYS, RETRY_NEVER }; /* the words of the option */

neap_arrival neap_endpoint_arrival(const neap_endpoint *e, const neap_udp_datagram *d, const neap_header *h)
{
    return (neap_arrival){.from = d->from,
                          .to = d->to,
                          .dcid = h->dcid,
                          .scid = h->scid,
                          .version = h->version,
                          .size = d->size,
                          .has_token = h->token_size > 0,
                          .half_open = e->stats.half_open,
                          .connections = e->stats.connections};
}

/* What the application says of a first packet whose sender has not proved its address. */
static enum neap_admit ask_application(neap_endpoint *e, const neap_udp_datagram *d, const neap_header *h)
{
    if (!e->admit)
        return NEAP_ADMIT_BY_OPTIONS;
    const neap_arrival arrival = neap_endpoint_arrival(e, d, h);
    return e->admit(e->admit_context, &arrival);
}

/* Whether Retry is asked for where nothing else stands against the client. */
static bool must_retry(const neap_endpoint *e, enum neap_admit admit)
{
    enum retry_policy policy = (enum retry_policy)config_option(e->config, OPTION_retry);

    if (admit != NEAP_ADMIT_BY_OPTIONS)
        return admit == NEAP_ADMIT_RETRY;
    return policy == RETRY_ALWAYS ||
           (policy == RETRY_AUTO && e->stats.half_open >= config_option(e->config, OPTION_retry_above));
}

/* `told`: what the application has said about it; NULL: it was not asked yet. */
static enum admission_says ask(neap_endpoint *e, const neap_udp_datagram *d, const neap_header *h,
                               bool validated, const enum neap_admit *told)
{
    if (e->refuses || e->stats.connections >= config_option(e->config, OPTION_max_connections))
        return ADMISSION_REFUSE;
    enum admission_says says =
        neap_admission_ask(e->admission, &d->from, validated, config_option(e->config, OPTION_handshake_rate),
                           e->stats.half_open, e->now);
    if (validated || says == ADMISSION_REFUSE)
        return says == ADMISSION_BEGIN ? ask_memory(e, validated) : says;
    enum neap_admit admit = told ? *told : ask_application(e, d, h);
    if (admit == NEAP_ADMIT_REFUSE)
        return ADMISSION_REFUSE;
    /* Who has to prove its address anyway need not wait for that. */
    if (admit == NEAP_ADMIT_WAIT && says == ADMISSION_BEGIN)
        return ADMISSION_WAIT;
    if (says == ADMISSION_BEGIN)
        says = must_retry(e, admit) ? ADMISSION_RETRY : ask_memory(e, false);
    /* Without Retry nobody can prove an address: it comes again, when there is room. */
    bool is_never = config_option(e->config, OPTION_retry) == RETRY_NEVER && admit != NEAP_ADMIT_RETRY;
    return says == ADMISSION_RETRY && is_never ? ADMISSION_LATER : says;
}

/* RFC 9000 §5.2.2, §8.1.2. */
static int accept_initial(neap_endpoint *e, neap_udp_datagram *d, const neap_header *h,
                          const enum neap_admit *told)
{
    neap_cid original;
    /* Those that have proved their address have not waited. */
    enum neap_token token = told ? NEAP_TOKEN_NONE : check_token(e, d, h, &original);

    /* RFC 9000 §7.2: only one that we gave, in a Retry, may be shorter. */
    if (h->dcid.size < LIMIT_MIN_CLIENT_DCID && (token == NEAP_TOKEN_NONE || token == NEAP_TOKEN_ADDRESS))
        return drop(e);
    if (neap_admission_is_spent(e->admission, neap_admission_hash(e->admission, cid_span(&h->dcid)),
                                e->now)) {
        e->stats.first_packets_repeated++;
        return drop(e);
    }
    if (token == NEAP_TOKEN_INVALID) {
        /* Where it was changed on its way, the client's next packet has the right one. */
        if (!neap_initial_is_whole(e->config, d->bytes, d->size))
            return drop(e);
        neap_endpoint_answer_refusal(e, d, h, NEAP_INVALID_TOKEN);
        return 0;
    }
    enum admission_says says = ask(e, d, h, token != NEAP_TOKEN_NONE, told);
    /* It is used up where it lets somebody in, not where the client has to come again. */
    if (says == ADMISSION_BEGIN && token == NEAP_TOKEN_ADDRESS && !neap_use_token(e->config, h)) {
        e->stats.tokens_refused++;
        token = NEAP_TOKEN_NONE;
        says = ask(e, d, h, false, told);
    }
    switch (says) {
    case ADMISSION_BEGIN:
        return start(e, d, h, token == NEAP_TOKEN_RETRY ? &original : NULL, token == NEAP_TOKEN_ADDRESS);
    case ADMISSION_RETRY: neap_endpoint_answer_retry(e, d, h); return 0;
    case ADMISSION_LATER: e->stats.handshakes_delayed++; return drop(e);
    case ADMISSION_REFUSE: neap_endpoint_answer_refusal(e, d, h, NEAP_CONNECTION_REFUSED); return 0;
    case ADMISSION_WAIT:
        if (!neap_endpoint_keep_first(e, d, h))
            neap_endpoint_answer_retry(e, d, h);
        return 0;
    }
    return 0;
}

/* RFC 9000 §10.3.1: what belongs to nobody may be the last word of somebody's peer, whatever it looks like. */
static bool take_reset(neap_endpoint *e, const neap_udp_datagram *d)
{
    struct endpoint_entry *entry =
        d->size < RESET_LEAST ? NULL : neap_endpoint_find_reset(e, d->bytes + d->size - RESET_TOKEN_SIZE);

    if (!entry)
        return false;
    entry_conn(entry)->now = e->now;
    neap_conn_reset(entry_conn(entry));
    neap_endpoint_touch(e, entry_conn(entry));
    neap_endpoint_settle(e, entry);
    return true;
}

/* Nobody's packet, but it can be read. */
static int take_unknown(neap_endpoint *e, neap_udp_datagram *d, const struct packet_header *h)
{
    bool is_first = h->type == NEAP_PACKET_INITIAL && d->size >= NEAP_MIN_UDP_PAYLOAD;

    if (e->arrival_count > 0 && (is_first || h->type == NEAP_PACKET_0RTT) &&
        neap_endpoint_keep_more(e, d, h->dcid))
        return 0;
    if (is_first && e->is_server) {
        neap_header header = public_header(h);

        return accept_initial(e, d, &header, NULL);
    }
    if (h->type == NEAP_PACKET_SHORT && e->is_server)
        neap_endpoint_answer_reset(e, d, h->dcid);
    e->stats.udp_datagrams_dropped++;
    return 0;
}

/* Whether it is of a version that is known, but not spoken here. */
static bool is_declined(const neap_endpoint *e, const struct packet_header *h)
{
    return h->version != 0 && !neap_config_has_version(e->config, h->version);
}

/* Nobody's. */
static int take_stray(neap_endpoint *e, neap_udp_datagram *d, const struct packet_header *h, int parsed)
{
    if (take_reset(e, d))
        return 0;
    if (parsed == 0 && header_lacks_fixed_bit(d->bytes[0], config_fixed_bit(e->config)))
        return drop(e);
    if (parsed == 0 && is_declined(e, h))
        parsed = NEAP_ERR_UNKNOWN_VERSION;
    if (parsed == 0)
        return take_unknown(e, d, h);
    /* RFC 9000 §5.2.2, §6.1: only what is large enough for a first packet is answered. */
    if (parsed == NEAP_ERR_UNKNOWN_VERSION && e->is_server && d->size >= NEAP_MIN_UDP_PAYLOAD)
        neap_endpoint_answer_version(e, d, h);
    else
        e->stats.udp_datagrams_dropped++;
    return 0;
}

void neap_endpoint_retake(neap_endpoint *e, neap_udp_datagram *d, const enum neap_admit *says)
{
    struct packet_header h;

    if (neap_packet_header_parse(span_of(d->bytes, d->size), 0, &h)) {
        drop(e);
        return;
    }
    struct endpoint_entry *entry = neap_endpoint_find(e, h.dcid);
    neap_header header = public_header(&h);
    if (entry)
        deliver(e, entry, d, d->size, &h);
    else if (says)
        accept_initial(e, d, &header, says);
    else
        drop(e);
}

int neap_endpoint_recv(neap_endpoint *endpoint, neap_udp_datagram *datagram, neap_time now)
{
    neap_endpoint *e = endpoint;
    size_t cid_size = (size_t)config_option(e->config, OPTION_source_connection_id_size);
    size_t segment = datagram->segment_size ? datagram->segment_size : datagram->size;
    neap_udp_datagram d = *datagram;
    size_t at = 0;
    int result = 0;

    e->now = now;
    neap_endpoint_approach(e, datagram->bytes);
    do {
        size_t left = datagram->size - at, taken = left < segment ? left : segment;
        struct packet_header h;

        d.bytes = datagram->bytes + at;
        d.size = taken;
        int parsed = neap_packet_header_parse(span_of(d.bytes, d.size), cid_size, &h);
        struct endpoint_entry *entry = parsed ? NULL : neap_endpoint_find(e, h.dcid);
        if (entry)
            taken = deliver(e, entry, &d, left, &h);
        int rc = entry ? 0 : take_stray(e, &d, &h, parsed);
        if (rc)
            result = rc;
        e->stats.udp_datagrams_received += segment ? (taken + segment - 1) / segment : 1;
        at += taken;
    } while (at < datagram->size);
    return result;
}
