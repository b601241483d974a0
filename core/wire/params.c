/* Transport parameters (RFC 9000 §7.4, §18). */
#include "wire/params.h"

#include "base/limits.h"
#include "base/reader.h"
#include "wire/version.h"

#define VALUE_ROOM 64 /* bytes of the longest value: preferred_address has 61 */

enum sender { BOTH, SERVER };

struct row {
    uint64_t id, least, greatest, absent;
    bool (*read)(struct span value, const struct row *row, void *field);
    void (*write)(struct writer *w, const void *field);
    const char *wrong; /* what is said of a value that cannot be */
    uint16_t at;       /* of the field in struct transport_params */
    uint8_t sender;
};

#define X(name, id, form, sender, field, least, greatest, absent)                    \
    static bool read_##form(struct span value, const struct row *row, void *field_); \
    static void write_##form(struct writer *w, const void *field_);
PARAM_LIST(X)
#undef X

static const struct row rows[PARAMS] = {
#define X(name, id, form, sender, field, least, greatest, absent) \
    {id,                                                          \
     least,                                                       \
     greatest,                                                    \
     absent,                                                      \
     read_##form,                                                 \
     write_##form,                                                \
     REASON_TEXT(#name " of a wrong value"),                      \
     offsetof(struct transport_params, field),                    \
     sender},
    PARAM_LIST(X)
#undef X
};

_Static_assert(PARAMS <= 64, "the rows have a bit each in `present`");

static void *field_of(struct transport_params *p, const struct row *row)
{
    return (char *)p + row->at;
}

static bool is_number(const struct row *row)
{
    return row->read == read_number;
}

struct transport_params neap_params_default(void)
{
    struct transport_params p = {0};

    for (size_t i = 0; i < PARAMS; i++)
        if (is_number(&rows[i]))
            *(uint64_t *)field_of(&p, &rows[i]) = rows[i].absent;
    return p;
}

/* ---- forms of values */

/* The integer has to be the whole value. */
static bool read_number(struct span value, const struct row *row, void *field)
{
    struct reader r = reader_of(value);
    uint64_t number = read_varint(&r);

    *(uint64_t *)field = number;
    return !r.bad && reader_left(&r) == 0 && number >= row->least && number <= row->greatest;
}

static void write_number(struct writer *w, const void *field)
{
    write_varint(w, *(const uint64_t *)field);
}

static bool read_flag(struct span value, const struct row *row, void *field)
{
    (void)row, (void)field;
    return value.size == 0;
}

static void write_flag(struct writer *w, const void *field)
{
    (void)w, (void)field;
}

static bool read_cid(struct span value, const struct row *row, void *field)
{
    neap_cid *cid = field;

    (void)row;
    if (value.size > LIMIT_CONNECTION_ID)
        return false;
    *cid = (neap_cid){.size = (uint8_t)value.size};
    if (value.size)
        memcpy(cid->bytes, value.data, value.size);
    return true;
}

static void write_cid(struct writer *w, const void *field)
{
    const neap_cid *cid = field;

    write_bytes(w, cid->bytes, cid->size);
}

static bool read_reset_token(struct span value, const struct row *row, void *field)
{
    (void)row;
    if (value.size != 16)
        return false;
    memcpy(field, value.data, 16);
    return true;
}

static void write_reset_token(struct writer *w, const void *field)
{
    write_bytes(w, field, 16);
}

/* All zero means that there is none of this family (RFC 9000 §18.2). */
static neap_address read_address(struct reader *r, uint8_t family)
{
    static const uint8_t none[16];
    neap_address a = {.family = family};
    struct span ip = read_bytes(r, family == 4 ? 4 : 16);

    a.port = read_u16(r);
    if (ip.size)
        memcpy(a.ip, ip.data, ip.size);
    return a.port == 0 && memcmp(a.ip, none, sizeof none) == 0 ? (neap_address){0} : a;
}

static bool read_preferred_address(struct span value, const struct row *row, void *field)
{
    struct reader r = reader_of(value);
    struct preferred_address a = {.v4 = read_address(&r, 4)};

    (void)row;
    a.v6 = read_address(&r, 6);
    struct span cid = read_vector(&r, 1), token = read_bytes(&r, sizeof a.token);
    if (r.bad || reader_left(&r) || cid.size < 1 || cid.size > LIMIT_CONNECTION_ID)
        return false;
    a.cid.size = (uint8_t)cid.size;
    memcpy(a.cid.bytes, cid.data, cid.size);
    memcpy(a.token, token.data, sizeof a.token);
    *(struct preferred_address *)field = a;
    return true;
}

static void write_preferred_address(struct writer *w, const void *field)
{
    const struct preferred_address *a = field;

    write_bytes(w, a->v4.ip, 4);
    write_u16(w, a->v4.port);
    write_bytes(w, a->v6.ip, 16);
    write_u16(w, a->v6.port);
    write_u8(w, a->cid.size);
    write_bytes(w, a->cid.bytes, a->cid.size);
    write_bytes(w, a->token, sizeof a->token);
}

/* A version of zero is none (RFC 9368 §4). */
static bool read_versions(struct span value, const struct row *row, void *field)
{
    struct reader r = reader_of(value);
    struct version_information v = {.chosen = read_u32(&r)};

    (void)row;
    v.available = span_of(r.at, reader_left(&r));
    if (r.bad || value.size % VERSION_SIZE || v.chosen == 0 || neap_version_is_listed(v.available, 0))
        return false;
    *(struct version_information *)field = v;
    return true;
}

static void write_versions(struct writer *w, const void *field)
{
    const struct version_information *v = field;

    write_u32(w, v->chosen);
    write_span(w, v->available);
}

/* ---- all of them */

static int bad_param(struct failure *why, const char *reason)
{
    return neap_fail(why, NEAP_TRANSPORT_PARAMETER_ERROR, reason);
}

static size_t find_row(uint64_t id)
{
    size_t i = 0;

    while (i < PARAMS && rows[i].id != id)
        i++;
    return i;
}

/* Identifiers that are in no row: they are ignored, but must not come twice either (RFC 9000 §7.4). Reserved ones are
 * a few; past the bound nobody looks. */
struct unknown_ids {
    uint64_t ids[LIMIT_UNKNOWN_PARAMETERS];
    size_t count;
};

static bool is_second(struct unknown_ids *unknown, uint64_t id)
{
    for (size_t i = 0; i < unknown->count; i++)
        if (unknown->ids[i] == id)
            return true;
    if (unknown->count < LIMIT_UNKNOWN_PARAMETERS)
        unknown->ids[unknown->count++] = id;
    return false;
}

static int take_param(struct transport_params *p, const struct row *row, struct span value, bool from_server,
                      struct failure *why)
{
    enum param which = (enum param)(row - rows);

    if (params_has(p, which))
        return bad_param(why, "transport parameter twice");
    if (!from_server && row->sender == SERVER)
        return bad_param(why, "transport parameter that only a server sends");
    if (!row->read(value, row, field_of(p, row)))
        return bad_param(why, row->wrong);
    params_add(p, which);
    return NEAP_OK;
}

int neap_params_parse(struct span bytes, bool from_server, struct transport_params *out, struct failure *why)
{
    struct reader r = reader_of(bytes);
    struct transport_params p = neap_params_default();
    struct unknown_ids unknown = {.count = 0};

    while (reader_left(&r)) {
        uint64_t id = read_varint(&r);
        struct span value = read_bytes(&r, read_varint(&r));
        size_t at = find_row(id);
        int error = NEAP_OK;

        if (r.bad)
            return bad_param(why, "transport parameters cut short");
        if (at < PARAMS)
            error = take_param(&p, &rows[at], value, from_server, why);
        else if (is_second(&unknown, id))
            error = bad_param(why, "transport parameter twice");
        if (error)
            return error;
    }
    if (params_has(&p, PARAM_preferred_address) && params_has(&p, PARAM_initial_source_connection_id) &&
        p.initial_scid.size == 0)
        return bad_param(why, "preferred_address from a server with an empty connection ID");
    /* RFC 9368 §4: of a server it may be absent from its own list. */
    if (!from_server && params_has(&p, PARAM_version_information) &&
        !neap_version_is_listed(p.versions.available, p.versions.chosen))
        return bad_param(why, "version_information that does not list the version that the client chose");
    if (p.min_ack_delay_us != NO_MIN_ACK_DELAY && p.min_ack_delay_us > p.max_ack_delay_ms * 1000)
        return bad_param(why, "min_ack_delay above max_ack_delay");
    *out = p;
    return NEAP_OK;
}

/* RFC 9000 §18.1: 31*N+27 is reserved to exercise that unknown ones are ignored; 0 to 7 bytes of value. Numbers of 16 bits:
 * a server that looks at no more of them (nginx 1.26) took one in some thousand for a parameter that it knows. */
#define GREASE_NUMBERS ((UINT16_MAX - 27) / 31 + 1)

static void write_grease(struct writer *w, uint64_t grease)
{
    uint64_t id = 31 * (grease % GREASE_NUMBERS) + 27;
    size_t size = grease >> 61;

    write_varint(w, id);
    write_varint(w, size);
    write_uint(w, grease, size);
}

void neap_params_write(struct writer *w, const struct transport_params *p, bool from_server, uint64_t grease)
{
    for (size_t i = 0; i < PARAMS; i++) {
        const struct row *row = &rows[i];
        const void *field = (const char *)p + row->at;
        uint8_t value[VALUE_ROOM];
        struct writer v = writer_of(value, sizeof value);

        if ((row->sender == SERVER && !from_server) ||
            (is_number(row) ? *(const uint64_t *)field == row->absent : !params_has(p, (enum param)i)))
            continue;
        row->write(&v, field);
        write_varint(w, row->id);
        write_varint(w, writer_size(&v));
        write_bytes(w, value, writer_size(&v));
    }
    if (grease)
        write_grease(w, grease);
}

void neap_params_set_chosen_version(uint8_t *bytes, size_t size, uint32_t version)
{
    struct reader r = reader_of(span_of(bytes, size));

    while (reader_left(&r)) {
        uint64_t id = read_varint(&r);
        struct span value = read_bytes(&r, read_varint(&r));

        if (id != rows[PARAM_version_information].id || value.size < VERSION_SIZE)
            continue;
        struct writer w = writer_of(bytes + (value.data - bytes), VERSION_SIZE);
        write_u32(&w, version);
        return;
    }
}
