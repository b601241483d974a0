/* Chunks of 2 KB found through pages of 8: the first byte at the far end of a 16 MiB window costs 8 KiB of directory,
 * a 100-byte response 320 bytes in all. */
#include "streams/chunks.h"

#include "base/limits.h"
#include "base/pool.h"

#include <string.h>

#define PAGE_BYTES ((uint64_t)CHUNKS_A_PAGE * CHUNK_SIZE)
#define FIRST_CAPACITY 8u
#define GRAIN 64u /* the smallest room in a chunk, and what its start is rounded down to */

static struct chunk_page **page_slot(const struct chunks *c, uint64_t page)
{
    return &c->pages[page & (c->capacity - 1)];
}

static struct chunk *chunk_of(struct chunk_page *page, uint64_t offset)
{
    return &page->chunks[offset / CHUNK_SIZE % CHUNKS_A_PAGE];
}

/* Make the directory reach `page`. */
static int reach(struct chunks *c, struct pool *pool, uint64_t page)
{
    uint64_t count = page - c->first + 1;
    uint32_t capacity = c->capacity ? c->capacity : FIRST_CAPACITY;

    if (count <= c->capacity)
        return 1;
    if (page < c->first || count > LIMIT_CHUNK_PAGES)
        return 0;
    while (capacity < count)
        capacity *= 2;
    struct chunk_page **pages = neap_pool_alloc(pool, capacity * sizeof(struct chunk_page *));
    if (!pages)
        return 0;
    for (uint64_t p = c->first; p < c->first + c->capacity; p++)
        pages[p & (capacity - 1)] = *page_slot(c, p);
    neap_pool_free(pool, c->pages, c->capacity * sizeof(struct chunk_page *));
    c->pages = pages;
    c->capacity = capacity;
    return 1;
}

/* Rooms double, so that a chunk which fills up byte by byte is copied at most five times. */
static size_t room_for(size_t low, size_t size)
{
    size_t room = GRAIN;

    while (room < size)
        room *= 2;
    return low + room > CHUNK_SIZE ? CHUNK_SIZE - low : room;
}

/* Give the chunk memory for [low, end). */
static int cover(struct chunk *chunk, struct pool *pool, size_t low, size_t end, bool goes_on)
{
    low -= low % GRAIN;
    if (chunk->bytes) {
        size_t old_end = (size_t)chunk->from + chunk->size;

        if (low >= chunk->from && end <= old_end)
            return 1;
        low = low < chunk->from ? low : chunk->from;
        end = end > old_end ? end : old_end;
    }
    size_t room = goes_on ? CHUNK_SIZE - low : room_for(low, end - low);
    uint8_t *bytes = neap_pool_alloc_unset(pool, room);
    if (!bytes)
        return 0;
    if (chunk->bytes)
        memcpy(bytes + (chunk->from - low), chunk->bytes, chunk->size);
    neap_pool_free(pool, chunk->bytes, chunk->size);
    *chunk = (struct chunk){.bytes = bytes, .from = (uint16_t)low, .size = (uint16_t)room};
    return 1;
}

uint8_t *neap_chunks_room(struct chunks *c, struct pool *pool, uint64_t offset, size_t *size, bool goes_on)
{
    size_t low = (size_t)(offset % CHUNK_SIZE);
    size_t want = *size < CHUNK_SIZE - low ? *size : CHUNK_SIZE - low;

    if (!reach(c, pool, offset / PAGE_BYTES))
        return NULL;
    struct chunk_page **page = page_slot(c, offset / PAGE_BYTES);
    if (!*page)
        *page = neap_pool_alloc(pool, sizeof(**page));
    if (!*page)
        return NULL;
    struct chunk *chunk = chunk_of(*page, offset);
    if (!cover(chunk, pool, low, low + want, goes_on))
        return NULL;
    *size = want;
    return chunk->bytes + (low - chunk->from);
}

const uint8_t *neap_chunks_at(const struct chunks *c, uint64_t offset, size_t *size)
{
    uint64_t page = offset / PAGE_BYTES;
    size_t low = (size_t)(offset % CHUNK_SIZE);

    *size = 0;
    if (page < c->first || page - c->first >= c->capacity || !*page_slot(c, page))
        return NULL;
    const struct chunk *chunk = chunk_of(*page_slot(c, page), offset);
    if (!chunk->bytes || low < chunk->from || low >= (size_t)chunk->from + chunk->size)
        return NULL;
    *size = (size_t)chunk->from + chunk->size - low;
    return chunk->bytes + (low - chunk->from);
}

static void release_chunk(struct chunk *chunk, struct pool *pool)
{
    neap_pool_free(pool, chunk->bytes, chunk->size);
    *chunk = (struct chunk){0};
}

static void release_page(struct chunk_page **slot, struct pool *pool)
{
    if (!*slot)
        return;
    for (size_t i = 0; i < CHUNKS_A_PAGE; i++)
        release_chunk(&(*slot)->chunks[i], pool);
    neap_pool_free(pool, *slot, sizeof(**slot));
    *slot = NULL;
}

void neap_chunks_drop(struct chunks *c, struct pool *pool, uint64_t offset)
{
    uint64_t page = offset / PAGE_BYTES;
    uint64_t held = page - c->first < c->capacity ? page - c->first : c->capacity;

    for (uint64_t i = 0; i < held; i++)
        release_page(page_slot(c, c->first + i), pool);
    c->first = page;
    if (c->capacity == 0 || !*page_slot(c, page))
        return;
    for (uint64_t i = 0; i < offset / CHUNK_SIZE % CHUNKS_A_PAGE; i++)
        release_chunk(&(*page_slot(c, page))->chunks[i], pool);
}

void neap_chunks_free(struct chunks *c, struct pool *pool, uint64_t offset)
{
    for (uint32_t i = 0; i < c->capacity; i++)
        release_page(&c->pages[i], pool);
    neap_pool_free(pool, c->pages, c->capacity * sizeof(struct chunk_page *));
    *c = (struct chunks){.first = offset / PAGE_BYTES};
}
