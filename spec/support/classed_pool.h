/* The pool as builds without sanitizers have it: in this build those of neap_pool_new go straight to the environment, so
 * that size classes would never be tried. All other functions of base/pool.h take this one too. */
#ifndef NEAP_SPEC_CLASSED_POOL_H
#define NEAP_SPEC_CLASSED_POOL_H

#include "base/pool.h"

struct pool *classed_pool_new(pool_realloc_fn realloc_fn, void *context, size_t limit);

#endif
