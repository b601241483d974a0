/* The table of paths. */
#include "quic/conn.h"

struct path *neap_conn_add_path(neap_conn *c, const neap_address *local, const neap_address *peer,
                                bool validated)
{
    uint8_t index = 0;

    while (index < LIMIT_PATHS && c->paths[index])
        index++;
    struct path *path = index < LIMIT_PATHS ? neap_pool_alloc(c->pool, sizeof *path) : NULL;
    if (!path)
        return NULL;
    path->index = index;
    neap_validation_init(&path->address, local, peer, validated);
    neap_path_recovery_init(&path->recovery, &c->path_settings);
    c->paths[index] = path;
    c->recovery.paths[index] = &path->recovery;
    return path;
}

void neap_conn_drop_path(neap_conn *c, struct path *path)
{
    neap_recovery_drop_path(&c->recovery, path->index);
    c->paths[path->index] = NULL;
    neap_pool_free(c->pool, path, sizeof *path);
}
