/* Linear hashing: of 2^k to 2^(k+1) chains those below count - 2^k are split already, and the last is the upper half of the
 * one that was split last. */
#include "base/map.h"

#include "base/pool.h"

#include <stdbool.h>
#include <string.h>

#define FIRST_CHAINS 8u
#define FEW 4u              /* nodes that need no chains of their own */
#define CHAINS_A_NODE 4u    /* with more the last ones go, as many with each node */
#define SPLITS_AT_A_TIME 2u /* so that it catches up when there was no memory */

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

struct map neap_map_of(uint64_t secret)
{
    return (struct map){.multiplier = secret | 1};
}

/* ---- chains */

static struct map_node **chain(const struct map *m, uint32_t index)
{
    return m->chain_count ? pieces_at(&m->chains, index, sizeof(struct map_node *))
                          : (struct map_node **)&m->few;
}

/* The least 2^k - 1 that is not below the last index. */
static uint32_t mask_of(uint32_t chain_count)
{
    return chain_count > 1 ? UINT32_MAX >> __builtin_clz(chain_count - 1) : 0;
}

static uint32_t hash(const struct map *m, uint64_t key)
{
    uint64_t product = key * m->multiplier;

    return (uint32_t)(product ^ product >> 32);
}

static uint32_t index_of(const struct map *m, uint64_t key)
{
    uint32_t mask = mask_of(m->chain_count), index = hash(m, key) & mask;

    return index < m->chain_count ? index : index & mask >> 1;
}

static struct map_node **chain_of(const struct map *m, uint64_t key)
{
    return chain(m, index_of(m, key));
}

static void push(struct map_node **first, struct map_node *node)
{
    node->next = *first;
    *first = node;
}

static void distribute(struct map *m, struct map_node *node)
{
    while (node) {
        struct map_node *next = node->next;

        push(chain_of(m, node->key), node);
        node = next;
    }
}

/* One chain more, or the first ones. False without memory. */
static bool split(struct map *m, struct pool *pool)
{
    uint32_t count = m->chain_count ? m->chain_count + 1 : FIRST_CHAINS;

    while (pieces_size(&m->chains) < count * sizeof(struct map_node *))
        if (neap_pieces_grow(&m->chains, pool))
            return false;
    struct map_node **from = chain(m, m->chain_count & mask_of(count) >> 1), *nodes = *from;
    *from = NULL;
    m->chain_count = count;
    distribute(m, nodes);
    return true;
}

/* The last chain goes back to where it was split from. */
static void merge(struct map *m, struct pool *pool)
{
    struct map_node **last = chain(m, m->chain_count - 1), *nodes = *last;

    *last = NULL;
    m->chain_count--;
    distribute(m, nodes);
    if (pieces_size(&m->chains) >= m->chain_count * sizeof(struct map_node *) + 2 * PIECE_SIZE)
        neap_pieces_shrink(&m->chains, pool);
}

/* ---- the map */

void neap_map_add(struct map *m, struct pool *pool, struct map_node *node, uint64_t key)
{
    node->key = key;
    push(chain_of(m, key), node);
    m->count++;
    for (unsigned i = 0; i < SPLITS_AT_A_TIME && m->count > (m->chain_count ? m->chain_count : FEW); i++)
        if (!split(m, pool))
            return;
}

struct map_node *neap_map_find(const struct map *m, uint64_t key)
{
    struct map_node *node = *chain_of(m, key);

    while (node && node->key != key)
        node = node->next;
    return node;
}

void neap_map_prefetch_piece(const struct map *m, uint64_t key)
{
    if (m->chain_count)
        pieces_prefetch(&m->chains, index_of(m, key), sizeof(struct map_node *));
}

void neap_map_prefetch(const struct map *m, uint64_t key)
{
    __builtin_prefetch(chain_of(m, key));
}

const struct map_node *neap_map_first(const struct map *m, uint64_t key)
{
    return *chain_of(m, key);
}

void neap_map_remove(struct map *m, struct pool *pool, struct map_node *node)
{
    struct map_node **at = chain_of(m, node->key);

    while (*at != node)
        at = &(*at)->next;
    *at = node->next;
    m->count--;
    for (unsigned i = 0; i < CHAINS_A_NODE && m->count < m->chain_count / CHAINS_A_NODE; i++)
        if (m->chain_count > FIRST_CHAINS)
            merge(m, pool);
}

struct map_node *neap_map_walk(const struct map *m, struct map_walk *walk)
{
    uint32_t count = m->chain_count ? m->chain_count : 1;

    while (!walk->next && walk->chain < count)
        walk->next = *chain(m, walk->chain++);
    struct map_node *node = walk->next;
    if (node)
        walk->next = node->next;
    return node;
}

void neap_map_free(struct map *m, struct pool *pool)
{
    neap_pieces_free(&m->chains, pool);
    m->few = NULL;
    m->count = m->chain_count = 0;
}
