/* Units of core/streams: the table of a connection's streams. */
#include "units_streams.h"

/* ---- new{ is_server =, ours... }: the table */

#define STREAMS "neap.units.streams"

struct unit_streams {
    struct memory memory;
    struct streams_budget budget;
    struct streams s;
};

static struct streams *check_streams(lua_State *L)
{
    struct unit_streams *u = luaL_checkudata(L, 1, STREAMS);

    return &u->s;
}

static uint64_t field(lua_State *L, const char *name, uint64_t otherwise)
{
    lua_getfield(L, 1, name);
    uint64_t value = units_opt_u64(L, -1, otherwise);
    lua_pop(L, 1);
    return value;
}

static struct transport_params check_params(lua_State *L, const char *name, uint64_t otherwise)
{
    struct transport_params p = {0};

    lua_getfield(L, 1, name);
    if (lua_istable(L, -1)) {
        lua_insert(L, 1);
        p.max_data = field(L, "max_data", otherwise);
        p.max_stream_data_bidi_local = field(L, "bidi_local", otherwise);
        p.max_stream_data_bidi_remote = field(L, "bidi_remote", otherwise);
        p.max_stream_data_uni = field(L, "uni", otherwise);
        p.max_streams_bidi = field(L, "streams_bidi", 100);
        p.max_streams_uni = field(L, "streams_uni", 100);
        lua_remove(L, 1);
        return p;
    }
    lua_pop(L, 1);
    p.max_data = p.max_stream_data_bidi_local = p.max_stream_data_bidi_remote = p.max_stream_data_uni =
        otherwise;
    p.max_streams_bidi = p.max_streams_uni = 100;
    return p;
}

static int streams_new(lua_State *L)
{
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    struct transport_params ours = check_params(L, "ours", 65536), peer = check_params(L, "peer", 65536);
    params_add(&ours, PARAM_reset_stream_at);
    struct streams_config config = {.ours = &ours,
                                    .max_connection_window = field(L, "max_connection_window", 1 << 20),
                                    .max_stream_window = field(L, "max_stream_window", 1 << 20),
                                    .send_buffer = (uint32_t)field(L, "send_buffer", 1 << 20),
                                    .send_ahead = (uint16_t)field(L, "send_ahead", 0),
                                    .send_most = field(L, "send_most", 0)};
    uint64_t most = field(L, "budget", 0), send_most = field(L, "send_budget", 0);
    lua_getfield(L, 1, "is_server");
    config.is_server = lua_toboolean(L, -1);
    lua_getfield(L, 1, "without_peer");
    bool without_peer = lua_toboolean(L, -1);
    struct unit_streams *u = units_new_object(L, STREAMS, sizeof(*u));

    u->budget.receive_most = most;
    u->budget.send_most = send_most;
    config.budget = &u->budget;
    neap_streams_init(&u->s, u->memory.pool, &config);
    params_add(&peer, PARAM_reset_stream_at);
    if (!without_peer)
        neap_streams_set_peer_params(&u->s, &peer);
    return 1;
}

static int streams_gc(lua_State *L)
{
    struct unit_streams *u = luaL_checkudata(L, 1, STREAMS);

    neap_streams_free(&u->s);
    neap_pool_release(u->memory.pool);
    return 0;
}

/* held() -> bytes that the connection counts, that the budget counts */
static int held(lua_State *L)
{
    struct unit_streams *u = luaL_checkudata(L, 1, STREAMS);

    units_push_u64(L, u->s.held);
    units_push_u64(L, u->budget.receive_held);
    return 2;
}

/* queued() -> bytes that the connection counts, that the budget counts, that were never sent; streams that hold some */
static int queued(lua_State *L)
{
    struct unit_streams *u = luaL_checkudata(L, 1, STREAMS);

    units_push_u64(L, u->s.send_held);
    units_push_u64(L, u->budget.send_held);
    units_push_u64(L, u->s.unsent);
    units_push_u64(L, u->s.send_holders);
    return 4;
}

/* others_queue(n): as others_hold, of what is queued */
static int others_queue(lua_State *L)
{
    struct unit_streams *u = luaL_checkudata(L, 1, STREAMS);

    u->budget.send_held += (uint64_t)(int64_t)luaL_checknumber(L, 2);
    return 0;
}

static uint64_t chunks_memory(const struct chunks *c)
{
    uint64_t memory = c->capacity ? c->capacity * sizeof(struct chunk_page *) : c->size;

    for (uint32_t i = 0; i < c->capacity; i++)
        for (size_t k = 0; c->pages[i] && k < CHUNKS_A_PAGE; k++)
            memory += c->pages[i]->chunks[k].size + (k == 0 ? sizeof(struct chunk_page) : 0);
    return memory;
}

/* received_memory() -> bytes of memory for what was received: rooms, pages, directories and ranges, looked for one by one */
static int received_memory(lua_State *L)
{
    const struct streams *s = check_streams(L);
    struct map_walk walk = {0};
    const struct map_node *node;
    uint64_t sum = 0;

    while ((node = neap_map_walk(&s->table, &walk))) {
        const struct stream *stream = LIST_OWNER(node, struct stream, node);
        const struct reassembly *data = &stream->recv->data;

        sum += chunks_memory(&data->chunks) + data->received.capacity * sizeof(struct range);
    }
    units_push_u64(L, sum);
    return 1;
}

/* others_hold(n): the budget has n more bytes, of connections that share it; fewer where n < 0 */
static int others_hold(lua_State *L)
{
    struct unit_streams *u = luaL_checkudata(L, 1, STREAMS);

    u->budget.receive_held += (uint64_t)(int64_t)luaL_checknumber(L, 2);
    return 0;
}

static int on_stream(lua_State *L)
{
    struct frame_stream f = {.id = units_check_u64(L, 2),
                             .offset = units_check_u64(L, 3),
                             .data = units_check_span(L, 4),
                             .fin = lua_toboolean(L, 5)};
    struct failure why = {0};

    return units_push_result(L, neap_streams_on_stream(check_streams(L), &f, units_opt_u64(L, 6, 1), &why),
                             &why);
}

static int on_reset_stream(lua_State *L)
{
    struct frame_reset_stream f = {
        .id = units_check_u64(L, 2), .code = units_check_u64(L, 3), .final_size = units_check_u64(L, 4)};
    struct failure why = {0};

    return units_push_result(L, neap_streams_on_reset_stream(check_streams(L), &f, &why), &why);
}

/* s:on_reset_stream_at(id, code, final_size, reliable_size) */
static int on_reset_stream_at(lua_State *L)
{
    struct frame_reset_stream f = {.id = units_check_u64(L, 2),
                                   .code = units_check_u64(L, 3),
                                   .final_size = units_check_u64(L, 4),
                                   .reliable_size = units_check_u64(L, 5)};
    struct failure why = {0};

    return units_push_result(L, neap_streams_on_reset_stream_at(check_streams(L), &f, &why), &why);
}

/* s:reset_at(id, code, reliable_size; nil: all) */
static int streams_reset_at(lua_State *L)
{
    lua_pushinteger(L, neap_streams_reset_at(check_streams(L), units_check_u64(L, 2), units_check_u64(L, 3),
                                             units_opt_u64(L, 4, NEAP_RESET_AT_ALL)));
    return 1;
}

static int on_stop_sending(lua_State *L)
{
    struct frame_stop_sending f = {.id = units_check_u64(L, 2), .code = units_check_u64(L, 3)};
    struct failure why = {0};

    return units_push_result(L, neap_streams_on_stop_sending(check_streams(L), &f, &why), &why);
}

static int on_max_data(lua_State *L)
{
    neap_streams_on_max_data(check_streams(L), units_check_u64(L, 2));
    return 0;
}

static int on_max_stream_data(lua_State *L)
{
    struct failure why = {0};

    return units_push_result(
        L,
        neap_streams_on_max_stream_data(check_streams(L), units_check_u64(L, 2), units_check_u64(L, 3), &why),
        &why);
}

static int on_max_streams(lua_State *L)
{
    struct failure why = {0};

    return units_push_result(
        L, neap_streams_on_max_streams(check_streams(L), lua_toboolean(L, 2), units_check_u64(L, 3), &why),
        &why);
}

static int on_stream_data_blocked(lua_State *L)
{
    struct failure why = {0};

    return units_push_result(
        L, neap_streams_on_stream_data_blocked(check_streams(L), units_check_u64(L, 2), &why), &why);
}

static int on_streams_blocked(lua_State *L)
{
    struct failure why = {0};

    return units_push_result(
        L,
        neap_streams_on_streams_blocked(check_streams(L), lua_toboolean(L, 2), units_check_u64(L, 3), &why),
        &why);
}

static int streams_open(lua_State *L)
{
    lua_pushnumber(
        L, (lua_Number)neap_streams_open(check_streams(L), lua_isnoneornil(L, 2) || lua_toboolean(L, 2)));
    return 1;
}

static int streams_send(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)neap_streams_send(check_streams(L), units_check_u64(L, 2),
                                                    units_check_span(L, 3), lua_toboolean(L, 4)));
    return 1;
}

static int streams_queue(lua_State *L)
{
    struct span parts[3];

    units_split_span(units_check_span(L, 3), parts);
    lua_pushinteger(
        L, neap_streams_queue(check_streams(L), units_check_u64(L, 2), parts, 3, lua_toboolean(L, 4)));
    return 1;
}

static int streams_capacity(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)neap_streams_capacity(check_streams(L), units_check_u64(L, 2)));
    return 1;
}

/* s:recv(id, size, now, rtt) -> bytes or error, fin */
static int streams_recv(lua_State *L)
{
    size_t size = (size_t)luaL_optnumber(L, 3, 65536);
    neap_time now = units_opt_u64(L, 4, 1), rtt = units_opt_u64(L, 5, 0);
    uint8_t *room = lua_newuserdata(L, size + 1);
    bool fin;
    int64_t taken = neap_streams_recv(check_streams(L), units_check_u64(L, 2), room, size, &fin, now, rtt);

    if (taken < 0)
        lua_pushnumber(L, (lua_Number)taken);
    else
        lua_pushlstring(L, (const char *)room, (size_t)taken);
    lua_pushboolean(L, fin);
    return 2;
}

/* s:peek(id) -> bytes or error, fin */
static int streams_peek(lua_State *L)
{
    struct span view;
    bool fin;
    int64_t size = neap_streams_peek(check_streams(L), units_check_u64(L, 2), &view, &fin);

    if (size < 0)
        lua_pushnumber(L, (lua_Number)size);
    else
        lua_pushlstring(L, (const char *)view.data, view.size);
    lua_pushboolean(L, fin);
    return 2;
}

static int streams_consume(lua_State *L)
{
    neap_streams_consume(check_streams(L), units_check_u64(L, 2), (size_t)luaL_checknumber(L, 3),
                         units_opt_u64(L, 4, 1), units_opt_u64(L, 5, 0));
    return 0;
}

static int streams_end_seen(lua_State *L)
{
    neap_streams_end_seen(check_streams(L), units_check_u64(L, 2));
    return 0;
}

/* s:shutdown(id, "read" | "write", code) */
static int streams_shutdown(lua_State *L)
{
    static const char *const names[] = {"read", "write", NULL};
    enum neap_shutdown direction =
        luaL_checkoption(L, 3, NULL, names) == 0 ? NEAP_SHUTDOWN_READ : NEAP_SHUTDOWN_WRITE;

    lua_pushinteger(
        L, neap_streams_shutdown(check_streams(L), units_check_u64(L, 2), direction, units_check_u64(L, 4)));
    return 1;
}

/* s:error(id, "read" | "write") -> result, code */
static int streams_error(lua_State *L)
{
    static const char *const names[] = {"read", "write", NULL};
    enum neap_shutdown direction =
        luaL_checkoption(L, 3, NULL, names) == 0 ? NEAP_SHUTDOWN_READ : NEAP_SHUTDOWN_WRITE;
    uint64_t code = 0;

    lua_pushinteger(L, neap_streams_error(check_streams(L), units_check_u64(L, 2), direction, &code));
    units_push_u64(L, code);
    return 2;
}

static int streams_finished(lua_State *L)
{
    lua_pushboolean(L, neap_streams_finished(check_streams(L), units_check_u64(L, 2)));
    return 1;
}

/* streams:hold(id) -> whether it is held now */
static int streams_hold(lua_State *L)
{
    static int something;

    lua_pushboolean(L, neap_streams_hold(check_streams(L), units_check_u64(L, 2), &something) != NULL);
    return 1;
}

/* streams:release(id) of one that is held */
static int streams_release(lua_State *L)
{
    struct stream *stream = neap_streams_find(check_streams(L), units_check_u64(L, 2));

    if (!stream || !stream->user)
        return luaL_error(L, "the stream is not held");
    neap_stream_release(check_streams(L), stream);
    return 0;
}

static int streams_set_priority(lua_State *L)
{
    lua_pushinteger(L, neap_streams_set_priority(check_streams(L), units_check_u64(L, 2),
                                                 (uint8_t)luaL_checknumber(L, 3), lua_toboolean(L, 4)));
    return 1;
}

/* s:put_first(id) */
static int streams_put_first(lua_State *L)
{
    neap_streams_put_first(check_streams(L), neap_streams_find(check_streams(L), units_check_u64(L, 2)));
    return 0;
}

static int streams_set_low_water(lua_State *L)
{
    lua_pushinteger(L, neap_streams_set_low_water(check_streams(L), units_check_u64(L, 2),
                                                  (uint32_t)units_check_u64(L, 3)));
    return 1;
}

/* s:blocked() -> ids of the streams that wait for the connection's credit, in the order in which they are looked at */
static int streams_blocked(lua_State *L)
{
    struct streams *s = check_streams(L);
    int count = 0;

    lua_newtable(L);
    for (struct list_link *at = s->blocked.next; at != &s->blocked; at = at->next) {
        units_push_u64(L, stream_id(LIST_OWNER(at, struct stream, writable_link)));
        lua_rawseti(L, -2, ++count);
    }
    return 1;
}

static int on_data_blocked(lua_State *L)
{
    neap_streams_on_data_blocked(check_streams(L));
    return 0;
}

/* s:counters() -> numbers */
static int streams_counters(lua_State *L)
{
    const struct streams_counters *n = &check_streams(L)->counters;

    lua_newtable(L);
    units_set_u64(L, "bytes_resent", n->bytes_resent);
    units_set_u64(L, "resets_sent", n->resets_sent);
    units_set_u64(L, "resets_received", n->resets_received);
    units_set_u64(L, "stops_sent", n->stops_sent);
    units_set_u64(L, "stops_received", n->stops_received);
    units_set_u64(L, "data_blocked_sent", n->data_blocked_sent);
    units_set_u64(L, "stream_data_blocked_sent", n->stream_data_blocked_sent);
    units_set_u64(L, "streams_blocked_sent", n->streams_blocked_sent);
    units_set_u64(L, "data_blocked_received", n->data_blocked_received);
    units_set_u64(L, "stream_data_blocked_received", n->stream_data_blocked_received);
    units_set_u64(L, "streams_blocked_received", n->streams_blocked_received);
    return 1;
}

static int streams_readable_next(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)neap_streams_readable_next(check_streams(L)));
    return 1;
}

static int streams_writable_next(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)neap_streams_writable_next(check_streams(L)));
    return 1;
}

/* s:list(readable, max) -> ids, in ascending order */
static int streams_list(lua_State *L)
{
    uint64_t ids[256];
    size_t max = (size_t)luaL_optnumber(L, 3, 256);
    size_t count = neap_streams_list(check_streams(L), lua_toboolean(L, 2), ids, max);

    lua_newtable(L);
    for (size_t i = 0; i < count; i++) {
        units_push_u64(L, ids[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

static int push_written(lua_State *L, bool written, const struct writer *w, const struct sent_frame *told)
{
    if (!written && writer_size(w) > 0)
        luaL_error(L, "bytes were written without a frame");
    if (!written)
        return 0;
    units_push_frame(L, w, told);
    return 1;
}

static int streams_write_control(lua_State *L)
{
    struct writer w = units_new_room(L, 2);
    struct sent_frame told;
    bool written = neap_streams_write_control(check_streams(L), &w, &told);

    return push_written(L, written, &w, &told);
}

static int streams_write_data(lua_State *L)
{
    struct writer w = units_new_room(L, 2);
    struct sent_frame told;
    bool written = neap_streams_write_data(check_streams(L), &w, &told);

    return push_written(L, written, &w, &told);
}

static int streams_has_to_send(lua_State *L)
{
    lua_pushboolean(L, neap_streams_has_to_send(check_streams(L)));
    return 1;
}

static const struct sent_frame *check_told(lua_State *L)
{
    lua_getfield(L, 2, "told");
    luaL_checktype(L, -1, LUA_TUSERDATA);
    return lua_touserdata(L, -1);
}

static int streams_acked(lua_State *L)
{
    neap_streams_on_acked(check_streams(L), check_told(L));
    return 0;
}

static int streams_lost(lua_State *L)
{
    neap_streams_on_lost(check_streams(L), check_told(L));
    return 0;
}

/* s:stream(id) -> states and numbers of a live stream, or nil */
static int streams_stream(lua_State *L)
{
    static const char *const recv_names[] = {"open", "size_known", "complete", "reset", "read", "reset_read"};
    static const char *const send_names[] = {"ready",      "send",       "data_sent",
                                             "data_recvd", "reset_sent", "reset_recvd"};
    const struct stream *stream = neap_streams_find(check_streams(L), units_check_u64(L, 2));

    if (!stream)
        return 0;
    lua_newtable(L);
    lua_pushstring(L, recv_names[stream->recv->state]);
    lua_setfield(L, -2, "recv");
    lua_pushstring(L, send_names[stream->send->state]);
    lua_setfield(L, -2, "send");
    units_set_u64(L, "window", stream->recv->window);
    units_set_u64(L, "recv_limit", stream->recv->limit);
    units_set_u64(L, "send_limit", stream->send->limit);
    units_set_u64(L, "highest", stream->recv->highest);
    units_set_u64(L, "sent", stream->send->data.highest);
    return 1;
}

/* s:state() -> numbers of the table */
static int streams_state(lua_State *L)
{
    const struct streams *s = check_streams(L);

    lua_newtable(L);
    units_set_u64(L, "live", s->table.count);
    units_set_u64(L, "recv_limit", s->recv_limit);
    units_set_u64(L, "recv_used", s->recv_used);
    units_set_u64(L, "recv_read", s->recv_read);
    units_set_u64(L, "recv_window", s->recv_window);
    units_set_u64(L, "send_used", s->send_used);
    units_set_u64(L, "send_limit", s->send_limit);
    units_set_u64(L, "opened", s->opened);
    units_set_u64(L, "accepted", s->accepted);
    units_set_u64(L, "unseen_ranges", s->theirs[0].unseen.count);
    return 1;
}

static const luaL_Reg streams_methods[] = {{"on_stream", on_stream},
                                           {"on_reset_stream", on_reset_stream},
                                           {"on_reset_stream_at", on_reset_stream_at},
                                           {"reset_at", streams_reset_at},
                                           {"on_stop_sending", on_stop_sending},
                                           {"on_max_data", on_max_data},
                                           {"on_max_stream_data", on_max_stream_data},
                                           {"on_max_streams", on_max_streams},
                                           {"on_stream_data_blocked", on_stream_data_blocked},
                                           {"on_streams_blocked", on_streams_blocked},
                                           {"open", streams_open},
                                           {"send", streams_send},
                                           {"queue", streams_queue},
                                           {"capacity", streams_capacity},
                                           {"recv", streams_recv},
                                           {"peek", streams_peek},
                                           {"consume", streams_consume},
                                           {"end_seen", streams_end_seen},
                                           {"shutdown", streams_shutdown},
                                           {"error", streams_error},
                                           {"finished", streams_finished},
                                           {"hold", streams_hold},
                                           {"release", streams_release},
                                           {"set_priority", streams_set_priority},
                                           {"put_first", streams_put_first},
                                           {"set_low_water", streams_set_low_water},
                                           {"blocked", streams_blocked},
                                           {"on_data_blocked", on_data_blocked},
                                           {"counters", streams_counters},
                                           {"readable_next", streams_readable_next},
                                           {"writable_next", streams_writable_next},
                                           {"list", streams_list},
                                           {"write_control", streams_write_control},
                                           {"write_data", streams_write_data},
                                           {"has_to_send", streams_has_to_send},
                                           {"acked", streams_acked},
                                           {"lost", streams_lost},
                                           {"stream", streams_stream},
                                           {"state", streams_state},
                                           {"held", held},
                                           {"received_memory", received_memory},
                                           {"others_hold", others_hold},
                                           {"queued", queued},
                                           {"others_queue", others_queue},
                                           {"memory", units_object_memory},
                                           {"fail", units_object_fail},
                                           {NULL, NULL}};

void units_streams_table(lua_State *L)
{
    units_new_type(L, STREAMS, streams_methods, streams_gc);
    lua_pushcfunction(L, streams_new);
    lua_setfield(L, -2, "new");
}
