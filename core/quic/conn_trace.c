/* Telling a tracer what was offered, and what streams do. */
#include "quic/conn_trace.h"

static void trace_params(neap_conn *c, const struct transport_params *p, enum neap_trace_whose whose)
{
    uint8_t room[LIMIT_TLS_PARAMETERS];
    struct writer w = writer_of(room, sizeof room);

    neap_params_write(&w, p, whose == NEAP_TRACE_OURS ? c->is_server : !c->is_server, 0);
    if (!w.full)
        TRACE(c->tracer, .conn = c, .kind = NEAP_TRACE_PARAMETERS, .now = c->now, .payload = room,
              .payload_size = writer_size(&w), .values = {(uint64_t)whose});
}

void neap_conn_trace_offer(neap_conn *c)
{
    uint8_t versions[LIMIT_VERSIONS * VERSION_SIZE];
    struct writer w = writer_of(versions, sizeof versions);

    for (size_t i = 0; i < c->config->version_count; i++)
        write_u32(&w, c->config->versions[i]);
    TRACE(c->tracer, .conn = c, .kind = NEAP_TRACE_VERSIONS, .now = c->now, .payload = versions,
          .payload_size = writer_size(&w), .values = {NEAP_TRACE_OURS});
    TRACE(c->tracer, .conn = c, .kind = NEAP_TRACE_ALPNS, .now = c->now, .payload = c->config->tls.alpn,
          .payload_size = c->config->tls.alpn_size);
    struct transport_params p = neap_conn_params(c);
    trace_params(c, &p, NEAP_TRACE_OURS);
    if (c->is_server || !c->handshake->offer)
        return;
    p = neap_conn_remembered_params(c->handshake->offer->limits);
    trace_params(c, &p, NEAP_TRACE_REMEMBERED);
}

void neap_conn_trace_versions(neap_conn *c, struct span theirs)
{
    TRACE(c->tracer, .conn = c, .kind = NEAP_TRACE_VERSIONS, .now = c->now, .payload = theirs.data,
          .payload_size = theirs.size, .values = {NEAP_TRACE_PEERS});
}

static neap_conn *whose(const neap_conn *c)
{
    return (neap_conn *)(uintptr_t)c;
}

void neap_conn_trace_stream(const neap_conn *c, uint64_t id, enum neap_trace_stream state, bool is_sending)
{
    TRACE(c->tracer, .conn = whose(c), .kind = NEAP_TRACE_STREAM, .now = c->now, .number = id,
          .values = {(uint64_t)state, is_sending});
}

void neap_conn_trace_data(const neap_conn *c, uint64_t id, bool is_up, uint64_t size, bool fin)
{
    TRACE(c->tracer, .conn = whose(c), .kind = NEAP_TRACE_STREAM_DATA, .now = c->now, .number = id,
          .size = size, .values = {is_up, fin});
    if (is_up && fin)
        neap_conn_trace_stream(c, id, NEAP_TRACE_STREAM_CLOSED, false);
}

void neap_conn_trace_datagram(const neap_conn *c, bool is_up, uint64_t size)
{
    TRACE(c->tracer, .conn = whose(c), .kind = NEAP_TRACE_DATAGRAM_DATA, .now = c->now, .size = size,
          .values = {is_up});
}

void neap_conn_trace_timer(const neap_conn *c, bool has_expired)
{
    TRACE(c->tracer, .conn = whose(c), .kind = NEAP_TRACE_TIMER, .now = c->now, .number = c->recovery.timer,
          .values = {has_expired});
}
