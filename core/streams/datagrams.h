/* DATAGRAM frames of a connection (RFC 9221): what waits to be sent, by urgency, what came and no one has read, and what became of
 * those that somebody asks about. Each queue is bounded in count and bytes, and its oldest gives way. Nothing is sent
 * twice. Knows nothing of packets or the connection: quic/ hands frames in and asks for frames to write. */
#ifndef NEAP_STREAMS_DATAGRAMS_H
#define NEAP_STREAMS_DATAGRAMS_H

#include "base/list.h"
#include "streams/streams.h"

struct datagram {
    struct list_link link; /* in a datagram_queue */
    uint64_t id;           /* of ours */
    neap_time deadline;    /* of ours; NEAP_NEVER: none */
    uint16_t size;
    bool is_asked; /* ours: its fate is to be told */
    uint8_t bytes[];
};

/* A ring, its oldest first, with what it has. */
struct datagram_queue {
    struct list_link *first;
    uint32_t count;
    uint64_t bytes; /* of memory */
};

struct datagrams_config {
    uint64_t our_most;                  /* bytes of a frame that we take; 0: none */
    uint32_t send_count, receive_count; /* that wait at most, */
    uint64_t send_bytes, receive_bytes; /* and bytes of memory */
    struct streams_budget *budget;      /* outlives the datagrams; they count there as streams do */
};

struct datagrams {
    struct pool *pool;
    uint64_t peer_most;              /* bytes of a frame that the peer takes; 0: none */
    struct datagram_queue queued[8]; /* by urgency */
    uint8_t queues;                  /* a bit for each that is not empty */
    uint32_t queued_count;           /* of all of them, */
    uint64_t queued_bytes;
    neap_time next_deadline; /* none of them ends earlier; NEAP_NEVER: none ends */
    struct datagram_queue received;
    uint64_t last_id;
    struct datagrams_config config;
    neap_datagram_fate *fates; /* a ring: what is to be told */
    uint32_t fate_head, fate_count, fate_capacity;
    uint32_t asked; /* whose fate is not known yet: there is room in the ring for each */
    neap_datagram_stats counters;
};

enum datagram_result {
    DATAGRAM_WRITTEN,
    DATAGRAM_NONE,  /* of this urgency */
    DATAGRAM_WAITS, /* the next one does not fit into what is left of the packet */
};

void neap_datagrams_init(struct datagrams *d, struct pool *pool, const struct datagrams_config *config);
/** Drop all that waits, either way. */
void neap_datagrams_clear(struct datagrams *d);
void neap_datagrams_free(struct datagrams *d);
/** The peer's transport parameter: 0 and what waits to be sent is dropped. */
void neap_datagrams_set_peer_most(struct datagrams *d, uint64_t most);
/** How large a payload may be in a frame of `most` bytes: negative when there is none so small. */
int64_t neap_datagram_payload(uint64_t most);
/** The memory that one of `size` bytes takes. */
size_t neap_datagram_memory(size_t size);

/** Queue the parts as one, copied: its number; or NEAP_ERR_LIMIT (what is more urgent fills the queue, too many fates are
 * waited for, or the budget is used up) or NEAP_ERR_NO_MEMORY, and nothing has changed. */
int64_t neap_datagrams_queue(struct datagrams *d, const struct span *parts, size_t count,
                             const neap_datagram_options *options, neap_time now);

/** Whether one of this urgency, or of a lower one, waits. */
static inline bool datagrams_wait(const struct datagrams *d, unsigned urgency)
{
    return (d->queues & ((2u << urgency) - 1)) != 0;
}

/** Write the next one of this urgency or a lower one. What is over its deadline goes, and what is larger than `most` bytes,
 * which are a whole packet's. */
enum datagram_result neap_datagrams_write(struct datagrams *d, struct writer *w, unsigned urgency,
                                          size_t most, neap_time now, struct sent_frame *out);
/** Drop what is over its deadline. */
void neap_datagrams_expire(struct datagrams *d, neap_time now);

/** One came. Without memory it is dropped, or the oldest that waits. */
void neap_datagrams_on_frame(struct datagrams *d, struct span data);
/** One came for which there is no room. */
void neap_datagrams_refuse(struct datagrams *d);
/** The oldest that waits, a view that is good until the next call; false: none. */
bool neap_datagrams_peek(const struct datagrams *d, struct span *out);
/** It was used. */
void neap_datagrams_consume(struct datagrams *d);

/** What became of one that was written; `id` as it was told, 0: nobody asks. */
void neap_datagrams_on_acked(struct datagrams *d, uint64_t id);
void neap_datagrams_on_lost(struct datagrams *d, uint64_t id);
/** The next fate to tell: false when none. */
bool neap_datagrams_next_fate(struct datagrams *d, neap_datagram_fate *out);

#endif
