/* What connection IDs of ours look like, and QUIC-LB on both sides: `connection_id_prefix` and `quic_lb` of a config, and
 * what a load balancer reads of them. */
#include "binding.h"

#include <stdio.h>
#include <string.h>

#define CONFIGS_MOST 7 /* the numbers that a configuration may have */
#define SERVER_ID_MOST 15

static int field_error(lua_State *L, const char *name, const char *must_be)
{
    return luaL_error(L, "option 'quic_lb': '%s' must be %s", name, must_be);
}

/* Field `name` of the table at `index`, a whole number; `otherwise` where there is none (-1: it has to be there). */
static int read_number(lua_State *L, int index, const char *name, int most, int otherwise)
{
    char range[48];
    int number = otherwise;

    lua_getfield(L, index, name);
    if (!lua_isnil(L, -1)) {
        lua_Number given = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
        number = given >= 0 && given <= most && given == (lua_Number)(int)given ? (int)given : -1;
    }
    lua_pop(L, 1);
    if (number < 0) {
        snprintf(range, sizeof range, "a whole number from 0 to %d", most);
        field_error(L, name, range);
    }
    return number;
}

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdef", *at = strchr(digits, c | 0x20);

    return c != '\0' && at != NULL ? (int)(at - digits) : -1;
}

/* 16 bytes, or 32 hex digits. */
static bool read_key(const char *text, size_t size, uint8_t out[16])
{
    if (size == 16) {
        memcpy(out, text, 16);
        return true;
    }
    for (size_t i = 0; size == 32 && i < 16; i++) {
        int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return size == 32;
}

static void check_fields(lua_State *L, int index)
{
    static const char *const known[] = {"config_id",    "server_id", "server_id_length",
                                        "nonce_length", "key",       "length_encoding"};

    lua_pushnil(L);
    while (lua_next(L, index) != 0) {
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : luaL_typename(L, -2);
        bool is_known = false;

        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
            is_known = is_known || strcmp(known[i], name) == 0;
        if (!is_known)
            luaL_error(L, "option 'quic_lb': unknown field '%s'", name);
        lua_pop(L, 1);
    }
}

/* The table at `index` (absolute). `is_server`: of who makes IDs, which name him; else of a load balancer, which knows how
 * long server IDs are and no more. */
static void read_quic_lb(lua_State *L, int index, bool is_server, neap_quic_lb *out)
{
    size_t size;

    if (!lua_istable(L, index))
        luaL_error(L, "option 'quic_lb' must be a table { config_id =, server_id =, nonce_length =, key =, "
                      "length_encoding = }");
    check_fields(L, index);
    *out = (neap_quic_lb){.config_id = (uint8_t)read_number(L, index, "config_id", 7, -1)};
    lua_getfield(L, index, "server_id");
    const char *server_id = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &size) : NULL;
    if (server_id == NULL && !lua_isnil(L, -1))
        field_error(L, "server_id", "a string of 1 to 15 bytes");
    if (server_id != NULL && (size < 1 || size > SERVER_ID_MOST))
        field_error(L, "server_id", "a string of 1 to 15 bytes");
    if (server_id != NULL)
        memcpy(out->server_id, server_id, size);
    lua_pop(L, 1); /* the table keeps it alive */
    bool is_unroutable = out->config_id == NEAP_QUIC_LB_UNROUTABLE;
    if (is_server && server_id == NULL && !is_unroutable)
        field_error(L, "server_id", "a string of 1 to 15 bytes: the server's own");
    lua_getfield(L, index, "server_id_length");
    if (is_server && server_id == NULL && !lua_isnil(L, -1))
        luaL_error(L, "option 'quic_lb': 'server_id_length' is a load balancer's, a server has 'server_id'");
    lua_pop(L, 1);
    out->server_id_length = (uint8_t)read_number(L, index, "server_id_length", SERVER_ID_MOST,
                                                 server_id != NULL ? (int)size
                                                 : is_unroutable   ? 0
                                                                   : -1);
    if (server_id != NULL && out->server_id_length != size)
        field_error(L, "server_id_length", "the length of 'server_id'");
    out->nonce_length = (uint8_t)read_number(L, index, "nonce_length", 18, is_unroutable ? 0 : -1);
    lua_getfield(L, index, "key");
    if (!lua_isnil(L, -1)) {
        const char *key = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &size) : NULL;
        if (key == NULL || !read_key(key, size, out->key))
            field_error(L, "key", "16 bytes or 32 hex digits");
        out->has_key = true;
    }
    lua_getfield(L, index, "length_encoding");
    out->length_encoding = lua_toboolean(L, -1);
    lua_pop(L, 2);
}

static const char *const lengths =
    "option 'quic_lb': a server ID has 1 to 15 bytes, a nonce 4 to 18, and both at most 19";

void neap_lua_set_ids(lua_State *L, struct config_core *core)
{
    size_t size = 0;

    lua_getfield(L, 1, "connection_id_prefix");
    if (!lua_isnil(L, -1)) {
        const char *prefix = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &size) : NULL;
        if (prefix == NULL || size == 0 || neap_config_set_cid_prefix(core->config, prefix, size) != NEAP_OK)
            luaL_error(L, "option 'connection_id_prefix' must be a string that leaves 4 bytes or more of "
                          "source_connection_id_size");
    }
    lua_getfield(L, 1, "quic_lb");
    if (!lua_isnil(L, -1)) {
        neap_quic_lb lb;

        read_quic_lb(L, lua_gettop(L), true, &lb);
        int result = neap_config_set_quic_lb(core->config, &lb, sizeof lb);
        explicit_bzero(lb.key, sizeof lb.key);
        if (result == NEAP_ERR_STATE)
            luaL_error(L, "option 'quic_lb' cannot hold beside 'connection_id_prefix'");
        if (result != NEAP_OK)
            luaL_error(L, "%s", lengths);
    }
    lua_pop(L, 2);
}

/* config:set_quic_lb(table) → true | nil, message, code: for connections to come, and those whose IDs are rotated */
static int config_set_quic_lb(lua_State *L)
{
    struct config_core *core = neap_lua_check_config(L, 1);
    neap_quic_lb lb;

    lua_settop(L, 2);
    read_quic_lb(L, 2, true, &lb);
    int result = neap_config_set_quic_lb(core->config, &lb, sizeof lb);
    explicit_bzero(lb.key, sizeof lb.key);
    if (result == NEAP_ERR_ARGUMENT)
        luaL_error(L, "%s", lengths);
    if (result == NEAP_ERR_STATE)
        return neap_lua_error_text(
            L, result,
            "while connections live another configuration needs another 'config_id', and a server ID and a nonce "
            "that have less than source_connection_id_size bytes together; beside connection_id_prefix there is "
            "none");
    return neap_lua_result(L, result);
}

/* config:new_cid() → a connection ID as the config's are */
static int config_new_cid(lua_State *L)
{
    neap_cid cid;
    int result = neap_new_cid(neap_lua_check_config(L, 1)->config, &cid);

    if (result != NEAP_OK)
        return neap_lua_error(L, result);
    neap_lua_push_cid(L, &cid);
    return 1;
}

/* config:connection_ids() → { made =, collisions =, unroutable =[, nonces_left =] } */
static int config_connection_ids(lua_State *L)
{
    neap_cid_stats stats;

    neap_config_cid_stats(neap_lua_check_config(L, 1)->config, &stats, sizeof stats);
    lua_createtable(L, 0, 5);
    neap_lua_set_u64(L, "made", stats.made);
    neap_lua_set_u64(L, "refused", stats.refused);
    neap_lua_set_u64(L, "collisions", stats.collisions);
    neap_lua_set_u64(L, "unroutable", stats.unroutable);
    if (stats.nonces_left != UINT64_MAX)
        neap_lua_set_u64(L, "nonces_left", stats.nonces_left);
    return 1;
}

const luaL_Reg neap_lua_config_id_methods[] = {{"set_quic_lb", config_set_quic_lb},
                                               {"new_cid", config_new_cid},
                                               {"connection_ids", config_connection_ids},
                                               {NULL, NULL}};

/* conn:rotate_ids() → true | nil, message, code */
static int conn_rotate_ids(lua_State *L)
{
    struct conn_core *core = neap_lua_check_conn(L, 1);

    return neap_lua_result(L, core->conn != NULL ? neap_conn_rotate_ids(core->conn) : NEAP_ERR_CLOSED);
}

const luaL_Reg neap_lua_conn_id_methods[] = {{"rotate_ids", conn_rotate_ids}, {NULL, NULL}};

/* core.quic_lb_decode(cid, configs[, is_whole]) → server_id, index | nil, message, code */
static int quic_lb_decode(lua_State *L)
{
    neap_quic_lb configs[CONFIGS_MOST];
    uint8_t server_id[SERVER_ID_MOST];
    size_t size, index = 0;
    const char *cid = luaL_checklstring(L, 1, &size);

    luaL_checktype(L, 2, LUA_TTABLE);
    size_t count = lua_rawlen(L, 2);
    luaL_argcheck(L, count <= CONFIGS_MOST, 2, "more than 7 configurations");
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, 2, (int)i + 1);
        read_quic_lb(L, lua_gettop(L), false, &configs[i]);
        lua_pop(L, 1);
    }
    int64_t result = neap_quic_lb_decode(configs, sizeof configs[0], count, (const uint8_t *)cid, size,
                                         lua_toboolean(L, 3), server_id, &index);
    explicit_bzero(configs, sizeof configs);
    if (result == NEAP_ERR_ARGUMENT)
        luaL_error(L, "%s", lengths);
    if (result < 0)
        return neap_lua_error_text(L, result, "unroutable");
    lua_pushlstring(L, (const char *)server_id, (size_t)result);
    lua_pushinteger(L, (lua_Integer)index + 1);
    return 2;
}

void neap_lua_open_ids(lua_State *L)
{
    lua_pushcfunction(L, quic_lb_decode);
    lua_setfield(L, -2, "quic_lb_decode");
}
