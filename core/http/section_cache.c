/* A slot is found by a hash of sizes and of the ends of values, and proved byte by byte. */
#include "http/section_cache.h"

#include "base/writer.h"

#include <string.h>

#define LINES_MOST 16u
#define LINE_HEAD 4u /* two sizes */

/* Up to eight bytes of the end of a text. */
static uint64_t end_of(const char *text, size_t size)
{
    uint64_t word = 0;

    if (size >= sizeof word)
        memcpy(&word, text + size - sizeof word, sizeof word);
    else
        for (size_t i = 0; i < size; i++)
            word = word << 8 | (uint8_t)text[i];
    return word;
}

static uint32_t hash_of(const neap_field *fields, size_t count)
{
    uint64_t hash = count;

    for (size_t i = 0; i < count; i++) {
        hash ^= end_of(fields[i].value, fields[i].value_size) + fields[i].value_size;
        hash = (hash ^ (uint64_t)fields[i].name_size << 32) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    return (uint32_t)(hash >> 32);
}

static size_t slot_of(uint32_t hash)
{
    return hash % SECTION_CACHE_SLOTS;
}

/* Whether the text is what stands at `at`; both are `size` bytes. */
static bool is_same(const uint8_t *at, const char *text, size_t size)
{
    return size == 0 || memcmp(at, text, size) == 0;
}

static bool holds(const struct section_slot *slot, const neap_field *fields, size_t count)
{
    const uint8_t *at = slot->bytes, *end = at + slot->key_size;

    for (size_t i = 0; i < count; i++) {
        const neap_field *f = &fields[i];
        uint16_t sizes[2];

        if (f->never_indexed || (size_t)(end - at) < LINE_HEAD)
            return false;
        memcpy(sizes, at, LINE_HEAD);
        at += LINE_HEAD;
        if (sizes[0] != f->name_size || sizes[1] != f->value_size || !is_same(at, f->name, f->name_size) ||
            !is_same(at + f->name_size, f->value, f->value_size))
            return false;
        at += f->name_size + f->value_size;
    }
    return at == end;
}

const struct section_slot *neap_section_cache_find(const struct section_cache *cache, enum section_kind kind,
                                                   const neap_field *fields, size_t count)
{
    if (count > LINES_MOST)
        return NULL;
    uint32_t hash = hash_of(fields, count);
    const struct section_slot *slot = &cache->slots[slot_of(hash)];
    bool may_be = slot->frame_size > 0 && slot->hash == hash && slot->kind == kind;
    return may_be && holds(slot, fields, count) ? slot : NULL;
}

/* Fields of the peer's or the application's that are about one user (RFC 9110 §11, RFC 6265). How long an answer took
 * shall not tell others that it was given before. */
static bool is_personal(const neap_field *f)
{
    static const char *const names[] = {"set-cookie",          "cookie",
                                        "authorization",       "proxy-authorization",
                                        "www-authenticate",    "proxy-authenticate",
                                        "authentication-info", "proxy-authentication-info"};

    if (f->never_indexed)
        return true;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (f->name_size == strlen(names[i]) && memcmp(f->name, names[i], f->name_size) == 0)
            return true;
    }
    return false;
}

/* Whether the fields may be kept and fit beside their frame: then *size is that of their key. */
static bool may_keep(const neap_field *fields, size_t count, struct span frame, size_t *size)
{
    *size = 0;
    for (size_t i = 0; i < count; i++) {
        size_t most = SECTION_CACHE_BYTES;

        if (fields[i].name_size > most || fields[i].value_size > most || is_personal(&fields[i]))
            return false;
        *size += LINE_HEAD + fields[i].name_size + fields[i].value_size;
    }
    return *size + frame.size <= SECTION_CACHE_BYTES;
}

void neap_section_cache_note(struct section_cache *cache, enum section_kind kind, const neap_field *fields,
                             size_t count, const struct section_info *info, struct span frame)
{
    size_t key_size;

    if (count > LINES_MOST)
        return;
    uint32_t hash = hash_of(fields, count);
    uint32_t *seen = &cache->seen[slot_of(hash)];
    if (*seen != hash) {
        *seen = hash;
        return;
    }
    if (!may_keep(fields, count, frame, &key_size))
        return;
    struct section_slot *slot = &cache->slots[slot_of(hash)];
    struct writer w = writer_of(slot->bytes, sizeof slot->bytes);
    for (size_t i = 0; i < count; i++) {
        uint16_t sizes[2] = {(uint16_t)fields[i].name_size, (uint16_t)fields[i].value_size};

        write_bytes(&w, sizes, LINE_HEAD);
        write_bytes(&w, fields[i].name, fields[i].name_size);
        write_bytes(&w, fields[i].value, fields[i].value_size);
    }
    write_span(&w, frame);
    slot->hash = hash;
    slot->kind = kind;
    slot->key_size = (uint16_t)key_size;
    slot->frame_size = (uint16_t)frame.size;
    slot->fields_size = (uint32_t)neap_fields_size(fields, count);
    slot->info = *info;
}
