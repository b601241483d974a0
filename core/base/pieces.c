/* The directory doubles: a pointer for each 4 KiB, so that even that copy stays small. */
#include "base/pieces.h"

#include "base/pool.h"
#include "neap.h"

#define LEAST_SIZE 64u
#define FIRST_ROOM 8u

static int grow_first(struct pieces *p, struct pool *pool)
{
    uint32_t size = p->first_size ? p->first_size * 2 : LEAST_SIZE;
    void *first = p->first ? neap_pool_resize(pool, p->first, p->first_size, size)
                           : neap_pool_alloc_lasting(pool, size);

    if (!first)
        return NEAP_ERR_NO_MEMORY;
    p->first = first;
    p->first_size = size;
    return 0;
}

static int grow_directory(struct pieces *p, struct pool *pool)
{
    uint32_t room = p->more_room ? p->more_room * 2 : FIRST_ROOM;
    void **more = p->more ? neap_pool_resize(pool, p->more, p->more_room * sizeof *more, room * sizeof *more)
                          : neap_pool_alloc_lasting(pool, room * sizeof *more);

    if (!more)
        return NEAP_ERR_NO_MEMORY;
    p->more = more;
    p->more_room = room;
    return 0;
}

int neap_pieces_grow(struct pieces *p, struct pool *pool)
{
    if (p->first_size < PIECE_SIZE)
        return grow_first(p, pool);
    if (p->more_count == p->more_room && grow_directory(p, pool))
        return NEAP_ERR_NO_MEMORY;
    p->more[p->more_count] = neap_pool_alloc_lasting(pool, PIECE_SIZE);
    if (!p->more[p->more_count])
        return NEAP_ERR_NO_MEMORY;
    p->more_count++;
    return 0;
}

void neap_pieces_shrink(struct pieces *p, struct pool *pool)
{
    if (p->more_count > 0)
        neap_pool_free(pool, p->more[--p->more_count], PIECE_SIZE);
}

void neap_pieces_free(struct pieces *p, struct pool *pool)
{
    while (p->more_count > 0)
        neap_pieces_shrink(p, pool);
    neap_pool_free(pool, p->more, p->more_room * sizeof *p->more);
    neap_pool_free(pool, p->first, p->first_size);
    *p = (struct pieces){0};
}
