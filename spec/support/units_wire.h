/* What the files of units of core/wire share. */
#ifndef NEAP_SPEC_UNITS_WIRE_H
#define NEAP_SPEC_UNITS_WIRE_H

#include "units_values.h"

#define ROOM 4096

int units_wire_params(lua_State *L);
/* parse_params(bytes, from_server) -> table | nil, code, reason */
int units_wire_parse_params(lua_State *L);
/* write_params(table, from_server [, grease]) -> bytes */
int units_wire_write_params(lua_State *L);

#endif
