/* Four children a node. Entries begin at the fourth place of the array: the children of one node then begin at a multiple
 * of four, which is a cache line. Places are 1-based in the nodes, 0-based here. */
#include "base/heap.h"

#include "base/pool.h"
#include "neap.h"

#define CHILDREN 4u
#define LEAD (CHILDREN - 1)

static struct heap_entry *entry(const struct heap *h, uint32_t at)
{
    return pieces_at(&h->entries, (size_t)at + LEAD, sizeof(struct heap_entry));
}

static void put(struct heap *h, uint32_t at, struct heap_entry e)
{
    *entry(h, at) = e;
    e.node->place = at + 1;
}

static void move_up(struct heap *h, uint32_t at, struct heap_entry e)
{
    while (at > 0) {
        const struct heap_entry *parent = entry(h, (at - 1) / CHILDREN);

        if (parent->at <= e.at)
            break;
        put(h, at, *parent);
        at = (at - 1) / CHILDREN;
    }
    put(h, at, e);
}

static void move_down(struct heap *h, uint32_t at, struct heap_entry e)
{
    for (uint32_t first = CHILDREN * at + 1; first < h->count; first = CHILDREN * at + 1) {
        const struct heap_entry *children = entry(h, first);
        uint32_t count = h->count - first < CHILDREN ? h->count - first : CHILDREN, least = 0;

        for (uint32_t i = 1; i < count; i++)
            if (children[i].at < children[least].at)
                least = i;
        if (children[least].at >= e.at)
            break;
        put(h, at, children[least]);
        at = first + least;
    }
    put(h, at, e);
}

/* Put an entry at a hole, wherever its key belongs from there. */
static void settle(struct heap *h, uint32_t at, struct heap_entry e)
{
    if (at > 0 && entry(h, (at - 1) / CHILDREN)->at > e.at)
        move_up(h, at, e);
    else
        move_down(h, at, e);
}

int neap_heap_set(struct heap *h, struct pool *pool, struct heap_node *node, uint64_t at)
{
    if (node->place == 0) {
        while (pieces_size(&h->entries) < (h->count + LEAD + 1) * sizeof(struct heap_entry))
            if (neap_pieces_grow(&h->entries, pool))
                return NEAP_ERR_NO_MEMORY;
        node->place = ++h->count;
    }
    settle(h, node->place - 1, (struct heap_entry){at, node});
    return 0;
}

void neap_heap_remove(struct heap *h, struct pool *pool, struct heap_node *node)
{
    if (node->place == 0)
        return;
    uint32_t hole = node->place - 1;
    struct heap_entry last = *entry(h, --h->count);

    node->place = 0;
    if (last.node != node)
        settle(h, hole, last);
    /* One empty piece stays, so that a node that comes and goes costs none. */
    if (pieces_size(&h->entries) >= (h->count + LEAD) * sizeof(struct heap_entry) + 2 * PIECE_SIZE)
        neap_pieces_shrink(&h->entries, pool);
}

const struct heap_entry *neap_heap_first(const struct heap *h)
{
    return h->count ? entry(h, 0) : NULL;
}

void neap_heap_free(struct heap *h, struct pool *pool)
{
    for (uint32_t i = 0; i < h->count; i++)
        entry(h, i)->node->place = 0;
    neap_pieces_free(&h->entries, pool);
    h->count = 0;
}
