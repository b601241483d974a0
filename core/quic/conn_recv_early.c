/* What a client may be answered before there is a connection: Retry and version negotiation (RFC 9000 §6, §17.2.5). */
#include "quic/conn_token.h"
#include "quic/conn_trace.h"
#include "quic/received.h"

/* Both are the first answer or none: anything else that opened before them makes them old or forged. */
static bool is_first_answer(const neap_conn *c)
{
    return !c->is_server && c->handshake && !c->handshake->retried && c->counters.packets_received == 0;
}

static bool is_for_us(const neap_conn *c, const struct packet_header *h)
{
    return span_equal(h->dcid, cid_span(&c->handshake->source_cid));
}

static bool tag_fits(neap_conn *c, const struct packet_header *h, struct span packet)
{
    struct span without_tag = span_of(packet.data, packet.size - CRYPTO_TAG);
    uint8_t tag[CRYPTO_TAG];

    return neap_retry_tag(c->crypto, c->labels, cid_span(&c->original_dcid), without_tag, tag) == 0 &&
           neap_equal_constant_time(tag, h->retry_tag.data, sizeof tag);
}

/* The first Initial goes again with the token, under new keys; packet numbers go on (RFC 9000 §17.2.5.3). */
static bool begin_again(neap_conn *c, const struct packet_header *h)
{
    struct handshake *hs = c->handshake;
    uint8_t *token = neap_pool_alloc(c->pool, h->token.size);

    if (!token)
        return false;
    memcpy(token, h->token.data, h->token.size);
    neap_conn_end_token(c, true); /* RFC 9000 §8.1.3: from here on this one */
    hs->token = token;
    hs->token_size = h->token.size;
    hs->retried = true;
    c->is_unreachable = false;
    hs->retry_scid = cid_of(h->scid);
    neap_peer_cids_replace_first(&c->peer_cids, &hs->retry_scid);
    neap_conn_set_initial_keys(c, &hs->retry_scid);
    neap_recovery_on_retry(&c->recovery, c->now);
    neap_conn_take_fates(c, SPACE_INITIAL);
    if (hs->sends_early) /* what was sent early goes early again (RFC 9000 §17.2.3) */
        neap_conn_take_fates(c, SPACE_APPLICATION);
    neap_send_buffer_lose_all(&hs->spaces[SPACE_INITIAL].crypto->send, c->pool);
    return true;
}

void neap_conn_on_retry(neap_conn *c, const struct packet_header *h, struct span packet)
{
    const char *wrong = NULL;

    if (!is_first_answer(c) || !is_for_us(c, h) || h->version != c->version->number)
        wrong = "not the first answer";
    else if (h->token.size == 0 || h->token.size > LIMIT_TOKEN)
        wrong = "the token is empty or too long";
    else if (span_equal(h->scid, cid_span(&c->original_dcid)))
        wrong = "a Retry that changes nothing";
    else if (!tag_fits(c, h, packet))
        wrong = "the Retry's tag does not fit";
    else if (!begin_again(c, h))
        wrong = "no memory for the token";
    if (wrong)
        neap_conn_dropped(c, NEAP_PACKET_RETRY, packet.size, wrong);
}

void neap_conn_on_version_negotiation(neap_conn *c, const struct packet_header *h)
{
    const char *wrong = NULL;

    /* One that lists what we sent is not an answer to that (RFC 9368 §4), nor is one to an attempt that another led to. */
    if (!is_first_answer(c) || !is_for_us(c, h) || !span_equal(h->scid, cid_span(&c->original_dcid)) ||
        h->versions.size == 0 || c->handshake->is_second_flight ||
        neap_version_is_listed(h->versions, c->version->number))
        wrong = "not an answer to us";
    else if (!neap_version_choose(c->config->versions, c->config->version_count, h->versions))
        neap_conn_vanish(c, NEAP_CLOSE_VERSION, "the server speaks no version of ours");
    else
        neap_conn_begin_anew(c, h->versions, &wrong);
    if (wrong)
        neap_conn_dropped(c, NEAP_PACKET_VERSION_NEGOTIATION, h->versions.size, wrong);
    else if (conn_is_traced(c))
        neap_conn_trace_versions(c, h->versions);
}
