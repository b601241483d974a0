/* Of Mbed TLS 4 the PSA Crypto API: what the files beside this share. Keys are imported for a call or a run of them and
 * destroyed behind it: a library may have few places for keys. It starts with the first use; psa_crypto_init sees at once
 * that it has. */
#ifndef NEAP_CRYPTO_PSA_PSA_H
#define NEAP_CRYPTO_PSA_PSA_H

#include "crypto/backend.h"

#include <psa/crypto.h>

/* Keys of elliptic curves. */
#define PSA_PAIR_X25519 PSA_KEY_TYPE_ECC_KEY_PAIR(PSA_ECC_FAMILY_MONTGOMERY)
#define PSA_PAIR_NIST PSA_KEY_TYPE_ECC_KEY_PAIR(PSA_ECC_FAMILY_SECP_R1)

/** 0, NEAP_ERR_NO_MEMORY or NEAP_ERR_CRYPTO: what the library says, in our codes. */
int neap_psa_error(psa_status_t status);
/** A key for one algorithm, whose size follows from its bytes, for psa_destroy_key; PSA_KEY_ID_NULL without success. */
psa_status_t neap_psa_import(psa_key_type_t type, psa_algorithm_t algorithm, psa_key_usage_t usage,
                             struct span bytes, psa_key_id_t *out);

/** A private key of P-256 or P-384, as its size in bytes says, drawn from our generator and imported. 0, or
 * NEAP_ERR_NO_MEMORY or NEAP_ERR_CRYPTO: then there is no key and `scalar` is wiped. */
int neap_psa_draw(struct crypto *crypto, psa_algorithm_t algorithm, psa_key_usage_t usage, uint8_t *scalar,
                  size_t size, psa_key_id_t *out);
/** The public key of a private one for ECDH, of exactly `size` bytes. */
int neap_psa_public(psa_key_type_t type, struct span private_key, uint8_t *out, size_t size);
/** ECDH; the secret is as long as the private key. NEAP_ERR_CRYPTO for a peer's key that is none. */
int neap_psa_agree(psa_key_type_t type, struct span private_key, struct span peer, uint8_t *secret);

#endif
