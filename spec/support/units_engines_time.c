/* How long engines of AES-GCM take, and OpenSSL's beside them: for scripts/bench crypto. */
#include "crypto_unit.h"
#include "units_engines.h"

#include <stdlib.h>
#include <time.h>

#ifdef NEAP_HAVE_LIBCRYPTO
#include <openssl/evp.h>
#endif

#define RUN 16u /* messages sealed in one call */
#define AAD_SIZE 13u
#define MOST 16384u

/* Messages behind one another, as packets of a train are: sealed in place, and opened to a place of their own, so that
 * they can be opened again. */
struct work {
    uint8_t *bytes;
    uint8_t *opened;
    size_t size;
    struct packet_key key;
};

static uint8_t *message_of(const struct work *w, size_t index)
{
    return w->bytes + index * (w->size + CRYPTO_TAG);
}

static double cpu_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void engine_work(const struct engine *engine, void *expanded, const struct work *w, bool is_seal)
{
    static const uint8_t aad[AAD_SIZE];
    struct aead_item items[RUN];

    for (size_t i = 0; i < RUN; i++) {
        items[i] = (struct aead_item){.aad = span_of(aad, sizeof(aad)),
                                      .in = message_of(w, i),
                                      .out = message_of(w, i),
                                      .size = w->size};
        if (!is_seal) {
            items[i].out = w->opened;
            items[i].size += CRYPTO_TAG;
        }
    }
    if (is_seal)
        engine->seal_run(expanded, items, RUN);
    for (size_t i = 0; i < RUN && !is_seal; i++)
        engine->open(expanded, &items[i]);
}

static double time_engine(const struct engine *engine, const struct work *w, bool is_seal, int rounds)
{
    uint64_t expanded[EXPANDED_KEY_ROOM / sizeof(uint64_t)];

    engine->expand(expanded, &w->key);
    engine_work(engine, expanded, w, true);
    double begin = cpu_now();
    for (int i = 0; i < rounds; i++)
        engine_work(engine, expanded, w, is_seal);
    double taken = cpu_now() - begin;
    engine->clear(expanded);
    return taken / rounds / RUN;
}

#ifdef NEAP_HAVE_LIBCRYPTO
/* One context is kept, and gets its nonce anew. */
static void openssl_work(EVP_CIPHER_CTX *context, const struct work *w, bool is_seal)
{
    static const uint8_t aad[AAD_SIZE], nonce[CRYPTO_IV];

    for (size_t i = 0; i < RUN; i++) {
        uint8_t *bytes = message_of(w, i);
        int size;

        EVP_CipherInit_ex(context, NULL, NULL, NULL, nonce, -1);
        EVP_CipherUpdate(context, NULL, &size, aad, sizeof(aad));
        EVP_CipherUpdate(context, is_seal ? bytes : w->opened, &size, bytes, (int)w->size);
        if (!is_seal)
            EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, CRYPTO_TAG, bytes + w->size);
        EVP_CipherFinal_ex(context, bytes + w->size, &size);
        if (is_seal)
            EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, CRYPTO_TAG, bytes + w->size);
    }
}

static double time_openssl(const struct work *w, bool is_seal, int rounds)
{
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    bool is_128 = w->key.suite == SUITE_AES_128_GCM_SHA256;

    EVP_CipherInit_ex(context, is_128 ? EVP_aes_128_gcm() : EVP_aes_256_gcm(), NULL, w->key.key, NULL,
                      is_seal);
    EVP_CIPHER_CTX *sealing = EVP_CIPHER_CTX_new();
    EVP_CipherInit_ex(sealing, is_128 ? EVP_aes_128_gcm() : EVP_aes_256_gcm(), NULL, w->key.key, NULL, 1);
    openssl_work(sealing, w, true);
    EVP_CIPHER_CTX_free(sealing);
    double begin = cpu_now();
    for (int i = 0; i < rounds; i++)
        openssl_work(context, w, is_seal);
    double taken = cpu_now() - begin;
    EVP_CIPHER_CTX_free(context);
    return taken / rounds / RUN;
}
#else
static double time_openssl(const struct work *w, bool is_seal, int rounds)
{
    (void)w, (void)is_seal, (void)rounds;
    return -1;
}
#endif

/* time(engine or "openssl", suite, size, is_seal, rounds of 16 messages) → CPU nanoseconds for one; -1: not here */
int neap_units_engine_time(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    const struct engine *engine = neap_engine_choose(name);
    struct work w = {.size = (size_t)luaL_checkinteger(L, 3), .key = {.key = {1}, .hp = {2}}};
    bool is_seal = lua_toboolean(L, 4);
    int rounds = (int)luaL_checkinteger(L, 5);

    w.key.suite = (uint16_t)luaL_checkinteger(L, 2);
    luaL_argcheck(L, w.size <= MOST, 3, "too long");
    w.bytes = calloc(RUN, w.size + CRYPTO_TAG);
    w.opened = calloc(1, w.size + CRYPTO_TAG);
    if (strcmp(name, "openssl") == 0)
        lua_pushnumber(L, time_openssl(&w, is_seal, rounds));
    else
        lua_pushnumber(L, strcmp(engine->name, name) ? -1 : time_engine(engine, &w, is_seal, rounds));
    free(w.bytes);
    free(w.opened);
    return 1;
}
