/* What an AEAD and its header mask are computed with: AES-GCM by Mbed TLS or by instructions of the CPU (accel/), and
 * ChaCha20-Poly1305. An engine computes and keeps nothing; who holds expanded keys is packet_keys.c's. */
#ifndef NEAP_CRYPTO_ENGINE_H
#define NEAP_CRYPTO_ENGINE_H

#include "crypto/packet_keys.h"

#define EXPANDED_KEY_ROOM 1024u /* bytes that the largest expanded form of a key takes */
#define MASK_BLOCK 16u          /* of a sample, and of what is made of it */

/* One message to seal or open. `out` may be `in` itself. Sealed, it is CRYPTO_TAG bytes longer. AES-GCM counts the
 * blocks of a message with 32 bits from 2 on: at 64 KiB at most it cannot wrap. */
struct aead_item {
    uint8_t nonce[CRYPTO_IV];
    struct span aad;
    const uint8_t *in;
    size_t size; /* of `in` */
    uint8_t *out;
};

struct engine {
    const char *name;
    bool is_accelerated;  /* AES in CPU instructions: faster than ChaCha20, and in constant time */
    size_t expanded_size; /* <= EXPANDED_KEY_ROOM */
    /** Whether this machine can; NULL: every machine. */
    bool (*is_here)(void);
    /** Make the expanded form of a key, aligned for any type. 0 or NEAP_ERR_CRYPTO, and then it needs no clear. */
    int (*expand)(void *expanded, const struct packet_key *key);
    /** Seal messages with one key. 0 or NEAP_ERR_CRYPTO. */
    int (*seal_run)(void *expanded, const struct aead_item *items, size_t count);
    /** Open a message of at least CRYPTO_TAG bytes, the tag included. 0 or NEAP_ERR_CRYPTO; then `out` holds no
     * plaintext, and the tag stays. Those of accel/ look at the tag first and decrypt nothing that is forged. */
    int (*open)(void *expanded, const struct aead_item *item);
    /** The header protection masks of 16-byte samples (RFC 9001 §5.4): their first five bytes count. */
    int (*mask)(void *expanded, const uint8_t *const *samples, size_t count, uint8_t (*masks)[MASK_BLOCK]);
    /** Free what it holds and wipe it. */
    void (*clear)(void *expanded);
};

extern const struct engine neap_engine_mbedtls;    /* AES-GCM, everywhere */
extern const struct engine neap_engine_chachapoly; /* ChaCha20-Poly1305 of the back end */
/* AES-GCM in instructions of the CPU, where the build has them: accel/. */
extern const struct engine neap_engine_aesni, neap_engine_vaes256, neap_engine_vaes512, neap_engine_armv8;

/** The index-th engine of AES-GCM that works on this machine, the fastest first: those that the CPU and the system
 * carry, and that gave the answer that is known. NULL behind the last, which is neap_engine_mbedtls. */
const struct engine *neap_engine_at(size_t index);
/** The one of this name (NULL: of any), or else the fastest. */
const struct engine *neap_engine_choose(const char *name);

#endif
