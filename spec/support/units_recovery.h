/* What the files of units of core/recovery share. */
#ifndef NEAP_SPEC_UNITS_RECOVERY_H
#define NEAP_SPEC_UNITS_RECOVERY_H

#include "base/pool.h"
#include "recovery/path_recovery.h"
#include "units_values.h"

/* A pool over malloc; raises when there is no memory. */
struct pool *units_recovery_pool(lua_State *L, size_t limit);
/* A zeroed object of a type that units_recovery_type made. */
void *units_recovery_object(lua_State *L, const char *name, size_t size);
void units_recovery_type(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction gc);
/* A table of what BBR, the controller, knows. */
void units_recovery_push_bbr(lua_State *L, const struct cc *cc);
/* Add `ack`, `cc`, `pacer` and `pmtu` to the table on the stack. */
void units_recovery_parts(lua_State *L);

static inline uint64_t field_u64(lua_State *L, int index, const char *name, uint64_t otherwise)
{
    lua_getfield(L, index, name);
    uint64_t value = lua_isnil(L, -1) ? otherwise : to_u64(L, -1);
    lua_pop(L, 1);
    return value;
}

/* What an ACK frame says of marks: a table, or nothing. */
static inline struct ecn_report units_recovery_report(lua_State *L, int index)
{
    struct ecn_report told = {.is_told = lua_istable(L, index)};

    if (told.is_told) {
        told.ect0 = field_u64(L, index, "ect0", 0);
        told.ect1 = field_u64(L, index, "ect1", 0);
        told.ce = field_u64(L, index, "ce", 0);
    }
    return told;
}

/* Add what is known of marks to the table on the stack. */
static inline void units_recovery_set_ecn(lua_State *L, const struct path_recovery *p)
{
    static const char *const ecn[] = {"off", "testing", "unknown", "capable", "failed"};

    lua_pushstring(L, ecn[p->ecn.state]);
    lua_setfield(L, -2, "ecn");
    lua_pushboolean(L, path_recovery_marks(p));
    lua_setfield(L, -2, "marks");
    set_u64(L, "ecn_burst", neap_ecn_burst(&p->ecn, 64));
    set_u64(L, "ce_told", p->counters.ecn_ce);
}

#endif
