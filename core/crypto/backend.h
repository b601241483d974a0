/* Between this folder and its back ends: what mbedtls/ or psa/ and sodium/ implement and the rest builds upon. */
#ifndef NEAP_CRYPTO_BACKEND_H
#define NEAP_CRYPTO_BACKEND_H

#include "base/limits.h"
#include "crypto/crypto.h"
#include "crypto/engine.h"

/* µs of one core of a server's CPU of 2021: about what a server may take on, not what this machine does. */
struct provider_costs {
    unsigned handshake; /* a server's part without the signature, by X25519 */
    unsigned p256, p384, rsa_2048;
    unsigned share_p256, share_p384; /* what the key exchange by these groups takes more */
    unsigned verify_p256, verify_p384, verify_p521, verify_rsa_2048;
};

struct provider;
struct mlkem768;
struct verified;

struct crypto {
    struct pool *pool;
    struct random random;
    const struct engine *engine; /* of AES-GCM */
    /* A key's expanded form for the one call that needs it. */
    uint64_t scratch[EXPANDED_KEY_ROOM / sizeof(uint64_t)];
    const struct provider *provider;      /* of public-key cryptography */
    struct provider_costs costs;          /* of it */
    void *library;                        /* the provider's own */
    const struct mlkem768 *mlkem768;      /* NULL: the library has none */
    struct verified *verified;            /* see verified.h; NULL until there is one */
    uint64_t work;                        /* see neap_crypto_work */
    char explanation[LIMIT_CLOSE_REASON]; /* the last that neap_certificate_explain wrote */
};

/* ---- from Mbed TLS, in builds without libcrypto (hash.c of mbedtls/ or psa/): what neap_hash_start and the like do where the CPU
 * does not; s->hash says which. */

void neap_library_hash_start(struct hash_state *s);
void neap_library_hash_update(struct hash_state *s, struct span data);
/** The state is to be freed behind it. */
void neap_library_hash_end(struct hash_state *s, uint8_t *out);
void neap_library_hash_copy(struct hash_state *to, const struct hash_state *from);
void neap_library_hash_free(struct hash_state *s);

/* ---- from libsodium where the build has it, else from Mbed TLS (sodium/sodium.c, curve25519.c of mbedtls/ or psa/) */

/** 0, or NEAP_ERR_CRYPTO when the library cannot start. Idempotent. */
int neap_backend_start(void);
int neap_chachapoly_seal(const uint8_t key[32], const uint8_t nonce[12], struct span aad, const uint8_t *in,
                         size_t size, uint8_t *out);
int neap_chachapoly_open(const uint8_t key[32], const uint8_t nonce[12], struct span aad, const uint8_t *in,
                         size_t size, uint8_t *out);
/** The public key of a private one. */
int neap_x25519_public(struct crypto *crypto, const uint8_t private_key[32], uint8_t out[32]);
/** Both, fresh (key_share.c). */
int neap_x25519_generate(struct crypto *crypto, struct key_share *out);
/** NEAP_ERR_CRYPTO when the result is all zero (RFC 7748 §6.1). */
int neap_x25519_shared(struct crypto *crypto, const uint8_t private_key[32], const uint8_t peer[32],
                       uint8_t out[32]);
bool neap_ed25519_is_available(void);
/** The 64-byte secret (seed and public key) of a 32-byte seed. */
int neap_ed25519_expand(const uint8_t seed[32], uint8_t secret[64]);
int neap_ed25519_sign(const uint8_t secret[64], struct span message, uint8_t signature[64]);
int neap_ed25519_verify(const uint8_t public_key[32], struct span message, const uint8_t signature[64]);

/* ---- what a signature is made with; who makes and verifies it: provider.h */

enum digest { DIGEST_SHA256, DIGEST_SHA384, DIGEST_SHA512 };
enum signature_kind {
    SIGNATURE_UNKNOWN,
    SIGNATURE_RSA_PKCS1,
    SIGNATURE_RSA_PSS,
    SIGNATURE_ECDSA,
    SIGNATURE_ED25519
};
struct signature_algorithm {
    enum signature_kind kind;
    enum digest digest; /* not for Ed25519 */
};

/** The size of a message's digest, 0 when the library does not have it. From Mbed TLS. */
size_t neap_digest_message(enum digest digest, struct span message, uint8_t out[CRYPTO_MAX_DIGEST]);

#endif
