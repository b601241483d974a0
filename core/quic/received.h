/* Datagrams and packets on their way into a connection: what conn_recv.c hands to those who read them. */
#ifndef NEAP_QUIC_RECEIVED_H
#define NEAP_QUIC_RECEIVED_H

#include "quic/conn.h"

/* A datagram while its packets are taken out of it. */
struct arrival {
    const neap_recv_info *info;
    size_t size;       /* of the whole datagram, for the rule about Initials */
    struct path *path; /* NULL: from an address that is not known */
    bool may_keep;     /* a packet without keys may be kept for later */
    uint8_t ecn;
    neap_time waited; /* for its keys */
    const struct packet_header
        *parsed;                    /* of the packet that is next, when somebody has parsed it; NULL not */
    struct span dcid;               /* of the first packet; data NULL before */
    bool is_counted;                /* as one that came on its path */
    bool is_ours;                   /* that is one of our connection IDs, */
    uint8_t slot;                   /* of the path ID in this slot, */
    uint64_t dcid_sequence;         /* this one */
    const struct header_mask *mask; /* of that packet; NULL: not made yet */
    bool is_known; /* the packet that is next names the same, in another datagram of a train */
};

struct received { /* a packet that was opened */
    enum neap_packet_type type;
    enum space space;
    uint8_t slot; /* of its path ID */
    uint64_t number;
    struct span dcid;
    bool phase, spin;
    struct arrival *arrival;
    uint64_t dcid_sequence; /* of the connection ID of ours that it names */
    bool ack_eliciting;     /* found while its frames were read */
    bool is_newest;         /* its number is the highest so far */
    bool is_probing;        /* found likewise: nothing but probing frames (RFC 9000 §9.1) */
    bool is_refused;        /* there is no room for what is in it: not acknowledged, so that it comes again */
    bool asks_ack;          /* at once */
    bool is_noted;          /* it is among the received ones: it cannot be refused any more */
    bool has_once;          /* it has frames that wait for that */
    bool is_productive;     /* a frame in it brought anything */
    uint32_t unproductive_frames;
};

/** neap_conn_recv of a datagram of `segment` bytes (or `size`, if that is less) whose first packet has the header `first`, and of
 * those that follow it in a train of `size` bytes while they name the same connection and its handshake is over. `first` NULL:
 * nobody has parsed it, and there is no train. Returns how many bytes they have together. */
size_t neap_conn_recv_train(neap_conn *c, uint8_t *bytes, size_t size, size_t segment,
                            const struct packet_header *first, const neap_recv_info *info, neap_time now);
/** Read the frames of a packet in order: first those that may be processed twice, and in a second pass, when the packet
 * is noted, the others. On failure *frame_type is the one that failed. */
int neap_conn_recv_frames(neap_conn *c, struct received *p, struct span payload, uint64_t *frame_type,
                          struct failure *why);
/** A Retry or Version Negotiation packet came to a client. */
void neap_conn_on_retry(neap_conn *c, const struct packet_header *h, struct span packet);
void neap_conn_on_version_negotiation(neap_conn *c, const struct packet_header *h);
/** A handshake went on without a datagram: packets that waited for its keys are taken. */
void neap_conn_answered(neap_conn *c);
/** What the client of an endpoint has had us do since neap_crypto_work was `work_before` counts with its handshake. */
void neap_conn_charge(neap_conn *c, uint64_t work_before);
/** Say that a packet was dropped. */
void neap_conn_dropped(neap_conn *c, enum neap_packet_type type, size_t size, const char *why);

#endif
