/* One packet out: which frames it carries, its record, its seal. */
#include "quic/conn_token.h"
#include "quic/multipath.h"

#define PING_EVERY \
    32u /* packets that only acknowledge, then one asks for an acknowledgement (RFC 9000 §13.2.4) */
#define PROBING_ACK_RANGES 4u               /* beside a challenge that may not have 1200 bytes */
#define LEAST_SKIP 16u                      /* packets, also while the window is smaller */
#define STALL_FIRST (10 * NEAP_MILLISECOND) /* without memory for a packet's record */
#define STALL_MOST (1280 * NEAP_MILLISECOND)
#define LONG_HEADER_MOST 16383u /* what two bytes of Length can tell */

static enum neap_packet_type packet_type(const neap_conn *c, enum space space)
{
    return space == SPACE_INITIAL                      ? NEAP_PACKET_INITIAL
           : space == SPACE_HANDSHAKE                  ? NEAP_PACKET_HANDSHAKE
           : c->handshake && c->handshake->sends_early ? NEAP_PACKET_0RTT
                                                       : NEAP_PACKET_SHORT;
}

/* RFC 9000 §17.4. Where the bit is not used it says nothing, but differs between connection IDs. */
static bool spin_bit(struct path *path, const struct peer_cid *id)
{
    if (!path->spins)
        return (id->cid.bytes[0] & 1) != 0;
    uint64_t sequence = id->sequence;
    if (sequence != path->spin_sequence) {
        path->spin_sequence = sequence;
        path->spin = false;
    }
    return path->spin;
}

/* RFC 9287 §3.1: unpredictable, for each packet anew. */
static void draw_fixed_bit(neap_conn *c, uint8_t *first)
{
    if (c->drawn_left == 0) {
        c->drawn = neap_random_u64(neap_conn_random(c));
        c->drawn_left = 64;
    }
    if (c->drawn & 1)
        *first &= (uint8_t)~HEADER_FIXED_BIT;
    c->drawn >>= 1;
    c->drawn_left--;
}

static void write_header(neap_conn *c, struct draft *d)
{
    const struct peer_cid *id = conn_peer_cid(c, d->path);
    const neap_cid *dcid = &id->cid;
    enum neap_packet_type type = packet_type(c, d->space);

    if (type == NEAP_PACKET_SHORT) {
        neap_short_header_write(&d->w, dcid, spin_bit(d->path, id), c->keys.write_phase, d->number_size,
                                d->number);
        return;
    }
    struct handshake *h = c->handshake;
    struct span token = {0};

    if (d->space == SPACE_INITIAL)
        token = h->token ? span_of(h->token, h->token_size) : neap_session_token(h->shown_token);
    /* RFC 9369 §4.1: 0-RTT packets stay in the version that the client began with. */
    const struct version *version = type == NEAP_PACKET_0RTT ? c->first_version : c->version;
    size_t length_at =
        neap_long_header_write(&d->w, version, type, dcid, &h->source_cid, token, d->number_size, d->number);
    d->length_room = d->start + length_at;
}

void neap_conn_choose_skip(neap_conn *c, struct number_space *s, const struct path_recovery *path)
{
    uint64_t packets = path->cc.window / path->pmtu.size;
    uint64_t half = (packets > LEAST_SKIP ? packets : LEAST_SKIP) / 2;

    s->skip_at = s->next_number + half + neap_random_below(neap_conn_random(c), half);
}

bool neap_draft_begin(neap_conn *c, struct draft *d, struct path *path, enum space space, uint8_t *out,
                      size_t room)
{
    struct number_space *s = conn_space(c, space);

    if (room < MIN_ROOM)
        return false;
    if (room > LONG_HEADER_MOST && packet_type(c, space) != NEAP_PACKET_SHORT)
        room = LONG_HEADER_MOST;
    if (space >= SPACE_APPLICATION && s->next_number == s->skip_at) {
        neap_sent_skip(&s->recovery.sent, s->next_number++);
        neap_conn_choose_skip(c, s, &path->recovery);
    }
    d->path = path;
    d->space = space;
    d->start = out;
    d->length_room = NULL;
    d->frame_count = 0;
    d->has_ack = d->has_other_ack = d->ack_eliciting = d->is_in_flight = d->is_probe = d->is_size_probe =
        d->must_expand = false;
    d->w = writer_of(out, room - CRYPTO_TAG);
    d->number = s->next_number;
    d->number_size = neap_packet_number_size(d->number, s->recovery.largest_acked);
    write_header(c, d);
    if (c->draws_fixed_bit)
        draw_fixed_bit(c, d->start);
    d->payload = d->w.at;
    return !d->w.full;
}

static bool has_record_room(const struct draft *d)
{
    return d->frame_count < PACKET_FRAMES;
}

/* Where the record of the next frame is made. */
static struct sent_frame *next_record(struct draft *d)
{
    return &d->frames[d->frame_count];
}

/* A frame was written, and its record made: its fate will be asked for, and its packet does what the frame's row says. */
static void keep_record(struct draft *d)
{
    unsigned rules = neap_frame_rules((enum frame_kind)d->frames[d->frame_count++].kind);

    d->ack_eliciting |= (rules & ELICITS) != 0;
    d->is_in_flight |= (rules & IN_FLIGHT) != 0;
}

static void record(struct draft *d, struct sent_frame f)
{
    *next_record(d) = f;
    keep_record(d);
}

/* Writes that did not fit are taken back whole. */
static bool keep_frame(struct draft *d, uint8_t *before)
{
    if (!d->w.full)
        return true;
    d->w.at = before;
    d->w.full = false;
    return false;
}

/* So many ranges at most, of the space of 1-RTT packets of the path ID in this slot, or another space. */
static bool write_ranges(neap_conn *c, struct draft *d, const struct ack_state *a, uint8_t slot, size_t most)
{
    uint8_t *before = d->w.at;
    struct range room[LIMIT_ACK_RANGES_SENT];
    size_t count;
    const struct range *ranges = neap_ack_untold(a, room, most, &count);
    unsigned exponent =
        d->space >= SPACE_APPLICATION ? (unsigned)config_option(c->config, OPTION_ack_delay_exponent) : 0;
    uint64_t delay = d->space >= SPACE_APPLICATION ? neap_ack_delay(a, exponent, c->now) : 0;

    if (count == 0)
        return false;
    const uint64_t *ecn = a->ecn[0] | a->ecn[1] | a->ecn[2] ? a->ecn : NULL;

    if (c->multipath && d->space >= SPACE_APPLICATION)
        neap_write_path_ack(&d->w, neap_multipath_id(c, slot), ranges, count, delay, ecn);
    else
        neap_write_ack(&d->w, ranges, count, delay, ecn);
    return keep_frame(d, before);
}

static void write_ack(neap_conn *c, struct draft *d, struct number_space *s)
{
    const struct ack_state *a = &s->ack;

    if (a->eliciting_unacked == 0 && !s->ack_again && !neap_ack_is_due(a, c->now))
        return;
    if (!write_ranges(c, d, a, d->path->slot, LIMIT_ACK_RANGES_SENT))
        return;
    d->has_ack = true;
    if (c->multipath && d->space >= SPACE_APPLICATION)
        record(d, (struct sent_frame){.kind = KIND_PATH_ACK,
                                      .id = a->largest,
                                      .offset = neap_multipath_id(c, d->path->slot)});
    else
        record(d, (struct sent_frame){.kind = KIND_ACK, .id = a->largest});
}

/* What came on paths that were abandoned is acknowledged on others (draft-ietf-quic-multipath §3.4.3). */
static void write_acks_of_abandoned(neap_conn *c, struct draft *d)
{
    for (uint8_t slot = 0; slot <= LIMIT_PATH_IDS && has_record_room(d); slot++) {
        struct ack_state *a = neap_multipath_abandoned_ack(c, slot);

        if (!a || !neap_ack_is_due(a, c->now) || !write_ranges(c, d, a, slot, PROBING_ACK_RANGES))
            continue;
        record(d, (struct sent_frame){
                      .kind = KIND_PATH_ACK, .id = a->largest, .offset = neap_multipath_id(c, slot)});
        neap_ack_sent(a);
        d->has_other_ack = true;
    }
}

/* Beside a challenge, a second copy of the acknowledgement on which nothing counts. A peer that moved and was not heard
 * of where it is has a congestion window full of what it sent since: that would hold back its answer as well (RFC 9000
 * §8.2.2). In a small datagram it is short, so that there can be another one. */
static void write_probing_ack(neap_conn *c, struct draft *d, const struct allowance *allowed)
{
    size_t most = allowed->may_expand ? LIMIT_ACK_RANGES_SENT : PROBING_ACK_RANGES;

    /* The peer may update its keys again by this one too (RFC 9001 §6.1). */
    if (write_ranges(c, d, &c->application.ack, 0, most))
        c->keys.answered = true;
}

static void write_crypto(neap_conn *c, struct draft *d, struct number_space *s)
{
    uint64_t offset;
    size_t size;

    while (has_record_room(d) && neap_crypto_stream_write(s->crypto, c->pool, &d->w, &offset, &size))
        record(d, (struct sent_frame){.kind = KIND_CRYPTO, .offset = offset, .size = (uint16_t)size});
}

/* RFC 9000 §8.2. They belong to the packet's path, and are never sent again as they are (§13.3). */
static void write_path_frames(neap_conn *c, struct draft *d, const struct allowance *allowed)
{
    struct address_validation *v = &d->path->address;
    uint8_t data[8];

    if (v->owes_challenge && has_record_room(d) && writer_left(&d->w) >= 1 + sizeof data) {
        neap_random_bytes(neap_conn_random(c), data, sizeof data);
        neap_write_path(&d->w, FRAME_PATH_CHALLENGE, data);
        record(d, (struct sent_frame){.kind = KIND_PATH_CHALLENGE});
        neap_conn_challenged(c, d->path, data, !allowed->may_expand);
        d->must_expand = true;
    }
    while (has_record_room(d) && writer_left(&d->w) >= 1 + sizeof data &&
           neap_validation_next_response(v, data)) {
        neap_write_path(&d->w, FRAME_PATH_RESPONSE, data);
        record(d, (struct sent_frame){.kind = KIND_PATH_RESPONSE});
        d->must_expand = true;
    }
}

/* With path IDs these frames have them, also of path ID 0 (draft-ietf-quic-multipath §3.2). */
static void write_connection_ids(neap_conn *c, struct draft *d)
{
    struct frame_new_connection_id f;
    uint64_t sequence;
    const size_t most = 4 + 8 + 8 + 8 + 1 + LIMIT_CONNECTION_ID + RESET_TOKEN_SIZE;

    while (has_record_room(d) && writer_left(&d->w) >= most &&
           neap_local_cids_next_owed(&c->local_cids, &f)) {
        neap_config_reset_token(c->config, &f.cid, f.token);
        if (c->multipath)
            neap_write_path_new_connection_id(&d->w, 0, &f);
        else
            neap_write_new_connection_id(&d->w, &f);
        record(d, (struct sent_frame){.kind =
                                          c->multipath ? KIND_PATH_NEW_CONNECTION_ID : KIND_NEW_CONNECTION_ID,
                                      .id = f.sequence});
    }
    while (has_record_room(d) && writer_left(&d->w) >= 4 + 1 + 8 &&
           neap_peer_cids_next_retire(&c->peer_cids, &sequence)) {
        if (c->multipath)
            neap_write_stream_number(&d->w, FRAME_PATH_RETIRE_CONNECTION_ID, 0, sequence);
        else
            neap_write_number(&d->w, FRAME_RETIRE_CONNECTION_ID, sequence);
        record(d, (struct sent_frame){.kind = c->multipath ? KIND_PATH_RETIRE_CONNECTION_ID
                                                           : KIND_RETIRE_CONNECTION_ID,
                                      .id = sequence});
    }
}

static void write_stream_control(neap_conn *c, struct draft *d)
{
    while (has_record_room(d) && neap_streams_write_control(&c->streams, &d->w, next_record(d)))
        keep_record(d);
}

/* Datagrams go before streams that are not more urgent. False: the next one does not fit, and no other did, so that it would wait
 * behind streams for ever; without them it has the next packet to itself. */
static bool write_datagrams(neap_conn *c, struct draft *d)
{
    size_t most = neap_conn_datagram_room(c);
    bool any = false;

    while (has_record_room(d)) {
        unsigned urgency = neap_streams_urgency(&c->streams);
        enum datagram_result result =
            neap_datagrams_write(c->datagrams, &d->w, urgency, most, c->now, next_record(d));

        if (result != DATAGRAM_WRITTEN)
            return any || result == DATAGRAM_NONE;
        keep_record(d);
        any = true;
    }
    return true;
}

static void write_application(neap_conn *c, struct draft *d, const struct allowance *allowed)
{
    if (neap_validation_owes(&d->path->address))
        write_path_frames(c, d, allowed);
    if (c->owes_handshake_done && writer_left(&d->w) > 0) {
        neap_write_handshake_done(&d->w);
        record(d, (struct sent_frame){.kind = KIND_HANDSHAKE_DONE});
        c->owes_handshake_done = false;
    }
    if (c->owes_token && has_record_room(d) && neap_conn_write_token(c, d))
        record(d, (struct sent_frame){.kind = KIND_NEW_TOKEN});
    if (c->application.crypto)
        write_crypto(c, d, &c->application);
    if (neap_local_cids_has_owed(&c->local_cids) || c->peer_cids.retire_count > 0)
        write_connection_ids(c, d);
    while (c->multipath && has_record_room(d) && neap_multipath_write(c, &d->w, next_record(d)))
        keep_record(d);
    if (c->ack_request.owed && has_record_room(d) && neap_conn_write_ack_request(c, &d->w, next_record(d)))
        keep_record(d);
    if (c->awaits_again)
        return;
    write_stream_control(c, d);
    while (c->multipath && has_record_room(d) && neap_multipath_copy(c, d->path, &d->w, next_record(d)))
        keep_record(d);
    if (c->datagrams && c->datagrams->queues && !write_datagrams(c, d))
        return;
    /* A frame of a stream that has enough fills the packet: then there is nobody to ask. */
    while (has_record_room(d) && writer_left(&d->w) > 0 &&
           neap_streams_write_data(&c->streams, &d->w, next_record(d))) {
        keep_record(d);
        if (c->datagrams && c->datagrams->queues)
            write_datagrams(c, d);
    }
    /* Streams that ended by these let the peer open others: it hears of both at once. */
    write_stream_control(c, d);
}

static void write_ping(struct draft *d)
{
    if (!has_record_room(d) || writer_left(&d->w) == 0)
        return;
    neap_write_ping(&d->w);
    record(d, (struct sent_frame){.kind = KIND_PING});
}

/* A probe asks for its acknowledgement at once (draft-ietf-quic-ack-frequency-14 §7). */
static void write_immediate_ack(struct draft *d)
{
    if (!has_record_room(d) || writer_left(&d->w) == 0)
        return;
    neap_write_immediate_ack(&d->w);
    record(d, (struct sent_frame){.kind = KIND_IMMEDIATE_ACK});
}

/* Whoever only receives sends few packets when the peer asks for few ACKs, and hears of none of them. Twice a round trip it
 * asks (RFC 9000 §13.2.4), so that a question is always open: then the absence of an answer tells it to probe, and by that
 * the peer learns of a new address. Never twice in a row: two that ask each other would have no end. */
static bool is_unheard(const neap_conn *c, const struct number_space *s)
{
    return s->ack.policy.next_sequence > 0 && s->ack_only > 0 &&
           c->now - s->recovery.last_eliciting_at >= conn_path(c)->recovery.rtt.smoothed / 2;
}

/* Where nothing else asks for an acknowledgement. */
static bool wants_ping(const neap_conn *c, enum space space, const struct number_space *s)
{
    return s->ack_only >= PING_EVERY || is_unheard(c, s) || (c->owes_ping && space >= SPACE_APPLICATION);
}

static bool is_ack_due(const neap_conn *c, const struct number_space *s)
{
    return neap_ack_is_due(&s->ack, c->now);
}

/* RFC 9001 §5.4.2: number and payload together give at least 4 bytes before the sample. RFC 9000 §10.3: a stateless reset is
 * shorter than what it answers, and looks like a packet to us only if that had a byte more than the least one. ACKs alone have it
 * unless the peer's connection IDs are shorter than ours: they stay as they are, since with PADDING they would be in flight. */
static void pad_small(const neap_conn *c, struct draft *d)
{
    size_t size = d->number_size + (size_t)(d->w.at - d->payload);
    size_t least = RESET_LEAST + 1 + c->local_cids.cid_size;

    if (size < 4) {
        neap_write_padding(&d->w, 4 - size);
        d->is_in_flight = true;
    }
    size = neap_draft_size(d);
    if (size < least && d->ack_eliciting && !d->length_room && writer_left(&d->w) >= least - size)
        neap_draft_pad(d, least);
}

/* One packet of the handshake may always be in flight: behind a window full of 1-RTT packets, which are not probed for
 * before the handshake is confirmed (RFC 9002 §6.2.1), lost CRYPTO data would wait for ever. It is the one packet that
 * a recovery period may begin with (§7.3.2). */
static bool is_exempt(enum space space, const struct number_space *s)
{
    return space < SPACE_APPLICATION && s->recovery.sent.eliciting_in_flight == 0;
}

/* Nobody tells when there is memory again: it is asked for ever more rarely, so that many connections without any cost
 * little. */
static bool reserve_record(neap_conn *c, struct number_space *s)
{
    if (neap_sent_reserve(&s->recovery.sent, c->pool, PACKET_FRAMES) == 0) {
        c->stalled_for = 0;
        return true;
    }
    if (c->stalled_until <= c->now) {
        neap_time longer = 2 * (neap_time)c->stalled_for;

        c->stalled_for = (uint32_t)(longer < STALL_FIRST  ? STALL_FIRST
                                    : longer < STALL_MOST ? longer
                                                          : STALL_MOST);
        c->stalled_until = c->now + c->stalled_for;
        c->counters.memory_stalls++;
    }
    return false;
}

static void write_frames(neap_conn *c, struct draft *d, struct number_space *s,
                         const struct allowance *allowed)
{
    if (d->space < SPACE_APPLICATION)
        write_crypto(c, d, s);
    else
        write_application(c, d, allowed);
}

/* Back to the header. Only an ACK was written, which takes nothing from anybody until its packet is committed. */
static void drop_ack(struct draft *d)
{
    d->w.at = d->payload;
    d->frame_count = 0;
    d->has_ack = d->is_in_flight = false;
}

bool neap_draft_write(neap_conn *c, struct draft *d, struct path *path, enum space space, uint8_t *out,
                      size_t room, const struct allowance *allowed)
{
    struct number_space *s = conn_space(c, space);
    bool probe = s->probes > 0;
    /* RFC 9000 §14.1: an ack-eliciting Initial needs a datagram of 1200 bytes. */
    bool may_elicit = (allowed->may_elicit || probe || is_exempt(space, s)) &&
                      (space != SPACE_INITIAL || allowed->may_expand);
    bool wants = may_elicit && (probe || neap_conn_wants(c, space, path));
    bool owes_other = c->multipath && space >= SPACE_APPLICATION && neap_multipath_other_ack_at(c) <= c->now;

    if (!wants && !is_ack_due(c, s) && !owes_other)
        return false;
    if (!reserve_record(c, s))
        return false;
    if (!neap_draft_begin(c, d, path, space, out, room))
        return false;
    write_ack(c, d, s);
    if (owes_other)
        write_acks_of_abandoned(c, d);
    if (probe && may_elicit && packet_type(c, space) == NEAP_PACKET_SHORT && neap_conn_may_hurry_acks(c))
        write_immediate_ack(d);
    if (may_elicit && !allowed->is_ping_only)
        write_frames(c, d, s, allowed);
    /* A frame that cannot be cut does not wait for ever behind an ACK that can. */
    if (wants && d->has_ack && !d->has_other_ack && !d->ack_eliciting && !is_ack_due(c, s) &&
        !allowed->is_ping_only) {
        drop_ack(d);
        write_frames(c, d, s, allowed);
    }
    if (may_elicit && !d->ack_eliciting && (probe || wants_ping(c, space, s)))
        write_ping(d);
    d->is_probe = probe && d->ack_eliciting;
    /* Nothing fitted, or an ACK that can wait for company. */
    if (!d->ack_eliciting && !d->has_other_ack && !(d->has_ack && is_ack_due(c, s)))
        return false;
    pad_small(c, d);
    return true;
}

bool neap_draft_write_probing(neap_conn *c, struct draft *d, struct path *path, uint8_t *out, size_t room,
                              const struct allowance *allowed)
{
    enum space space = path_space(path);

    if (!reserve_record(c, conn_space(c, space)))
        return false;
    if (!neap_draft_begin(c, d, path, space, out, room))
        return false;
    bool asks = path->address.owes_challenge;
    if (path->slot > 0) /* nobody moves by this (draft-ietf-quic-multipath §3.1.2) */
        write_ack(c, d, conn_space(c, space));
    write_path_frames(c, d, allowed);
    /* RFC 9000 §9.1: from another address of ours, or to one of our choice, an ACK would be more than a probe. */
    if (asks && d->ack_eliciting && !path->is_chosen && path->slot == 0 &&
        (!c->compares_local || neap_address_equal(&path->address.local, &conn_path(c)->address.local)))
        write_probing_ack(c, d, allowed);
    return d->ack_eliciting;
}

bool neap_draft_write_size_probe(neap_conn *c, struct draft *d, struct path *path, uint8_t *out, size_t size)
{
    if (!reserve_record(c, conn_space(c, path_space(path))))
        return false;
    if (!neap_draft_begin(c, d, path, path_space(path), out, size))
        return false;
    write_ping(d);
    d->is_size_probe = true;
    neap_draft_pad(d, size);
    return true;
}

size_t neap_draft_size(const struct draft *d)
{
    return (size_t)(d->w.at - d->start) + CRYPTO_TAG;
}

void neap_draft_pad(struct draft *d, size_t size)
{
    size_t now = neap_draft_size(d);

    if (size <= now)
        return;
    neap_write_padding(&d->w, size - now);
    d->is_in_flight = true;
}

static void count_sent(neap_conn *c, const struct draft *d, struct number_space *s)
{
    c->counters.packets_sent++;
    if (c->traffic)
        c->traffic[d->path->index].packets_sent++;
    c->trim_at = c->now + TRIM_AFTER;
    s->ack_only = d->ack_eliciting ? 0 : (uint8_t)(s->ack_only + (s->ack_only < UINT8_MAX));
    if (d->is_probe)
        s->probes--;
    if (d->has_ack) {
        neap_ack_sent(&s->ack);
        s->ack_again = false;
        if (d->space >= SPACE_APPLICATION)
            c->keys.answered = true;
    }
    if (d->ack_eliciting && !c->eliciting_since_recv) {
        c->eliciting_since_recv = true;
        neap_conn_touch_idle(c);
    }
    if (d->space >= SPACE_APPLICATION) {
        c->keys.sealed++;
        c->owes_ping &= !d->ack_eliciting;
    }
    TRACE(c->tracer, .conn = c, .kind = NEAP_TRACE_PACKET_SENT, .now = c->now,
          .packet_type = packet_type(c, d->space), .number = d->number, .size = neap_draft_size(d),
          .payload = d->payload, .payload_size = (size_t)(d->w.at - d->payload),
          .dcid = &conn_peer_cid(c, d->path)->cid,
          .path_id = d->path->slot ? neap_multipath_id(c, d->path->slot) : 0,
          .values = {d->is_size_probe, c->keys.write_phase, d->is_probe,
                     d->space >= SPACE_APPLICATION ? config_option(c->config, OPTION_ack_delay_exponent) : 0,
                     (*d->start & HEADER_SPIN_BIT) != 0});
}

void neap_draft_commit(neap_conn *c, struct draft *d, struct flight *flight)
{
    struct number_space *s = conn_space(c, d->space);

    /* All 1-RTT packets have one key. */
    struct packet_key *key = d->space > SPACE_APPLICATION ? &c->application.write : &s->write;

    if (flight->count == FLIGHT_PACKETS || (flight->count > 0 && flight->key != key))
        neap_flight_seal(c, flight);
    flight->key = key;
    flight->packets[flight->count++] = (struct seal_packet){
        .header = d->start,
        .header_size = (size_t)(d->payload - d->start),
        .number_size = d->number_size,
        .number = d->number,
        .path_id = d->path->slot ? neap_multipath_id(c, d->path->slot) : 0,
        .payload_size = (size_t)(d->w.at - d->payload),
    };
    if (d->length_room)
        neap_long_header_finish(d->length_room, d->number_size + (size_t)(d->w.at - d->payload) + CRYPTO_TAG);
    s->next_number = d->number + 1;
    struct sent_packet packet = {
        .number = d->number,
        .at = c->now,
        .path = d->path->index,
        .size = d->is_in_flight ? (uint16_t)neap_draft_size(d) : 0,
        .ack_eliciting = d->ack_eliciting,
        .in_flight = d->is_in_flight,
        .is_size_probe = d->is_size_probe,
        .is_marked = flight->is_marked,
        .is_early = recovery_is_early(&c->recovery, d->space),
    };
    c->config->bounds.sent_forgotten += neap_sent_add(&s->recovery.sent, &packet, d->frames, d->frame_count);
    neap_recovery_on_sent(&c->recovery, d->space, &packet, c->now);
    count_sent(c, d, s);
}

int neap_flight_seal(neap_conn *c, struct flight *flight)
{
    if (flight->count > 0 && !flight->failed)
        flight->failed = neap_packets_seal(c->crypto, flight->key, flight->packets, flight->count);
    flight->count = 0;
    return flight->failed;
}

bool neap_conn_wants(neap_conn *c, enum space space, const struct path *path)
{
    const struct number_space *s = space < SPACE_APPLICATION ? conn_space(c, space) : &c->application;

    if (space < SPACE_APPLICATION)
        return send_buffer_has_data(&s->crypto->send, UINT64_MAX);
    bool has_data = neap_streams_has_to_send(&c->streams) || (c->datagrams && c->datagrams->queues);

    return (has_data && !c->awaits_again) || c->owes_handshake_done || c->owes_ping || c->owes_token ||
           neap_validation_owes(&path->address) || neap_local_cids_has_owed(&c->local_cids) ||
           c->peer_cids.retire_count > 0 || c->ack_request.owed ||
           (c->multipath && (neap_multipath_owes(c) || neap_multipath_has_copies(c, path))) ||
           (s->crypto && send_buffer_has_data(&s->crypto->send, UINT64_MAX));
}
