/* A binary min-heap in one array; places are 1-based in the nodes, 0-based here. */
#include "base/heap.h"

#include "base/pool.h"
#include "neap.h"

#define FIRST_CAPACITY 16u

static void put(struct heap *h, uint32_t at, struct heap_node *node)
{
    h->nodes[at] = node;
    node->place = at + 1;
}

static void move_up(struct heap *h, uint32_t at, struct heap_node *node)
{
    while (at > 0 && h->nodes[(at - 1) / 2]->at > node->at) {
        put(h, at, h->nodes[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put(h, at, node);
}

static void move_down(struct heap *h, uint32_t at, struct heap_node *node)
{
    for (;;) {
        uint32_t child = 2 * at + 1;

        if (child + 1 < h->count && h->nodes[child + 1]->at < h->nodes[child]->at)
            child++;
        if (child >= h->count || h->nodes[child]->at >= node->at)
            break;
        put(h, at, h->nodes[child]);
        at = child;
    }
    put(h, at, node);
}

/* Put a node at a hole, wherever its key belongs from there. */
static void settle(struct heap *h, uint32_t at, struct heap_node *node)
{
    if (at > 0 && h->nodes[(at - 1) / 2]->at > node->at)
        move_up(h, at, node);
    else
        move_down(h, at, node);
}

int neap_heap_set(struct heap *h, struct pool *pool, struct heap_node *node, uint64_t at)
{
    if (node->place == 0) {
        if (h->count == h->capacity) {
            uint32_t capacity = h->capacity ? h->capacity * 2 : FIRST_CAPACITY;
            struct heap_node **nodes =
                neap_pool_resize(pool, h->nodes, h->capacity * sizeof(*nodes), capacity * sizeof(*nodes));
            if (!nodes)
                return NEAP_ERR_NO_MEMORY;
            h->nodes = nodes;
            h->capacity = capacity;
        }
        put(h, h->count++, node);
    }
    node->at = at;
    settle(h, node->place - 1, node);
    return 0;
}

void neap_heap_remove(struct heap *h, struct heap_node *node)
{
    if (node->place == 0)
        return;
    uint32_t hole = node->place - 1;
    struct heap_node *last = h->nodes[--h->count];

    node->place = 0;
    if (last != node)
        settle(h, hole, last);
}

struct heap_node *neap_heap_first(const struct heap *h)
{
    return h->count ? h->nodes[0] : NULL;
}

void neap_heap_free(struct heap *h, struct pool *pool)
{
    for (uint32_t i = 0; i < h->count; i++)
        h->nodes[i]->place = 0;
    neap_pool_free(pool, h->nodes, h->capacity * sizeof(*h->nodes));
    *h = (struct heap){0};
}
