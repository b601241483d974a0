/* Frames (RFC 9000 §19): a frame is one row of the table here, which says in which packets it may come and what it does
 * there, and beside it one struct, its parse function (frame.c), its writer (frame_write.c), its handler
 * (quic/conn_recv_frames.c) and what becomes of it when its packet is acknowledged or lost (quic/conn_fate.c). Spans
 * point into the packet. */
#ifndef NEAP_WIRE_FRAME_H
#define NEAP_WIRE_FRAME_H

#include "base/failure.h"
#include "base/reader.h"
#include "base/writer.h"
#include "neap.h"

/* What a frame may and does (RFC 9000 §12.4, table 3). */
enum frame_rule {
    IN_INITIAL = 1 << 0,
    IN_EARLY = 1 << 1, /* 0-RTT */
    IN_HANDSHAKE = 1 << 2,
    IN_ONE_RTT = 1 << 3,
    ELICITS = 1 << 4,        /* ack-eliciting */
    IN_FLIGHT = 1 << 5,      /* counts toward bytes in flight */
    PROBING = 1 << 6,        /* RFC 9000 §9.1 */
    ONLY_TO_CLIENT = 1 << 7, /* only a server sends it: NEW_TOKEN, HANDSHAKE_DONE */
    TWICE =
        1
        << 8, /* may be processed twice: its packet may be refused afterwards, not acknowledged, and come again.
                       Frames without it wait until their packet cannot be refused any more */

    EVERYWHERE = IN_INITIAL | IN_EARLY | IN_HANDSHAKE | IN_ONE_RTT,
    NOT_EARLY = IN_INITIAL | IN_HANDSHAKE | IN_ONE_RTT,
    APPLICATION = IN_EARLY | IN_ONE_RTT,
    ORDINARY = ELICITS | IN_FLIGHT | TWICE,
};

/* The frame table. Name; first and last type; what it holds (parse_… in frame.c); its handler (on_… in
 * quic/conn_recv_frames.c; what nobody needs to know has `nothing`); its fate (…_acked and …_lost in quic/conn_fate.c;
 * `nothing` is never sent again); rules. A function that is missing does not compile, nor do two rows that share a type.
 *
 * IMMEDIATE_ACK and ACK_FREQUENCY are those of draft-ietf-quic-ack-frequency-14, RESET_STREAM_AT that of
 * draft-ietf-quic-reliable-stream-reset. PATH_ACK and the rows from PATH_ABANDON on are those of
 * draft-ietf-quic-multipath, by the types that it suggests to IANA.
 *
 * RETIRE_CONNECTION_ID cannot be sent in 0-RTT (RFC 9000 §12.5), whatever table 3 says. CONNECTION_CLOSE is not in
 * flight: RFC 9002 §2 counts what elicits an acknowledgement or holds PADDING. A PATH_CHALLENGE has one answer (RFC 9000
 * §8.2.2). A DATAGRAM (RFC 9221) is told once. */
#define FRAME_LIST(X)                                                                                      \
    X(PADDING, 0x00, 0x00, padding, nothing, nothing, EVERYWHERE | IN_FLIGHT | PROBING | TWICE)            \
    X(PING, 0x01, 0x01, nothing, nothing, nothing, EVERYWHERE | ORDINARY)                                  \
    X(ACK, 0x02, 0x03, ack, ack, ack, NOT_EARLY | TWICE)                                                   \
    X(RESET_STREAM, 0x04, 0x04, reset_stream, reset_stream, streams, APPLICATION | ORDINARY)               \
    X(STOP_SENDING, 0x05, 0x05, stop_sending, stop_sending, streams, APPLICATION | ORDINARY)               \
    X(CRYPTO, 0x06, 0x06, crypto, crypto, crypto, NOT_EARLY | ORDINARY)                                    \
    X(NEW_TOKEN, 0x07, 0x07, token, new_token, new_token, IN_ONE_RTT | ORDINARY | ONLY_TO_CLIENT)          \
    X(STREAM, 0x08, 0x0f, stream, stream, streams, APPLICATION | ORDINARY)                                 \
    X(MAX_DATA, 0x10, 0x10, limit, max_data, streams, APPLICATION | ORDINARY)                              \
    X(MAX_STREAM_DATA, 0x11, 0x11, stream_limit, max_stream_data, streams, APPLICATION | ORDINARY)         \
    X(MAX_STREAMS_BIDI, 0x12, 0x12, streams_limit, max_streams, streams, APPLICATION | ORDINARY)           \
    X(MAX_STREAMS_UNI, 0x13, 0x13, streams_limit, max_streams, streams, APPLICATION | ORDINARY)            \
    X(DATA_BLOCKED, 0x14, 0x14, limit, data_blocked, streams, APPLICATION | ORDINARY)                      \
    X(STREAM_DATA_BLOCKED, 0x15, 0x15, stream_limit, stream_data_blocked, streams, APPLICATION | ORDINARY) \
    X(STREAMS_BLOCKED_BIDI, 0x16, 0x16, streams_limit, streams_blocked, streams, APPLICATION | ORDINARY)   \
    X(STREAMS_BLOCKED_UNI, 0x17, 0x17, streams_limit, streams_blocked, streams, APPLICATION | ORDINARY)    \
    X(NEW_CONNECTION_ID, 0x18, 0x18, new_connection_id, new_connection_id, new_connection_id,              \
      APPLICATION | ORDINARY | PROBING)                                                                    \
    X(RETIRE_CONNECTION_ID, 0x19, 0x19, sequence, retire_connection_id, retire_connection_id,              \
      IN_ONE_RTT | ORDINARY)                                                                               \
    X(PATH_CHALLENGE, 0x1a, 0x1a, path_data, path_challenge, nothing,                                      \
      APPLICATION | ELICITS | IN_FLIGHT | PROBING)                                                         \
    X(PATH_RESPONSE, 0x1b, 0x1b, path_data, path_response, nothing, IN_ONE_RTT | ORDINARY | PROBING)       \
    X(CONNECTION_CLOSE, 0x1c, 0x1c, close, close, nothing, EVERYWHERE | TWICE)                             \
    X(CONNECTION_CLOSE_APP, 0x1d, 0x1d, close, close, nothing, APPLICATION | TWICE)                        \
    X(HANDSHAKE_DONE, 0x1e, 0x1e, nothing, handshake_done, handshake_done,                                 \
      IN_ONE_RTT | ORDINARY | ONLY_TO_CLIENT)                                                              \
    X(IMMEDIATE_ACK, 0x1f, 0x1f, nothing, immediate_ack, nothing, IN_ONE_RTT | ORDINARY)                   \
    X(RESET_STREAM_AT, 0x24, 0x24, reset_stream_at, reset_stream_at, streams, APPLICATION | ORDINARY)      \
    X(DATAGRAM, 0x30, 0x31, datagram, datagram, datagram, APPLICATION | ELICITS | IN_FLIGHT)               \
    X(PATH_ACK, 0x3e, 0x3f, path_ack, path_ack, path, IN_ONE_RTT | TWICE)                                  \
    X(ACK_FREQUENCY, 0xaf, 0xaf, ack_frequency, ack_frequency, ack_frequency, IN_ONE_RTT | ORDINARY)       \
    X(PATH_ABANDON, 0x3e75, 0x3e75, path_code, path_frame, path, IN_ONE_RTT | ORDINARY)                    \
    X(PATH_STATUS_BACKUP, 0x3e76, 0x3e76, path_sequence, path_frame, path, IN_ONE_RTT | ORDINARY)          \
    X(PATH_STATUS_AVAILABLE, 0x3e77, 0x3e77, path_sequence, path_frame, path, IN_ONE_RTT | ORDINARY)       \
    X(PATH_NEW_CONNECTION_ID, 0x3e78, 0x3e78, path_new_connection_id, path_frame, path,                    \
      IN_ONE_RTT | ORDINARY | PROBING)                                                                     \
    X(PATH_RETIRE_CONNECTION_ID, 0x3e79, 0x3e79, path_sequence, path_frame, path, IN_ONE_RTT | ORDINARY)   \
    X(MAX_PATH_ID, 0x3e7a, 0x3e7a, path_id, path_frame, path, IN_ONE_RTT | ORDINARY)                       \
    X(PATHS_BLOCKED, 0x3e7b, 0x3e7b, path_id, path_frame, nothing, IN_ONE_RTT | ORDINARY)                  \
    X(PATH_CIDS_BLOCKED, 0x3e7c, 0x3e7c, path_sequence, path_frame, nothing, IN_ONE_RTT | ORDINARY)

enum frame_type {
#define X(name, first, last, fields, handler, fate, rules) FRAME_##name = first,
    FRAME_LIST(X)
#undef X
        FRAME_ACK_ECN = 0x03,
    FRAME_PATH_ACK_ECN = 0x3f,
};

/* The row of a frame: what is asked and stored where the type is long and has flags in it. */
enum frame_kind {
#define X(name, first, last, fields, handler, fate, rules) KIND_##name,
    FRAME_LIST(X)
#undef X
        FRAME_KINDS /* an unknown type */
};

#define DATAGRAM_LEN 0x01u
#define STREAM_BITS 0x07u
#define STREAM_FIN 0x01u
#define STREAM_LEN 0x02u
#define STREAM_OFF 0x04u

/** The row of a type; FRAME_KINDS for an unknown one. */
enum frame_kind neap_frame_kind(uint64_t type);
/** The rules of a row; 0 for FRAME_KINDS. */
unsigned neap_frame_rules(enum frame_kind kind);

/* A frame that was sent, as it is remembered until its fate is known. What the members mean is of its kind. */
struct sent_frame {
    uint8_t kind; /* enum frame_kind */
    bool fin;
    uint16_t size;
    bool is_copy; /* of a STREAM frame that is in flight on another path: it is not for this one to be lost */
    uint64_t id;  /* stream, sequence number; of an ACK the largest number in it */
    uint64_t offset; /* of data; of MAX_* and *_BLOCKED the limit; of PATH_* the path ID */
};

struct frame_ack {
    uint64_t largest, delay; /* delay as on the wire, before the exponent */
    uint64_t first_range, range_count;
    struct span ranges; /* range_count pairs of gap and length, already checked: iterate with neap_ack_next */
    bool has_ecn;
    uint64_t ect0, ect1, ce;
};

struct frame_stream {
    uint64_t id, offset;
    struct span data;
    bool fin;
};

struct frame_crypto {
    uint64_t offset;
    struct span data;
};

struct frame_reset_stream {
    uint64_t id, code, final_size;
    uint64_t reliable_size; /* of RESET_STREAM_AT (draft-ietf-quic-reliable-stream-reset); 0 */
};

struct frame_stop_sending {
    uint64_t id, code;
};

struct frame_new_connection_id {
    uint64_t sequence, retire_prior_to;
    neap_cid cid;
    uint8_t token[16];
};

struct frame_ack_frequency {
    uint64_t sequence;
    uint64_t threshold;    /* ack-eliciting packets that may come without an ACK */
    uint64_t max_delay_us; /* that one may wait */
    uint64_t reordering;   /* how far behind a missing packet makes an ACK due; 0: it does not */
};

struct frame_datagram {
    struct span data;
    uint64_t size; /* of the whole frame, as it came (RFC 9221 §3) */
};

struct frame_close {
    bool is_application;
    uint64_t code, frame_type;
    struct span reason;
};

struct frame {
    uint64_t type; /* as on the wire, with its flags */
    enum frame_kind kind;
    uint64_t
        path_id; /* of the frames of draft-ietf-quic-multipath, which have the fields below as well: PATH_ACK those of ACK, … */
    union {
        uint64_t padding_size; /* a run of PADDING is one frame */
        struct frame_ack ack;
        struct frame_reset_stream reset_stream;
        struct frame_stop_sending stop_sending;
        struct frame_crypto crypto;
        struct span token; /* NEW_TOKEN */
        struct frame_stream stream;
        uint64_t limit; /* MAX_DATA, MAX_STREAMS, DATA_BLOCKED, STREAMS_BLOCKED */
        struct {
            uint64_t id, limit;
        } stream_limit; /* MAX_STREAM_DATA, STREAM_DATA_BLOCKED */
        struct frame_new_connection_id new_connection_id;
        uint64_t sequence;    /* RETIRE_CONNECTION_ID, PATH_STATUS_*, PATH_CIDS_BLOCKED */
        uint64_t code;        /* PATH_ABANDON */
        uint8_t path_data[8]; /* PATH_CHALLENGE, PATH_RESPONSE */
        struct frame_close close;
        struct frame_ack_frequency ack_frequency;
        struct frame_datagram datagram;
    };
};

/** Parse the next frame. 0, or FRAME_ENCODING_ERROR for an unknown type, a type not in its shortest form
 * (PROTOCOL_VIOLATION may be used there), short fields, limits above 2^60, an offset past 2^62-1, a connection ID
 * of 0 or more than 20 bytes, retire_prior_to > sequence, an empty NEW_TOKEN, ACK ranges below zero. All value checks
 * that need no connection are made here. */
int neap_frame_parse(struct reader *r, struct frame *out, struct failure *why);

/* Walks the ranges of an ACK from the largest down: [first, last] inclusive. */
struct ack_walk {
    struct reader r;
    uint64_t smallest;
    uint64_t left;
    bool started;
};
struct ack_walk neap_ack_walk(const struct frame_ack *ack);
bool neap_ack_next(const struct frame_ack *ack, struct ack_walk *walk, uint64_t *first, uint64_t *last);

/* Writers: each writes its type and fields; w->full tells when there was no room (the caller rewinds). */
struct range;
/** `ranges` ascending half-open, `count` >= 1; the last is the one with the largest number. Writes as many as fit of
 * the newest; NULL ecn: plain ACK, else the three counts. */
void neap_write_ack(struct writer *w, const struct range *ranges, size_t count, uint64_t delay,
                    const uint64_t *ecn);
/** The same as PATH_ACK. */
void neap_write_path_ack(struct writer *w, uint64_t path_id, const struct range *ranges, size_t count,
                         uint64_t delay, const uint64_t *ecn);
void neap_write_padding(struct writer *w, size_t size);
void neap_write_ping(struct writer *w);
void neap_write_reset_stream(struct writer *w, uint64_t id, uint64_t code, uint64_t final_size);
void neap_write_reset_stream_at(struct writer *w, const struct frame_reset_stream *f);
void neap_write_stop_sending(struct writer *w, uint64_t id, uint64_t code);
/** Header only: data is copied behind it by the caller. Bytes the header takes: neap_crypto_header_size. */
void neap_write_crypto_header(struct writer *w, uint64_t offset, size_t size);
size_t neap_crypto_header_size(uint64_t offset, size_t size);
void neap_write_new_token(struct writer *w, struct span token);
/** Header with LEN always set; data follows. */
void neap_write_stream_header(struct writer *w, uint64_t id, uint64_t offset, size_t size, bool fin);
size_t neap_stream_header_size(uint64_t id, uint64_t offset, size_t size);
/** MAX_DATA, MAX_STREAMS_*, DATA_BLOCKED, STREAMS_BLOCKED_*, RETIRE_CONNECTION_ID, MAX_PATH_ID, PATHS_BLOCKED: a type
 * and one number. */
void neap_write_number(struct writer *w, enum frame_type type, uint64_t value);
/** MAX_STREAM_DATA, STREAM_DATA_BLOCKED; with a path ID and the number behind it PATH_ABANDON, PATH_STATUS_*,
 * PATH_RETIRE_CONNECTION_ID, PATH_CIDS_BLOCKED. */
void neap_write_stream_number(struct writer *w, enum frame_type type, uint64_t id, uint64_t value);
void neap_write_new_connection_id(struct writer *w, const struct frame_new_connection_id *f);
/** PATH_NEW_CONNECTION_ID. */
void neap_write_path_new_connection_id(struct writer *w, uint64_t path_id,
                                       const struct frame_new_connection_id *f);
/** PATH_CHALLENGE or PATH_RESPONSE. */
void neap_write_path(struct writer *w, enum frame_type type, const uint8_t data[8]);
/** The reason is cut to what fits. */
void neap_write_close(struct writer *w, const struct frame_close *f);
void neap_write_handshake_done(struct writer *w);
void neap_write_immediate_ack(struct writer *w);
/** With its length: 1 + varint_size(data.size) + data.size bytes. */
void neap_write_datagram(struct writer *w, struct span data);
void neap_write_ack_frequency(struct writer *w, const struct frame_ack_frequency *f);

#endif
