/* Inside of an identity: what the set of them asks. */
#ifndef NEAP_CRYPTO_IDENTITY_H
#define NEAP_CRYPTO_IDENTITY_H

#include "crypto/certificate.h"

const struct certificate *neap_identity_leaf(const struct identity *identity);
/** Whether its key is RSA, with which signing takes ten times as long. */
bool neap_identity_is_rsa(const struct identity *identity);

#endif
