/* Units of core/quic: connection IDs by the application. */
#include "quic_unit.h"

int neap_units_quic_ids(lua_State *L);

/* A generator that counts; what it makes instead from time to time is of its kind. */
static struct {
    const char *kind;
    uint64_t calls;
} generator;

static int generate(void *context, neap_cid *id)
{
    uint64_t n = ++generator.calls;

    (void)context;
    memset(id->bytes, 'g', id->size);
    if (strcmp(generator.kind, "constant") != 0 && id->size > 2) {
        id->bytes[1] = (uint8_t)(n >> 8);
        id->bytes[2] = (uint8_t)n;
    }
    if (strcmp(generator.kind, "long") == 0 || (strcmp(generator.kind, "sometimes long") == 0 && n % 2))
        id->size++;
    return strcmp(generator.kind, "failing") == 0 ? -1 : 0;
}

/* generate(config, kind or nil) -> result */
static int set_generator(lua_State *L)
{
    const char *kind = lua_tostring(L, 2);

    if (kind)
        generator.kind = kind; /* the spec keeps it */
    generator.calls = 0;
    lua_pushinteger(L,
                    neap_config_set_cid_generator(check_config(L, 1)->config, kind ? generate : NULL, NULL));
    return 1;
}

static int generator_calls(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)generator.calls);
    return 1;
}

/* prefix(config, bytes) -> result */
static int set_prefix(lua_State *L)
{
    size_t size;
    const char *bytes = luaL_checklstring(L, 2, &size);

    lua_pushinteger(L, neap_config_set_cid_prefix(check_config(L, 1)->config, bytes, size));
    return 1;
}

/* new_cid(config) -> cid or nil, code */
static int new_cid(lua_State *L)
{
    neap_cid cid;
    int rc = neap_new_cid(check_config(L, 1)->config, &cid);

    if (rc)
        return push_error(L, rc);
    push_cid(L, &cid);
    return 1;
}

static int cid_stats(lua_State *L)
{
    neap_cid_stats stats;

    neap_config_cid_stats(check_config(L, 1)->config, &stats, sizeof stats);
    lua_newtable(L);
    set_number(L, "made", stats.made);
    set_number(L, "refused", stats.refused);
    set_number(L, "collisions", stats.collisions);
    return 1;
}

static int rotate(lua_State *L)
{
    lua_pushinteger(L, neap_conn_rotate_ids(check_conn(L, 1)));
    return 1;
}

int neap_units_quic_ids(lua_State *L)
{
    push_functions(L, (const luaL_Reg[]){{"generate", set_generator},
                                         {"generator_calls", generator_calls},
                                         {"prefix", set_prefix},
                                         {"new_cid", new_cid},
                                         {"cid_stats", cid_stats},
                                         {"rotate", rotate},
                                         {NULL, NULL}});
    return 1;
}
