/* All memory of a config and its connections: size classes with free lists over blocks of at most 64 KiB, one bound, no threads.
 * Reference counted: the config holds one reference, each connection and endpoint one. What lasts is kept apart from what
 * does not, so that a connection that came to rest has nothing but its own rooms. */
#ifndef NEAP_BASE_POOL_H
#define NEAP_BASE_POOL_H

#include <stddef.h>
#include <stdint.h>

#define CHUNK_SIZE 4096u

struct pool;

typedef void *(*pool_realloc_fn)(void *context, void *pointer, size_t size);

struct pool_stats {
    size_t used;     /* bytes handed out, rounded up to their class */
    size_t peak;     /* the most that was used at once */
    size_t reserved; /* bytes taken from the environment */
    size_t limit;    /* 0: none */
    uint64_t refused;
};

/** A new pool with one reference, or NULL. `realloc_fn(context, NULL, n)` allocates, `(context, p, 0)` frees.
 * `limit` bounds the bytes taken from it (0: no bound). */
struct pool *neap_pool_new(pool_realloc_fn realloc_fn, void *context, size_t limit);

struct pool *neap_pool_retain(struct pool *pool);

/** Give a reference back; with the last one every block goes back to the environment. */
void neap_pool_release(struct pool *pool);

/** `size` zeroed bytes aligned for any type, or NULL when the limit or the environment says no. */
void *neap_pool_alloc(struct pool *pool, size_t size);

/** The same for what an idle connection keeps, or what lives longer than connections do. */
void *neap_pool_alloc_lasting(struct pool *pool, size_t size);

/** Like neap_pool_alloc without the zeroing: for bytes that are read only where they were written before. */
void *neap_pool_alloc_unset(struct pool *pool, size_t size);

/** Give back what one of the above gave for this size; NULL is allowed. `size` must be the same as then. */
void neap_pool_free(struct pool *pool, void *pointer, size_t size);

/** Like free, after overwriting the bytes: for secrets. */
void neap_pool_free_secret(struct pool *pool, void *pointer, size_t size);

/** Move to a room of `new_size` bytes, the new part zeroed, that lasts if the old one did. On NULL the old room stays as it was. */
void *neap_pool_resize(struct pool *pool, void *pointer, size_t size, size_t new_size);

/** Room for `wanted` elements of `size` bytes in an array that lasts and has *capacity of them (0: `array` is NULL, and begins with
 * `first`): the array, which may have moved, doubled as often as it takes. NULL without memory: then all stayed as it was. */
void *neap_pool_grow(struct pool *pool, void *array, size_t *capacity, size_t wanted, size_t size,
                     size_t first);

struct pool_stats neap_pool_stats(const struct pool *pool);

#endif
