/* The sessions that a client keeps: a list, the newest first. It is looked through once a connection. */
#include "base/pool.h"
#include "base/reader.h"
#include "neap.h"
#include "tls/session.h"

/* Its bytes are in blocks of their own, because a handshake takes them out and keeps them. */
struct stored_session {
    struct stored_session *older;
    struct span bytes;
    uint64_t taker; /* the connection that took it; 0: nobody knows */
    uint16_t port;
    bool was_offered; /* once, and nobody answered */
    uint8_t name_size;
    char name[LIMIT_SERVER_NAME];
};

void neap_session_drop(struct pool *pool, struct span *session)
{
    if (session->data)
        neap_pool_free_secret(pool, (void *)(uintptr_t)session->data, session->size);
    *session = (struct span){0};
}

static bool is_of(const struct stored_session *s, struct span name, uint16_t port)
{
    return s->port == port && span_equal(span_of(s->name, s->name_size), name);
}

/* ---- tokens among them: a byte that no session begins with, the version, when it came, our address, the token */

#define FORMAT_TOKEN 0x80u
#define TOKEN_FIXED (1u + 4u + 8u + 1u)
#define TOKEN_RECORD_MOST (TOKEN_FIXED + 16u + LIMIT_TOKEN)

struct kept_token {
    uint32_t version;
    int64_t came;
    struct span local_ip, token;
};

static bool is_token(struct span bytes)
{
    return bytes.data[0] == FORMAT_TOKEN;
}

static bool read_token(struct span bytes, struct kept_token *out)
{
    struct reader r = reader_of(bytes);
    bool is_one = read_u8(&r) == FORMAT_TOKEN;

    out->version = read_u32(&r);
    out->came = (int64_t)read_uint(&r, 8);
    out->local_ip = read_vector(&r, 1);
    out->token = read_rest(&r);
    return is_one && !r.bad && out->local_ip.size <= 16 && out->token.size > 0 &&
           out->token.size <= LIMIT_TOKEN;
}

static bool is_over_age(const struct kept_token *t, int64_t now)
{
    return time_is_known(now) && time_is_known(t->came) &&
           (now - t->came > LIMIT_TOKEN_SECONDS || t->came - now > LIMIT_TOKEN_SECONDS);
}

static bool is_nowhere(struct span ip)
{
    for (size_t i = 0; i < ip.size; i++)
        if (ip.data[i])
            return false;
    return true;
}

/* Take one out of the list; its bytes are the caller's. */
static struct span remove_at(struct session_store *store, struct stored_session **at)
{
    struct stored_session *s = *at;
    struct span bytes = s->bytes;

    *at = s->older;
    store->count--;
    store->size -= bytes.size + sizeof *s;
    neap_pool_free(store->pool, s, sizeof *s);
    return bytes;
}

static void drop_at(struct session_store *store, struct stored_session **at)
{
    struct span bytes = remove_at(store, at);

    neap_session_drop(store->pool, &bytes);
}

/* Bytes that all may have. */
static size_t share(const struct session_store *store)
{
    size_t limit = neap_pool_stats(store->pool).limit;

    return limit ? limit / LIMIT_SESSIONS_SHARE : SIZE_MAX;
}

static void drop_oldest(struct session_store *store)
{
    struct stored_session **at = &store->newest;

    while ((*at)->older)
        at = &(*at)->older;
    drop_at(store, at);
}

/* Make room for one more. Sessions and tokens of a server do not take each other's. */
static void make_room(struct session_store *store, struct span name, uint16_t port, size_t size,
                      bool for_token)
{
    struct stored_session **oldest_here = NULL;
    size_t here = 0;

    for (struct stored_session **at = &store->newest; *at; at = &(*at)->older) {
        if (!is_of(*at, name, port) || is_token((*at)->bytes) != for_token)
            continue;
        oldest_here = at;
        here++;
    }
    if (here >= (for_token ? LIMIT_TOKENS_SERVER : LIMIT_SESSIONS_SERVER))
        drop_at(store, oldest_here);
    while (store->count >= LIMIT_SESSIONS || (store->newest && store->size + size > share(store)))
        drop_oldest(store);
}

void neap_sessions_put(struct session_store *store, struct span name, uint16_t port, struct span session,
                       bool was_offered, uint64_t taker)
{
    size_t size = session.size + sizeof(struct stored_session);

    if (name.size == 0 || name.size > LIMIT_SERVER_NAME || session.size == 0 || size > share(store))
        return;
    make_room(store, name, port, size, is_token(session));
    uint8_t *bytes = neap_pool_alloc_lasting(store->pool, session.size);
    struct stored_session *s = bytes ? neap_pool_alloc_lasting(store->pool, sizeof *s) : NULL;
    if (!s) {
        neap_pool_free(store->pool, bytes, session.size);
        return;
    }
    memcpy(bytes, session.data, session.size);
    s->older = store->newest;
    s->bytes = span_of(bytes, session.size);
    s->taker = taker;
    s->port = port;
    s->was_offered = was_offered;
    s->name_size = (uint8_t)name.size;
    memcpy(s->name, name.data, name.size);
    store->newest = s;
    store->count++;
    store->size += size;
}

static void set_data(struct session_store *store, struct stored_session *s, struct span data)
{
    struct session session;

    if (!neap_session_read(s->bytes, &session) || !session.allows_early)
        return;
    session.data = data;
    size_t size = neap_session_size(&session);
    uint8_t *bytes = neap_pool_alloc_lasting(store->pool, size);
    if (!bytes)
        return;
    struct writer w = writer_of(bytes, size);
    neap_session_write(&w, &session);
    store->size += size - s->bytes.size;
    neap_session_drop(store->pool, &s->bytes);
    s->bytes = span_of(bytes, size);
}

void neap_sessions_set_data(struct session_store *store, uint64_t taker, struct span data)
{
    for (struct stored_session *s = store->newest; s; s = s->older)
        if (s->taker == taker)
            set_data(store, s, data);
}

uint32_t neap_sessions_version(const struct session_store *store, struct span name, uint16_t port,
                               int64_t now)
{
    struct session session;

    for (const struct stored_session *s = store->newest; s; s = s->older)
        if (is_of(s, name, port) && neap_session_read(s->bytes, &session) &&
            neap_session_is_fresh(&session, now, 0))
            return session.version;
    return 0;
}

struct span neap_sessions_take(struct session_store *store, struct span name, uint16_t port, uint32_t version,
                               const uint8_t binding[32], int64_t now, bool *was_offered)
{
    struct stored_session **at = &store->newest;

    while (*at) {
        struct session session;

        if (is_token((*at)->bytes)) {
            at = &(*at)->older;
        } else if (!neap_session_read((*at)->bytes, &session) || neap_session_is_over(&session, now)) {
            drop_at(store, at);
        } else if (is_of(*at, name, port) && session.version == version &&
                   neap_session_is_fresh(&session, now, 0) &&
                   memcmp(session.binding, binding, sizeof session.binding) == 0) {
            *was_offered = (*at)->was_offered;
            return remove_at(store, at);
        } else {
            at = &(*at)->older;
        }
    }
    return (struct span){0};
}

static bool has_token(const struct session_store *store, struct span name, uint16_t port, struct span token)
{
    struct kept_token kept;

    for (const struct stored_session *s = store->newest; s; s = s->older)
        if (is_of(s, name, port) && read_token(s->bytes, &kept) && span_equal(kept.token, token))
            return true;
    return false;
}

bool neap_sessions_put_token(struct session_store *store, struct span name, uint16_t port, uint32_t version,
                             struct span local_ip, int64_t now, struct span token)
{
    uint8_t record[TOKEN_RECORD_MOST];
    struct writer w = writer_of(record, sizeof record);
    size_t count = store->count;

    if (token.size == 0 || token.size > LIMIT_TOKEN || has_token(store, name, port, token))
        return false;
    if (is_nowhere(local_ip))
        local_ip.size = 0;
    write_u8(&w, FORMAT_TOKEN);
    write_u32(&w, version);
    write_uint(&w, (uint64_t)now, 8);
    write_u8(&w, (uint8_t)local_ip.size);
    write_span(&w, local_ip);
    write_span(&w, token);
    struct stored_session *newest = store->newest;
    neap_sessions_put(store, name, port, span_of(record, writer_size(&w)), false, 0);
    return store->newest != newest || store->count > count;
}

void neap_sessions_put_token_back(struct session_store *store, struct span name, uint16_t port,
                                  struct span record)
{
    if (!has_token(store, name, port, neap_session_token(record)))
        neap_sessions_put(store, name, port, record, true, 0);
}

struct span neap_session_token(struct span record)
{
    struct kept_token t;

    return record.size > 0 && read_token(record, &t) ? t.token : (struct span){0};
}

struct span neap_sessions_take_token(struct session_store *store, struct span name, uint16_t port,
                                     uint32_t version, struct span local_ip, int64_t now, bool *was_offered)
{
    struct stored_session **at = &store->newest;

    while (*at) {
        struct kept_token t;

        if (!is_token((*at)->bytes)) {
            at = &(*at)->older;
            continue;
        }
        if (!read_token((*at)->bytes, &t) || is_over_age(&t, now)) {
            drop_at(store, at);
            continue;
        }
        bool is_elsewhere = t.local_ip.size > 0 && !is_nowhere(local_ip) && !span_equal(t.local_ip, local_ip);
        if (is_of(*at, name, port) && t.version == version && !is_elsewhere) {
            *was_offered = (*at)->was_offered;
            return remove_at(store, at);
        }
        at = &(*at)->older;
    }
    return (struct span){0};
}

void neap_sessions_forget(struct session_store *store, struct span name, uint16_t port)
{
    struct stored_session **at = &store->newest;

    while (*at) {
        if (is_of(*at, name, port))
            drop_at(store, at);
        else
            at = &(*at)->older;
    }
}

void neap_sessions_free(struct session_store *store)
{
    while (store->newest)
        drop_at(store, &store->newest);
}

/* ---- in a file: a mark, then from the oldest to the newest port, name, session */

#define MARK "neap sessions 1\n"
#define MARK_SIZE (sizeof MARK - 1)

static void write_oldest_first(struct writer *w, const struct stored_session *s, size_t *size)
{
    if (!s)
        return;
    write_oldest_first(w, s->older, size);
    *size += 2u + 1u + s->name_size + 2u + s->bytes.size;
    write_u16(w, s->port);
    write_u8(w, s->name_size);
    write_bytes(w, s->name, s->name_size);
    write_u16(w, (uint16_t)s->bytes.size);
    write_span(w, s->bytes);
}

int64_t neap_sessions_save(const struct session_store *store, uint8_t *out, size_t size)
{
    struct writer w = writer_of(out, out ? size : 0);
    size_t need = MARK_SIZE;

    write_bytes(&w, MARK, MARK_SIZE);
    write_oldest_first(&w, store->newest, &need);
    return out && w.full ? NEAP_ERR_BUFFER_TOO_SHORT : (int64_t)need;
}

int neap_sessions_load(struct session_store *store, struct span saved)
{
    struct reader r = reader_of(saved);
    struct span mark = read_bytes(&r, MARK_SIZE);

    if (r.bad || memcmp(mark.data, MARK, MARK_SIZE) != 0)
        return NEAP_ERR_ARGUMENT;
    while (reader_left(&r) > 0) {
        struct session session;
        struct kept_token token;
        uint16_t port = read_u16(&r);
        struct span name = read_vector(&r, 1), bytes = read_vector(&r, 2);

        if (r.bad ||
            (!read_token(bytes, &token) && (!neap_session_read(bytes, &session) || session.ticket.size == 0)))
            return NEAP_ERR_ARGUMENT;
        neap_sessions_put(store, name, port, bytes, false, 0);
    }
    return 0;
}
