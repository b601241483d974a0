/* Units of core/base: the pool (both the one of this build and the one with size classes), range sets, maps, heaps,
 * the generator, the cursors and the texts. */
#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>

#include "base/heap.h"
#include "base/map.h"
#include "base/pool.h"
#include "base/random.h"
#include "base/range_set.h"
#include "base/reader.h"
#include "base/writer.h"
#include "classed_pool.h"
#include "neap.h"

int neap_units_base(lua_State *L);

static void *plain_realloc(void *context, void *pointer, size_t size)
{
    (void)context;
    if (size == 0) {
        free(pointer);
        return NULL;
    }
    return realloc(pointer, size);
}

static void set_functions(lua_State *L, const luaL_Reg *functions)
{
    for (; functions->name; functions++) {
        lua_pushcfunction(L, functions->func);
        lua_setfield(L, -2, functions->name);
    }
}

static void new_type(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction gc)
{
    luaL_newmetatable(L, name);
    lua_pushcfunction(L, gc);
    lua_setfield(L, -2, "__gc");
    lua_newtable(L);
    set_functions(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}

static uint64_t check_number(lua_State *L, int index)
{
    return (uint64_t)luaL_checknumber(L, index);
}

/* ---- pool: pool_new(limit, classed) */

#define POOL "neap.units.pool"

struct unit_pool {
    struct pool *pool;
};

static int pool_new(lua_State *L)
{
    size_t limit = (size_t)luaL_optnumber(L, 1, 0);
    bool is_classed = lua_toboolean(L, 2);
    struct unit_pool *u = lua_newuserdata(L, sizeof(*u));

    *u = (struct unit_pool){0};
    luaL_getmetatable(L, POOL);
    lua_setmetatable(L, -2);
    u->pool =
        is_classed ? classed_pool_new(plain_realloc, NULL, limit) : neap_pool_new(plain_realloc, NULL, limit);
    return 1;
}

static struct unit_pool *check_pool(lua_State *L)
{
    return luaL_checkudata(L, 1, POOL);
}

static int pool_gc(lua_State *L)
{
    struct unit_pool *u = check_pool(L);

    neap_pool_release(u->pool);
    u->pool = NULL;
    return 0;
}

static int push_room(lua_State *L, void *room)
{
    if (room)
        lua_pushlightuserdata(L, room);
    else
        lua_pushnil(L);
    return 1;
}

static int pool_alloc(lua_State *L)
{
    struct unit_pool *u = check_pool(L);
    size_t size = (size_t)check_number(L, 2);

    return push_room(L, neap_pool_alloc(u->pool, size));
}

static int pool_alloc_lasting(lua_State *L)
{
    struct unit_pool *u = check_pool(L);
    size_t size = (size_t)check_number(L, 2);

    return push_room(L, neap_pool_alloc_lasting(u->pool, size));
}

static int pool_free(lua_State *L)
{
    struct unit_pool *u = check_pool(L);
    void *room = lua_touserdata(L, 2);
    size_t size = (size_t)check_number(L, 3);

    neap_pool_free(u->pool, room, size);
    return 0;
}

static int pool_resize(lua_State *L)
{
    struct unit_pool *u = check_pool(L);
    void *room = lua_touserdata(L, 2);
    size_t size = (size_t)check_number(L, 3), new_size = (size_t)check_number(L, 4);

    return push_room(L, neap_pool_resize(u->pool, room, size, new_size));
}

static int pool_stats(lua_State *L)
{
    struct unit_pool *u = check_pool(L);
    struct pool_stats stats = neap_pool_stats(u->pool);

    lua_newtable(L);
    lua_pushnumber(L, (lua_Number)stats.used);
    lua_setfield(L, -2, "used");
    lua_pushnumber(L, (lua_Number)stats.reserved);
    lua_setfield(L, -2, "reserved");
    lua_pushnumber(L, (lua_Number)stats.refused);
    lua_setfield(L, -2, "refused");
    return 1;
}

/* bytes_of(room, size) and fill(room, byte, size) */
static int bytes_of(lua_State *L)
{
    lua_pushlstring(L, lua_touserdata(L, 1), (size_t)check_number(L, 2));
    return 1;
}

static int fill(lua_State *L)
{
    memset(lua_touserdata(L, 1), (int)luaL_checkinteger(L, 2), (size_t)check_number(L, 3));
    return 0;
}

/* ---- range sets, maps and heaps share a shape: the thing and its pool */

#define RANGES "neap.units.ranges"

struct unit_ranges {
    struct pool *pool;
    struct range_set set;
};

static int ranges_new(lua_State *L)
{
    uint32_t limit = (uint32_t)luaL_checkinteger(L, 1);
    struct unit_ranges *u = lua_newuserdata(L, sizeof(*u));

    *u = (struct unit_ranges){.pool = neap_pool_new(plain_realloc, NULL, 0), .set = range_set_of(limit)};
    luaL_getmetatable(L, RANGES);
    lua_setmetatable(L, -2);
    return 1;
}

static struct unit_ranges *check_ranges(lua_State *L)
{
    return luaL_checkudata(L, 1, RANGES);
}

static int ranges_gc(lua_State *L)
{
    struct unit_ranges *u = check_ranges(L);

    neap_range_set_free(&u->set, u->pool);
    neap_pool_release(u->pool);
    return 0;
}

static int ranges_insert(lua_State *L)
{
    struct unit_ranges *u = check_ranges(L);

    lua_pushinteger(L, neap_range_set_insert(&u->set, u->pool, check_number(L, 2), check_number(L, 3)));
    return 1;
}

static int ranges_remove(lua_State *L)
{
    struct unit_ranges *u = check_ranges(L);

    lua_pushinteger(L, neap_range_set_remove(&u->set, u->pool, check_number(L, 2), check_number(L, 3)));
    return 1;
}

static int ranges_drop_below(lua_State *L)
{
    neap_range_set_drop_below(&check_ranges(L)->set, check_number(L, 2));
    return 0;
}

static int ranges_contains(lua_State *L)
{
    lua_pushboolean(L, neap_range_set_contains(&check_ranges(L)->set, check_number(L, 2)));
    return 1;
}

static int ranges_covers(lua_State *L)
{
    lua_pushboolean(L, neap_range_set_covers(&check_ranges(L)->set, check_number(L, 2), check_number(L, 3)));
    return 1;
}

static int ranges_first_gap(lua_State *L)
{
    struct range gap;

    if (!neap_range_set_first_gap(&check_ranges(L)->set, check_number(L, 2), check_number(L, 3), &gap))
        return 0;
    lua_pushnumber(L, (lua_Number)gap.start);
    lua_pushnumber(L, (lua_Number)gap.end);
    return 2;
}

/* "1-3 5-9": half-open ranges in order. */
static int ranges_text(lua_State *L)
{
    const struct range_set *set = &check_ranges(L)->set;
    luaL_Buffer text;

    luaL_buffinit(L, &text);
    for (uint32_t i = 0; i < set->count; i++) {
        lua_pushfstring(L, "%s%d-%d", i ? " " : "", (int)set->ranges[i].start, (int)set->ranges[i].end);
        luaL_addvalue(&text);
    }
    luaL_pushresult(&text);
    return 1;
}

#define MAP "neap.units.map"

struct unit_map {
    struct pool *pool;
    struct map map;
};

struct number_node {
    struct map_node node;
    lua_Integer value;
};

static int map_new(lua_State *L)
{
    uint64_t secret = (uint64_t)luaL_checknumber(L, 1);
    size_t limit = (size_t)luaL_optnumber(L, 2, 0);
    struct unit_map *u = lua_newuserdata(L, sizeof(*u));

    *u = (struct unit_map){.pool = neap_pool_new(plain_realloc, NULL, limit), .map = neap_map_of(secret)};
    luaL_getmetatable(L, MAP);
    lua_setmetatable(L, -2);
    return 1;
}

static struct unit_map *check_map(lua_State *L)
{
    return luaL_checkudata(L, 1, MAP);
}

static struct span check_span(lua_State *L, int index)
{
    size_t size;
    const char *bytes = luaL_checklstring(L, index, &size);

    return span_of(bytes, size);
}

static int map_gc(lua_State *L)
{
    struct unit_map *u = check_map(L);
    struct map_walk walk = {0};
    struct map_node *node;

    while ((node = neap_map_walk(&u->map, &walk)) != NULL)
        free(node);
    neap_map_free(&u->map, u->pool);
    neap_pool_release(u->pool);
    return 0;
}

/* Values are numbers under a key that is not there. */
static int map_add(lua_State *L)
{
    struct unit_map *u = check_map(L);
    struct number_node *n = malloc(sizeof *n);

    n->value = luaL_checkinteger(L, 3);
    neap_map_add(&u->map, u->pool, &n->node, (uint64_t)luaL_checknumber(L, 2));
    return 0;
}

static struct number_node *find_number(lua_State *L)
{
    return (struct number_node *)neap_map_find(&check_map(L)->map, (uint64_t)luaL_checknumber(L, 2));
}

static int map_get(lua_State *L)
{
    const struct number_node *n = find_number(L);

    lua_settop(L, 0);
    if (!n)
        lua_pushnil(L);
    else
        lua_pushinteger(L, n->value);
    return 1;
}

static int map_remove(lua_State *L)
{
    struct unit_map *u = check_map(L);
    struct number_node *n = find_number(L);

    if (!n)
        return 0;
    lua_pushinteger(L, n->value);
    neap_map_remove(&u->map, u->pool, &n->node);
    free(n);
    return 1;
}

/* The nodes, the chains, and the length of the longest. */
static int map_shape(lua_State *L)
{
    const struct map *m = &check_map(L)->map;
    struct map_walk walk = {0};
    lua_Integer longest = 0;

    for (struct map_node *node; (node = neap_map_walk(m, &walk)) != NULL;) {
        lua_Integer length = 1;

        while (walk.next && (node = neap_map_walk(m, &walk)) != NULL)
            length++;
        longest = length > longest ? length : longest;
    }
    lua_pushinteger(L, m->count);
    lua_pushinteger(L, m->chain_count);
    lua_pushinteger(L, longest);
    return 3;
}

static int map_memory(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)neap_pool_stats(check_map(L)->pool).used);
    return 1;
}

/* All values as a list. */
static int map_values(lua_State *L)
{
    struct unit_map *u = check_map(L);
    struct map_walk walk = {0};
    struct map_node *node;

    lua_newtable(L);
    for (int i = 1; (node = neap_map_walk(&u->map, &walk)) != NULL; i++) {
        lua_pushinteger(L, ((struct number_node *)node)->value);
        lua_rawseti(L, -2, i);
    }
    return 1;
}

#define HEAP "neap.units.heap"
#define HEAP_NODES 4096

struct unit_heap {
    struct pool *pool;
    struct heap heap;
    struct heap_node nodes[HEAP_NODES];
};

static int heap_new(lua_State *L)
{
    struct unit_heap *u = lua_newuserdata(L, sizeof(*u));

    *u = (struct unit_heap){.pool = neap_pool_new(plain_realloc, NULL, 0)};
    luaL_getmetatable(L, HEAP);
    lua_setmetatable(L, -2);
    return 1;
}

static struct unit_heap *check_heap(lua_State *L)
{
    return luaL_checkudata(L, 1, HEAP);
}

static struct heap_node *check_node(lua_State *L, struct unit_heap *u)
{
    lua_Integer node = luaL_checkinteger(L, 2);

    luaL_argcheck(L, node >= 0 && node < HEAP_NODES, 2, "no such node");
    return &u->nodes[node];
}

static int heap_gc(lua_State *L)
{
    struct unit_heap *u = check_heap(L);

    neap_heap_free(&u->heap, u->pool);
    neap_pool_release(u->pool);
    return 0;
}

static int heap_set(lua_State *L)
{
    struct unit_heap *u = check_heap(L);

    lua_pushinteger(L, neap_heap_set(&u->heap, u->pool, check_node(L, u), check_number(L, 3)));
    return 1;
}

static int heap_remove(lua_State *L)
{
    struct unit_heap *u = check_heap(L);

    neap_heap_remove(&u->heap, u->pool, check_node(L, u));
    return 0;
}

/* The first node's number and key. */
static int heap_first(lua_State *L)
{
    struct unit_heap *u = check_heap(L);
    const struct heap_entry *first = neap_heap_first(&u->heap);

    if (!first)
        return 0;
    lua_pushinteger(L, (lua_Integer)(first->node - u->nodes));
    lua_pushnumber(L, (lua_Number)first->at);
    return 2;
}

/* ---- random */

/* random_bytes(seed, size, ...): what one generator gives for each size in turn. */
static int random_bytes(lua_State *L)
{
    struct random r;
    int count = lua_gettop(L) - 1;

    luaL_argcheck(L, check_span(L, 1).size == 32, 1, "32 bytes");
    neap_random_seed(&r, check_span(L, 1).data);
    for (int i = 1; i <= count; i++) {
        size_t size = (size_t)luaL_checkinteger(L, 1 + i);
        uint8_t *out = malloc(size + 1);

        neap_random_bytes(&r, out, size);
        lua_pushlstring(L, (char *)out, size);
        free(out);
    }
    return count;
}

/* A source that counts how often it was asked and gives that number 32 times. */
struct unit_source {
    uint64_t generation;
    int asked;
    bool fails;
};

static int source_random(void *context, uint8_t *out, size_t size)
{
    struct unit_source *source = context;

    memset(out, ++source->asked, size);
    return source->fails ? -1 : 0;
}

static uint64_t source_generation(void *context)
{
    return ((struct unit_source *)context)->generation;
}

static lua_Number field_number(lua_State *L, const char *name)
{
    lua_getfield(L, -1, name);
    lua_Number number = lua_tonumber(L, -1);
    lua_pop(L, 1);
    return number;
}

/* random_from_source(seed, {{generation =, now =, fails = (0 or 1), size =}, …}) → what each step gave, how often the
 * source was asked */
static int random_from_source(lua_State *L)
{
    struct unit_source state = {0};
    struct random_source source = {
        .random = source_random, .generation = source_generation, .context = &state};
    struct random r;
    uint8_t out[1024];

    neap_random_seed(&r, check_span(L, 1).data);
    neap_random_set_source(&r, &source, 0);
    lua_newtable(L);
    for (int i = 1; lua_rawgeti(L, 2, i), lua_istable(L, -1); i++) {
        size_t size = (size_t)field_number(L, "size");

        luaL_argcheck(L, size <= sizeof out, 2, "too much");
        state.generation = (uint64_t)field_number(L, "generation");
        state.fails = field_number(L, "fails") != 0;
        neap_random_refresh(&r, (int64_t)field_number(L, "now"));
        neap_random_bytes(&r, out, size);
        lua_pushlstring(L, (const char *)out, size);
        lua_rawseti(L, 3, i);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    lua_pushinteger(L, state.asked);
    return 2;
}

static int random_below(lua_State *L)
{
    struct random r;
    uint64_t bound = check_number(L, 2);

    neap_random_seed(&r, check_span(L, 1).data);
    lua_newtable(L);
    for (int i = 1; i <= luaL_checkinteger(L, 3); i++) {
        lua_pushnumber(L, (lua_Number)neap_random_below(&r, bound));
        lua_rawseti(L, -2, i);
    }
    return 1;
}

static int chacha20_block(lua_State *L)
{
    uint8_t out[64];

    luaL_argcheck(L, check_span(L, 1).size == 32 && check_span(L, 3).size == 12, 1, "32 and 12 bytes");
    neap_chacha20_block(check_span(L, 1).data, (uint32_t)check_number(L, 2), check_span(L, 3).data, out);
    lua_pushlstring(L, (char *)out, sizeof(out));
    return 1;
}

static int siphash(lua_State *L)
{
    uint64_t key[2];
    char text[17];

    luaL_argcheck(L, check_span(L, 1).size == 16, 1, "16 bytes");
    memcpy(key, check_span(L, 1).data, 16);
    snprintf(text, sizeof(text), "%016llx", (unsigned long long)neap_siphash(key, check_span(L, 2)));
    lua_pushstring(L, text);
    return 1;
}

static int equal_constant_time(lua_State *L)
{
    struct span a = check_span(L, 1), b = check_span(L, 2);

    luaL_argcheck(L, a.size == b.size, 2, "another size");
    lua_pushboolean(L, neap_equal_constant_time(a.data, b.data, a.size));
    return 1;
}

static int wipe(lua_State *L)
{
    uint8_t bytes[16];

    memset(bytes, 0xaa, sizeof(bytes));
    neap_wipe(bytes, (size_t)luaL_checkinteger(L, 1));
    lua_pushlstring(L, (char *)bytes, sizeof(bytes));
    return 1;
}

/* ---- cursors: read(bytes, kinds) → values, bad, left. Kinds: "1".."8" big-endian, "v" varint, "b" a byte vector
 * behind one length byte, "r" the rest. */
static int read_values(lua_State *L)
{
    struct reader r = reader_of(check_span(L, 1));

    lua_newtable(L);
    int i = 1;
    for (const char *kind = luaL_checkstring(L, 2); *kind; kind++, i++) {
        if (*kind == 'b' || *kind == 'r') {
            struct span s = *kind == 'b' ? read_vector(&r, 1) : read_rest(&r);
            lua_pushlstring(L, s.data ? (const char *)s.data : "", s.size);
        } else {
            lua_pushnumber(
                L, (lua_Number)(*kind == 'v' ? read_varint(&r) : read_uint(&r, (size_t)(*kind - '0'))));
        }
        lua_rawseti(L, -2, i);
    }
    lua_pushboolean(L, r.bad);
    lua_pushinteger(L, (lua_Integer)reader_left(&r));
    return 3;
}

/* write(room, kinds, values...) → bytes, full */
static int write_values(lua_State *L)
{
    uint8_t room[64];
    struct writer w = writer_of(room, (size_t)luaL_checkinteger(L, 1));
    int i = 3;

    luaL_argcheck(L, luaL_checkinteger(L, 1) <= (lua_Integer)sizeof(room), 1, "too much");
    for (const char *kind = luaL_checkstring(L, 2); *kind; kind++, i++) {
        if (*kind == 'b')
            write_span(&w, check_span(L, i));
        else if (*kind == 'v')
            write_varint(&w, check_number(L, i));
        else
            write_uint(&w, check_number(L, i), (size_t)(*kind - '0'));
    }
    lua_pushlstring(L, (char *)room, writer_size(&w));
    lua_pushboolean(L, w.full);
    return 2;
}

static int wire_name(lua_State *L)
{
    lua_pushstring(L, neap_wire_error_name((uint64_t)luaL_checknumber(L, 1), lua_toboolean(L, 2)));
    return 1;
}

static int strerror_of(lua_State *L)
{
    lua_pushstring(L, neap_strerror((int64_t)luaL_checknumber(L, 1)));
    return 1;
}

static const luaL_Reg pool_methods[] = {{"alloc", pool_alloc}, {"alloc_lasting", pool_alloc_lasting},
                                        {"free", pool_free},   {"resize", pool_resize},
                                        {"stats", pool_stats}, {NULL, NULL}};
static const luaL_Reg ranges_methods[] = {{"insert", ranges_insert},
                                          {"remove", ranges_remove},
                                          {"drop_below", ranges_drop_below},
                                          {"contains", ranges_contains},
                                          {"covers", ranges_covers},
                                          {"first_gap", ranges_first_gap},
                                          {"text", ranges_text},
                                          {NULL, NULL}};
static const luaL_Reg map_methods[] = {{"add", map_add},     {"get", map_get},       {"remove", map_remove},
                                       {"shape", map_shape}, {"memory", map_memory}, {"values", map_values},
                                       {NULL, NULL}};
static const luaL_Reg heap_methods[] = {
    {"set", heap_set}, {"remove", heap_remove}, {"first", heap_first}, {NULL, NULL}};
static const luaL_Reg functions[] = {{"pool_new", pool_new},
                                     {"bytes_of", bytes_of},
                                     {"fill", fill},
                                     {"range_set_new", ranges_new},
                                     {"map_new", map_new},
                                     {"heap_new", heap_new},
                                     {"random_bytes", random_bytes},
                                     {"random_below", random_below},
                                     {"random_from_source", random_from_source},
                                     {"chacha20_block", chacha20_block},
                                     {"siphash", siphash},
                                     {"equal_constant_time", equal_constant_time},
                                     {"wipe", wipe},
                                     {"read", read_values},
                                     {"write", write_values},
                                     {"wire_name", wire_name},
                                     {"strerror", strerror_of},
                                     {NULL, NULL}};

int neap_units_base(lua_State *L)
{
    new_type(L, POOL, pool_methods, pool_gc);
    new_type(L, RANGES, ranges_methods, ranges_gc);
    new_type(L, MAP, map_methods, map_gc);
    new_type(L, HEAP, heap_methods, heap_gc);
    lua_newtable(L);
    set_functions(L, functions);
    return 1;
}
