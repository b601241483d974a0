/* Builds without libsodium: X25519 and ChaCha20-Poly1305 from Mbed TLS. */
#include "crypto/backend.h"

#ifndef NEAP_HAVE_SODIUM

#include "crypto/mbedtls/compat.h"
#include "crypto/mbedtls/random.h"
#include "neap.h"

#include <mbedtls/chachapoly.h>
#include <mbedtls/ecdh.h>

int neap_backend_start(void)
{
    return 0;
}

int neap_chachapoly_seal(const uint8_t key[32], const uint8_t nonce[12], struct span aad, const uint8_t *in,
                         size_t size, uint8_t *out)
{
    mbedtls_chachapoly_context context;

    mbedtls_chachapoly_init(&context);
    int error = mbedtls_chachapoly_setkey(&context, key);
    if (!error)
        error = mbedtls_chachapoly_encrypt_and_tag(&context, size, nonce, aad.data, aad.size, in, out,
                                                   out + size);
    mbedtls_chachapoly_free(&context);
    return error ? NEAP_ERR_CRYPTO : 0;
}

int neap_chachapoly_open(const uint8_t key[32], const uint8_t nonce[12], struct span aad, const uint8_t *in,
                         size_t size, uint8_t *out)
{
    mbedtls_chachapoly_context context;

    if (size < CRYPTO_TAG)
        return NEAP_ERR_CRYPTO;
    mbedtls_chachapoly_init(&context);
    int error = mbedtls_chachapoly_setkey(&context, key);
    if (!error)
        error = mbedtls_chachapoly_auth_decrypt(&context, size - CRYPTO_TAG, nonce, aad.data, aad.size,
                                                in + size - CRYPTO_TAG, in, out);
    mbedtls_chachapoly_free(&context);
    return error ? NEAP_ERR_CRYPTO : 0;
}

/* RFC 7748 §5: the scalar's bits that are fixed; Mbed TLS takes no other scalars. */
static int load_scalar(mbedtls_mpi *scalar, const uint8_t private_key[32])
{
    uint8_t clamped[32];

    memcpy(clamped, private_key, sizeof(clamped));
    clamped[0] &= 0xf8;
    clamped[31] = (uint8_t)((clamped[31] & 0x7f) | 0x40);
    int error = mbedtls_mpi_read_binary_le(scalar, clamped, sizeof(clamped));
    neap_wipe(clamped, sizeof(clamped));
    return error;
}

/* out = scalar * point, or the base point when there is none. */
static int multiply(struct crypto *crypto, const uint8_t private_key[32], const uint8_t *peer,
                    uint8_t out[32])
{
    mbedtls_ecp_group group;
    mbedtls_ecp_point point, result;
    mbedtls_mpi scalar;
    size_t size = 0;

    mbedtls_ecp_group_init(&group);
    mbedtls_ecp_point_init(&point);
    mbedtls_ecp_point_init(&result);
    mbedtls_mpi_init(&scalar);
    int error = mbedtls_ecp_group_load(&group, MBEDTLS_ECP_DP_CURVE25519);
    if (!error)
        error = load_scalar(&scalar, private_key);
    if (!error)
        error = peer ? mbedtls_ecp_point_read_binary(&group, &point, peer, 32)
                     : mbedtls_ecp_copy(&point, &group.G);
    if (!error)
        error = mbedtls_ecp_mul(&group, &result, &scalar, &point, mbed_random, crypto);
    if (!error)
        error = mbedtls_ecp_point_write_binary(&group, &result, MBEDTLS_ECP_PF_UNCOMPRESSED, &size, out, 32);
    mbedtls_mpi_free(&scalar);
    mbedtls_ecp_point_free(&result);
    mbedtls_ecp_point_free(&point);
    mbedtls_ecp_group_free(&group);
    return error || size != 32 ? NEAP_ERR_CRYPTO : 0;
}

int neap_x25519_public(struct crypto *crypto, const uint8_t private_key[32], uint8_t out[32])
{
    return multiply(crypto, private_key, NULL, out);
}

int neap_x25519_shared(struct crypto *crypto, const uint8_t private_key[32], const uint8_t peer[32],
                       uint8_t out[32])
{
    static const uint8_t zero[32];
    int error = multiply(crypto, private_key, peer, out);

    return error || neap_equal_constant_time(out, zero, 32) ? NEAP_ERR_CRYPTO : 0;
}

#endif
