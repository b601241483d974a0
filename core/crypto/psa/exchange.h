/* The rows about key exchange of Mbed TLS's table: see provider.h. */
#ifndef NEAP_CRYPTO_PSA_EXCHANGE_H
#define NEAP_CRYPTO_PSA_EXCHANGE_H

#include "crypto/backend.h"

int neap_psa_share_generate(struct crypto *crypto, struct key_share *out);
int neap_psa_share_combine(struct crypto *crypto, const struct key_share *ours, struct span peer,
                           uint8_t *secret);

#endif
