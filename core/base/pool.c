/* The pool: size classes with free lists threaded through their free slots, carved from blocks; what is larger than the
 * largest class goes straight to the environment. A block whose slots are all free is carved anew for whatever is asked
 * next, or goes back to the environment. Blocks are of 64 KiB, or smaller under a small limit: a slot in use keeps its
 * block from everybody else, which must not be a large part of all that there is.
 * Rooms that last, as those of connections do, and brief ones, as those of handshakes, have blocks of their own: brief
 * rooms between lasting ones would be holes once they are free. Only when there is no other memory one takes the place of
 * the other. */
#include "base/pool.h"

#include "base/list.h"
#include "base/random.h"

#include <stdbool.h>
#include <string.h>

#define LEAST_BLOCK_SHIFT 12u /* 4 KiB */
#define MOST_BLOCK_SHIFT 16u  /* 64 KiB */
#define LEAST_BLOCKS 64u      /* that a limit allows, unless they were smaller than the smallest */
#define LEAST_SLOTS 8u        /* of a block: what would have fewer has no class */
#define BLOCK_MARGIN 64u /* less than that power of two: with an allocator's own bytes it is whole pages */
#define SLOT_ALIGN 64u
#define SMALL_STEP 64u /* classes 64, 128 … 1024 */
#define SMALL_MAX 1024u
#define MEDIUM_STEP 256u /* classes 1280 … 2048 */
#define MEDIUM_MAX 2048u
#define LARGE_STEP 128u /* classes 2176 … 4096: connections are among them */
#define LARGE_MAX 4096u
#define SMALL_CLASSES (SMALL_MAX / SMALL_STEP)
#define MEDIUM_CLASSES ((MEDIUM_MAX - SMALL_MAX) / MEDIUM_STEP)
#define LARGE_CLASSES ((LARGE_MAX - MEDIUM_MAX) / LARGE_STEP)
#define CLASSES (SMALL_CLASSES + MEDIUM_CLASSES + LARGE_CLASSES)

#define KEPT_BLOCKS 4u /* empty ones that do not go back, so that one slot taken and given costs no block … */
#define KEPT_SHARE 32u   /* … or this part of all, so that what comes and goes in a busy server costs few */
#define FIRST_PLACES 32u /* of the table of blocks, before it is on the heap */

enum { BRIEF, LASTING, KINDS };

struct free_slot {
    struct list_link link; /* on the list of its kind and class */
    struct block *block;
};

struct block {
    struct list_link link; /* on pool->blocks, or when nothing was carved from it on pool->empty */
    uint32_t used;         /* slots handed out */
    uint32_t kind;         /* of the rooms it was carved for */
    uint64_t starts[];     /* a bit for each 64 bytes of the block where a slot begins */
};

/* What rooms of a kind come from. */
struct supply {
    struct block *newest; /* what slots are carved from */
    uint8_t *fresh;       /* what was not carved yet of it */
    size_t fresh_size;
    struct list_link free_slots[CLASSES];
};

struct pool {
    pool_realloc_fn realloc_fn;
    void *context;
    uint64_t references;
    struct pool_stats stats;
    size_t classed_most;  /* the largest size that has a class */
    unsigned block_shift; /* a block has 1 << so many bytes, less the margin */
    struct list_link blocks, empty;
    size_t block_count, empty_count; /* of all; of the empty ones */
    struct supply supplies[KINDS];
    /* Which block a slot is of: open addressing by address >> block_shift, at most half full. */
    struct block **places;
    size_t place_count; /* a power of two */
    struct block *first_places[FIRST_PLACES];
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

/* Of the address space: what a block has with the margin. */
static size_t page_size(const struct pool *pool)
{
    return (size_t)1 << pool->block_shift;
}

static size_t block_size(const struct pool *pool)
{
    return page_size(pool) - BLOCK_MARGIN;
}

static void choose_blocks(struct pool *pool)
{
    size_t limit = pool->stats.limit;

    pool->block_shift = MOST_BLOCK_SHIFT;
    while (limit && pool->block_shift > LEAST_BLOCK_SHIFT && page_size(pool) > limit / LEAST_BLOCKS)
        pool->block_shift--;
        /* In builds for sanitizers nothing has a class, so that they see every room by itself. */
#ifndef NEAP_POOL_MALLOC
    pool->classed_most =
        page_size(pool) / LEAST_SLOTS < LARGE_MAX ? page_size(pool) / LEAST_SLOTS : LARGE_MAX;
#endif
}

static bool is_classed(const struct pool *pool, size_t size)
{
    return size <= pool->classed_most;
}

/* Bytes that a size is counted as. */
static size_t room_size(const struct pool *pool, size_t size)
{
    return is_classed(pool, size) ? class_size(class_of(size)) : size;
}

/* ---- the environment */

static void give_to_environment(struct pool *pool, void *room, size_t size)
{
    pool->realloc_fn(pool->context, room, 0);
    pool->stats.reserved -= size;
}

static void *ask_environment(struct pool *pool, size_t size)
{
    void *room = NULL;

    if (pool->stats.limit == 0 || size <= pool->stats.limit - pool->stats.reserved)
        room = pool->realloc_fn(pool->context, NULL, size);
    if (room)
        pool->stats.reserved += size;
    return room;
}

static bool give_empty_block(struct pool *pool);

/* Empty blocks go back before anything is refused. */
static void *take_from_environment(struct pool *pool, size_t size)
{
    void *room = ask_environment(pool, size);

    while (!room && give_empty_block(pool))
        room = ask_environment(pool, size);
    return room;
}

/* ---- the table of blocks */

static size_t place_of(const struct pool *pool, uintptr_t page)
{
    return (size_t)(page * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (pool->place_count - 1);
}

static uintptr_t page_of(const struct pool *pool, const void *address)
{
    return (uintptr_t)address >> pool->block_shift;
}

static void put_place(struct pool *pool, struct block *block)
{
    size_t at = place_of(pool, page_of(pool, block));

    while (pool->places[at])
        at = (at + 1) & (pool->place_count - 1);
    pool->places[at] = block;
}

/* Those behind it move up, so that no search ends too early. */
static void take_place(struct pool *pool, const struct block *block)
{
    size_t mask = pool->place_count - 1, at = place_of(pool, page_of(pool, block));

    while (pool->places[at] != block)
        at = (at + 1) & mask;
    for (size_t next = (at + 1) & mask; pool->places[next]; next = (next + 1) & mask) {
        size_t home = place_of(pool, page_of(pool, pool->places[next]));

        if (((next - home) & mask) < ((next - at) & mask))
            continue;
        pool->places[at] = pool->places[next];
        at = next;
    }
    pool->places[at] = NULL;
}

static bool grow_places(struct pool *pool)
{
    struct block **old = pool->places;
    size_t old_count = pool->place_count, size = 2 * old_count * sizeof *old;

    struct block **places = take_from_environment(pool, size);
    if (!places)
        return false;
    memset(places, 0, size);
    pool->places = places;
    pool->place_count = 2 * old_count;
    for (size_t i = 0; i < old_count; i++)
        if (old[i])
            put_place(pool, old[i]);
    if (old != pool->first_places)
        give_to_environment(pool, old, old_count * sizeof *old);
    return true;
}

/* The block around a slot: it begins in the slot's page, or in the one before. */
static struct block *block_of(const struct pool *pool, const void *room)
{
    for (uintptr_t page = page_of(pool, room);; page--) {
        for (size_t at = place_of(pool, page); pool->places[at]; at = (at + 1) & (pool->place_count - 1))
            if ((uintptr_t)room - (uintptr_t)pool->places[at] < block_size(pool))
                return pool->places[at];
    }
}

/* ---- blocks */

static size_t start_words(const struct pool *pool)
{
    return page_size(pool) / SLOT_ALIGN / 64;
}

static size_t header_size(const struct pool *pool)
{
    return sizeof(struct block) + start_words(pool) * sizeof(uint64_t);
}

/* Slots begin at a cache line behind the block's own header. */
static uint8_t *first_slot(const struct pool *pool, struct block *block)
{
    return (uint8_t *)(((uintptr_t)block + header_size(pool) + SLOT_ALIGN - 1) / SLOT_ALIGN * SLOT_ALIGN);
}

static bool give_empty_block(struct pool *pool)
{
    struct list_link *link = list_take_first(&pool->empty);

    if (!link)
        return false;
    struct block *block = LIST_OWNER(link, struct block, link);
    take_place(pool, block);
    pool->empty_count--;
    pool->block_count--;
    give_to_environment(pool, block, block_size(pool));
    return true;
}

static struct block *take_block(struct pool *pool)
{
    struct list_link *link = list_take_first(&pool->empty);
    struct block *block;

    if (link) {
        pool->empty_count--;
        return LIST_OWNER(link, struct block, link);
    }
    if (2 * (pool->block_count + 1) > pool->place_count && !grow_places(pool))
        return NULL;
    block = take_from_environment(pool, block_size(pool));
    if (!block)
        return NULL;
    memset(block, 0, header_size(pool));
    put_place(pool, block);
    pool->block_count++;
    return block;
}

static void begin_block(const struct pool *pool, struct supply *supply, struct block *block)
{
    supply->newest = block;
    supply->fresh = first_slot(pool, block);
    supply->fresh_size = block_size(pool) - (size_t)(supply->fresh - (uint8_t *)block);
}

static void push_free(struct pool *pool, size_t class, struct block *block, void *room)
{
    struct free_slot *slot = room;

    slot->block = block;
    list_prepend(&pool->supplies[block->kind].free_slots[class], &slot->link);
}

static void *carve(struct supply *supply, size_t class)
{
    uint8_t *room = supply->fresh;
    size_t unit = (size_t)(room - (uint8_t *)supply->newest) / SLOT_ALIGN;

    supply->newest->starts[unit / 64] |= UINT64_C(1) << unit % 64;
    supply->fresh += class_size(class);
    supply->fresh_size -= class_size(class);
    return room;
}

/* Begin another block; what is left of the old one becomes free slots. */
static bool add_block(struct pool *pool, uint32_t kind)
{
    struct supply *supply = &pool->supplies[kind];
    struct block *block = take_block(pool);

    if (!block)
        return false;
    while (supply->fresh_size >= SMALL_STEP) {
        size_t class = class_of(supply->fresh_size);

        if (class_size(class) > supply->fresh_size)
            class --;
        push_free(pool, class, supply->newest, carve(supply, class));
    }
    list_append(&pool->blocks, &block->link);
    block->kind = kind;
    begin_block(pool, supply, block);
    return true;
}

/* The slots of a block of which none is in use leave their lists: it is as if it was never carved. They were carved one by
 * one, so that this costs each of them no more than that did. */
static void uncarve(const struct pool *pool, struct block *block)
{
    for (size_t i = 0; i < start_words(pool); i++) {
        for (uint64_t bits = block->starts[i]; bits; bits &= bits - 1) {
            size_t unit = i * 64 + (size_t)__builtin_ctzll(bits);
            uint8_t *line = (uint8_t *)block + unit * SLOT_ALIGN;
            struct free_slot *slot = (void *)((uintptr_t)(line + SLOT_ALIGN - 1) / SLOT_ALIGN * SLOT_ALIGN);

            list_remove(&slot->link);
        }
        block->starts[i] = 0;
    }
}

/* The last slot of the block came back. */
static void recover_block(struct pool *pool, struct block *block)
{
    /* As a rule it is asked for the same again; see renew_newest. */
    if (block == pool->supplies[block->kind].newest)
        return;
    uncarve(pool, block);
    list_remove(&block->link);
    list_append(&pool->empty, &block->link);
    pool->empty_count++;
    while (pool->empty_count > KEPT_BLOCKS && pool->empty_count > pool->block_count / KEPT_SHARE)
        give_empty_block(pool);
}

/* Something else is asked of a block that is carved and of which nothing is in use. */
static bool renew_newest(const struct pool *pool, struct supply *supply)
{
    if (!supply->newest || supply->newest->used > 0)
        return false;
    uncarve(pool, supply->newest);
    begin_block(pool, supply, supply->newest);
    return true;
}

/* What this kind has already. */
static void *take_supplied(struct supply *supply, size_t class)
{
    struct list_link *link = list_take_first(&supply->free_slots[class]);

    if (link) {
        struct free_slot *slot = LIST_OWNER(link, struct free_slot, link);

        slot->block->used++;
        return slot;
    }
    if (supply->fresh_size < class_size(class))
        return NULL;
    supply->newest->used++;
    return carve(supply, class);
}

/* Where to look when there was nothing: first in a block that is new to this kind, or with the other kind where there is
 * none; then in that one's newest. */
static struct supply *next_supply(struct pool *pool, uint32_t kind, unsigned tries)
{
    struct supply *own = &pool->supplies[kind], *other = &pool->supplies[KINDS - 1 - kind];

    if (tries == 0)
        return renew_newest(pool, own) || add_block(pool, kind) ? own : other;
    return tries == 1 && renew_newest(pool, other) ? other : NULL;
}

static void *take_slot(struct pool *pool, size_t class, uint32_t kind)
{
    struct supply *supply = &pool->supplies[kind];
    void *room = NULL;

    for (unsigned tries = 0; supply && !(room = take_supplied(supply, class)); tries++)
        supply = next_supply(pool, kind, tries);
    return room;
}

static void give_slot(struct pool *pool, size_t class, void *room)
{
    struct block *block = block_of(pool, room);

    push_free(pool, class, block, room);
    if (--block->used == 0)
        recover_block(pool, block);
}

/* ---- the pool */

struct pool *neap_pool_new(pool_realloc_fn realloc_fn, void *context, size_t limit)
{
    struct pool *pool = realloc_fn(context, NULL, sizeof(*pool));

    if (!pool)
        return NULL;
    *pool =
        (struct pool){.realloc_fn = realloc_fn, .context = context, .references = 1, .stats.limit = limit};
    choose_blocks(pool);
    pool->places = pool->first_places;
    pool->place_count = FIRST_PLACES;
    list_init(&pool->blocks);
    list_init(&pool->empty);
    for (size_t kind = 0; kind < KINDS; kind++)
        for (size_t i = 0; i < CLASSES; i++)
            list_init(&pool->supplies[kind].free_slots[i]);
    return pool;
}

struct pool *neap_pool_retain(struct pool *pool)
{
    pool->references++;
    return pool;
}

static void give_blocks(struct pool *pool, struct list_link *list)
{
    struct list_link *link;

    while ((link = list_take_first(list)) != NULL)
        give_to_environment(pool, LIST_OWNER(link, struct block, link), block_size(pool));
}

void neap_pool_release(struct pool *pool)
{
    if (!pool || --pool->references > 0)
        return;
    give_blocks(pool, &pool->blocks);
    give_blocks(pool, &pool->empty);
    if (pool->places != pool->first_places)
        give_to_environment(pool, pool->places, pool->place_count * sizeof *pool->places);
    pool->realloc_fn(pool->context, pool, 0);
}

static void *take_room(struct pool *pool, size_t size, uint32_t kind)
{
    if (size == 0)
        size = 1;
    void *room =
        is_classed(pool, size) ? take_slot(pool, class_of(size), kind) : take_from_environment(pool, size);
    if (!room) {
        pool->stats.refused++;
        return NULL;
    }
    pool->stats.used += room_size(pool, size);
    if (pool->stats.used > pool->stats.peak)
        pool->stats.peak = pool->stats.used;
    return room;
}

void *neap_pool_alloc_unset(struct pool *pool, size_t size)
{
    return take_room(pool, size, BRIEF);
}

void *neap_pool_alloc(struct pool *pool, size_t size)
{
    void *room = take_room(pool, size, BRIEF);

    return room ? memset(room, 0, size) : NULL;
}

void *neap_pool_alloc_lasting(struct pool *pool, size_t size)
{
    void *room = take_room(pool, size, LASTING);

    return room ? memset(room, 0, size) : NULL;
}

void neap_pool_free(struct pool *pool, void *pointer, size_t size)
{
    if (!pointer)
        return;
    if (size == 0)
        size = 1;
    pool->stats.used -= room_size(pool, size);
    if (is_classed(pool, size))
        give_slot(pool, class_of(size), pointer);
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
    if (size && new_size && is_classed(pool, size) && is_classed(pool, new_size) &&
        class_of(size) == class_of(new_size)) {
        if (new_size > size)
            memset((uint8_t *)pointer + size, 0, new_size - size);
        return pointer;
    }
    uint32_t kind = size && is_classed(pool, size) ? block_of(pool, pointer)->kind : BRIEF;
    void *room = take_room(pool, new_size, kind);
    if (!room)
        return NULL;
    if (new_size > size)
        memset((uint8_t *)room + size, 0, new_size - size);
    memcpy(room, pointer, size < new_size ? size : new_size);
    neap_pool_free(pool, pointer, size);
    return room;
}

void *neap_pool_grow(struct pool *pool, void *array, size_t *capacity, size_t wanted, size_t size,
                     size_t first)
{
    size_t larger = *capacity ? *capacity : first;

    while (larger < wanted)
        larger *= 2;
    if (larger == *capacity)
        return array;
    void *moved = array ? neap_pool_resize(pool, array, *capacity * size, larger * size)
                        : neap_pool_alloc_lasting(pool, larger * size);
    if (moved)
        *capacity = larger;
    return moved;
}

struct pool_stats neap_pool_stats(const struct pool *pool)
{
    return pool->stats;
}
