#include "units_tls_early.h"

#include <lauxlib.h>

/* It lasts as long as the config. */
static int strike(void *context, const uint8_t id[32], int64_t expires)
{
    struct unit_early *early = context;

    early->strikes++;
    early->expires = expires;
    for (size_t i = 0; i < early->struck_count && i < STRUCK_MOST; i++)
        if (memcmp(early->struck[i], id, 32) == 0)
            return 0;
    memcpy(early->struck[early->struck_count++ % STRUCK_MOST], id, 32);
    return 1;
}

void unit_early_fields(lua_State *L, struct tls_config *config, struct unit_early *early, struct span data)
{
    lua_getfield(L, 1, "early");
    config->early_data = lua_toboolean(L, -1);
    lua_getfield(L, 1, "no_register");
    config->strike = lua_toboolean(L, -1) ? NULL : strike;
    config->strike_context = early;
    lua_getfield(L, 1, "limits");
    for (int i = 0; lua_istable(L, -1) && i < (int)SESSION_LIMITS; i++) {
        lua_rawgeti(L, -1, i + 1);
        early->limits[i] = (uint64_t)lua_tonumber(L, -1);
        lua_pop(L, 1);
    }
    lua_pop(L, 3);
    luaL_argcheck(L, data.size <= LIMIT_SESSION_DATA, 1, "session_data too long");
    if (data.size)
        memcpy(config->session_data, data.data, data.size);
    config->session_data_size = (uint16_t)data.size;
}

int unit_push_offered(lua_State *L, const struct tls *tls)
{
    struct session session;

    if (!neap_tls_offered(tls, &session))
        return 0;
    lua_newtable(L);
    for (int i = 0; i < (int)SESSION_LIMITS; i++) {
        lua_pushnumber(L, (lua_Number)session.limits[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_pushlstring(L, session.data.size ? (const char *)session.data.data : "", session.data.size);
    return 2;
}

int unit_set_data(lua_State *L, struct tls_tail *tail)
{
    size_t size;
    const char *bytes = luaL_checklstring(L, 2, &size);

    lua_pushboolean(L, neap_tls_tail_set_data(tail, span_of(bytes, size)));
    return 1;
}

int unit_push_strikes(lua_State *L, const struct unit_early *early)
{
    lua_pushinteger(L, (lua_Integer)early->strikes);
    lua_pushnumber(L, (lua_Number)early->expires);
    return 2;
}

void unit_push_early(lua_State *L, enum neap_early early)
{
    static const char *const words[] = {"none", "offered", "accepted", "rejected"};

    lua_pushstring(L, words[early]);
}
