/* SHA-256 in instructions of the CPU. */
#ifndef NEAP_CRYPTO_ACCEL_SHA256_H
#define NEAP_CRYPTO_ACCEL_SHA256_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHA256_BLOCK 64u

struct sha256 {
    uint32_t state[8];
    uint64_t size; /* bytes so far */
    uint8_t block[SHA256_BLOCK];
};

/** Whether the CPU has them and a known answer comes out; found out once. Nothing below is called without. */
bool neap_sha256_is_here(void);
void neap_sha256_start(struct sha256 *s);
void neap_sha256_update(struct sha256 *s, const uint8_t *data, size_t size);
/** The digest; *s is over, and not wiped. */
void neap_sha256_end(struct sha256 *s, uint8_t out[32]);

#endif
