/* Questions to the application, for which a handshake stands still: what is asked, and its answers. */
#include "base/pool.h"
#include "tls/state.h"

int neap_tls_ask(struct tls *tls, enum neap_question_kind kind, tls_step step, struct failure *why)
{
    if (!tls->asking)
        tls->asking = neap_pool_alloc(tls->config->pool, sizeof *tls->asking);
    if (!tls->asking)
        return neap_tls_no_memory(why);
    tls->asking->kind = kind;
    tls->asking->step = step;
    tls->asking->reloads = tls->config->reloads;
    tls->asking->id++;
    tls->state = WAIT_ANSWER;
    return TLS_ASKED;
}

int neap_tls_ask_peer(struct tls *tls, tls_step step, struct failure *why)
{
    bool is_said = tls->asking && tls->asking->has_peer;

    return tls_may_ask(tls, NEAP_ASK_PEER) && !is_said ? neap_tls_ask(tls, NEAP_ASK_PEER, step, why) : 0;
}

int neap_tls_ask_resumed(struct tls *tls, tls_step step, struct failure *why)
{
    return tls->resumed && tls->peer ? neap_tls_ask_peer(tls, step, why) : 0;
}

void neap_tls_end_asking(struct tls *tls)
{
    if (!tls->asking)
        return;
    neap_tls_drop(tls, &tls->asking->hello);
    neap_identity_free(tls->asking->identity);
    neap_pool_free_secret(tls->config->pool, tls->asking, sizeof *tls->asking);
    tls->asking = NULL;
}

uint64_t neap_tls_asking(const struct tls *tls)
{
    return tls->state == WAIT_ANSWER && tls->asking && tls->asking->kind != NEAP_ASK_NOTHING ? tls->asking->id
                                                                                             : 0;
}

bool neap_tls_question(const struct tls *tls, neap_question *out)
{
    const struct asking *a = tls->asking;
    struct span bytes = {0}, certificate = {0};

    if (!neap_tls_asking(tls))
        return false;
    *out = (neap_question){.kind = a->kind, .id = a->id, .server_name = tls->server_name};
    switch (a->kind) {
    case NEAP_ASK_NOTHING: break;
    case NEAP_ASK_SIGNATURE:
        bytes = span_of(a->content, a->content_size);
        certificate = neap_identity_chain(tls->identity, 0);
        out->scheme = tls->scheme;
        out->digest_size = neap_scheme_digest(tls->scheme, bytes, out->digest);
        break;
    case NEAP_ASK_PSK: bytes = psk_identity(&a->psks[a->psk_count]); break;
    case NEAP_ASK_CERTIFICATE: bytes = a->schemes; break;
    case NEAP_ASK_PEER:
        certificate = neap_tls_peer_certificate(tls, 0);
        out->is_verified = tls->is_vouched_for;
        out->is_resumed = tls->resumed;
        break;
    }
    out->bytes = bytes.data;
    out->size = bytes.size;
    out->certificate = certificate.data;
    out->certificate_size = certificate.size;
    return true;
}

bool neap_tls_asks(const struct tls *tls, enum neap_question_kind kind, uint64_t id)
{
    return id != 0 && neap_tls_asking(tls) == id && tls->asking->kind == kind;
}

int neap_tls_answer_signature(struct tls *tls, struct span signature, struct failure *why)
{
    memcpy(tls->asking->signature.bytes, signature.data, signature.size);
    tls->asking->signature.size = signature.size;
    return neap_tls_go_on(tls, why);
}

int neap_tls_answer_psk(struct tls *tls, const struct psk_key *key, struct failure *why)
{
    struct asking *a = tls->asking;

    if (key)
        a->psks[a->psk_count].key = *key;
    a->psk_count++;
    return neap_tls_go_on(tls, why);
}

int neap_tls_ask_psk(struct tls *tls, struct span identity, tls_step step, const struct psk **out,
                     struct failure *why)
{
    struct asking *a = tls->asking;

    *out = NULL;
    for (size_t i = 0; a && i < a->psk_count; i++) {
        if (!span_equal(psk_identity(&a->psks[i]), identity))
            continue;
        *out = a->psks[i].key.size > 0 ? &a->psks[i] : NULL;
        return 0;
    }
    if (a && a->psk_count == LIMIT_PSKS_ASKED)
        return 0;
    int rc = neap_tls_ask(tls, NEAP_ASK_PSK, step, why);
    if (rc == TLS_ASKED) {
        struct psk *psk = &tls->asking->psks[tls->asking->psk_count];

        psk->identity_size = (uint8_t)identity.size;
        memcpy(psk->identity, identity.data, identity.size);
    }
    return rc;
}

/* For certificate_ttl, or until it is over before that. */
static void remember(const struct tls *tls, struct identity *identity)
{
    int64_t until = tls->wall_clock + tls->config->certificate_ttl, end = neap_identity_end(identity);

    neap_identity_set_remember(tls->config->identities, tls->server_name, identity, tls->wall_clock,
                               end < until ? end : until);
}

int neap_tls_answer_certificate(struct tls *tls, struct identity *identity, struct failure *why)
{
    tls->asking->identity = identity;
    tls->asking->has_identity = true;
    if (identity && tls->config->identities && tls->asking->reloads == tls->config->reloads)
        remember(tls, identity);
    return neap_tls_go_on(tls, why);
}

int neap_tls_answer_peer(struct tls *tls, struct failure *why)
{
    tls->asking->has_peer = true;
    return neap_tls_go_on(tls, why);
}
