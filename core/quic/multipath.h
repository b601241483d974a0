/* Several path IDs at a time (draft-ietf-quic-multipath): a block that a connection has once both sides told that they know
 * them. Path ID 0 has what every connection has; each other one has numbers and connection IDs of its own, in a slot. A path
 * (conn.h) is of the path ID in its slot; that has more than one of them only while an address of the peer is on trial. */
#ifndef NEAP_QUIC_MULTIPATH_H
#define NEAP_QUIC_MULTIPATH_H

#include "quic/conn.h"

/* What a path ID beyond 0 has of its own. */
struct path_numbers {
    struct number_space space; /* its keys are the connection's */
    struct local_cids local_cids;
    struct peer_cids peer_cids;
};

enum path_id_stage {
    PATH_ID_VACANT,    /* the slot is free */
    PATH_ID_UNUSED,    /* connection IDs are told for it */
    PATH_ID_OPENING,   /* its path is being proved */
    PATH_ID_OPEN,      /* packets are sent on it */
    PATH_ID_ABANDONED, /* none are; what comes is acknowledged on others */
    PATH_ID_GONE,      /* routes of its connection IDs may be there still */
};

/* Up to where the packets of another path ID were repeated: conn_schedule.c. */
struct copies {
    uint64_t number;
    uint16_t frame, bytes; /* of this packet */
};

struct path_id {
    uint32_t id;
    uint8_t stage;                /* enum path_id_stage */
    bool is_backup;               /* what we told, or would have told, the peer */
    bool is_peer_backup;          /* what it told us */
    bool owes_status;             /* PATH_STATUS_* */
    bool owes_abandon;            /* PATH_ABANDON */
    bool owes_cids_blocked;       /* PATH_CIDS_BLOCKED */
    bool is_peer_gone;            /* its PATH_ABANDON came */
    bool is_abandon_acked;        /* the peer has ours */
    bool is_reaped;               /* of path ID 0, GONE: another was allowed for it */
    bool has_sent;                /* of ABANDONED: what was sent on it may be acknowledged still */
    uint64_t code;                /* of PATH_ABANDON */
    uint64_t next_status;         /* the sequence number of our next PATH_STATUS_* */
    uint64_t least_status;        /* the least that the peer's may have */
    neap_time until;              /* of ABANDONED: when its state goes; NEAP_NEVER: it is the peer's turn */
    struct path_numbers *numbers; /* NULL: of path ID 0, or VACANT */
    struct copies copied[1 + LIMIT_PATH_IDS]; /* of the path IDs in these slots */
};

struct multipath {
    uint32_t ours, theirs; /* the largest path ID that we, and the peer, let the other use */
    uint32_t first_theirs; /* its initial_max_path_id */
    uint32_t next_id;      /* the least that had no slot yet: those below without one are gone */
    bool owes;             /* some frame may be owed */
    bool owes_max_path_id, owes_paths_blocked;
    uint64_t blocked_at;                /* the limit for which PATHS_BLOCKED was sent, + 1; 0 none */
    bool is_steered;                    /* by the application, which hears of what is acknowledged or lost */
    uint8_t order_count;                /* 0: the application has not said any */
    uint32_t order[1 + LIMIT_PATH_IDS]; /* path IDs */
    struct path_id ids[1 + LIMIT_PATH_IDS];
    struct space_recovery *spaces[LIMIT_PATH_IDS]; /* recovery.more */
    struct multipath_counters {
        uint64_t opened, abandoned; /* path IDs */
        uint64_t frames_ignored;    /* of path IDs that are gone */
        uint64_t copies_sent;       /* packets that repeat others' data */
    } counters;
};

/** How many slots there are. */
static inline uint8_t conn_slots(const neap_conn *c)
{
    return c->multipath ? 1 + LIMIT_PATH_IDS : 1;
}

/** What is sent there carries this connection ID of the peer's. */
static inline const struct peer_cid *conn_peer_cid(const neap_conn *c, const struct path *path)
{
    const struct peer_cids *p =
        path->slot == 0 ? &c->peer_cids : &c->multipath->ids[path->slot].numbers->peer_cids;

    return &p->ids[path->peer_cid];
}

/** Our connection IDs of a slot; NULL: it is free. */
static inline const struct local_cids *conn_local_cids(const neap_conn *c, uint8_t slot)
{
    const struct path_numbers *n = slot ? c->multipath->ids[slot].numbers : NULL;

    return slot == 0 ? &c->local_cids : n ? &n->local_cids : NULL;
}
struct local_cids *neap_multipath_local_cids(neap_conn *c, uint8_t slot);
struct peer_cids *neap_multipath_peer_cids(neap_conn *c, uint8_t slot);

/** The path that packets of the path ID in a slot take: once that was opened. */
static inline struct path *multipath_way(const neap_conn *c, uint8_t slot)
{
    return conn_path_at(c, c->recovery.ways[slot]);
}
/** Whether packets are sent on it. */
static inline bool path_id_is_used(const struct path_id *id)
{
    return id->stage == PATH_ID_OPENING || id->stage == PATH_ID_OPEN;
}

/** The path ID in a slot. */
static inline uint32_t neap_multipath_id(const neap_conn *c, uint8_t slot)
{
    return slot == 0 ? 0 : c->multipath->ids[slot].id;
}
/** That of a space. */
static inline uint32_t neap_multipath_id_of(const neap_conn *c, enum space space)
{
    return space > SPACE_APPLICATION ? neap_multipath_id(c, (uint8_t)(space - SPACE_APPLICATION)) : 0;
}

/* ---- conn_multipath.c: path IDs and their slots */

/** What we tell in initial_max_path_id: NO_PATH_IDS when there are to be none. */
uint64_t neap_multipath_offer(const neap_conn *c);
/** The peer's parameters came: the block is there from now on if both sides know path IDs. 0, PROTOCOL_VIOLATION for a peer
 * without connection IDs, or no memory. */
int neap_multipath_begin(neap_conn *c, const struct transport_params *p, struct failure *why);
void neap_multipath_free(neap_conn *c);
/** The connection is over: what its spaces hold is given back. */
void neap_multipath_finish(neap_conn *c);
/** Slots that are gone are free once nobody finds their connection IDs. */
void neap_multipath_reap(neap_conn *c);
/** The one of ours that a packet names, of a path ID beyond 0, and its slot; NULL: there is none. */
const struct local_cid *neap_multipath_find_cid(const neap_conn *c, struct span cid, uint8_t *slot);
/** Whether this is a reset token of a connection ID that we use, of any path ID. */
bool neap_multipath_is_reset(const neap_conn *c, const uint8_t token[RESET_TOKEN_SIZE]);
/** One of our connection IDs that the peer may use. */
const neap_cid *neap_multipath_sender(const neap_conn *c);
/** Give the peer this connection ID for a path ID that wants one. */
void neap_multipath_issue_id(neap_conn *c, const neap_cid *cid);
/** The one that is neither to come nor gone; NULL: there is none. */
struct path_id *neap_multipath_known(const neap_conn *c, uint64_t path_id);
/** The path ID that a frame names; NULL in *out: it is gone. 0, PROTOCOL_VIOLATION for one past our limit, or no memory. */
int neap_multipath_find(neap_conn *c, uint64_t path_id, struct path_id **out, struct failure *why);
static inline uint8_t multipath_slot(const neap_conn *c, const struct path_id *id)
{
    return (uint8_t)(id - c->multipath->ids);
}

/* ---- conn_multipath_paths.c: the paths of path IDs, from the first packet to the last */

/** A server: a packet came with an unused path ID, or from another address: the path there, being proved from now on. NULL:
 * there is no room, or no connection ID for it. */
struct path *neap_multipath_arrival_path(neap_conn *c, const struct received *p);
/** What a packet of a path ID beyond 0 says of where the peer is. */
void neap_multipath_follow(neap_conn *c, const struct received *p);
/** The peer answered there. */
void neap_multipath_proved(neap_conn *c, struct path *path);
/** The time of a path of a path ID beyond 0 is over. */
void neap_multipath_end_path(neap_conn *c, struct path *path);
/** Send nothing more on the path ID in this slot, and say so with this code; the connection ends with the last of them. */
void neap_multipath_abandon(neap_conn *c, uint8_t slot, uint64_t code);
/** The peer abandoned it. */
void neap_multipath_on_abandon(neap_conn *c, struct path_id *id, uint64_t code);
/** Acknowledgements due for what came on an abandoned path ID; NULL: it is none. */
struct ack_state *neap_multipath_abandoned_ack(neap_conn *c, uint8_t slot);
/** When one is due for any of these, */
neap_time neap_multipath_other_ack_at(const neap_conn *c);
/** or for a path ID beyond 0 that is open. */
neap_time neap_multipath_ack_at(const neap_conn *c);
neap_time neap_multipath_timeout(const neap_conn *c);
void neap_multipath_on_timeout(neap_conn *c);
/** A probe is due in a space: whether all that follows was done here. */
bool neap_multipath_on_pto(neap_conn *c, enum space space);
/** Give back what bursts needed: false while something is in flight. */
bool neap_multipath_trim(neap_conn *c);
/** The largest PTO of those that are open. */
neap_time neap_multipath_pto(const neap_conn *c);

/* ---- conn_multipath_frames.c */

/** Whether a frame may be owed. */
static inline bool neap_multipath_owes(const neap_conn *c)
{
    return c->multipath->owes;
}
/** Write the next frame that is owed, with its record: false when there is none, or no room. */
bool neap_multipath_write(neap_conn *c, struct writer *w, struct sent_frame *out);
/** What became of a PATH_* frame; lost: whether it is said again. */
void neap_multipath_acked(neap_conn *c, const struct sent_frame *f);
bool neap_multipath_lost(neap_conn *c, const struct sent_frame *f);
/** A frame but PATH_ACK came. */
int neap_multipath_on_frame(neap_conn *c, const struct received *p, const struct frame *f,
                            struct failure *why);

/* ---- conn_schedule.c: which path the next packet takes */

/** Whether more than path ID 0 is to be thought of. */
bool neap_multipath_is_used(const neap_conn *c);
/** The paths that are open, in the order in which they are to be filled; the first *with_data of them may have data. */
size_t neap_multipath_order(neap_conn *c, struct path *out[LIMIT_PATHS], size_t *with_data);
/** The one that is best for a word that is said once. */
struct path *neap_multipath_best(neap_conn *c);
/** The sum of the congestion windows of those that are open. */
uint64_t neap_multipath_window(const neap_conn *c);

/** The least UDP payload that the path of any of these takes. */
size_t neap_multipath_least_size(const neap_conn *c);
/** Whether there is something to repeat on a path that is in flight on others. */
bool neap_multipath_has_copies(neap_conn *c, const struct path *path);
/** Write the next frame that repeats some of it. */
bool neap_multipath_copy(neap_conn *c, const struct path *path, struct writer *w, struct sent_frame *out);

#endif
