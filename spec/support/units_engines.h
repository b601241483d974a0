/* Between the two unit files of the engines. */
#ifndef NEAP_SPEC_UNITS_ENGINES_H
#define NEAP_SPEC_UNITS_ENGINES_H

#include "crypto/engine.h"

#include <lua.h>

int neap_units_engine_time(lua_State *L);

#endif
