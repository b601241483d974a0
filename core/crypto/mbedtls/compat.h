/* Where Mbed TLS 2.28 and 3.6 differ. */
#ifndef NEAP_CRYPTO_MBEDTLS_COMPAT_H
#define NEAP_CRYPTO_MBEDTLS_COMPAT_H

#include <mbedtls/version.h>

#if MBEDTLS_VERSION_NUMBER < 0x021c0000 || MBEDTLS_VERSION_NUMBER >= 0x04000000
#error "this folder is for Mbed TLS 2.28 and 3.6"
#endif

#include <mbedtls/ecp.h>
#include <mbedtls/pk.h>
#include <mbedtls/rsa.h>
#include <mbedtls/sha256.h>
#include <mbedtls/sha512.h>

#define MBED_IS_3 (MBEDTLS_VERSION_NUMBER >= 0x03000000)

#if !MBED_IS_3
#define mbedtls_sha256_starts mbedtls_sha256_starts_ret
#define mbedtls_sha256_update mbedtls_sha256_update_ret
#define mbedtls_sha256_finish mbedtls_sha256_finish_ret
#define mbedtls_sha512_starts mbedtls_sha512_starts_ret
#define mbedtls_sha512_update mbedtls_sha512_update_ret
#define mbedtls_sha512_finish mbedtls_sha512_finish_ret
#endif

typedef int (*mbed_random_fn)(void *, unsigned char *, size_t);

static inline int mbed_parse_key(mbedtls_pk_context *pk, const unsigned char *der, size_t size,
                                 mbed_random_fn random_fn, void *context)
{
#if MBED_IS_3
    return mbedtls_pk_parse_key(pk, der, size, NULL, 0, random_fn, context);
#else
    (void)random_fn;
    (void)context;
    return mbedtls_pk_parse_key(pk, der, size, NULL, 0);
#endif
}

static inline int mbed_check_pair(const mbedtls_pk_context *public_key, const mbedtls_pk_context *private_key,
                                  mbed_random_fn random_fn, void *context)
{
#if MBED_IS_3
    return mbedtls_pk_check_pair(public_key, private_key, random_fn, context);
#else
    (void)random_fn;
    (void)context;
    return mbedtls_pk_check_pair(public_key, private_key);
#endif
}

static inline int mbed_pk_sign(mbedtls_pk_context *pk, mbedtls_md_type_t md, const unsigned char *hash,
                               size_t hash_size, unsigned char *out, size_t room, size_t *size,
                               mbed_random_fn random_fn, void *context)
{
#if MBED_IS_3
    return mbedtls_pk_sign(pk, md, hash, hash_size, out, room, size, random_fn, context);
#else
    (void)room;
    return mbedtls_pk_sign(pk, md, hash, hash_size, out, size, random_fn, context);
#endif
}

/* RSASSA-PSS with a salt as long as the hash, MGF1 over the same hash. */
static inline int mbed_pss_sign(mbedtls_rsa_context *rsa, mbedtls_md_type_t md, const unsigned char *hash,
                                size_t hash_size, unsigned char *out, mbed_random_fn random_fn, void *context)
{
#if MBED_IS_3
    int error = mbedtls_rsa_set_padding(rsa, MBEDTLS_RSA_PKCS_V21, md);
    return error
               ? error
               : mbedtls_rsa_rsassa_pss_sign(rsa, random_fn, context, md, (unsigned int)hash_size, hash, out);
#else
    mbedtls_rsa_set_padding(rsa, MBEDTLS_RSA_PKCS_V21, (int)md);
    return mbedtls_rsa_rsassa_pss_sign(rsa, random_fn, context, MBEDTLS_RSA_PRIVATE, md,
                                       (unsigned int)hash_size, hash, out);
#endif
}

#endif
