/* Packets in flight of one packet number space: a ring of packet records, each followed in a second ring by small frame
 * records that say what to do when it is acknowledged or lost. No allocation per packet. */
#ifndef NEAP_RECOVERY_SENT_H
#define NEAP_RECOVERY_SENT_H

#include "base/limits.h"
#include "base/range_set.h"
#include "neap.h"
#include "wire/frame.h"

struct cc_record;
struct pool;

#define PATH_NONE LIMIT_PATHS /* of a packet: its path is gone */

enum sent_fate { FATE_IN_FLIGHT, FATE_ACKED, FATE_LOST, FATE_TAKEN };

struct sent_packet {
    uint64_t number;
    neap_time at;
    uint32_t first_frame; /* running index into the frame ring */
    uint16_t frame_count;
    uint16_t size;   /* bytes in flight it stands for; 0 when not in flight */
    uint8_t fate;    /* enum sent_fate */
    uint8_t path;    /* index of the path that it took, or PATH_NONE */
    uint8_t outcome; /* once TAKEN: what it was, ACKED or LOST; TAKEN when it was just forgotten */
    bool ack_eliciting, in_flight;
    bool
        has_moved; /* its path is the same way as the one that it took: what is lost of it may be that one's */
    bool is_size_probe; /* of the path's datagram size: nobody waits for it (RFC 9000 §14.4) */
    bool is_marked : 1; /* it left with ECT(0) */
    bool is_early : 1;  /* perhaps before the peer had keys for it: lost says nothing of marks then */
};

/* Numbers declared lost lately, oldest first. */
struct sent_lost {
    struct range ranges[LIMIT_SENT_LOST_RANGES];
    uint8_t paths[LIMIT_SENT_LOST_RANGES]; /* that they took */
    uint64_t skipped[LIMIT_SENT_SKIPPED];  /* ring of numbers that were left out, but for the last one */
};

struct sent {
    struct sent_packet
        *packets; /* ring by order of sending, capacity a power of two, grown up to LIMIT_SENT_PACKETS */
    struct sent_frame *frames; /* ring, grown up to LIMIT_SENT_FRAMES */
    struct cc_record *records; /* ring beside that of the packets, where they are kept */
    /* Heads are running indices: masked by the capacity they give the slot. */
    uint32_t packet_head, packet_count, packet_capacity;
    uint32_t frame_head, frame_count, frame_capacity;
    uint64_t largest_sent;        /* UINT64_MAX: none */
    uint64_t skipped;             /* the last number left out on purpose, UINT64_MAX: none */
    uint32_t eliciting_in_flight; /* without probes of the size */
    uint32_t undecided;           /* packets marked ACKED or LOST whose fate was not taken yet */
    uint32_t scan;                /* no packet before this running index is undecided */
    uint32_t taking;              /* running index of the packet that next_fate returned last */
    bool is_taking, keeps_records;
    uint8_t non_eliciting;                           /* packets at the newest end that elicit nothing */
    uint8_t lost_count, skipped_count, skipped_next; /* of `lost` */
    struct sent_lost *lost;                          /* there with the rings */
};

void neap_sent_init(struct sent *s, bool keeps_records);
/** Make sure that one more packet with up to `frames` frames can be added. 0, NEAP_ERR_LIMIT, NEAP_ERR_NO_MEMORY:
 * then do not send. */
int neap_sent_reserve(struct sent *s, struct pool *pool, size_t frames);
/** Add a packet that was just sealed, with its frames; reserve came before, numbers ascend. Packets that are neither
 * ack-eliciting nor in flight are dropped from the ring as soon as they are behind something newer that was
 * acknowledged, and of a long row of them only the first LIMIT_SENT_NON_ELICITING - 1 and the newest are kept: true when this
 * one took another's place. */
bool neap_sent_add(struct sent *s, const struct sent_packet *packet, const struct sent_frame *frames,
                   size_t count);
/** Walk in order of sending; NULL past the end. Index 0 is the oldest. */
struct sent_packet *neap_sent_at(struct sent *s, uint32_t index);
/** What was known when a packet left; NULL where that is not kept. */
struct cc_record *neap_sent_record(const struct sent *s, const struct sent_packet *p);
/** The same of the packet that was added last, which is still there. */
struct cc_record *neap_sent_newest_record(const struct sent *s);
/** Frame `i` of a packet. */
const struct sent_frame *neap_sent_frame(const struct sent *s, const struct sent_packet *p, size_t i);
/** The next packet whose fate was decided (ACKED or LOST) and not taken yet: marks it TAKEN after return of the *next*
 * call, and frees ring space from the oldest end. NULL when none. Frames may be read until the next call. */
struct sent_packet *neap_sent_next_fate(struct sent *s, enum sent_fate *fate);
/** A number is left out on purpose, so that who acknowledges it is found out (RFC 9000 §21.4). It is remembered as long as
 * numbers from before it that were declared lost are: whoever acknowledges every gap that he sees meets one. */
void neap_sent_skip(struct sent *s, uint64_t number);
/** Whether one of [start, end) was left out. */
bool neap_sent_has_skipped(const struct sent *s, uint64_t start, uint64_t end);
/** The index of the first packet with this number or a larger one; packet_count when there is none. */
uint32_t neap_sent_lower_bound(const struct sent *s, uint64_t number);
/** Loss detection decides: ACKED or LOST for quic/ to take, or TAKEN to forget the packet without a word. It must
 * be IN_FLIGHT until now. */
void neap_sent_decide(struct sent *s, uint32_t index, enum sent_fate fate);
/* Packets of a path that were declared lost and came. */
struct sent_spurious {
    uint32_t count;
    uint32_t late;  /* of these with numbers from `floor` on */
    uint64_t floor; /* set by the caller */
    uint64_t least; /* the least number, where count is not 0 */
};

/** Add to spurious[path] what of the numbers of [start, end) was declared lost lately; they are forgotten then. */
void neap_sent_count_spurious(struct sent *s, uint64_t start, uint64_t end,
                              struct sent_spurious spurious[LIMIT_PATHS + 1]);
/** A path is gone: its packets have none from now on. */
void neap_sent_forget_path(struct sent *s, uint8_t path);
/** The numbers that were declared lost on a path are another one's from now on. */
void neap_sent_move_lost(struct sent *s, uint8_t from, uint8_t to);
/** What was declared lost is nothing that may come late. */
void neap_sent_forget_lost(struct sent *s);
/** Give the memory back when nothing is in flight and no fate is waiting: for a connection that is idle. */
void neap_sent_trim(struct sent *s, struct pool *pool);
void neap_sent_free(struct sent *s, struct pool *pool);

#endif
