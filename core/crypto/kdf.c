/* HMAC (RFC 2104), HKDF (RFC 5869), HKDF-Expand-Label (RFC 8446 §7.1) over the back end's hashes; facts of suites. */
#include "crypto/crypto.h"

#include "base/writer.h"
#include "neap.h"

#include <assert.h>
#include <strings.h>

#define MAX_BLOCK 128u
#define LABEL_PREFIX "tls13 "

static size_t block_size(enum crypto_hash hash)
{
    return hash == HASH_SHA256 ? 64 : 128;
}

void neap_hash_peek(const struct hash_state *s, uint8_t *out)
{
    struct hash_state copy;

    neap_hash_copy(&copy, s);
    neap_hash_end(&copy, out);
}

void neap_hash(enum crypto_hash hash, struct span data, uint8_t *out)
{
    struct hash_state state;

    neap_hash_start(&state, hash);
    neap_hash_update(&state, data);
    neap_hash_end(&state, out);
}

void neap_hmac_start(struct hmac_state *h, enum crypto_hash hash, struct span key)
{
    size_t block = block_size(hash);
    uint8_t pad[MAX_BLOCK] = {0};

    if (key.size > block)
        neap_hash(hash, key, pad);
    else if (key.size)
        memcpy(pad, key.data, key.size);
    for (size_t i = 0; i < block; i++)
        pad[i] ^= 0x36;
    neap_hash_start(&h->inner, hash);
    neap_hash_update(&h->inner, span_of(pad, block));
    for (size_t i = 0; i < block; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    neap_hash_start(&h->outer, hash);
    neap_hash_update(&h->outer, span_of(pad, block));
    neap_wipe(pad, sizeof(pad));
}

/* What came to h->inner gets its MAC, and *h is over. */
static void hmac_finish(struct hmac_state *h, uint8_t *out)
{
    enum crypto_hash hash = h->inner.hash;
    uint8_t digest[CRYPTO_MAX_HASH];

    neap_hash_end(&h->inner, digest);
    neap_hash_update(&h->outer, span_of(digest, crypto_hash_size(hash)));
    neap_hash_end(&h->outer, out);
    neap_wipe(digest, sizeof(digest));
}

static void hmac_copy(struct hmac_state *to, const struct hmac_state *from)
{
    neap_hash_copy(&to->inner, &from->inner);
    neap_hash_copy(&to->outer, &from->outer);
}

static void hmac_wipe(struct hmac_state *h)
{
    neap_hash_free(&h->inner);
    neap_hash_free(&h->outer);
}

void neap_hmac_of(const struct hmac_state *h, struct span data, uint8_t *out)
{
    struct hmac_state once;

    hmac_copy(&once, h);
    neap_hash_update(&once.inner, data);
    hmac_finish(&once, out);
}

void neap_hmac(enum crypto_hash hash, struct span key, struct span data, uint8_t *out)
{
    struct hmac_state h;

    neap_hmac_start(&h, hash, key);
    neap_hash_update(&h.inner, data);
    hmac_finish(&h, out);
}

void neap_hmac_sha256(const void *key, size_t key_size, const void *data, size_t size, uint8_t out[32])
{
    neap_hmac(HASH_SHA256, span_of(key, key_size), span_of(data, size), out);
}

void neap_hkdf_extract(enum crypto_hash hash, struct span salt, struct span secret, uint8_t *out)
{
    neap_hmac(hash, salt, secret, out);
}

static void expand(const struct hmac_state *prk, struct span info, uint8_t *out, size_t size)
{
    size_t hash_size = crypto_hash_size(prk->inner.hash);
    uint8_t previous[CRYPTO_MAX_HASH];

    assert(size <= 255 * hash_size);
    for (uint8_t i = 1; size > 0; i++) {
        struct hmac_state h;
        size_t count = size < hash_size ? size : hash_size;

        hmac_copy(&h, prk);
        if (i > 1)
            neap_hash_update(&h.inner, span_of(previous, hash_size));
        neap_hash_update(&h.inner, info);
        neap_hash_update(&h.inner, span_of(&i, 1));
        hmac_finish(&h, previous);
        memcpy(out, previous, count);
        out += count;
        size -= count;
    }
    neap_wipe(previous, sizeof(previous));
}

void neap_hkdf_expand(enum crypto_hash hash, struct span prk, struct span info, uint8_t *out, size_t size)
{
    struct hmac_state h;

    neap_hmac_start(&h, hash, prk);
    expand(&h, info, out, size);
    hmac_wipe(&h);
}

void neap_hkdf_secret_start(struct hkdf_secret *out, enum crypto_hash hash, const uint8_t *secret)
{
    neap_hmac_start(&out->prk, hash, span_of(secret, crypto_hash_size(hash)));
}

void neap_hkdf_secret_expand(const struct hkdf_secret *secret, const char *label, struct span context,
                             uint8_t *out, size_t size)
{
    uint8_t info[2 + 1 + 255 + 1 + 255];
    struct writer w = writer_of(info, sizeof(info));
    size_t label_size = strlen(label);

    assert(size <= 255 && label_size <= 255 - strlen(LABEL_PREFIX) && context.size <= 255);
    write_u16(&w, (uint16_t)size);
    write_u8(&w, (uint8_t)(strlen(LABEL_PREFIX) + label_size));
    write_bytes(&w, LABEL_PREFIX, strlen(LABEL_PREFIX));
    write_bytes(&w, label, label_size);
    write_u8(&w, (uint8_t)context.size);
    write_span(&w, context);
    expand(&secret->prk, span_of(info, writer_size(&w)), out, size);
}

void neap_hkdf_secret_wipe(struct hkdf_secret *secret)
{
    hmac_wipe(&secret->prk);
}

void neap_hkdf_expand_label(enum crypto_hash hash, const uint8_t *secret, const char *label,
                            struct span context, uint8_t *out, size_t size)
{
    struct hkdf_secret once;

    neap_hkdf_secret_start(&once, hash, secret);
    neap_hkdf_secret_expand(&once, label, context, out, size);
    neap_hkdf_secret_wipe(&once);
}

static const struct {
    uint16_t id;
    const char *name;
} suites[] = {{SUITE_AES_128_GCM_SHA256, "TLS_AES_128_GCM_SHA256"},
              {SUITE_AES_256_GCM_SHA384, "TLS_AES_256_GCM_SHA384"},
              {SUITE_CHACHA20_POLY1305_SHA256, "TLS_CHACHA20_POLY1305_SHA256"}};
#define SUITES (sizeof suites / sizeof suites[0])

bool neap_suite_is_known(uint16_t suite)
{
    return neap_suite_name(suite) != NULL;
}

uint16_t neap_suite_find(const char *name)
{
    for (size_t i = 0; i < SUITES; i++)
        if (strcasecmp(suites[i].name, name) == 0)
            return suites[i].id;
    return 0;
}

const char *neap_suite_name(uint16_t suite)
{
    for (size_t i = 0; i < SUITES; i++)
        if (suites[i].id == suite)
            return suites[i].name;
    return NULL;
}

size_t neap_suite_key_size(enum crypto_suite suite)
{
    return suite == SUITE_AES_128_GCM_SHA256 ? 16 : 32;
}

enum crypto_hash neap_suite_hash(enum crypto_suite suite)
{
    return suite == SUITE_AES_256_GCM_SHA384 ? HASH_SHA384 : HASH_SHA256;
}
