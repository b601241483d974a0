/* Units of core/quic: connections with hand-fed datagrams and time, which can be made to say what they should not:
 * frames and transport parameters of the spec's choice under the right keys. */
#include "quic/draft.h"
#include "quic/multipath.h"
#include "quic_unit.h"
#include "tls/state.h"

int neap_units_quic_conn(lua_State *L);

/* A client that says other transport parameters than its config has: its ClientHello is made again. */
static void replace_params(lua_State *L, neap_conn *c, const char *name, struct span params)
{
    struct number_space *s = &c->handshake->spaces[SPACE_INITIAL];
    struct failure why = {0};

    neap_tls_free(c->handshake->tls);
    neap_crypto_stream_free(s->crypto, c->pool);
    neap_crypto_stream_init(s->crypto);
    struct tls_start start = {
        .server_name = name, .version = c->version->number, .params = params, .wall_clock = 1800000000};
    c->handshake->tls = neap_tls_client(&c->config->tls, &start, &why);
    if (!c->handshake->tls || neap_conn_take_tls(c, &why))
        luaL_error(L, "TLS: %s", why.reason ? why.reason : "?");
}

/* conn:params([bytes]) -> our transport parameters in TLS. With others they are said in their place: by a client that has sent
 * nothing yet, which makes its ClientHello again, or by a server that has received nothing yet. */
static int conn_params(lua_State *L)
{
    neap_conn *c = check_conn(L, 1);
    struct tls *tls = c->handshake->tls;
    size_t size;

    lua_pushlstring(L, (const char *)tls->params.data, tls->params.size);
    if (lua_isnoneornil(L, 2))
        return 1;
    const char *bytes = luaL_checklstring(L, 2, &size);
    if (!c->is_server) {
        char name[LIMIT_SERVER_NAME + 1];

        memcpy(name, neap_tls_server_name(tls), strlen(neap_tls_server_name(tls)) + 1);
        replace_params(L, c, name, span_of(bytes, size));
        return 1;
    }
    neap_tls_drop(tls, &tls->params);
    tls->params = neap_tls_copy(tls, span_of(bytes, size));
    return 1;
}

/* client(config, name, local, peer, now [, params]) */
static int client_new(lua_State *L)
{
    struct unit_config *u = check_config(L, 1);
    const char *name = luaL_checkstring(L, 2);
    neap_address local = check_address(L, 3), peer = check_address(L, 4);
    const char *why = "";
    neap_conn *conn = neap_connect(u->config, name, &local, &peer, check_time(L, 5), &why);

    if (!conn) {
        lua_pushnil(L);
        lua_pushstring(L, why);
        return 2;
    }
    if (!lua_isnoneornil(L, 6)) {
        size_t size;
        const char *params = luaL_checklstring(L, 6, &size);

        replace_params(L, conn, name, span_of(params, size));
    }
    push_conn(L, conn, true);
    return 1;
}

/* accept(config, initial, scid, original dcid or nil, local, peer, now) */
static int server_accept(lua_State *L)
{
    struct unit_config *u = check_config(L, 1);
    neap_header h = check_header(L, 2);
    neap_cid scid = check_cid(L, 3), original = {0};
    bool retried = !lua_isnil(L, 4);
    neap_address local = check_address(L, 5), peer = check_address(L, 6);
    const char *why = "";

    if (retried)
        original = check_cid(L, 4);
    neap_conn *conn =
        neap_accept(u->config, &h, &scid, retried ? &original : NULL, &local, &peer, check_time(L, 7), &why);
    if (!conn) {
        lua_pushnil(L);
        lua_pushstring(L, why);
        return 2;
    }
    push_conn(L, conn, true);
    return 1;
}

static int conn_free(lua_State *L)
{
    struct unit_conn *u = luaL_checkudata(L, 1, CONN);

    if (u->is_owned)
        neap_conn_free(u->conn);
    u->conn = NULL;
    return 0;
}

/* conn:recv(bytes, now [, from, ecn, to]) */
static int conn_recv(lua_State *L)
{
    neap_conn *c = check_conn(L, 1);
    size_t size;
    const char *bytes = luaL_checklstring(L, 2, &size);
    neap_recv_info info = {.from = conn_path(c)->address.peer, .to = conn_path(c)->address.local};
    /* A copy of just this size, so that reading past it is seen. */
    uint8_t *copy = malloc(size ? size : 1);

    if (!lua_isnoneornil(L, 4))
        info.from = check_address(L, 4);
    info.ecn = (uint8_t)luaL_optnumber(L, 5, 0);
    if (!lua_isnoneornil(L, 6))
        info.to = check_address(L, 6);
    memcpy(copy, bytes, size);
    int rc = neap_conn_recv(c, copy, size, &info, check_time(L, 3));
    free(copy);
    lua_pushnumber(L, rc);
    return 1;
}

/* conn:send(now [, room]) -> datagram */
static int conn_send(lua_State *L)
{
    neap_conn *c = check_conn(L, 1);
    size_t room = (size_t)luaL_optnumber(L, 3, 1500);
    uint8_t *out = malloc(room);
    int64_t size = neap_conn_send(c, out, room, NULL, check_time(L, 2));
    int count = push_packet(L, out, size);

    free(out);
    return count;
}

/* conn:burst(now [, room]) -> bytes, segment size, to, from, ecn */
static int conn_burst(lua_State *L)
{
    neap_conn *c = check_conn(L, 1);
    size_t room = (size_t)luaL_optnumber(L, 3, UDP_PAYLOAD_ROOM);
    neap_send_info info = {0};
    uint8_t *out = malloc(room);
    int64_t size = neap_conn_send_burst(c, out, room, &info, check_time(L, 2));
    int count = push_packet(L, out, size);

    free(out);
    if (size < 0)
        return count;
    lua_pushnumber(L, (lua_Number)info.segment_size);
    push_address(L, &info.to);
    push_address(L, &info.from);
    lua_pushnumber(L, info.ecn);
    return 5;
}

static int conn_timeout(lua_State *L)
{
    push_time(L, neap_conn_timeout(check_conn(L, 1)));
    return 1;
}

static int conn_on_timeout(lua_State *L)
{
    neap_conn_on_timeout(check_conn(L, 1), check_time(L, 2));
    return 0;
}

static int push_result(lua_State *L, int64_t result)
{
    if (result < 0)
        return push_error(L, result);
    lua_pushnumber(L, (lua_Number)result);
    return 1;
}

static int conn_open(lua_State *L)
{
    return push_result(L, neap_conn_stream_open(check_conn(L, 1), lua_toboolean(L, 2)));
}

static int conn_stream_send(lua_State *L)
{
    neap_conn *c = check_conn(L, 1);
    size_t size;
    const char *data = luaL_checklstring(L, 3, &size);

    return push_result(
        L, neap_conn_stream_send(c, (uint64_t)luaL_checknumber(L, 2), data, size, lua_toboolean(L, 4)));
}

static int conn_stream_recv(lua_State *L)
{
    neap_conn *c = check_conn(L, 1);
    static uint8_t out[UDP_PAYLOAD_ROOM];
    bool fin = false;
    int64_t size = neap_conn_stream_recv(c, (uint64_t)luaL_checknumber(L, 2), out, sizeof out, &fin);

    if (size < 0)
        return push_error(L, size);
    lua_pushlstring(L, (const char *)out, (size_t)size);
    lua_pushboolean(L, fin);
    return 2;
}

static int conn_shutdown(lua_State *L)
{
    neap_conn *c = check_conn(L, 1);
    enum neap_shutdown direction = lua_toboolean(L, 3) ? NEAP_SHUTDOWN_WRITE : NEAP_SHUTDOWN_READ;

    lua_pushnumber(L, neap_conn_stream_shutdown(c, (uint64_t)luaL_checknumber(L, 2), direction,
                                                (uint64_t)luaL_checknumber(L, 4)));
    return 1;
}

static int push_id(lua_State *L, int64_t id)
{
    if (id < 0)
        return 0;
    lua_pushnumber(L, (lua_Number)id);
    return 1;
}

static int conn_readable_next(lua_State *L)
{
    return push_id(L, neap_conn_stream_readable_next(check_conn(L, 1)));
}

static int conn_writable_next(lua_State *L)
{
    return push_id(L, neap_conn_stream_writable_next(check_conn(L, 1)));
}

/* conn:close(is_application, code, reason) */
static int conn_close(lua_State *L)
{
    neap_conn *c = check_conn(L, 1);
    size_t size;
    const char *reason = luaL_optlstring(L, 4, "", &size);

    lua_pushnumber(L,
                   neap_conn_close(c, lua_toboolean(L, 2), (uint64_t)luaL_checknumber(L, 3), reason, size));
    return 1;
}

static int conn_ping(lua_State *L)
{
    lua_pushnumber(L, neap_conn_ping(check_conn(L, 1)));
    return 1;
}

static int conn_keep_alive(lua_State *L)
{
    neap_conn_keep_alive(check_conn(L, 1), lua_isboolean(L, 2) ? (lua_toboolean(L, 2) ? NEAP_NEVER : 0)
                                                               : (neap_time)luaL_checknumber(L, 2));
    return 0;
}

/* conn:certificates() -> DERs that the peer showed */
static int conn_certificates(lua_State *L)
{
    neap_conn *c = check_conn(L, 1);
    size_t size;
    const uint8_t *der;

    lua_newtable(L);
    for (size_t i = 0; (der = neap_conn_peer_certificate(c, i, &size)) != NULL; i++) {
        lua_pushlstring(L, (const char *)der, size);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

static int conn_info(lua_State *L)
{
    static const char *const by[] = {
        "none", "local", "peer", "idle", "reset", "version", "handshake timeout"};
    neap_conn *c = check_conn(L, 1);
    neap_close_info close;
    size_t alpn_size;

    neap_conn_close_info(c, &close, sizeof close);
    lua_newtable(L);
    static const char *const early[] = {"none", "offered", "accepted", "rejected"};
    set_number(L, "version", neap_conn_version(c));
    set_number(L, "first_version", c->first_version->number);
    set_bool(L, "has_other_key", c->handshake && packet_key_is_set(&c->handshake->other_read));
    set_bool(L, "draws_fixed_bit", c->draws_fixed_bit);
    set_bool(L, "spins", conn_path(c)->spins);
    set_bool(L, "is_early", neap_conn_is_early(c));
    lua_pushstring(L, early[neap_conn_early(c)]);
    lua_setfield(L, -2, "early");
    set_bool(L, "has_early_key", neap_conn_early_key(c) != NULL);
    set_bool(L, "established", neap_conn_is_established(c));
    set_bool(L, "resumed", neap_conn_is_resumed(c));
    set_bool(L, "has_unchecked_dates", neap_conn_has_unchecked_dates(c));
    set_bool(L, "confirmed", neap_conn_is_confirmed(c));
    set_bool(L, "draining", neap_conn_is_draining(c));
    set_bool(L, "closed", neap_conn_is_closed(c));
    set_bool(L, "has_handshake", c->handshake != NULL);
    set_bool(L, "has_initial", c->handshake && packet_key_is_set(&c->handshake->spaces[0].read));
    set_bool(L, "reads_expanded", c->application.read.expanded != NULL);
    set_bool(L, "writes_expanded", c->application.write.expanded != NULL);
    set_bool(L, "keeps_old_expanded",
             (c->keys.previous_read && c->keys.previous_read->expanded) || c->keys.next_read.expanded);
    set_bool(L, "validated", conn_path(c)->address.validated);
    set_bool(L, "close_is_application", close.is_application);
    set_number(L, "code", close.code);
    set_number(L, "frame_type", close.frame_type);
    lua_pushstring(L, by[close.by]);
    lua_setfield(L, -2, "by");
    lua_pushlstring(L, close.reason, close.reason_size);
    lua_setfield(L, -2, "reason");
    const char *alpn = neap_conn_alpn(c, &alpn_size);
    lua_pushlstring(L, alpn ? alpn : "", alpn_size);
    lua_setfield(L, -2, "alpn");
    lua_pushstring(L, neap_conn_server_name(c));
    lua_setfield(L, -2, "server_name");
    return 1;
}

static int conn_stats(lua_State *L)
{
    neap_conn *c = check_conn(L, 1);
    neap_stats s;

    neap_conn_stats(c, &s, sizeof s);
    lua_newtable(L);
    set_number(L, "packets_sent", s.packets_sent);
    set_number(L, "packets_received", s.packets_received);
    set_number(L, "packets_lost", s.packets_lost);
    set_number(L, "packets_dropped", s.packets_dropped);
    set_number(L, "bytes_sent", s.bytes_sent);
    set_number(L, "bytes_received", s.bytes_received);
    set_number(L, "window", s.congestion_window);
    set_number(L, "in_flight", s.bytes_in_flight);
    set_number(L, "rtt", s.rtt_smoothed);
    set_number(L, "pto_count", s.pto_count);
    set_number(L, "key_updates", s.key_updates);
    set_number(L, "kept", s.undecryptable_kept);
    set_number(L, "path_changes", s.path_changes);
    set_number(L, "receive_held", s.receive_held);
    set_number(L, "receive_unread", s.receive_unread);
    set_number(L, "stream_bytes_received", s.stream_bytes_received);
    set_number(L, "backoff", conn_path(c)->recovery.pto_count);
    set_number(L, "eliciting_in_flight", c->application.recovery.sent.eliciting_in_flight);
    set_number(L, "next_number", c->application.next_number);
    set_number(L, "skip_at", c->application.skip_at);
    set_number(L, "ack_ranges_ignored", s.ack_ranges_ignored);
    set_number(L, "ack_ranges", c->application.ack.received.count);
    set_number(L, "unproductive", c->unproductive);
    set_number(L, "ack_every", c->application.ack.policy.every);
    set_number(L, "ack_delay", c->application.ack.policy.max_delay);
    set_number(L, "asked_every", c->ack_request.every);
    set_number(L, "asked", c->ack_request.next_sequence);
    set_number(L, "peer_ack_delay", c->recovery.max_ack_delay);
    set_number(L, "ecn", s.ecn);
    set_number(L, "ecn_sent", s.ecn_sent);
    set_number(L, "ecn_ce_told", s.ecn_ce_told);
    set_number(L, "ecn_received", s.ecn_received);
    set_number(L, "ecn_ce_received", s.ecn_ce_received);
    return 1;
}

static int conn_ids(lua_State *L)
{
    neap_cid source, destination, original;

    neap_conn_ids(check_conn(L, 1), &source, &destination, &original);
    push_cid(L, &source);
    push_cid(L, &destination);
    push_cid(L, &original);
    return 3;
}

static int conn_source_ids(lua_State *L)
{
    neap_cid ids[16];
    size_t count = neap_conn_source_ids(check_conn(L, 1), ids, 16);

    lua_newtable(L);
    for (size_t i = 0; i < count; i++) {
        push_cid(L, &ids[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

static lua_Number option(lua_State *L, int table, const char *name, lua_Number otherwise)
{
    lua_Number value = otherwise;

    if (!lua_istable(L, table))
        return otherwise;
    lua_getfield(L, table, name);
    if (lua_isnumber(L, -1))
        value = lua_tonumber(L, -1);
    lua_pop(L, 1);
    return value;
}

/* conn:inject(space, payload [, {bits, clear, number, pad, dcid, slot}]): a packet of this payload under the connection's own
 * write keys, recorded as one that nobody waits for. bits: set, clear: cleared in the first byte before header protection; pad: bytes of
 * the whole; dcid: index of the peer's connection ID that it goes to; slot: of its path ID. */
static int conn_inject(lua_State *L)
{
    neap_conn *c = check_conn(L, 1);
    enum space space = (enum space)luaL_checknumber(L, 2);
    uint8_t slot = (uint8_t)option(L, 4, "slot", 0);
    size_t size;
    const char *payload = luaL_checklstring(L, 3, &size);
    struct number_space *s = conn_space(c, (enum space)(space + slot));
    struct packet_key *key = slot ? &c->application.write : &s->write;
    const struct peer_cids *cids = neap_multipath_peer_cids(c, slot);
    uint8_t out[2048];
    struct writer w = writer_of(out, sizeof out - CRYPTO_TAG);
    size_t length_at = 0, pad = (size_t)option(L, 4, "pad", 0);

    luaL_argcheck(L, packet_key_is_set(key), 2, "no keys");
    uint64_t number = (uint64_t)option(L, 4, "number", (lua_Number)s->next_number);
    const neap_cid *dcid = &cids->ids[(size_t)option(L, 4, "dcid", cids->active)].cid;
    bool is_early = space == SPACE_APPLICATION && c->handshake && c->handshake->sends_early;
    if (space == SPACE_APPLICATION && !is_early)
        neap_short_header_write(&w, dcid, false, c->keys.write_phase, 4, number);
    else
        length_at = neap_long_header_write(&w, c->version,
                                           is_early                 ? NEAP_PACKET_0RTT
                                           : space == SPACE_INITIAL ? NEAP_PACKET_INITIAL
                                                                    : NEAP_PACKET_HANDSHAKE,
                                           dcid, &c->handshake->source_cid, (struct span){0}, 4, number);
    size_t header_size = writer_size(&w);
    write_bytes(&w, payload, size);
    if (pad > writer_size(&w) + CRYPTO_TAG)
        neap_write_padding(&w, pad - writer_size(&w) - CRYPTO_TAG);
    luaL_argcheck(L, !w.full, 3, "too long");
    if (length_at)
        neap_long_header_finish(out + length_at, 4 + writer_size(&w) - header_size + CRYPTO_TAG);
    out[0] = (uint8_t)((out[0] | (unsigned)option(L, 4, "bits", 0)) & ~(unsigned)option(L, 4, "clear", 0));
    struct seal_packet packet = {.header = out,
                                 .header_size = header_size,
                                 .number_size = 4,
                                 .number = number,
                                 .path_id = neap_multipath_id(c, slot),
                                 .payload_size = writer_size(&w) - header_size};
    if (number >= s->next_number) {
        struct sent_packet record = {.number = number, .at = c->now};

        s->next_number = number + 1;
        if (neap_sent_reserve(&s->recovery.sent, c->pool, 1))
            return luaL_error(L, "no memory");
        neap_sent_add(&s->recovery.sent, &record, NULL, 0);
    }
    if (neap_packets_seal(c->crypto, key, &packet, 1))
        return luaL_error(L, "seal");
    lua_pushlstring(L, (const char *)out, writer_size(&w) + CRYPTO_TAG);
    return 1;
}

static int conn_update_keys(lua_State *L)
{
    lua_pushboolean(L, neap_conn_begin_phase(check_conn(L, 1)));
    return 1;
}

/* Update write keys whatever the rules say. */
static int conn_force_update(lua_State *L)
{
    neap_conn *c = check_conn(L, 1);

    struct packet_key old = c->application.write;

    neap_packet_key_next(&c->application.write, &old, c->labels, c->keys.write_secret);
    neap_packet_key_wipe(c->crypto, &old);
    c->keys.write_phase = !c->keys.write_phase;
    return 0;
}

/* Pretend that so many packets were sealed, or failed to open, under the current keys. */
static int conn_set_use(lua_State *L)
{
    neap_conn *c = check_conn(L, 1);

    c->keys.sealed = (uint64_t)luaL_checknumber(L, 2);
    c->keys.forged = (uint64_t)luaL_checknumber(L, 3);
    return 0;
}

static int conn_news(lua_State *L)
{
    lua_pushnumber(L, neap_conn_take_news(check_conn(L, 1)));
    return 1;
}

static int conn_set_user(lua_State *L)
{
    neap_conn_set_user(check_conn(L, 1), (void *)(uintptr_t)luaL_checknumber(L, 2));
    return 0;
}

static int conn_user(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)(uintptr_t)neap_conn_user(check_conn(L, 1)));
    return 1;
}

static int conn_active_reset_token(lua_State *L)
{
    neap_conn *c = check_conn(L, 1);
    const struct peer_cid *active = &c->peer_cids.ids[c->peer_cids.active];

    lua_pushlstring(L, (const char *)active->token, sizeof active->token);
    lua_pushboolean(L, active->has_token);
    return 2;
}

/* conn:has_received(space, number) */
static int conn_has_received(lua_State *L)
{
    const struct number_space *s = conn_space(check_conn(L, 1), (enum space)luaL_checknumber(L, 2));

    lua_pushboolean(L, neap_ack_is_duplicate(&s->ack, (uint64_t)luaL_checknumber(L, 3)));
    return 1;
}

/* conn:handshake_data(space): the CRYPTO data that is not acknowledged. */
static int conn_handshake_data(lua_State *L)
{
    const struct send_buffer *b =
        &conn_space(check_conn(L, 1), (enum space)luaL_checknumber(L, 2))->crypto->send;
    uint8_t out[2048];
    size_t size = (size_t)(b->end - b->base);

    luaL_argcheck(L, size <= sizeof out, 2, "too much");
    neap_send_buffer_copy(b, b->base, out, size);
    lua_pushlstring(L, (const char *)out, size);
    return 1;
}

static void count_event(void *context, const neap_trace_event *event)
{
    struct unit_conn *u = context;

    u->traced[event->kind]++;
    if (event->kind == NEAP_TRACE_CLOSED)
        u->closed = *event;
}

/* conn:trace(): count events from now on; conn:traced() -> the counts by kind, code and reason of the end. */
static int conn_trace(lua_State *L)
{
    struct unit_conn *u = luaL_checkudata(L, 1, CONN);

    u->tracer = (neap_tracer){.emit = count_event, .context = u};
    neap_conn_set_tracer(check_conn(L, 1), &u->tracer);
    return 0;
}

static int conn_traced(lua_State *L)
{
    static const char *const kinds[NEAP_TRACE_PACKET_ACKED + 1] = {
        "sent",         "received", "dropped",       "lost",   "metrics", "keys_discarded",
        "keys_updated", "state",    "accept_failed", "closed", "acked"};
    const struct unit_conn *u = luaL_checkudata(L, 1, CONN);

    lua_newtable(L);
    for (size_t i = 0; i <= NEAP_TRACE_PACKET_ACKED; i++)
        set_number(L, kinds[i], u->traced[i]);
    set_number(L, "code", u->closed.values[1]);
    lua_pushstring(L, u->closed.why);
    lua_setfield(L, -2, "why");
    return 1;
}

/* conn:draft(room) -> whether a 1-RTT packet of at most `room` bytes has something to say, and whether it has an ACK. It
 * is not sent. */
static int conn_draft(lua_State *L)
{
    neap_conn *c = check_conn(L, 1);
    uint8_t out[1200];
    size_t room = (size_t)luaL_checkinteger(L, 2);
    struct allowance allowed = {.room = room, .may_elicit = true, .may_expand = true};
    struct draft d;

    luaL_argcheck(L, room <= sizeof out, 2, "too large");
    bool is_written = neap_draft_write(c, &d, conn_path(c), SPACE_APPLICATION, out, room, &allowed);
    lua_pushboolean(L, is_written);
    lua_pushboolean(L, is_written && d.has_ack);
    return 2;
}

static void set_text(lua_State *L, const char *name, const void *bytes, size_t size)
{
    lua_pushlstring(L, size ? bytes : "", size);
    lua_setfield(L, -2, name);
}

/* conn:question() -> { kind, id, server_name, bytes, certificate, scheme, is_verified }, nil */
static int conn_question(lua_State *L)
{
    neap_question q;

    if (!neap_conn_question(check_conn(L, 1), &q, sizeof q))
        return 0;
    lua_newtable(L);
    set_number(L, "kind", q.kind);
    set_number(L, "id", q.id);
    set_number(L, "scheme", q.scheme);
    set_bool(L, "is_verified", q.is_verified);
    set_text(L, "server_name", q.server_name, strlen(q.server_name));
    set_text(L, "bytes", q.bytes, q.size);
    set_text(L, "certificate", q.certificate, q.certificate_size);
    return 1;
}

/* conn:answer(kind, id[, bytes[, key]]) -> 0 or a code */
static int conn_answer(lua_State *L)
{
    neap_conn *c = check_conn(L, 1);
    enum neap_question_kind kind = (enum neap_question_kind)luaL_checknumber(L, 2);
    uint64_t id = (uint64_t)luaL_checknumber(L, 3);
    size_t size = 0, key_size = 0;
    const char *bytes = luaL_optlstring(L, 4, NULL, &size), *key = luaL_optlstring(L, 5, NULL, &key_size);
    int rc;

    if (kind == NEAP_ASK_SIGNATURE)
        rc = neap_conn_answer_signature(c, id, bytes, size);
    else if (kind == NEAP_ASK_CERTIFICATE)
        rc = neap_conn_answer_certificate(c, id, bytes, size, key, key_size, NULL, 0, NULL);
    else
        rc = neap_conn_answer_peer(c, id);
    lua_pushnumber(L, rc);
    return 1;
}

/* conn:refuse(id, alert, reason) -> 0 or a code */
static int conn_refuse(lua_State *L)
{
    lua_pushnumber(L, neap_conn_refuse_question(check_conn(L, 1), (uint64_t)luaL_checknumber(L, 2),
                                                (uint8_t)luaL_checknumber(L, 3), luaL_optstring(L, 4, NULL)));
    return 1;
}

static const luaL_Reg conn_methods[] = {
    {"question", conn_question},
    {"answer", conn_answer},
    {"refuse", conn_refuse},
    {"draft", conn_draft},
    {"free", conn_free},
    {"recv", conn_recv},
    {"ping", conn_ping},
    {"keep_alive", conn_keep_alive},
    {"send", conn_send},
    {"burst", conn_burst},
    {"timeout", conn_timeout},
    {"on_timeout", conn_on_timeout},
    {"open", conn_open},
    {"stream_send", conn_stream_send},
    {"stream_recv", conn_stream_recv},
    {"shutdown", conn_shutdown},
    {"readable_next", conn_readable_next},
    {"writable_next", conn_writable_next},
    {"close", conn_close},
    {"info", conn_info},
    {"params", conn_params},
    {"certificates", conn_certificates},
    {"stats", conn_stats},
    {"ids", conn_ids},
    {"source_ids", conn_source_ids},
    {"inject", conn_inject},
    {"update_keys", conn_update_keys},
    {"force_update", conn_force_update},
    {"set_use", conn_set_use},
    {"news", conn_news},
    {"set_user", conn_set_user},
    {"user", conn_user},
    {"active_reset_token", conn_active_reset_token},
    {"has_received", conn_has_received},
    {"handshake_data", conn_handshake_data},
    {"trace", conn_trace},
    {"traced", conn_traced},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"client", client_new},
    {"accept", server_accept},
    {NULL, NULL},
};

static void add_methods(lua_State *L, const luaL_Reg *method)
{
    for (; method->name; method++) {
        lua_pushcfunction(L, method->func);
        lua_setfield(L, -2, method->name);
    }
}

int neap_units_quic_conn(lua_State *L)
{
    new_type(L, CONN, conn_methods, conn_free);
    luaL_getmetatable(L, CONN);
    lua_getfield(L, -1, "__index");
    add_methods(L, unit_early_methods);
    add_methods(L, unit_stream_methods);
    add_methods(L, unit_path_methods);
    add_methods(L, unit_qlog_methods);
    lua_pop(L, 2);
    push_functions(L, functions);
    return 1;
}
