/* One trace, for the files of this folder: its state, and the writing of events into it. */
#ifndef NEAP_QLOG_TRACE_H
#define NEAP_QLOG_TRACE_H

#include "qlog/record.h"

#define ACKED_MOST 64u /* numbers told in one packets_acked */

struct neap_qlog {
    neap_tracer tracer;
    neap_qlog_config config;
    struct record record; /* over the room behind this: whole ones, and the one that is written */
    uint64_t written, dropped;
    neap_time began_at;
    bool is_begun, has_metrics, is_wanted;
    bool is_h3; /* error codes are HTTP/3's */
    bool spin;
    uint8_t blocked;    /* enum neap_trace_blocked that was told */
    neap_time timer_at; /* of the loss timer, as it was told */
    neap_cid cids[2];   /* that were told: the peer's, ours */
    neap_stats last;    /* what was told of metrics */
    const char *congestion_state;
    uint8_t acked_type; /* enum neap_packet_type of those in acked */
    size_t acked_count;
    neap_time acked_at;
    uint64_t acked[ACKED_MOST];
};

/** An event up to the fields of its data, and its end. What nobody wants is a record that is full from the beginning. */
struct record neap_qlog_begin_event(neap_qlog *q, neap_time now, const char *name);
void neap_qlog_end_event(neap_qlog *q, struct record *r);

/** "initiator", where a peer did it or we. */
void neap_qlog_initiator(struct record *r, bool is_peer);
/** "raw": { length = } */
void neap_qlog_length(struct record *r, uint64_t size);

/* ---- changes.c: what a connection says of itself, where it changed */

void neap_qlog_metrics(neap_qlog *q, const neap_trace_event *e);
void neap_qlog_timer(neap_qlog *q, const neap_trace_event *e);
void neap_qlog_blocked(neap_qlog *q, const neap_trace_event *e);
/** Of a packet that is sent or received. */
void neap_qlog_header_changes(neap_qlog *q, const neap_trace_event *e);

/* ---- offers.c */

void neap_qlog_parameters(neap_qlog *q, const neap_trace_event *e);
void neap_qlog_versions(neap_qlog *q, const neap_trace_event *e);
void neap_qlog_alpns(neap_qlog *q, const neap_trace_event *e);
/** What was agreed on. */
void neap_qlog_agreed(neap_qlog *q, const neap_trace_event *e);

/* ---- data.c */

void neap_qlog_stream(neap_qlog *q, const neap_trace_event *e);
void neap_qlog_stream_data(neap_qlog *q, const neap_trace_event *e);
void neap_qlog_datagram_data(neap_qlog *q, const neap_trace_event *e);
void neap_qlog_udp(neap_qlog *q, const neap_trace_event *e);

/* ---- http.c */

void neap_qlog_h3_settings(neap_qlog *q, const neap_trace_event *e);
void neap_qlog_h3_stream(neap_qlog *q, const neap_trace_event *e);
void neap_qlog_h3_priority(neap_qlog *q, const neap_trace_event *e);
void neap_qlog_h3_frame(neap_qlog *q, const neap_trace_event *e);

#endif
