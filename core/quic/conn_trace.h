/* What a tracer is told and nobody else asks for. Nothing here is called while there is none. */
#ifndef NEAP_QUIC_CONN_TRACE_H
#define NEAP_QUIC_CONN_TRACE_H

#include "quic/conn.h"

/** The transport parameters that a session remembers, and ours without the versions, while the handshake lasts. */
struct transport_params neap_conn_remembered_params(const uint64_t limits[SESSION_LIMITS]);
struct transport_params neap_conn_params(const neap_conn *c);

static inline bool conn_is_traced(const neap_conn *c)
{
    return __builtin_expect(c->tracer != NULL, 0);
}

/** Our versions, protocols and transport parameters, and a client's that it remembers of the server: before its first packet,
 * or a server's first answer. */
void neap_conn_trace_offer(neap_conn *c);
/** Versions that the peer listed. */
void neap_conn_trace_versions(neap_conn *c, struct span theirs);
void neap_conn_trace_stream(const neap_conn *c, uint64_t id, enum neap_trace_stream state, bool is_sending);
/** So many bytes of a stream went up to the application, or came down. */
void neap_conn_trace_data(const neap_conn *c, uint64_t id, bool is_up, uint64_t size, bool fin);
void neap_conn_trace_datagram(const neap_conn *c, bool is_up, uint64_t size);
/** When the loss timer is due. */
void neap_conn_trace_timer(const neap_conn *c, bool has_expired);

/** Bytes went between application and stream, or `size` is an error; `size` again. */
static inline int64_t conn_moved(const neap_conn *c, uint64_t id, bool is_up, int64_t size, bool fin)
{
    if (conn_is_traced(c) && (size > 0 || (size == 0 && fin)))
        neap_conn_trace_data(c, id, is_up, (uint64_t)size, fin);
    return size;
}

#endif
