#include "tls/schedule.h"

static size_t hash_size(const struct schedule *s)
{
    return crypto_hash_size(s->hash);
}

void neap_schedule_start(struct schedule *s, enum crypto_suite suite)
{
    s->suite = suite;
    s->hash = neap_suite_hash(suite);
    neap_hash_start(&s->transcript, s->hash);
    s->started = true;
}

void neap_schedule_add(struct schedule *s, struct span message)
{
    neap_hash_update(&s->transcript, message);
}

void neap_schedule_peek(const struct schedule *s, uint8_t *out)
{
    neap_hash_peek(&s->transcript, out);
}

void neap_schedule_retry(struct schedule *s)
{
    uint8_t message[4 + CRYPTO_MAX_HASH] = {254, 0, 0, (uint8_t)hash_size(s)};

    neap_hash_peek(&s->transcript, message + 4);
    neap_hash_free(&s->transcript);
    neap_hash_start(&s->transcript, s->hash);
    neap_hash_update(&s->transcript, span_of(message, 4 + hash_size(s)));
}

/* Derive-Secret(secret, label, messages so far) of two labels. */
static void derive_pair(const struct schedule *s, const char *client_label, uint8_t *client,
                        const char *server_label, uint8_t *server)
{
    uint8_t digest[CRYPTO_MAX_HASH];
    struct span messages = span_of(digest, hash_size(s));
    struct hkdf_secret secret;

    neap_hash_peek(&s->transcript, digest);
    neap_hkdf_secret_start(&secret, s->hash, s->secret);
    neap_hkdf_secret_expand(&secret, client_label, messages, client, hash_size(s));
    neap_hkdf_secret_expand(&secret, server_label, messages, server, hash_size(s));
    neap_hkdf_secret_wipe(&secret);
}

/* The first two steps down in the diagram of RFC 8446 §7.1 have no input without a PSK, so they end in a constant of each
 * hash: Derive-Secret(HKDF-Extract(0, 0), "derived", ""). And the hash of no messages is one. */
struct constants {
    uint8_t derived_early[CRYPTO_MAX_HASH], no_messages[CRYPTO_MAX_HASH];
};

static const struct constants *constants_of(enum crypto_hash hash)
{
    static const struct constants constants[] = {
        [HASH_SHA256] = {{0x6f, 0x26, 0x15, 0xa1, 0x08, 0xc7, 0x02, 0xc5, 0x67, 0x8f, 0x54,
                          0xfc, 0x9d, 0xba, 0xb6, 0x97, 0x16, 0xc0, 0x76, 0x18, 0x9c, 0x48,
                          0x25, 0x0c, 0xeb, 0xea, 0xc3, 0x57, 0x6c, 0x36, 0x11, 0xba},
                         {0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4,
                          0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b,
                          0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55}},
        [HASH_SHA384] = {{0x15, 0x91, 0xda, 0xc5, 0xcb, 0xbf, 0x03, 0x30, 0xa4, 0xa8, 0x4d, 0xe9,
                          0xc7, 0x53, 0x33, 0x0e, 0x92, 0xd0, 0x1f, 0x0a, 0x88, 0x21, 0x4b, 0x44,
                          0x64, 0x97, 0x2f, 0xd6, 0x68, 0x04, 0x9e, 0x93, 0xe5, 0x2f, 0x2b, 0x16,
                          0xfa, 0xd9, 0x22, 0xfd, 0xc0, 0x58, 0x44, 0x78, 0x42, 0x8f, 0x28, 0x2b},
                         {0x38, 0xb0, 0x60, 0xa7, 0x51, 0xac, 0x96, 0x38, 0x4c, 0xd9, 0x32, 0x7e,
                          0xb1, 0xb1, 0xe3, 0x6a, 0x21, 0xfd, 0xb7, 0x11, 0x14, 0xbe, 0x07, 0x43,
                          0x4c, 0x0c, 0xc7, 0xbf, 0x63, 0xf6, 0xe1, 0xda, 0x27, 0x4e, 0xde, 0xbf,
                          0xe7, 0x6f, 0x65, 0xfb, 0xd5, 0x1a, 0xd2, 0xf1, 0x48, 0x98, 0xb9, 0x5b}},
    };

    return &constants[hash];
}

/* Extract the early secret of a pre-shared key, and Derive-Secret(it, label, messages of this digest). */
static void derive_from_psk(enum crypto_hash hash, struct span psk, const char *label, const uint8_t *digest,
                            uint8_t *out)
{
    static const uint8_t zeros[CRYPTO_MAX_HASH];
    uint8_t early[CRYPTO_MAX_HASH];
    size_t size = crypto_hash_size(hash);

    neap_hkdf_extract(hash, span_of(zeros, size), psk, early);
    neap_hkdf_expand_label(hash, early, label, span_of(digest, size), out, size);
    neap_wipe(early, sizeof early);
}

/* The MAC of a Finished or a binder: HMAC under the secret's "finished" key. */
static void finish(enum crypto_hash hash, const uint8_t *secret, const uint8_t *digest, uint8_t *mac)
{
    uint8_t key[CRYPTO_MAX_HASH];
    size_t size = crypto_hash_size(hash);

    neap_hkdf_expand_label(hash, secret, "finished", (struct span){0}, key, size);
    neap_hmac(hash, span_of(key, size), span_of(digest, size), mac);
    neap_wipe(key, sizeof key);
}

void neap_schedule_binder(const struct schedule *s, enum crypto_hash hash, struct span psk, bool is_external,
                          struct span hello, uint8_t *out)
{
    uint8_t secret[CRYPTO_MAX_HASH], digest[CRYPTO_MAX_HASH];
    struct hash_state transcript;

    if (s->started)
        transcript = s->transcript;
    else
        neap_hash_start(&transcript, hash);
    neap_hash_update(&transcript, hello);
    neap_hash_peek(&transcript, digest);
    neap_hash_free(&transcript);
    derive_from_psk(hash, psk, is_external ? "ext binder" : "res binder", constants_of(hash)->no_messages,
                    secret);
    finish(hash, secret, digest, out);
    neap_wipe(secret, sizeof secret);
}

void neap_schedule_early(enum crypto_hash hash, struct span psk, struct span hello, uint8_t *out)
{
    uint8_t digest[CRYPTO_MAX_HASH];

    neap_hash(hash, hello, digest);
    derive_from_psk(hash, psk, "c e traffic", digest, out);
}

void neap_schedule_handshake(struct schedule *s, struct span psk, struct span shared)
{
    uint8_t salt[CRYPTO_MAX_HASH];

    if (psk.size)
        derive_from_psk(s->hash, psk, "derived", constants_of(s->hash)->no_messages, salt);
    else
        memcpy(salt, constants_of(s->hash)->derived_early, hash_size(s));
    neap_hkdf_extract(s->hash, span_of(salt, hash_size(s)), shared, s->secret);
    neap_wipe(salt, sizeof salt);
    derive_pair(s, "c hs traffic", s->client_handshake, "s hs traffic", s->server_handshake);
}

void neap_schedule_application(struct schedule *s)
{
    static const uint8_t zeros[CRYPTO_MAX_HASH];
    uint8_t salt[CRYPTO_MAX_HASH];

    neap_hkdf_expand_label(s->hash, s->secret, "derived",
                           span_of(constants_of(s->hash)->no_messages, hash_size(s)), salt, hash_size(s));
    neap_hkdf_extract(s->hash, span_of(salt, hash_size(s)), span_of(zeros, hash_size(s)), s->secret);
    neap_wipe(salt, sizeof salt);
    derive_pair(s, "c ap traffic", s->client_application, "s ap traffic", s->server_application);
}

/* Derive-Secret(the secret of now, label, messages so far). */
static void derive_secret(const struct schedule *s, const char *label, uint8_t *out)
{
    uint8_t digest[CRYPTO_MAX_HASH];

    neap_hash_peek(&s->transcript, digest);
    neap_hkdf_expand_label(s->hash, s->secret, label, span_of(digest, hash_size(s)), out, hash_size(s));
}

void neap_schedule_exporter(const struct schedule *s, uint8_t *out)
{
    derive_secret(s, "exp master", out);
}

void neap_schedule_resumption(const struct schedule *s, struct span finished, uint8_t *out)
{
    uint8_t digest[CRYPTO_MAX_HASH];
    struct hash_state transcript;

    neap_hash_copy(&transcript, &s->transcript);
    neap_hash_update(&transcript, finished);
    neap_hash_end(&transcript, digest);
    neap_hkdf_expand_label(s->hash, s->secret, "res master", span_of(digest, hash_size(s)), out,
                           hash_size(s));
}

void neap_resumption_psk(enum crypto_hash hash, const uint8_t *resumption, struct span nonce, uint8_t *out)
{
    neap_hkdf_expand_label(hash, resumption, "resumption", nonce, out, crypto_hash_size(hash));
}

void neap_schedule_finished(const struct schedule *s, const uint8_t *traffic_secret, uint8_t *mac)
{
    uint8_t digest[CRYPTO_MAX_HASH];

    neap_hash_peek(&s->transcript, digest);
    finish(s->hash, traffic_secret, digest, mac);
}

void neap_schedule_forget_handshake(struct schedule *s)
{
    neap_wipe(s->secret, sizeof s->secret);
    neap_wipe(s->client_handshake, sizeof s->client_handshake);
    neap_wipe(s->server_handshake, sizeof s->server_handshake);
    neap_wipe(s->client_application, sizeof s->client_application);
    neap_wipe(s->server_application, sizeof s->server_application);
}

void neap_schedule_free(struct schedule *s)
{
    if (s->started)
        neap_hash_free(&s->transcript);
    neap_wipe(s, sizeof *s);
}
