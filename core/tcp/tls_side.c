/* What the streams of one config and side share: the protocols, and its certificates in the form of Mbed TLS. */
#include "base/pool.h"
#include "crypto/identity.h"
#include "tcp/tls_inner.h"

#include <mbedtls/x509_crt.h>
#if MBED_IS_3
#include <psa/crypto.h>
#endif

bool neap_tls_stream_is_available(void)
{
    return true;
}

/* ---- certificates */

static bool has_usable_key(const struct identity *identity)
{
    return neap_identity_key(identity).size > 0;
}

void neap_tls_credentials_free(struct tls_credentials *credentials)
{
    if (!credentials || --credentials->references > 0)
        return;
    mbedtls_x509_crt_free(&credentials->chain);
    mbedtls_pk_free(&credentials->key);
    neap_identity_free(credentials->identity);
    neap_pool_free(credentials->pool, credentials, sizeof *credentials);
}

static void forget_credentials(struct tls_side *side)
{
    while (side->credentials) {
        struct tls_credentials *first = side->credentials;

        side->credentials = first->next;
        neap_tls_credentials_free(first);
    }
    side->count = 0;
}

static int parse_key(struct crypto *crypto, struct span der, mbedtls_pk_context *key)
{
#if MBED_IS_4 || !MBED_IS_3
    (void)crypto;
    return mbedtls_pk_parse_key(key, der.data, der.size, NULL, 0);
#else
    return mbedtls_pk_parse_key(key, der.data, der.size, NULL, 0, tls_stream_draw, crypto);
#endif
}

static int fill(struct tls_credentials *credentials, struct crypto *crypto, const struct identity *identity)
{
    mbedtls_x509_crt_init(&credentials->chain);
    mbedtls_pk_init(&credentials->key);
    int error = parse_key(crypto, neap_identity_key(identity), &credentials->key);
    for (size_t i = 0; i < neap_identity_chain_count(identity) && !error; i++) {
        struct span der = neap_identity_chain(identity, i);
        error = mbedtls_x509_crt_parse_der(&credentials->chain, der.data, der.size);
    }
    return error;
}

static struct tls_credentials *new_credentials(struct tls_side *side, struct identity *identity)
{
    struct pool *pool = side->config->pool;
    struct tls_credentials *credentials = neap_pool_alloc_lasting(pool, sizeof *credentials);

    if (!credentials)
        return NULL;
    credentials->pool = pool;
    credentials->references = 1;
    credentials->identity = neap_identity_retain(identity);
    if (!fill(credentials, side->config->crypto, identity))
        return credentials;
    neap_tls_credentials_free(credentials);
    return NULL;
}

/* The least used goes. */
static void drop_last(struct tls_side *side)
{
    struct tls_credentials **at = &side->credentials;

    while ((*at)->next)
        at = &(*at)->next;
    neap_tls_credentials_free(*at);
    *at = NULL;
    side->count--;
}

/* Those of an identity, from now on the first; NULL without memory, or for what Mbed TLS cannot read. */
static struct tls_credentials *find_credentials(struct tls_side *side, struct identity *identity)
{
    struct tls_credentials **at = &side->credentials, *found;

    while (*at && (*at)->identity != identity)
        at = &(*at)->next;
    found = *at;
    if (found) {
        *at = found->next;
    } else {
        found = new_credentials(side, identity);
        if (!found)
            return NULL;
        if (side->count == LIMIT_TLS_SIDE_CREDENTIALS)
            drop_last(side);
        side->count++;
    }
    found->next = side->credentials;
    side->credentials = found;
    return found;
}

static bool offer(struct tls_stream *stream, struct identity *identity,
                  int (*add)(struct tls_stream *, mbedtls_x509_crt *, mbedtls_pk_context *))
{
    if (!has_usable_key(identity) || stream->credentials_count == TLS_STREAM_CREDENTIALS)
        return false;
    struct tls_credentials *credentials = find_credentials(stream->side, identity);
    if (!credentials || add(stream, &credentials->chain, &credentials->key))
        return false;
    credentials->references++;
    stream->credentials[stream->credentials_count++] = credentials;
    return true;
}

/* Which of several a client shows is not asked of the server: the first. */
static unsigned offer_first(struct tls_stream *stream,
                            int (*add)(struct tls_stream *, mbedtls_x509_crt *, mbedtls_pk_context *))
{
    const struct identity_set *set = &stream->side->config->identities;

    for (size_t i = 0; i < set->count; i++)
        if (has_usable_key(set->list[i]))
            return offer(stream, set->list[i], add);
    return 0;
}

unsigned neap_tls_side_offer(struct tls_stream *stream, const char *name,
                             int (*add)(struct tls_stream *, mbedtls_x509_crt *, mbedtls_pk_context *))
{
    static const uint8_t ecdsa[] = {0x04, 0x03, 0x05, 0x03};
    static const uint8_t rsa[] = {0x08, 0x04, 0x08, 0x05, 0x08, 0x06};
    struct tls_side *side = stream->side;
    struct identity_wish wish = {.name = name, .schemes = span_of(ecdsa, sizeof ecdsa)};

    if (side->reloads != side->config->tls.reloads) {
        forget_credentials(side);
        side->reloads = side->config->tls.reloads;
    }
    if (!side->is_server)
        return offer_first(stream, add);
    struct identity_choice by_ecdsa = neap_identity_set_choose(&side->config->identities, &wish);
    wish.schemes = span_of(rsa, sizeof rsa);
    struct identity_choice by_rsa = neap_identity_set_choose(&side->config->identities, &wish);
    unsigned count = 0;
    if (by_ecdsa.identity && (by_ecdsa.is_named || !by_rsa.is_named))
        count += offer(stream, by_ecdsa.identity, add);
    if (by_rsa.identity && (by_rsa.is_named || !by_ecdsa.is_named))
        count += offer(stream, by_rsa.identity, add);
    return count;
}

/* ---- the side */

static bool has_usable_identity(const struct identity_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        if (has_usable_key(set->list[i]))
            return true;
    return false;
}

static int check_config(const neap_config *config, bool is_server, struct failure *why)
{
    const struct tls_config *tls = &config->tls;

    if (tls->asks)
        return neap_fail(why, NEAP_ERR_UNSUPPORTED,
                         "the application is asked in handshakes of QUIC alone, not of TLS over TCP");
    if (!is_server && tls->staple == STAPLE_REQUIRED)
        return neap_fail(why, NEAP_ERR_UNSUPPORTED, "TLS over TCP asks for no OCSP response");
    if (!is_server)
        return 0;
    if (!has_usable_identity(&config->identities))
        return neap_fail(why, NEAP_ERR_CERTIFICATE,
                         "TLS over TCP needs a certificate with an ECDSA or RSA key that is here");
    if (tls->client_certificate != DEMAND_NONE && neap_trust_is_empty(tls->client_trust))
        return neap_fail(why, NEAP_ERR_CERTIFICATE, "there is nothing to verify clients' certificates with");
    return 0;
}

static int keep_protocols(struct tls_side *side, const char *const *protocols, struct failure *why)
{
    for (size_t i = 0; protocols && protocols[i]; i++) {
        size_t size = strlen(protocols[i]);

        if (i == LIMIT_TLS_STREAM_PROTOCOLS || size == 0 || size > LIMIT_ALPN)
            return neap_fail(why, NEAP_ERR_ARGUMENT, "protocols have 1 to 255 bytes, and are four at most");
        memcpy(side->names[i], protocols[i], size + 1);
        side->protocols[i] = side->names[i];
    }
    return 0;
}

static int start_library(struct failure *why)
{
#if MBED_IS_3
    if (psa_crypto_init() != PSA_SUCCESS)
        return neap_fail(why, NEAP_ERR_CRYPTO, "Mbed TLS's generator cannot start");
#else
    (void)why;
#endif
    return 0;
}

struct tls_side *neap_tls_side_new(neap_config *config, bool is_server, const char *const *protocols,
                                   struct failure *why)
{
    if (check_config(config, is_server, why) || start_library(why))
        return NULL;
    struct tls_side *side = neap_pool_alloc_lasting(config->pool, sizeof *side);
    if (!side) {
        neap_fail(why, NEAP_ERR_NO_MEMORY, "no memory for TLS");
        return NULL;
    }
    side->config = neap_config_retain(config);
    side->references = 1;
    side->is_server = is_server;
    side->reloads = config->tls.reloads;
    if (!keep_protocols(side, protocols, why))
        return side;
    neap_tls_side_free(side);
    return NULL;
}

void neap_tls_side_free(struct tls_side *side)
{
    if (!side || --side->references > 0)
        return;
    neap_config *config = side->config;
    forget_credentials(side);
    neap_pool_free(config->pool, side, sizeof *side);
    neap_config_free(config);
}
