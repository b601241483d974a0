/* OpenSSL's libcrypto in a library context that all configs of the process share: what else the process does with OpenSSL
 * changes nothing here, nor the other way around. Every random byte comes from the generator of the config that is in a
 * call, so that equal seeds give equal bytes. */
#ifndef NEAP_CRYPTO_LIBCRYPTO_LIBRARY_H
#define NEAP_CRYPTO_LIBCRYPTO_LIBRARY_H

#include "crypto/provider.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>

struct libcrypto {
    OSSL_LIB_CTX *context; /* the process's */
    EVP_MD *digests[3];    /* by enum digest; fetched when first needed */
};

static inline struct libcrypto *libcrypto_of(const struct crypto *crypto)
{
    return crypto->library;
}

/** 0 or NEAP_ERR_CRYPTO. */
int neap_libcrypto_start(struct crypto *crypto);
void neap_libcrypto_stop(struct crypto *crypto);

/** Around every use: the randomness of what follows comes from `crypto`; what OpenSSL notes about errors goes, what the
 * process had noted before stays. */
void neap_libcrypto_enter(struct crypto *crypto);
/** `ok` as 0 or NEAP_ERR_CRYPTO. */
int neap_libcrypto_leave(bool ok);

/** A key from its parts (`selection` as EVP_PKEY_fromdata takes it), NULL on failure. */
EVP_PKEY *neap_libcrypto_key(const struct crypto *crypto, const char *type, int selection, OSSL_PARAM *parts);
/** A number as a part of a key; `room` has the size of `bytes` and is the part's as long as it is used. */
bool neap_libcrypto_number(OSSL_PARAM *out, const char *name, struct span bytes, uint8_t *room);
/** OpenSSL's name of a NIST curve. */
const char *neap_libcrypto_curve(enum key_kind kind);

/** NULL where this libcrypto has none. */
const struct mlkem768 *neap_libcrypto_mlkem768(struct crypto *crypto);
int neap_libcrypto_share_generate(struct crypto *crypto, struct key_share *out);
int neap_libcrypto_share_combine(struct crypto *crypto, const struct key_share *ours, struct span peer,
                                 uint8_t *secret);

#endif
