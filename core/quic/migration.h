/* What a connection has only once more than one path comes into question: a block of its own, made when it is needed. */
#ifndef NEAP_QUIC_MIGRATION_H
#define NEAP_QUIC_MIGRATION_H

#include "quic/conn.h"

/* What became of a path, for the application. */
struct path_event {
    neap_address local, peer;
    uint64_t code;    /* of PATH_ABANDON */
    uint32_t path_id; /* of draft-ietf-quic-multipath; else 0 */
    uint8_t kind;     /* enum neap_path_event_kind */
};

struct migration {
    /* Of the server, as a client heard of them (RFC 9000 §9.6); family 0: none, or it is not used. */
    neap_address preferred_v4, preferred_v6;
    struct path_event events[LIMIT_PATH_EVENTS]; /* a ring */
    uint8_t first_event, event_count;
    bool uses_preferred; /* a client has moved to one of them */
    uint64_t events_lost;
    neap_time begun_at;          /* the time of the connection when the application last began a path */
    neap_time additions_until;   /* bounds how often new addresses get a path, */
    neap_time changes_until;     /* and how often one is followed before it is proved, */
    neap_time repetitions_until; /* and how often a packet that was here already begins one */
    uint8_t unproved_changes;    /* how often it was followed since an address of its was proved */
    uint8_t repetitions_passed;  /* that began no path since one was drawn that does */
    uint8_t repetitions_to_skip; /* until the one that was drawn */
    bool has_drawn_repetition;
    struct path_traffic traffic[LIMIT_PATHS];
    struct path_counters former; /* of paths that are gone */
    neap_conn *conn;
    struct map_node resets[LIMIT_PATHS]; /* as endpoint_entry.reset, of all but the first path */
};

/** The block, made now if it is not there, and always before a second path is: NULL without memory. */
struct migration *neap_conn_need_migration(neap_conn *c);
void neap_conn_free_migration(neap_conn *c);
/** Leave word of a path for the application. Without memory it is not told. */
void neap_conn_note_path(neap_conn *c, const struct path *path, enum neap_path_event_kind kind);

/** The same of one that is abandoned, with the code of why. */
void neap_conn_note_closed(neap_conn *c, const struct path *path, uint64_t code);
/** Ask the peer there, from the next call on, which has the time. */
void neap_conn_begin_path(neap_conn *c, struct path *path);

/** Time is known again: what the application began since begins now. */
void neap_conn_begin_paths(neap_conn *c);

/** A client: the server's preferred addresses came. */
void neap_conn_take_preferred(neap_conn *c, const struct preferred_address *preferred);
/** A client's handshake is confirmed: ask the server at its preferred address (RFC 9000 §9.6.2). */
void neap_conn_try_preferred(neap_conn *c);
/** A server: put its preferred addresses into its parameters, with a connection ID and its token (§9.6.1). */
void neap_conn_announce_preferred(const neap_conn *c, struct transport_params *p);
/** The connection ID that goes with them, of sequence number 1. */
void neap_conn_issue_preferred_id(neap_conn *c, const neap_cid *cid);
/** A server: whether a packet that is the newest came where the client was before it went to the preferred address, and is
 * to be dropped (§9.6.2). */
bool neap_conn_is_left(const neap_conn *c, const neap_address *local);

/** A path that we chose is proved: go there, if that was asked for. */
void neap_conn_chosen_is_proved(neap_conn *c, struct path *path);
/** The validation of a path that we chose is over without an answer. */
void neap_conn_chosen_failed(neap_conn *c, struct path *path);

#endif
