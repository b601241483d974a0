/* A deterministic random bit generator: ChaCha20 keystream from a 32-byte seed, rekeyed after each block of output so
 * that earlier output cannot be computed from a later state. Equal seeds give equal bytes. */
#ifndef NEAP_BASE_RANDOM_H
#define NEAP_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct random {
    uint8_t key[32];
    uint8_t buffer[64];
    uint32_t left; /* unused bytes at the end of buffer */
};

void neap_random_seed(struct random *r, const uint8_t seed[32]);
void neap_random_bytes(struct random *r, uint8_t *out, size_t size);
uint64_t neap_random_u64(struct random *r);
/** Uniform in [0, bound); bound > 0. */
uint64_t neap_random_below(struct random *r, uint64_t bound);

/** One ChaCha20 block (RFC 8439 §2.3): also the mask of header protection (RFC 9001 §5.4.4). */
void neap_chacha20_block(const uint8_t key[32], uint32_t counter, const uint8_t nonce[12], uint8_t out[64]);

/** Overwrite `size` bytes in a way the compiler keeps. */
void neap_wipe(void *data, size_t size);

/** Equal or not, in time that depends on `size` only. */
int neap_equal_constant_time(const void *a, const void *b, size_t size);

#endif
