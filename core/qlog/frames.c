/* Frames, decoded again: their fields, and of data its length. */
#include "qlog/frames.h"

#include "wire/frame.h"

#define FRAME_ROOM 2048u /* bytes that are left before another frame is written: what the longest has */
#define ACK_RANGES 32u   /* of an ACK, at most: the newest */

/* RFC 9000 §20.1, by their codes. */
static const char *const transport_errors[] = {
    "no_error",
    "internal_error",
    "connection_refused",
    "flow_control_error",
    "stream_limit_error",
    "stream_state_error",
    "final_size_error",
    "frame_encoding_error",
    "transport_parameter_error",
    "connection_id_limit_error",
    "protocol_violation",
    "invalid_token",
    "application_error",
    "crypto_buffer_exceeded",
    "key_update_error",
    "aead_limit_reached",
    "no_viable_path",
};

void neap_qlog_transport_error(struct record *r, const char *name, uint64_t code)
{
    static const char digits[] = "0123456789abcdef";

    if (code < sizeof transport_errors / sizeof transport_errors[0]) {
        neap_record_string(r, name, transport_errors[code]);
    } else if (code >= NEAP_CRYPTO_ERROR && code <= NEAP_CRYPTO_ERROR + 0xff) {
        char text[] = "crypto_error_0x1__";

        text[sizeof text - 3] = digits[code >> 4 & 15];
        text[sizeof text - 2] = digits[code & 15];
        neap_record_string(r, name, text);
    } else {
        neap_record_string(r, name, "unknown");
        neap_record_number(r, "error_code", code);
    }
}

/* RFC 9114 §8.1, from 0x100 on, as draft-ietf-quic-qlog-h3-events has them: without H3_MESSAGE_ERROR. */
static const char *const http_errors[] = {
    "http_no_error",
    "http_general_protocol_error",
    "http_internal_error",
    "http_stream_creation_error",
    "http_closed_critical_stream",
    "http_frame_unexpected",
    "http_frame_error",
    "http_excessive_load",
    "http_id_error",
    "http_settings_error",
    "http_missing_settings",
    "http_request_rejected",
    "http_request_cancelled",
    "http_request_incomplete",
    NULL,
    "http_connect_error",
    "http_version_fallback",
};

void neap_qlog_application_error(struct record *r, const char *name, uint64_t code, bool is_h3)
{
    uint64_t at = code - NEAP_H3_NO_ERROR;
    bool is_known = is_h3 && at < sizeof http_errors / sizeof http_errors[0] && http_errors[at];

    neap_record_string(r, name, is_known ? http_errors[at] : "unknown");
    if (!is_known)
        neap_record_number(r, "error_code", code);
}

static void raw(struct record *r, const char *what, uint64_t size)
{
    neap_record_open(r, "raw", '{');
    neap_record_number(r, what, size);
    neap_record_close(r, '{');
}

static void write_ack(struct record *r, const struct frame_ack *ack, unsigned exponent)
{
    struct ack_walk walk = neap_ack_walk(ack);
    uint64_t first, last,
        delay = ack->delay > (UINT64_MAX >> exponent) / 1000 ? UINT64_MAX : (ack->delay << exponent) * 1000;

    neap_record_ms(r, "ack_delay", delay);
    neap_record_open(r, "acked_ranges", '[');
    for (size_t i = 0; i < ACK_RANGES && neap_ack_next(ack, &walk, &first, &last); i++) {
        neap_record_open(r, NULL, '[');
        neap_record_number(r, NULL, first);
        if (last != first)
            neap_record_number(r, NULL, last);
        neap_record_close(r, '[');
    }
    neap_record_close(r, '[');
    if (!ack->has_ecn)
        return;
    neap_record_number(r, "ect0", ack->ect0);
    neap_record_number(r, "ect1", ack->ect1);
    neap_record_number(r, "ce", ack->ce);
}

static void write_reset(struct record *r, const struct frame_reset_stream *f, bool is_partial, bool is_h3)
{
    neap_record_number(r, "stream_id", f->id);
    neap_qlog_application_error(r, "error", f->code, is_h3);
    neap_record_number(r, "final_size", f->final_size);
    if (is_partial)
        neap_record_number(r, "reliable_size", f->reliable_size);
}

static void write_stream(struct record *r, const struct frame_stream *f)
{
    neap_record_number(r, "stream_id", f->id);
    neap_record_number(r, "offset", f->offset);
    neap_record_bool(r, "fin", f->fin);
    raw(r, "length", f->data.size);
}

static void write_new_connection_id(struct record *r, const struct frame_new_connection_id *f)
{
    neap_record_number(r, "sequence_number", f->sequence);
    neap_record_number(r, "retire_prior_to", f->retire_prior_to);
    neap_record_number(r, "connection_id_length", f->cid.size);
    neap_record_hex(r, "connection_id", f->cid.bytes, f->cid.size);
}

static void write_close(struct record *r, const struct frame_close *f, bool is_h3)
{
    neap_record_string(r, "error_space", f->is_application ? "application" : "transport");
    if (f->is_application)
        neap_qlog_application_error(r, "error", f->code, is_h3);
    else
        neap_qlog_transport_error(r, "error", f->code);
    neap_record_text(r, "reason", (const char *)f->reason.data,
                     f->reason.size < LIMIT_CLOSE_REASON ? f->reason.size : LIMIT_CLOSE_REASON);
    if (!f->is_application)
        neap_record_number(r, "trigger_frame_type", f->frame_type);
}

static const char *name_of(enum frame_kind kind)
{
    switch (kind) {
    case KIND_PADDING: return "padding";
    case KIND_PING: return "ping";
    case KIND_ACK: return "ack";
    case KIND_RESET_STREAM: return "reset_stream";
    case KIND_RESET_STREAM_AT: return "reset_stream_at";
    case KIND_STOP_SENDING: return "stop_sending";
    case KIND_CRYPTO: return "crypto";
    case KIND_NEW_TOKEN: return "new_token";
    case KIND_STREAM: return "stream";
    case KIND_MAX_DATA: return "max_data";
    case KIND_MAX_STREAM_DATA: return "max_stream_data";
    case KIND_MAX_STREAMS_BIDI:
    case KIND_MAX_STREAMS_UNI: return "max_streams";
    case KIND_DATA_BLOCKED: return "data_blocked";
    case KIND_STREAM_DATA_BLOCKED: return "stream_data_blocked";
    case KIND_STREAMS_BLOCKED_BIDI:
    case KIND_STREAMS_BLOCKED_UNI: return "streams_blocked";
    case KIND_NEW_CONNECTION_ID: return "new_connection_id";
    case KIND_RETIRE_CONNECTION_ID: return "retire_connection_id";
    case KIND_PATH_CHALLENGE: return "path_challenge";
    case KIND_PATH_RESPONSE: return "path_response";
    case KIND_CONNECTION_CLOSE:
    case KIND_CONNECTION_CLOSE_APP: return "connection_close";
    case KIND_HANDSHAKE_DONE: return "handshake_done";
    case KIND_DATAGRAM: return "datagram";
    case KIND_PATH_ACK: return "path_ack";
    case KIND_PATH_ABANDON: return "path_abandon";
    case KIND_PATH_STATUS_BACKUP: return "path_status_backup";
    case KIND_PATH_STATUS_AVAILABLE: return "path_status_available";
    case KIND_PATH_NEW_CONNECTION_ID: return "path_new_connection_id";
    case KIND_PATH_RETIRE_CONNECTION_ID: return "path_retire_connection_id";
    case KIND_MAX_PATH_ID: return "max_path_id";
    case KIND_PATHS_BLOCKED: return "paths_blocked";
    case KIND_PATH_CIDS_BLOCKED: return "path_cids_blocked";
    case KIND_IMMEDIATE_ACK:
    case KIND_ACK_FREQUENCY:
    case FRAME_KINDS: break;
    }
    return "unknown";
}

static void write_streams(struct record *r, const struct frame *f, const char *what, bool is_uni)
{
    neap_record_string(r, "stream_type", is_uni ? "unidirectional" : "bidirectional");
    neap_record_number(r, what, f->limit);
}

/* What the frame has besides its type. */
static void write_fields(struct record *r, const struct frame *f, unsigned exponent, bool is_h3)
{
    switch (f->kind) {
    case KIND_PADDING: raw(r, "payload_length", f->padding_size); break;
    case KIND_ACK: write_ack(r, &f->ack, exponent); break;
    case KIND_RESET_STREAM: write_reset(r, &f->reset_stream, false, is_h3); break;
    case KIND_RESET_STREAM_AT: write_reset(r, &f->reset_stream, true, is_h3); break;
    case KIND_STOP_SENDING:
        neap_record_number(r, "stream_id", f->stop_sending.id);
        neap_qlog_application_error(r, "error", f->stop_sending.code, is_h3);
        break;
    case KIND_CRYPTO:
        neap_record_number(r, "offset", f->crypto.offset);
        raw(r, "length", f->crypto.data.size);
        break;
    case KIND_NEW_TOKEN:
        neap_record_open(r, "token", '{');
        neap_record_string(r, "type", "resumption");
        raw(r, "length", f->token.size);
        neap_record_close(r, '{');
        break;
    case KIND_STREAM: write_stream(r, &f->stream); break;
    case KIND_MAX_DATA: neap_record_number(r, "maximum", f->limit); break;
    case KIND_DATA_BLOCKED: neap_record_number(r, "limit", f->limit); break;
    case KIND_MAX_STREAM_DATA:
    case KIND_STREAM_DATA_BLOCKED:
        neap_record_number(r, "stream_id", f->stream_limit.id);
        neap_record_number(r, f->kind == KIND_MAX_STREAM_DATA ? "maximum" : "limit", f->stream_limit.limit);
        break;
    case KIND_MAX_STREAMS_BIDI: write_streams(r, f, "maximum", false); break;
    case KIND_MAX_STREAMS_UNI: write_streams(r, f, "maximum", true); break;
    case KIND_STREAMS_BLOCKED_BIDI: write_streams(r, f, "limit", false); break;
    case KIND_STREAMS_BLOCKED_UNI: write_streams(r, f, "limit", true); break;
    case KIND_NEW_CONNECTION_ID: write_new_connection_id(r, &f->new_connection_id); break;
    case KIND_RETIRE_CONNECTION_ID: neap_record_number(r, "sequence_number", f->sequence); break;
    case KIND_PATH_CHALLENGE:
    case KIND_PATH_RESPONSE: neap_record_hex(r, "data", f->path_data, sizeof f->path_data); break;
    case KIND_CONNECTION_CLOSE:
    case KIND_CONNECTION_CLOSE_APP: write_close(r, &f->close, is_h3); break;
    case KIND_DATAGRAM: raw(r, "length", f->datagram.data.size); break;
    case KIND_PATH_ACK:
        neap_record_number(r, "path_id", f->path_id);
        write_ack(r, &f->ack, exponent);
        break;
    case KIND_PATH_ABANDON:
        neap_record_number(r, "path_id", f->path_id);
        neap_record_number(r, "error_code", f->code);
        break;
    case KIND_PATH_STATUS_BACKUP:
    case KIND_PATH_STATUS_AVAILABLE:
        neap_record_number(r, "path_id", f->path_id);
        neap_record_number(r, "path_status_sequence_number", f->sequence);
        break;
    case KIND_PATH_NEW_CONNECTION_ID:
        neap_record_number(r, "path_id", f->path_id);
        write_new_connection_id(r, &f->new_connection_id);
        break;
    case KIND_PATH_RETIRE_CONNECTION_ID:
        neap_record_number(r, "path_id", f->path_id);
        neap_record_number(r, "sequence_number", f->sequence);
        break;
    case KIND_MAX_PATH_ID:
    case KIND_PATHS_BLOCKED: neap_record_number(r, "maximum_path_id", f->path_id); break;
    case KIND_PATH_CIDS_BLOCKED:
        neap_record_number(r, "path_id", f->path_id);
        neap_record_number(r, "next_sequence_number", f->sequence);
        break;
    case KIND_IMMEDIATE_ACK:
    case KIND_ACK_FREQUENCY: neap_record_number(r, "frame_type_bytes", f->type); break;
    case KIND_PING:
    case KIND_HANDSHAKE_DONE:
    case FRAME_KINDS: break;
    }
}

void neap_qlog_frames(struct record *r, struct span payload, unsigned ack_delay_exponent, bool is_h3)
{
    struct reader reader = reader_of(payload);
    struct failure ignored = {0};
    struct frame f;

    neap_record_open(r, "frames", '[');
    while (reader_left(&reader) > 0 && record_left(r) > FRAME_ROOM) {
        /* What it cannot parse the connection refuses, too. */
        if (neap_frame_parse(&reader, &f, &ignored))
            break;
        neap_record_open(r, NULL, '{');
        neap_record_string(r, "frame_type", name_of(f.kind));
        write_fields(r, &f, ack_delay_exponent, is_h3);
        neap_record_close(r, '{');
    }
    neap_record_close(r, '[');
}
