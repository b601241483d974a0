/* The client's side of the handshake (RFC 8446 appendix A.1). */
#include "base/pool.h"
#include "base/reader.h"
#include "tls/hello.h"
#include "tls/state.h"

/* ---- ClientHello */

/* An IP address is checked against the certificate but is not a name to send (RFC 6066 §3). */
static bool is_address(const char *name)
{
    size_t size = strlen(name);

    if (strchr(name, ':'))
        return true;
    return size > 0 && strspn(name, "0123456789.") == size;
}

static bool sends_name(const struct tls *tls)
{
    return tls->server_name[0] && !is_address(tls->server_name);
}

/* What our ClientHello carries; a server may answer nothing else (RFC 8446 §4.2). */
static uint32_t asked_extensions(const struct tls *tls)
{
    uint32_t asked = extension_bit(EXT_SUPPORTED_VERSIONS) | extension_bit(EXT_SUPPORTED_GROUPS) |
                     extension_bit(EXT_SIGNATURE_ALGORITHMS) | extension_bit(EXT_KEY_SHARE) |
                     extension_bit(EXT_ALPN);

    if (!tls->config->without_params)
        asked |= extension_bit(EXT_QUIC_PARAMETERS);
    if (tls->psk_size || tls->external)
        asked |= extension_bit(EXT_PRE_SHARED_KEY);
    if (tls->early != NEAP_EARLY_NONE && !tls->retried) /* the second hello has none */
        asked |= extension_bit(EXT_EARLY_DATA);
    return sends_name(tls) ? asked | extension_bit(EXT_SERVER_NAME) : asked;
}

static void write_server_name(const struct tls *tls, struct writer *w)
{
    if (!sends_name(tls))
        return;
    struct span name = span_of_string(tls->server_name);
    write_u16(w, NUMBER_SERVER_NAME);
    write_u16(w, (uint16_t)(name.size + 5));
    write_u16(w, (uint16_t)(name.size + 3));
    write_u8(w, 0);
    write_u16(w, (uint16_t)name.size);
    write_span(w, name);
}

/* One of the 16 values that mean nothing, which servers have to pass over (RFC 8701 §2): by the client's random, so that a
 * second ClientHello has the same. */
enum grease_place { GREASE_SUITE, GREASE_GROUP, GREASE_EXTENSION, GREASE_VERSION, GREASE_SCHEME };

static uint16_t grease(const struct tls *tls, enum grease_place place)
{
    unsigned byte = tls->config->grease ? (tls->client_random[place] & 0xf0u) | 0x0au : 0;

    return (uint16_t)(byte << 8 | byte);
}

static void write_grease(const struct tls *tls, enum grease_place place, struct writer *w)
{
    if (tls->config->grease)
        write_u16(w, grease(tls, place));
}

static void write_lists(const struct tls *tls, struct writer *w)
{
    uint16_t group;

    write_u16(w, NUMBER_SUPPORTED_GROUPS);
    uint8_t *outer = vector_open(w, 2), *inner = vector_open(w, 2);
    write_grease(tls, GREASE_GROUP, w);
    for (size_t i = 0; (group = neap_tls_preferred_group(tls->config, true, i)) != 0; i++)
        write_u16(w, group);
    vector_close(w, inner, 2);
    vector_close(w, outer, 2);
    neap_tls_write_schemes(w, grease(tls, GREASE_SCHEME));
}

/* The keys that are offered, the session's before the external one, and room for their binders, which are made over all
 * that stands before them (RFC 8446 §4.2.11): the last extension. */
static uint8_t *write_offer(const struct tls *tls, const struct session *session, struct writer *w)
{
    /* Whole seconds of a clock tell an age but for one. What is said is what it is at least: servers whose clocks are finer
     * refuse early data to who says more. */
    int64_t seconds = tls->wall_clock - session->issued;
    uint32_t age = (uint32_t)(seconds > 0 ? seconds - 1 : 0) * 1000u;

    write_u16(w, NUMBER_PRE_SHARED_KEY);
    uint8_t *outer = vector_open(w, 2), *identities = vector_open(w, 2);
    if (tls->psk_size) {
        write_u16(w, (uint16_t)session->ticket.size);
        write_span(w, session->ticket);
        write_u32(w, age + session->age_add);
    }
    if (tls->external) {
        write_u16(w, tls->external->identity_size);
        write_span(w, psk_identity(tls->external));
        write_u32(w, 0);
    }
    vector_close(w, identities, 2);
    uint8_t *binders = vector_open(w, 2);
    if (tls->psk_size) {
        write_u8(w, tls->psk_size);
        write_room(w, tls->psk_size);
    }
    if (tls->external) {
        write_u8(w, (uint8_t)crypto_hash_size(tls->external->key.hash));
        write_room(w, crypto_hash_size(tls->external->key.hash));
    }
    vector_close(w, binders, 2);
    vector_close(w, outer, 2);
    return binders;
}

/* Beside a hybrid share the part of it that is X25519's own: a server without the hybrid takes that, and there is no round
 * trip for a HelloRetryRequest. */
static bool shares_x25519_too(const struct tls *tls)
{
    return tls->share->group == GROUP_X25519MLKEM768 && !tls->group_asked &&
           neap_tls_offers_group(tls->config, GROUP_X25519);
}

static bool is_shared(const struct tls *tls, uint16_t group)
{
    return group == tls->share->group || (group == GROUP_X25519 && shares_x25519_too(tls));
}

static void write_share(const struct key_share *share, struct writer *w)
{
    write_u16(w, share->group);
    write_u16(w, (uint16_t)share->public_size);
    write_bytes(w, share->public_key, share->public_size);
}

static void write_shares(const struct tls *tls, struct writer *w)
{
    struct key_share x25519;

    write_u16(w, NUMBER_KEY_SHARE);
    uint8_t *outer = vector_open(w, 2), *inner = vector_open(w, 2);
    if (tls->config->grease && !tls->group_asked) {
        write_grease(tls, GREASE_GROUP, w);
        write_u16(w, 1);
        write_u8(w, 0);
    }
    write_share(tls->share, w);
    if (shares_x25519_too(tls)) {
        neap_share_x25519(tls->share, &x25519);
        write_share(&x25519, w);
        neap_wipe(&x25519, sizeof x25519);
    }
    vector_close(w, inner, 2);
    vector_close(w, outer, 2);
}

static void write_client_extensions(const struct tls *tls, struct writer *w)
{
    const struct tls_config *config = tls->config;

    if (config->grease) {
        write_grease(tls, GREASE_EXTENSION, w);
        write_u16(w, 0);
    }
    write_server_name(tls, w);
    write_u16(w, NUMBER_SUPPORTED_VERSIONS);
    uint8_t *outer = vector_open(w, 2), *versions = vector_open(w, 1);
    write_grease(tls, GREASE_VERSION, w);
    write_u16(w, TLS_1_3);
    vector_close(w, versions, 1);
    vector_close(w, outer, 2);
    write_lists(tls, w);
    write_shares(tls, w);
    write_u16(w, NUMBER_ALPN);
    write_u16(w, (uint16_t)(config->alpn_size + 2));
    write_u16(w, (uint16_t)config->alpn_size);
    write_bytes(w, config->alpn, config->alpn_size);
    if (!config->without_params) {
        write_u16(w, NUMBER_QUIC_PARAMETERS);
        write_u16(w, (uint16_t)tls->params.size);
        write_span(w, tls->params);
    }
    if (tls->cookie.size) {
        write_u16(w, NUMBER_COOKIE);
        write_u16(w, (uint16_t)(tls->cookie.size + 2));
        write_u16(w, (uint16_t)tls->cookie.size);
        write_span(w, tls->cookie);
    }
    if (config->staple != STAPLE_IGNORED) {
        write_u16(w, NUMBER_STATUS_REQUEST);
        write_u16(w, 5);
        write_u8(w, STATUS_OCSP);
        write_u16(w, 0); /* of any responder */
        write_u16(w, 0); /* no extensions: a nonce would need an answer made for it */
    }
    neap_tls_write_compression(config, w);
    if (config->resumption || tls->external) { /* no psk_ke: every connection has a key exchange of its own */
        write_u16(w, NUMBER_PSK_MODES);
        write_u16(w, 2);
        write_u8(w, 1);
        write_u8(w, 1);
    }
    if (tls->early == NEAP_EARLY_OFFERED) {
        write_u16(w, NUMBER_EARLY_DATA);
        write_u16(w, 0);
    }
}

/* A fresh share for tls->group, in place of the one that did not suit. */
static int make_share(struct tls *tls, struct failure *why)
{
    if (!tls->share)
        tls->share = neap_pool_alloc(tls->config->pool, sizeof *tls->share);
    if (!tls->share)
        return neap_tls_no_memory(why);
    if (tls->share->group == tls->group)
        return 0;
    int rc = neap_share_generate(tls->config->crypto, tls->group, tls->share);
    return rc ? neap_fail(why, rc, "no key share could be made") : 0;
}

static void forget_share(struct tls *tls)
{
    if (tls->share)
        neap_pool_free_secret(tls->config->pool, tls->share, sizeof *tls->share);
    tls->share = NULL;
}

/* The extensions with the binder of what is offered, which is made when all lengths are set. */
static void write_extensions(const struct tls *tls, const struct session *session, struct writer *w)
{
    uint8_t *binders = NULL;
    uint8_t *length = vector_open(w, 2);

    write_client_extensions(tls, w);
    if (tls->psk_size || tls->external)
        binders = write_offer(tls, session, w);
    vector_close(w, length, 2);
    if (w->full || !binders)
        return;
    vector_close(w, w->start + 1, 3);
    struct span before = span_of(w->start, (size_t)(binders - w->start));
    uint8_t *binder = binders + 3;
    if (tls->psk_size) {
        neap_schedule_binder(&tls->schedule, neap_suite_hash((enum crypto_suite)session->suite), tls_psk(tls),
                             false, before, binder);
        binder += tls->psk_size + 1;
    }
    if (tls->external)
        neap_schedule_binder(&tls->schedule, tls->external->key.hash,
                             span_of(tls->external->key.bytes, tls->external->key.size), true, before,
                             binder);
}

/* The second ClientHello is the first with what HelloRetryRequest asked for: all else comes from `tls` again. */
int neap_client_write_hello(struct tls *tls, struct failure *why)
{
    struct session session = {0};
    struct writer w;
    uint16_t suite;

    int rc = make_share(tls, why);
    if (rc)
        return rc;
    if (tls->psk_size)
        neap_session_read(tls->offer, &session);
    size_t room = 1024 + tls->share->public_size + tls->config->alpn_size + tls->params.size +
                  tls->cookie.size + session.ticket.size + LIMIT_PSK_IDENTITY;
    rc = neap_tls_begin_message(tls, TLS_INITIAL, CLIENT_HELLO, room, &w, why);
    if (rc)
        return rc;
    write_u16(&w, TLS_1_2);
    write_bytes(&w, tls->client_random, sizeof tls->client_random);
    write_u8(&w, 0); /* no session id: QUIC has no compatibility mode (RFC 9001 §8.4) */
    uint8_t *length = vector_open(&w, 2);
    write_grease(tls, GREASE_SUITE, &w);
    for (size_t i = 0; (suite = neap_tls_preferred_suite(tls->config, i)) != 0; i++)
        write_u16(&w, suite);
    vector_close(&w, length, 2);
    write_u8(&w, 1); /* compression: null */
    write_u8(&w, 0);
    write_extensions(tls, &session, &w);
    return neap_tls_end_message(tls, TLS_INITIAL, &w, why);
}

/* ---- ServerHello and HelloRetryRequest */

/* The suite gives the transcript its hash, and the ClientHello that waited goes in first. */
static void start_transcript(struct tls *tls, uint16_t suite)
{
    neap_schedule_start(&tls->schedule, (enum crypto_suite)suite);
    neap_schedule_add(&tls->schedule, tls->first_hello);
    neap_tls_drop(tls, &tls->first_hello);
    tls->suite = suite;
}

static int on_retry_request(struct tls *tls, const struct server_hello *hello, struct span message,
                            struct failure *why)
{
    if (tls->retried)
        return neap_tls_alert(why, ALERT_UNEXPECTED_MESSAGE, "second HelloRetryRequest");
    if (hello->group && (is_shared(tls, hello->group) || !neap_tls_offers_group(tls->config, hello->group)))
        return neap_tls_alert(why, ALERT_ILLEGAL_PARAMETER,
                              "HelloRetryRequest for a group out of the question");
    if (!hello->group && !hello->cookie.size)
        return neap_tls_alert(why, ALERT_ILLEGAL_PARAMETER, "HelloRetryRequest that asks for nothing");

    start_transcript(tls, hello->suite);
    neap_schedule_retry(&tls->schedule);
    neap_schedule_add(&tls->schedule, message);
    tls->retried = true;
    if (tls->early == NEAP_EARLY_OFFERED) /* the second hello offers none (RFC 8446 §4.2.10) */
        tls->early = NEAP_EARLY_REJECTED;
    if (hello->group) {
        tls->group = hello->group;
        tls->group_asked = true;
    }
    if (tls->psk_size && tls->psk_size != crypto_hash_size(tls->schedule.hash))
        neap_tls_forget_psk(tls); /* a key of another hash cannot be taken any more (RFC 8446 §4.1.4) */
    if (tls->external && tls->external->key.hash != tls->schedule.hash)
        tls->external = NULL;
    tls->cookie = hello->cookie;
    int rc = neap_client_write_hello(tls, why);
    tls->cookie = (struct span){0};
    return rc;
}

/* The secret that our share of the server's group makes with the server's. */
static int combine(const struct tls *tls, const struct server_hello *hello, uint8_t *secret,
                   size_t *secret_size)
{
    struct crypto *crypto = tls->config->crypto;
    struct key_share x25519;

    if (hello->group == tls->share->group)
        return neap_share_decapsulate(crypto, tls->share, hello->key, secret, secret_size);
    neap_share_x25519(tls->share, &x25519);
    int rc = neap_share_decapsulate(crypto, &x25519, hello->key, secret, secret_size);
    neap_wipe(&x25519, sizeof x25519);
    return rc;
}

/* Which of the keys that we offered the server took: the session's comes first. */
static int take_key(struct tls *tls, const struct server_hello *hello, struct failure *why)
{
    enum crypto_hash hash = neap_suite_hash((enum crypto_suite)hello->suite);
    const struct psk *external = tls->external;
    unsigned index = hello->psk_index + (tls->psk_size ? 0u : 1u); /* 0: the session's, 1: the external one */
    struct session session;

    tls->external = NULL;
    if (!hello->takes_psk)
        return 0;
    if (index > 1 || (index == 1 && !external))
        return neap_tls_alert(why, ALERT_ILLEGAL_PARAMETER, "server chose a key that was not offered");
    if (index == 0 ? tls->psk_size != crypto_hash_size(hash) : external->key.hash != hash)
        return neap_tls_alert(why, ALERT_ILLEGAL_PARAMETER, "server took a key that its suite cannot have");
    tls->keyed = true;
    if (index == 1)
        return neap_tls_take_psk(tls, &external->key, psk_identity(external), why);
    if (!neap_session_read(tls->offer, &session)) /* it was read when it was offered */
        return neap_fail(why, NEAP_INTERNAL_ERROR, "the session that was offered is gone");
    return neap_tls_take_session(tls, &session, why);
}

int neap_client_on_server_hello(struct tls *tls, struct span message, struct failure *why)
{
    struct server_hello hello;
    uint8_t secret[64];
    size_t secret_size = 0;

    int rc = neap_hello_read_server(span_of(message.data + MESSAGE_HEADER, message.size - MESSAGE_HEADER),
                                    asked_extensions(tls), &hello, why);
    if (rc)
        return rc;
    if (!neap_tls_wants_suite(tls->config, hello.suite))
        return neap_tls_alert(why, ALERT_ILLEGAL_PARAMETER,
                              "server chose a cipher suite that was not offered");
    if (hello.is_retry)
        return on_retry_request(tls, &hello, message, why);
    if (tls->retried && hello.suite != tls->suite)
        return neap_tls_alert(why, ALERT_ILLEGAL_PARAMETER, "cipher suite changed after HelloRetryRequest");
    if (!is_shared(tls, hello.group))
        return neap_tls_alert(why, ALERT_ILLEGAL_PARAMETER, "server's key share is of another group");
    rc = take_key(tls, &hello, why);
    if (rc)
        return rc;
    rc = combine(tls, &hello, secret, &secret_size);
    if (rc == NEAP_ERR_CRYPTO)
        return neap_tls_alert(why, ALERT_ILLEGAL_PARAMETER, "server's key share is not a public key");
    if (rc)
        return neap_fail(why, rc, "key exchange failed");
    if (!tls->retried)
        start_transcript(tls, hello.suite);
    neap_schedule_add(&tls->schedule, message);
    tls->group = hello.group;
    if (!tls->resumed && tls->early == NEAP_EARLY_OFFERED)
        tls->early = NEAP_EARLY_REJECTED;
    if (!tls->resumed)
        tls->good_until = tls->wall_clock + SESSION_AGE_MOST; /* as far as the certificate lets it */
    rc = neap_tls_handshake_keys(tls, span_of(secret, secret_size), why);
    tls->read_level = TLS_HANDSHAKE;
    tls->state = WAIT_ENCRYPTED_EXTENSIONS;
    neap_wipe(secret, sizeof secret);
    forget_share(tls);
    return rc;
}

/* ---- EncryptedExtensions, Finished */

static int no_protocol(struct failure *why, const char *reason)
{
    return neap_tls_alert(why, ALERT_NO_APPLICATION_PROTOCOL, reason);
}

/* Exactly one of the names that we offered (RFC 7301 §3.1, RFC 9001 §8.1). */
static int take_protocol(struct tls *tls, const struct extensions *ext, struct failure *why)
{
    if (!extension_present(ext, EXT_ALPN))
        return no_protocol(why, "server chose no application protocol");
    struct reader r = reader_of(ext->data[EXT_ALPN]);
    struct span list = read_vector(&r, 2);
    struct reader names = reader_of(list);
    struct span name = read_vector(&names, 1);
    if (r.bad || reader_left(&r) > 0 || names.bad || reader_left(&names) > 0 || name.size == 0)
        return neap_tls_alert(why, ALERT_DECODE_ERROR, "ALPN of a wrong form");
    if (!neap_hello_lists_protocol(span_of(tls->config->alpn, tls->config->alpn_size), name))
        return no_protocol(why, "server chose an application protocol that was not offered");
    if (extension_present(ext, EXT_EARLY_DATA) && !span_equal(name, span_of(tls->alpn, tls->alpn_size)))
        return neap_tls_alert(why, ALERT_ILLEGAL_PARAMETER, "server takes early data of another protocol");
    memcpy(tls->alpn, name.data, name.size);
    tls->alpn_size = (uint8_t)name.size;
    return 0;
}

/* It stands for what the session was, whose key the server took (RFC 8446 §4.2.10, §4.2.11). */
static int check_early(const struct tls *tls, const struct extensions *ext, struct failure *why)
{
    if (ext->data[EXT_EARLY_DATA].size > 0)
        return neap_tls_alert(why, ALERT_DECODE_ERROR, "early_data of a wrong form");
    if (extension_present(ext, EXT_EARLY_DATA) && tls->early != NEAP_EARLY_OFFERED)
        return neap_tls_alert(why, ALERT_ILLEGAL_PARAMETER,
                              "server takes early data without the session that it goes with");
    if (extension_present(ext, EXT_EARLY_DATA) && tls->suite != tls->early_suite)
        return neap_tls_alert(why, ALERT_ILLEGAL_PARAMETER,
                              "server takes early data of another cipher suite");
    return 0;
}

int neap_client_on_encrypted_extensions(struct tls *tls, struct span message, struct failure *why)
{
    struct reader r = reader_of(span_of(message.data + MESSAGE_HEADER, message.size - MESSAGE_HEADER));
    struct extensions ext;

    struct span block = read_vector(&r, 2);
    if (r.bad || reader_left(&r) > 0)
        return neap_tls_alert(why, ALERT_DECODE_ERROR, "EncryptedExtensions of a wrong form");
    int rc = neap_extensions_parse(block, IN_ENCRYPTED, asked_extensions(tls), &ext, why);
    if (rc)
        return rc;
    if (ext.data[EXT_SERVER_NAME].size > 0)
        return neap_tls_alert(why, ALERT_DECODE_ERROR, "server_name of a wrong form");
    if (!extension_present(&ext, EXT_QUIC_PARAMETERS) && !tls->config->without_params)
        return neap_tls_alert(why, ALERT_MISSING_EXTENSION, "server sent no transport parameters");
    rc = check_early(tls, &ext, why);
    if (!rc)
        rc = take_protocol(tls, &ext, why);
    if (rc)
        return rc;
    if (tls->early == NEAP_EARLY_OFFERED)
        tls->early = extension_present(&ext, EXT_EARLY_DATA) ? NEAP_EARLY_ACCEPTED : NEAP_EARLY_REJECTED;
    rc = neap_tls_keep_params(tls, ext.data[EXT_QUIC_PARAMETERS], why);
    if (rc)
        return rc;
    neap_schedule_add(&tls->schedule, message);
    /* Who was authenticated by the earlier handshake shows no certificate (RFC 8446 §4.3.2, §4.4.2). */
    tls->state = tls->keyed ? WAIT_SERVER_FINISHED : WAIT_CERTIFICATE_OR_REQUEST;
    return 0;
}

/* Behind the Certificate, if one was asked for. */
static int end_flight(struct tls *tls, struct failure *why)
{
    struct schedule *s = &tls->schedule;
    int rc = tls->identity ? neap_tls_write_certificate_verify(tls, end_flight, why) : 0;

    if (!rc)
        rc = neap_tls_write_finished(tls, s->client_handshake, why);
    if (!rc)
        rc = neap_tls_put_secret(tls, TLS_APPLICATION, TLS_WRITE, s->client_application, why);
    if (!rc)
        rc = neap_tls_put_secret(tls, TLS_APPLICATION, TLS_READ, s->server_application, why);
    if (rc)
        return rc;
    neap_tls_begin_taking(tls);
    neap_schedule_forget_handshake(s);
    tls->read_level = TLS_APPLICATION;
    tls->state = CONNECTED;
    return 0;
}

static int answer_server(struct tls *tls, struct failure *why)
{
    int rc = neap_tls_ask_resumed(tls, answer_server, why);

    if (!rc && tls->certificate_requested)
        rc = neap_tls_write_certificate(tls, why);
    return rc ? rc : end_flight(tls, why);
}

int neap_client_on_finished(struct tls *tls, struct span message, struct failure *why)
{
    int rc = neap_tls_check_finished(tls, message, tls->schedule.server_handshake, why);

    if (rc)
        return rc;
    neap_tls_application_keys(tls);
    return answer_server(tls, why);
}
