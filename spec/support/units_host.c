/* Units of the test host itself: what the sanitizer build is made of, so that a spec can see that it is one. */
#include <lua.h>

#include "units.h"

int neap_units_host(lua_State *L);

static int sanitized(lua_State *L)
{
#ifdef __SANITIZE_ADDRESS__
    lua_pushboolean(L, 1);
#elif defined(__has_feature)
    lua_pushboolean(L, __has_feature(address_sanitizer));
#else
    lua_pushboolean(L, 0);
#endif
    return 1;
}

int neap_units_host(lua_State *L)
{
    lua_newtable(L);
    lua_pushcfunction(L, sanitized);
    lua_setfield(L, -2, "sanitized");
    return 1;
}
