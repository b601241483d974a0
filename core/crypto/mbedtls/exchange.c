/* Key exchange: ECDH over P-256 and P-384 (private keys are big-endian scalars; RFC 8446 §7.4.2: the secret is the X
 * coordinate), and X25519 from wherever the build has it. */
#include "crypto/mbedtls/exchange.h"

#include "crypto/mbedtls/compat.h"
#include "crypto/mbedtls/random.h"
#include "neap.h"

#include <mbedtls/ecdh.h>

struct exchange {
    mbedtls_ecp_group group;
    mbedtls_ecp_point point;
    mbedtls_mpi scalar, shared;
};

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

static int ecdh_generate(struct crypto *crypto, struct key_share *out)
{
    struct exchange e;
    int error = exchange_start(&e, out->group);

    if (!error)
        error = mbedtls_ecdh_gen_public(&e.group, &e.scalar, &e.point, mbed_random, crypto);
    if (!error)
        error = mbedtls_mpi_write_binary(&e.scalar, out->private_key, out->private_size);
    if (!error)
        error = mbedtls_ecp_point_write_binary(&e.group, &e.point, MBEDTLS_ECP_PF_UNCOMPRESSED,
                                               &out->public_size, out->public_key, sizeof(out->public_key));
    exchange_end(&e);
    return error ? NEAP_ERR_CRYPTO : 0;
}

static int ecdh_combine(struct crypto *crypto, const struct key_share *ours, struct span peer,
                        uint8_t *secret)
{
    struct exchange e;
    size_t size = ours->private_size;
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
    return error ? NEAP_ERR_CRYPTO : 0;
}

int neap_mbed_share_generate(struct crypto *crypto, struct key_share *out)
{
    return out->group == GROUP_X25519 ? neap_x25519_generate(crypto, out) : ecdh_generate(crypto, out);
}

int neap_mbed_share_combine(struct crypto *crypto, const struct key_share *ours, struct span peer,
                            uint8_t *secret)
{
    return ours->group == GROUP_X25519 ? neap_x25519_shared(crypto, ours->private_key, peer.data, secret)
                                       : ecdh_combine(crypto, ours, peer, secret);
}
