/* Units of core/wire: transport parameters as Lua tables. */
#include "units_wire.h"

#include "wire/params.h"

static void set_address(lua_State *L, const char *name, const neap_address *a)
{
    if (a->family == 0)
        return;
    lua_newtable(L);
    set_bytes(L, "ip", a->ip, a->family == 4 ? 4 : 16);
    set_u64(L, "port", a->port);
    lua_setfield(L, -2, name);
}

/* show_…: a value of this form into the table on top, by the name of its row. */

static void show_number(lua_State *L, const char *name, const void *field)
{
    set_u64(L, name, *(const uint64_t *)field);
}

static void show_flag(lua_State *L, const char *name, const void *field)
{
    (void)field;
    set_flag(L, name, true);
}

static void show_cid(lua_State *L, const char *name, const void *field)
{
    const neap_cid *cid = field;

    set_bytes(L, name, cid->bytes, cid->size);
}

static void show_reset_token(lua_State *L, const char *name, const void *field)
{
    set_bytes(L, name, field, 16);
}

static void show_preferred_address(lua_State *L, const char *name, const void *field)
{
    const struct preferred_address *a = field;

    lua_newtable(L);
    set_address(L, "v4", &a->v4);
    set_address(L, "v6", &a->v6);
    set_bytes(L, "cid", a->cid.bytes, a->cid.size);
    set_bytes(L, "token", a->token, sizeof(a->token));
    lua_setfield(L, -2, name);
}

static void show_versions(lua_State *L, const char *name, const void *field)
{
    const struct version_information *v = field;

    lua_newtable(L);
    set_u64(L, "chosen", v->chosen);
    set_bytes(L, "available", v->available.data, v->available.size);
    lua_setfield(L, -2, name);
}

/* take_…: the same out of the value on top. */

static void take_number(lua_State *L, void *field)
{
    *(uint64_t *)field = to_u64(L, -1);
}

static void take_flag(lua_State *L, void *field)
{
    (void)L, (void)field;
}

static void take_cid(lua_State *L, void *field)
{
    size_t size;
    const char *bytes = luaL_checklstring(L, -1, &size);
    neap_cid *cid = field;

    luaL_argcheck(L, size <= sizeof(cid->bytes), 1, "connection ID");
    memcpy(cid->bytes, bytes, size);
    cid->size = (uint8_t)size;
}

static void take_reset_token(lua_State *L, void *field)
{
    size_t size;
    const char *bytes = luaL_checklstring(L, -1, &size);

    luaL_argcheck(L, size == 16, 1, "reset token");
    memcpy(field, bytes, size);
}

/* {chosen = number, available = bytes}; the bytes stay the string's. */
static void take_versions(lua_State *L, void *field)
{
    struct version_information *v = field;
    size_t size;

    lua_getfield(L, -1, "chosen");
    v->chosen = (uint32_t)to_u64(L, -1);
    lua_getfield(L, -2, "available");
    const char *bytes = luaL_checklstring(L, -1, &size);
    v->available = span_of(bytes, size);
    lua_pop(L, 2);
}

/* {ip = bytes, port = number}, of the size that says the family */
static neap_address get_address(lua_State *L, int table, const char *name)
{
    neap_address a = {0};
    size_t size = 0;

    lua_getfield(L, table, name);
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

static void take_preferred_address(lua_State *L, void *field)
{
    struct preferred_address *a = field;
    int at = lua_gettop(L);

    a->v4 = get_address(L, at, "v4");
    a->v6 = get_address(L, at, "v6");
    lua_getfield(L, at, "cid");
    take_cid(L, &a->cid);
    lua_getfield(L, at, "token");
    take_reset_token(L, a->token);
    lua_settop(L, at);
}

static const struct {
    const char *name, *form;
    uint64_t id;
    size_t at;
    void (*show)(lua_State *L, const char *name, const void *field);
    void (*take)(lua_State *L, void *field);
    bool is_server_only;
} rows[PARAMS] = {
#define BOTH false
#define SERVER true
#define X(name, id, form, sender, field, least, greatest, absent) \
    {#name, #form, id, offsetof(struct transport_params, field), show_##form, take_##form, sender},
    PARAM_LIST(X)
#undef X
};

/* params() -> list of { name =, form =, id =, server_only = }: the rows of the table */
int units_wire_params(lua_State *L)
{
    lua_newtable(L);
    for (size_t i = 0; i < PARAMS; i++) {
        lua_newtable(L);
        lua_pushstring(L, rows[i].name);
        lua_setfield(L, -2, "name");
        lua_pushstring(L, rows[i].form);
        lua_setfield(L, -2, "form");
        set_u64(L, "id", rows[i].id);
        set_flag(L, "server_only", rows[i].is_server_only);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

/* Numbers always, the others where they came. */
static void push_params(lua_State *L, const struct transport_params *p)
{
    lua_newtable(L);
    for (size_t i = 0; i < PARAMS; i++)
        if (rows[i].show == show_number || params_has(p, (enum param)i))
            rows[i].show(L, rows[i].name, (const char *)p + rows[i].at);
}

/* parse_params(bytes, from_server) -> table | nil, code, reason */
int units_wire_parse_params(lua_State *L)
{
    struct span bytes = copy_bytes(L, 1);
    struct transport_params p;
    struct failure why = {0};
    int error = neap_params_parse(bytes, lua_toboolean(L, 2), &p, &why);

    if (!error)
        push_params(L, &p);
    free_copy(bytes);
    return error ? push_failure(L, error, &why) : 1;
}

static struct transport_params get_params(lua_State *L)
{
    struct transport_params p = neap_params_default();

    for (size_t i = 0; i < PARAMS; i++) {
        lua_getfield(L, 1, rows[i].name);
        if (!lua_isnil(L, -1)) {
            rows[i].take(L, (char *)&p + rows[i].at);
            params_add(&p, (enum param)i);
        }
        lua_pop(L, 1);
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
