/* Keys in PSA's form: imported, drawn, destroyed; and ECDH. */
#include "crypto/psa/psa.h"

#include "neap.h"

int neap_psa_error(psa_status_t status)
{
    return status == PSA_SUCCESS                     ? 0
           : status == PSA_ERROR_INSUFFICIENT_MEMORY ? NEAP_ERR_NO_MEMORY
                                                     : NEAP_ERR_CRYPTO;
}

psa_status_t neap_psa_import(psa_key_type_t type, psa_algorithm_t algorithm, psa_key_usage_t usage,
                             struct span bytes, psa_key_id_t *out)
{
    psa_key_attributes_t attributes = PSA_KEY_ATTRIBUTES_INIT;
    psa_status_t status = psa_crypto_init();

    *out = PSA_KEY_ID_NULL;
    if (status != PSA_SUCCESS)
        return status;
    psa_set_key_type(&attributes, type);
    psa_set_key_algorithm(&attributes, algorithm);
    psa_set_key_usage_flags(&attributes, usage);
    return psa_import_key(&attributes, bytes.data, bytes.size, out);
}

/* A scalar of P-256 or P-384 is out of range once in 2^32 draws or more. */
#define DRAWS_MOST 4u

int neap_psa_draw(struct crypto *crypto, psa_algorithm_t algorithm, psa_key_usage_t usage, uint8_t *scalar,
                  size_t size, psa_key_id_t *out)
{
    psa_status_t status = PSA_ERROR_INVALID_ARGUMENT;

    for (unsigned draws = 0; status == PSA_ERROR_INVALID_ARGUMENT && draws < DRAWS_MOST; draws++) {
        neap_random_bytes(&crypto->random, scalar, size);
        status = neap_psa_import(PSA_PAIR_NIST, algorithm, usage, span_of(scalar, size), out);
    }
    if (status != PSA_SUCCESS)
        neap_wipe(scalar, size);
    return neap_psa_error(status);
}

int neap_psa_public(psa_key_type_t type, struct span private_key, uint8_t *out, size_t size)
{
    psa_key_id_t key;
    size_t got = 0;
    psa_status_t status = neap_psa_import(type, PSA_ALG_ECDH, PSA_KEY_USAGE_DERIVE, private_key, &key);

    if (status == PSA_SUCCESS)
        status = psa_export_public_key(key, out, size, &got);
    psa_destroy_key(key);
    return status == PSA_SUCCESS && got != size ? NEAP_ERR_CRYPTO : neap_psa_error(status);
}

int neap_psa_agree(psa_key_type_t type, struct span private_key, struct span peer, uint8_t *secret)
{
    psa_key_id_t key;
    size_t got = 0;
    psa_status_t status = neap_psa_import(type, PSA_ALG_ECDH, PSA_KEY_USAGE_DERIVE, private_key, &key);

    if (status == PSA_SUCCESS)
        status =
            psa_raw_key_agreement(PSA_ALG_ECDH, key, peer.data, peer.size, secret, private_key.size, &got);
    psa_destroy_key(key);
    return status == PSA_SUCCESS && got != private_key.size ? NEAP_ERR_CRYPTO : neap_psa_error(status);
}
