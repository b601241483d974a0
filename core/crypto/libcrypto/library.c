#include "crypto/libcrypto/library.h"

#include "base/pool.h"
#include "neap.h"

#include <openssl/bn.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/provider.h>
#include <openssl/rand.h>
#include <pthread.h>

/* ---- our generator as OpenSSL's source of randomness */

#define RANDOM_NAME "NEAP-RANDOM"
#define RANDOM_STRENGTH 256u
#define RANDOM_MOST 65536u /* bytes of one request */

/* Of the config that is in a call; NULL outside of them. */
static _Thread_local struct random *random_now;

static void *random_new(void *provider, void *parent, const OSSL_DISPATCH *parent_calls)
{
    (void)parent;
    (void)parent_calls;
    return provider;
}

static void random_free(void *random)
{
    (void)random;
}

static int random_instantiate(void *random, unsigned strength, int prediction_resistance,
                              const unsigned char *personal, size_t personal_size, const OSSL_PARAM params[])
{
    (void)random;
    (void)prediction_resistance;
    (void)personal;
    (void)personal_size;
    (void)params;
    return strength <= RANDOM_STRENGTH;
}

static int random_uninstantiate(void *random)
{
    (void)random;
    return 1;
}

static int random_generate(void *random, unsigned char *out, size_t size, unsigned strength,
                           int prediction_resistance, const unsigned char *additional, size_t additional_size)
{
    (void)strength;
    (void)prediction_resistance;
    (void)additional;
    (void)additional_size;
    (void)random;
    if (!random_now)
        return 0;
    neap_random_bytes(random_now, out, size);
    return 1;
}

static int random_enable_locking(void *random)
{
    (void)random; /* there is nothing in it that threads could share */
    return 1;
}

static int set_unsigned(OSSL_PARAM params[], const char *name, unsigned value)
{
    OSSL_PARAM *param = OSSL_PARAM_locate(params, name);

    return !param || OSSL_PARAM_set_uint(param, value);
}

static int random_params(void *random, OSSL_PARAM params[])
{
    OSSL_PARAM *most = OSSL_PARAM_locate(params, OSSL_RAND_PARAM_MAX_REQUEST);

    (void)random;
    return set_unsigned(params, OSSL_RAND_PARAM_STATE, EVP_RAND_STATE_READY) &&
           set_unsigned(params, OSSL_RAND_PARAM_STRENGTH, RANDOM_STRENGTH) &&
           (!most || OSSL_PARAM_set_size_t(most, RANDOM_MOST));
}

static const OSSL_ALGORITHM *random_query(void *provider, int operation, int *no_cache)
{
    static const OSSL_DISPATCH calls[] = {
        {OSSL_FUNC_RAND_NEWCTX, (void (*)(void))random_new},
        {OSSL_FUNC_RAND_FREECTX, (void (*)(void))random_free},
        {OSSL_FUNC_RAND_INSTANTIATE, (void (*)(void))random_instantiate},
        {OSSL_FUNC_RAND_UNINSTANTIATE, (void (*)(void))random_uninstantiate},
        {OSSL_FUNC_RAND_GENERATE, (void (*)(void))random_generate},
        {OSSL_FUNC_RAND_ENABLE_LOCKING, (void (*)(void))random_enable_locking},
        {OSSL_FUNC_RAND_GET_CTX_PARAMS, (void (*)(void))random_params},
        {0, NULL}};
    static const OSSL_ALGORITHM algorithms[] = {{RANDOM_NAME, "provider=neap", calls, NULL},
                                                {NULL, NULL, NULL, NULL}};

    (void)provider;
    *no_cache = 0;
    return operation == OSSL_OP_RAND ? algorithms : NULL;
}

static int random_start(const OSSL_CORE_HANDLE *core, const OSSL_DISPATCH *core_calls,
                        const OSSL_DISPATCH **calls, void **provider)
{
    static const OSSL_DISPATCH provider_calls[] = {
        {OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))random_query}, {0, NULL}};

    (void)core_calls;
    *calls = provider_calls;
    *provider = (void *)(uintptr_t)core; /* any that is not NULL */
    return 1;
}

/* ---- the library context: 200 to 400 KB, and three or more of the 1024 keys for thread-local data that a process has */

static pthread_mutex_t process_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    OSSL_LIB_CTX *context;
    OSSL_PROVIDER *primitives, *randomness;
    size_t users;
} process;

static void close_process(void)
{
    if (process.primitives)
        OSSL_PROVIDER_unload(process.primitives);
    if (process.randomness)
        OSSL_PROVIDER_unload(process.randomness);
    OSSL_LIB_CTX_free(process.context);
    process.context = NULL;
    process.primitives = process.randomness = NULL;
}

static bool open_process(void)
{
    process.context = OSSL_LIB_CTX_new();
    if (process.context && OSSL_PROVIDER_add_builtin(process.context, "neap", random_start)) {
        process.randomness = OSSL_PROVIDER_load(process.context, "neap");
        process.primitives = OSSL_PROVIDER_load(process.context, "default");
    }
    return process.randomness && process.primitives &&
           RAND_set_DRBG_type(process.context, RANDOM_NAME, NULL, NULL, NULL) == 1;
}

static OSSL_LIB_CTX *process_retain(void)
{
    pthread_mutex_lock(&process_lock);
    if (process.users > 0 || open_process())
        process.users++;
    else
        close_process();
    OSSL_LIB_CTX *context = process.context;
    pthread_mutex_unlock(&process_lock);
    return context;
}

static void process_release(void)
{
    pthread_mutex_lock(&process_lock);
    if (--process.users == 0)
        close_process();
    pthread_mutex_unlock(&process_lock);
}

/* ---- life */

int neap_libcrypto_start(struct crypto *crypto)
{
    struct libcrypto *library = neap_pool_alloc_lasting(crypto->pool, sizeof(*library));

    if (!library)
        return NEAP_ERR_NO_MEMORY;
    neap_libcrypto_enter(crypto);
    library->context = process_retain();
    if (neap_libcrypto_leave(library->context)) {
        neap_pool_free(crypto->pool, library, sizeof(*library));
        return NEAP_ERR_CRYPTO;
    }
    crypto->library = library;
    crypto->mlkem768 = neap_libcrypto_mlkem768(crypto);
    return 0;
}

void neap_libcrypto_stop(struct crypto *crypto)
{
    struct libcrypto *library = libcrypto_of(crypto);

    for (size_t i = 0; i < sizeof(library->digests) / sizeof(library->digests[0]); i++)
        EVP_MD_free(library->digests[i]);
    process_release();
    neap_pool_free(crypto->pool, library, sizeof(*library));
    crypto->library = NULL;
}

void neap_libcrypto_enter(struct crypto *crypto)
{
    random_now = &crypto->random;
    ERR_set_mark();
}

int neap_libcrypto_leave(bool ok)
{
    random_now = NULL;
    ERR_pop_to_mark();
    return ok ? 0 : NEAP_ERR_CRYPTO;
}

/* ---- keys from their parts */

EVP_PKEY *neap_libcrypto_key(const struct crypto *crypto, const char *type, int selection, OSSL_PARAM *parts)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *maker = EVP_PKEY_CTX_new_from_name(libcrypto_of(crypto)->context, type, NULL);

    if (maker && EVP_PKEY_fromdata_init(maker) == 1 && EVP_PKEY_fromdata(maker, &key, selection, parts) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(maker);
    return key;
}

bool neap_libcrypto_number(OSSL_PARAM *out, const char *name, struct span bytes, uint8_t *room)
{
    BIGNUM *number = BN_bin2bn(bytes.data, (int)bytes.size, NULL);

    *out = OSSL_PARAM_construct_BN(name, room, bytes.size);
    bool ok = number && OSSL_PARAM_set_BN(out, number) == 1;
    BN_clear_free(number);
    return ok;
}

const char *neap_libcrypto_curve(enum key_kind kind)
{
    return kind == KEY_P256 ? "P-256" : kind == KEY_P384 ? "P-384" : "P-521";
}
