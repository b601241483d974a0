/* An array that grows where it is: pieces of 4 KiB in a directory, one more at a time. Only the first is ever moved, while
 * it is smaller than that. Elements are zeroed, of a size that divides 4 KiB, and lie in cache lines as in an array. */
#ifndef NEAP_BASE_PIECES_H
#define NEAP_BASE_PIECES_H

#include <stddef.h>
#include <stdint.h>

#define PIECE_SIZE 4096u

struct pool;

/* Zeroed is empty. */
struct pieces {
    void *first;
    void **more; /* the second, the third, … */
    uint32_t more_count, more_room;
    uint32_t first_size; /* bytes: 0, or 64 doubled up to PIECE_SIZE */
};

/** Make it larger: by one piece, or the first twice as large. 0 or NEAP_ERR_NO_MEMORY. */
int neap_pieces_grow(struct pieces *p, struct pool *pool);
/** Give the last piece back, but not the first. */
void neap_pieces_shrink(struct pieces *p, struct pool *pool);
void neap_pieces_free(struct pieces *p, struct pool *pool);

/** Bytes that it has. */
static inline size_t pieces_size(const struct pieces *p)
{
    return p->first_size + (size_t)p->more_count * PIECE_SIZE;
}

/** The element `index` of those of `size` bytes. */
static inline void *pieces_at(const struct pieces *p, size_t index, size_t size)
{
    size_t a_piece = PIECE_SIZE / size;
    uint8_t *piece = index < a_piece ? p->first : p->more[index / a_piece - 1];

    return piece + index % a_piece * size;
}

/** Fetch what pieces_at reads to find it. */
static inline void pieces_prefetch(const struct pieces *p, size_t index, size_t size)
{
    size_t a_piece = PIECE_SIZE / size;

    if (index >= a_piece)
        __builtin_prefetch(&p->more[index / a_piece - 1]);
}

#endif
