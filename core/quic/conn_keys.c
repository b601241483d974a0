/* Generations of 1-RTT keys (RFC 9001 §6) and the limits of their use (§6.6). */
#include "quic/draft.h"

#define NUMBERS_RESERVED (2 * BURST_PACKETS) /* a burst, and numbers left out */

static bool is_gcm(uint16_t suite)
{
    return suite != SUITE_CHACHA20_POLY1305_SHA256;
}

/* The key after the current read key. The secret in phases runs one ahead of the key in use. */
static void make_next_read(neap_conn *c)
{
    neap_packet_key_next(&c->keys.next_read, &c->application.read, c->labels, c->keys.read_secret);
}

void neap_conn_install_application(neap_conn *c, const struct tls_secret *secret)
{
    struct number_space *s = &c->application;

    if (secret->direction == TLS_READ) {
        neap_packet_key_derive(&s->read, c->labels, secret->suite, secret->secret);
        s->read.is_busy = true;
        memcpy(c->keys.read_secret, secret->secret, secret->size);
        s->read_start = UINT64_MAX;
        make_next_read(c);
        return;
    }
    /* RFC 9001 §4.9.3: 0-RTT is over. */
    c->handshake->sends_early = false;
    neap_packet_key_wipe(c->crypto, &s->write);
    neap_packet_key_derive(&s->write, c->labels, secret->suite, secret->secret);
    s->write.is_busy = true;
    memcpy(c->keys.write_secret, secret->secret, secret->size);
    s->write_start = s->next_number;
    c->keys.sealed = 0;
    c->keys.bytes_before = c->counters.bytes_sent;
    c->keys.confirmed_at = NEAP_NEVER;
    c->keys.answered = true;
    neap_recovery_add_space(&c->recovery, SPACE_APPLICATION, &s->recovery);
    neap_recovery_set_timer(&c->recovery, c->now);
}

static bool has_previous_read(const neap_conn *c)
{
    return c->keys.previous_read && !c->previous_is_early;
}

/* RFC 9001 §6.5: what was sent before the first packet of the current phase is of the one before. In the space of a path ID
 * there may be none of the current phase yet (draft-ietf-quic-multipath §2.5). */
static bool is_before_phase(const struct number_space *s, uint64_t number)
{
    return number < s->read_start;
}

struct packet_key *neap_conn_read_key(neap_conn *c, const struct number_space *s, bool phase, uint64_t number)
{
    /* Neither branches on the phase and the number, nor is there one without a key (RFC 9001 §6.3, §9.5). */
    struct packet_key *const keys[] = {&c->application.read, &c->keys.next_read,
                                       has_previous_read(c) ? c->keys.previous_read : &c->keys.next_read};
    size_t is_other = phase != c->keys.read_phase;

    return keys[is_other + (is_other & is_before_phase(s, number))];
}

void neap_conn_drop_previous_keys(neap_conn *c)
{
    if (c->keys.previous_read)
        neap_packet_key_wipe(c->crypto, c->keys.previous_read);
    neap_pool_free(c->pool, c->keys.previous_read, sizeof *c->keys.previous_read);
    c->keys.previous_read = NULL;
    c->previous_is_early = false;
}

bool neap_conn_keep_previous_key(neap_conn *c, struct packet_key *key)
{
    neap_conn_drop_previous_keys(c);
    c->keys.previous_read = neap_pool_alloc(c->pool, sizeof *key);
    if (c->keys.previous_read)
        *c->keys.previous_read = *key; /* with its expanded form */
    else
        neap_packet_key_wipe(c->crypto, key);
    neap_wipe(key, sizeof *key);
    c->keys.previous_until = c->now + OLD_KEYS_PTOS * neap_conn_pto(c);
    return c->keys.previous_read != NULL;
}

static void next_write(neap_conn *c)
{
    struct packet_key old = c->application.write;

    neap_packet_key_next(&c->application.write, &old, c->labels, c->keys.write_secret);
    neap_packet_key_wipe(c->crypto, &old);
    c->keys.write_phase = !c->keys.write_phase;
    for (enum space i = SPACE_APPLICATION; i < recovery_spaces_end(&c->recovery); i++)
        if (conn_space(c, i))
            conn_space(c, i)->write_start = conn_space(c, i)->next_number;
    c->keys.sealed = 0;
    c->keys.bytes_before = c->counters.bytes_sent;
    c->keys.confirmed_at = NEAP_NEVER;
    c->keys.updates++;
    TRACE(c->tracer, .conn = c, .kind = NEAP_TRACE_KEYS_UPDATED, .now = c->now, .number = c->keys.updates);
}

/* The packet is the first of its phase: of none of the other spaces is it known where that begins. */
static void begin_read_phase(neap_conn *c, struct number_space *s, uint64_t number)
{
    for (enum space i = SPACE_APPLICATION; i < recovery_spaces_end(&c->recovery); i++)
        if (conn_space(c, i))
            conn_space(c, i)->read_start = UINT64_MAX;
    s->read_start = number;
}

int neap_conn_opened(neap_conn *c, struct number_space *s, const struct packet_key *key, bool phase,
                     uint64_t number, struct failure *why)
{
    if (key == &c->application.read) {
        if (number < s->read_start)
            s->read_start = number;
        return 0;
    }
    if (key != &c->keys.next_read)
        return 0;
    if (s->read_start != UINT64_MAX && is_before_phase(s, number)) /* RFC 9001 §6.4 */
        return neap_fail(why, NEAP_KEY_UPDATE_ERROR, "new keys for a packet before those of the old ones");
    /* RFC 9001 §6.2: twice without waiting for an acknowledgement. Who follows an update of ours needs none for it. */
    if (c->keys.write_phase != phase && !c->keys.answered)
        return neap_fail(why, NEAP_KEY_UPDATE_ERROR, "keys updated before the last update was acknowledged");
    c->unproductive += LIMIT_KEY_UPDATE_COST;
    neap_conn_keep_previous_key(c, &c->application.read);
    c->application.read = c->keys.next_read;
    c->keys.read_phase = phase;
    begin_read_phase(c, s, number);
    make_next_read(c);
    if (c->keys.write_phase != phase)
        next_write(c);
    c->keys.answered = false;
    return 0;
}

void neap_conn_forged(neap_conn *c, const struct packet_key *key)
{
    uint64_t limit = is_gcm(key->suite) ? LIMIT_FORGED_GCM : LIMIT_FORGED_CHACHA;

    /* Whichever key was tried: the next packets take as long in this phase and in others. An idle connection gives the
     * room back as it does what bursts need. */
    neap_packet_key_expand(c->crypto, &c->keys.next_read);
    if (c->keys.previous_read)
        neap_packet_key_expand(c->crypto, c->keys.previous_read);
    if (c->trim_at == NEAP_NEVER)
        c->trim_at = c->now + TRIM_AFTER;
    if (++c->keys.forged >= limit)
        neap_conn_end(c, false, NEAP_AEAD_LIMIT_REACHED, 0, "too many packets that did not open");
}

bool neap_conn_begin_phase(neap_conn *c)
{
    /* RFC 9001 §6.1: not before the handshake is confirmed, nor before a packet of this phase is acknowledged; and
     * the peer must have followed the update before. */
    if (c->stage < STAGE_CONFIRMED || c->keys.write_phase != c->keys.read_phase ||
        c->keys.confirmed_at == NEAP_NEVER)
        return false;
    /* §6.5: peers make their next keys when they have dropped the old ones, and do not read such packets before. */
    if (c->keys.updates > 0 && c->now < c->keys.confirmed_at + OLD_KEYS_PTOS * neap_conn_pto(c))
        return false;
    next_write(c);
    return true;
}

int neap_conn_update_keys(neap_conn *conn)
{
    if (!conn_is_alive(conn))
        return NEAP_ERR_CLOSED;
    if (!neap_conn_begin_phase(conn))
        return NEAP_ERR_AGAIN;
    return neap_conn_ping(conn); /* the peer is to hear of it */
}

/* Whether the application or the cipher wants other keys by now. */
static bool is_worn(const neap_conn *c)
{
    uint64_t packets = config_option(c->config, OPTION_key_update_packets);
    uint64_t bytes = config_option(c->config, OPTION_key_update_bytes);

    return (is_gcm(c->application.write.suite) && c->keys.sealed >= LIMIT_KEY_UPDATE_AFTER) ||
           (packets && c->keys.sealed >= packets) ||
           (bytes && c->counters.bytes_sent - c->keys.bytes_before >= bytes);
}

bool neap_conn_check_seal_limit(neap_conn *c)
{
    /* RFC 9000 §12.3: without a word, since there is no number left for one. */
    if (c->application.next_number > VARINT_MAX - NUMBERS_RESERVED) {
        neap_conn_vanish(c, NEAP_CLOSE_LOCAL, "packet numbers are used up");
        return false;
    }
    if (!is_worn(c) || neap_conn_begin_phase(c))
        return true;
    if (!is_gcm(c->application.write.suite) || c->keys.sealed + BURST_PACKETS < LIMIT_SEALED_GCM)
        return true;
    neap_conn_end(c, false, NEAP_AEAD_LIMIT_REACHED, 0, "too many packets under one key");
    return false;
}
