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

/* Derive-Secret(secret, label, messages so far). */
static void derive(const struct schedule *s, const char *label, uint8_t *out)
{
    uint8_t digest[CRYPTO_MAX_HASH];

    neap_hash_peek(&s->transcript, digest);
    neap_hkdf_expand_label(s->hash, s->secret, label, span_of(digest, hash_size(s)), out, hash_size(s));
}

/* One step down in the diagram of RFC 8446 §7.1: Derive-Secret(secret, "derived", "") salts the next Extract. */
static void advance(struct schedule *s, struct span input)
{
    uint8_t empty[CRYPTO_MAX_HASH], salt[CRYPTO_MAX_HASH];

    neap_hash(s->hash, (struct span){0}, empty);
    neap_hkdf_expand_label(s->hash, s->secret, "derived", span_of(empty, hash_size(s)), salt, hash_size(s));
    neap_hkdf_extract(s->hash, span_of(salt, hash_size(s)), input, s->secret);
    neap_wipe(salt, sizeof salt);
}

void neap_schedule_handshake(struct schedule *s, struct span shared)
{
    static const uint8_t zeros[CRYPTO_MAX_HASH];
    struct span none = span_of(zeros, hash_size(s));

    neap_hkdf_extract(s->hash, none, none, s->secret);
    advance(s, shared);
    derive(s, "c hs traffic", s->client_handshake);
    derive(s, "s hs traffic", s->server_handshake);
}

void neap_schedule_application(struct schedule *s)
{
    static const uint8_t zeros[CRYPTO_MAX_HASH];

    advance(s, span_of(zeros, hash_size(s)));
    derive(s, "c ap traffic", s->client_application);
    derive(s, "s ap traffic", s->server_application);
    derive(s, "exp master", s->exporter);
}

void neap_schedule_finished(const struct schedule *s, const uint8_t *traffic_secret, uint8_t *mac)
{
    uint8_t key[CRYPTO_MAX_HASH], digest[CRYPTO_MAX_HASH];

    neap_hkdf_expand_label(s->hash, traffic_secret, "finished", (struct span){0}, key, hash_size(s));
    neap_hash_peek(&s->transcript, digest);
    neap_hmac(s->hash, span_of(key, hash_size(s)), span_of(digest, hash_size(s)), mac);
    neap_wipe(key, sizeof key);
}

void neap_schedule_forget_handshake(struct schedule *s)
{
    neap_wipe(s->secret, sizeof s->secret);
    neap_wipe(s->client_handshake, sizeof s->client_handshake);
    neap_wipe(s->server_handshake, sizeof s->server_handshake);
    neap_wipe(s->client_application, sizeof s->client_application);
    neap_wipe(s->server_application, sizeof s->server_application);
    neap_wipe(s->exporter, sizeof s->exporter);
}

void neap_schedule_free(struct schedule *s)
{
    if (s->started)
        neap_hash_free(&s->transcript);
    neap_wipe(s, sizeof *s);
}
