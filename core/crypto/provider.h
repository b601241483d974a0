/* Public-key cryptography of one library behind one table of functions: signatures, their verification, key exchange.
 * What all of them have to refuse alike is refused before they are asked (signatures.c, key_share.c). */
#ifndef NEAP_CRYPTO_PROVIDER_H
#define NEAP_CRYPTO_PROVIDER_H

#include "crypto/certificate.h"

/* Whoever signs with one private key: a library in this process. A key that is elsewhere has none: the handshake asks. */
struct signer {
    const struct signer_methods *methods;
};

struct signer_methods {
    /** Sign `message`: 0, or NEAP_ERR_CRYPTO, also for an algorithm that is not the key's. */
    int (*sign)(struct signer *signer, struct signature_algorithm algorithm, struct span message,
                struct signature *out);
    void (*free)(struct signer *signer);
};

struct provider {
    const char *name;
    struct provider_costs costs;
    /** What the library needs for one struct crypto, in crypto->library, and costs that depend on another's; 0 or NEAP_ERR_CRYPTO.
     * Either may be NULL: nothing. */
    int (*start)(struct crypto *crypto);
    void (*stop)(struct crypto *crypto);
    /** A fresh share; out->group is set, and an elliptic curve's. */
    int (*share_generate)(struct crypto *crypto, struct key_share *out);
    /** The secret from our share and the peer's key, both of the group's sizes. NEAP_ERR_CRYPTO for a point that is not
     * on the curve or an all-zero result. */
    int (*share_combine)(struct crypto *crypto, const struct key_share *ours, struct span peer,
                         uint8_t *secret);
    /** Verify an ECDSA or RSA signature by a key of the fitting kind. 0 or NEAP_ERR_CRYPTO. */
    int (*verify)(struct crypto *crypto, const struct key_info *key, struct signature_algorithm algorithm,
                  struct span message, struct span signature);
    /** A signer for the DER of an ECDSA or RSA private key: PKCS#8, SEC 1 or PKCS#1. NULL with *why filled. */
    struct signer *(*signer_new)(struct crypto *crypto, struct span der, struct failure *why);
};

/* ML-KEM-768 (FIPS 203) of a library that has it. A key is kept as the seed that it is made of. */
#define MLKEM768_SEED 64u
#define MLKEM768_KEY 1184u
#define MLKEM768_CIPHERTEXT 1088u
#define MLKEM768_SECRET 32u /* and the random message that it is made of */
struct mlkem768 {
    /** The encapsulation key of a seed. 0 or NEAP_ERR_CRYPTO, as the others. */
    int (*public_key)(struct crypto *crypto, const uint8_t seed[MLKEM768_SEED], uint8_t out[MLKEM768_KEY]);
    /** NEAP_ERR_CRYPTO for what is no encapsulation key (FIPS 203 §7.2). */
    int (*encapsulate)(struct crypto *crypto, const uint8_t key[MLKEM768_KEY],
                       const uint8_t message[MLKEM768_SECRET], uint8_t ciphertext[MLKEM768_CIPHERTEXT],
                       uint8_t secret[MLKEM768_SECRET]);
    /** A ciphertext that was made otherwise gives another secret, and no error (§6.3). */
    int (*decapsulate)(struct crypto *crypto, const uint8_t seed[MLKEM768_SEED],
                       const uint8_t ciphertext[MLKEM768_CIPHERTEXT], uint8_t secret[MLKEM768_SECRET]);
};

extern const struct provider neap_provider_mbedtls;
/* The same, with P-256 of our own; where the build has it. */
extern const struct provider neap_provider_p256;
extern const struct provider neap_provider_libcrypto; /* where the build has it */
/* The same, with X25519 from libsodium: it takes a tenth less, as no key has to become an object first. */
extern const struct provider neap_provider_libcrypto_and_sodium;

/** The providers of this build, the fastest first; NULL ends. */
extern const struct provider *const neap_providers[];
/** neap_crypto_new with one of them. */
struct crypto *neap_crypto_new_with(const struct provider *provider, struct pool *pool,
                                    const uint8_t seed[32]);

/** Verify a signature over `message`. 0, NEAP_ERR_CRYPTO, or NEAP_ERR_NO_MEMORY: nobody knows. */
int neap_signature_verify(struct crypto *crypto, const struct key_info *key,
                          struct signature_algorithm algorithm, struct span message, struct span signature);
/** A signer for a private key of any kind that the build has. NULL with *why filled. */
struct signer *neap_signer_new(struct crypto *crypto, struct span der, struct failure *why);
void neap_signer_free(struct signer *signer);
#endif
