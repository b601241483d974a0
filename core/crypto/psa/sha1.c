/* SHA-1 for the names in OCSP responses: nobody has to be kept from finding two texts with one there. */
#include "crypto/ocsp.h"

#include "neap.h"

#include <psa/crypto.h>

int neap_sha1(struct span data, uint8_t out[20])
{
    size_t size;

    return psa_crypto_init() == PSA_SUCCESS &&
                   psa_hash_compute(PSA_ALG_SHA_1, data.data, data.size, out, 20, &size) == PSA_SUCCESS
               ? 0
               : NEAP_ERR_UNSUPPORTED;
}
