/* Frames (RFC 9000 §19): one struct, one parse function, one write function each, and the one table that says in which
 * packets a frame may come and whether it elicits an acknowledgement. Spans point into the packet. */
#ifndef NEAP_WIRE_FRAME_H
#define NEAP_WIRE_FRAME_H

#include "base/failure.h"
#include "base/reader.h"
#include "base/writer.h"
#include "neap.h"

enum frame_type {
    FRAME_PADDING = 0x00,
    FRAME_PING = 0x01,
    FRAME_ACK = 0x02,
    FRAME_ACK_ECN = 0x03,
    FRAME_RESET_STREAM = 0x04,
    FRAME_STOP_SENDING = 0x05,
    FRAME_CRYPTO = 0x06,
    FRAME_NEW_TOKEN = 0x07,
    FRAME_STREAM = 0x08, /* to 0x0f */
    FRAME_MAX_DATA = 0x10,
    FRAME_MAX_STREAM_DATA = 0x11,
    FRAME_MAX_STREAMS_BIDI = 0x12,
    FRAME_MAX_STREAMS_UNI = 0x13,
    FRAME_DATA_BLOCKED = 0x14,
    FRAME_STREAM_DATA_BLOCKED = 0x15,
    FRAME_STREAMS_BLOCKED_BIDI = 0x16,
    FRAME_STREAMS_BLOCKED_UNI = 0x17,
    FRAME_NEW_CONNECTION_ID = 0x18,
    FRAME_RETIRE_CONNECTION_ID = 0x19,
    FRAME_PATH_CHALLENGE = 0x1a,
    FRAME_PATH_RESPONSE = 0x1b,
    FRAME_CONNECTION_CLOSE = 0x1c,
    FRAME_CONNECTION_CLOSE_APP = 0x1d,
    FRAME_HANDSHAKE_DONE = 0x1e,
    FRAME_TYPES = 0x1f, /* one past the last of RFC 9000 */
};

#define STREAM_FIN 0x01u
#define STREAM_LEN 0x02u
#define STREAM_OFF 0x04u

/* Where a frame may come (RFC 9000 §12.4, table 3) and what it does. */
enum frame_rule {
    IN_INITIAL = 1 << 0,
    IN_EARLY = 1 << 1,
    IN_HANDSHAKE = 1 << 2,
    IN_ONE_RTT = 1 << 3,
    ELICITS = 1 << 4,        /* ack-eliciting */
    IN_FLIGHT = 1 << 5,      /* counts toward bytes in flight */
    PROBING = 1 << 6,        /* RFC 9000 §9.1 */
    ONLY_TO_CLIENT = 1 << 7, /* only a server sends it: NEW_TOKEN, HANDSHAKE_DONE */
};

/** The rules of a frame type; 0 for an unknown one. */
unsigned neap_frame_rules(uint64_t type);

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
};

struct frame_stop_sending {
    uint64_t id, code;
};

struct frame_new_connection_id {
    uint64_t sequence, retire_prior_to;
    neap_cid cid;
    uint8_t token[16];
};

struct frame_close {
    bool is_application;
    uint64_t code, frame_type;
    struct span reason;
};

struct frame {
    uint64_t type; /* as on the wire, STREAM with its bits */
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
        uint64_t sequence;    /* RETIRE_CONNECTION_ID */
        uint8_t path_data[8]; /* PATH_CHALLENGE, PATH_RESPONSE */
        struct frame_close close;
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
void neap_write_padding(struct writer *w, size_t size);
void neap_write_ping(struct writer *w);
void neap_write_reset_stream(struct writer *w, uint64_t id, uint64_t code, uint64_t final_size);
void neap_write_stop_sending(struct writer *w, uint64_t id, uint64_t code);
/** Header only: data is copied behind it by the caller. Bytes the header takes: neap_crypto_header_size. */
void neap_write_crypto_header(struct writer *w, uint64_t offset, size_t size);
size_t neap_crypto_header_size(uint64_t offset, size_t size);
void neap_write_new_token(struct writer *w, struct span token);
/** Header with LEN always set; data follows. */
void neap_write_stream_header(struct writer *w, uint64_t id, uint64_t offset, size_t size, bool fin);
size_t neap_stream_header_size(uint64_t id, uint64_t offset, size_t size);
/** MAX_DATA, MAX_STREAMS_*, DATA_BLOCKED, STREAMS_BLOCKED_*, RETIRE_CONNECTION_ID: a type and one number. */
void neap_write_number(struct writer *w, enum frame_type type, uint64_t value);
/** MAX_STREAM_DATA, STREAM_DATA_BLOCKED. */
void neap_write_stream_number(struct writer *w, enum frame_type type, uint64_t id, uint64_t value);
void neap_write_new_connection_id(struct writer *w, const struct frame_new_connection_id *f);
/** PATH_CHALLENGE or PATH_RESPONSE. */
void neap_write_path(struct writer *w, enum frame_type type, const uint8_t data[8]);
/** The reason is cut to what fits. */
void neap_write_close(struct writer *w, const struct frame_close *f);
void neap_write_handshake_done(struct writer *w);

#endif
