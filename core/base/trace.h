/* Events for a tracer: one struct, a kind and plain numbers, emitted where the RFCs have an event. Off: one load and an
 * untaken branch. The tracer only looks; it may not call back. */
#ifndef NEAP_BASE_TRACE_H
#define NEAP_BASE_TRACE_H

#include <stdint.h>

enum trace_kind {
    TRACE_PACKET_SENT,
    TRACE_PACKET_RECEIVED,
    TRACE_PACKET_DROPPED,
    TRACE_PACKET_LOST,
    TRACE_METRICS,
    TRACE_KEYS_DISCARDED,
    TRACE_HANDSHAKE_STATE,
    TRACE_CLOSED,
};

struct trace_event {
    enum trace_kind kind;
    uint64_t now;
    uint8_t packet_type; /* enum neap_packet_type, or the space */
    uint64_t number, size;
    uint64_t values[4]; /* METRICS: window, in flight, smoothed RTT, PTO count; CLOSED: code */
    const char *why;    /* PACKET_DROPPED, CLOSED: static text */
};

struct tracer {
    void (*emit)(struct tracer *tracer, const struct trace_event *event);
};

#define TRACE(tracer_, ...)                                                                                            \
    do {                                                                                                               \
        if (__builtin_expect((tracer_) != NULL, 0))                                                                    \
            (tracer_)->emit((tracer_), &(struct trace_event){__VA_ARGS__});                                            \
    } while (0)

#endif
