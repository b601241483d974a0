/* Bytes at offsets of a stream, in chunks of 4 KB that a two-level directory finds where there is more than one: memory
 * follows the bytes that were put in, never the offset they were put at. Shared by both directions; knows nothing of
 * states. */
#ifndef NEAP_STREAMS_CHUNKS_H
#define NEAP_STREAMS_CHUNKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHUNKS_A_PAGE 8u

struct pool;

/* The part of a chunk that has memory: [from, from + size) of its CHUNK_SIZE bytes, so that little data costs little. */
struct chunk {
    uint8_t *bytes;
    uint16_t from, size;
};

struct chunk_page {
    struct chunk chunks[CHUNKS_A_PAGE];
};

/* Zeroed is empty. While there are no bytes in another chunk than `first` there is no directory. In it page p stands at
 * p & (capacity - 1); those held lie in [first page, first page + capacity). */
struct chunks {
    union {
        struct chunk_page **pages; /* with a directory */
        uint8_t *bytes;            /* without: of the first chunk, */
    };
    uint64_t first;      /* chunk: those below were dropped */
    uint32_t capacity;   /* of the directory in pages, a power of two; 0: there is none */
    uint16_t from, size; /* which these are, as in struct chunk */
    size_t memory;       /* bytes that it has: rooms, pages, directory */
};

/** Room for [offset, offset + *size), cut at the end of its chunk (*size tells); NULL when the pool refuses or the
 * offset is more than LIMIT_CHUNK_PAGES ahead. `offset` is not below what was dropped. `goes_on`: more is about to come right
 * behind, so that the chunk has room to its end at once. */
uint8_t *neap_chunks_room(struct chunks *c, struct pool *pool, uint64_t offset, size_t *size, bool goes_on);
/** The bytes from `offset` to the end of its chunk's room, or NULL where there are none. */
const uint8_t *neap_chunks_at(const struct chunks *c, uint64_t offset, size_t *size);
/** How many more bytes of memory it has once neap_chunks_room has given room for all of [offset, offset + size). */
size_t neap_chunks_growth(const struct chunks *c, uint64_t offset, size_t size, bool goes_on);
/** Give back every chunk that lies wholly below `offset`. */
void neap_chunks_drop(struct chunks *c, struct pool *pool, uint64_t offset);
/** Give back every chunk that lies wholly at or above `offset`. */
void neap_chunks_cut(struct chunks *c, struct pool *pool, uint64_t offset);
/** Give back everything, the directory too. What is put in later is not below `offset`. */
void neap_chunks_free(struct chunks *c, struct pool *pool, uint64_t offset);

#endif
