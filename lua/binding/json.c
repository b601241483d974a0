/* core.json(null, array_metatable) -> encode, decode. */
#include "json.h"

#include <string.h>

#define ROOM_FIRST 512u
#define ROOM_KEPT 65536u

void neap_lua_json_begin(lua_State *L, struct json_text *text)
{
    lua_pushvalue(L, lua_upvalueindex(JSON_ROOM));
    lua_pushnil(L);
    lua_replace(L, lua_upvalueindex(JSON_ROOM));
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_newuserdata(L, ROOM_FIRST);
    }
    *text = (struct json_text){
        .at = lua_touserdata(L, -1), .capacity = lua_rawlen(L, -1), .place = lua_gettop(L)};
}

void neap_lua_json_reserve(lua_State *L, struct json_text *text, size_t size)
{
    size_t needed = text->size + size, capacity = text->capacity;

    while (capacity < needed)
        capacity *= 2;
    char *room = lua_newuserdata(L, capacity);
    memcpy(room, text->at, text->size);
    lua_replace(L, text->place);
    text->at = room;
    text->capacity = capacity;
}

void neap_lua_json_end(lua_State *L, struct json_text *text)
{
    if (text->capacity > ROOM_KEPT)
        return;
    lua_pushvalue(L, text->place);
    lua_replace(L, lua_upvalueindex(JSON_ROOM));
}

static void push_closure(lua_State *L, lua_CFunction function)
{
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 2);
    lua_pushnil(L);
    lua_pushcclosure(L, function, JSON_ROOM);
}

static int core_json(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 2, LUA_TTABLE);
    push_closure(L, neap_lua_json_encode);
    push_closure(L, neap_lua_json_decode);
    return 2;
}

void neap_lua_open_json(lua_State *L)
{
    lua_pushcfunction(L, core_json);
    lua_setfield(L, -2, "json");
}
