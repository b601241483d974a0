/* Units of core/wire: frames and headers as Lua tables. What is parsed lies in memory of exactly its size, so that the
 * sanitizer sees every byte read past it. */
#include "units_wire.h"

#include "base/limits.h"
#include "base/range_set.h"
#include "wire/frame.h"

int neap_units_wire(lua_State *L);

/* ---- frames */

static void push_ack_ranges(lua_State *L, const struct frame_ack *ack)
{
    struct ack_walk walk = neap_ack_walk(ack);
    uint64_t first, last;

    lua_newtable(L);
    for (int i = 1; neap_ack_next(ack, &walk, &first, &last); i++) {
        lua_newtable(L);
        push_u64(L, first);
        lua_rawseti(L, -2, 1);
        push_u64(L, last);
        lua_rawseti(L, -2, 2);
        lua_rawseti(L, -2, i);
    }
    lua_setfield(L, -2, "ranges");
}

/* show_…: what the fields of a row of the frame table hold, into the table on top. */

static void show_nothing(lua_State *L, const struct frame *f)
{
    (void)L, (void)f;
}

static void show_padding(lua_State *L, const struct frame *f)
{
    set_u64(L, "size", f->padding_size);
}

static void show_ack(lua_State *L, const struct frame *f)
{
    set_u64(L, "largest", f->ack.largest);
    set_u64(L, "delay", f->ack.delay);
    push_ack_ranges(L, &f->ack);
    if (!f->ack.has_ecn)
        return;
    set_u64(L, "ect0", f->ack.ect0);
    set_u64(L, "ect1", f->ack.ect1);
    set_u64(L, "ce", f->ack.ce);
}

static void show_reset_stream(lua_State *L, const struct frame *f)
{
    set_u64(L, "id", f->reset_stream.id);
    set_u64(L, "code", f->reset_stream.code);
    set_u64(L, "final_size", f->reset_stream.final_size);
}

static void show_stop_sending(lua_State *L, const struct frame *f)
{
    set_u64(L, "id", f->stop_sending.id);
    set_u64(L, "code", f->stop_sending.code);
}

static void show_crypto(lua_State *L, const struct frame *f)
{
    set_u64(L, "offset", f->crypto.offset);
    set_span(L, "data", f->crypto.data);
}

static void show_token(lua_State *L, const struct frame *f)
{
    set_span(L, "token", f->token);
}

static void show_stream(lua_State *L, const struct frame *f)
{
    set_u64(L, "id", f->stream.id);
    set_u64(L, "offset", f->stream.offset);
    set_span(L, "data", f->stream.data);
    set_flag(L, "fin", f->stream.fin);
}

static void show_limit(lua_State *L, const struct frame *f)
{
    set_u64(L, "limit", f->limit);
}

static void show_stream_limit(lua_State *L, const struct frame *f)
{
    set_u64(L, "id", f->stream_limit.id);
    set_u64(L, "limit", f->stream_limit.limit);
}

static void show_streams_limit(lua_State *L, const struct frame *f)
{
    show_limit(L, f);
}

static void show_new_connection_id(lua_State *L, const struct frame *f)
{
    const struct frame_new_connection_id *new = &f->new_connection_id;

    set_u64(L, "sequence", new->sequence);
    set_u64(L, "retire_prior_to", new->retire_prior_to);
    set_bytes(L, "cid", new->cid.bytes, new->cid.size);
    set_bytes(L, "token", new->token, sizeof(new->token));
}

static void show_sequence(lua_State *L, const struct frame *f)
{
    set_u64(L, "sequence", f->sequence);
}

static void show_path_data(lua_State *L, const struct frame *f)
{
    set_bytes(L, "data", f->path_data, sizeof(f->path_data));
}

static void show_close(lua_State *L, const struct frame *f)
{
    set_u64(L, "code", f->close.code);
    if (!f->close.is_application)
        set_u64(L, "frame_type", f->close.frame_type);
    set_span(L, "reason", f->close.reason);
}

static void show_reset_stream_at(lua_State *L, const struct frame *f)
{
    show_reset_stream(L, f);
    set_u64(L, "reliable_size", f->reset_stream.reliable_size);
}

static void show_datagram(lua_State *L, const struct frame *f)
{
    set_span(L, "data", f->datagram.data);
    set_u64(L, "size", f->datagram.size);
}

static void show_ack_frequency(lua_State *L, const struct frame *f)
{
    set_u64(L, "sequence", f->ack_frequency.sequence);
    set_u64(L, "threshold", f->ack_frequency.threshold);
    set_u64(L, "max_delay_us", f->ack_frequency.max_delay_us);
    set_u64(L, "reordering", f->ack_frequency.reordering);
}

static void show_path_id(lua_State *L, const struct frame *f)
{
    set_u64(L, "path_id", f->path_id);
}

static void show_path_ack(lua_State *L, const struct frame *f)
{
    show_path_id(L, f);
    show_ack(L, f);
}

static void show_path_code(lua_State *L, const struct frame *f)
{
    show_path_id(L, f);
    set_u64(L, "code", f->code);
}

static void show_path_sequence(lua_State *L, const struct frame *f)
{
    show_path_id(L, f);
    show_sequence(L, f);
}

static void show_path_new_connection_id(lua_State *L, const struct frame *f)
{
    show_path_id(L, f);
    show_new_connection_id(L, f);
}

static void show_fields(lua_State *L, const struct frame *f)
{
    switch (f->kind) {
#define X(name, first, last, fields, handler, fate, rules) \
    case KIND_##name: show_##fields(L, f); return;
        FRAME_LIST(X)
#undef X
    case FRAME_KINDS: return;
    }
}

/* parse_frame(bytes) -> table, bytes taken | nil, code, reason */
static int parse_frame(lua_State *L)
{
    struct span bytes = copy_bytes(L, 1);
    struct reader r = reader_of(bytes);
    struct failure why = {0};
    struct frame f;
    int error = neap_frame_parse(&r, &f, &why), results = 2;

    if (error) {
        results = push_failure(L, error, &why);
    } else {
        lua_newtable(L);
        set_u64(L, "type", f.type);
        show_fields(L, &f);
        lua_pushnumber(L, (lua_Number)(r.at - bytes.data));
    }
    free_copy(bytes);
    return results;
}

/* write_…: the writer of what the fields of a row hold, out of the table at 1. */

static void write_nothing(lua_State *L, struct writer *w, enum frame_type type)
{
    (void)L;
    if (type == FRAME_PING)
        neap_write_ping(w);
    else if (type == FRAME_IMMEDIATE_ACK)
        neap_write_immediate_ack(w);
    else
        neap_write_handshake_done(w);
}

static void write_padding(lua_State *L, struct writer *w, enum frame_type type)
{
    (void)type;
    neap_write_padding(w, (size_t)get_u64(L, "size"));
}

/* ranges: {{first, last}, …} ascending, both inclusive */
static void write_ack(lua_State *L, struct writer *w, enum frame_type type)
{
    struct range ranges[256];
    uint64_t ecn[3] = {get_u64(L, "ect0"), get_u64(L, "ect1"), get_u64(L, "ce")};
    size_t count = 0;

    lua_getfield(L, 1, "ranges");
    for (; count < 256; count++) {
        lua_rawgeti(L, -1, (int)count + 1);
        if (lua_isnil(L, -1))
            break;
        lua_rawgeti(L, -1, 1);
        lua_rawgeti(L, -2, 2);
        ranges[count] = (struct range){to_u64(L, -2), to_u64(L, -1) + 1};
        lua_pop(L, 3);
    }
    if (neap_frame_kind((uint64_t)type) == KIND_PATH_ACK)
        neap_write_path_ack(w, get_u64(L, "path_id"), ranges, count, get_u64(L, "delay"),
                            type == FRAME_PATH_ACK_ECN ? ecn : NULL);
    else
        neap_write_ack(w, ranges, count, get_u64(L, "delay"), type == FRAME_ACK_ECN ? ecn : NULL);
}

static void write_reset_stream(lua_State *L, struct writer *w, enum frame_type type)
{
    (void)type;
    neap_write_reset_stream(w, get_u64(L, "id"), get_u64(L, "code"), get_u64(L, "final_size"));
}

static void write_stop_sending(lua_State *L, struct writer *w, enum frame_type type)
{
    (void)type;
    neap_write_stop_sending(w, get_u64(L, "id"), get_u64(L, "code"));
}

static void write_data(lua_State *L, struct writer *w, struct span data, size_t foretold)
{
    if (!w->full && writer_size(w) != foretold)
        luaL_error(L, "the header is not as long as foretold");
    write_span(w, data);
}

static void write_crypto(lua_State *L, struct writer *w, enum frame_type type)
{
    struct span data = get_span(L, "data");
    uint64_t offset = get_u64(L, "offset");

    (void)type;
    neap_write_crypto_header(w, offset, data.size);
    write_data(L, w, data, neap_crypto_header_size(offset, data.size));
}

static void write_token(lua_State *L, struct writer *w, enum frame_type type)
{
    (void)type;
    neap_write_new_token(w, get_span(L, "token"));
}

static void write_stream(lua_State *L, struct writer *w, enum frame_type type)
{
    struct span data = get_span(L, "data");
    uint64_t id = get_u64(L, "id"), offset = get_u64(L, "offset");

    (void)type;
    neap_write_stream_header(w, id, offset, data.size, get_flag(L, "fin"));
    write_data(L, w, data, neap_stream_header_size(id, offset, data.size));
}

static void write_limit(lua_State *L, struct writer *w, enum frame_type type)
{
    neap_write_number(w, type, get_u64(L, "limit"));
}

static void write_stream_limit(lua_State *L, struct writer *w, enum frame_type type)
{
    neap_write_stream_number(w, type, get_u64(L, "id"), get_u64(L, "limit"));
}

static void write_streams_limit(lua_State *L, struct writer *w, enum frame_type type)
{
    write_limit(L, w, type);
}

static void write_new_connection_id(lua_State *L, struct writer *w, enum frame_type type)
{
    struct frame_new_connection_id f = {
        .sequence = get_u64(L, "sequence"),
        .retire_prior_to = get_u64(L, "retire_prior_to"),
        .cid = get_cid(L, "cid"),
    };

    get_fixed(L, "token", f.token, sizeof(f.token));
    if (type == FRAME_PATH_NEW_CONNECTION_ID)
        neap_write_path_new_connection_id(w, get_u64(L, "path_id"), &f);
    else
        neap_write_new_connection_id(w, &f);
}

static void write_sequence(lua_State *L, struct writer *w, enum frame_type type)
{
    neap_write_number(w, type, get_u64(L, "sequence"));
}

static void write_path_data(lua_State *L, struct writer *w, enum frame_type type)
{
    uint8_t data[8];

    get_fixed(L, "data", data, sizeof(data));
    neap_write_path(w, type, data);
}

static void write_close(lua_State *L, struct writer *w, enum frame_type type)
{
    struct frame_close f = {
        .is_application = type == FRAME_CONNECTION_CLOSE_APP,
        .code = get_u64(L, "code"),
        .frame_type = get_u64(L, "frame_type"),
        .reason = get_span(L, "reason"),
    };

    neap_write_close(w, &f);
}

static void write_reset_stream_at(lua_State *L, struct writer *w, enum frame_type type)
{
    const struct frame_reset_stream f = {.id = get_u64(L, "id"),
                                         .code = get_u64(L, "code"),
                                         .final_size = get_u64(L, "final_size"),
                                         .reliable_size = get_u64(L, "reliable_size")};

    (void)type;
    neap_write_reset_stream_at(w, &f);
}

static void write_datagram(lua_State *L, struct writer *w, enum frame_type type)
{
    (void)type;
    neap_write_datagram(w, get_span(L, "data"));
}

static void write_ack_frequency(lua_State *L, struct writer *w, enum frame_type type)
{
    struct frame_ack_frequency f = {
        .sequence = get_u64(L, "sequence"),
        .threshold = get_u64(L, "threshold"),
        .max_delay_us = get_u64(L, "max_delay_us"),
        .reordering = get_u64(L, "reordering"),
    };

    (void)type;
    neap_write_ack_frequency(w, &f);
}

static void write_path_ack(lua_State *L, struct writer *w, enum frame_type type)
{
    write_ack(L, w, type);
}

static void write_path_new_connection_id(lua_State *L, struct writer *w, enum frame_type type)
{
    write_new_connection_id(L, w, type);
}

static void write_path_id(lua_State *L, struct writer *w, enum frame_type type)
{
    neap_write_number(w, type, get_u64(L, "path_id"));
}

static void write_path_code(lua_State *L, struct writer *w, enum frame_type type)
{
    neap_write_stream_number(w, type, get_u64(L, "path_id"), get_u64(L, "code"));
}

static void write_path_sequence(lua_State *L, struct writer *w, enum frame_type type)
{
    neap_write_stream_number(w, type, get_u64(L, "path_id"), get_u64(L, "sequence"));
}

static void write_by_type(lua_State *L, struct writer *w, enum frame_type type)
{
    switch (neap_frame_kind((uint64_t)type)) {
#define X(name, first, last, fields, handler, fate, rules) \
    case KIND_##name: write_##fields(L, w, type); return;
        FRAME_LIST(X)
#undef X
    case FRAME_KINDS: luaL_error(L, "no such frame");
    }
}

/* write_frame(table [, room]) -> bytes | nil when they do not fit */
static int write_frame(lua_State *L)
{
    size_t room = (size_t)luaL_optnumber(L, 2, ROOM);
    uint8_t *bytes = malloc(room ? room : 1);

    luaL_checktype(L, 1, LUA_TTABLE);
    if (!bytes)
        return luaL_error(L, "no memory");
    struct writer w = writer_of(bytes, room);
    write_by_type(L, &w, (enum frame_type)get_u64(L, "type"));
    push_written(L, &w);
    free(bytes);
    return 1;
}

/* frame_rules(type) -> set of names */
static int frame_rules(lua_State *L)
{
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = {
        {IN_INITIAL, "initial"}, {IN_EARLY, "early"},           {IN_HANDSHAKE, "handshake"},
        {IN_ONE_RTT, "one_rtt"}, {ELICITS, "elicits"},          {IN_FLIGHT, "in_flight"},
        {PROBING, "probing"},    {ONLY_TO_CLIENT, "to_client"}, {TWICE, "twice"},
    };
    unsigned rules = neap_frame_rules(neap_frame_kind(to_u64(L, 1)));

    lua_newtable(L);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (rules & names[i].bit)
            set_flag(L, names[i].name, true);
    return 1;
}

/* frames() -> list of { name =, first =, last = }: the rows of the table */
static int list_frames(lua_State *L)
{
    static const struct {
        const char *name;
        uint64_t first, last;
    } rows[] = {
#define X(name, first, last, fields, handler, fate, rules) {#name, first, last},
        FRAME_LIST(X)
#undef X
    };

    lua_newtable(L);
    for (size_t i = 0; i < FRAME_KINDS; i++) {
        lua_newtable(L);
        lua_pushstring(L, rows[i].name);
        lua_setfield(L, -2, "name");
        set_u64(L, "first", rows[i].first);
        set_u64(L, "last", rows[i].last);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

/* ---- headers */

static const char *const packet_types[] = {"initial", "0rtt", "handshake", "retry", "version_negotiation",
                                           "short",   NULL};

/* parse_header(bytes, short_dcid_size) -> table | nil, code | table, code of an unknown version */
static int parse_header(lua_State *L)
{
    struct span bytes = copy_bytes(L, 1);
    struct packet_header h;
    int error = neap_packet_header_parse(bytes, (size_t)luaL_checknumber(L, 2), &h);

    if (error && error != NEAP_ERR_UNKNOWN_VERSION) {
        free_copy(bytes);
        return push_failure(L, error, NULL);
    }
    lua_newtable(L);
    if (!error) {
        lua_pushstring(L, packet_types[h.type]);
        lua_setfield(L, -2, "type");
    }
    set_u64(L, "version", h.version);
    set_span(L, "dcid", h.dcid);
    set_span(L, "scid", h.scid);
    set_span(L, "token", h.token);
    set_span(L, "versions", h.versions);
    set_span(L, "retry_tag", h.retry_tag);
    set_u64(L, "number_at", h.number_at);
    set_u64(L, "size", h.size);
    free_copy(bytes);
    lua_pushnumber(L, error);
    return 2;
}

/* write_header{type, dcid, scid, token, number, number_size, length, spin, key_phase, random} -> bytes */
static int write_header(lua_State *L)
{
    uint8_t bytes[ROOM];
    struct writer w = writer_of(bytes, sizeof(bytes));

    luaL_checktype(L, 1, LUA_TTABLE);
    lua_getfield(L, 1, "type");
    enum neap_packet_type type = (enum neap_packet_type)luaL_checkoption(L, -1, NULL, packet_types);
    uint64_t number = get_u64(L, "version");
    const struct version *version = neap_version_find(number ? (uint32_t)number : NEAP_QUIC_V1);
    bool has_long_cids = type == NEAP_PACKET_VERSION_NEGOTIATION;
    neap_cid dcid = has_long_cids ? (neap_cid){0} : get_cid(L, "dcid");
    neap_cid scid = has_long_cids ? (neap_cid){0} : get_cid(L, "scid");
    uint8_t random = (uint8_t)get_u64(L, "random");
    size_t number_size = (size_t)get_u64(L, "number_size"), length_at, count;
    const struct version *known = neap_versions(&count);
    uint32_t every[LIMIT_VERSIONS];

    for (size_t i = 0; i < count; i++)
        every[i] = known[i].number;
    switch (type) {
    case NEAP_PACKET_INITIAL:
    case NEAP_PACKET_0RTT:
    case NEAP_PACKET_HANDSHAKE:
        length_at = neap_long_header_write(&w, version, type, &dcid, &scid, get_span(L, "token"), number_size,
                                           get_u64(L, "number"));
        neap_long_header_finish(bytes + length_at, (size_t)get_u64(L, "length"));
        break;
    case NEAP_PACKET_RETRY:
        neap_retry_header_write(&w, version, &dcid, &scid, get_span(L, "token"), random);
        break;
    case NEAP_PACKET_VERSION_NEGOTIATION:
        neap_version_negotiation_write(&w, get_span(L, "dcid"), get_span(L, "scid"), every, count,
                                       (uint64_t)random << 32 | get_u64(L, "reserved"));
        break;
    case NEAP_PACKET_SHORT:
        neap_short_header_write(&w, &dcid, get_flag(L, "spin"), get_flag(L, "key_phase"), number_size,
                                get_u64(L, "number"));
        break;
    }
    return push_written(L, &w);
}

static int number_size(lua_State *L)
{
    uint64_t largest_acked = lua_isnoneornil(L, 2) ? UINT64_MAX : to_u64(L, 2);

    lua_pushnumber(L, (lua_Number)neap_packet_number_size(to_u64(L, 1), largest_acked));
    return 1;
}

static int number_expand(lua_State *L)
{
    push_u64(L, neap_packet_number_expand(to_u64(L, 1), (size_t)luaL_checknumber(L, 2), to_u64(L, 3)));
    return 1;
}

/* versions() -> numbers in order of preference */
static int versions(lua_State *L)
{
    size_t count;
    const struct version *all = neap_versions(&count);

    lua_newtable(L);
    for (size_t i = 0; i < count; i++) {
        push_u64(L, all[i].number);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

int neap_units_wire(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"parse_frame", parse_frame},
        {"write_frame", write_frame},
        {"frame_rules", frame_rules},
        {"frames", list_frames},
        {"parse_header", parse_header},
        {"write_header", write_header},
        {"number_size", number_size},
        {"versions", versions},
        {"number_expand", number_expand},
        {"params", units_wire_params},
        {"parse_params", units_wire_parse_params},
        {"write_params", units_wire_write_params},
        {NULL, NULL},
    };

    lua_newtable(L);
    for (const luaL_Reg *f = functions; f->name; f++) {
        lua_pushcfunction(L, f->func);
        lua_setfield(L, -2, f->name);
    }
    return 1;
}
