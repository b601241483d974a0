/* What reading and writing JSON share. Both are closures with the upvalues below. */
#ifndef NEAP_BINDING_JSON_H
#define NEAP_BINDING_JSON_H

#include "binding.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define JSON_MAX_DEPTH 100

enum json_upvalue {
    JSON_NULL = 1, /* what stands for null */
    JSON_ARRAY,    /* the metatable of arrays */
    JSON_ROOM,     /* a userdata, where a text grows; nil while one does */
};

/* A text that grows in a room which its closure keeps for the next one while it is small. Each allocation of Lua may run
 * finalizers, and these may read or write JSON: what is in use is on the stack of who uses it, and nowhere else. */
struct json_text {
    char *at;
    size_t size, capacity;
    int place; /* of the room on the stack */
};

/** An empty text; pushes its room, which must stay where it is until the end. */
void neap_lua_json_begin(lua_State *L, struct json_text *text);
/** Room for `size` more bytes behind text->size. */
void neap_lua_json_reserve(lua_State *L, struct json_text *text, size_t size);
/** The text is done: its room is for the next one, unless it is large. An error before costs that one a new room. */
void neap_lua_json_end(lua_State *L, struct json_text *text);

/** The room of `size` more bytes, which are in the text now: to be written at once. */
static inline char *neap_lua_json_room(lua_State *L, struct json_text *text, size_t size)
{
    if (text->capacity - text->size < size)
        neap_lua_json_reserve(L, text, size);
    text->size += size;
    return text->at + text->size - size;
}

static inline void neap_lua_json_append(lua_State *L, struct json_text *text, const char *bytes, size_t size)
{
    memcpy(neap_lua_json_room(L, text, size), bytes, size);
}

/** json_write.c: encode(value) -> text; raises for what has no JSON form. */
int neap_lua_json_encode(lua_State *L);
/** json_read.c: decode(text) -> value | nil, message, "json". */
int neap_lua_json_decode(lua_State *L);

#endif
