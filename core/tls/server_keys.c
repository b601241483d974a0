/* Which pre-shared key of a ClientHello a server takes (RFC 8446 §4.2.11): of a session, or an external one. */
#include "tls/choice.h"

/* A suite with the hash of a key: the one that was chosen, or the first that both have. False: there is none. */
static bool choose_suite_for(const struct tls *tls, const struct client_hello *hello, enum crypto_hash hash,
                             struct choice *choice)
{
    uint16_t suite;

    if (neap_suite_hash((enum crypto_suite)choice->suite) == hash)
        return true;
    for (size_t i = 0; !tls->retried && (suite = neap_tls_preferred_suite(tls->config, i)) != 0; i++) {
        if (neap_suite_hash((enum crypto_suite)suite) != hash || !neap_hello_lists(hello->suites, suite))
            continue;
        choice->suite = suite;
        return true;
    }
    return false;
}

bool neap_server_takes_early(const struct tls_config *config)
{
    return config->early_data && config->strike &&
           (config->client_certificate == DEMAND_NONE || !(config->asks & NEAP_ASK_PEER));
}

void neap_session_binding(const struct tls_config *config, const struct identity *identity, uint8_t out[32])
{
    uint8_t all[1 + 32 + 32] = {(uint8_t)config->client_certificate};

    memcpy(out, neap_identity_digest(identity), 32);
    if (config->client_certificate == DEMAND_NONE)
        return;
    memcpy(all + 1, out, 32);
    neap_trust_fingerprint(config->client_trust, true, STAPLE_IGNORED, all + 1 + 32);
    neap_hash(HASH_SHA256, span_of(all, sizeof all), out);
}

static bool is_same_server(const struct tls *tls, const struct client_hello *hello,
                           const struct choice *choice, const struct session *session)
{
    uint8_t binding[32];

    if (choice->external.size > 0) /* the key by which it was made, as it is now */
        neap_psk_binding(&choice->external, session->psk_identity, binding);
    else if (choice->identity)
        neap_session_binding(tls->config, choice->identity, binding);
    else
        return false;
    /* Of the version that the client began with: it may not begin one with a ticket of another (RFC 9369 §5). */
    return session->version == tls->original_version && span_equal(session->alpn, choice->protocol) &&
           span_equal(session->server_name, hello->server_name) &&
           memcmp(session->binding, binding, sizeof binding) == 0 &&
           session->psk.size == crypto_hash_size(neap_suite_hash((enum crypto_suite)choice->suite));
}

#define EARLY_WINDOW 10000 /* ms that the client's idea of a ticket's age may be off (RFC 8446 §8.3) */

/* RFC 8446 §8.3: whether the ClientHello was made just now, by the age that the client says its ticket has. *expires is the
 * first second in which no copy of it is that recent, so it is always in the future for one that is. */
static bool is_recent(const struct tls *tls, const struct session *session, const struct offered_psk *psk,
                      int64_t *expires)
{
    int64_t said = (int64_t)(uint32_t)(psk->obfuscated_age - session->age_add);
    int64_t age = (tls->wall_clock - session->issued) * 1000;

    *expires = session->issued + (said + EARLY_WINDOW) / 1000 + 1;
    return said - age <= EARLY_WINDOW && age - said <= EARLY_WINDOW;
}

/* What the client was told may have grown since, and not become less (RFC 9000 §7.4.1). */
static bool keeps_limits(const struct tls *tls, const struct session *session)
{
    const struct tls_config *config = tls->config;

    for (size_t i = 0; i < SESSION_LIMITS; i++)
        if (tls->limits[i] < session->limits[i])
            return false;
    return span_equal(session->data, span_of(config->session_data, config->session_data_size));
}

/* RFC 8446 §4.2.10: with the first key alone, and where everything is as it was. Server, protocol, version and certificate
 * were looked at before. */
static void choose_early(const struct tls *tls, const struct client_hello *hello,
                         const struct session *session, const struct offered_psk *psk, struct choice *choice)
{
    choice->may_take_early = neap_server_takes_early(tls->config) &&
                             extension_present(&hello->ext, EXT_EARLY_DATA) && choice->psk_index == 0 &&
                             session->allows_early && session->suite == choice->suite && choice->share.data &&
                             !tls->retried && keeps_limits(tls, session) &&
                             is_recent(tls, session, psk, &choice->early_expires);
}

/* The external key of an identity, of which the config knows more than the application: 0 and key.size 0 when there is none;
 * or what neap_tls_ask says. */
static int find_psk(struct tls *tls, struct span identity, struct psk_key *key, struct failure *why)
{
    const struct psk *psk = tls->config->psks ? neap_psks_find(tls->config->psks, identity) : NULL;
    int rc = 0;

    if (!psk && tls_may_ask(tls, NEAP_ASK_PSK))
        rc = neap_tls_ask_psk(tls, identity, neap_server_on_hello_again, &psk, why);
    *key = psk ? psk->key : (struct psk_key){0};
    return rc;
}

/* One of our tickets, of the same server. One that goes back to an external key is good as long as that key is: the
 * identity is looked up again, so that who is struck off comes in by no ticket either. 0 when there is none. */
static int try_session(struct tls *tls, const struct client_hello *hello, const struct offered_psk *psk,
                       uint16_t index, struct choice *choice, struct failure *why)
{
    const struct tls_config *config = tls->config;
    struct session session;
    int rc = 0;

    if (!config->resumption ||
        !neap_ticket_open(config->crypto, &config->tickets, psk->identity, config->ticket_lifetime,
                          tls->wall_clock, choice->room, &session))
        return 0;
    if (session.psk_identity.size > 0)
        rc = find_psk(tls, session.psk_identity, &choice->external, why);
    bool is_lost = session.psk_identity.size > 0 && choice->external.size == 0;
    if (!rc && !is_lost && is_same_server(tls, hello, choice, &session)) {
        choice->psk_index = index;
        choice->session = session;
        choice->binder = psk->binder;
        choose_early(tls, hello, &session, psk, choice);
    }
    neap_wipe(&choice->external, sizeof choice->external);
    return rc;
}

/* A key that both sides were given, and a suite that it fits. 0 when there is none. */
static int try_external(struct tls *tls, const struct client_hello *hello, const struct offered_psk *psk,
                        uint16_t index, struct choice *choice, struct failure *why)
{
    if (psk->identity.size > LIMIT_PSK_IDENTITY)
        return 0;
    int rc = find_psk(tls, psk->identity, &choice->external, why);
    if (rc || choice->external.size == 0 || !choose_suite_for(tls, hello, choice->external.hash, choice)) {
        neap_wipe(&choice->external, sizeof choice->external);
        return rc;
    }
    choice->psk_index = index;
    choice->binder = psk->binder;
    choice->psk_identity = psk->identity;
    return 0;
}

/* Who has no certificate to fall back to takes an unknown identity for a known one with another key: so nobody learns
 * which identities there are (RFC 8446 appendix E.6). */
static void pretend(struct tls *tls, const struct client_hello *hello, struct choice *choice)
{
    struct offered_psk psk;

    for (uint16_t i = 0; i < LIMIT_TICKETS_TRIED && neap_hello_psk(hello, i, &psk); i++) {
        if (psk.identity.size > LIMIT_PSK_IDENTITY)
            continue;
        choice->external.hash = neap_suite_hash((enum crypto_suite)choice->suite);
        choice->external.size = 32;
        neap_random_bytes(neap_crypto_random(tls->config->crypto), choice->external.bytes, 32);
        choice->psk_index = i;
        choice->binder = psk.binder;
        return;
    }
}

/* The first key of the client's that is one here. No ticket makes a handshake worse than a full one. */
int neap_choose_psk(struct tls *tls, const struct client_hello *hello, struct choice *choice,
                    struct failure *why)
{
    struct offered_psk psk;
    int rc = 0;

    if (!hello->takes_psk_dhe)
        return 0;
    for (uint16_t i = 0;
         !rc && !choice_has_key(choice) && i < LIMIT_TICKETS_TRIED && neap_hello_psk(hello, i, &psk); i++) {
        rc = try_session(tls, hello, &psk, i, choice, why);
        if (!rc && !choice_has_key(choice) && neap_tls_knows_psks(tls->config))
            rc = try_external(tls, hello, &psk, i, choice, why);
    }
    if (!rc && !choice_has_key(choice) && !choice->identity && neap_tls_knows_psks(tls->config))
        pretend(tls, hello, choice);
    return rc;
}
