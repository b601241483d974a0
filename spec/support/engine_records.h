/* Records of what an engine of AES-GCM has to compute, and the check of one: for units_engines.c, and for engine_host.c,
 * which has nothing else of neap's inside and runs on other CPUs. A record has no padding, numbers little-endian:
 * suite 2, key 32, hp 32, count 1, then so many messages of nonce 12, aad size 2, size 2, sample 16, mask 5, aad,
 * plaintext, sealed. */
#ifndef NEAP_SPEC_ENGINE_RECORDS_H
#define NEAP_SPEC_ENGINE_RECORDS_H

#include "crypto/engine.h"
#include "neap.h"

#include <stdlib.h>

#define RECORD_MESSAGES 16u
#define RECORD_HEAD (2u + 32u + 32u + 1u)
#define RECORD_MESSAGE_HEAD (12u + 2u + 2u + 16u + 5u)

struct record_message {
    struct aead_item item; /* `out` NULL */
    const uint8_t *sample, *mask, *sealed;
};

static inline size_t record_number(const uint8_t *at)
{
    return (size_t)at[0] | (size_t)at[1] << 8;
}

/* Take the head of a message; false at the end of the bytes. */
static inline bool record_take(struct span *bytes, struct record_message *m)
{
    const uint8_t *at = bytes->data;

    if (bytes->size < RECORD_MESSAGE_HEAD)
        return false;
    size_t aad_size = record_number(at + 12), size = record_number(at + 14);
    if (bytes->size < RECORD_MESSAGE_HEAD + aad_size + 2 * size + CRYPTO_TAG)
        return false;
    const uint8_t *aad = at + RECORD_MESSAGE_HEAD;
    memcpy(m->item.nonce, at, CRYPTO_IV);
    m->item.aad = span_of(aad, aad_size);
    m->item.in = aad + aad_size;
    m->item.size = size;
    m->item.out = NULL;
    m->sample = at + 16;
    m->mask = at + 32;
    m->sealed = m->item.in + size;
    *bytes = span_after(*bytes, RECORD_MESSAGE_HEAD + aad_size + 2 * size + CRYPTO_TAG);
    return true;
}

/* Rooms of exactly the sizes that are written, at odd addresses. */
static inline uint8_t *room_of(size_t size, size_t odd)
{
    return (uint8_t *)malloc(size + odd + 1) + odd;
}

static inline void room_free(uint8_t *room, size_t odd)
{
    free(room - odd);
}

static inline const char *check_seal(const struct engine *engine, void *expanded,
                                     const struct record_message *messages, size_t count, bool in_place)
{
    struct aead_item items[RECORD_MESSAGES] = {0};
    const char *wrong = NULL;

    for (size_t i = 0; i < count; i++) {
        size_t odd = i + messages[i].item.size % 13;
        items[i] = messages[i].item;
        items[i].out = room_of(items[i].size + CRYPTO_TAG, odd);
        if (in_place) {
            memcpy(items[i].out, items[i].in, items[i].size);
            items[i].in = items[i].out;
        }
    }
    if (engine->seal_run(expanded, items, count))
        wrong = "it does not seal";
    for (size_t i = 0; i < count; i++) {
        if (memcmp(items[i].out, messages[i].sealed, items[i].size + CRYPTO_TAG) != 0)
            wrong = in_place ? "sealed in place otherwise" : "sealed otherwise";
        room_free(items[i].out, i + messages[i].item.size % 13);
    }
    return wrong;
}

static inline const char *check_open(const struct engine *engine, void *expanded,
                                     const struct record_message *m, bool in_place)
{
    size_t size = m->item.size, odd = size % 15;
    struct aead_item item = m->item;
    const char *wrong = NULL;

    item.in = m->sealed;
    item.size = size + CRYPTO_TAG;
    item.out = room_of(in_place ? item.size : size, odd);
    if (in_place) {
        memcpy(item.out, m->sealed, item.size);
        item.in = item.out;
    }
    if (engine->open(expanded, &item))
        wrong = "it does not open";
    else if (memcmp(item.out, m->item.in, size) != 0)
        wrong = "opened otherwise";
    room_free(item.out, odd);
    return wrong;
}

/* What is written where a forged message should have been opened to: nothing, or zeros by libraries that decrypt first. */
static inline const char *check_unwritten(const struct engine *engine, const uint8_t *out,
                                          const uint8_t *before, size_t size)
{
    uint8_t any = 0;

    if (memcmp(out, before, size) == 0)
        return NULL;
    for (size_t i = 0; i < size; i++)
        any |= out[i];
    return engine->is_accelerated || any ? "what is forged is written" : NULL;
}

/* One bit of the message is another: it is refused, nothing of it is written, and the tag stays. */
static inline const char *check_forged(const struct engine *engine, void *expanded,
                                       const struct record_message *m, size_t bit, bool in_place)
{
    size_t size = m->item.size, odd = size % 11, sealed_size = size + CRYPTO_TAG;
    struct aead_item item = m->item;
    uint8_t *forged = room_of(sealed_size, odd), *before = room_of(sealed_size, odd);
    const char *wrong = NULL;

    memcpy(forged, m->sealed, sealed_size);
    forged[bit / 8 % sealed_size] ^= (uint8_t)(1u << bit % 8);
    item.size = sealed_size;
    item.in = forged;
    item.out = in_place ? forged : room_of(size, odd);
    if (!in_place)
        memset(item.out, 0xa5, size);
    memcpy(before, item.out, in_place ? sealed_size : size);
    if (engine->open(expanded, &item) != NEAP_ERR_CRYPTO)
        wrong = "it opens what is forged";
    if (!wrong)
        wrong = check_unwritten(engine, item.out, before, size);
    if (!wrong && in_place && memcmp(before + size, item.out + size, CRYPTO_TAG) != 0)
        wrong = "the tag does not stay";
    if (!in_place)
        room_free(item.out, odd);
    room_free(before, odd);
    room_free(forged, odd);
    return wrong;
}

static inline const char *check_masks(const struct engine *engine, void *expanded,
                                      const struct record_message *messages, size_t count)
{
    const uint8_t *samples[RECORD_MESSAGES];
    uint8_t masks[RECORD_MESSAGES][MASK_BLOCK];

    for (size_t i = 0; i < count; i++)
        samples[i] = messages[i].sample;
    if (engine->mask(expanded, samples, count, masks))
        return "it makes no masks";
    for (size_t i = 0; i < count; i++)
        if (memcmp(masks[i], messages[i].mask, 5) != 0)
            return "another mask";
    if (engine->mask(expanded, samples, 1, masks) || memcmp(masks[0], messages[0].mask, 5) != 0)
        return "another mask of one";
    return NULL;
}

/* Take a record and check it: NULL, or what is wrong. *messages counts those that were checked. */
static inline const char *record_check(const struct engine *engine, struct span *bytes, size_t *checked)
{
    uint64_t expanded[EXPANDED_KEY_ROOM / sizeof(uint64_t)];
    struct record_message messages[RECORD_MESSAGES];
    struct packet_key key = {0};
    const char *wrong = NULL;

    if (bytes->size < RECORD_HEAD || bytes->data[66] > RECORD_MESSAGES)
        return "no record";
    key.suite = (uint16_t)record_number(bytes->data);
    memcpy(key.key, bytes->data + 2, 32);
    memcpy(key.hp, bytes->data + 34, 32);
    size_t count = bytes->data[66];
    *bytes = span_after(*bytes, RECORD_HEAD);
    for (size_t i = 0; i < count; i++)
        if (!record_take(bytes, &messages[i]))
            return "a record that is cut";
    if (engine->expand(expanded, &key))
        return "it does not expand";
    wrong = check_seal(engine, expanded, messages, count, false);
    if (!wrong)
        wrong = check_seal(engine, expanded, messages, count, true);
    if (!wrong)
        wrong = check_masks(engine, expanded, messages, count);
    for (size_t i = 0; i < count && !wrong; i++) {
        wrong = check_open(engine, expanded, &messages[i], i % 2 == 0);
        if (!wrong)
            wrong =
                check_forged(engine, expanded, &messages[i], (size_t)messages[i].sample[0] * 37, i % 3 != 0);
        ++*checked;
    }
    engine->clear(expanded);
    for (size_t i = 0; i < engine->expanded_size && !wrong; i++)
        if (((const uint8_t *)expanded)[i] != 0)
            wrong = "something is left of the key";
    return wrong;
}

#endif
