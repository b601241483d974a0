/* Connection IDs (RFC 9000 §5.1): ours that the peer uses, and the peer's that we use. */
#ifndef NEAP_PATHS_CID_H
#define NEAP_PATHS_CID_H

#include "base/failure.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/pool.h"
#include "base/random.h"
#include "wire/frame.h"

/* Under which the endpoint finds the connection: it puts it into its map, and takes it out. */
struct cid_route {
    struct map_node node;
    void *owner; /* the endpoint's; NULL: it is in no map */
};

struct local_cid {
    struct cid_route route;
    uint64_t sequence;
    neap_cid cid;
    bool in_use, owes_send; /* NEW_CONNECTION_ID to be sent (again) */
    bool was_told;          /* it left, or the handshake said it */
};

/* Ours. */
struct local_cids {
    struct local_cid ids[LIMIT_LOCAL_CONNECTION_IDS_HELD];
    uint64_t next_sequence;
    uint64_t retire_prior_to; /* the peer is to retire those below */
    uint8_t peer_limit;       /* the peer's active_connection_id_limit, capped by ours */
    uint8_t cid_size;         /* 0: we use none and issue none */
    uint8_t owed;             /* how many owe a frame */
    bool wants_rotation;      /* they are to be retired again, once those are that were told last */
    bool changed;             /* some were added or retired since the owner cleared this */
    bool is_sated;            /* none was wanted, and nothing happened since that may change that */
};

struct peer_cid {
    uint64_t sequence;
    neap_cid cid;
    uint8_t token[16];
    bool in_use : 1, has_token : 1;
    bool is_active : 1; /* packets carry it, so that its reset token counts */
    bool is_left : 1;   /* no path uses it any more, and it is retired when the queue has room */
};

struct retirement {
    uint64_t sequence : 62; /* a variable-length integer */
    uint64_t sent : 1;
};

/* The peer's. */
struct peer_cids {
    struct peer_cid ids[LIMIT_PEER_CONNECTION_IDS * 2];
    uint64_t retire_prior_to;
    uint64_t newest; /* the largest sequence number */
    uint64_t seen;   /* which of the 64 up to it came: bit 0 is its own */
    struct retirement
        *retire_queue; /* RETIRE_CONNECTION_ID not acknowledged yet; NULL: none was ever retired */
    uint8_t retire_count, retire_unacked; /* of these: still to be written; written */
    uint8_t active;                       /* index of the one packets carry */
    uint8_t limit;                        /* our active_connection_id_limit */
    bool is_of_path_id;                   /* it began with none */
};

/** The first connection ID (sequence 0), chosen in the handshake. */
void neap_local_cids_init(struct local_cids *l, const neap_cid *first);
/** Whether the peer may hold one more (after the handshake), up to its limit and ours. */
bool neap_local_cids_wants(const struct local_cids *l);
/** None yet, each of `cid_size` bytes: of a path ID (draft-ietf-quic-multipath §3.2), whose first has sequence 0 too. */
void neap_local_cids_init_empty(struct local_cids *l, uint8_t cid_size, uint8_t peer_limit);
/** Whether the peer has one that it may keep. */
bool neap_local_cids_has_current(const struct local_cids *l);
/** Issue one that is wanted; returns its sequence number. The caller sees to it that nobody else behind the same address
 * has this connection ID. */
uint64_t neap_local_cids_issue(struct local_cids *l, const neap_cid *cid);
/** The peer is to retire all that it has: those that are issued from now on tell it so (RFC 9000 §5.1.2). While it has not
 * retired those that it was told before, that is for later. */
void neap_local_cids_rotate(struct local_cids *l);
/** The next NEW_CONNECTION_ID owed, but for its stateless reset token (neap_reset_token); marks it as sent. False: none. */
bool neap_local_cids_next_owed(struct local_cids *l, struct frame_new_connection_id *out);
/** Whether a NEW_CONNECTION_ID is owed. */
bool neap_local_cids_has_owed(const struct local_cids *l);
/** The oldest that the peer may still use: the source of long headers. */
const neap_cid *neap_local_cids_first(const struct local_cids *l);
/** The packet with the NEW_CONNECTION_ID of `sequence` was lost. */
void neap_local_cids_on_lost(struct local_cids *l, uint64_t sequence);
/** Whether the peer has this one, and was not told to retire it. */
bool neap_local_cids_may_keep(const struct local_cids *l, uint64_t sequence);
/** RETIRE_CONNECTION_ID came in a packet sent to `dcid`: PROTOCOL_VIOLATION for one never told or the packet's own.
 * One that was retired before is retired still. Its route stays until its owner takes it out. */
int neap_local_cids_on_retire(struct local_cids *l, uint64_t sequence, const neap_cid *dcid,
                              struct failure *why);
/** The one of ours that the peer uses here, or NULL when it may not. */
const struct local_cid *neap_local_cids_find(const struct local_cids *l, struct span cid);

/** The first connection ID (sequence 0): a client's own invention at first. `limit`: our active_connection_id_limit. */
void neap_peer_cids_init(struct peer_cids *p, const neap_cid *first, uint64_t limit);
/** None yet, as neap_local_cids_init_empty; the first that comes is the active one. */
void neap_peer_cids_init_empty(struct peer_cids *p, uint64_t limit);
/** Have room for what is retired, as neap_peer_cids_leave needs it: false without memory. */
bool neap_peer_cids_need_queue(struct peer_cids *p, struct pool *pool);
/** Give that room back: nothing is to be retired any more. */
void neap_peer_cids_free(struct peer_cids *p, struct pool *pool);
/** Whether there is an active one. */
static inline bool peer_cids_has_active(const struct peer_cids *p)
{
    return p->ids[p->active].in_use && p->ids[p->active].is_active;
}
/** Handshake: the client replaces the DCID it invented by the server's choice (RFC 9000 §7.2). */
void neap_peer_cids_replace_first(struct peer_cids *p, const neap_cid *cid);
/** The reset token of sequence 0, from the server's transport parameters. */
void neap_peer_cids_set_token(struct peer_cids *p, const uint8_t token[16]);
/** The one that packets carry. */
const neap_cid *neap_peer_cids_active(const struct peer_cids *p);
/** One that no path uses yet, for another path (RFC 9000 §9.5): its index, which counts as in use from now on, or -1.
 * With zero-length ones there is but one. */
int neap_peer_cids_take_fresh(struct peer_cids *p);
/** That of this sequence number, if it is unused still, else as neap_peer_cids_take_fresh. */
int neap_peer_cids_take(struct peer_cids *p, uint64_t sequence);
/** Nothing was sent with the one that was taken: it is fresh again. */
void neap_peer_cids_give_back(struct peer_cids *p, uint32_t index);
/** No path uses it any more: retire it, when the queue, which is there, has room again if it is full. One that is already
 * retired, or active, is left as it is. */
void neap_peer_cids_leave(struct peer_cids *p, uint32_t index);
/** NEW_CONNECTION_ID: duplicates ignored; conflicts PROTOCOL_VIOLATION; more than our limit
 * CONNECTION_ID_LIMIT_ERROR; zero-length use PROTOCOL_VIOLATION; retire_prior_to queues RETIRE_CONNECTION_ID and may
 * switch the active one; a queue past its bound CONNECTION_ID_LIMIT_ERROR; no memory for it. */
int neap_peer_cids_on_new(struct peer_cids *p, struct pool *pool, const struct frame_new_connection_id *f,
                          struct failure *why);
/** The next RETIRE_CONNECTION_ID to write. */
bool neap_peer_cids_next_retire(struct peer_cids *p, uint64_t *sequence);
void neap_peer_cids_retire_lost(struct peer_cids *p, uint64_t sequence);
void neap_peer_cids_retire_acked(struct peer_cids *p, uint64_t sequence);
/** Whether the last 16 bytes of a datagram are a reset token that the peer gave us, of a connection ID that we use
 * (constant time; only tokens that were received: RFC 9000 §10.3.1). */
bool neap_peer_cids_is_reset(const struct peer_cids *p, const uint8_t token[16]);

#endif
