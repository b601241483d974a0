/* Field sections: flat arrays { name, value, name, value } in Lua, neap_field in C. */
#include "binding.h"

#include <string.h>

/* RFC 9204 §7.1.3: values that must not be guessed by probing a compression context. */
static bool is_secret(const char *name, size_t size)
{
    static const struct {
        const char *name;
        size_t size;
    } secrets[] = {{"authorization", 13}, {"proxy-authorization", 19}, {"cookie", 6}, {"set-cookie", 10}};

    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++) {
        if (size == secrets[i].size && memcmp(name, secrets[i].name, size) == 0)
            return true;
    }
    return false;
}

/* Element `at` of the array at `index`. The table keeps a string alive; a number's text stays on the stack. */
static const char *element(lua_State *L, int index, size_t at, size_t *size)
{
    lua_rawgeti(L, index, (int)at);
    int type = lua_type(L, -1);
    if (type != LUA_TSTRING && type != LUA_TNUMBER)
        luaL_error(L, "field section: element %d is a %s, names and values are strings", (int)at,
                   lua_typename(L, type));
    const char *text = lua_tolstring(L, -1, size);
    if (type == LUA_TSTRING)
        lua_pop(L, 1);
    return text;
}

size_t neap_lua_check_fields(lua_State *L, int index, neap_field *out, size_t count)
{
    luaL_checktype(L, index, LUA_TTABLE);
    size_t size = lua_rawlen(L, index);
    if (size % 2 != 0 || size / 2 > FIELDS_MAX - count)
        luaL_argerror(L, index,
                      size % 2 != 0 ? "a field section is { name, value, … }"
                                    : "too many fields in a section");
    luaL_checkstack(L, (int)size + 4, "fields");
    for (size_t i = 1; i <= size; i += 2) {
        neap_field *field = &out[count++];
        field->name = element(L, index, i, &field->name_size);
        field->value = element(L, index, i + 1, &field->value_size);
        field->never_indexed = is_secret(field->name, field->name_size);
    }
    return count;
}

void neap_lua_push_fields(lua_State *L, const neap_field *fields, size_t count)
{
    lua_createtable(L, (int)count * 2, 0);
    for (size_t i = 0; i < count; i++) {
        lua_pushlstring(L, fields[i].name, fields[i].name_size);
        lua_rawseti(L, -2, (int)i * 2 + 1);
        lua_pushlstring(L, fields[i].value, fields[i].value_size);
        lua_rawseti(L, -2, (int)i * 2 + 2);
    }
}
