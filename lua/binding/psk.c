/* External pre-shared keys among the options of a config. */
#include "binding.h"

#include <string.h>

unsigned neap_lua_check_psk_hash(lua_State *L, int index)
{
    const char *name = lua_isnoneornil(L, index)           ? "sha256"
                       : lua_type(L, index) == LUA_TSTRING ? lua_tostring(L, index)
                                                           : "";
    bool is_sha384 = strcmp(name, "sha384") == 0;

    if (!is_sha384 && strcmp(name, "sha256") != 0)
        luaL_error(L, "option 'psk': a key's hash is sha256 or sha384");
    return is_sha384 ? 384 : 256;
}

/* The identity and the key, or { key =, hash =, [other] = }, on top of the stack. */
static int add_psk(lua_State *L, struct config_core *core, const char *other)
{
    size_t identity_size, size;
    unsigned hash = 256;

    if (lua_type(L, -2) != LUA_TSTRING)
        luaL_error(L, "option 'psk': an identity is a string");
    if (lua_istable(L, -1)) {
        neap_lua_check_known(L, "psk", "key", "hash", other);
        lua_getfield(L, -1, "hash");
        hash = neap_lua_check_psk_hash(L, lua_gettop(L));
        lua_getfield(L, -2, "key");
        lua_replace(L, -3);
        lua_pop(L, 1);
    }
    if (lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, "option 'psk': a key is a string");
    const char *identity = lua_tolstring(L, -2, &identity_size), *key = lua_tolstring(L, -1, &size);
    int result = neap_config_add_psk(core->config, identity, identity_size, key, size, hash);
    if (result == NEAP_ERR_ARGUMENT)
        luaL_error(L, "option 'psk': an identity has 1 to 128 bytes, a key 16 to 64");
    return result == NEAP_OK ? 0 : neap_lua_error(L, result);
}

/* Those of the table on top, { identity =, key =[, hash =] } or { [identity] = key, … }: how many, and what failed. */
static int add_psks(lua_State *L, struct config_core *core, int *count)
{
    int failed = 0, table = lua_gettop(L);

    lua_getfield(L, table, "identity");
    if (!lua_isnil(L, -1)) {
        lua_pushvalue(L, table);
        *count = 1;
        return add_psk(L, core, "identity");
    }
    while (failed == 0 && lua_next(L, table) != 0) {
        failed = add_psk(L, core, NULL);
        *count += 1;
        if (failed == 0)
            lua_pop(L, 1);
    }
    return failed;
}

int neap_lua_set_psks(lua_State *L, struct config_core *core, enum config_role role)
{
    int count = 0, top = lua_gettop(L);

    lua_getfield(L, 1, "psk");
    bool is_given = !lua_isnil(L, -1);
    if (is_given && !lua_isfunction(L, -1) && !lua_istable(L, -1))
        luaL_error(L, "option 'psk' must be { identity =, key = }, { [identity] = key } or a function");
    int failed = lua_istable(L, -1) ? add_psks(L, core, &count) : 0;
    if (failed != 0)
        return failed;
    if (is_given && role == ROLE_CLIENT && count != 1)
        luaL_error(L, "option 'psk' of a client is one identity and its key: { identity =, key = }");
    lua_settop(L, top);
    return 0;
}
