/* Who may begin a handshake at a server: by how many began lately, from where, and how many have not ended. Handshakes
 * cost a signature each and are paid for over time: a debt in nanoseconds, for all together and for each address prefix,
 * which time pays back. One that resumes a session signs nothing, and gets most of it back; a dear key exchange and the
 * certificates of a client are owed besides. And who is sent stateless resets. All of it is of one size, whoever asks. */
#ifndef NEAP_QUIC_ADMISSION_H
#define NEAP_QUIC_ADMISSION_H

#include "base/limits.h"
#include "base/map.h"
#include "neap.h"

/* Prefixes of an address: a network's, IPv4 /24 and IPv6 /48, and a provider's around it, /16 and /32. */
enum admission_prefix { ADMISSION_NETWORK, ADMISSION_PROVIDER, ADMISSION_PREFIXES };

struct admission {
    uint64_t
        key[2]; /* of the hashes: who may choose addresses and connection IDs must not choose the cells */
    /* When every handshake that began is paid for. For clients without the token of a Retry more than a second's is
     * forgiven: however many came at once, it does not ask for Retry for long. */
    neap_time paid_at, all_paid_at;
    /* The same for prefixes. One owes what the lesser of its two cells says, so that it suffers for another only when
     * both are shared. */
    neap_time prefixes_paid_at[ADMISSION_PREFIXES][2][LIMIT_ADMISSION_CELLS];
    /* First destinations that begin nothing more. */
    struct {
        uint64_t hash;
        neap_time until;
    } spent[LIMIT_SPENT_DESTINATIONS];
    /* Stateless resets since then. */
    neap_time reset_second;
    uint16_t resets, resets_of_network[LIMIT_RESET_NETWORKS];
};

enum admission_says {
    ADMISSION_BEGIN,
    ADMISSION_RETRY,  /* the address is to be proved first */
    ADMISSION_LATER,  /* drop it as a network would: it comes again */
    ADMISSION_REFUSE, /* CONNECTION_REFUSED */
    ADMISSION_WAIT,   /* the application decides later; never said here */
};

/* What one handshake has added to the debts: less than its cost where they were as large as they get. */
struct admission_charge {
    neap_time cost; /* 0: nothing was added, or it was given back */
    neap_time paid, all_paid, prefixes[ADMISSION_PREFIXES][2];
};

/** What to do with the Initial of a new connection. `validated`: it has the token of a Retry. `rate`: handshakes in a
 * second that the server is to begin, 0 for any number. `half_open`: connections in handshake. Nothing changes. */
enum admission_says neap_admission_ask(const struct admission *a, const neap_address *peer, bool validated,
                                       uint64_t rate, uint64_t half_open, neap_time now);
/** A handshake began. Returns what it owes. */
struct admission_charge neap_admission_begun(struct admission *a, const neap_address *peer, uint64_t rate,
                                             neap_time now);
/** A handshake of this peer resumes a session: of its charge a tenth is left, and not less than `least` nanoseconds, what all
 * of it but the signature costs. The rest is given back, once. */
void neap_admission_resumed(struct admission *a, const neap_address *peer, struct admission_charge *charge,
                            neap_time least, neap_time now);

/** This peer had the server work so many nanoseconds more than handshakes take that are like any other. */
void neap_admission_worked(struct admission *a, const neap_address *peer, uint64_t rate, neap_time cost,
                           neap_time now);

/** Whether a stateless reset may go to this address (RFC 9000 §10.3.3, §21.11); it counts then. So many a second, and so many
 * to a network, lest one has those of all. */
bool neap_admission_reset(struct admission *a, const neap_address *peer, neap_time now);
/** The hash under which the connection is remembered whose first Initial had this destination. */
uint64_t neap_admission_hash(const struct admission *a, struct span dcid);
/** A connection began with the token of a Retry, or is gone after its handshake. Its first packet may still come, late or
 * again: for LIMIT_SPENT_SECONDS, longer than such a token lives, or until another takes the place, it begins no second
 * one. */
void neap_admission_spend(struct admission *a, uint64_t hash, neap_time now);
bool neap_admission_is_spent(const struct admission *a, uint64_t hash, neap_time now);

#endif
