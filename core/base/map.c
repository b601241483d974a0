/* Open addressing with linear probing. A removed slot stays marked until the next rehash, so that removing while
 * walking is allowed. */
#include "base/map.h"

#include "base/pool.h"
#include "neap.h"

#define FIRST_CAPACITY 16u

struct map_slot {
    void *value; /* NULL: free, or removed when size is SLOT_REMOVED */
    uint8_t key[MAP_KEY_MAX];
    uint8_t size;
};

#define SLOT_REMOVED 0xffu

static inline uint64_t load_le(const uint8_t *p, size_t size)
{
    uint64_t value = 0;

    for (size_t i = 0; i < size; i++)
        value |= (uint64_t)p[i] << (8 * i);
    return value;
}

static uint64_t rotate_left(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

struct sip {
    uint64_t a, b, c, d;
};

/* By value, so that the state stays in registers. */
static inline struct sip sip_round(struct sip v)
{
    v.a += v.b;
    v.b = rotate_left(v.b, 13) ^ v.a;
    v.a = rotate_left(v.a, 32);
    v.c += v.d;
    v.d = rotate_left(v.d, 16) ^ v.c;
    v.a += v.d;
    v.d = rotate_left(v.d, 21) ^ v.a;
    v.c += v.b;
    v.b = rotate_left(v.b, 17) ^ v.c;
    v.c = rotate_left(v.c, 32);
    return v;
}

static inline struct sip sip_absorb(struct sip v, uint64_t word)
{
    v.d ^= word;
    v = sip_round(v);
    v.a ^= word;
    return v;
}

uint64_t neap_siphash(const uint64_t key[2], struct span data)
{
    struct sip v = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d, key[0] ^ 0x6c7967656e657261,
                    key[1] ^ 0x7465646279746573};
    size_t whole = data.size / 8 * 8;

    for (size_t i = 0; i < whole; i += 8)
        v = sip_absorb(v, load_le(data.data + i, 8));
    uint64_t tail = (uint64_t)data.size << 56;
    if (data.size > whole)
        tail |= load_le(data.data + whole, data.size - whole);
    v = sip_absorb(v, tail);
    v.c ^= 0xff;
    for (int i = 0; i < 3; i++)
        v = sip_round(v);
    return v.a ^ v.b ^ v.c ^ v.d;
}

struct map neap_map_of(const uint8_t key[16])
{
    return (struct map){.key = {load_le(key, 8), load_le(key + 8, 8)}};
}

static bool slot_is_key(const struct map_slot *slot, struct span key)
{
    return slot->value && slot->size == key.size &&
           (key.size == 0 || memcmp(slot->key, key.data, key.size) == 0);
}

/* The slot of a key, or NULL. At least one slot is always free, so probing ends. */
static struct map_slot *find(const struct map *m, struct span key)
{
    if (m->count == 0 || key.size > MAP_KEY_MAX)
        return NULL;
    uint32_t mask = m->capacity - 1;
    for (uint32_t at = (uint32_t)neap_siphash(m->key, key) & mask;; at = (at + 1) & mask) {
        struct map_slot *slot = &m->slots[at];

        if (slot_is_key(slot, key))
            return slot;
        if (!slot->value && slot->size != SLOT_REMOVED)
            return NULL;
    }
}

/* Put a key that is not there into the first slot never used since the last rehash. */
static void place(struct map *m, struct span key, void *value)
{
    uint32_t mask = m->capacity - 1;
    uint32_t at = (uint32_t)neap_siphash(m->key, key) & mask;

    while (m->slots[at].value || m->slots[at].size == SLOT_REMOVED)
        at = (at + 1) & mask;
    struct map_slot *slot = &m->slots[at];
    slot->value = value;
    slot->size = (uint8_t)key.size;
    if (key.size)
        memcpy(slot->key, key.data, key.size);
    m->count++;
    m->used++;
}

static int rehash(struct map *m, struct pool *pool)
{
    struct map old = *m;
    uint32_t capacity = FIRST_CAPACITY;

    while (capacity / 2 < m->count + 1)
        capacity *= 2;
    struct map_slot *slots = neap_pool_alloc(pool, capacity * sizeof(*slots));
    if (!slots)
        return NEAP_ERR_NO_MEMORY;
    m->slots = slots;
    m->capacity = capacity;
    m->count = m->used = 0;
    for (uint32_t i = 0; i < old.capacity; i++) {
        if (old.slots[i].value)
            place(m, span_of(old.slots[i].key, old.slots[i].size), old.slots[i].value);
    }
    neap_pool_free(pool, old.slots, old.capacity * sizeof(*slots));
    return 0;
}

int neap_map_set(struct map *m, struct pool *pool, struct span key, void *value)
{
    if (key.size > MAP_KEY_MAX || !value)
        return NEAP_ERR_ARGUMENT;
    struct map_slot *slot = find(m, key);
    if (slot) {
        slot->value = value;
        return 0;
    }
    /* Three quarters full at most. */
    if (m->used >= m->capacity / 4 * 3) {
        int error = rehash(m, pool);
        if (error)
            return error;
    }
    place(m, key, value);
    return 0;
}

void *neap_map_get(const struct map *m, struct span key)
{
    const struct map_slot *slot = find(m, key);

    return slot ? slot->value : NULL;
}

void *neap_map_remove(struct map *m, struct span key)
{
    struct map_slot *slot = find(m, key);

    if (!slot)
        return NULL;
    void *value = slot->value;
    *slot = (struct map_slot){.size = SLOT_REMOVED};
    m->count--;
    return value;
}

void *neap_map_next(const struct map *m, uint32_t *at)
{
    while (*at < m->capacity) {
        void *value = m->slots[(*at)++].value;

        if (value)
            return value;
    }
    return NULL;
}

void neap_map_free(struct map *m, struct pool *pool)
{
    neap_pool_free(pool, m->slots, m->capacity * sizeof(*m->slots));
    m->slots = NULL;
    m->count = m->capacity = m->used = 0;
}
