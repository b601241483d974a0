/* Transport parameters (RFC 9000 §7.4, §18). */
#include "wire/params.h"

#include "base/limits.h"
#include "base/reader.h"

enum param_id {
    PARAM_ORIGINAL_DCID = 0x00,
    PARAM_MAX_IDLE_TIMEOUT = 0x01,
    PARAM_RESET_TOKEN = 0x02,
    PARAM_MAX_UDP_PAYLOAD_SIZE = 0x03,
    PARAM_MAX_DATA = 0x04,
    PARAM_MAX_STREAM_DATA_BIDI_LOCAL = 0x05,
    PARAM_MAX_STREAM_DATA_BIDI_REMOTE = 0x06,
    PARAM_MAX_STREAM_DATA_UNI = 0x07,
    PARAM_MAX_STREAMS_BIDI = 0x08,
    PARAM_MAX_STREAMS_UNI = 0x09,
    PARAM_ACK_DELAY_EXPONENT = 0x0a,
    PARAM_MAX_ACK_DELAY = 0x0b,
    PARAM_DISABLE_ACTIVE_MIGRATION = 0x0c,
    PARAM_PREFERRED_ADDRESS = 0x0d,
    PARAM_ACTIVE_CONNECTION_ID_LIMIT = 0x0e,
    PARAM_INITIAL_SCID = 0x0f,
    PARAM_RETRY_SCID = 0x10,
    PARAM_IDS = 0x11, /* one past the last of RFC 9000 */
};

#define MAX_STREAMS (UINT64_C(1) << 60)
#define DEFAULT_UDP_PAYLOAD 65527u
#define DEFAULT_ACK_DELAY_EXPONENT 3u
#define DEFAULT_MAX_ACK_DELAY_MS 25u
#define DEFAULT_CONNECTION_ID_LIMIT 2u

/* Parameters that are one integer: where it goes, its range and its default (RFC 9000 §18.2). */
struct number_param {
    uint16_t id;
    uint16_t at; /* offset in struct transport_params */
    uint64_t least, most, initial;
    const char *reason;
};

#define NUMBER(param, field, ...)                                                \
    {                                                                            \
        .id = param, .at = offsetof(struct transport_params, field), __VA_ARGS__ \
    }
#define ANY .least = 0, .most = VARINT_MAX, .initial = 0, .reason = "transport parameter out of range"

static const struct number_param numbers[] = {
    NUMBER(PARAM_MAX_IDLE_TIMEOUT, max_idle_timeout_ms, ANY),
    NUMBER(PARAM_MAX_UDP_PAYLOAD_SIZE, max_udp_payload_size, .least = NEAP_MIN_UDP_PAYLOAD,
           .most = VARINT_MAX, .initial = DEFAULT_UDP_PAYLOAD, .reason = "max_udp_payload_size below 1200"),
    NUMBER(PARAM_MAX_DATA, max_data, ANY),
    NUMBER(PARAM_MAX_STREAM_DATA_BIDI_LOCAL, max_stream_data_bidi_local, ANY),
    NUMBER(PARAM_MAX_STREAM_DATA_BIDI_REMOTE, max_stream_data_bidi_remote, ANY),
    NUMBER(PARAM_MAX_STREAM_DATA_UNI, max_stream_data_uni, ANY),
    NUMBER(PARAM_MAX_STREAMS_BIDI, max_streams_bidi, .most = MAX_STREAMS,
           .reason = "initial_max_streams_bidi above 2^60"),
    NUMBER(PARAM_MAX_STREAMS_UNI, max_streams_uni, .most = MAX_STREAMS,
           .reason = "initial_max_streams_uni above 2^60"),
    NUMBER(PARAM_ACK_DELAY_EXPONENT, ack_delay_exponent, .most = 20, .initial = DEFAULT_ACK_DELAY_EXPONENT,
           .reason = "ack_delay_exponent above 20"),
    NUMBER(PARAM_MAX_ACK_DELAY, max_ack_delay_ms, .most = (1u << 14) - 1, .initial = DEFAULT_MAX_ACK_DELAY_MS,
           .reason = "max_ack_delay of 2^14 or more"),
    NUMBER(PARAM_ACTIVE_CONNECTION_ID_LIMIT, active_connection_id_limit, .least = 2, .most = VARINT_MAX,
           .initial = DEFAULT_CONNECTION_ID_LIMIT, .reason = "active_connection_id_limit below 2"),
};

#define NUMBER_COUNT (sizeof numbers / sizeof numbers[0])

static uint64_t *number_at(struct transport_params *p, const struct number_param *n)
{
    return (uint64_t *)(void *)((char *)p + n->at);
}

struct transport_params neap_params_default(void)
{
    struct transport_params p = {0};

    for (size_t i = 0; i < NUMBER_COUNT; i++)
        *number_at(&p, &numbers[i]) = numbers[i].initial;
    return p;
}

static int bad_param(struct failure *why, const char *reason)
{
    return neap_fail(why, NEAP_TRANSPORT_PARAMETER_ERROR, reason);
}

/* The integer has to be the whole value. */
static int parse_number(struct span value, const struct number_param *n, struct transport_params *p,
                        struct failure *why)
{
    struct reader r = reader_of(value);
    uint64_t number = read_varint(&r);

    if (r.bad || reader_left(&r))
        return bad_param(why, "transport parameter is not one integer");
    if (number < n->least || number > n->most)
        return bad_param(why, n->reason);
    *number_at(p, n) = number;
    return NEAP_OK;
}

static int parse_cid(struct span value, bool *has, neap_cid *cid, struct failure *why)
{
    if (value.size > LIMIT_CONNECTION_ID)
        return bad_param(why, "connection ID above 20 bytes");
    *has = true;
    *cid = (neap_cid){.size = (uint8_t)value.size};
    if (value.size)
        memcpy(cid->bytes, value.data, value.size);
    return NEAP_OK;
}

static int parse_reset_token(struct span value, struct transport_params *p, struct failure *why)
{
    if (value.size != sizeof p->reset_token)
        return bad_param(why, "stateless_reset_token is not 16 bytes");
    p->has_reset_token = true;
    memcpy(p->reset_token, value.data, value.size);
    return NEAP_OK;
}

/* All zero means that there is none of this family (RFC 9000 §18.2). */
static neap_address parse_address(struct reader *r, uint8_t family)
{
    static const uint8_t none[16];
    neap_address a = {.family = family};
    struct span ip = read_bytes(r, family == 4 ? 4 : 16);

    a.port = read_u16(r);
    if (ip.size)
        memcpy(a.ip, ip.data, ip.size);
    return a.port == 0 && memcmp(a.ip, none, sizeof none) == 0 ? (neap_address){0} : a;
}

static int parse_preferred_address(struct span value, struct transport_params *p, struct failure *why)
{
    struct reader r = reader_of(value);
    struct preferred_address a = {.v4 = parse_address(&r, 4)};

    a.v6 = parse_address(&r, 6);
    struct span cid = read_vector(&r, 1), token = read_bytes(&r, sizeof a.token);
    if (r.bad || reader_left(&r))
        return bad_param(why, "preferred_address of wrong size");
    if (cid.size < 1 || cid.size > LIMIT_CONNECTION_ID)
        return bad_param(why, "preferred_address with a connection ID of wrong size");
    a.cid.size = (uint8_t)cid.size;
    memcpy(a.cid.bytes, cid.data, cid.size);
    memcpy(a.token, token.data, sizeof a.token);
    p->has_preferred_address = true;
    p->preferred_address = a;
    return NEAP_OK;
}

static bool is_server_only(uint64_t id)
{
    return id == PARAM_ORIGINAL_DCID || id == PARAM_RESET_TOKEN || id == PARAM_PREFERRED_ADDRESS ||
           id == PARAM_RETRY_SCID;
}

static int parse_value(uint64_t id, struct span value, struct transport_params *p, struct failure *why)
{
    switch (id) {
    case PARAM_ORIGINAL_DCID: return parse_cid(value, &p->has_original_dcid, &p->original_dcid, why);
    case PARAM_INITIAL_SCID: return parse_cid(value, &p->has_initial_scid, &p->initial_scid, why);
    case PARAM_RETRY_SCID: return parse_cid(value, &p->has_retry_scid, &p->retry_scid, why);
    case PARAM_RESET_TOKEN: return parse_reset_token(value, p, why);
    case PARAM_PREFERRED_ADDRESS: return parse_preferred_address(value, p, why);
    case PARAM_DISABLE_ACTIVE_MIGRATION:
        if (value.size)
            return bad_param(why, "disable_active_migration with a value");
        p->disable_active_migration = true;
        return NEAP_OK;
    }
    for (size_t i = 0; i < NUMBER_COUNT; i++)
        if (numbers[i].id == id)
            return parse_number(value, &numbers[i], p, why);
    return NEAP_OK; /* unknown ones are ignored (RFC 9000 §7.4.2) */
}

int neap_params_parse(struct span bytes, bool from_server, struct transport_params *out, struct failure *why)
{
    struct reader r = reader_of(bytes);
    struct transport_params p = neap_params_default();
    uint32_t seen = 0; /* a bit for each id below PARAM_IDS */

    while (reader_left(&r)) {
        uint64_t id = read_varint(&r);
        struct span value = read_bytes(&r, read_varint(&r));

        if (r.bad)
            return bad_param(why, "transport parameters cut short");
        if (id < PARAM_IDS && seen >> id & 1)
            return bad_param(why, "transport parameter twice");
        if (id < PARAM_IDS)
            seen |= UINT32_C(1) << id;
        if (!from_server && is_server_only(id))
            return bad_param(why, "transport parameter that only a server sends");
        int error = parse_value(id, value, &p, why);
        if (error)
            return error;
    }
    if (p.has_preferred_address && p.has_initial_scid && p.initial_scid.size == 0)
        return bad_param(why, "preferred_address from a server with an empty connection ID");
    *out = p;
    return NEAP_OK;
}

static void write_param(struct writer *w, uint64_t id, struct span value)
{
    write_varint(w, id);
    write_varint(w, value.size);
    write_span(w, value);
}

static void write_cid(struct writer *w, bool has, uint64_t id, const neap_cid *cid)
{
    if (has)
        write_param(w, id, span_of(cid->bytes, cid->size));
}

static void write_preferred_address(struct writer *w, const struct preferred_address *a)
{
    write_varint(w, PARAM_PREFERRED_ADDRESS);
    write_varint(w, 4 + 2 + 16 + 2 + 1 + (uint64_t)a->cid.size + sizeof a->token);
    write_bytes(w, a->v4.ip, 4);
    write_u16(w, a->v4.port);
    write_bytes(w, a->v6.ip, 16);
    write_u16(w, a->v6.port);
    write_u8(w, a->cid.size);
    write_bytes(w, a->cid.bytes, a->cid.size);
    write_bytes(w, a->token, sizeof a->token);
}

static void write_server_params(struct writer *w, const struct transport_params *p)
{
    write_cid(w, p->has_original_dcid, PARAM_ORIGINAL_DCID, &p->original_dcid);
    write_cid(w, p->has_retry_scid, PARAM_RETRY_SCID, &p->retry_scid);
    if (p->has_reset_token)
        write_param(w, PARAM_RESET_TOKEN, span_of(p->reset_token, sizeof p->reset_token));
    if (p->has_preferred_address)
        write_preferred_address(w, &p->preferred_address);
}

/* RFC 9000 §18.1: 31*N+27 is reserved to exercise that unknown ones are ignored; 0 to 7 bytes of value. */
static void write_grease(struct writer *w, uint64_t grease)
{
    uint64_t id = 31 * (grease % ((VARINT_MAX - 27) / 31)) + 27;
    size_t size = grease >> 61;

    write_varint(w, id);
    write_varint(w, size);
    write_uint(w, grease, size);
}

void neap_params_write(struct writer *w, const struct transport_params *p, bool from_server, uint64_t grease)
{
    struct transport_params ours = *p;

    for (size_t i = 0; i < NUMBER_COUNT; i++) {
        uint64_t value = *number_at(&ours, &numbers[i]);

        if (value == numbers[i].initial)
            continue;
        write_varint(w, numbers[i].id);
        write_varint(w, varint_size(value));
        write_varint(w, value);
    }
    if (p->disable_active_migration)
        write_param(w, PARAM_DISABLE_ACTIVE_MIGRATION, (struct span){0});
    write_cid(w, p->has_initial_scid, PARAM_INITIAL_SCID, &p->initial_scid);
    if (from_server)
        write_server_params(w, p);
    if (grease)
        write_grease(w, grease);
}
