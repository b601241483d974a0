/* Connection IDs that a load balancer reads (draft-ietf-quic-load-balancers): a first octet with the configuration's
 * number, then the server's ID and a nonce, in the clear or encrypted. Both sides: the server's, that makes them, and the
 * balancer's. */
#ifndef NEAP_PATHS_QUIC_LB_H
#define NEAP_PATHS_QUIC_LB_H

#include "crypto/crypto.h"
#include "neap.h"

#define QUIC_LB_CONFIGS 8u /* what three bits tell apart */

/* A server's configuration and how far its nonces are. All zero but for the config ID is a start. */
struct quic_lb {
    neap_quic_lb config;
    uint64_t first, next; /* nonces, modulo what the lowest 8 bytes of one hold */
    bool has_begun, is_exhausted;
};

/** The size that connection IDs have at least; 1 where they are unroutable. */
static inline size_t quic_lb_size(const neap_quic_lb *config)
{
    return config->config_id == NEAP_QUIC_LB_UNROUTABLE
               ? 1
               : 1u + config->server_id_length + config->nonce_length;
}

/** Which configuration a connection ID names. */
static inline unsigned quic_lb_config_id(const neap_cid *cid)
{
    return cid->bytes[0] >> 5;
}

/** Whether the lengths are those that the draft allows. */
bool neap_quic_lb_is_valid(const neap_quic_lb *config);
/** A config and its nonces, from the beginning. */
void neap_quic_lb_start(struct quic_lb *lb, const neap_quic_lb *config);
/** Whether nonces that were used with one make the same bytes with the other: key, server and lengths are the same. */
bool neap_quic_lb_shares_nonces(const neap_quic_lb *a, const neap_quic_lb *b);
/** Nonces are numbered anew, from elsewhere: this is another process than before. */
void neap_quic_lb_restart(struct quic_lb *lb);
/** Whether what is made now names no server: there is no configuration, or all its nonces were used. */
bool neap_quic_lb_is_unroutable(const struct quic_lb *lb);
/** Nonces that are left; UINT64_MAX where they are drawn (without a key), or more than that. */
uint64_t neap_quic_lb_left(const struct quic_lb *lb);
/** Those that were taken since so many were left are free again: nobody saw them. */
void neap_quic_lb_give_back(struct quic_lb *lb, uint64_t left);
/** A connection ID of `size` bytes, quic_lb_size or more; what is more is random. 0 or NEAP_ERR_CRYPTO. */
int neap_quic_lb_make(struct quic_lb *lb, struct random *random, size_t size, neap_cid *out);
/** Write server ID and nonce behind the first octet: `out` has both lengths together. 0 or NEAP_ERR_CRYPTO. */
int neap_quic_lb_encode(const neap_quic_lb *config, const uint8_t *nonce, uint8_t *out);

#endif
