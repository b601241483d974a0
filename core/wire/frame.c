/* Types and rules by the frame table, and the parsers (RFC 9000 §12.4, §19). */
#include "wire/frame.h"

#include "base/limits.h"

#define MAX_STREAMS (UINT64_C(1) << 60) /* RFC 9000 §4.6 */

#define X(name, first, last, fields, handler, fate, rules) \
    static int parse_##fields(struct reader *r, struct frame *f, struct failure *why);
FRAME_LIST(X)
#undef X

enum frame_kind neap_frame_kind(uint64_t type)
{
    switch (type) {
#define X(name, first, last, fields, handler, fate, rules) \
    case first ... last: return KIND_##name;
        FRAME_LIST(X)
#undef X
    }
    return FRAME_KINDS;
}

unsigned neap_frame_rules(enum frame_kind kind)
{
    static const uint16_t table[FRAME_KINDS + 1] = {
#define X(name, first, last, fields, handler, fate, rules) [KIND_##name] = rules,
        FRAME_LIST(X)
#undef X
    };

    return table[kind];
}

static int bad_encoding(struct failure *why, const char *reason)
{
    return neap_fail(why, NEAP_FRAME_ENCODING_ERROR, reason);
}

/* The type is the one integer whose shortest form is asked for (RFC 9000 §12.4). */
static int parse_type(struct reader *r, struct frame *f, struct failure *why)
{
    const uint8_t *start = r->at;

    f->type = read_varint(r);
    f->kind = neap_frame_kind(f->type);
    if (r->bad)
        return bad_encoding(why, "no frame");
    if ((size_t)(r->at - start) != varint_size(f->type))
        return neap_fail(why, NEAP_PROTOCOL_VIOLATION, "frame type not in its shortest form");
    if (f->kind == FRAME_KINDS)
        return bad_encoding(why, "unknown frame type");
    return NEAP_OK;
}

static int parse_nothing(struct reader *r, struct frame *f, struct failure *why)
{
    (void)r, (void)f, (void)why;
    return NEAP_OK;
}

/* The first of the run was the type. */
static int parse_padding(struct reader *r, struct frame *f, struct failure *why)
{
    const uint8_t *start = r->at;

    (void)why;
    /* An Initial has a thousand of them. */
    for (uint64_t eight = 0; r->end - r->at >= (ptrdiff_t)sizeof eight; r->at += sizeof eight) {
        memcpy(&eight, r->at, sizeof eight);
        if (eight != 0)
            break;
    }
    while (r->at < r->end && *r->at == FRAME_PADDING)
        r->at++;
    f->padding_size = 1 + (uint64_t)(r->at - start);
    return NEAP_OK;
}

/* Every range takes at least two bytes, so that the packet bounds the loop whatever range_count says. */
static int parse_ack(struct reader *r, struct frame *f, struct failure *why)
{
    struct frame_ack *ack = &f->ack;

    *ack = (struct frame_ack){.has_ecn = f->type == FRAME_ACK_ECN || f->type == FRAME_PATH_ACK_ECN};
    ack->largest = read_varint(r);
    ack->delay = read_varint(r);
    ack->range_count = read_varint(r);
    ack->first_range = read_varint(r);
    if (ack->first_range > ack->largest)
        return bad_encoding(why, "ACK range below zero");
    uint64_t smallest = ack->largest - ack->first_range;
    const uint8_t *start = r->at;

    for (uint64_t i = 0; i < ack->range_count && !r->bad; i++) {
        uint64_t gap = read_varint(r), length = read_varint(r);

        if (gap + 2 > smallest || length > smallest - gap - 2)
            return bad_encoding(why, "ACK range below zero");
        smallest -= gap + 2 + length;
    }
    ack->ranges = span_of(start, (size_t)(r->at - start));
    if (ack->has_ecn) {
        ack->ect0 = read_varint(r);
        ack->ect1 = read_varint(r);
        ack->ce = read_varint(r);
    }
    return NEAP_OK;
}

static int parse_reset_stream(struct reader *r, struct frame *f, struct failure *why)
{
    (void)why;
    f->reset_stream.id = read_varint(r);
    f->reset_stream.code = read_varint(r);
    f->reset_stream.final_size = read_varint(r);
    f->reset_stream.reliable_size = 0;
    return NEAP_OK;
}

static int parse_reset_stream_at(struct reader *r, struct frame *f, struct failure *why)
{
    parse_reset_stream(r, f, why);
    f->reset_stream.reliable_size = read_varint(r);
    if (!r->bad && f->reset_stream.reliable_size > f->reset_stream.final_size)
        return bad_encoding(why, "RESET_STREAM_AT with a reliable size above the final size");
    return NEAP_OK;
}

static int parse_stop_sending(struct reader *r, struct frame *f, struct failure *why)
{
    (void)why;
    f->stop_sending.id = read_varint(r);
    f->stop_sending.code = read_varint(r);
    return NEAP_OK;
}

static int parse_crypto(struct reader *r, struct frame *f, struct failure *why)
{
    f->crypto.offset = read_varint(r);
    f->crypto.data = read_bytes(r, read_varint(r));
    if (f->crypto.offset + f->crypto.data.size > VARINT_MAX)
        return bad_encoding(why, "CRYPTO past 2^62-1");
    return NEAP_OK;
}

static int parse_token(struct reader *r, struct frame *f, struct failure *why)
{
    f->token = read_bytes(r, read_varint(r));
    if (!r->bad && f->token.size == 0)
        return bad_encoding(why, "empty NEW_TOKEN");
    return NEAP_OK;
}

static int parse_stream(struct reader *r, struct frame *f, struct failure *why)
{
    struct frame_stream *stream = &f->stream;
    struct reader in = *r; /* not behind a pointer, so that it stays in registers */
    uint64_t id = read_varint(&in);
    uint64_t offset = f->type & STREAM_OFF ? read_varint(&in) : 0;
    struct span data = f->type & STREAM_LEN ? read_bytes(&in, read_varint(&in)) : read_rest(&in);

    *r = in;
    *stream = (struct frame_stream){.id = id, .offset = offset, .data = data, .fin = f->type & STREAM_FIN};
    if (offset + data.size > VARINT_MAX)
        return bad_encoding(why, "STREAM past 2^62-1");
    return NEAP_OK;
}

static int parse_limit(struct reader *r, struct frame *f, struct failure *why)
{
    (void)why;
    f->limit = read_varint(r);
    return NEAP_OK;
}

static int parse_stream_limit(struct reader *r, struct frame *f, struct failure *why)
{
    (void)why;
    f->stream_limit.id = read_varint(r);
    f->stream_limit.limit = read_varint(r);
    return NEAP_OK;
}

/* RFC 9000 §19.11, §19.14: more streams than IDs can name. */
static int parse_streams_limit(struct reader *r, struct frame *f, struct failure *why)
{
    f->limit = read_varint(r);
    if (f->limit > MAX_STREAMS)
        return bad_encoding(why, "stream count above 2^60");
    return NEAP_OK;
}

static int parse_new_connection_id(struct reader *r, struct frame *f, struct failure *why)
{
    struct frame_new_connection_id *new = &f->new_connection_id;

    *new = (struct frame_new_connection_id){0};
    new->sequence = read_varint(r);
    new->retire_prior_to = read_varint(r);
    struct span cid = read_vector(r, 1), token = read_bytes(r, sizeof new->token);

    if (r->bad)
        return NEAP_OK; /* said by the caller */
    if (new->retire_prior_to > new->sequence)
        return bad_encoding(why, "retire_prior_to above the sequence number");
    if (cid.size < 1 || cid.size > LIMIT_CONNECTION_ID)
        return bad_encoding(why, "connection ID of wrong size");
    memcpy(new->cid.bytes, cid.data, cid.size);
    new->cid.size = (uint8_t)cid.size;
    memcpy(new->token, token.data, sizeof new->token);
    return NEAP_OK;
}

static int parse_sequence(struct reader *r, struct frame *f, struct failure *why)
{
    (void)why;
    f->sequence = read_varint(r);
    return NEAP_OK;
}

static int parse_path_data(struct reader *r, struct frame *f, struct failure *why)
{
    struct span data = read_bytes(r, sizeof f->path_data);

    (void)why;
    if (data.size)
        memcpy(f->path_data, data.data, data.size);
    return NEAP_OK;
}

static int parse_close(struct reader *r, struct frame *f, struct failure *why)
{
    struct frame_close *close = &f->close;

    (void)why;
    *close = (struct frame_close){.is_application = f->kind == KIND_CONNECTION_CLOSE_APP};
    close->code = read_varint(r);
    close->frame_type = close->is_application ? 0 : read_varint(r);
    close->reason = read_bytes(r, read_varint(r));
    return NEAP_OK;
}

static int parse_datagram(struct reader *r, struct frame *f, struct failure *why)
{
    const uint8_t *start = r->at;

    (void)why;
    f->datagram.data = f->type & DATAGRAM_LEN ? read_bytes(r, read_varint(r)) : read_rest(r);
    f->datagram.size = varint_size(f->type) + (uint64_t)(r->at - start);
    return NEAP_OK;
}

static int parse_ack_frequency(struct reader *r, struct frame *f, struct failure *why)
{
    (void)why;
    f->ack_frequency.sequence = read_varint(r);
    f->ack_frequency.threshold = read_varint(r);
    f->ack_frequency.max_delay_us = read_varint(r);
    f->ack_frequency.reordering = read_varint(r);
    return NEAP_OK;
}

/* Frames of draft-ietf-quic-multipath begin with a path ID: whether the connection has that it knows itself. */
static int parse_path_id(struct reader *r, struct frame *f, struct failure *why)
{
    (void)why;
    f->path_id = read_varint(r);
    return NEAP_OK;
}

static int parse_path_ack(struct reader *r, struct frame *f, struct failure *why)
{
    parse_path_id(r, f, why);
    return parse_ack(r, f, why);
}

static int parse_path_code(struct reader *r, struct frame *f, struct failure *why)
{
    parse_path_id(r, f, why);
    f->code = read_varint(r);
    return NEAP_OK;
}

static int parse_path_sequence(struct reader *r, struct frame *f, struct failure *why)
{
    parse_path_id(r, f, why);
    return parse_sequence(r, f, why);
}

static int parse_path_new_connection_id(struct reader *r, struct frame *f, struct failure *why)
{
    parse_path_id(r, f, why);
    return parse_new_connection_id(r, f, why);
}

static int parse_fields(struct reader *r, struct frame *f, struct failure *why)
{
    switch (f->kind) {
#define X(name, first, last, fields, handler, fate, rules) \
    case KIND_##name: return parse_##fields(r, f, why);
        FRAME_LIST(X)
#undef X
    case FRAME_KINDS: break;
    }
    return NEAP_OK;
}

int neap_frame_parse(struct reader *r, struct frame *out, struct failure *why)
{
    int error;

    /* Most frames that come carry a stream's bytes. */
    if (!r->bad && r->at < r->end && (*r->at & ~STREAM_BITS) == FRAME_STREAM) {
        out->type = *r->at++;
        out->kind = KIND_STREAM;
        error = parse_stream(r, out, why);
    } else {
        error = parse_type(r, out, why);
        if (!error)
            error = parse_fields(r, out, why);
    }
    if (!error && r->bad)
        error = bad_encoding(why, "frame cut short");
    return error;
}

struct ack_walk neap_ack_walk(const struct frame_ack *ack)
{
    return (struct ack_walk){
        .r = reader_of(ack->ranges), .smallest = ack->largest, .left = ack->range_count, .started = false};
}

bool neap_ack_next(const struct frame_ack *ack, struct ack_walk *walk, uint64_t *first, uint64_t *last)
{
    uint64_t size = ack->first_range;

    if (!walk->started) {
        walk->started = true;
        *last = ack->largest;
    } else {
        if (walk->left == 0)
            return false;
        walk->left--;
        *last = walk->smallest - read_varint(&walk->r) - 2;
        size = read_varint(&walk->r);
    }
    *first = walk->smallest = *last - size;
    return true;
}
