/* A deterministic random bit generator: ChaCha20 keystream from a 32-byte seed, rekeyed after each block of output so
 * that earlier output cannot be computed from a later state. Equal seeds give equal bytes. With a source it is seeded
 * again in a process that was forked, after LIMIT_RANDOM_BYTES, and after LIMIT_RANDOM_SECONDS where it is told the
 * time: two processes never draw from one state, and a state that was seen is worth little for long. */
#ifndef NEAP_BASE_RANDOM_H
#define NEAP_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct random_source {
    int (*random)(void *context, uint8_t *out, size_t size); /* 0 when filled */
    uint64_t (*generation)(void *context); /* another number in each process that has this memory */
    void *context;
};

struct random {
    uint8_t key[32];
    uint8_t buffer[64];
    uint32_t left;  /* unused bytes at the end of buffer */
    uint32_t drawn; /* bytes since it was seeded */
    int64_t seeded_at;
    uint64_t generation; /* when it was seeded */
    struct random_source source;
};

void neap_random_seed(struct random *r, const uint8_t seed[32]);
/** Where to seed from again; `wall_clock` in seconds. Without a source nothing but the seed counts. */
void neap_random_set_source(struct random *r, const struct random_source *source, int64_t wall_clock);
/** Tell the time, so that what is old is seeded again. */
void neap_random_refresh(struct random *r, int64_t wall_clock);
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
