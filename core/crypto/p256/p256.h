/* ECDSA (FIPS 186-5) and ECDH (SP 800-56A) over P-256. What is computed with a secret takes the same way whatever it is, and leaves
 * nothing of it on the stack. */
#ifndef NEAP_CRYPTO_P256_P256_H
#define NEAP_CRYPTO_P256_P256_H

#include "crypto/p256/point.h"

#ifdef HAVE_P256

/** Whether bytes are a private key: 0 < d < n. */
bool neap_p256_is_key(const uint8_t key[NUMBER_SIZE]);
/** The public key of a private one. */
void neap_p256_public(const uint8_t key[NUMBER_SIZE], uint8_t out[POINT_SIZE]);
/** The x coordinate of the private key times the peer's point. False for what is no point. */
bool neap_p256_shared(const uint8_t key[NUMBER_SIZE], const uint8_t peer[POINT_SIZE],
                      uint8_t secret[NUMBER_SIZE]);
/** Sign a SHA-256 digest by the nonce of RFC 6979 §3.2: r and s. */
void neap_p256_sign(const uint8_t key[NUMBER_SIZE], const uint8_t digest[32],
                    uint8_t signature[2 * NUMBER_SIZE]);
/** Whether r and s sign a digest (of any hash, its first 32 bytes) by the key that belongs to `point`. */
bool neap_p256_verify(const uint8_t point[POINT_SIZE], const uint8_t digest[32],
                      const uint8_t signature[2 * NUMBER_SIZE]);

#endif
#endif
