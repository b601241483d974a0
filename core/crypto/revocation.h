/* Certificate revocation lists (RFC 5280 §5): read once, looked up by issuer and serial number. */
#ifndef NEAP_CRYPTO_REVOCATION_H
#define NEAP_CRYPTO_REVOCATION_H

#include "crypto/certificate.h"

/* One list. Its signature is verified when a path leads over its issuer for the first time, since only then there is a
 * key; that is remembered. */
struct revocation_list {
    struct span der;    /* all of it, the owner's */
    struct span tbs;    /* what is signed */
    struct span issuer; /* whole Name */
    struct span authority_key_id;
    struct span signature;
    struct signature_algorithm algorithm;
    int64_t this_update, next_update;
    struct span *serials; /* content of the INTEGERs, in order; views into the DER */
    size_t count;
    uint8_t signer[32];   /* SHA-256 of the key by which the signature is good, */
    uint8_t stranger[32]; /* and of the last by which it is not, until that is known */
    bool is_verified, has_stranger;
    bool is_partial; /* it has an issuingDistributionPoint: others beside it have the rest */
};

struct revocations {
    struct pool *pool;
    struct revocation_list *lists;
    size_t count, capacity;
    int64_t grace; /* seconds that a list is good for after its next update */
};

enum revocation_verdict {
    REVOCATION_NONE, /* no list says that it is revoked */
    REVOCATION_REVOKED,
    REVOCATION_STALE,   /* a list of its issuer is over, or not valid yet */
    REVOCATION_UNPROVED /* there are lists in its issuer's name, but none is signed by the issuer's key */
};

/* What is asked, and what it may cost. */
struct revocation_query {
    struct crypto *crypto;
    const struct certificate *certificate, *issuer;
    int64_t wall_clock;                 /* or TIME_UNKNOWN: every list counts as current */
    unsigned work;                      /* of one signature of the issuer's */
    unsigned *work_left;                /* is charged for a list that was tried with another key before */
    bool is_spent;                      /* out: the budget did not suffice: some list was not looked into */
    const struct revocation_list *list; /* out: the one that decided */
    /* out, for REVOCATION_NONE: when it is the verdict; the beginning is right where the time is unknown */
    struct validity validity;
};

/** What the lists say of a certificate. `revocations` may be NULL. */
enum revocation_verdict neap_revocation_check(struct revocations *revocations,
                                              struct revocation_query *query);
/** Say that a list is not one for `wall_clock`, as neap_certificate_explain does. */
int neap_revocation_explain(const struct revocation_list *list, struct crypto *crypto, int64_t wall_clock,
                            struct failure *why);
/** A digest of all lists, for fingerprints of a trust. */
void neap_revocations_hash(const struct revocations *revocations, struct hash_state *state);

#endif
