/* Units of the engines of AES-GCM: each against Mbed TLS, and against records of vectors. */
#include "crypto_unit.h"
#include "engine_records.h"
#include "units_engines.h"

#include "base/random.h"
#include "crypto/backend.h"

int neap_units_engines(lua_State *L);

#define RECORD_ROOM (RECORD_HEAD + RECORD_MESSAGES * (RECORD_MESSAGE_HEAD + 600 + 2 * 1500 + CRYPTO_TAG))

static const struct engine *check_engine(lua_State *L, int index)
{
    const struct engine *engine = neap_engine_choose(luaL_checkstring(L, index));

    luaL_argcheck(L, strcmp(engine->name, luaL_checkstring(L, index)) == 0, index, "no such engine");
    return engine;
}

/* names() → those that this machine has, the fastest first */
static int names(lua_State *L)
{
    const struct engine *engine;

    lua_newtable(L);
    for (int i = 0; (engine = neap_engine_at((size_t)i)) != NULL; i++) {
        lua_pushstring(L, engine->name);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

/* choose(name or nil) → name of the engine that one gets */
static int choose(lua_State *L)
{
    lua_pushstring(L, neap_engine_choose(luaL_optstring(L, 1, NULL))->name);
    return 1;
}

static void put_number(uint8_t *at, size_t number)
{
    at[0] = (uint8_t)number;
    at[1] = (uint8_t)(number >> 8);
}

/* A message of random bytes, sealed and masked by Mbed TLS. Returns where the next one goes. */
static uint8_t *make_message(struct random *random, void *expanded, uint8_t *at)
{
    size_t size = neap_random_below(random, neap_random_below(random, 3) ? 1501 : 100);
    size_t aad_size = neap_random_below(random, neap_random_below(random, 8) ? 48 : 600);
    uint8_t masks[1][MASK_BLOCK];
    const uint8_t *sample = at + 16;

    neap_random_bytes(random, at, RECORD_MESSAGE_HEAD + aad_size + size);
    put_number(at + 12, aad_size);
    put_number(at + 14, size);
    struct aead_item item = {.aad = span_of(at + RECORD_MESSAGE_HEAD, aad_size),
                             .in = at + RECORD_MESSAGE_HEAD + aad_size,
                             .size = size,
                             .out = at + RECORD_MESSAGE_HEAD + aad_size + size};
    memcpy(item.nonce, at, CRYPTO_IV);
    neap_engine_mbedtls.seal_run(expanded, &item, 1);
    neap_engine_mbedtls.mask(expanded, &sample, 1, masks);
    memcpy(at + 32, masks[0], 5);
    return item.out + size + CRYPTO_TAG;
}

static size_t make_record(struct random *random, uint8_t *room)
{
    uint64_t expanded[EXPANDED_KEY_ROOM / sizeof(uint64_t)];
    size_t count = 1 + neap_random_below(random, RECORD_MESSAGES);
    struct packet_key key = {.suite = SUITE_AES_128_GCM_SHA256};
    uint8_t *at = room + RECORD_HEAD;

    if (neap_random_below(random, 2))
        key.suite = SUITE_AES_256_GCM_SHA384;
    neap_random_bytes(random, key.key, neap_suite_key_size(key.suite));
    neap_random_bytes(random, key.hp, neap_suite_key_size(key.suite));
    put_number(room, key.suite);
    memcpy(room + 2, key.key, 32);
    memcpy(room + 34, key.hp, 32);
    room[66] = (uint8_t)count;
    neap_engine_mbedtls.expand(expanded, &key);
    for (size_t i = 0; i < count; i++)
        at = make_message(random, expanded, at);
    neap_engine_mbedtls.clear(expanded);
    return (size_t)(at - room);
}

static void start_random(lua_State *L, int index, struct random *random)
{
    luaL_argcheck(L, check_bytes(L, index).size == 32, index, "32 bytes");
    neap_random_seed(random, check_bytes(L, index).data);
}

/* random(engine, seed, messages) → how many agreed with Mbed TLS, and what was wrong after them */
static int random_messages(lua_State *L)
{
    const struct engine *engine = check_engine(L, 1);
    size_t wanted = (size_t)luaL_checknumber(L, 3), checked = 0;
    uint8_t *room = malloc(RECORD_ROOM);
    const char *wrong = NULL;
    struct random random;

    start_random(L, 2, &random);
    while (checked < wanted && !wrong) {
        struct span record = span_of(room, make_record(&random, room));
        wrong = record_check(engine, &record, &checked);
    }
    free(room);
    lua_pushnumber(L, (lua_Number)checked);
    lua_pushstring(L, wrong);
    return 2;
}

/* record(seed) → the bytes of one of these */
static int random_record(lua_State *L)
{
    uint8_t *room = malloc(RECORD_ROOM);
    struct random random;

    start_random(L, 1, &random);
    push_bytes(L, room, make_record(&random, room));
    free(room);
    return 1;
}

/* vector(suite, key, nonce, aad, plaintext, sealed) → a record of one message of somebody else's */
static int vector(lua_State *L)
{
    struct packet_key key = {.suite = (uint16_t)luaL_checkinteger(L, 1)};
    uint8_t head[RECORD_HEAD] = {0}, message[RECORD_MESSAGE_HEAD] = {0}, masks[1][MASK_BLOCK];
    uint64_t expanded[EXPANDED_KEY_ROOM / sizeof(uint64_t)];
    const uint8_t *sample = message + 16;

    luaL_argcheck(L, check_bytes(L, 2).size == neap_suite_key_size(key.suite), 2, "size");
    luaL_argcheck(L, check_bytes(L, 3).size == CRYPTO_IV, 3, "size");
    memcpy(key.key, check_bytes(L, 2).data, check_bytes(L, 2).size);
    memcpy(key.hp, key.key, sizeof(key.hp));
    put_number(head, key.suite);
    memcpy(head + 2, key.key, 32);
    memcpy(head + 34, key.hp, 32);
    head[66] = 1;
    memcpy(message, check_bytes(L, 3).data, CRYPTO_IV);
    put_number(message + 12, check_bytes(L, 4).size);
    put_number(message + 14, check_bytes(L, 5).size);
    if (neap_engine_mbedtls.expand(expanded, &key))
        return luaL_error(L, "expand");
    neap_engine_mbedtls.mask(expanded, &sample, 1, masks);
    neap_engine_mbedtls.clear(expanded);
    memcpy(message + 32, masks[0], 5);
    push_bytes(L, head, sizeof(head));
    push_bytes(L, message, sizeof(message));
    for (int i = 4; i <= 6; i++)
        lua_pushvalue(L, i);
    lua_concat(L, 5);
    return 1;
}

/* check(engine, records) → how many messages were right, and what was wrong after them */
static int check_records(lua_State *L)
{
    const struct engine *engine = check_engine(L, 1);
    struct span records = check_bytes(L, 2);
    const char *wrong = NULL;
    size_t checked = 0;

    while (records.size > 0 && !wrong)
        wrong = record_check(engine, &records, &checked);
    lua_pushnumber(L, (lua_Number)checked);
    lua_pushstring(L, wrong);
    return 2;
}

/* use(crypto, engine): what it computes with from now on */
static int use(lua_State *L)
{
    neap_crypto_choose(check_crypto(L)->crypto, check_engine(L, 2)->name);
    return 0;
}

int neap_units_engines(lua_State *L)
{
    static const luaL_Reg functions[] = {{"names", names},
                                         {"choose", choose},
                                         {"random", random_messages},
                                         {"record", random_record},
                                         {"check", check_records},
                                         {"use", use},
                                         {"time", neap_units_engine_time},
                                         {"vector", vector},
                                         {NULL, NULL}};

    lua_newtable(L);
    set_unit_functions(L, functions);
    return 1;
}
