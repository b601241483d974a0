/* Datagrams out: budgets, coalescing, padding, bursts; and CONNECTION_CLOSE. */
#include "quic/conn_trace.h"
#include "quic/draft.h"
#include "quic/migration.h"
#include "quic/multipath.h"

#define SMALL_WINDOW 32u /* datagrams, below which each counts */

/* The three packets that a datagram may carry, one of each space (RFC 9000 §12.2). Those behind `count` are not set: they
 * are large, and there is one a datagram. */
struct parcel {
    struct path *path;
    size_t count, size;
    struct draft drafts[SPACES];
};

static void parcel_begin(struct parcel *p, struct path *path)
{
    p->path = path;
    p->count = p->size = 0;
}

static void flight_begin(struct flight *flight, bool is_marked)
{
    flight->count = 0;
    flight->key = NULL;
    flight->failed = 0;
    flight->is_marked = is_marked;
}

static void parcel_add(struct parcel *p)
{
    p->size += neap_draft_size(&p->drafts[p->count++]);
}

/* RFC 9000 §14.1: a client's datagram with an Initial, a server's with an ack-eliciting one; §8.2.1
 * and §8.2.2 with a PATH_CHALLENGE or PATH_RESPONSE. Where amplification forbids it they stay small. */
static bool must_expand(const neap_conn *c, const struct parcel *p)
{
    const struct draft *first = &p->drafts[0], *last = &p->drafts[p->count - 1];

    return last->must_expand || (first->space == SPACE_INITIAL && (first->ack_eliciting || !c->is_server));
}

static void parcel_pad(struct parcel *p, size_t size)
{
    struct draft *last = &p->drafts[p->count - 1];

    if (p->size >= size)
        return;
    size_t more = size - p->size;
    neap_draft_pad(last, neap_draft_size(last) + more);
    p->size = size;
}

static void parcel_commit(neap_conn *c, struct parcel *p, struct flight *flight)
{
    bool has_handshake = false;

    for (size_t i = 0; i < p->count; i++) {
        has_handshake |= p->drafts[i].space == SPACE_HANDSHAKE;
        neap_draft_commit(c, &p->drafts[i], flight);
    }
    conn_on_sent(c, p->path, p->size);
    c->counters.bytes_sent += p->size;
    /* RFC 9001 §4.9.1: a client's Initial keys go when it first sends a Handshake packet. */
    if (has_handshake && !c->is_server && space_can_send(conn_space(c, SPACE_INITIAL))) {
        neap_flight_seal(c, flight);
        neap_conn_discard_space(c, SPACE_INITIAL);
    }
}

/* A burst goes on only while its datagrams are of one size: what is nearly full is filled when more is to come. */
static bool is_worth_filling(neap_conn *c, const struct parcel *p, size_t room)
{
    const struct draft *last = &p->drafts[p->count - 1];

    return p->size < room && room - p->size < MIN_ROOM && last->ack_eliciting &&
           last->space >= SPACE_APPLICATION && neap_conn_wants(c, last->space, p->path);
}

/* A buffer smaller than our datagrams are takes smaller ones. */
static size_t room_for_one(const struct path *path, size_t size)
{
    size_t most = path_recovery_udp_payload_size(&path->recovery);

    return size < most ? size : most;
}

/* Where nothing in flight is waited for, the window would not open again: a probe of the size that was lost, which the
 * least window has little room beside, is found out by the acknowledgement of what is sent after it. */
static bool has_window(const neap_conn *c, const struct path *on, size_t room)
{
    const struct path_recovery *path = &on->recovery;

    return (neap_path_recovery_window_left(path) >= room &&
            neap_path_recovery_burst_left(path, c->now) >= room) ||
           !neap_recovery_awaits(&c->recovery, path_space(on));
}

/* What congestion control and the pacer say to a datagram of this size. Probes are not asked about (RFC 9002 §7.5). */
static bool may_elicit(neap_conn *c, struct path *on, size_t room)
{
    struct path_recovery *path = &on->recovery;

    if (!has_window(c, on, room) || path->pmtu.waits)
        return false;
    if (neap_pacer_budget(&path->pacer, c->now) >= room)
        return true;
    c->pacer_at = neap_pacer_ready_at(&path->pacer, room, c->now);
    return c->pacer_at <= c->now;
}

/* Of a window of ten datagrams half a one would lie idle: what is left of it takes one that is a little smaller, in which
 * all that is ever owed has room, but for datagrams of the application. A small one is lost as often as a large one, and its
 * acknowledgement makes room for no more than another small one. Not for several paths: small windows would take more together
 * than the one of a connection beside them. */
static size_t room_in_window(const neap_conn *c, const struct path *on, size_t room)
{
    const struct path_recovery *path = &on->recovery;
    uint64_t left = neap_path_recovery_window_left(path);
    size_t least = room - room / 4;

    if (least < NEAP_MIN_UDP_PAYLOAD)
        least = NEAP_MIN_UDP_PAYLOAD;
    bool may_cut = c->stage == STAGE_CONFIRMED && !c->multipath && !(c->datagrams && c->datagrams->queues);
    return may_cut && left >= least && left < room && path->cc.window < SMALL_WINDOW * room ? (size_t)left
                                                                                            : room;
}

/* The spaces whose packets may be on a path: [first, last]. The handshake's are on that of path ID 0. */
static enum space first_space(const neap_conn *c, const struct path *path)
{
    return path->slot || !c->handshake ? path_space(path) : SPACE_INITIAL;
}

static bool can_send(neap_conn *c, enum space space)
{
    return space > SPACE_APPLICATION || space_can_send(conn_space(c, space));
}

static bool anything_wanted(neap_conn *c, const struct path *path)
{
    for (enum space space = first_space(c, path); space <= path_space(path); space++)
        if (can_send(c, space) && neap_conn_wants(c, space, path))
            return true;
    return false;
}

/* One datagram of at most `room` bytes; 0 when there is nothing to say or it may not be said now. */
static size_t write_udp_datagram(neap_conn *c, struct path *path, struct flight *flight, uint8_t *out,
                                 size_t room, bool may_have_data)
{
    struct parcel p;
    uint64_t amplification = neap_validation_budget(&path->address);

    room = room_in_window(c, path, room);
    if (amplification < room)
        room = (size_t)amplification;
    if (room < MIN_ROOM)
        return 0;
    parcel_begin(&p, path);
    struct allowance allowed = {.room = room,
                                .may_elicit = may_have_data && may_elicit(c, path, room),
                                .may_expand = room >= NEAP_MIN_UDP_PAYLOAD,
                                .is_ping_only = !may_have_data};

    for (enum space space = first_space(c, path); space <= path_space(path); space++) {
        if (!can_send(c, space))
            continue;
        if (neap_draft_write(c, &p.drafts[p.count], path, space, out + p.size, room - p.size, &allowed))
            parcel_add(&p);
    }
    if (p.count == 0)
        return 0;
    if (allowed.may_expand && must_expand(c, &p))
        parcel_pad(&p, NEAP_MIN_UDP_PAYLOAD);
    if (is_worth_filling(c, &p, room))
        parcel_pad(&p, room);
    parcel_commit(c, &p, flight);
    return p.size;
}

/* One at a time means that only a rotation has the peer hold a second one for a while. */
bool neap_conn_looks_for_id(neap_conn *c)
{
    struct local_cids *l = &c->local_cids;

    l->is_sated = !neap_local_cids_wants(l);
    return !l->is_sated &&
           (!c->is_server || !neap_config_has_single_ids(c->config) || !neap_local_cids_has_current(l));
}

int neap_conn_rotate_ids(neap_conn *conn)
{
    if (!conn_is_alive(conn))
        return NEAP_ERR_CLOSED;
    if (conn->local_cids.cid_size == 0)
        return NEAP_ERR_STATE;
    neap_local_cids_rotate(&conn->local_cids);
    neap_conn_wake(conn);
    return 0;
}

void neap_conn_issue_id(neap_conn *c, const neap_cid *cid)
{
    if (!c->local_cids.is_sated && neap_conn_looks_for_id(c))
        neap_local_cids_issue(&c->local_cids, cid);
    else
        neap_multipath_issue_id(c, cid);
}

static bool is_own(void *context, const neap_cid *id)
{
    const neap_conn *c = context;

    uint8_t slot;

    return neap_local_cids_find(&c->local_cids, cid_span(id)) != NULL ||
           (c->multipath && neap_multipath_find_cid(c, cid_span(id), &slot));
}

/* Without an endpoint, which sees to it, nobody else has IDs that ours could meet. */
static void issue_ids(neap_conn *c)
{
    neap_cid cid;

    while (!c->entry.endpoint && conn_wants_id(c) &&
           neap_config_new_cid(c->config, c->local_cids.cid_size, is_own, c, &cid))
        neap_conn_issue_id(c, &cid);
}

/* One datagram of a path that is not the active one: what its validation needs (RFC 9000 §8.2). */
static size_t write_probing_datagram(neap_conn *c, struct path *path, uint8_t *out, size_t size,
                                     bool is_marked)
{
    struct flight flight;
    struct parcel p;
    uint64_t amplification = neap_validation_budget(&path->address);
    size_t room = room_for_one(path, size);

    flight_begin(&flight, is_marked);
    parcel_begin(&p, path);

    if (amplification < room)
        room = (size_t)amplification;
    struct allowance allowed = {.room = room, .may_expand = room >= NEAP_MIN_UDP_PAYLOAD};
    if (!neap_draft_write_probing(c, &p.drafts[0], path, out, room, &allowed))
        return 0;
    parcel_add(&p);
    if (allowed.may_expand)
        parcel_pad(&p, NEAP_MIN_UDP_PAYLOAD);
    parcel_commit(c, &p, &flight);
    if (neap_flight_seal(c, &flight) == 0)
        return p.size;
    neap_conn_vanish(c, NEAP_CLOSE_LOCAL, "packets could not be sealed");
    return 0;
}

/* A datagram larger than the others, to see whether it comes through: it goes before data, or data would never leave it
 * room in the window. */
static size_t write_size_probe(neap_conn *c, struct path *path, uint8_t *out, size_t size, bool is_marked)
{
    struct flight flight;
    struct parcel p;
    size_t probe = neap_conn_size_probe(c, path, size);

    path->recovery.pmtu.waits = false;
    if (probe == 0 || !may_elicit(c, path, path->recovery.pmtu.size))
        return 0;
    path->recovery.pmtu.waits = !has_window(c, path, probe);
    parcel_begin(&p, path);
    if (path->recovery.pmtu.waits || !neap_draft_write_size_probe(c, &p.drafts[0], path, out, probe))
        return 0;
    flight_begin(&flight, is_marked);
    parcel_add(&p);
    parcel_commit(c, &p, &flight);
    neap_pmtu_on_probe_sent(&path->recovery.pmtu, (uint16_t)probe);
    if (neap_flight_seal(c, &flight) == 0)
        return p.size;
    neap_conn_vanish(c, NEAP_CLOSE_LOCAL, "packets could not be sealed");
    return 0;
}

/* Whether what leaves there now is marked. While an address is asked nothing is: little may be sent there, and a router that
 * drops marks would leave it unproved. */
static bool marks(const struct path *path)
{
    return path_recovery_marks(&path->recovery) && !neap_validation_runs(&path->address);
}

static void fill_info(const neap_conn *c, const struct path *path, neap_send_info *info, size_t segment,
                      bool is_marked)
{
    if (info)
        *info = (neap_send_info){.from = path->address.local,
                                 .to = path->address.peer,
                                 .at = c->now,
                                 .segment_size = segment,
                                 .ecn = is_marked ? ECN_ECT0 : 0};
}

/* The close in one space. An application's close must not be seen in the open (RFC 9000 §10.2.3). */
static bool write_close(neap_conn *c, struct draft *d, struct path *path, enum space space, uint8_t *out,
                        size_t room)
{
    struct frame_close f = {.is_application = c->close.is_application,
                            .code = c->close.code,
                            .frame_type = c->close.frame_type,
                            .reason = span_of(c->close.reason, c->close.reason_size)};

    if (space < SPACE_APPLICATION && f.is_application)
        f = (struct frame_close){.code = NEAP_APPLICATION_ERROR};
    if (neap_sent_reserve(&conn_space(c, space)->recovery.sent, c->pool, 1) ||
        !neap_draft_begin(c, d, path, space, out, room))
        return false;
    uint8_t *before = d->w.at;
    neap_write_close(&d->w, &f);
    if (d->w.full) {
        d->w.at = before;
        d->w.full = false;
        return false;
    }
    return true;
}

/* What answers datagrams that nobody opened is at most three times as large (RFC 9000 §10.2.1). A client's Initials need
 * 1200 bytes, or they are not sent (§14.1). */
static bool may_answer(neap_conn *c, size_t *room)
{
    size_t left = 3 * (size_t)c->close.heard - c->close.said;
    size_t least =
        !c->is_server && space_can_send(conn_space(c, SPACE_INITIAL)) ? NEAP_MIN_UDP_PAYLOAD : MIN_ROOM;

    if (left < *room)
        *room = left;
    return *room >= least;
}

/* RFC 9000 §10.2.3: before the handshake is confirmed the peer may lack any of the keys, so all of ours are used. */
static size_t write_close_udp_datagram(neap_conn *c, struct path *path, uint8_t *out, size_t room)
{
    struct flight flight;
    struct parcel p;
    uint64_t amplification = neap_validation_budget(&path->address);

    flight_begin(&flight, false);
    parcel_begin(&p, path);
    c->close.owed = false;
    /* Time may have passed since the application closed: the period begins with the first word of it. */
    if (c->close.received == 0 && !c->close.is_put_off)
        c->close.until = c->now + neap_conn_draining_time(c);
    if (amplification < room)
        room = (size_t)amplification;
    if (c->close.received > 0 && !may_answer(c, &room))
        return 0;
    for (enum space space = first_space(c, path); space <= path_space(path); space++) {
        if (!can_send(c, space) || room - p.size < MIN_ROOM)
            continue;
        if (write_close(c, &p.drafts[p.count], p.path, space, out + p.size, room - p.size))
            parcel_add(&p);
    }
    if (p.count == 0)
        return 0;
    if (p.drafts[0].space == SPACE_INITIAL && !c->is_server && room >= NEAP_MIN_UDP_PAYLOAD)
        parcel_pad(&p, NEAP_MIN_UDP_PAYLOAD);
    for (size_t i = 0; i < p.count; i++)
        neap_draft_commit(c, &p.drafts[i], &flight);
    conn_on_sent(c, p.path, p.size);
    c->counters.bytes_sent += p.size;
    if (c->close.received > 0)
        c->close.said += (uint32_t)p.size;
    return neap_flight_seal(c, &flight) ? 0 : p.size;
}

/* Where data ran out the pacer is not waited for. When that was before the window did, the window says nothing about the
 * path (RFC 9002 §7.8). */
static void note_what_is_left(neap_conn *c, struct path *on, size_t room)
{
    struct path_recovery *path = &on->recovery;
    bool ran_out = !anything_wanted(c, on);

    if (ran_out)
        c->pacer_at = NEAP_NEVER;
    neap_path_recovery_set_app_limited(path, ran_out && neap_path_recovery_window_left(path) >= room,
                                       c->streams.unsent > 0);
}

/* What little may be sent to a new address is kept for asking whether the peer is there: data would leave nothing for
 * the second time, and a peer that sends little and then listens would never be proved. */
static bool is_kept_for_validation(const neap_conn *c, const struct path *path)
{
    return c->stage == STAGE_CONFIRMED && neap_validation_budget(&path->address) < NEAP_MIN_UDP_PAYLOAD;
}

static size_t write_burst(neap_conn *c, struct path *path, uint8_t *out, size_t size, size_t most,
                          size_t *segment, bool is_marked, bool may_have_data)
{
    struct flight flight;
    size_t room = room_for_one(path, size);
    size_t used = 0;

    flight_begin(&flight, is_marked);
    *segment = 0;
    if (is_marked)
        most = neap_ecn_burst(&path->recovery.ecn, most);
    c->pacer_at = NEAP_NEVER;
    for (size_t n = 0; n < most && size - used >= room; n++) {
        size_t written = write_udp_datagram(c, path, &flight, out + used, room, may_have_data);

        if (written == 0)
            break;
        used += written;
        if (*segment == 0)
            *segment = written;
        if (written < room)
            break;
    }
    if (neap_flight_seal(c, &flight)) {
        neap_conn_vanish(c, NEAP_CLOSE_LOCAL, "packets could not be sealed");
        return 0;
    }
    note_what_is_left(c, path, room);
    return used;
}

/* By several path IDs: on the first of their paths, in the order that the scheduler has, that may send something. */
static size_t write_over_paths(neap_conn *c, struct path **path, uint8_t *out, size_t size, size_t most,
                               size_t *segment, bool *is_marked)
{
    struct path *order[LIMIT_PATHS];
    size_t with_data, count = neap_multipath_order(c, order, &with_data);
    neap_time pacer_at = NEAP_NEVER;
    size_t used = 0;

    for (size_t i = 0; i < count && used == 0 && conn_is_alive(c); i++) {
        bool has_data = i < with_data;

        if (is_kept_for_validation(c, order[i]))
            continue;
        *path = order[i];
        *is_marked = marks(order[i]);
        used = *segment = has_data ? write_size_probe(c, order[i], out, size, *is_marked) : 0;
        if (used == 0)
            used = write_burst(c, order[i], out, size, most, segment, *is_marked, has_data);
        if (has_data && c->pacer_at < pacer_at)
            pacer_at = c->pacer_at;
    }
    c->pacer_at = pacer_at;
    return used;
}

/* For a tracer: what keeps back what waits, after all was sent that may be. */
static enum neap_trace_blocked blocked_by(neap_conn *c)
{
    const struct path *on = conn_path(c);
    const struct path_recovery *path = &on->recovery;
    const struct streams *s = &c->streams;

    if (!conn_is_alive(c))
        return NEAP_TRACE_BLOCKED_NOT;
    if (!anything_wanted(c, on)) {
        if (s->unsent == 0)
            return NEAP_TRACE_BLOCKED_NOT;
        return s->send_used >= s->send_limit ? NEAP_TRACE_BLOCKED_CONNECTION : NEAP_TRACE_BLOCKED_STREAM;
    }
    if (path->amplification_limited)
        return NEAP_TRACE_BLOCKED_AMPLIFICATION;
    if (!has_window(c, on, path_recovery_udp_payload_size(path)))
        return NEAP_TRACE_BLOCKED_CONGESTION;
    return c->pacer_at != NEAP_NEVER && c->pacer_at > c->now ? NEAP_TRACE_BLOCKED_PACING
                                                             : NEAP_TRACE_BLOCKED_NOT;
}

static void trace_sent(neap_conn *c, size_t used, size_t segment, bool is_marked)
{
    if (used > 0)
        TRACE(c->tracer, .conn = c, .kind = NEAP_TRACE_UDP_SENT, .now = c->now, .size = used,
              .number = segment, .values = {is_marked ? ECN_ECT0 : 0});
    TRACE(c->tracer, .conn = c, .kind = NEAP_TRACE_BLOCKED, .now = c->now, .values = {blocked_by(c)});
    neap_conn_trace_timer(c, false);
}

static int64_t send_some(neap_conn *c, uint8_t *out, size_t size, size_t most, neap_send_info *info,
                         neap_time now)
{
    size_t used = 0, segment = 0;

    if (size < NEAP_MIN_UDP_PAYLOAD)
        return NEAP_ERR_BUFFER_TOO_SHORT;
    c->now = now;
    if (conn_is_traced(c) && !c->is_server && c->counters.packets_sent == 0 && c->handshake)
        neap_conn_trace_offer(c);
    if (c->has_begun_paths)
        neap_conn_begin_paths(c);
    if (conn_is_alive(c))
        issue_ids(c);
    struct path *path = neap_conn_next_path(c);
    bool is_marked = marks(path);
    if (conn_is_alive(c) && now >= c->stalled_until) {
        bool may_send = neap_conn_check_seal_limit(c), is_shared = c->multipath && neap_multipath_is_used(c);

        if (may_send && (path != conn_path(c) || is_kept_for_validation(c, path)))
            used = segment = write_probing_datagram(c, path, out, size, is_marked);
        else if (may_send && !is_shared &&
                 (used = segment = write_size_probe(c, path, out, size, is_marked)) == 0)
            used = write_burst(c, path, out, size, most, &segment, is_marked, true);
        if (may_send && is_shared && used == 0)
            used = write_over_paths(c, &path, out, size, most, &segment, &is_marked);
        neap_conn_set_timers(c);
    }
    if (c->stage == STAGE_CLOSING && c->close.owed) {
        path = c->multipath ? neap_multipath_best(c) : conn_path(c);
        is_marked = false;
        used = segment = write_close_udp_datagram(c, path, out, room_for_one(path, size));
    }
    if (conn_is_traced(c))
        trace_sent(c, used, segment, is_marked);
    if (used == 0)
        return NEAP_ERR_AGAIN;
    fill_info(c, path, info, segment, is_marked);
    return (int64_t)used;
}

int64_t neap_conn_send(neap_conn *conn, uint8_t *out, size_t size, neap_send_info *info, neap_time now)
{
    return send_some(conn, out, size, 1, info, now);
}

int64_t neap_conn_send_burst(neap_conn *conn, uint8_t *out, size_t size, neap_send_info *info, neap_time now)
{
    return send_some(conn, out, size, BURST_PACKETS, info, now);
}

bool neap_conn_is_spent(neap_conn *c)
{
    const struct number_space *s = &c->application;

    return c->stage == STAGE_CONFIRMED && !c->handshake && !c->multipath && c->path_timer == NEAP_NEVER &&
           !conn_is_traced(c) && s->probes == 0 && !neap_ack_is_due(&s->ack, c->now) &&
           !neap_conn_wants(c, SPACE_APPLICATION, conn_path(c)) &&
           neap_conn_size_probe(c, conn_path(c), SIZE_MAX) == 0;
}
