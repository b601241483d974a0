#include "quic/admission.h"

#define QUARTER (NEAP_SECOND / 4)
#define PREFIX_SHARE 4u       /* a prefix has the rate divided by this, when there is not enough for all */
#define MOST_DEBT NEAP_SECOND /* nobody pays longer than so for what was begun above the rate */
#define MOST_PREFIX_DEBT (2 * NEAP_SECOND) /* above what is its share for a second, so that it stops at it */

static neap_time debt(neap_time paid_at, neap_time now)
{
    return paid_at > now ? paid_at - now : 0;
}

static neap_time add_debt(neap_time paid_at, neap_time cost, neap_time most, neap_time now)
{
    neap_time owed = debt(paid_at, now) + cost;

    return now + (owed < most ? owed : most);
}

/* The places of a prefix in both rows of cells. */
static void find_cells(const struct admission *a, const neap_address *peer, size_t at[2])
{
    uint8_t bytes[7] = {peer->family};
    size_t size = peer->family == 4 ? 3 : 6;

    memcpy(bytes + 1, peer->ip, size);
    uint64_t hash = neap_siphash(a->key, span_of(bytes, 1 + size));
    at[0] = (size_t)(hash & UINT32_MAX) % LIMIT_ADMISSION_CELLS;
    at[1] = (size_t)(hash >> 32) % LIMIT_ADMISSION_CELLS;
}

/* Whether a prefix began more than its share in the last second. */
static bool is_over_share(const struct admission *a, const neap_address *peer, neap_time now)
{
    size_t at[2];

    find_cells(a, peer, at);
    return debt(a->prefixes_paid_at[0][at[0]], now) > NEAP_SECOND &&
           debt(a->prefixes_paid_at[1][at[1]], now) > NEAP_SECOND;
}

/* Half of what may begin in a second is for those with a token alone. A prefix over its share stops a quarter earlier
 * than others, so that they find some left. */
enum admission_says neap_admission_ask(const struct admission *a, const neap_address *peer, bool validated,
                                       uint64_t rate, uint64_t half_open, neap_time now)
{
    bool is_over = rate > 0 && is_over_share(a, peer, now);
    neap_time owed = rate > 0 ? debt(a->paid_at, now) : 0;

    if (!validated) {
        if (half_open >= LIMIT_HALF_OPEN_REFUSED)
            return ADMISSION_REFUSE;
        return half_open >= LIMIT_HALF_OPEN || owed > (is_over ? QUARTER : 2 * QUARTER) ? ADMISSION_RETRY
                                                                                        : ADMISSION_BEGIN;
    }
    if (half_open >= LIMIT_HALF_OPEN_MOST || (is_over && half_open >= LIMIT_HALF_OPEN_REFUSED))
        return ADMISSION_REFUSE;
    return is_over && owed > 3 * QUARTER ? ADMISSION_LATER : ADMISSION_BEGIN;
}

void neap_admission_begun(struct admission *a, const neap_address *peer, uint64_t rate, neap_time now)
{
    size_t at[2];

    if (rate == 0)
        return;
    neap_time cost = NEAP_SECOND / rate;
    a->paid_at = add_debt(a->paid_at, cost, MOST_DEBT, now);
    find_cells(a, peer, at);
    for (size_t i = 0; i < 2; i++) {
        neap_time *cell = &a->prefixes_paid_at[i][at[i]];

        *cell = add_debt(*cell, cost * PREFIX_SHARE, MOST_PREFIX_DEBT, now);
    }
}

uint64_t neap_admission_hash(const struct admission *a, struct span dcid)
{
    return neap_siphash(a->key, dcid);
}

void neap_admission_ended(struct admission *a, uint64_t hash, neap_time now)
{
    a->ended[hash % LIMIT_ENDED_CONNECTIONS].hash = hash;
    a->ended[hash % LIMIT_ENDED_CONNECTIONS].until = now + LIMIT_ENDED_SECONDS * NEAP_SECOND;
}

bool neap_admission_has_ended(const struct admission *a, uint64_t hash, neap_time now)
{
    return a->ended[hash % LIMIT_ENDED_CONNECTIONS].hash == hash &&
           now < a->ended[hash % LIMIT_ENDED_CONNECTIONS].until;
}
