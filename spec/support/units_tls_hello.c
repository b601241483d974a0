#include "units_tls_hello.h"

#include <lauxlib.h>
#include <stdlib.h>

#include "base/pool.h"
#include "tls/compression.h"

static void *heap(void *context, void *pointer, size_t size)
{
    (void)context;
    if (size > 0)
        return realloc(pointer, size);
    free(pointer);
    return NULL;
}

/* compress(bytes) -> bytes | nil: as CompressedCertificate has them, when they get smaller */
static int compress_bytes(lua_State *L)
{
    size_t size;
    const char *bytes = luaL_checklstring(L, 1, &size);
    struct pool *pool = neap_pool_new(heap, NULL, 0);
    uint8_t *out = lua_newuserdata(L, size + 1);
    size_t taken = neap_compress(pool, span_of(bytes, size), out, size);

    neap_pool_release(pool);
    if (taken == 0)
        lua_pushnil(L);
    else
        lua_pushlstring(L, (const char *)out, taken);
    return 1;
}

/* has_compression() -> whether the build has zlib */
static int has_compression(lua_State *L)
{
    lua_pushboolean(L, neap_compression_is_available());
    return 1;
}

void neap_units_tls_compression(lua_State *L)
{
    lua_pushcfunction(L, compress_bytes);
    lua_setfield(L, -2, "compress");
    lua_pushcfunction(L, has_compression);
    lua_setfield(L, -2, "has_compression");
}

static void numbers_field(lua_State *L, const char *name, uint16_t *out)
{
    lua_getfield(L, 1, name);
    for (int i = 0; i < 3 && lua_istable(L, -1); i++) {
        lua_rawgeti(L, -1, i + 1);
        out[i] = (uint16_t)lua_tointeger(L, -1);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

void unit_hello_fields(lua_State *L, struct tls_config *tls)
{
    numbers_field(L, "suites", tls->suites);
    numbers_field(L, "groups", tls->groups);
    lua_getfield(L, 1, "ocsp");
    tls->staple = (enum staple_demand)lua_tointeger(L, -1);
    lua_getfield(L, 1, "compression");
    tls->compression = lua_toboolean(L, -1);
    lua_getfield(L, 1, "grease");
    tls->grease = lua_toboolean(L, -1);
    lua_pop(L, 3);
}
