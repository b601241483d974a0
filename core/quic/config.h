/* A config's inside: what connections and endpoints made with it share. Reference counted: the caller holds one
 * reference, each connection and endpoint one. */
#ifndef NEAP_QUIC_CONFIG_H
#define NEAP_QUIC_CONFIG_H

#include "base/pool.h"
#include "neap.h"
#include "paths/quic_lb.h"
#include "paths/token.h"
#include "quic/options.h"
#include "streams/streams.h"
#include "tls/tls.h"
#include "wire/header.h"

#define RESET_TOKEN_SIZE 16u
#define RESET_LEAST 21u /* RFC 9000 §10.3: bytes of the least stateless reset, and of what is taken for one */

/* How connection IDs of ours are made: by one of these, or at random. */
struct cid_scheme {
    int (*generate)(void *context, neap_cid *id);
    void *context;
    uint8_t prefix_size;
    bool has_quic_lb;
    uint8_t prefix[NEAP_MAX_CONNECTION_ID];
    struct quic_lb lb;
    /* Of earlier configurations: how far their nonces are, for when one comes back. The oldest makes room. */
    struct quic_lb left_behind[QUIC_LB_CONFIGS];
    uint8_t left_count;
    uint64_t generation; /* the process that counts the nonces */
    /* Of the last configuration with each config ID: what reset tokens of its connection IDs depend on. */
    struct {
        uint8_t size;
        uint8_t bytes[15];
    } server_ids[QUIC_LB_CONFIGS];
    neap_cid_stats stats;
};

struct neap_config {
    struct pool *pool;
    uint64_t references;
    neap_env env; /* complete: no member is NULL */
    struct crypto *crypto;
    struct tls_config tls;
    struct identity_set identities;
    struct revocations *revocations; /* NULL: no list was given */
    struct credentials *kept;        /* those before neap_config_begin_reload; NULL: none has begun */
    struct session_store sessions;   /* of its clients */
    struct psk_store psks;
    struct token_keys tokens;
    struct used_tokens used_tokens; /* of NEW_TOKEN frames, that clients showed */
    int (*use_token)(void *context, const uint8_t id[32], int64_t expires); /* NULL: the one above */
    void *use_token_context;
    struct cid_scheme cids;
    uint32_t versions[LIMIT_VERSIONS]; /* of QUIC, in order of preference */
    uint8_t version_count;
    uint64_t options[OPTIONS];
    uint64_t policy;                /* neap_config_set_policy */
    bool has_handshake_rate;        /* somebody said it, so that keys do not */
    bool has_ticket_keys;           /* of the application's, which others may have too */
    bool strikes_are_private;       /* the register of early data knows what this config took, and no more */
    void (*strike_release)(void *); /* of tls.strike_context, when it is the config's */
    struct streams_budget budget;   /* of all its connections */
    neap_bound_stats bounds;        /* but for what the budget counts */
    neap_address preferred_v4, preferred_v6; /* of its servers (RFC 9000 §9.6); family 0: none */
    void *shared;                            /* neap_conn_shared, NULL until it is asked for */
    size_t shared_size;
};

static inline uint64_t config_option(const neap_config *config, enum option which)
{
    return config->options[which];
}

/** Whether its servers have an address that clients are asked to go to. */
static inline bool config_has_preferred(const neap_config *config)
{
    return config->preferred_v4.family || config->preferred_v6.family;
}

/* ---- config_ids.c */

/** A connection ID of `size` bytes. `is_taken` (NULL: nobody) says whether somebody has it already. False when 16 in a row were
 * taken or refused. */
bool neap_config_new_cid(neap_config *config, size_t size,
                         bool (*is_taken)(void *context, const neap_cid *id), void *context, neap_cid *out);
/** How many nonces are left, for neap_config_give_cids_back: those that were taken since were shown to nobody. */
uint64_t neap_config_mark_cids(neap_config *config);
void neap_config_give_cids_back(neap_config *config, uint64_t mark);
/** Whether a connection is to have one ID at a time, and its peer not to migrate: nobody could route another, or everybody
 * could tell that it is the same connection's (draft-ietf-quic-load-balancers §3.2, §8). */
bool neap_config_has_single_ids(const neap_config *config);
/** Whether an option of this value would break the scheme. */
bool neap_config_cids_refuse_size(const neap_config *config, uint64_t size);
/** The stateless reset token of one of our connection IDs. */
void neap_config_reset_token(const neap_config *config, const neap_cid *cid, uint8_t out[RESET_TOKEN_SIZE]);

/* ---- tokens.c */

/** Seconds that tokens of NEW_TOKEN frames are good; 0: none are given or taken. */
static inline uint32_t neap_config_token_lifetime(const neap_config *config)
{
    return (uint32_t)((config_option(config, OPTION_token_lifetime) + 999) / 1000);
}

/* ---- config.c */

/** Whether it speaks this version of QUIC. */
bool neap_config_has_version(const neap_config *config, uint32_t version);
/** tls_config.choose_version of a server that prefers versions, its config (RFC 9368 §2.3). */
uint32_t neap_config_choose_version(const void *config, uint32_t version, struct span theirs, uint8_t *ours,
                                    size_t size);
/** Of HEADER_FIXED_BIT, what packets to us must have: nothing where we told that we take either (RFC 9287). */
static inline unsigned config_fixed_bit(const neap_config *config)
{
    return config_option(config, OPTION_grease) ? 0 : HEADER_FIXED_BIT;
}

/** A new config; every function of `env` is there. NULL without memory or randomness. */
neap_config *neap_config_create(const neap_env *env);
/** The same in this pool, which it takes over (NULL: there was no memory for it). */
neap_config *neap_config_create_in(struct pool *pool, const neap_env *env);
/** Compute AES-GCM with the engine of this name, if it is here. Before anything is made with the config. */
void neap_config_choose_engine(neap_config *config, const char *engine);
neap_config *neap_config_retain(neap_config *config);
/** As neap_config_set_strike with a register that is the config's from now on: `release` (NULL: it is not) frees it.
 * `is_private`: it does not know what others took who have the same ticket keys. */
void neap_config_own_strike(neap_config *config,
                            int (*strike)(void *context, const uint8_t id[32], int64_t expires),
                            void *context, void (*release)(void *context), bool is_private);
/** A connection of an endpoint goes: taken out of it and freed. */
void neap_endpoint_forget(neap_conn *conn);
/** The application left something to send: the connection's endpoint, if it has one, gives it a turn. */
void neap_conn_wake(neap_conn *conn);

/** Say to a caller who wants text (`why` may be NULL) why a `result` below 0 came, also in builds without reasons; and hand the
 * result back. */
int64_t neap_config_say(int64_t result, const struct failure *failure, const char **why);
/** A chain and its key (empty: it is elsewhere) with the config's crypto: 0 and *out, or a negative code and *why. */
int neap_config_make_identity(neap_config *config, struct span chain, struct span key, struct span response,
                              struct identity **out, const char **why);
/** Trust the roots of PEM text that stay in their file (neap_trust_add_source). */
int neap_config_add_ca_source(neap_config *config, struct span text, const struct root_source *source,
                              const char **why);
/** An external key of valid size and hash: 0, or NEAP_ERR_ARGUMENT. */
int neap_config_read_psk(struct span key, unsigned hash, struct psk_key *out);
/** Whether a client with this config would verify, but has nothing to verify with. */
bool neap_config_lacks_trust(const neap_config *config);

/** Whether a server with this config would ask clients for certificates, but has nothing to verify them with. */
bool neap_config_lacks_client_trust(const neap_config *config);

/** Whether there are revocation lists, and neither a client that verifies by roots nor roots for clients, whose certificates
 * would be held against them. */
bool neap_config_has_idle_lists(const neap_config *config);

/** neap_connect and neap_endpoint_connect for a config that is complete: the public ones see to its roots first.
 * `source` is our connection ID. */
neap_conn *neap_conn_new_client(neap_config *config, const char *server_name, const neap_address *local,
                                const neap_address *peer, const neap_cid *source, neap_time now,
                                const char **why);
/** neap_accept with the connection ID that goes with the config's preferred address, if it has one. */
neap_conn *neap_conn_new_server(neap_config *config, const neap_header *header, const neap_cid *scid,
                                const neap_cid *preferred, const neap_cid *original_dcid,
                                const neap_address *local, const neap_address *peer, neap_time now,
                                const char **why);
neap_conn *neap_endpoint_new_client(neap_endpoint *endpoint, neap_config *config, const char *server_name,
                                    const neap_address *local, const neap_address *peer, neap_time now,
                                    const char **why);
neap_config *neap_endpoint_config(const neap_endpoint *endpoint);

/** Whether a client's first packet, at the begin of `bytes`, is as it was sent: it opens with the keys of its Destination
 * Connection ID. It is opened in place. */
bool neap_initial_is_whole(neap_config *config, uint8_t *bytes, size_t size);

/** Write an Initial packet that refuses the connection of `header` with a transport error, without any state
 * (RFC 9000 §5.2.2, §8.1.2). Returns its size or a negative error. */
int64_t neap_refuse(neap_config *config, const neap_header *header, uint64_t code, uint8_t *out, size_t size);

#endif
