/* Roots that stay in their file: an index of them, and the one or two that a path needs, read when it does. */
#ifndef NEAP_CRYPTO_BUNDLE_H
#define NEAP_CRYPTO_BUNDLE_H

#include "crypto/certificate.h"

struct root_entry {
    uint8_t subject[8];    /* of SHA-256 of the whole Name */
    uint8_t digest[32];    /* SHA-256 of the DER: what is read must be what was indexed */
    uint32_t offset, size; /* of the base64 body in the file */
};

struct root_bundle {
    struct root_source source;
    struct root_entry *entries;
    size_t count, capacity;
};

/* Roots that a search has read. */
#define LOADED_ROOTS 8u
struct loaded_roots {
    struct certificate certificates[LOADED_ROOTS];
    const struct root_entry *entries[LOADED_ROOTS];
    size_t count;
};

/** Index the certificates of PEM text. As neap_trust_add; the source is the bundle's only when it gives 0. */
int neap_bundle_index(struct pool *pool, struct root_bundle *bundle, struct span text, struct failure *why);
void neap_bundle_free(struct pool *pool, struct root_bundle *bundle);
/** Whether a certificate is one of the bundle's. */
bool neap_bundle_has(const struct root_bundle *bundle, const struct certificate *certificate);
/** Read those whose subject is this Name, unless they are there: up to LOADED_ROOTS in all. What cannot be read, or is
 * something else than when it was indexed, is not there. */
void neap_bundle_load(struct pool *pool, const struct root_bundle *bundle, struct span subject,
                      struct loaded_roots *out);
void neap_loaded_roots_free(struct pool *pool, struct loaded_roots *loaded);

#endif
