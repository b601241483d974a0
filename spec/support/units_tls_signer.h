/* A signer that answers later, for specs: what core/tls has to bear of a key that lives elsewhere. */
#ifndef NEAP_SPEC_UNITS_TLS_SIGNER_H
#define NEAP_SPEC_UNITS_TLS_SIGNER_H

#include "crypto/provider.h"

/** The identity of a chain and a PEM key that answers when it was asked `later` times. NULL with *why filled. */
struct identity *unit_identity_of_late_key(struct crypto *crypto, struct span chain, struct span key,
                                           int later, struct failure *why);
#endif
