/* neap.units: require("neap.units").wire.parse_frame(bytes). The build lists the rooms in units_list.h. */
#include "units.h"

#define UNITS(room) int neap_units_##room(lua_State *L); /* pushes one table */
#include "units_list.h"
#undef UNITS

int luaopen_neap_units(lua_State *L)
{
    lua_newtable(L);
#define UNITS(room)                          \
    lua_pushcfunction(L, neap_units_##room); \
    lua_call(L, 0, 1);                       \
    lua_setfield(L, -2, #room);
#include "units_list.h"
#undef UNITS
    return 1;
}
