/* The pool as builds without sanitizers have it, under names of its own: in this build neap_pool_alloc goes straight
 * to the environment, so that its size classes would never be tried. */
#ifndef NEAP_SPEC_CLASSED_POOL_H
#define NEAP_SPEC_CLASSED_POOL_H

#include "base/pool.h"

struct pool *classed_pool_new(pool_realloc_fn realloc_fn, void *context, size_t limit);
struct pool *classed_pool_retain(struct pool *pool);
void classed_pool_release(struct pool *pool);
void *classed_pool_alloc(struct pool *pool, size_t size);
void classed_pool_free(struct pool *pool, void *pointer, size_t size);
void classed_pool_free_secret(struct pool *pool, void *pointer, size_t size);
void *classed_pool_resize(struct pool *pool, void *pointer, size_t size, size_t new_size);
struct pool_stats classed_pool_stats(const struct pool *pool);

#endif
