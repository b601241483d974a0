/* Which engine of AES-GCM a machine gets. */
#include "crypto/engine.h"

#include "crypto/accel/accel.h"
#include "neap.h"

static const struct engine *const engines[] = {
#ifdef ACCEL_VAES
    &neap_engine_vaes512, &neap_engine_vaes256,
#endif
#ifdef ACCEL_X86
    &neap_engine_aesni,
#endif
#ifdef ACCEL_ARMV8
    &neap_engine_armv8,
#endif
    &neap_engine_mbedtls,
};

/* The known answer: messages of 700 and 20 bytes, each byte its index, with 13 bytes of associated data. A tag speaks
 * for all of the sealed bytes. */
#define LONG_SIZE 700u
#define SHORT_SIZE 20u
#define AAD_SIZE 13u

static const struct {
    enum crypto_suite suite;
    uint8_t long_tag[CRYPTO_TAG], short_tag[CRYPTO_TAG], mask[5];
} answers[] = {
    {SUITE_AES_128_GCM_SHA256,
     {0xea, 0xe6, 0x3d, 0xe8, 0xf9, 0xd7, 0xed, 0x81, 0x20, 0x06, 0xcd, 0xb2, 0x57, 0x99, 0x06, 0xe4},
     {0x02, 0xd1, 0x0b, 0x8e, 0x8c, 0x06, 0x60, 0xc9, 0x80, 0xa4, 0xb2, 0x3a, 0xe1, 0x37, 0x7c, 0xd3},
     {0x3d, 0x0f, 0xa4, 0xb8, 0x55}},
    {SUITE_AES_256_GCM_SHA384,
     {0xc0, 0x2d, 0xa2, 0x34, 0x5e, 0x98, 0xdf, 0x51, 0x6d, 0x6b, 0xf3, 0x2f, 0xbe, 0x00, 0x9d, 0x7c},
     {0x5e, 0x94, 0x5c, 0xc9, 0xfe, 0x85, 0x76, 0x55, 0x3c, 0x1b, 0x17, 0x68, 0x93, 0x79, 0x65, 0xc0},
     {0xd0, 0x5d, 0x67, 0xe0, 0x03}},
};

static bool knows_answer(const struct engine *engine, size_t which)
{
    uint64_t expanded[EXPANDED_KEY_ROOM / sizeof(uint64_t)];
    struct packet_key key = {.suite = (uint16_t)answers[which].suite};
    uint8_t plain[LONG_SIZE], sealed[2][LONG_SIZE + CRYPTO_TAG], masks[3][MASK_BLOCK];
    struct aead_item items[2];
    const uint8_t *samples[3] = {plain + 5, plain, plain + 9};

    for (size_t i = 0; i < sizeof(plain); i++)
        plain[i] = (uint8_t)i;
    memcpy(key.key, plain, neap_suite_key_size(answers[which].suite));
    memcpy(key.hp, plain + 64, neap_suite_key_size(answers[which].suite));
    for (size_t i = 0; i < 2; i++) {
        items[i] = (struct aead_item){.aad = span_of(plain, AAD_SIZE), .in = plain, .out = sealed[i]};
        items[i].size = i == 0 ? LONG_SIZE : SHORT_SIZE;
        memcpy(items[i].nonce, plain, CRYPTO_IV);
    }
    if (engine->expand(expanded, &key))
        return false;
    bool knows = !engine->seal_run(expanded, items, 2) && !engine->mask(expanded, samples, 3, masks) &&
                 memcmp(sealed[0] + LONG_SIZE, answers[which].long_tag, CRYPTO_TAG) == 0 &&
                 memcmp(sealed[1] + SHORT_SIZE, answers[which].short_tag, CRYPTO_TAG) == 0 &&
                 memcmp(masks[1], answers[which].mask, sizeof(answers[which].mask)) == 0;
    for (size_t i = 0; i < 2; i++) {
        items[i].in = items[i].out;
        items[i].size += CRYPTO_TAG;
        knows = knows && !engine->open(expanded, &items[i]) &&
                memcmp(items[i].out, plain, items[i].size - CRYPTO_TAG) == 0;
    }
    sealed[1][SHORT_SIZE] ^= 1;
    knows = knows && engine->open(expanded, &items[1]) == NEAP_ERR_CRYPTO;
    engine->clear(expanded);
    return knows;
}

static bool works(const struct engine *engine)
{
    return !engine->is_here || (engine->is_here() && knows_answer(engine, 0) && knows_answer(engine, 1));
}

const struct engine *neap_engine_at(size_t index)
{
    for (size_t i = 0; i < sizeof(engines) / sizeof(engines[0]); i++)
        if (works(engines[i]) && index-- == 0)
            return engines[i];
    return NULL;
}

const struct engine *neap_engine_choose(const char *name)
{
    const struct engine *engine;

    for (size_t i = 0; name && (engine = neap_engine_at(i)) != NULL; i++)
        if (strcmp(engine->name, name) == 0)
            return engine;
    return neap_engine_at(0);
}
