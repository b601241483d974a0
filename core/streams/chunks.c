/* Chunks of 4 KB found through pages of 8: the first byte at the far end of a 16 MiB window costs 4 KiB of directory,
 * a 100-byte response none: 128 bytes in all. */
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

static uint64_t first_page(const struct chunks *c)
{
    return c->first / CHUNKS_A_PAGE;
}

/* Whether `offset` needs no directory. */
static bool is_first(const struct chunks *c, uint64_t offset)
{
    return c->capacity == 0 && offset / CHUNK_SIZE == c->first;
}

static struct chunk first_chunk(const struct chunks *c)
{
    return (struct chunk){.bytes = c->bytes, .from = c->from, .size = c->size};
}

static void set_first_chunk(struct chunks *c, struct chunk chunk)
{
    c->bytes = chunk.bytes;
    c->from = chunk.from;
    c->size = chunk.size;
}

static struct chunk_page *make_page(struct chunks *c, struct pool *pool)
{
    struct chunk_page *page = neap_pool_alloc(pool, sizeof(*page));

    c->memory += page ? sizeof(*page) : 0;
    return page;
}

/* Put the first chunk, which had no directory, into the one that was made. */
static bool move_first(struct chunk_page **pages, uint32_t capacity, struct chunks *c, struct pool *pool)
{
    struct chunk_page *page = c->bytes ? make_page(c, pool) : NULL;

    if (!page)
        return c->bytes == NULL;
    page->chunks[c->first % CHUNKS_A_PAGE] = first_chunk(c);
    pages[first_page(c) & (capacity - 1)] = page;
    return true;
}

/* Of a directory that reaches `page`, at most LIMIT_CHUNK_PAGES ahead. */
static uint32_t capacity_for(const struct chunks *c, uint64_t page)
{
    uint32_t capacity = c->capacity ? c->capacity : FIRST_CAPACITY;

    while (capacity < page - first_page(c) + 1)
        capacity *= 2;
    return capacity;
}

/* Make the directory reach `page`. */
static bool reach(struct chunks *c, struct pool *pool, uint64_t page)
{
    uint64_t count = page - first_page(c) + 1;

    if (count <= c->capacity)
        return true;
    if (page < first_page(c) || count > LIMIT_CHUNK_PAGES)
        return false;
    uint32_t capacity = capacity_for(c, page);
    struct chunk_page **pages = neap_pool_alloc(pool, capacity * sizeof(struct chunk_page *));
    if (!pages)
        return false;
    if (c->capacity == 0 && !move_first(pages, capacity, c, pool)) {
        neap_pool_free(pool, pages, capacity * sizeof(struct chunk_page *));
        return false;
    }
    for (uint64_t p = first_page(c); p < first_page(c) + c->capacity; p++)
        pages[p & (capacity - 1)] = *page_slot(c, p);
    if (c->capacity)
        neap_pool_free(pool, c->pages, c->capacity * sizeof(struct chunk_page *));
    c->memory += (capacity - c->capacity) * sizeof(struct chunk_page *);
    c->pages = pages;
    c->capacity = capacity;
    return true;
}

/* Rooms double, so that a chunk which fills up byte by byte is copied at most six times. */
static size_t room_for(size_t low, size_t size)
{
    size_t room = GRAIN;

    while (room < size)
        room *= 2;
    return low + room > CHUNK_SIZE ? CHUNK_SIZE - low : room;
}

/* What the chunk's room becomes for [*low, end), and where it begins; 0: it has that already. */
static size_t plan(const struct chunk *chunk, size_t *low, size_t end, bool goes_on)
{
    *low -= *low % GRAIN;
    if (chunk->bytes) {
        size_t old_end = (size_t)chunk->from + chunk->size;

        if (*low >= chunk->from && end <= old_end)
            return 0;
        *low = *low < chunk->from ? *low : chunk->from;
        end = end > old_end ? end : old_end;
    }
    return goes_on ? CHUNK_SIZE - *low : room_for(*low, end - *low);
}

/* Give a chunk of `c` memory for [low, end). */
static int cover(struct chunks *c, struct chunk *chunk, struct pool *pool, size_t low, size_t end,
                 bool goes_on)
{
    size_t room = plan(chunk, &low, end, goes_on);

    if (room == 0)
        return 1;
    uint8_t *bytes = neap_pool_alloc_unset(pool, room);
    if (!bytes)
        return 0;
    if (chunk->bytes)
        memcpy(bytes + (chunk->from - low), chunk->bytes, chunk->size);
    neap_pool_free(pool, chunk->bytes, chunk->size);
    c->memory += room - chunk->size;
    *chunk = (struct chunk){.bytes = bytes, .from = (uint16_t)low, .size = (uint16_t)room};
    return 1;
}

/* The chunk of an offset where the directory has it with memory for [low, low + want), or NULL. */
static struct chunk *find_covered(const struct chunks *c, uint64_t offset, size_t low, size_t want)
{
    uint64_t page = offset / PAGE_BYTES;

    if (page - first_page(c) >= c->capacity || !*page_slot(c, page))
        return NULL;
    struct chunk *chunk = chunk_of(*page_slot(c, page), offset);
    return low >= chunk->from && low + want <= (size_t)chunk->from + chunk->size ? chunk : NULL;
}

uint8_t *neap_chunks_room(struct chunks *c, struct pool *pool, uint64_t offset, size_t *size, bool goes_on)
{
    size_t low = (size_t)(offset % CHUNK_SIZE);
    size_t want = *size < CHUNK_SIZE - low ? *size : CHUNK_SIZE - low;
    struct chunk *chunk = find_covered(c, offset, low, want);

    if (chunk) {
        *size = want;
        return chunk->bytes + (low - chunk->from);
    }
    if (is_first(c, offset)) {
        struct chunk first = first_chunk(c);
        if (!cover(c, &first, pool, low, low + want, goes_on))
            return NULL;
        set_first_chunk(c, first);
        *size = want;
        return first.bytes + (low - first.from);
    }
    if (!reach(c, pool, offset / PAGE_BYTES))
        return NULL;
    struct chunk_page **page = page_slot(c, offset / PAGE_BYTES);
    if (!*page)
        *page = make_page(c, pool);
    if (!*page)
        return NULL;
    chunk = chunk_of(*page, offset);
    if (!cover(c, chunk, pool, low, low + want, goes_on))
        return NULL;
    *size = want;
    return chunk->bytes + (low - chunk->from);
}

static bool has_page(const struct chunks *c, uint64_t page)
{
    return page >= first_page(c) && page - first_page(c) < c->capacity && *page_slot(c, page);
}

/* All zero where there is none. */
static struct chunk find_chunk(const struct chunks *c, uint64_t offset)
{
    if (is_first(c, offset))
        return first_chunk(c);
    return has_page(c, offset / PAGE_BYTES) ? *chunk_of(*page_slot(c, offset / PAGE_BYTES), offset)
                                            : (struct chunk){0};
}

/* Directory and pages. */
static size_t pages_growth(const struct chunks *c, uint64_t offset, size_t size)
{
    uint64_t first = offset / PAGE_BYTES, last = (offset + size - 1) / PAGE_BYTES;

    if ((is_first(c, offset) && is_first(c, offset + size - 1)) || last - first_page(c) >= LIMIT_CHUNK_PAGES)
        return 0;
    size_t growth = (capacity_for(c, last) - c->capacity) * sizeof(struct chunk_page *);
    bool moves = c->capacity == 0 && c->bytes; /* the first chunk, into a page of its own */
    if (moves)
        growth += sizeof(struct chunk_page);
    for (uint64_t page = first; page <= last; page++)
        if (!has_page(c, page) && !(moves && page == first_page(c)))
            growth += sizeof(struct chunk_page);
    return growth;
}

size_t neap_chunks_growth(const struct chunks *c, uint64_t offset, size_t size, bool goes_on)
{
    size_t growth = size ? pages_growth(c, offset, size) : 0;

    while (size > 0) {
        size_t low = (size_t)(offset % CHUNK_SIZE);
        size_t part = size < CHUNK_SIZE - low ? size : CHUNK_SIZE - low;
        struct chunk chunk = find_chunk(c, offset);
        size_t room = plan(&chunk, &low, low + part, goes_on);

        if (room > 0)
            growth += room - chunk.size;
        offset += part;
        size -= part;
    }
    return growth;
}

const uint8_t *neap_chunks_at(const struct chunks *c, uint64_t offset, size_t *size)
{
    size_t low = (size_t)(offset % CHUNK_SIZE);
    struct chunk chunk = find_chunk(c, offset);

    *size = 0;
    if (!chunk.bytes || low < chunk.from || low >= (size_t)chunk.from + chunk.size)
        return NULL;
    *size = (size_t)chunk.from + chunk.size - low;
    return chunk.bytes + (low - chunk.from);
}

static void release_chunk(struct chunks *c, struct chunk *chunk, struct pool *pool)
{
    if (chunk->bytes)
        neap_pool_free(pool, chunk->bytes, chunk->size);
    c->memory -= chunk->size;
    *chunk = (struct chunk){0};
}

static void release_first(struct chunks *c, struct pool *pool)
{
    struct chunk first = first_chunk(c);

    release_chunk(c, &first, pool);
    set_first_chunk(c, first);
}

static void release_page(struct chunks *c, struct chunk_page **slot, struct pool *pool)
{
    if (!*slot)
        return;
    for (size_t i = 0; i < CHUNKS_A_PAGE; i++)
        release_chunk(c, &(*slot)->chunks[i], pool);
    neap_pool_free(pool, *slot, sizeof(**slot));
    c->memory -= sizeof(**slot);
    *slot = NULL;
}

void neap_chunks_drop(struct chunks *c, struct pool *pool, uint64_t offset)
{
    uint64_t first = offset / CHUNK_SIZE, page = offset / PAGE_BYTES, at = first_page(c);

    if (first <= c->first)
        return;
    if (c->capacity == 0) {
        release_first(c, pool);
        c->first = first;
        return;
    }
    uint64_t held = page - at < c->capacity ? page - at : c->capacity;
    for (uint64_t i = 0; i < held; i++)
        release_page(c, page_slot(c, at + i), pool);
    c->first = first;
    if (!*page_slot(c, page))
        return;
    for (uint64_t i = 0; i < first % CHUNKS_A_PAGE; i++)
        release_chunk(c, &(*page_slot(c, page))->chunks[i], pool);
}

void neap_chunks_cut(struct chunks *c, struct pool *pool, uint64_t offset)
{
    uint64_t first = (offset + CHUNK_SIZE - 1) / CHUNK_SIZE; /* the lowest that goes */

    if (c->capacity == 0 && c->first >= first)
        release_first(c, pool);
    for (uint32_t i = 0; i < c->capacity; i++) {
        uint64_t page = first_page(c) + i;

        if (page * CHUNKS_A_PAGE >= first)
            release_page(c, page_slot(c, page), pool);
        for (uint64_t at = first; *page_slot(c, page) && at < (page + 1) * CHUNKS_A_PAGE; at++)
            release_chunk(c, &(*page_slot(c, page))->chunks[at % CHUNKS_A_PAGE], pool);
    }
}

void neap_chunks_free(struct chunks *c, struct pool *pool, uint64_t offset)
{
    if (c->capacity == 0)
        release_first(c, pool);
    for (uint32_t i = 0; i < c->capacity; i++)
        release_page(c, &c->pages[i], pool);
    if (c->capacity)
        neap_pool_free(pool, c->pages, c->capacity * sizeof(struct chunk_page *));
    *c = (struct chunks){.first = offset / CHUNK_SIZE};
}
