/* The server's side of the handshake (RFC 8446 appendix A.2). */
#include "base/reader.h"
#include "tls/choice.h"

/* ---- what a ClientHello leads to (choice.h) */

static int choose_suite(const struct tls *tls, const struct client_hello *hello, struct choice *choice,
                        struct failure *why)
{
    for (size_t i = 0; (choice->suite = neap_tls_preferred_suite(tls->config, i)) != 0; i++)
        if (neap_hello_lists(hello->suites, choice->suite))
            break;
    if (tls->retried) /* a second hello has the suites of the first: what was told stays */
        choice->suite = tls->suite;
    return choice->suite ? 0 : neap_tls_alert(why, ALERT_HANDSHAKE_FAILURE, "no cipher suite in common");
}

/* A group of which there is a share already is better than one that costs a round trip. */
static int choose_group(const struct tls *tls, const struct client_hello *hello, struct choice *choice,
                        struct failure *why)
{
    for (size_t i = 0; (choice->group = neap_tls_preferred_group(tls->config, false, i)) != 0; i++)
        if (neap_hello_find_share(hello->shares, choice->group, &choice->share))
            return 0;
    for (size_t i = 0; (choice->group = neap_tls_preferred_group(tls->config, false, i)) != 0; i++)
        if (neap_hello_lists(hello->groups, choice->group))
            return 0;
    return neap_tls_alert(why, ALERT_HANDSHAKE_FAILURE, "no group in common");
}

static int choose_protocol(const struct tls *tls, const struct client_hello *hello, struct choice *choice,
                           struct failure *why)
{
    struct reader r = reader_of(span_of(tls->config->alpn, tls->config->alpn_size));

    while (reader_left(&r) > 0) {
        choice->protocol = read_vector(&r, 1);
        if (choice->protocol.size > 0 && neap_hello_lists_protocol(hello->protocols, choice->protocol))
            return 0;
    }
    return neap_tls_alert(why, ALERT_NO_APPLICATION_PROTOCOL, "no application protocol in common");
}

/* Whether the application has one for this name. */
static int ask_identity(struct tls *tls, const struct choice *choice, struct failure *why)
{
    if (!tls_may_ask(tls, NEAP_ASK_CERTIFICATE) || (tls->asking && tls->asking->has_identity) ||
        choice->identity)
        return 0;
    return neap_tls_ask(tls, NEAP_ASK_CERTIFICATE, neap_server_on_hello_again, why);
}

/* The application's, if it gave one, now or lately, that can sign as the client wishes. */
static void take_answered_identity(const struct tls *tls, const struct client_hello *hello, const char *name,
                                   struct choice *choice)
{
    bool was_asked = tls->asking && tls->asking->has_identity;
    struct identity *identity = was_asked ? tls->asking->identity
                                : (tls->config->asks & NEAP_ASK_CERTIFICATE) && tls->config->identities
                                    ? neap_identity_set_recall(tls->config->identities, name, tls->wall_clock)
                                    : NULL;

    choice->scheme = identity ? neap_identity_scheme(identity, hello->schemes) : 0;
    if (!choice->scheme)
        return;
    choice->identity = identity;
    choice->name_matched = name[0] != '\0';
}

/* The certificate for the name, or the address, whose key can sign as the client wishes; else the first that can sign. */
static void choose_identity(const struct tls *tls, const struct client_hello *hello, const char *name,
                            struct choice *choice)
{
    struct identity_wish wish = {.name = name,
                                 .address = span_of(tls->local_address, tls->local_size),
                                 .schemes = hello->schemes,
                                 .certificate_schemes = hello->certificate_schemes};

    if (choice->identity || !tls->config->identities)
        return;
    struct identity_choice chosen = neap_identity_set_choose(tls->config->identities, &wish);

    choice->identity = chosen.identity;
    choice->scheme = chosen.scheme;
    choice->name_matched = chosen.is_named && name[0] != '\0';
}

/* Nothing would show the client who this is. */
static int refuse_stranger(const struct tls *tls, struct failure *why)
{
    const struct tls_config *config = tls->config;

    if (!neap_tls_has_certificates(config))
        return neap_tls_alert(why, ALERT_HANDSHAKE_FAILURE,
                              "client offers no pre-shared key, and there is no certificate");
    if (!config->identities || config->identities->count == 0)
        return neap_tls_alert(why, ALERT_UNRECOGNIZED_NAME, "there is no certificate for this name");
    return neap_tls_alert(why, ALERT_HANDSHAKE_FAILURE, "no signature scheme in common");
}

/* ---- HelloRetryRequest */

static void hello_digest(const struct client_hello *hello, uint8_t digest[32])
{
    uint8_t fixed[32];

    neap_extensions_digest(hello->extensions, digest);
    neap_hash(HASH_SHA256, hello->fixed, fixed);
    for (int i = 0; i < 32; i++)
        digest[i] ^= fixed[i];
}

/* A second ClientHello is the first again, but for one share of the group asked for and without early data
 * (RFC 8446 §4.1.2). */
static int check_second_hello(const struct tls *tls, const struct client_hello *hello, struct failure *why)
{
    uint8_t digest[32];
    struct reader r = reader_of(hello->shares);

    hello_digest(hello, digest);
    if (memcmp(digest, tls->hello_digest, sizeof digest) != 0 ||
        extension_present(&hello->ext, EXT_EARLY_DATA))
        return neap_tls_alert(why, ALERT_ILLEGAL_PARAMETER, "second ClientHello differs from the first");
    uint16_t group = read_u16(&r);
    read_vector(&r, 2);
    if (r.bad || reader_left(&r) > 0 || group != tls->group)
        return neap_tls_alert(why, ALERT_ILLEGAL_PARAMETER,
                              "second ClientHello without the one share asked for");
    return 0;
}

/* Everything of ServerHello but the share, which HelloRetryRequest has too. */
static void write_hello_start(struct writer *w, const uint8_t *random, uint16_t suite)
{
    write_u16(w, TLS_1_2);
    write_bytes(w, random, 32);
    write_u8(w, 0); /* echo of the session id, which was empty */
    write_u16(w, suite);
    write_u8(w, 0); /* compression: null */
}

static void write_selected_version(struct writer *w)
{
    write_u16(w, NUMBER_SUPPORTED_VERSIONS);
    write_u16(w, 2);
    write_u16(w, TLS_1_3);
}

/* No cookie: the transcript stays here (and QUIC's Retry validates addresses, RFC 9001 §4.7). */
static int write_retry_request(struct tls *tls, struct failure *why)
{
    struct writer w;

    int rc = neap_tls_begin_message(tls, TLS_INITIAL, SERVER_HELLO, 64, &w, why);
    if (rc)
        return rc;
    write_hello_start(&w, neap_hello_retry_random, tls->suite);
    uint8_t *length = vector_open(&w, 2);
    write_selected_version(&w);
    write_u16(&w, NUMBER_KEY_SHARE);
    write_u16(&w, 2);
    write_u16(&w, tls->group);
    vector_close(&w, length, 2);
    return neap_tls_end_message(tls, TLS_INITIAL, &w, why);
}

static int ask_again(struct tls *tls, const struct client_hello *hello, struct failure *why)
{
    neap_schedule_retry(&tls->schedule);
    hello_digest(hello, tls->hello_digest);
    tls->retried = true;
    tls->state = WAIT_SECOND_CLIENT_HELLO;
    return write_retry_request(tls, why);
}

/* ---- the server's flight */

#define SIGNATURE_ROOM (MESSAGE_HEADER + 4u + 256u) /* RSA-2048; more makes the flight move once */

static int write_server_hello(struct tls *tls, const struct key_share *share, struct failure *why)
{
    uint8_t random[32];
    struct writer w;

    int rc = neap_tls_begin_message(tls, TLS_INITIAL, SERVER_HELLO, 64 + share->public_size, &w, why);
    if (rc)
        return rc;
    neap_random_bytes(neap_crypto_random(tls->config->crypto), random, sizeof random);
    write_hello_start(&w, random, tls->suite);
    uint8_t *length = vector_open(&w, 2);
    write_selected_version(&w);
    write_u16(&w, NUMBER_KEY_SHARE);
    write_u16(&w, (uint16_t)(share->public_size + 4));
    write_u16(&w, share->group);
    write_u16(&w, (uint16_t)share->public_size);
    write_bytes(&w, share->public_key, share->public_size);
    if (tls->keyed) {
        write_u16(&w, NUMBER_PRE_SHARED_KEY);
        write_u16(&w, 2);
        write_u16(&w, tls->psk_index);
    }
    vector_close(&w, length, 2);
    return neap_tls_end_message(tls, TLS_INITIAL, &w, why);
}

static size_t extensions_room(const struct tls *tls)
{
    return 36 + (size_t)tls->alpn_size + tls->params.size;
}

static int write_encrypted_extensions(struct tls *tls, struct failure *why)
{
    struct writer w;

    int rc = neap_tls_begin_message(tls, TLS_HANDSHAKE, ENCRYPTED_EXTENSIONS, extensions_room(tls), &w, why);
    if (rc)
        return rc;
    uint8_t *length = vector_open(&w, 2);
    if (tls->name_matched) { /* the name chose the certificate (RFC 6066 §3) */
        write_u16(&w, NUMBER_SERVER_NAME);
        write_u16(&w, 0);
    }
    write_u16(&w, NUMBER_ALPN);
    write_u16(&w, (uint16_t)(tls->alpn_size + 3));
    write_u16(&w, (uint16_t)(tls->alpn_size + 1));
    write_u8(&w, tls->alpn_size);
    write_bytes(&w, tls->alpn, tls->alpn_size);
    if (!tls->config->without_params) {
        write_u16(&w, NUMBER_QUIC_PARAMETERS);
        write_u16(&w, (uint16_t)tls->params.size);
        write_span(&w, tls->params);
    }
    if (tls->early == NEAP_EARLY_ACCEPTED) {
        write_u16(&w, NUMBER_EARLY_DATA);
        write_u16(&w, 0);
    }
    vector_close(&w, length, 2);
    return neap_tls_end_message(tls, TLS_HANDSHAKE, &w, why);
}

/* Answer the client's share with ours: ServerHello and the handshake keys. */
static int exchange_keys(struct tls *tls, struct span client_share, struct failure *why)
{
    struct key_share share = {0};
    uint8_t secret[64];
    size_t secret_size = 0;

    int rc =
        neap_share_encapsulate(tls->config->crypto, tls->group, client_share, &share, secret, &secret_size);
    if (rc == NEAP_ERR_CRYPTO)
        return neap_tls_alert(why, ALERT_ILLEGAL_PARAMETER, "client's key share is not a public key");
    if (rc)
        return neap_fail(why, rc, "key exchange failed");
    rc = write_server_hello(tls, &share, why);
    if (!rc)
        rc = neap_tls_handshake_keys(tls, span_of(secret, secret_size), why);
    neap_wipe(secret, sizeof secret);
    neap_wipe(&share, sizeof share);
    return rc;
}

static int write_tickets_ahead(struct tls *tls, struct failure *why);

/* Finished, and the keys behind it. */
static int finish_flight(struct tls *tls, struct failure *why)
{
    int rc = neap_tls_write_finished(tls, tls->schedule.server_handshake, why);

    if (rc)
        return rc;
    neap_tls_application_keys(tls);
    rc = neap_tls_put_secret(tls, TLS_APPLICATION, TLS_WRITE, tls->schedule.server_application, why);
    if (rc)
        return rc;
    tls->read_level = TLS_HANDSHAKE;
    tls->state = tls->certificate_requested ? WAIT_CLIENT_CERTIFICATE : WAIT_CLIENT_FINISHED;
    return tls->early == NEAP_EARLY_ACCEPTED ? write_tickets_ahead(tls, why) : 0;
}

/* Behind the Certificate. */
static int end_flight(struct tls *tls, struct failure *why)
{
    int rc = neap_tls_write_certificate_verify(tls, end_flight, why);

    return rc ? rc : finish_flight(tls, why);
}

static int write_flight(struct tls *tls, struct span client_share, struct failure *why)
{
    /* EncryptedExtensions to Finished in one piece of memory, and a signature of the ordinary size. */
    size_t size = MESSAGE_HEADER + extensions_room(tls) + MESSAGE_HEADER + CRYPTO_MAX_HASH;
    if (!tls->keyed)
        size += neap_tls_request_size(tls) + neap_tls_certificate_size(tls) + SIGNATURE_ROOM;
    int rc = exchange_keys(tls, client_share, why);

    if (!rc)
        rc = neap_tls_reserve(tls, TLS_HANDSHAKE, size, why);
    if (!rc)
        rc = write_encrypted_extensions(tls, why);
    if (!rc && tls->keyed)
        return finish_flight(tls, why);
    if (!rc && tls->config->client_certificate != DEMAND_NONE)
        rc = neap_tls_write_request(tls, why);
    if (!rc)
        rc = neap_tls_write_certificate(tls, why);
    return rc ? rc : end_flight(tls, why);
}

/* ---- messages of the client */

static int choose(struct tls *tls, const struct client_hello *hello, struct choice *choice,
                  struct failure *why)
{
    char name[LIMIT_SERVER_NAME + 1] = {0};
    int rc = choose_suite(tls, hello, choice, why);

    if (hello->server_name.size)
        memcpy(name, hello->server_name.data, hello->server_name.size);
    if (!rc)
        rc = choose_group(tls, hello, choice, why);
    if (!rc)
        rc = choose_protocol(tls, hello, choice, why);
    if (!rc)
        take_answered_identity(tls, hello, name, choice);
    if (!rc)
        rc = ask_identity(tls, choice, why);
    if (rc)
        return rc;
    choose_identity(tls, hello, name, choice);
    rc = neap_choose_psk(tls, hello, choice, why);
    if (!rc && !choice->identity && !choice_has_key(choice))
        return refuse_stranger(tls, why);
    return rc;
}

static void keep_name(struct tls *tls, const struct client_hello *hello)
{
    if (hello->server_name.size)
        memcpy(tls->server_name, hello->server_name.data, hello->server_name.size);
}

/* Something was asked: the hello stays, and with it what the question points to. TLS_ASKED again, or no memory. */
static int keep_hello(struct tls *tls, const struct client_hello *hello, struct span message,
                      struct failure *why)
{
    struct span copy = neap_tls_copy(tls, message);

    if (!copy.data)
        return neap_tls_no_memory(why);
    tls->asking->hello = copy;
    tls->asking->schemes = span_of(copy.data + (hello->schemes.data - message.data), hello->schemes.size);
    keep_name(tls, hello);
    return TLS_ASKED;
}

/* Before anything is written: keys, our parameters and tickets go by it. */
static void choose_version(struct tls *tls, struct span theirs)
{
    const struct tls_config *config = tls->config;

    if (config->choose_version)
        tls->version = config->choose_version(config->version_context, tls->version, theirs,
                                              (uint8_t *)(uintptr_t)tls->params.data, tls->params.size);
}

/* Keep what was decided. After a HelloRetryRequest it is decided again from the same offers, so it is the same. */
static int commit(struct tls *tls, const struct client_hello *hello, const struct choice *choice,
                  struct failure *why)
{
    int rc = neap_tls_keep_params(tls, hello->params, why);

    if (rc)
        return rc;
    if (!tls->schedule.started) {
        choose_version(tls, hello->params);
        neap_schedule_start(&tls->schedule, (enum crypto_suite)choice->suite);
    }
    tls->suite = choice->suite;
    tls->group = choice->group;
    tls->scheme = choice->scheme;
    neap_identity_retain(choice->identity);
    neap_identity_free(tls->identity);
    tls->identity = choice->identity;
    tls->name_matched = choice->name_matched;
    tls->takes_tickets = hello->takes_psk_dhe;
    tls->peer_decompresses = hello->takes_zlib;
    tls->peer_takes_staple = hello->takes_staple;
    tls->good_until = tls->wall_clock + SESSION_AGE_MOST;
    if (tls->identity)
        neap_session_binding(tls->config, tls->identity, tls->binding);
    memcpy(tls->client_random, hello->random, sizeof tls->client_random);
    memcpy(tls->alpn, choice->protocol.data, choice->protocol.size);
    tls->alpn_size = (uint8_t)choice->protocol.size;
    keep_name(tls, hello);
    return 0;
}

/* The register is asked behind the binder, so that nobody else fills it, and by what the binder vouches for (RFC 8446
 * §8.2): a binder stands for one ClientHello. */
static bool is_first_time(const struct tls *tls, const struct choice *choice)
{
    const struct tls_config *config = tls->config;
    uint8_t id[32];

    neap_hash(HASH_SHA256, choice->binder, id);
    return config->strike(config->strike_context, id, choice->early_expires) == 1;
}

/* Whether the client has the key (RFC 8446 §4.2.11.2). */
static int check_binder(const struct tls *tls, const struct client_hello *hello, const struct choice *choice,
                        struct span message, struct failure *why)
{
    uint8_t binder[CRYPTO_MAX_HASH];
    bool is_external = choice->external.size > 0;
    struct span key =
        is_external ? span_of(choice->external.bytes, choice->external.size) : choice->session.psk;
    size_t upto = (size_t)(hello->psk_binders.data - 2 - message.data);
    size_t size = crypto_hash_size(tls->schedule.hash);

    neap_schedule_binder(&tls->schedule, tls->schedule.hash, key, is_external, span_of(message.data, upto),
                         binder);
    if (choice->binder.size != size || !neap_equal_constant_time(binder, choice->binder.data, size))
        return neap_tls_alert(why, ALERT_DECRYPT_ERROR, "binder does not fit the pre-shared key");
    return 0;
}

/* Before the hello joins the transcript. */
static int take_key(struct tls *tls, const struct client_hello *hello, const struct choice *choice,
                    struct span message, struct failure *why)
{
    int rc = check_binder(tls, hello, choice, message, why);
    if (rc)
        return rc;
    tls->keyed = true;
    tls->psk_index = choice->psk_index;
    if (choice->external.size > 0)
        return neap_tls_take_psk(tls, &choice->external, choice->psk_identity, why);
    tls->psk_size = (uint8_t)choice->session.psk.size;
    tls->good_until = choice->session.good_until;
    tls->tail.rtt = choice->session.rtt;
    tls->is_vouched_for = neap_tls_has_means(tls); /* then, as now: it is bound to these roots */
    memcpy(tls->psk, choice->session.psk.data, tls->psk_size);
    rc = neap_tls_take_session(tls, &choice->session, why);
    if (rc)
        return rc;
    if (choice->may_take_early && is_first_time(tls, choice)) {
        tls->early = NEAP_EARLY_ACCEPTED;
        return neap_tls_early_keys(tls, tls->schedule.suite, message, why);
    }
    return 0;
}

int neap_server_on_client_hello(struct tls *tls, struct span message, struct failure *why)
{
    struct client_hello hello;
    struct choice choice = {0};

    int rc = neap_hello_read_client(span_of(message.data + MESSAGE_HEADER, message.size - MESSAGE_HEADER),
                                    !tls->config->without_params, &hello, why);
    if (!rc && tls->retried)
        rc = check_second_hello(tls, &hello, why);
    if (!rc)
        rc = choose(tls, &hello, &choice, why);
    if (rc == TLS_ASKED)
        rc = keep_hello(tls, &hello, message, why);
    if (!rc)
        rc = commit(tls, &hello, &choice, why);
    if (!rc && extension_present(&hello.ext, EXT_EARLY_DATA))
        tls->early = NEAP_EARLY_REJECTED;
    if (!rc && choice_has_key(&choice) && choice.share.data)
        rc = take_key(tls, &hello, &choice, message, why);
    neap_wipe(&choice.external, sizeof choice.external);
    neap_wipe(choice.room, sizeof choice.room);
    if (rc)
        return rc;
    neap_schedule_add(&tls->schedule, message);
    return choice.share.data ? write_flight(tls, choice.share, why) : ask_again(tls, &hello, why);
}

/* Nothing follows from a hello before all is chosen: it is looked at again when an answer is there. */
int neap_server_on_hello_again(struct tls *tls, struct failure *why)
{
    struct span message = tls->asking->hello;

    tls->asking->hello = (struct span){0};
    int rc = neap_server_on_client_hello(tls, message, why);
    neap_tls_drop(tls, &message);
    return rc;
}

/* ---- tickets: what leaves at the application's level when the handshake is complete, and with early data before */

#define TICKETS_FULL 2u    /* behind a full handshake: a client may open two connections at once with them */
#define TICKETS_RESUMED 1u /* a ticket is used once, and this is the next */

static int write_ticket(struct tls *tls, struct session *session, const uint8_t *resumption, uint8_t nonce,
                        struct failure *why)
{
    struct crypto *crypto = tls->config->crypto;
    uint8_t psk[CRYPTO_MAX_HASH], ticket[TICKET_MOST];
    struct writer w;
    int64_t left = session->good_until - session->issued;

    neap_resumption_psk(tls->schedule.hash, resumption, span_of(&nonce, 1), psk);
    neap_random_bytes(neap_crypto_random(crypto), (uint8_t *)&session->age_add, sizeof session->age_add);
    session->psk = span_of(psk, crypto_hash_size(tls->schedule.hash));
    int64_t size = neap_ticket_seal(crypto, &tls->config->tickets, session, ticket);
    neap_wipe(psk, sizeof psk);
    if (size < 0)
        return neap_fail(why, (int)size, "no session ticket could be made");
    int rc = neap_tls_begin_message(tls, TLS_APPLICATION, NEW_SESSION_TICKET, 24 + (size_t)size, &w, why);
    if (rc)
        return rc;
    write_u32(&w, left < session->lifetime ? (uint32_t)left : session->lifetime);
    write_u32(&w, session->age_add);
    write_u8(&w, 1);
    write_u8(&w, nonce);
    write_u16(&w, (uint16_t)size);
    write_bytes(&w, ticket, (size_t)size);
    uint8_t *length = vector_open(&w, 2);
    if (session->allows_early) {
        write_u16(&w, NUMBER_EARLY_DATA);
        write_u16(&w, 4);
        write_u32(&w, UINT32_MAX); /* RFC 9001 §4.6.1 */
    }
    vector_close(&w, length, 2);
    return neap_tls_end_message(tls, TLS_APPLICATION, &w, why);
}

/* Whether the roots and revocation lists are those that vouched for the client: what others that came meanwhile would say of it
 * nobody has asked. An external key is looked up again with each ticket. */
static bool is_bound_still(const struct tls *tls)
{
    uint8_t binding[32];

    if (tls->psk_identity.size)
        return true;
    neap_session_binding(tls->config, tls->identity, binding);
    return memcmp(binding, tls->binding, sizeof binding) == 0;
}

/* `finished`: the client's, where it has not come yet. */
static int write_tickets(struct tls *tls, struct span finished, struct failure *why)
{
    const struct tls_config *config = tls->config;
    uint8_t resumption[CRYPTO_MAX_HASH];
    uint8_t count = tls->resumed ? TICKETS_RESUMED : TICKETS_FULL;
    struct span client = neap_tls_peer_certificate(tls, 0);
    struct session session = {.suite = tls->suite,
                              .version = tls->version,
                              .issued = tls->wall_clock,
                              .lifetime = config->ticket_lifetime,
                              .good_until = tls->good_until,
                              .rtt = tls->tail.rtt,
                              .alpn = span_of(tls->alpn, tls->alpn_size),
                              .server_name = span_of_string(tls->server_name),
                              .psk_identity = tls->psk_identity,
                              .peer_certificate = client,
                              .allows_early = neap_server_takes_early(config),
                              .data = span_of(config->session_data, config->session_data_size)};
    int rc = 0;

    memcpy(session.limits, tls->limits, sizeof session.limits);
    /* A digest instead of a large leaf would do for us, but the application is to see of a client that comes again what it
     * saw the first time. */
    if (client.size > LIMIT_TICKET_CERTIFICATE)
        return 0;
    if (!config->resumption || config->ticket_lifetime == 0 || !tls->takes_tickets ||
        !time_is_known(tls->wall_clock) || session.good_until <= session.issued)
        return 0;
    if (!is_bound_still(tls))
        return 0;
    memcpy(session.binding, tls->binding, sizeof session.binding);
    neap_schedule_resumption(&tls->schedule, finished, resumption);
    for (uint8_t i = 0; rc == 0 && i < count; i++)
        rc = write_ticket(tls, &session, resumption, i, why);
    neap_wipe(resumption, sizeof resumption);
    return rc == NEAP_ERR_NO_MEMORY ? 0
                                    : rc; /* without them, or with fewer, the handshake is none the worse */
}

/* A client that asked early may leave with the answer, before its Finished is here. That is its next message, so what it
 * has to be is known (RFC 8446 §4.6.1). */
static int write_tickets_ahead(struct tls *tls, struct failure *why)
{
    uint8_t finished[MESSAGE_HEADER + CRYPTO_MAX_HASH] = {FINISHED};
    size_t size = crypto_hash_size(tls->schedule.hash);

    finished[MESSAGE_HEADER - 1] = (uint8_t)size;
    neap_schedule_finished(&tls->schedule, tls->schedule.client_handshake, finished + MESSAGE_HEADER);
    return write_tickets(tls, span_of(finished, MESSAGE_HEADER + size), why);
}

static int take_client(struct tls *tls, struct failure *why)
{
    int rc = neap_tls_ask_resumed(tls, take_client, why);

    if (!rc)
        rc = neap_tls_put_secret(tls, TLS_APPLICATION, TLS_READ, tls->schedule.client_application, why);
    if (!rc && tls->early != NEAP_EARLY_ACCEPTED)
        rc = write_tickets(tls, (struct span){0}, why);
    if (rc)
        return rc;
    neap_schedule_forget_handshake(&tls->schedule);
    tls->read_level = TLS_APPLICATION;
    tls->state = CONNECTED;
    return 0;
}

int neap_server_on_finished(struct tls *tls, struct span message, struct failure *why)
{
    int rc = neap_tls_check_finished(tls, message, tls->schedule.client_handshake, why);

    return rc ? rc : take_client(tls, why);
}
