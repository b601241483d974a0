/* When the connection wants to be woken, and what it does then. */
#include "quic/conn_trace.h"
#include "quic/multipath.h"

static neap_time earlier(neap_time a, neap_time b)
{
    return a < b ? a : b;
}

neap_time neap_conn_pto(const neap_conn *c)
{
    return c->multipath ? neap_multipath_pto(c) : neap_recovery_pto(&c->recovery, SPACE_APPLICATION);
}

neap_time neap_conn_draining_time(const neap_conn *c)
{
    neap_time delay = c->recovery.max_ack_delay;
    neap_time more = delay > DRAIN_DELAY_MOST ? delay - DRAIN_DELAY_MOST : 0;

    return DRAIN_PTOS * (neap_conn_pto(c) - more);
}

void neap_conn_touch_idle(neap_conn *c)
{
    c->idle_from = c->now;
}

/* RFC 9000 §10.1: not less than three probe timeouts, so that a loss does not end the connection. */
static neap_time idle_at(const neap_conn *c)
{
    neap_time least = 3 * neap_conn_pto(c);

    if (c->idle_timeout == 0)
        return NEAP_NEVER;
    return c->idle_from + (c->idle_timeout > least ? c->idle_timeout : least);
}

/* With nothing in flight it is credit that data waits for. */
static bool is_flow_blocked(const neap_conn *c)
{
    return c->streams.unsent > 0 && conn_path(c)->recovery.bytes_in_flight == 0;
}

/* When a silence is to be broken (RFC 9000 §10.1.2, §4.1). */
static neap_time keep_alive_at(const neap_conn *c)
{
    neap_time after = config_option(c->config, OPTION_keep_alive) * NEAP_MILLISECOND;

    if (c->stage < STAGE_ESTABLISHED)
        return NEAP_NEVER;
    if (after)
        return c->silent_since + after;
    neap_time at = c->silent_since + c->idle_timeout / 2;
    return c->idle_timeout && (at < c->keep_until || is_flow_blocked(c)) ? at : NEAP_NEVER;
}

/* A server that may not send before the peer's address is proved: its timers rest (RFC 9002 §6.2.2.1). */
static bool is_amplification_blocked(const neap_conn *c)
{
    return neap_validation_budget(&conn_path(c)->address) < NEAP_MIN_UDP_PAYLOAD;
}

void neap_conn_set_timers(neap_conn *c)
{
    bool limited = is_amplification_blocked(c);

    if (limited == conn_path(c)->recovery.amplification_limited)
        return;
    conn_path(c)->recovery.amplification_limited = limited;
    c->counters.amplification_limited += limited;
    neap_recovery_set_timer(&c->recovery, c->now);
}

static neap_time ack_at(const neap_conn *c)
{
    neap_time at = NEAP_NEVER;

    if (c->multipath)
        at = neap_multipath_ack_at(c);
    if (packet_key_is_set(&c->application.write) && conn_path(c)->slot == 0)
        at = earlier(at, c->application.ack.send_at);
    for (size_t i = 0; c->handshake && i < 2; i++)
        if (space_can_send(&c->handshake->spaces[i]))
            at = earlier(at, c->handshake->spaces[i].ack.send_at);
    return at;
}

/* Times at which something is to be sent: none of them counts while nothing may be. */
static neap_time sending_at(const neap_conn *c)
{
    neap_time at = earlier(ack_at(c), c->pacer_at);

    if (is_amplification_blocked(c)) {
        if (!c->multipath || !neap_multipath_is_used(c))
            return NEAP_NEVER;
        at = earlier(neap_multipath_ack_at(c), c->pacer_at);
    }
    /* Nothing is tried before, whatever is due; then it is, also when there is only data. */
    return c->stalled_until > c->now ? c->stalled_until : at;
}

void neap_conn_wake_at(neap_conn *conn, neap_time at)
{
    conn->wake_at = at;
}

neap_time neap_conn_timeout(const neap_conn *conn)
{
    const neap_conn *c = conn;
    neap_time at = NEAP_NEVER;

    if (c->stage == STAGE_CLOSED)
        return NEAP_NEVER;
    if (!conn_is_alive(c))
        return c->close.until;
    at = earlier(c->recovery.timer, idle_at(c));
    at = earlier(earlier(at, c->trim_at), sending_at(c));
    at = earlier(earlier(at, c->path_timer), earlier(c->wake_at, keep_alive_at(c)));
    if (c->unchecked_dates)
        at = earlier(at, c->unchecked_dates->look_at);
    if (c->multipath)
        at = earlier(at, neap_multipath_timeout(c));
    if (c->datagrams)
        at = earlier(at, c->datagrams->next_deadline);
    if (c->stage < STAGE_ESTABLISHED)
        at = earlier(at, c->handshake->deadline);
    if (c->keys.previous_read)
        at = earlier(at, c->keys.previous_until);
    return at;
}

/* RFC 9002 §6.2.4: data first. In the handshake everything that is not acknowledged goes again, in both spaces, since
 * the peer may lack either flight; later it is the oldest packets'. */
static void begin_probe(neap_conn *c, enum space space)
{
    struct number_space *s = conn_space(c, space);

    if (space >= SPACE_APPLICATION && c->multipath && neap_multipath_on_pto(c, space))
        return;
    if (!space_can_send(s))
        return;
    s->probes = 2;
    s->ack_again = true;
    if (space == SPACE_APPLICATION) {
        if (!neap_streams_has_to_send(&c->streams))
            neap_conn_requeue_oldest(c, space, s->probes);
        return;
    }
    for (size_t i = 0; i < 2; i++) {
        struct number_space *early = &c->handshake->spaces[i];

        if (space_can_send(early))
            neap_send_buffer_lose_all(&early->crypto->send, c->pool);
    }
    /* RFC 9000 §17.2.3: 0-RTT packets are good for nothing without the Initial that was lost. */
    if (c->handshake->sends_early && c->application.recovery.sent.eliciting_in_flight > 0) {
        neap_conn_requeue_oldest(c, SPACE_APPLICATION, UINT32_MAX);
        c->application.probes = s->probes;
    }
}

static void on_loss_timer(neap_conn *c)
{
    enum space space = SPACE_APPLICATION;

    switch (neap_recovery_on_timeout(&c->recovery, &space, c->now)) {
    case TIMEOUT_NOTHING: break;
    case TIMEOUT_LOSS:
        neap_conn_take_fates(c, space);
        neap_conn_mark_turn(c);
        break;
    case TIMEOUT_PROBE: begin_probe(c, space); break;
    }
}

/* An idle connection gives back what its bursts needed. What is in flight now ends in a packet, and that in another
 * turn here. */
static void trim(neap_conn *c)
{
    c->trim_at = NEAP_NEVER;
    if (conn_path(c)->recovery.bytes_in_flight > 0) {
        neap_recovery_expire_size_probes(&c->recovery, false, c->now);
        neap_conn_take_fates(c, SPACE_APPLICATION);
    }
    if (conn_path(c)->recovery.bytes_in_flight > 0) {
        if (conn_path(c)->recovery.pmtu.in_flight)
            c->trim_at = c->now + TRIM_AFTER;
        return;
    }
    if (c->multipath && !neap_multipath_trim(c))
        return;
    neap_sent_trim(&c->application.recovery.sent, c->pool);
    neap_ack_trim(&c->application.ack, c->pool);
    neap_streams_reap(&c->streams);
    neap_packet_key_rest(c->crypto, &c->application.read);
    neap_packet_key_rest(c->crypto, &c->keys.next_read);
    neap_packet_key_rest(c->crypto, &c->application.write);
}

/* Who runs late finds the period of a connection over that the application has only just closed: the peer is told first. */
static bool put_off_end(neap_conn *c)
{
    if (c->stage != STAGE_CLOSING || !c->close.owed || c->close.is_put_off)
        return false;
    c->close.is_put_off = true;
    c->close.until = c->now;
    return true;
}

void neap_conn_on_timeout(neap_conn *conn, neap_time now)
{
    neap_conn *c = conn;

    if (c->stage == STAGE_CLOSED)
        return;
    c->now = now;
    if (!conn_is_alive(c)) {
        if (now >= c->close.until && !put_off_end(c))
            neap_conn_finish(c);
        return;
    }
    if (c->stage < STAGE_ESTABLISHED && now >= c->handshake->deadline) {
        neap_conn_vanish(c, NEAP_CLOSE_HANDSHAKE_TIMEOUT, "the handshake took too long");
        return;
    }
    if (now >= idle_at(c)) {
        neap_conn_vanish(c, NEAP_CLOSE_IDLE, "idle");
        return;
    }
    if (c->unchecked_dates && now >= c->unchecked_dates->look_at && !neap_conn_check_dates(c))
        return;
    if (c->keys.previous_read && now >= c->keys.previous_until)
        neap_conn_drop_previous_keys(c);
    if (now >= c->path_timer)
        neap_conn_on_path_timer(c);
    if (conn_is_alive(c) && c->multipath && now >= neap_multipath_timeout(c))
        neap_multipath_on_timeout(c);
    if (!conn_is_alive(c))
        return;
    if (now >= keep_alive_at(c)) {
        c->silent_since = now;
        c->owes_ping = !is_flow_blocked(c) || !neap_streams_repeat_blocked(&c->streams);
    }
    if (now >= c->recovery.timer) {
        if (conn_is_traced(c))
            neap_conn_trace_timer(c, true);
        on_loss_timer(c);
    }
    if (c->datagrams && now >= c->datagrams->next_deadline)
        neap_conn_expire_datagrams(c);
    if (now >= c->pacer_at)
        c->pacer_at = NEAP_NEVER;
    if (now >= c->trim_at)
        trim(c);
    if (now >= c->wake_at) {
        c->wake_at = NEAP_NEVER;
        c->news |= NEWS_STATE;
    }
}
