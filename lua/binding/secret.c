/* What scripts need for words of their own that others hand back: a MAC, a comparison, randomness. */
#include "binding.h"

#include <errno.h>
#include <sys/random.h>

#define RANDOM_MAX 256 /* bytes that getrandom gives whole */

/* core.hmac(key, data) -> the 32 bytes of HMAC-SHA256 */
static int core_hmac(lua_State *L)
{
    size_t key_size, size;
    const char *key = luaL_checklstring(L, 1, &key_size);
    const char *data = luaL_checklstring(L, 2, &size);
    uint8_t mac[32];

    neap_hmac_sha256(key, key_size, data, size, mac);
    lua_pushlstring(L, (const char *)mac, sizeof mac);
    return 1;
}

/* core.is_equal(a, b) -> whether two strings are, in time that depends on their sizes alone */
static int core_is_equal(lua_State *L)
{
    size_t size, other_size;
    const volatile char *a = luaL_checklstring(L, 1, &size);
    const volatile char *b = luaL_checklstring(L, 2, &other_size);
    unsigned difference = size != other_size;

    for (size_t i = 0; i < size && i < other_size; i++)
        difference |= (unsigned char)a[i] ^ (unsigned)(unsigned char)b[i];
    lua_pushboolean(L, difference == 0);
    return 1;
}

/* core.random_bytes(count) -> so many, 256 at most, of the system's randomness */
static int core_random_bytes(lua_State *L)
{
    uint64_t count = neap_lua_check_u64(L, 1);
    char bytes[RANDOM_MAX];
    ssize_t got;

    luaL_argcheck(L, count <= sizeof bytes, 1, "256 bytes at most");
    do
        got = getrandom(bytes, (size_t)count, 0);
    while (got < 0 && errno == EINTR);
    if (got != (ssize_t)count)
        return neap_lua_system_error(L, "getrandom", errno);
    lua_pushlstring(L, bytes, (size_t)count);
    return 1;
}

void neap_lua_open_secret(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"hmac", core_hmac},
        {"is_equal", core_is_equal},
        {"random_bytes", core_random_bytes},
        {NULL, NULL},
    };

    neap_lua_set_functions(L, functions);
}
