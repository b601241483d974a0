/* Certificates of a server by the names in them, and those that the application gave for a name, for a while. */
#ifndef NEAP_CRYPTO_IDENTITY_SET_H
#define NEAP_CRYPTO_IDENTITY_SET_H

#include "crypto/crypto.h"

struct identity_name;
struct answered_identity;

/* All zero but for the pool: none. */
struct identity_set {
    struct pool *pool;
    struct identity **list; /* in the order in which they were added */
    size_t count, capacity;
    uint8_t digest[32];          /* of the leaves of the list, in its order */
    struct identity_name *names; /* of all of them, in order */
    size_t names_count, names_capacity;
    struct answered_identity *answered; /* LIMIT_ANSWERED_IDENTITIES, or NULL before the first */
};

/** Add one, which is the set's from then on, not on failure: NEAP_ERR_LIMIT, NEAP_ERR_NO_MEMORY. */
int neap_identity_set_add(struct identity_set *set, struct identity *identity);
/** Give back all of them; the set may be used again. */
void neap_identity_set_clear(struct identity_set *set);

/* What a client asks for. */
struct identity_wish {
    const char *name;                /* SNI; "" for none, */
    struct span address;             /* then the address that it talks to: 4 or 16 bytes, or none */
    struct span schemes;             /* that it can verify: big-endian pairs */
    struct span certificate_schemes; /* … in certificates */
};
struct identity_choice {
    struct identity *identity; /* the set's; NULL: none can sign so */
    uint16_t scheme;
    bool is_named; /* it is for the name, or the address */
    bool suits;    /* its certificates are signed as the client wishes */
};
/** The certificate for a wish: one with the very name, else one with a wildcard over it, else the first that was added;
 * always one whose key can sign as the client wishes. Of those for one name some come first whose certificates are signed so,
 * then other keys before RSA, then the order of adding. */
struct identity_choice neap_identity_set_choose(const struct identity_set *set,
                                                const struct identity_wish *wish);

/** Remember what the application gave for a name until a second since 1970: a reference of its own. The one that was not
 * asked for longest goes for it. Without memory, or a known time, nothing is remembered. */
void neap_identity_set_remember(struct identity_set *set, const char *name, struct identity *identity,
                                int64_t now, int64_t until);
/** What is remembered for a name at `now`; NULL: nothing, or it is old. */
struct identity *neap_identity_set_recall(struct identity_set *set, const char *name, int64_t now);

#endif
