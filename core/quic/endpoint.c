/* Members of an endpoint: how they come, where datagrams find them, how they go. */
#include "quic/endpoint.h"
#include "quic/migration.h"
#include "quic/multipath.h"

#define LEAST_SERVER_CID 4u

/* What a server lacks, each of which would fail every handshake without a word on this side; NULL when nothing. */
static const char *server_lacks(const neap_config *config)
{
    if (!neap_tls_may_serve(&config->tls))
        return "a server needs a certificate (cert, certs, certificate) or pre-shared keys (psk)";
    if (config->tls.alpn_size == 0)
        return "a server needs protocols (alpn)";
    if (neap_config_has_idle_lists(config))
        return "revocation lists (crl) check nobody without roots (client_ca)";
    if (neap_config_lacks_client_trust(config))
        return "client_certificate needs roots for clients (client_ca) or a function (verify_client)";
    /* One that cannot tell its connections apart by their IDs is none. */
    if (config_option(config, OPTION_source_connection_id_size) < LEAST_SERVER_CID)
        return "a server needs connection IDs of 4 bytes or more (source_connection_id_size)";
    return NULL;
}

neap_endpoint *neap_endpoint_new(neap_config *config, bool is_server, const char **why)
{
    const char *reason = !config     ? "no config (neap_config_new gave none)"
                         : is_server ? server_lacks(config)
                                     : NULL;
    neap_endpoint *e = reason ? NULL : neap_pool_alloc_lasting(config->pool, sizeof *e);

    if (!e) {
        if (why)
            *why = reason ? reason : "no memory for an endpoint";
        return NULL;
    }
    struct random *random = neap_crypto_random(config->crypto);

    e->admission = is_server ? neap_pool_alloc_lasting(config->pool, sizeof *e->admission) : NULL;
    if (is_server && !e->admission) {
        neap_pool_free(config->pool, e, sizeof *e);
        if (why)
            *why = "no memory for an endpoint";
        return NULL;
    }
    if (is_server)
        neap_random_bytes(random, (uint8_t *)e->admission->key, sizeof e->admission->key);
    e->config = neap_config_retain(config);
    e->pool = config->pool;
    e->is_server = is_server;
    e->early.half_open = &e->stats.half_open;
    e->routes = neap_map_of(neap_random_u64(random));
    e->resets = neap_map_of(neap_random_u64(random));
    neap_random_bytes(random, (uint8_t *)e->route_key, sizeof e->route_key);
    neap_random_bytes(random, (uint8_t *)e->reset_key, sizeof e->reset_key);
    list_init(&e->all);
    list_init(&e->ready);
    list_init(&e->held);
    list_init(&e->news);
    list_init(&e->answers);
    list_init(&e->arrivals);
    return e;
}

void neap_endpoint_free(neap_endpoint *endpoint)
{
    neap_endpoint *e = endpoint;

    if (!e)
        return;
    while (!list_empty(&e->all))
        neap_endpoint_remove(e, LIST_OWNER(e->all.next, struct endpoint_entry, all));
    neap_endpoint_drop_answers(e);
    neap_endpoint_drop_arrivals(e);
    neap_map_free(&e->routes, e->pool);
    neap_map_free(&e->resets, e->pool);
    neap_heap_free(&e->timers, e->pool);
    neap_config *config = e->config;
    neap_pool_free_secret(e->pool, e->admission, sizeof *e->admission);
    neap_pool_free_secret(e->pool, e, sizeof *e);
    neap_config_free(config);
}

neap_config *neap_endpoint_config(const neap_endpoint *endpoint)
{
    return endpoint->config;
}

/* ---- routes */

static uint64_t route_key(const neap_endpoint *e, struct span cid)
{
    return span_equal(cid, cid_span(&e->current.dcid)) ? e->current.key : neap_siphash(e->route_key, cid);
}

static const struct cid_route *find_route(const neap_endpoint *e, struct span cid)
{
    uint64_t key = route_key(e, cid);
    const struct map_node *known = e->current.node;
    const struct map_node *node = known && known->key == key ? known : neap_map_find(&e->routes, key);

    return node ? LIST_OWNER(node, struct cid_route, node) : NULL;
}

struct endpoint_entry *neap_endpoint_find(neap_endpoint *e, struct span dcid)
{
    if (dcid.size == 0)
        return e->nameless;
    if (dcid.size > NEAP_MAX_CONNECTION_ID)
        return NULL;
    if (e->recent && span_equal(dcid, cid_span(&e->recent_cid)))
        return e->recent;
    const struct cid_route *route = find_route(e, dcid);
    if (!route)
        return NULL;
    e->recent = route->owner;
    e->recent_cid = cid_of(dcid);
    return e->recent;
}

static bool is_taken(void *context, const neap_cid *id)
{
    return find_route(context, cid_span(id));
}

bool neap_endpoint_new_cid(neap_endpoint *e, neap_cid *out)
{
    size_t size = (size_t)config_option(e->config, OPTION_source_connection_id_size);

    return neap_config_new_cid(e->config, size, is_taken, e, out);
}

/* One that another connection has stays that one's. */
static void add_route(neap_endpoint *e, struct endpoint_entry *entry, const neap_cid *cid,
                      struct cid_route *route)
{
    uint64_t key = neap_siphash(e->route_key, cid_span(cid));

    if (cid->size == 0 || neap_map_find(&e->routes, key))
        return;
    neap_map_add(&e->routes, e->pool, &route->node, key);
    route->owner = entry;
}

static void remove_route(neap_endpoint *e, struct cid_route *route)
{
    if (!route->owner)
        return;
    if (e->recent == route->owner)
        e->recent = NULL;
    neap_endpoint_forget_nodes(e);
    neap_map_remove(&e->routes, e->pool, &route->node);
    route->owner = NULL;
}

/* Connection IDs come and go with frames; their routes stay until it is asked here. */
static void sync_routes(neap_endpoint *e, struct endpoint_entry *entry)
{
    neap_conn *c = entry_conn(entry);
    struct local_cids *l;

    for (uint8_t slot = 0; slot < conn_slots(c); slot++) {
        if (!(l = neap_multipath_local_cids(c, slot)))
            continue;
        for (size_t i = 0; i < sizeof l->ids / sizeof l->ids[0]; i++) {
            struct local_cid *id = &l->ids[i];

            if (!id->in_use)
                remove_route(e, &id->route);
            else if (!id->route.owner)
                add_route(e, entry, &id->cid, &id->route);
        }
        l->is_sated = false; /* what is found by its route still takes a place */
    }
    c->local_cids.changed = false;
    if (c->multipath)
        neap_multipath_reap(c);
}

static void remove_routes(neap_endpoint *e, struct endpoint_entry *entry)
{
    struct local_cids *l;

    for (uint8_t slot = 0; slot < conn_slots(entry_conn(entry)); slot++)
        for (size_t i = 0;
             (l = neap_multipath_local_cids(entry_conn(entry), slot)) && i < sizeof l->ids / sizeof l->ids[0];
             i++)
            remove_route(e, &l->ids[i].route);
    remove_route(e, &entry->original);
}

void neap_endpoint_issue_ids(neap_endpoint *e, struct endpoint_entry *entry)
{
    neap_cid cid;

    /* Each has its route before the next is chosen. */
    while (conn_wants_id(entry_conn(entry)) && neap_endpoint_new_cid(e, &cid)) {
        neap_conn_issue_id(entry_conn(entry), &cid);
        sync_routes(e, entry);
    }
}

/* ---- the peer's reset tokens: kept as keyed hashes, so that looking one up tells nothing about them by its time */

/* That of the path with this index, which is what the lowest bits say: a node tells by them whose it is. */
static uint64_t reset_key(const neap_endpoint *e, const uint8_t token[RESET_TOKEN_SIZE], size_t path)
{
    uint64_t hash = neap_siphash(e->reset_key, span_of(token, RESET_TOKEN_SIZE));

    return hash - hash % LIMIT_PATHS + path;
}

/* Where there is another path than the first, there is the block `migration`. */
static struct map_node *reset_node(struct endpoint_entry *entry, size_t path)
{
    return path == 0 ? &entry->reset : &entry_conn(entry)->migration->resets[path];
}

static struct endpoint_entry *reset_owner(struct map_node *node, size_t path)
{
    return path == 0 ? LIST_OWNER(node, struct endpoint_entry, reset)
                     : &LIST_OWNER(node - path, struct migration, resets)->conn->entry;
}

static void drop_resets(neap_endpoint *e, struct endpoint_entry *entry)
{
    for (size_t i = 0; i < LIMIT_PATHS; i++)
        if (entry->has_resets & 1u << i)
            neap_map_remove(&e->resets, e->pool, reset_node(entry, i));
    entry->has_resets = 0;
}

/* Of each connection ID that a path uses (RFC 9000 §10.3.1). A token that another connection's peer gave us too ends that
 * one. */
static void sync_resets(neap_endpoint *e, struct endpoint_entry *entry)
{
    neap_conn *c = entry_conn(entry);

    c->peer_cids_changed = false;
    drop_resets(e, entry);
    for (size_t i = 0; i < LIMIT_PATHS; i++) {
        const struct peer_cid *id = conn_path_at(c, i) ? conn_peer_cid(c, conn_path_at(c, i)) : NULL;

        if (!id || !id->is_active || !id->has_token || neap_map_find(&e->resets, reset_key(e, id->token, i)))
            continue;
        neap_map_add(&e->resets, e->pool, reset_node(entry, i), reset_key(e, id->token, i));
        entry->has_resets |= (uint8_t)(1u << i);
    }
}

struct endpoint_entry *neap_endpoint_find_reset(neap_endpoint *e, const uint8_t token[RESET_TOKEN_SIZE])
{
    for (size_t i = 0; i < LIMIT_PATHS; i++) {
        struct map_node *node = neap_map_find(&e->resets, reset_key(e, token, i));
        struct endpoint_entry *entry = node ? reset_owner(node, i) : NULL;

        if (entry && neap_multipath_is_reset(entry_conn(entry), token))
            return entry;
    }
    return NULL;
}

/* ---- entries */

struct endpoint_entry *neap_endpoint_add(neap_endpoint *e, neap_conn *conn)
{
    struct endpoint_entry *entry = &conn->entry;

    entry->endpoint = e;
    entry->is_half_open = true;
    list_append(&e->all, &entry->all);
    e->stats.connections++;
    e->stats.half_open++;
    if (conn->local_cids.cid_size == 0 && !e->nameless)
        e->nameless = entry;
    sync_routes(e, entry);
    /* After a Retry the client uses the ID that we gave, which is ours already. */
    if (conn->is_server)
        add_route(e, entry, &conn->original_dcid, &entry->original);
    if (neap_heap_set(&e->timers, e->pool, &entry->timer, neap_conn_timeout(conn))) {
        neap_endpoint_remove(e, entry);
        return NULL;
    }
    return entry;
}

static void end_half_open(neap_endpoint *e, struct endpoint_entry *entry)
{
    if (!entry->is_half_open)
        return;
    entry->is_half_open = false;
    e->stats.half_open--;
}

void neap_endpoint_remove(neap_endpoint *e, struct endpoint_entry *entry)
{
    neap_conn *c = entry_conn(entry);

    remove_routes(e, entry);
    drop_resets(e, entry);
    if (e->nameless == entry)
        e->nameless = NULL;
    neap_heap_remove(&e->timers, e->pool, &entry->timer);
    list_remove(&entry->all);
    list_remove(&entry->ready);
    list_remove(&entry->news);
    end_half_open(e, entry);
    if (c->is_server && conn_reached(c) >= STAGE_ESTABLISHED)
        neap_admission_spend(e->admission, entry->first, e->now);
    e->stats.connections--;
    e->memory_short_at = 0;
    entry->endpoint = NULL;
    neap_conn_free(c);
}

void neap_endpoint_settle(neap_endpoint *e, struct endpoint_entry *entry)
{
    neap_conn *c = entry_conn(entry);

    if (neap_conn_is_closed(c) && entry->is_released) {
        neap_endpoint_remove(e, entry);
        return;
    }
    if (c->local_cids.changed)
        sync_routes(e, entry);
    if (c->peer_cids_changed)
        sync_resets(e, entry);
    /* One that failed in its handshake counts until its closing is over: it costs as much as one that hangs. */
    if (neap_conn_is_established(c) || c->stage == STAGE_CLOSED)
        end_half_open(e, entry);
    if (neap_conn_take_news(c) && !entry->is_released && !list_linked(&entry->news))
        list_append(&e->news, &entry->news);
}

neap_conn *neap_endpoint_next(neap_endpoint *endpoint)
{
    struct list_link *first = list_take_first(&endpoint->news);

    return first ? entry_conn(LIST_OWNER(first, struct endpoint_entry, news)) : NULL;
}

neap_conn *neap_endpoint_each(const neap_endpoint *endpoint, const neap_conn *after)
{
    const struct list_link *next = after ? after->entry.all.next : endpoint->all.next;

    return next == &endpoint->all ? NULL : entry_conn(LIST_OWNER(next, struct endpoint_entry, all));
}

bool neap_endpoint_uses(const neap_endpoint *endpoint, const neap_address *local)
{
    for (const neap_conn *c = neap_endpoint_each(endpoint, NULL); c; c = neap_endpoint_each(endpoint, c))
        for (size_t i = 0; i < LIMIT_PATHS; i++)
            if (conn_path_at(c, i) && neap_address_equal(&conn_path_at(c, i)->address.local, local))
                return true;
    return false;
}

neap_conn *neap_endpoint_new_client(neap_endpoint *endpoint, neap_config *config, const char *server_name,
                                    const neap_address *local, const neap_address *peer, neap_time now,
                                    const char **why)
{
    neap_endpoint *e = endpoint;
    neap_cid source;

    if (!config)
        config = e->config;
    /* Received short headers do not tell how long the ID in them is: it is the same for all. */
    if (config_option(config, OPTION_source_connection_id_size) !=
        config_option(e->config, OPTION_source_connection_id_size)) {
        if (why)
            *why = "source_connection_id_size differs from the endpoint's";
        return NULL;
    }
    if (config_option(config, OPTION_source_connection_id_size) == 0 && e->nameless) {
        if (why)
            *why = "an endpoint has one connection at most with a zero-length connection ID";
        return NULL;
    }
    if (!neap_endpoint_new_cid(e, &source)) {
        if (why)
            *why = "no connection ID of this size is left";
        return NULL;
    }
    neap_conn *conn = neap_conn_new_client(config, server_name, local, peer, &source, now, why);
    struct endpoint_entry *entry = conn ? neap_endpoint_add(e, conn) : NULL;
    if (!entry) {
        if (conn && why)
            *why = "no memory for a connection";
        return NULL;
    }
    neap_conn_take_news(conn);
    list_append(&e->ready, &entry->ready);
    return conn;
}

void neap_endpoint_forget(neap_conn *c)
{
    neap_endpoint_remove(c->entry.endpoint, &c->entry);
}

void neap_conn_wake(neap_conn *c)
{
    if (c->entry.endpoint)
        neap_endpoint_touch(c->entry.endpoint, c);
}

void neap_endpoint_touch(neap_endpoint *endpoint, neap_conn *conn)
{
    struct endpoint_entry *entry = &conn->entry;

    /* One that is held has a turn to see whether it is still: its peer may have moved to the other family. */
    if (entry->endpoint != endpoint || (list_linked(&entry->ready) && !entry->was_held))
        return;
    list_remove(&entry->ready);
    list_append(&endpoint->ready, &entry->ready);
}

void neap_endpoint_release(neap_endpoint *endpoint, neap_conn *conn)
{
    struct endpoint_entry *entry = &conn->entry;

    if (entry->endpoint != endpoint)
        return;
    entry->is_released = true;
    conn->user = NULL;
    list_remove(&entry->news);
    neap_endpoint_touch(endpoint, conn);
    neap_endpoint_settle(endpoint, entry);
}

void neap_endpoint_refuse(neap_endpoint *endpoint, bool refuse)
{
    endpoint->refuses = refuse;
}

void neap_endpoint_set_admit(neap_endpoint *endpoint,
                             enum neap_admit (*admit)(void *context, const neap_arrival *arrival),
                             void *context)
{
    endpoint->admit = admit;
    endpoint->admit_context = context;
}

void neap_endpoint_rotate_ids(neap_endpoint *endpoint)
{
    for (struct list_link *at = endpoint->all.next; at != &endpoint->all; at = at->next)
        neap_conn_rotate_ids(entry_conn(LIST_OWNER(at, struct endpoint_entry, all)));
}

void neap_endpoint_set_tracer(neap_endpoint *endpoint, const neap_tracer *tracer)
{
    endpoint->tracer = tracer;
}

void neap_endpoint_get_stats(const neap_endpoint *endpoint, neap_endpoint_stats *out, size_t size)
{
    neap_endpoint_stats known = endpoint->stats;

    known.receive_held = endpoint->config->budget.receive_held;
    known.answers_waiting = endpoint->answer_count;
    known.answers_most = LIMIT_STATELESS_ANSWERS;
    known.arrivals_waiting = endpoint->arrival_count;
    fill_sized(out, size, &known, sizeof known);
}
