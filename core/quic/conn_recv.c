/* Datagrams in: coalesced packets, protection removed, the frames read, what follows from it. */
#include "quic/conn_trace.h"
#include "quic/migration.h"
#include "quic/multipath.h"
#include "quic/received.h"

#define RESERVED_LONG 0x0cu
#define RESERVED_SHORT 0x18u
#define PHASE_BIT 0x04u
#define LONG_FORM 0x80u
#define ALARM_DELAY NEAP_MILLISECOND /* by which a timer may fire late */

void neap_conn_dropped(neap_conn *c, enum neap_packet_type type, size_t size, const char *why)
{
    c->counters.packets_dropped++;
    TRACE(c->tracer, .conn = c, .kind = NEAP_TRACE_PACKET_DROPPED, .now = c->now, .packet_type = type,
          .size = size, .why = why);
}

static bool is_our_dcid(const neap_conn *c, const struct packet_header *h, uint8_t *slot, uint64_t *sequence)
{
    *sequence = 0;
    *slot = 0;
    /* A client's Initials, and 0-RTT packets, go to the connection ID that it invented until it knows ours. */
    if (c->is_server && (h->type == NEAP_PACKET_INITIAL || h->type == NEAP_PACKET_0RTT) &&
        span_equal(h->dcid, cid_span(&c->original_dcid)))
        return true;
    const struct local_cid *found = neap_local_cids_find(&c->local_cids, h->dcid);
    if (!found && c->multipath && h->type == NEAP_PACKET_SHORT)
        found = neap_multipath_find_cid(c, h->dcid, slot);
    if (found)
        *sequence = found->sequence;
    return found != NULL;
}

/* What a long header must look like before its keys are tried: NULL when it does, else what is wrong. */
static const char *refuse_long_header(neap_conn *c, const struct arrival *a, const struct packet_header *h)
{
    const char *wrong = neap_conn_refuse_version(c, h);

    if (wrong)
        return wrong;
    if (h->type == NEAP_PACKET_0RTT && !neap_conn_early_key(c) && !neap_conn_may_get_early_key(c))
        return "0-RTT is not accepted";
    if (!c->handshake)
        return h->type == NEAP_PACKET_0RTT ? NULL : "the handshake is over";
    if (h->type == NEAP_PACKET_INITIAL) {
        /* RFC 9000 §14.1 and §17.2.2. */
        if (c->is_server && a->size < NEAP_MIN_UDP_PAYLOAD)
            return "an Initial in a datagram below 1200 bytes";
        if (!c->is_server && h->token.size > 0)
            return "an Initial with a token from a server";
    }
    /* RFC 9000 §7.2: whatever NEW_CONNECTION_ID frames said meanwhile. */
    if (c->handshake->peer_cid_known && !span_equal(h->scid, cid_span(&c->handshake->peer_cid)))
        return "another source connection ID";
    return NULL;
}

/* Early packets are kept as they came, so that their keys can be tried later (RFC 9000 §5.7, §12.2). */
static bool keep_packet(neap_conn *c, const struct arrival *a, enum neap_packet_type type, struct span packet)
{
    struct handshake *h = c->handshake;

    if (!h || !a->may_keep || h->kept_count == LIMIT_UNDECRYPTABLE_PACKETS ||
        packet.size > LIMIT_KEPT_PACKET || !neap_conn_may_hold(c, packet.size))
        return false;
    uint8_t *copy = neap_pool_alloc(c->pool, packet.size);
    if (!copy)
        return false;
    memcpy(copy, packet.data, packet.size);
    h->kept[h->kept_count++] =
        (struct kept_packet){.bytes = copy, .at = c->now, .size = (uint16_t)packet.size, .ecn = a->ecn};
    c->counters.undecryptable_kept++;
    TRACE(c->tracer, .conn = c, .kind = NEAP_TRACE_PACKET_KEPT, .now = c->now, .packet_type = type,
          .size = packet.size);
    return true;
}

static enum space space_of(enum neap_packet_type type)
{
    return type == NEAP_PACKET_INITIAL     ? SPACE_INITIAL
           : type == NEAP_PACKET_HANDSHAKE ? SPACE_HANDSHAKE
                                           : SPACE_APPLICATION;
}

/* RFC 9000 §9: no address changes before the handshake is confirmed; clients know one server address only. Whether a NAT
 * changed the address nobody can tell, so that it is followed also where the peer was told to stay. */
static bool takes_other_addresses(const neap_conn *c)
{
    return c->is_server && c->stage == STAGE_CONFIRMED;
}

/* What opens packets of this type and of the connection's version; NULL without. */
static struct packet_key *read_key(neap_conn *c, enum neap_packet_type type)
{
    return type == NEAP_PACKET_0RTT ? neap_conn_early_key(c) : &conn_space(c, space_of(type))->read;
}

static bool is_of_other_version(const neap_conn *c, const struct packet_header *h)
{
    return h->type == NEAP_PACKET_INITIAL && h->version != c->version->number;
}

static bool has_read_key(neap_conn *c, enum neap_packet_type type)
{
    const struct packet_key *key = read_key(c, type);

    return key && packet_key_is_set(key);
}

/* Before that a server reads from elsewhere what nobody but its client can make: the client's last flight may come by a NAT
 * that has forgotten the first. It says nothing there. */
static bool is_from_nowhere(neap_conn *c, const struct arrival *a, enum neap_packet_type type)
{
    return !a->path && !takes_other_addresses(c) && (type != NEAP_PACKET_HANDSHAKE || !has_read_key(c, type));
}

/* An authentic packet that was here already. */
static void take_repetition(neap_conn *c, const struct received *p)
{
    struct path *path = p->arrival->path;

    if (path)
        path->heard_at = c->now;
    if (p->space == SPACE_APPLICATION && conn_path(c)->slot == 0 && p->number == c->application.ack.largest &&
        !c->newest_is_probing && path != conn_path(c) && takes_other_addresses(c))
        neap_conn_on_repetition(c, p);
}

/* Remove protection in place: header, number, payload (RFC 9001 §5.3, §5.4). Reserved bits are looked at only
 * afterwards (§9.5). False when the packet is to be dropped: *why says. */
static bool open_packet(neap_conn *c, uint8_t *packet, const struct packet_header *h, struct received *p,
                        struct span *payload, const struct packet_key **used, const char **why)
{
    struct number_space *s = conn_space(c, p->space);
    struct packet_key *key =
        is_of_other_version(c, h) ? neap_conn_other_key(c, h->version) : read_key(c, p->type);
    const struct header_mask *mask = p->arrival->mask;
    uint32_t truncated;

    int number_size = mask ? neap_packet_unmask_by(mask, packet, h->number_at, &truncated)
                           : neap_packet_unmask(c->crypto, key, packet, h->size, h->number_at, &truncated);
    p->arrival->mask = NULL;
    if (number_size < 0) {
        *why = "too short";
        return false;
    }
    uint64_t expected = s->ack.largest == UINT64_MAX ? 0 : s->ack.largest + 1;
    p->number = neap_packet_number_expand(truncated, (size_t)number_size, expected);
    if (p->type == NEAP_PACKET_SHORT) {
        p->phase = (packet[0] & PHASE_BIT) != 0;
        p->spin = (packet[0] & HEADER_SPIN_BIT) != 0;
        key = neap_conn_read_key(c, s, p->phase, p->number);
    }
    size_t header_size = h->number_at + (size_t)number_size;
    int64_t size = neap_packet_open(c->crypto, key, packet, header_size, h->size,
                                    p->slot ? neap_multipath_id(c, p->slot) : 0, p->number);
    if (size < 0) {
        *why = "it does not open";
        neap_conn_forged(c, key);
        return false;
    }
    if (neap_ack_is_duplicate(&s->ack, p->number)) {
        *why = "a duplicate";
        take_repetition(c, p);
        return false;
    }
    *payload = span_of(packet + header_size, (size_t)size);
    *used = key;
    return true;
}

static int check_opened(neap_conn *c, const uint8_t *packet, const struct received *p,
                        const struct packet_key *key, struct failure *why)
{
    uint8_t reserved = p->type == NEAP_PACKET_SHORT ? RESERVED_SHORT : RESERVED_LONG;

    if (packet[0] & reserved)
        return neap_fail(why, NEAP_PROTOCOL_VIOLATION, "reserved bits are set");
    return p->type == NEAP_PACKET_SHORT
               ? neap_conn_opened(c, conn_space(c, p->space), key, p->phase, p->number, why)
               : 0;
}

/* RFC 9000 §17.4: a server gives the newest value back, a client turns it over. */
static void follow_spin(const neap_conn *c, struct path *path, const struct received *p)
{
    if (p->type != NEAP_PACKET_SHORT || p->number < path->spin_from)
        return;
    path->spin_from = p->number + 1;
    path->spin = p->spin == c->is_server;
}

/* What an authentic packet proves before its frames are read. */
static void learn_from_packet(neap_conn *c, const struct packet_header *h, const struct received *p)
{
    c->counters.packets_received++;
    neap_conn_touch_idle(c);
    c->silent_since = c->now;
    c->eliciting_since_recv = false;
    c->trim_at = c->now + TRIM_AFTER;
    if (p->arrival->path) {
        p->arrival->path->dcid_sequence = p->dcid_sequence;
        p->arrival->path->heard_at = c->now;
        if (c->traffic)
            c->traffic[p->arrival->path->index].packets_received++;
        if (p->arrival->path->spins)
            follow_spin(c, p->arrival->path, p);
    }
    if (is_of_other_version(c, h))
        neap_conn_learn_version(c, h->version);
    if (c->is_server && p->space == SPACE_HANDSHAKE) {
        /* RFC 9000 §8.1: who sends Handshake packets has received ours; RFC 9001 §4.9.1. */
        neap_validation_done(&conn_path(c)->address);
        neap_conn_discard_space(c, SPACE_INITIAL);
    }
    if (c->handshake && !c->handshake->peer_cid_known && h->type != NEAP_PACKET_SHORT) {
        /* RFC 9000 §7.2: the server's choice takes the place of the one that we invented. */
        c->handshake->peer_cid = cid_of(h->scid);
        neap_peer_cids_replace_first(&c->peer_cids, &c->handshake->peer_cid);
        c->handshake->peer_cid_known = true;
        c->peer_cids_changed = true;
    }
}

/* What we told the peer holds, though a timer be late: the option includes that (RFC 9000 §18.2). */
static neap_time ack_delay(const neap_conn *c)
{
    neap_time told = config_option(c->config, OPTION_max_ack_delay) * NEAP_MILLISECOND;

    return told > ALARM_DELAY ? told - ALARM_DELAY : 0;
}

/* Whether the packet is noted as received, to be acknowledged. Without memory for that it was not. */
static bool note_received(neap_conn *c, const struct arrival *a, struct received *p)
{
    struct number_space *s = conn_space(c, p->space);

    /* Its keys may have gone while it was read: nothing is acknowledged then. How long it waited for them is a part of the
     * delay that the peer is told (RFC 9000 §13.2.5). */
    if (!conn_is_alive(c) || !s || !has_read_key(c, p->type))
        return false;
    if (p->is_refused || neap_ack_note(&s->ack, c->pool, p->number, p->ack_eliciting,
                                       p->asks_ack || p->space < SPACE_APPLICATION, a->ecn, ack_delay(c),
                                       c->now - a->waited)) {
        c->counters.packets_refused++;
        neap_conn_dropped(c, p->type, 0, "no room for what is in it");
        return false;
    }
    p->is_noted = true;
    return true;
}

/* An acknowledgement says nothing new when a later one overtook it. Who receives sends no more of them than there were
 * packets to acknowledge (RFC 9000 §13.2.1). */
static bool is_overtaken(neap_conn *c, const struct received *p)
{
    if (p->is_newest || p->ack_eliciting || c->overtaken >= c->counters.packets_sent)
        return false;
    c->overtaken++;
    return true;
}

/* RFC 9000 §21.9: packets that bring nothing are fine, as probes, keep-alives or repetitions are, while they are not all
 * that comes. One that had no room comes again and is no fault of the peer's, but for frames that bring nothing. */
static int weigh(neap_conn *c, const struct received *p, struct failure *why)
{
    const neap_time period = NEAP_SECOND / LIMIT_UNPRODUCTIVE_RATE;
    bool brings_nothing = p->is_noted && !p->is_productive && !is_overtaken(c, p);
    uint32_t cost = brings_nothing + p->unproductive_frames / LIMIT_UNPRODUCTIVE_FRAMES;
    uint64_t forgiven = 0;

    /* Most often there is nothing to forgive, and nothing to divide. */
    if (c->unproductive > 0 && c->now > c->forgiven_at)
        forgiven = (c->now - c->forgiven_at) / period;
    if (forgiven >= c->unproductive) {
        c->unproductive = 0;
        c->forgiven_at = c->now;
    } else {
        c->unproductive -= (uint32_t)forgiven;
        c->forgiven_at += forgiven * period;
    }
    if (cost == 0 && p->is_productive && p->is_noted)
        c->unproductive -= c->unproductive > 0;
    c->unproductive += cost;
    c->counters.unproductive += brings_nothing;
    if (c->unproductive > LIMIT_UNPRODUCTIVE_PACKETS)
        return neap_fail(why, NEAP_PROTOCOL_VIOLATION, "too many packets that bring nothing");
    return 0;
}

static void take_packet(neap_conn *c, struct arrival *a, uint8_t *packet, const struct packet_header *h,
                        uint64_t dcid_sequence)
{
    struct received p = {.type = h->type,
                         .space = space_of(h->type) + (enum space)a->slot,
                         .slot = a->slot,
                         .dcid = h->dcid,
                         .arrival = a,
                         .dcid_sequence = dcid_sequence,
                         .is_probing = true};
    const struct number_space *s = conn_space(c, p.space);
    bool may_move = takes_other_addresses(c);
    struct failure why = {0};
    const struct packet_key *key;
    const char *reason;
    uint64_t frame_type = 0;
    struct span payload;

    if (!has_read_key(c, h->type)) {
        /* Initial keys exist from the start: without them that space is over. */
        if (p.space == SPACE_INITIAL || !keep_packet(c, a, h->type, span_of(packet, h->size))) {
            c->counters.undecryptable_refused += p.space != SPACE_INITIAL && c->handshake && a->may_keep;
            neap_conn_dropped(c, h->type, h->size, "no keys");
        }
        return;
    }
    if (!open_packet(c, packet, h, &p, &payload, &key, &reason)) {
        neap_conn_dropped(c, h->type, h->size, reason);
        return;
    }
    TRACE(c->tracer, .conn = c, .kind = NEAP_TRACE_PACKET_RECEIVED, .now = c->now, .packet_type = h->type,
          .number = p.number, .size = h->size, .payload = payload.data, .payload_size = payload.size,
          .dcid = (neap_cid[]){cid_of(h->dcid)}, .path_id = p.slot ? neap_multipath_id(c, p.slot) : 0,
          .values = {0, p.phase, 0, p.space >= SPACE_APPLICATION ? c->peer_ack_delay_exponent : 0u, p.spin,
                     a->waited != 0});
    p.is_newest = s->ack.largest == UINT64_MAX || p.number > s->ack.largest;
    if (c->compares_local && p.slot == 0 && p.is_newest && neap_conn_is_left(c, &a->info->to)) {
        neap_conn_dropped(c, h->type, h->size, "newer, at an address that was left");
        return;
    }
    learn_from_packet(c, h, &p);
    int rc = check_opened(c, packet, &p, key, &why);
    if (rc == 0)
        rc = neap_conn_recv_frames(c, &p, payload, &frame_type, &why);
    if (rc == 0 && note_received(c, a, &p) && p.has_once)
        rc = neap_conn_recv_frames(c, &p, payload, &frame_type, &why);
    if (rc == 0)
        rc = weigh(c, &p, &why);
    if (rc) {
        neap_fail(&why, rc, "unknown");
        neap_conn_end_by(c, &why, frame_type);
    }
    if (p.is_newest && p.space == SPACE_APPLICATION)
        c->newest_is_probing = p.is_probing;
    if (p.slot > 0 && conn_is_alive(c))
        neap_multipath_follow(c, &p);
    /* RFC 9000 §9.3: old packets that come late do not lead back. The one that ends the handshake has no keys any more to be
     * noted with, and leads: its client may have nothing else to say. */
    bool ends_handshake = !may_move && takes_other_addresses(c);
    if (p.slot > 0 || conn_path(c)->slot > 0 ||
        (!ends_handshake && (h->type == NEAP_PACKET_0RTT || !p.is_newest || p.is_probing || !p.is_noted)))
        return;
    if (!conn_is_alive(c))
        return;
    if (a->path != conn_path(c) && takes_other_addresses(c))
        neap_conn_follow(c, &p);
    else
        c->wanted = 0;
}

/* A datagram that could not be opened may be the peer's last word (RFC 9000 §10.3.1): `tail` is how it ended before
 * anything was tried on it. */
static void check_reset(neap_conn *c, const struct arrival *a, const uint8_t tail[RESET_TOKEN_SIZE],
                        uint64_t received_before)
{
    if (!conn_is_alive(c) || c->counters.packets_received != received_before || a->size < RESET_LEAST)
        return;
    if (neap_multipath_is_reset(c, tail))
        neap_conn_reset(c);
}

/* Paths with several path IDs may have the same addresses: which it is the connection ID says. */
static void find_path_of_id(neap_conn *c, struct arrival *a)
{
    a->path = neap_conn_find_path(c, a->slot, &a->info->to, &a->info->from);
    if (a->path && !a->is_counted)
        conn_on_udp_datagram(c, a->path, a->size);
    a->is_counted |= a->path != NULL;
}

/* What is wrong with a packet before its keys are tried: NULL when nothing is, and then a->dcid_sequence is the one of the
 * connection ID of ours that it names. */
static const char *refuse_destination(neap_conn *c, struct arrival *a, const struct packet_header *h)
{
    /* RFC 9000 §12.2: all packets of a datagram have the same destination. */
    if (a->dcid.data && !span_equal(a->dcid, h->dcid))
        return "another destination in one datagram";
    if (!is_our_dcid(c, h, &a->slot, &a->dcid_sequence))
        return "not one of our connection IDs";
    if (c->multipath)
        find_path_of_id(c, a);
    return h->type != NEAP_PACKET_SHORT ? refuse_long_header(c, a, h) : NULL;
}

/* Take one packet from the front of `bytes`. Returns how many bytes it had; 0: the rest is not looked at. */
static size_t take_one(neap_conn *c, struct arrival *a, uint8_t *bytes, size_t size)
{
    struct packet_header own;
    const struct packet_header *h = a->parsed ? a->parsed : &own;

    if (!a->parsed && neap_packet_header_parse(span_of(bytes, size), c->local_cids.cid_size, &own)) {
        neap_conn_dropped(c, NEAP_PACKET_SHORT, size, "no packet of a known version");
        return 0;
    }
    if (header_lacks_fixed_bit(bytes[0], c->fixed_bit) && h->type != NEAP_PACKET_VERSION_NEGOTIATION) {
        neap_conn_dropped(c, h->type, size, "the fixed bit is clear");
        return 0;
    }
    a->parsed = NULL;
    if (h->type == NEAP_PACKET_VERSION_NEGOTIATION || h->type == NEAP_PACKET_RETRY) {
        if (a->dcid.data)
            neap_conn_dropped(c, h->type, size, "not alone in its datagram");
        else if (h->type == NEAP_PACKET_RETRY)
            neap_conn_on_retry(c, h, span_of(bytes, size));
        else
            neap_conn_on_version_negotiation(c, h);
        return 0;
    }
    const char *wrong = a->is_known                      ? NULL
                        : is_from_nowhere(c, a, h->type) ? "from another address"
                                                         : refuse_destination(c, a, h);
    a->is_known = false;
    a->is_ours = !wrong;
    if (!a->dcid.data)
        a->dcid = h->dcid;
    if (wrong)
        neap_conn_dropped(c, h->type, h->size, wrong);
    else
        take_packet(c, a, bytes, h, a->dcid_sequence);
    return h->size;
}

static void take_udp_datagram(neap_conn *c, struct arrival *a, uint8_t *bytes, size_t size)
{
    size_t at = 0;

    while (at < size && conn_is_alive(c)) {
        size_t taken = take_one(c, a, bytes + at, size - at);

        if (taken == 0)
            break;
        at += taken;
    }
}

/* Which bits say what depends on the packet's own version. */
static enum neap_packet_type kept_type(const neap_conn *c, const struct kept_packet *kept)
{
    struct packet_header h = {.type = NEAP_PACKET_SHORT};

    (void)neap_packet_header_parse(span_of(kept->bytes, kept->size), c->local_cids.cid_size, &h);
    return h.type;
}

/* Keys came: packets that waited for them. Those that still have none stay. No address changes before the handshake is
 * confirmed, so that all of them came on the path in use. */
static void take_kept(neap_conn *c)
{
    const neap_recv_info info = {.from = conn_path(c)->address.peer, .to = conn_path(c)->address.local};
    struct arrival a = {.info = &info, .is_counted = true};
    struct kept_packet waiting[LIMIT_UNDECRYPTABLE_PACKETS];
    size_t count;

    if (!c->handshake || c->handshake->kept_count == 0)
        return;
    count = c->handshake->kept_count;
    memcpy(waiting, c->handshake->kept, sizeof waiting);
    c->handshake->kept_count = 0;
    for (size_t i = 0; i < count; i++) {
        struct kept_packet *kept = &waiting[i];
        enum neap_packet_type type = kept_type(c, kept);
        /* Where early data was rejected there will be no key. */
        bool may_come = type != NEAP_PACKET_0RTT || neap_conn_may_get_early_key(c);

        if (conn_is_alive(c) && c->handshake && may_come && !has_read_key(c, type)) {
            c->handshake->kept[c->handshake->kept_count++] = *kept;
            continue;
        }
        a.path = conn_path(c);
        a.ecn = kept->ecn;
        a.size = kept->size;
        a.waited = c->now - kept->at;
        a.dcid = (struct span){0};
        take_udp_datagram(c, &a, kept->bytes, kept->size);
        neap_pool_free(c->pool, kept->bytes, kept->size);
    }
}

/* RFC 9000 §10.2.1: say it again, after ever more datagrams. They are not opened any more, so that anybody may have sent
 * them: what comes from other addresses is dropped. */
static void answer_while_closing(neap_conn *c, const struct arrival *a)
{
    if (c->stage != STAGE_CLOSING || (c->multipath ? !a->path : a->path != conn_path(c)))
        return;
    c->close.heard =
        a->size < CLOSE_HEARD_MOST - c->close.heard ? c->close.heard + (uint32_t)a->size : CLOSE_HEARD_MOST;
    if (++c->close.received < c->close.answer_at) {
        c->config->bounds.closes_withheld++;
        return;
    }
    c->close.answer_at *= 2;
    c->close.owed = true;
}

/* The path that an address belongs to, NULL for a new one; false when nothing is taken from there. */
static bool find_source(const neap_conn *c, const neap_recv_info *info, struct path **path)
{
    bool is_active = conn_is_on(c, conn_path(c), &info->to, &info->from);

    *path = is_active ? conn_path(c) : NULL;
    if (is_active)
        return true;
    if (c->compares_local || takes_other_addresses(c))
        *path = neap_conn_find_path(c, ANY_SLOT, &info->to, &info->from);
    return *path || c->is_server;
}

/* Whether the datagram, of which these are the first `size` bytes, begins with a short header for the same connection ID. */
static bool begins_alike(const struct packet_header *h, const uint8_t *bytes, size_t size)
{
    return size > h->dcid.size && (bytes[0] & LONG_FORM) == 0 &&
           memcmp(bytes + 1, h->dcid.data, h->dcid.size) == 0;
}

/* Whether it begins as the one before it: then *h is its header. */
static bool follows(struct packet_header *h, const uint8_t *bytes, size_t size)
{
    if (h->type != NEAP_PACKET_SHORT || !begins_alike(h, bytes, size))
        return false;
    h->dcid.data = bytes + 1;
    h->size = size;
    return true;
}

/* How many bytes of a train, at most MASK_RUN datagrams, are for the connection of the first: those behind may be others'. */
static size_t run_size(const struct packet_header *h, const uint8_t *bytes, size_t size, size_t segment)
{
    size_t most = size < segment * MASK_RUN ? size : segment * MASK_RUN, at = segment;

    while (at < most && begins_alike(h, bytes + at, most - at < segment ? most - at : segment))
        at += segment;
    return at < most ? at : most;
}

/* Masks of a train's headers, made for many at a time: the key of header protection is one for all 1-RTT packets. */
struct train_masks {
    struct header_mask masks[MASK_RUN];
    size_t count, used;
};

static const struct header_mask *next_mask(neap_conn *c, struct train_masks *m, const struct packet_header *h,
                                           const uint8_t *bytes, size_t size, size_t segment)
{
    struct packet_key *key = &c->application.read;

    if (m->used == m->count) {
        m->used = m->count = 0;
        if (size > segment && h->type == NEAP_PACKET_SHORT && packet_key_is_set(key) &&
            packet_masks_gain(key)) {
            size_t run = run_size(h, bytes, size, segment);

            if (run > segment)
                m->count = neap_packet_masks(c->crypto, key, bytes, run, segment, h->number_at, m->masks);
        }
    }
    return m->used < m->count ? &m->masks[m->used++] : NULL;
}

/* What is the same for all datagrams of a train while the connection stays what it is. False: nothing is taken. */
static bool begin_recv(neap_conn *c, struct arrival *a)
{
    bool is_taken = find_source(c, a->info, &a->path);

    a->is_counted = a->path && !c->multipath; /* else once the path ID is known */
    if (a->is_counted)
        conn_on_udp_datagram(c, a->path, a->size);
    if (!conn_is_alive(c)) {
        answer_while_closing(c, a);
        return false;
    }
    if (a->size == 0 || !is_taken) {
        neap_conn_dropped(c, NEAP_PACKET_SHORT, a->size, a->size ? "from another address" : "empty");
        return false;
    }
    return true;
}

/* Keys and stages that came with a datagram. */
static void end_handshake_recv(neap_conn *c)
{
    if (conn_is_alive(c))
        take_kept(c);
    if (conn_reached(c) >= STAGE_CONFIRMED)
        neap_conn_free_handshake(c);
    neap_conn_count_early(c);
}

void neap_conn_answered(neap_conn *c)
{
    end_handshake_recv(c);
    neap_conn_set_timers(c);
}

static void recv_datagram(neap_conn *c, struct arrival *a, uint8_t *bytes)
{
    uint64_t before = c->counters.packets_received;
    uint8_t tail[RESET_TOKEN_SIZE] = {0};

    if (a->size >= sizeof tail)
        memcpy(tail, bytes + a->size - sizeof tail, sizeof tail);
    TRACE(c->tracer, .conn = c, .kind = NEAP_TRACE_UDP_RECEIVED, .now = c->now, .size = a->size,
          .values = {a->ecn});
    take_udp_datagram(c, a, bytes, a->size);
    check_reset(c, a, tail, before);
    if (c->handshake)
        end_handshake_recv(c);
}

size_t neap_conn_recv_train(neap_conn *c, uint8_t *bytes, size_t size, size_t segment,
                            const struct packet_header *first, const neap_recv_info *info, neap_time now)
{
    struct arrival a = {.info = info, .ecn = info->ecn, .may_keep = true};
    struct packet_header h;
    struct train_masks masks;
    size_t at = 0;

    masks.count = masks.used = 0;
    if (c->stage == STAGE_CLOSED)
        return size < segment ? size : segment;
    if (first)
        h = *first;
    c->now = now;
    do {
        a.size = size - at < segment ? size - at : segment;
        a.parsed = first ? &h : NULL;
        c->counters.bytes_received += a.size;
        /* From where it comes is looked up anew only when the path may be another than a moment ago. */
        a.is_known = a.is_ours && a.path && a.path == conn_path_at(c, c->recovery.ways[a.slot]);
        a.mask = first && !c->handshake ? next_mask(c, &masks, &h, bytes + at, size - at, segment) : NULL;
        a.is_counted = a.is_known;
        if (a.is_known)
            conn_on_udp_datagram(c, a.path, a.size);
        else
            a.dcid.data = NULL;
        if (a.is_known || begin_recv(c, &a))
            recv_datagram(c, &a, bytes + at);
        at += a.size;
    } while (at < size && first && conn_is_alive(c) && !c->handshake &&
             follows(&h, bytes + at, size - at < segment ? size - at : segment));
    if (conn_is_alive(c))
        neap_conn_set_timers(c);
    if (conn_is_traced(c))
        neap_conn_trace_timer(c, false);
    return at;
}

int neap_conn_recv(neap_conn *conn, uint8_t *bytes, size_t size, const neap_recv_info *info, neap_time now)
{
    if (conn->stage == STAGE_CLOSED)
        return NEAP_ERR_CLOSED;
    neap_conn_recv_train(conn, bytes, size, size, NULL, info, now);
    return 0;
}
