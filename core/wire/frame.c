/* The frame table and the parsers (RFC 9000 §12.4, §19). */
#include "wire/frame.h"

#include "base/limits.h"

#define MAX_STREAMS (UINT64_C(1) << 60) /* RFC 9000 §4.6 */

#define EVERYWHERE (IN_INITIAL | IN_EARLY | IN_HANDSHAKE | IN_ONE_RTT)
#define APPLICATION (IN_EARLY | IN_ONE_RTT)
#define ORDINARY (ELICITS | IN_FLIGHT)

/* RFC 9000 §12.4, table 3. RETIRE_CONNECTION_ID cannot be sent in 0-RTT (§12.5), whatever the table says.
 * CONNECTION_CLOSE is not in flight: RFC 9002 §2 counts what elicits an acknowledgement or holds PADDING. */
static const uint8_t rules[FRAME_TYPES] = {
    [FRAME_PADDING] = EVERYWHERE | IN_FLIGHT | PROBING,
    [FRAME_PING] = EVERYWHERE | ORDINARY,
    [FRAME_ACK] = IN_INITIAL | IN_HANDSHAKE | IN_ONE_RTT,
    [FRAME_ACK_ECN] = IN_INITIAL | IN_HANDSHAKE | IN_ONE_RTT,
    [FRAME_RESET_STREAM] = APPLICATION | ORDINARY,
    [FRAME_STOP_SENDING] = APPLICATION | ORDINARY,
    [FRAME_CRYPTO] = IN_INITIAL | IN_HANDSHAKE | IN_ONE_RTT | ORDINARY,
    [FRAME_NEW_TOKEN] = IN_ONE_RTT | ORDINARY | ONLY_TO_CLIENT,
    [FRAME_STREAM] = APPLICATION | ORDINARY,
    [FRAME_STREAM + 1] = APPLICATION | ORDINARY,
    [FRAME_STREAM + 2] = APPLICATION | ORDINARY,
    [FRAME_STREAM + 3] = APPLICATION | ORDINARY,
    [FRAME_STREAM + 4] = APPLICATION | ORDINARY,
    [FRAME_STREAM + 5] = APPLICATION | ORDINARY,
    [FRAME_STREAM + 6] = APPLICATION | ORDINARY,
    [FRAME_STREAM + 7] = APPLICATION | ORDINARY,
    [FRAME_MAX_DATA] = APPLICATION | ORDINARY,
    [FRAME_MAX_STREAM_DATA] = APPLICATION | ORDINARY,
    [FRAME_MAX_STREAMS_BIDI] = APPLICATION | ORDINARY,
    [FRAME_MAX_STREAMS_UNI] = APPLICATION | ORDINARY,
    [FRAME_DATA_BLOCKED] = APPLICATION | ORDINARY,
    [FRAME_STREAM_DATA_BLOCKED] = APPLICATION | ORDINARY,
    [FRAME_STREAMS_BLOCKED_BIDI] = APPLICATION | ORDINARY,
    [FRAME_STREAMS_BLOCKED_UNI] = APPLICATION | ORDINARY,
    [FRAME_NEW_CONNECTION_ID] = APPLICATION | ORDINARY | PROBING,
    [FRAME_RETIRE_CONNECTION_ID] = IN_ONE_RTT | ORDINARY,
    [FRAME_PATH_CHALLENGE] = APPLICATION | ORDINARY | PROBING,
    [FRAME_PATH_RESPONSE] = IN_ONE_RTT | ORDINARY | PROBING,
    [FRAME_CONNECTION_CLOSE] = EVERYWHERE,
    [FRAME_CONNECTION_CLOSE_APP] = APPLICATION,
    [FRAME_HANDSHAKE_DONE] = IN_ONE_RTT | ORDINARY | ONLY_TO_CLIENT,
};

unsigned neap_frame_rules(uint64_t type)
{
    return type < FRAME_TYPES ? rules[type] : 0;
}

static int bad_encoding(struct failure *why, const char *reason)
{
    return neap_fail(why, NEAP_FRAME_ENCODING_ERROR, reason);
}

/* The type is the one integer whose shortest form is asked for (RFC 9000 §12.4). */
static int parse_type(struct reader *r, uint64_t *type, struct failure *why)
{
    const uint8_t *start = r->at;

    *type = read_varint(r);
    if (r->bad)
        return bad_encoding(why, "no frame");
    if ((size_t)(r->at - start) != varint_size(*type))
        return neap_fail(why, NEAP_PROTOCOL_VIOLATION, "frame type not in its shortest form");
    if (neap_frame_rules(*type) == 0)
        return bad_encoding(why, "unknown frame type");
    return NEAP_OK;
}

/* The first of the run was the type. */
static uint64_t parse_padding(struct reader *r)
{
    const uint8_t *start = r->at;

    while (r->at < r->end && *r->at == FRAME_PADDING)
        r->at++;
    return 1 + (uint64_t)(r->at - start);
}

/* Every range takes at least two bytes, so that the packet bounds the loop whatever range_count says. */
static int parse_ack(struct reader *r, struct frame_ack *f, bool has_ecn, struct failure *why)
{
    *f = (struct frame_ack){.has_ecn = has_ecn};
    f->largest = read_varint(r);
    f->delay = read_varint(r);
    f->range_count = read_varint(r);
    f->first_range = read_varint(r);
    if (f->first_range > f->largest)
        return bad_encoding(why, "ACK range below zero");
    uint64_t smallest = f->largest - f->first_range;
    const uint8_t *start = r->at;

    for (uint64_t i = 0; i < f->range_count && !r->bad; i++) {
        uint64_t gap = read_varint(r), length = read_varint(r);

        if (gap + 2 > smallest || length > smallest - gap - 2)
            return bad_encoding(why, "ACK range below zero");
        smallest -= gap + 2 + length;
    }
    f->ranges = span_of(start, (size_t)(r->at - start));
    if (has_ecn) {
        f->ect0 = read_varint(r);
        f->ect1 = read_varint(r);
        f->ce = read_varint(r);
    }
    return NEAP_OK;
}

static int parse_crypto(struct reader *r, struct frame_crypto *f, struct failure *why)
{
    f->offset = read_varint(r);
    f->data = read_bytes(r, read_varint(r));
    if (f->offset + f->data.size > VARINT_MAX)
        return bad_encoding(why, "CRYPTO past 2^62-1");
    return NEAP_OK;
}

static int parse_stream(struct reader *r, uint64_t type, struct frame_stream *f, struct failure *why)
{
    f->id = read_varint(r);
    f->offset = type & STREAM_OFF ? read_varint(r) : 0;
    f->data = type & STREAM_LEN ? read_bytes(r, read_varint(r)) : read_rest(r);
    f->fin = type & STREAM_FIN;
    if (f->offset + f->data.size > VARINT_MAX)
        return bad_encoding(why, "STREAM past 2^62-1");
    return NEAP_OK;
}

static int parse_new_connection_id(struct reader *r, struct frame_new_connection_id *f, struct failure *why)
{
    *f = (struct frame_new_connection_id){0};
    f->sequence = read_varint(r);
    f->retire_prior_to = read_varint(r);
    struct span cid = read_vector(r, 1), token = read_bytes(r, sizeof f->token);

    if (r->bad)
        return NEAP_OK; /* said by the caller */
    if (f->retire_prior_to > f->sequence)
        return bad_encoding(why, "retire_prior_to above the sequence number");
    if (cid.size < 1 || cid.size > LIMIT_CONNECTION_ID)
        return bad_encoding(why, "connection ID of wrong size");
    memcpy(f->cid.bytes, cid.data, cid.size);
    f->cid.size = (uint8_t)cid.size;
    memcpy(f->token, token.data, sizeof f->token);
    return NEAP_OK;
}

static void parse_close(struct reader *r, bool is_application, struct frame_close *f)
{
    *f = (struct frame_close){.is_application = is_application};
    f->code = read_varint(r);
    f->frame_type = is_application ? 0 : read_varint(r);
    f->reason = read_bytes(r, read_varint(r));
}

/* RFC 9000 §19.11, §19.14: more streams than IDs can name. */
static int parse_streams_limit(struct reader *r, uint64_t *limit, struct failure *why)
{
    *limit = read_varint(r);
    if (*limit > MAX_STREAMS)
        return bad_encoding(why, "stream count above 2^60");
    return NEAP_OK;
}

static int parse_token(struct reader *r, struct span *token, struct failure *why)
{
    *token = read_bytes(r, read_varint(r));
    if (!r->bad && token->size == 0)
        return bad_encoding(why, "empty NEW_TOKEN");
    return NEAP_OK;
}

static void parse_path(struct reader *r, uint8_t data[8])
{
    struct span s = read_bytes(r, 8);

    if (s.size)
        memcpy(data, s.data, 8);
}

static void parse_stream_limit(struct reader *r, struct frame *f)
{
    f->stream_limit.id = read_varint(r);
    f->stream_limit.limit = read_varint(r);
}

static int parse_fields(struct reader *r, struct frame *f, struct failure *why)
{
    switch ((enum frame_type)f->type) {
    case FRAME_PADDING: f->padding_size = parse_padding(r); return NEAP_OK;
    case FRAME_PING:
    case FRAME_HANDSHAKE_DONE: return NEAP_OK;
    case FRAME_ACK: return parse_ack(r, &f->ack, false, why);
    case FRAME_ACK_ECN: return parse_ack(r, &f->ack, true, why);
    case FRAME_RESET_STREAM:
        f->reset_stream.id = read_varint(r);
        f->reset_stream.code = read_varint(r);
        f->reset_stream.final_size = read_varint(r);
        return NEAP_OK;
    case FRAME_STOP_SENDING:
        f->stop_sending.id = read_varint(r);
        f->stop_sending.code = read_varint(r);
        return NEAP_OK;
    case FRAME_CRYPTO: return parse_crypto(r, &f->crypto, why);
    case FRAME_NEW_TOKEN: return parse_token(r, &f->token, why);
    case FRAME_MAX_DATA:
    case FRAME_DATA_BLOCKED: f->limit = read_varint(r); return NEAP_OK;
    case FRAME_MAX_STREAM_DATA:
    case FRAME_STREAM_DATA_BLOCKED: parse_stream_limit(r, f); return NEAP_OK;
    case FRAME_MAX_STREAMS_BIDI:
    case FRAME_MAX_STREAMS_UNI:
    case FRAME_STREAMS_BLOCKED_BIDI:
    case FRAME_STREAMS_BLOCKED_UNI: return parse_streams_limit(r, &f->limit, why);
    case FRAME_NEW_CONNECTION_ID: return parse_new_connection_id(r, &f->new_connection_id, why);
    case FRAME_RETIRE_CONNECTION_ID: f->sequence = read_varint(r); return NEAP_OK;
    case FRAME_PATH_CHALLENGE:
    case FRAME_PATH_RESPONSE: parse_path(r, f->path_data); return NEAP_OK;
    case FRAME_CONNECTION_CLOSE: parse_close(r, false, &f->close); return NEAP_OK;
    case FRAME_CONNECTION_CLOSE_APP: parse_close(r, true, &f->close); return NEAP_OK;
    case FRAME_STREAM:
    case FRAME_TYPES: break;
    }
    return parse_stream(r, f->type, &f->stream, why); /* 0x08 to 0x0f */
}

int neap_frame_parse(struct reader *r, struct frame *out, struct failure *why)
{
    int error = parse_type(r, &out->type, why);

    if (!error)
        error = parse_fields(r, out, why);
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
