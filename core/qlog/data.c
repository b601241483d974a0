/* Streams, and what moves: between the application and the connection, between that and the network. */
#include "qlog/trace.h"

#define COUNT_MOST 64u /* UDP datagrams in one event, as in one burst */

void neap_qlog_stream(neap_qlog *q, const neap_trace_event *e)
{
    static const char *const states[] = {[NEAP_TRACE_STREAM_OPEN] = "open",
                                         [NEAP_TRACE_STREAM_RESET] = "reset_received",
                                         [NEAP_TRACE_STREAM_CLOSED] = "closed"};
    struct record r = neap_qlog_begin_event(q, e->now, "quic:stream_state_updated");

    neap_record_number(&r, "stream_id", e->number);
    neap_record_string(&r, "stream_type",
                       neap_stream_is_bidi(e->number) ? "bidirectional" : "unidirectional");
    neap_record_string(&r, "new", states[e->values[0]]);
    neap_record_string(&r, "stream_side", e->values[1] ? "sending" : "receiving");
    neap_qlog_end_event(q, &r);
}

static void write_way(struct record *r, bool is_up)
{
    neap_record_string(r, "from", is_up ? "transport" : "application");
    neap_record_string(r, "to", is_up ? "application" : "transport");
}

void neap_qlog_stream_data(neap_qlog *q, const neap_trace_event *e)
{
    struct record r = neap_qlog_begin_event(q, e->now, "quic:stream_data_moved");

    neap_record_number(&r, "stream_id", e->number);
    write_way(&r, e->values[0] != 0);
    if (e->values[1])
        neap_record_string(&r, "additional_info", "fin_set");
    neap_qlog_length(&r, e->size);
    neap_qlog_end_event(q, &r);
}

void neap_qlog_datagram_data(neap_qlog *q, const neap_trace_event *e)
{
    struct record r = neap_qlog_begin_event(q, e->now, "quic:datagram_data_moved");

    write_way(&r, e->values[0] != 0);
    neap_qlog_length(&r, e->size);
    neap_qlog_end_event(q, &r);
}

void neap_qlog_udp(neap_qlog *q, const neap_trace_event *e)
{
    static const char *const ecn[] = {"Not-ECT", "ECT(1)", "ECT(0)", "CE"};
    bool is_sent = e->kind == NEAP_TRACE_UDP_SENT;
    uint64_t segment = is_sent && e->number > 0 ? e->number : e->size, count = 0;
    struct record r =
        neap_qlog_begin_event(q, e->now, is_sent ? "quic:udp_datagrams_sent" : "quic:udp_datagrams_received");

    neap_record_open(&r, "raw", '[');
    for (uint64_t left = e->size; left > 0 && count < COUNT_MOST; count++) {
        uint64_t size = left < segment ? left : segment;

        neap_record_open(&r, NULL, '{');
        neap_record_number(&r, "length", size);
        neap_record_close(&r, '{');
        left -= size;
    }
    neap_record_close(&r, '[');
    neap_record_number(&r, "count", count);
    neap_record_open(&r, "ecn", '[');
    for (uint64_t i = 0; i < count; i++)
        neap_record_string(&r, NULL, ecn[e->values[0] & 3]);
    neap_record_close(&r, '[');
    neap_qlog_end_event(q, &r);
}
