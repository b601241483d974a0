/* Whether a path carries ECN marks (RFC 9000 §13.4.2). A path is tested with its first packets. An ACK that tells of
 * them as it should makes it capable, at once; counts that do not fit end it for ever, and so does what looks as if
 * marked packets were dropped or all were marked with CE. A path that carried marks is tested again before that. Probes of
 * the PTO leave unmarked: a path that drops marks costs time, not the connection. */
#include "recovery/ecn.h"

#include "base/limits.h"

void neap_ecn_init(struct path_ecn *e, bool is_wanted)
{
    *e = (struct path_ecn){.state = is_wanted ? NEAP_ECN_TESTING : NEAP_ECN_OFF};
}

size_t neap_ecn_burst(const struct path_ecn *e, size_t most)
{
    size_t left = LIMIT_ECN_TEST - e->tested;

    return e->state == NEAP_ECN_TESTING && left < most ? left : most;
}

void neap_ecn_on_sent(struct path_ecn *e)
{
    if (e->state != NEAP_ECN_TESTING)
        return;
    if (++e->tested >= LIMIT_ECN_TEST)
        e->state = NEAP_ECN_UNKNOWN;
}

static uint8_t add_up(uint8_t count, uint64_t more)
{
    return (uint8_t)(more < (uint64_t)(UINT8_MAX - count) ? count + more : UINT8_MAX);
}

void neap_ecn_forget(struct path_ecn *e)
{
    if (e->state != NEAP_ECN_TESTING && e->state != NEAP_ECN_UNKNOWN)
        return;
    if (e->tested > e->settled)
        e->tested--;
    if (e->tested < LIMIT_ECN_TEST)
        e->state = NEAP_ECN_TESTING;
}

void neap_ecn_on_passed(struct path_ecn *e)
{
    if (e->state == NEAP_ECN_TESTING || e->state == NEAP_ECN_UNKNOWN)
        e->settled = add_up(e->settled, 1);
}

/* We send no ECT(1): who tells of some changed marks on the way, or invents counts. */
static bool fits(const struct ecn_counts *known, const struct ecn_report *told, uint64_t newly)
{
    if (!told->is_told)
        return newly == 0;
    return told->ect1 == 0 && told->ect0 >= known->ect0 && told->ce >= known->ce &&
           told->ect0 + told->ce <= known->marked &&
           told->ect0 - known->ect0 + (told->ce - known->ce) >= newly;
}

bool neap_ecn_check(struct ecn_counts *known, const struct ecn_report *told, uint64_t newly, uint64_t *ect0,
                    uint64_t *ce)
{
    bool is_valid = fits(known, told, newly);

    *ect0 = is_valid && told->is_told ? told->ect0 - known->ect0 : 0;
    *ce = is_valid && told->is_told ? told->ce - known->ce : 0;
    if (told->is_told) {
        known->ect0 = told->ect0;
        known->ce = told->ce;
    }
    return is_valid;
}

void neap_ecn_on_valid(struct path_ecn *e, uint64_t ect0)
{
    if (ect0 > 0 && (e->state == NEAP_ECN_TESTING || e->state == NEAP_ECN_UNKNOWN))
        e->state = NEAP_ECN_CAPABLE;
}

void neap_ecn_on_invalid(struct path_ecn *e)
{
    if (e->state != NEAP_ECN_OFF)
        e->state = NEAP_ECN_FAILED;
}

void neap_ecn_on_round(struct path_ecn *e, uint64_t marked_acked, uint64_t unmarked_acked,
                       uint64_t marked_lost, neap_time now)
{
    if (e->state == NEAP_ECN_OFF || e->state == NEAP_ECN_FAILED)
        return;
    e->settled = add_up(e->settled, marked_acked + marked_lost);
    e->lost = add_up(marked_acked ? 0 : e->lost, marked_lost);
    unsigned most = e->state == NEAP_ECN_CAPABLE ? LIMIT_ECN_LOST : LIMIT_ECN_TEST_LOST;
    /* Marked packets do not come through, and others do. */
    bool is_whole = e->state == NEAP_ECN_UNKNOWN; /* the test is, and the verdict waits for all of it */
    bool is_black_hole = !is_whole && marked_acked == 0 && unmarked_acked > 0 && e->lost >= most;
    /* All of the test are lost, or all came with CE. */
    bool is_in_vain = is_whole && e->settled >= e->tested;

    if (is_black_hole && e->state == NEAP_ECN_CAPABLE) /* an outage looks the same: another test tells */
        *e = (struct path_ecn){.state = NEAP_ECN_TESTING, .since = now};
    else if (is_black_hole || is_in_vain)
        e->state = NEAP_ECN_FAILED;
}
