/* Tables of functions that let specs reach the internals of a layer. */
#ifndef NEAP_SPEC_UNITS_H
#define NEAP_SPEC_UNITS_H

#include <lua.h>

/* Opens neap.units: one field for every spec/support/units_<room>.c of this build. */
int luaopen_neap_units(lua_State *L);

#endif
