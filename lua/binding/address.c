/* Addresses, connection IDs and packet headers in Lua, and the answers that need no connection. */
#include "binding.h"

#include <string.h>

#define ANSWER_SIZE 1500 /* a Retry or Version Negotiation packet */

void neap_lua_check_address(lua_State *L, int index, neap_address *out)
{
    const char *text = luaL_checkstring(L, index);

    if (neap_address_parse(text, 0, out) != NEAP_OK)
        luaL_argerror(L, index, "an address like \"192.0.2.1:443\" or \"[2001:db8::1]:443\" expected");
}

void neap_lua_push_address(lua_State *L, const neap_address *address)
{
    char text[80];
    int size = address->family == 0 ? 0 : neap_address_format(address, text, sizeof text);

    if (size <= 0)
        lua_pushnil(L);
    else
        lua_pushlstring(L, text, (size_t)size);
}

void neap_lua_address_field(lua_State *L, int index, const char *name, neap_address *out)
{
    lua_getfield(L, index, name);
    if (!lua_isnil(L, -1)) {
        const char *text = lua_tostring(L, -1);
        if (text == NULL || neap_address_parse(text, 0, out) != NEAP_OK)
            luaL_error(L, "'%s' is not an address like \"192.0.2.1:443\"", name);
    }
    lua_pop(L, 1);
}

neap_time neap_lua_time_field(lua_State *L, int index, const char *name)
{
    lua_getfield(L, index, name);
    if (!lua_isnumber(L, -1))
        luaL_error(L, "'%s' must be the time in seconds", name);
    neap_time time = neap_lua_to_time(L, lua_tonumber(L, -1));
    lua_pop(L, 1);
    return time;
}

static void to_cid(lua_State *L, int index, const char *name, neap_cid *out)
{
    size_t size = 0;
    const char *bytes = lua_isstring(L, index) ? lua_tolstring(L, index, &size) : NULL;

    if (bytes == NULL || size > NEAP_MAX_CONNECTION_ID)
        luaL_error(L, "%s must be a connection ID: a string of 0 to 20 bytes", name);
    *out = (neap_cid){.size = (uint8_t)size};
    memcpy(out->bytes, bytes, size);
}

void neap_lua_check_cid(lua_State *L, int index, neap_cid *out)
{
    luaL_checkstring(L, index);
    to_cid(L, index, "the argument", out);
}

void neap_lua_push_cid(lua_State *L, const neap_cid *cid)
{
    lua_pushlstring(L, (const char *)cid->bytes, cid->size);
}

static const char *const packet_types[] = {
    [NEAP_PACKET_INITIAL] = "initial",
    [NEAP_PACKET_0RTT] = "0rtt",
    [NEAP_PACKET_HANDSHAKE] = "handshake",
    [NEAP_PACKET_RETRY] = "retry",
    [NEAP_PACKET_VERSION_NEGOTIATION] = "version_negotiation",
    [NEAP_PACKET_SHORT] = "short",
};
#define PACKET_TYPES (sizeof packet_types / sizeof packet_types[0])

void neap_lua_check_header(lua_State *L, int index, neap_header *out)
{
    luaL_checktype(L, index, LUA_TTABLE);
    *out = (neap_header){0};
    lua_getfield(L, index, "type");
    const char *type = lua_tostring(L, -1);
    size_t at = 0;
    while (type != NULL && at < PACKET_TYPES && strcmp(packet_types[at], type) != 0)
        at++;
    out->type = at < PACKET_TYPES ? (enum neap_packet_type)at
                                  : NEAP_PACKET_INITIAL; /* "unknown": only its IDs count */
    lua_getfield(L, index, "version");
    out->version = (uint32_t)lua_tonumber(L, -1);
    lua_getfield(L, index, "dcid");
    to_cid(L, -1, "dcid", &out->dcid);
    lua_getfield(L, index, "scid");
    to_cid(L, -1, "scid", &out->scid);
    lua_getfield(L, index, "token");
    if (lua_type(L, -1) == LUA_TSTRING)
        out->token = (const uint8_t *)lua_tolstring(L, -1, &out->token_size);
    lua_pop(L, 5);
}

/* core.header_info(bytes[, dcid_size = 8]) -> table */
static int header_info(lua_State *L)
{
    size_t size;
    const char *bytes = luaL_checklstring(L, 1, &size);
    uint64_t dcid_size = neap_lua_opt_u64(L, 2, 8);
    neap_header header;

    luaL_argcheck(L, dcid_size <= NEAP_MAX_CONNECTION_ID, 2, "connection IDs have 0 to 20 bytes");
    int result = neap_header_info((const uint8_t *)bytes, size, (size_t)dcid_size, &header);
    if (result != NEAP_OK && result != NEAP_ERR_UNKNOWN_VERSION)
        return neap_lua_error(L, result);
    lua_createtable(L, 0, 5);
    lua_pushstring(L, result == NEAP_OK ? packet_types[header.type] : "unknown");
    lua_setfield(L, -2, "type");
    neap_lua_set_u64(L, "version", header.version);
    neap_lua_push_cid(L, &header.dcid);
    lua_setfield(L, -2, "dcid");
    neap_lua_push_cid(L, &header.scid);
    lua_setfield(L, -2, "scid");
    if (result == NEAP_OK && header.token_size > 0) {
        lua_pushlstring(L, (const char *)header.token, header.token_size);
        lua_setfield(L, -2, "token");
    }
    return 1;
}

static int push_answer(lua_State *L, int64_t size, const uint8_t *bytes)
{
    if (size < 0)
        return neap_lua_error(L, size);
    if (size == 0)
        lua_pushnil(L);
    else
        lua_pushlstring(L, (const char *)bytes, (size_t)size);
    return 1;
}

static int version_is_supported(lua_State *L)
{
    uint64_t version = neap_lua_check_u64(L, 1);

    lua_pushboolean(L, version <= UINT32_MAX && neap_version_is_supported((uint32_t)version));
    return 1;
}

/* core.negotiate_version(config, header) -> bytes */
static int negotiate_version(lua_State *L)
{
    struct config_core *config = neap_lua_check_config(L, 1);
    neap_header header;
    uint8_t out[ANSWER_SIZE];

    neap_lua_check_header(L, 2, &header);
    return push_answer(L, neap_negotiate_version(config->config, &header, out, sizeof out), out);
}

/* core.retry(config, header, new_scid, peer) -> bytes */
static int retry(lua_State *L)
{
    struct config_core *config = neap_lua_check_config(L, 1);
    neap_header header;
    neap_cid scid;
    neap_address peer;
    uint8_t out[ANSWER_SIZE];

    neap_lua_check_header(L, 2, &header);
    neap_lua_check_cid(L, 3, &scid);
    neap_lua_check_address(L, 4, &peer);
    return push_answer(L, neap_retry(config->config, &header, &scid, &peer, out, sizeof out), out);
}

/* core.validate_token(config, header, peer) -> original_dcid */
static int validate_token(lua_State *L)
{
    struct config_core *config = neap_lua_check_config(L, 1);
    neap_header header;
    neap_address peer;
    neap_cid original;

    neap_lua_check_header(L, 2, &header);
    neap_lua_check_address(L, 3, &peer);
    int result = neap_validate_token(config->config, &header, &peer, &original);
    if (result != NEAP_OK)
        return neap_lua_error(L, result);
    neap_lua_push_cid(L, &original);
    return 1;
}

/* core.stateless_reset(config, dcid, trigger_size) -> bytes or nil */
static int stateless_reset(lua_State *L)
{
    struct config_core *config = neap_lua_check_config(L, 1);
    neap_cid dcid;
    uint8_t out[ANSWER_SIZE];

    neap_lua_check_cid(L, 2, &dcid);
    uint64_t trigger = neap_lua_check_u64(L, 3);
    return push_answer(L, neap_stateless_reset(config->config, &dcid, (size_t)trigger, out, sizeof out), out);
}

static int random_cid(lua_State *L)
{
    struct config_core *config = neap_lua_check_config(L, 1);
    uint64_t size = neap_lua_check_u64(L, 2);
    neap_cid cid;

    luaL_argcheck(L, size <= NEAP_MAX_CONNECTION_ID, 2, "connection IDs have 0 to 20 bytes");
    neap_random_cid(config->config, (size_t)size, &cid);
    neap_lua_push_cid(L, &cid);
    return 1;
}

/* core.address(text[, default_port]) -> address, ip, port */
static int address(lua_State *L)
{
    const char *text = luaL_checkstring(L, 1);
    uint64_t port = neap_lua_opt_u64(L, 2, 0);
    neap_address parsed;
    char ip[80];

    luaL_argcheck(L, port <= UINT16_MAX, 2, "a port is at most 65535");
    if (neap_address_parse(text, (uint16_t)port, &parsed) != NEAP_OK)
        return neap_lua_error_text(L, NEAP_ERR_ARGUMENT, "not an IP address");
    neap_lua_push_address(L, &parsed);
    if (neap_address_format(&parsed, ip, sizeof ip) > 0)
        *strrchr(ip, ':') = '\0';
    size_t size = strlen(ip);
    if (ip[0] == '[')
        lua_pushlstring(L, ip + 1, size - 2);
    else
        lua_pushlstring(L, ip, size);
    neap_lua_push_u64(L, parsed.port);
    return 3;
}

void neap_lua_push_send_info(lua_State *L, int index, const neap_send_info *info)
{
    if (lua_istable(L, index))
        lua_pushvalue(L, index);
    else
        lua_createtable(L, 0, 5);
    neap_lua_push_address(L, &info->from);
    lua_setfield(L, -2, "from");
    neap_lua_push_address(L, &info->to);
    lua_setfield(L, -2, "to");
    neap_lua_push_time(L, info->at);
    lua_setfield(L, -2, "at");
    lua_pushinteger(L, info->ecn);
    lua_setfield(L, -2, "ecn");
}

void neap_lua_open_address(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"header_info", header_info},
        {"version_is_supported", version_is_supported},
        {"negotiate_version", negotiate_version},
        {"retry", retry},
        {"validate_token", validate_token},
        {"stateless_reset", stateless_reset},
        {"random_cid", random_cid},
        {"address", address},
        {NULL, NULL},
    };

    neap_lua_set_functions(L, functions);
}
