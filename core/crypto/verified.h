/* Signatures in certificates that were verified before: a client meets the same servers and authorities again. What is
 * remembered is that one key signed one certificate, and nothing of what that is good for. */
#ifndef NEAP_CRYPTO_VERIFIED_H
#define NEAP_CRYPTO_VERIFIED_H

#include "crypto/certificate.h"

/* A key and a certificate that it signed, as one hash. */
struct verified_pair {
    uint8_t digest[32];
};

struct verified_pair neap_verified_pair(const struct key_info *issuer, const struct certificate *certificate);
bool neap_verified_has(const struct crypto *crypto, const struct verified_pair *pair);
/** Remember it; the oldest goes for it. Without memory nothing is remembered. */
void neap_verified_add(struct crypto *crypto, const struct verified_pair *pair);
void neap_verified_free(struct crypto *crypto);

#endif
