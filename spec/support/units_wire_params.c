/* Units of core/wire: transport parameters as Lua tables. */
#include "units_wire.h"

#include "wire/params.h"

static const struct {
    const char *name;
    size_t at;
} numbers[] = {
    {"max_idle_timeout", offsetof(struct transport_params, max_idle_timeout_ms)},
    {"max_udp_payload_size", offsetof(struct transport_params, max_udp_payload_size)},
    {"max_data", offsetof(struct transport_params, max_data)},
    {"max_stream_data_bidi_local", offsetof(struct transport_params, max_stream_data_bidi_local)},
    {"max_stream_data_bidi_remote", offsetof(struct transport_params, max_stream_data_bidi_remote)},
    {"max_stream_data_uni", offsetof(struct transport_params, max_stream_data_uni)},
    {"max_streams_bidi", offsetof(struct transport_params, max_streams_bidi)},
    {"max_streams_uni", offsetof(struct transport_params, max_streams_uni)},
    {"ack_delay_exponent", offsetof(struct transport_params, ack_delay_exponent)},
    {"max_ack_delay", offsetof(struct transport_params, max_ack_delay_ms)},
    {"active_connection_id_limit", offsetof(struct transport_params, active_connection_id_limit)},
};

static void set_address(lua_State *L, const char *name, const neap_address *a)
{
    if (a->family == 0)
        return;
    lua_newtable(L);
    set_bytes(L, "ip", a->ip, a->family == 4 ? 4 : 16);
    set_u64(L, "port", a->port);
    lua_setfield(L, -2, name);
}

static void push_params(lua_State *L, const struct transport_params *p)
{
    lua_newtable(L);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        uint64_t value;

        memcpy(&value, (const char *)p + numbers[i].at, sizeof(value));
        set_u64(L, numbers[i].name, value);
    }
    set_flag(L, "disable_active_migration", p->disable_active_migration);
    if (p->has_original_dcid)
        set_bytes(L, "original_dcid", p->original_dcid.bytes, p->original_dcid.size);
    if (p->has_initial_scid)
        set_bytes(L, "initial_scid", p->initial_scid.bytes, p->initial_scid.size);
    if (p->has_retry_scid)
        set_bytes(L, "retry_scid", p->retry_scid.bytes, p->retry_scid.size);
    if (p->has_reset_token)
        set_bytes(L, "reset_token", p->reset_token, sizeof(p->reset_token));
    if (!p->has_preferred_address)
        return;
    set_address(L, "preferred_v4", &p->preferred_address.v4);
    set_address(L, "preferred_v6", &p->preferred_address.v6);
    set_bytes(L, "preferred_cid", p->preferred_address.cid.bytes, p->preferred_address.cid.size);
    set_bytes(L, "preferred_token", p->preferred_address.token, sizeof(p->preferred_address.token));
}

/* parse_params(bytes, from_server) -> table | nil, code, reason */
int units_wire_parse_params(lua_State *L)
{
    struct span bytes = copy_bytes(L, 1);
    struct transport_params p;
    struct failure why = {0};
    int error = neap_params_parse(bytes, lua_toboolean(L, 2), &p, &why);

    free_copy(bytes);
    if (error)
        return push_failure(L, error, &why);
    push_params(L, &p);
    return 1;
}

/* {ip = bytes, port = number}, of the size that says the family */
static neap_address get_address(lua_State *L, const char *name)
{
    neap_address a = {0};
    size_t size = 0;

    lua_getfield(L, 1, name);
    if (lua_istable(L, -1)) {
        lua_getfield(L, -1, "ip");
        const char *ip = luaL_checklstring(L, -1, &size);

        luaL_argcheck(L, size == 4 || size == 16, 1, name);
        memcpy(a.ip, ip, size);
        lua_getfield(L, -2, "port");
        a.port = (uint16_t)to_u64(L, -1);
        a.family = size == 4 ? 4 : 6;
        lua_pop(L, 2);
    }
    lua_pop(L, 1);
    return a;
}

static neap_cid get_param_cid(lua_State *L, const char *name, bool *has)
{
    lua_getfield(L, 1, name);
    *has = !lua_isnil(L, -1);
    lua_pop(L, 1);
    return get_cid(L, name);
}

static struct transport_params get_params(lua_State *L)
{
    struct transport_params p = neap_params_default();

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        lua_getfield(L, 1, numbers[i].name);
        if (!lua_isnil(L, -1)) {
            uint64_t value = to_u64(L, -1);

            memcpy((char *)&p + numbers[i].at, &value, sizeof(value));
        }
        lua_pop(L, 1);
    }
    p.disable_active_migration = get_flag(L, "disable_active_migration");
    p.original_dcid = get_param_cid(L, "original_dcid", &p.has_original_dcid);
    p.initial_scid = get_param_cid(L, "initial_scid", &p.has_initial_scid);
    p.retry_scid = get_param_cid(L, "retry_scid", &p.has_retry_scid);
    p.has_reset_token = get_span(L, "reset_token").size > 0;
    if (p.has_reset_token)
        get_fixed(L, "reset_token", p.reset_token, sizeof(p.reset_token));
    p.preferred_address.cid = get_param_cid(L, "preferred_cid", &p.has_preferred_address);
    if (p.has_preferred_address) {
        p.preferred_address.v4 = get_address(L, "preferred_v4");
        p.preferred_address.v6 = get_address(L, "preferred_v6");
        get_fixed(L, "preferred_token", p.preferred_address.token, sizeof(p.preferred_address.token));
    }
    return p;
}

/* write_params(table, from_server [, grease]) -> bytes */
int units_wire_write_params(lua_State *L)
{
    uint8_t bytes[ROOM];
    struct writer w = writer_of(bytes, sizeof(bytes));

    luaL_checktype(L, 1, LUA_TTABLE);
    struct transport_params p = get_params(L);
    neap_params_write(&w, &p, lua_toboolean(L, 2), lua_isnoneornil(L, 3) ? 0 : to_u64(L, 3));
    return push_written(L, &w);
}
