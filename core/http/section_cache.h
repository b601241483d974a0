/* HEADERS frames of messages that come again, by their fields, for all connections of a config: without a dynamic table
 * the same fields are the same bytes everywhere. One block of fixed size; zeroed it is empty. */
#ifndef NEAP_HTTP_SECTION_CACHE_H
#define NEAP_HTTP_SECTION_CACHE_H

#include "http/fields.h"

#define SECTION_CACHE_SLOTS 16u
#define SECTION_CACHE_BYTES 204u /* of a slot: what is larger is not kept */

struct section_slot {
    uint32_t hash;
    uint16_t key_size, frame_size; /* in `bytes`, one behind the other; 0: the slot is empty */
    uint32_t fields_size;
    enum section_kind kind;
    struct section_info info;
    uint8_t bytes[SECTION_CACHE_BYTES];
};

struct section_cache {
    uint32_t seen[SECTION_CACHE_SLOTS]; /* hashes that were noted last: what comes once takes no slot */
    struct section_slot slots[SECTION_CACHE_SLOTS];
};

/** What is known of these fields, or NULL. They keep all rules of this kind then. Valid until the next note. */
const struct section_slot *neap_section_cache_find(const struct section_cache *cache, enum section_kind kind,
                                                   const neap_field *fields, size_t count);

/** The frame of the slot. */
static inline struct span section_frame(const struct section_slot *slot)
{
    return span_of(slot->bytes + slot->key_size, slot->frame_size);
}

/** Fields that were not found were checked (`info`) and are the HEADERS frame `frame`: kept when they come for the second
 * time, unless a line is never indexed or is one that holds credentials. */
void neap_section_cache_note(struct section_cache *cache, enum section_kind kind, const neap_field *fields,
                             size_t count, const struct section_info *info, struct span frame);

#endif
