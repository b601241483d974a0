/* ML-KEM-768, which OpenSSL has from 3.5 on: asked for by name when the program runs, so that a build with older headers uses
 * it too. */
#include "crypto/libcrypto/library.h"

#include "neap.h"

#include <openssl/core_names.h>

#define NAME "ML-KEM-768"
/* OSSL_PKEY_PARAM_ML_KEM_SEED, OSSL_KEM_PARAM_IKME: not in the headers of 3.0. */
#define PARAM_SEED "seed"
#define PARAM_MESSAGE "ikme"

static OSSL_PARAM bytes_param(const char *name, const uint8_t *bytes, size_t size)
{
    return OSSL_PARAM_construct_octet_string(name, (void *)(uintptr_t)bytes, size);
}

static EVP_PKEY *key_of_seed(struct crypto *crypto, const uint8_t seed[MLKEM768_SEED])
{
    OSSL_PARAM parts[] = {bytes_param(PARAM_SEED, seed, MLKEM768_SEED), OSSL_PARAM_construct_end()};

    return neap_libcrypto_key(crypto, NAME, EVP_PKEY_KEYPAIR, parts);
}

static int public_key(struct crypto *crypto, const uint8_t seed[MLKEM768_SEED], uint8_t out[MLKEM768_KEY])
{
    size_t size = 0;

    neap_libcrypto_enter(crypto);
    EVP_PKEY *key = key_of_seed(crypto, seed);
    bool ok = key &&
              EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, out, MLKEM768_KEY, &size) == 1 &&
              size == MLKEM768_KEY;
    EVP_PKEY_free(key);
    return neap_libcrypto_leave(ok);
}

static int encapsulate(struct crypto *crypto, const uint8_t key[MLKEM768_KEY],
                       const uint8_t message[MLKEM768_SECRET], uint8_t ciphertext[MLKEM768_CIPHERTEXT],
                       uint8_t secret[MLKEM768_SECRET])
{
    OSSL_PARAM parts[] = {bytes_param(OSSL_PKEY_PARAM_PUB_KEY, key, MLKEM768_KEY),
                          OSSL_PARAM_construct_end()};
    OSSL_PARAM random[] = {bytes_param(PARAM_MESSAGE, message, MLKEM768_SECRET), OSSL_PARAM_construct_end()};
    size_t size = MLKEM768_CIPHERTEXT, secret_size = MLKEM768_SECRET;

    neap_libcrypto_enter(crypto);
    EVP_PKEY *theirs = neap_libcrypto_key(crypto, NAME, EVP_PKEY_PUBLIC_KEY, parts);
    EVP_PKEY_CTX *kem =
        theirs ? EVP_PKEY_CTX_new_from_pkey(libcrypto_of(crypto)->context, theirs, NULL) : NULL;
    bool ok = kem && EVP_PKEY_encapsulate_init(kem, random) == 1 &&
              EVP_PKEY_encapsulate(kem, ciphertext, &size, secret, &secret_size) == 1 &&
              size == MLKEM768_CIPHERTEXT && secret_size == MLKEM768_SECRET;
    EVP_PKEY_CTX_free(kem);
    EVP_PKEY_free(theirs);
    return neap_libcrypto_leave(ok);
}

static int decapsulate(struct crypto *crypto, const uint8_t seed[MLKEM768_SEED],
                       const uint8_t ciphertext[MLKEM768_CIPHERTEXT], uint8_t secret[MLKEM768_SECRET])
{
    size_t size = MLKEM768_SECRET;

    neap_libcrypto_enter(crypto);
    EVP_PKEY *key = key_of_seed(crypto, seed);
    EVP_PKEY_CTX *kem = key ? EVP_PKEY_CTX_new_from_pkey(libcrypto_of(crypto)->context, key, NULL) : NULL;
    bool ok = kem && EVP_PKEY_decapsulate_init(kem, NULL) == 1 &&
              EVP_PKEY_decapsulate(kem, secret, &size, ciphertext, MLKEM768_CIPHERTEXT) == 1 &&
              size == MLKEM768_SECRET;
    EVP_PKEY_CTX_free(kem);
    EVP_PKEY_free(key);
    return neap_libcrypto_leave(ok);
}

const struct mlkem768 *neap_libcrypto_mlkem768(struct crypto *crypto)
{
    static const struct mlkem768 methods = {public_key, encapsulate, decapsulate};

    neap_libcrypto_enter(crypto);
    EVP_KEM *kem = EVP_KEM_fetch(libcrypto_of(crypto)->context, NAME, NULL);
    bool is_there = kem != NULL;
    EVP_KEM_free(kem);
    return neap_libcrypto_leave(is_there) ? NULL : &methods;
}
