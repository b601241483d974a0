/* core/base/pool.c once more, with its size classes. */
#include "classed_pool.h"

#undef NEAP_POOL_MALLOC
#define neap_pool_new classed_pool_new
#define neap_pool_retain classed_pool_retain
#define neap_pool_release classed_pool_release
#define neap_pool_alloc classed_pool_alloc
#define neap_pool_alloc_lasting classed_pool_alloc_lasting
#define neap_pool_alloc_unset classed_pool_alloc_unset
#define neap_pool_free classed_pool_free
#define neap_pool_free_secret classed_pool_free_secret
#define neap_pool_resize classed_pool_resize
#define neap_pool_grow classed_pool_grow
#define neap_pool_stats classed_pool_stats

#include "../../core/base/pool.c"
