/* ECDH over P-256 and P-384 (RFC 8446 §4.2.8.2: uncompressed points; §7.4.2: the secret is the X coordinate). */
#include "crypto/backend.h"

#include "crypto/mbedtls/compat.h"
#include "crypto/mbedtls/random.h"
#include "neap.h"

#include <mbedtls/ecdh.h>

struct exchange {
    mbedtls_ecp_group group;
    mbedtls_ecp_point point;
    mbedtls_mpi scalar, shared;
};

static size_t field_size(uint16_t group)
{
    return group == GROUP_SECP256R1 ? 32 : 48;
}

static int exchange_start(struct exchange *e, uint16_t group)
{
    mbedtls_ecp_group_init(&e->group);
    mbedtls_ecp_point_init(&e->point);
    mbedtls_mpi_init(&e->scalar);
    mbedtls_mpi_init(&e->shared);
    return mbedtls_ecp_group_load(&e->group, group == GROUP_SECP256R1 ? MBEDTLS_ECP_DP_SECP256R1
                                                                      : MBEDTLS_ECP_DP_SECP384R1);
}

static void exchange_end(struct exchange *e)
{
    mbedtls_mpi_free(&e->shared);
    mbedtls_mpi_free(&e->scalar);
    mbedtls_ecp_point_free(&e->point);
    mbedtls_ecp_group_free(&e->group);
}

int neap_ecdh_generate(struct crypto *crypto, uint16_t group, struct key_share *out)
{
    struct exchange e;
    size_t size = field_size(group);
    int error = exchange_start(&e, group);

    if (!error)
        error = mbedtls_ecdh_gen_public(&e.group, &e.scalar, &e.point, mbed_random, crypto);
    if (!error)
        error = mbedtls_mpi_write_binary(&e.scalar, out->private_key, size);
    if (!error)
        error = mbedtls_ecp_point_write_binary(&e.group, &e.point, MBEDTLS_ECP_PF_UNCOMPRESSED,
                                               &out->public_size, out->public_key, sizeof(out->public_key));
    out->private_size = size;
    exchange_end(&e);
    return error ? NEAP_ERR_CRYPTO : 0;
}

int neap_ecdh_shared(struct crypto *crypto, const struct key_share *ours, struct span peer, uint8_t *secret,
                     size_t *secret_size)
{
    struct exchange e;
    size_t size = field_size(ours->group);

    if (peer.size != 1 + 2 * size || peer.data[0] != 0x04 || ours->private_size != size)
        return NEAP_ERR_CRYPTO;
    int error = exchange_start(&e, ours->group);
    if (!error)
        error = mbedtls_ecp_point_read_binary(&e.group, &e.point, peer.data, peer.size);
    if (!error)
        error = mbedtls_ecp_check_pubkey(&e.group, &e.point);
    if (!error)
        error = mbedtls_mpi_read_binary(&e.scalar, ours->private_key, size);
    if (!error)
        error = mbedtls_ecdh_compute_shared(&e.group, &e.shared, &e.point, &e.scalar, mbed_random, crypto);
    if (!error)
        error = mbedtls_mpi_write_binary(&e.shared, secret, size);
    exchange_end(&e);
    *secret_size = size;
    return error ? NEAP_ERR_CRYPTO : 0;
}
