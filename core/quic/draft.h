/* Packets that are being written: what may go into one, its frames' records, the seal. */
#ifndef NEAP_QUIC_DRAFT_H
#define NEAP_QUIC_DRAFT_H

#include "quic/conn.h"

#define PACKET_FRAMES 24u  /* frames of ours in one packet that need a record */
#define BURST_PACKETS 64u  /* packets of one burst */
#define FLIGHT_PACKETS 16u /* of these sealed in one go: while they are in the first cache */

/* Packets that are written and wait to be sealed with one key. */
struct flight {
    struct seal_packet packets[FLIGHT_PACKETS];
    size_t count;
    struct packet_key *key;
    int failed;
    bool is_marked; /* its datagrams leave with ECT(0) */
};

/* A packet being written. */
struct draft {
    struct path *path;
    enum space space;
    uint8_t *start, *payload, *length_room; /* length_room NULL: short header */
    struct writer w;                        /* ends where the tag begins at the latest */
    size_t number_size;
    uint64_t number;
    struct sent_frame frames[PACKET_FRAMES];
    size_t frame_count;
    bool has_other_ack; /* of a path ID that was abandoned */
    bool has_ack, ack_eliciting, is_in_flight, is_probe, is_size_probe, must_expand;
};

/* What may go into a datagram. */
struct allowance {
    size_t room;       /* bytes of the datagram */
    bool may_elicit;   /* congestion control and pacer have room for it */
    bool may_expand;   /* it may be padded to 1200 bytes (RFC 9000 §14.1) */
    bool is_ping_only; /* what elicits goes on another path: here only what probes this one */
};

/** Write a packet of this space at `out`: false when it has nothing to say. */
bool neap_draft_write(neap_conn *c, struct draft *d, struct path *path, enum space space, uint8_t *out,
                      size_t room, const struct allowance *allowed);
/** Write a packet with what validation owes a path that is not the active one, and nothing else. */
bool neap_draft_write_probing(neap_conn *c, struct draft *d, struct path *path, uint8_t *out, size_t room,
                              const struct allowance *allowed);
/** Write a probe of the path's size (RFC 9000 §14.4): PING and PADDING, `size` bytes in all. */
bool neap_draft_write_size_probe(neap_conn *c, struct draft *d, struct path *path, uint8_t *out, size_t size);
/** Begin a packet with its header only: false without room. */
bool neap_draft_begin(neap_conn *c, struct draft *d, struct path *path, enum space space, uint8_t *out,
                      size_t room);
/** Bytes of the packet as it stands, tag included. */
size_t neap_draft_size(const struct draft *d);
/** Make it longer with PADDING so that it has `size` bytes in all. */
void neap_draft_pad(struct draft *d, size_t size);
/** Put it into the flight: from here on it counts as sent. */
void neap_draft_commit(neap_conn *c, struct draft *d, struct flight *flight);
/** Seal everything that waits. */
int neap_flight_seal(neap_conn *c, struct flight *flight);

#endif
