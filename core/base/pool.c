/* The pool: size classes with free lists threaded through their free slots, carved from 64 KiB blocks that stay until
 * the pool ends; what is larger than the largest class goes straight to the environment. */
#include "base/pool.h"

#include "base/random.h"

#include <stdbool.h>
#include <string.h>

#define BLOCK_SIZE 65536u
#define SLOT_ALIGN 64u
#define SMALL_STEP 64u /* classes 64, 128 … 1024 */
#define SMALL_MAX 1024u
#define MEDIUM_STEP 256u /* classes 1280 … 2048 */
#define MEDIUM_MAX 2048u
#define LARGE_STEP 512u /* classes 2560 … 4096 */
#define LARGE_MAX 4096u
#define SMALL_CLASSES (SMALL_MAX / SMALL_STEP)
#define MEDIUM_CLASSES ((MEDIUM_MAX - SMALL_MAX) / MEDIUM_STEP)
#define LARGE_CLASSES ((LARGE_MAX - MEDIUM_MAX) / LARGE_STEP)
#define CLASSES (SMALL_CLASSES + MEDIUM_CLASSES + LARGE_CLASSES)

struct free_slot {
    struct free_slot *next;
};

struct block {
    struct block *next;
};

struct pool {
    pool_realloc_fn realloc_fn;
    void *context;
    uint64_t references;
    struct pool_stats stats;
    struct block *blocks;
    uint8_t *fresh; /* what was not carved yet of the newest block */
    size_t fresh_size;
    struct free_slot *free_slots[CLASSES];
};

/* The class of a size in 1..LARGE_MAX. */
static size_t class_of(size_t size)
{
    if (size <= SMALL_MAX)
        return (size - 1) / SMALL_STEP;
    if (size <= MEDIUM_MAX)
        return SMALL_CLASSES + (size - SMALL_MAX - 1) / MEDIUM_STEP;
    return SMALL_CLASSES + MEDIUM_CLASSES + (size - MEDIUM_MAX - 1) / LARGE_STEP;
}

static size_t class_size(size_t class)
{
    if (class < SMALL_CLASSES)
        return (class + 1) * SMALL_STEP;
    if (class < SMALL_CLASSES + MEDIUM_CLASSES)
        return SMALL_MAX + (class - SMALL_CLASSES + 1) * MEDIUM_STEP;
    return MEDIUM_MAX + (class - SMALL_CLASSES - MEDIUM_CLASSES + 1) * LARGE_STEP;
}

/* Whether a size has a class. In builds for sanitizers none has, so that they see every room by itself. */
static bool is_classed(size_t size)
{
#ifdef NEAP_POOL_MALLOC
    (void)size;
    return false;
#else
    return size <= LARGE_MAX;
#endif
}

/* Bytes that a size is counted as. */
static size_t room_size(size_t size)
{
    return is_classed(size) ? class_size(class_of(size)) : size;
}

static void *take_from_environment(struct pool *pool, size_t size)
{
    void *room = NULL;

    if (pool->stats.limit == 0 || size <= pool->stats.limit - pool->stats.reserved)
        room = pool->realloc_fn(pool->context, NULL, size);
    if (room)
        pool->stats.reserved += size;
    else
        pool->stats.refused++;
    return room;
}

static void give_to_environment(struct pool *pool, void *room, size_t size)
{
    pool->realloc_fn(pool->context, room, 0);
    pool->stats.reserved -= size;
}

struct pool *neap_pool_new(pool_realloc_fn realloc_fn, void *context, size_t limit)
{
    struct pool *pool = realloc_fn(context, NULL, sizeof(*pool));

    if (!pool)
        return NULL;
    *pool =
        (struct pool){.realloc_fn = realloc_fn, .context = context, .references = 1, .stats.limit = limit};
    return pool;
}

struct pool *neap_pool_retain(struct pool *pool)
{
    pool->references++;
    return pool;
}

void neap_pool_release(struct pool *pool)
{
    if (!pool || --pool->references > 0)
        return;
    for (struct block *block = pool->blocks, *next; block; block = next) {
        next = block->next;
        give_to_environment(pool, block, BLOCK_SIZE);
    }
    pool->realloc_fn(pool->context, pool, 0);
}

static void push_free(struct pool *pool, size_t class, void *room)
{
    struct free_slot *slot = room;

    slot->next = pool->free_slots[class];
    pool->free_slots[class] = slot;
}

/* Begin a new block; what is left of the old one becomes free slots. */
static bool add_block(struct pool *pool)
{
    struct block *block = take_from_environment(pool, BLOCK_SIZE);

    if (!block)
        return false;
    while (pool->fresh_size >= SMALL_STEP) {
        size_t class = class_of(pool->fresh_size);

        if (class_size(class) > pool->fresh_size)
            class --;
        push_free(pool, class, pool->fresh);
        pool->fresh += class_size(class);
        pool->fresh_size -= class_size(class);
    }
    block->next = pool->blocks;
    pool->blocks = block;
    /* Slots begin at a cache line; the block's own link lies before the first. */
    size_t skip = SLOT_ALIGN - (uintptr_t)(block + 1) % SLOT_ALIGN + sizeof(*block);
    pool->fresh = (uint8_t *)block + skip;
    pool->fresh_size = BLOCK_SIZE - skip;
    return true;
}

static void *take_slot(struct pool *pool, size_t class)
{
    struct free_slot *slot = pool->free_slots[class];
    size_t size = class_size(class);

    if (slot) {
        pool->free_slots[class] = slot->next;
        return slot;
    }
    if (pool->fresh_size < size && !add_block(pool))
        return NULL;
    void *room = pool->fresh;
    pool->fresh += size;
    pool->fresh_size -= size;
    return room;
}

void *neap_pool_alloc(struct pool *pool, size_t size)
{
    if (size == 0)
        size = 1;
    void *room = is_classed(size) ? take_slot(pool, class_of(size)) : take_from_environment(pool, size);
    if (!room)
        return NULL;
    pool->stats.used += room_size(size);
    return memset(room, 0, size);
}

void neap_pool_free(struct pool *pool, void *pointer, size_t size)
{
    if (!pointer)
        return;
    if (size == 0)
        size = 1;
    pool->stats.used -= room_size(size);
    if (is_classed(size))
        push_free(pool, class_of(size), pointer);
    else
        give_to_environment(pool, pointer, size);
}

void neap_pool_free_secret(struct pool *pool, void *pointer, size_t size)
{
    if (pointer)
        neap_wipe(pointer, size);
    neap_pool_free(pool, pointer, size);
}

void *neap_pool_resize(struct pool *pool, void *pointer, size_t size, size_t new_size)
{
    if (!pointer)
        return neap_pool_alloc(pool, new_size);
    if (size && new_size && is_classed(size) && is_classed(new_size) &&
        class_of(size) == class_of(new_size)) {
        if (new_size > size)
            memset((uint8_t *)pointer + size, 0, new_size - size);
        return pointer;
    }
    void *room = neap_pool_alloc(pool, new_size);
    if (!room)
        return NULL;
    memcpy(room, pointer, size < new_size ? size : new_size);
    neap_pool_free(pool, pointer, size);
    return room;
}

struct pool_stats neap_pool_stats(const struct pool *pool)
{
    return pool->stats;
}
