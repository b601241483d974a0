/* What the files of units of core/streams share: an object with a counted pool, numbers of 64 bits, frames as tables. */
#ifndef NEAP_SPEC_UNITS_STREAMS_H
#define NEAP_SPEC_UNITS_STREAMS_H

#include <lauxlib.h>
#include <lua.h>

#include "base/pool.h"
#include "streams/streams.h"

struct memory {
    struct pool *pool;
    uint64_t allocations;
    uint64_t passing, failing; /* so many allocations from now on succeed, the so many after them fail */
};

void units_set_functions(lua_State *L, const luaL_Reg *functions);
void units_new_type(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction gc);
/* Zeroed, with its memory at the front. */
void *units_new_object(lua_State *L, const char *name, size_t size);
/* Numbers above 2^53 come and go as decimal strings. */
uint64_t units_check_u64(lua_State *L, int index);
uint64_t units_opt_u64(lua_State *L, int index, uint64_t otherwise);
struct span units_check_span(lua_State *L, int index);
/* The same bytes in three parts, one of them empty. */
void units_split_span(struct span data, struct span parts[3]);
void units_push_u64(lua_State *L, uint64_t value);
void units_set_u64(lua_State *L, const char *name, uint64_t value);
/* code, reason */
int units_push_result(lua_State *L, int code, const struct failure *why);
/* object:memory() -> bytes in use, allocations made so far */
int units_object_memory(lua_State *L);
/* object:fail(count, after): after so many good ones `count` allocations fail */
int units_object_fail(lua_State *L);
/* Room for the frames of one call, its size at `index` of the stack. */
struct writer units_new_room(lua_State *L, int index);
/* Push a table of the one frame that `w` holds, parsed from its bytes, with `told` inside. */
void units_push_frame(lua_State *L, const struct writer *w, const struct sent_frame *told);
/* Adds the tables' type and `new` to the table on the stack. */
void units_streams_table(lua_State *L);

#endif
