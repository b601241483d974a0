/* See units_http.h. */
#include "units_http.h"

#include <lauxlib.h>
#include <string.h>

static int push_error(lua_State *L, int64_t error)
{
    lua_pushnil(L);
    lua_pushinteger(L, (lua_Integer)error);
    return 2;
}

int neap_units_fill_body(lua_State *L, neap_h3 *h3, uint64_t stream)
{
    neap_part parts[64];
    size_t count = (size_t)luaL_optinteger(L, 7, 64), size, at = 0;
    const char *bytes = luaL_optlstring(L, 5, NULL, &size);
    int64_t held = neap_h3_reserve_body(h3, stream, (size_t)luaL_checkinteger(L, 4), parts, &count);

    if (held < 0)
        return push_error(L, held);
    lua_pushinteger(L, (lua_Integer)held);
    if (bytes == NULL)
        return 1;
    for (size_t i = 0; i < count && at < size; i++) {
        size_t part = size - at < parts[i].size ? size - at : parts[i].size;
        memcpy(parts[i].bytes, bytes + at, part);
        at += part;
    }
    lua_pushinteger(L, neap_h3_commit_body(h3, stream, size, lua_toboolean(L, 6)));
    return 2;
}

int neap_units_peek_body(lua_State *L, neap_h3 *h3, uint64_t stream)
{
    neap_view views[64];
    lua_Integer consume = luaL_optinteger(L, 4, -1);
    size_t count = (size_t)luaL_optinteger(L, 5, 64);
    int64_t held = neap_h3_peek_body(h3, stream, views, &count);
    luaL_Buffer buffer;

    if (held < 0)
        return push_error(L, held);
    luaL_buffinit(L, &buffer);
    for (size_t i = 0; i < count; i++)
        luaL_addlstring(&buffer, views[i].bytes, views[i].size);
    luaL_pushresult(&buffer);
    lua_pushinteger(L, neap_h3_consume_body(h3, stream, (size_t)(consume < 0 ? held : consume)));
    return 2;
}

neap_field *neap_units_pair_fields(lua_State *L, int at, size_t *count)
{
    luaL_checktype(L, at, LUA_TTABLE);
#if LUA_VERSION_NUM >= 502
    *count = lua_rawlen(L, at);
#else
    *count = lua_objlen(L, at);
#endif
    neap_field *fields =
        lua_newuserdata(L, (*count + 1) * sizeof(*fields)); /* lives to the end of the call */
    for (size_t i = 0; i < *count; i++) {
        fields[i] = (neap_field){0};
        lua_rawgeti(L, at, (int)i + 1);
        lua_rawgeti(L, -1, 1);
        fields[i].name = luaL_checklstring(L, -1, &fields[i].name_size);
        lua_rawgeti(L, -2, 2);
        fields[i].value = luaL_checklstring(L, -1, &fields[i].value_size);
        lua_pop(L, 3);
    }
    return fields;
}

static void push_fields(lua_State *L, const neap_field *fields, size_t count)
{
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_createtable(L, 2, 0);
        lua_pushlstring(L, fields[i].name, fields[i].name_size);
        lua_rawseti(L, -2, 1);
        lua_pushlstring(L, fields[i].value, fields[i].value_size);
        lua_rawseti(L, -2, 2);
        lua_rawseti(L, -2, (int)i + 1);
    }
}

void neap_units_push_event(lua_State *L, const neap_h3_event *event)
{
    static const char *const names[] = {
        [NEAP_H3_HEADERS] = "headers",         [NEAP_H3_DATA] = "data",     [NEAP_H3_TRAILERS] = "trailers",
        [NEAP_H3_FINISHED] = "finished",       [NEAP_H3_RESET] = "reset",   [NEAP_H3_STOPPED] = "stopped",
        [NEAP_H3_WRITABLE] = "writable",       [NEAP_H3_GOAWAY] = "goaway", [NEAP_H3_SETTINGS] = "settings",
        [NEAP_H3_ESTABLISHED] = "established", [NEAP_H3_CLOSED] = "closed",
    };

    lua_createtable(L, 0, 6);
    lua_pushstring(L, names[event->type]);
    lua_setfield(L, -2, "type");
    lua_pushnumber(L, (lua_Number)event->stream);
    lua_setfield(L, -2, "stream");
    if (event->type == NEAP_H3_RESET || event->type == NEAP_H3_STOPPED || event->type == NEAP_H3_CLOSED) {
        lua_pushnumber(L, (lua_Number)event->code);
        lua_setfield(L, -2, "code");
    }
    if (event->user) {
        lua_pushinteger(L, (lua_Integer)(intptr_t)event->user);
        lua_setfield(L, -2, "user");
    }
    if (event->fields) {
        push_fields(L, event->fields, event->field_count);
        lua_setfield(L, -2, "fields");
    }
    if (event->fin) {
        lua_pushboolean(L, 1);
        lua_setfield(L, -2, "fin");
    }
    if (event->is_informational) {
        lua_pushboolean(L, 1);
        lua_setfield(L, -2, "informational");
    }
}
