/* Connections of machines that do not know what time it is: dates of the peer's certificates, which the handshake left out,
 * are checked as soon as the clock is one to believe. */
#include "quic/conn.h"

#include "base/limits.h"
#include "crypto/explain.h"

int neap_conn_note_dates(neap_conn *c, struct failure *why)
{
    struct validity validity;

    if (!neap_tls_has_unchecked_dates(c->handshake->tls, &validity))
        return 0;
    c->unchecked_dates = neap_pool_alloc_lasting(c->pool, sizeof *c->unchecked_dates);
    if (!c->unchecked_dates)
        return neap_fail(why, NEAP_ERR_NO_MEMORY, "no memory for the dates of certificates");
    /* At once: the handshake may have been long. */
    *c->unchecked_dates = (struct unchecked_dates){.validity = validity, .look_at = c->now};
    return 0;
}

void neap_conn_forget_dates(neap_conn *c)
{
    neap_pool_free(c->pool, c->unchecked_dates, sizeof *c->unchecked_dates);
    c->unchecked_dates = NULL;
}

bool neap_conn_check_dates(neap_conn *c)
{
    int64_t wall_clock = neap_config_wall_clock(c->config);
    struct validity validity = c->unchecked_dates->validity;
    char since[EXPLAIN_TIME], until[EXPLAIN_TIME], now[EXPLAIN_TIME];
    struct failure why = {0};

    if (!time_is_known(wall_clock)) {
        c->unchecked_dates->look_at = c->now + LIMIT_CLOCK_LOOK;
        return true;
    }
    neap_conn_forget_dates(c);
    if (validity_has(&validity, wall_clock))
        return true;
    neap_certificate_explain(
        c->crypto, &why, ALERT_CERTIFICATE_EXPIRED,
        "the time is known now, and the peer's certificates are not valid at it: they are "
        "for %s to %s, and the clock here says %s",
        neap_explain_time(validity.since, since), neap_explain_time(validity.until, until),
        neap_explain_time(wall_clock, now));
    neap_conn_end_by(c, &why, 0);
    return false;
}

bool neap_conn_has_unchecked_dates(const neap_conn *conn)
{
    return conn->unchecked_dates != NULL;
}
