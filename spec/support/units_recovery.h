/* What the files of units of core/recovery share. */
#ifndef NEAP_SPEC_UNITS_RECOVERY_H
#define NEAP_SPEC_UNITS_RECOVERY_H

#include "base/pool.h"
#include "units_values.h"

/* A pool over malloc; raises when there is no memory. */
struct pool *units_recovery_pool(lua_State *L, size_t limit);
/* A zeroed object of a type that units_recovery_type made. */
void *units_recovery_object(lua_State *L, const char *name, size_t size);
void units_recovery_type(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction gc);
struct cc;
/* A table of what BBR, the controller, knows. */
void units_recovery_push_bbr(lua_State *L, const struct cc *cc);
/* Add `ack`, `cc`, `pacer` and `pmtu` to the table on the stack. */
void units_recovery_parts(lua_State *L);

#endif
