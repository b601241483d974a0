#include "quic/admission.h"

#define QUARTER (NEAP_SECOND / 4)
#define MOST_DEBT NEAP_SECOND /* nobody is asked for Retry longer than so for what began above the rate */
/* Clients with the token of a Retry begin above the rate by what can be paid while they are patient: a prefix that has
 * the server for itself up to this … */
#define PROVED_DEBT (4 * NEAP_SECOND)
/* … and one that began less than its share that much further, for each of its prefixes: whatever the others do, it finds
 * this left. */
#define QUIET_DEBT NEAP_SECOND
#define MOST_PROVED_DEBT (PROVED_DEBT + ADMISSION_PREFIXES * QUIET_DEBT)
/* Of a charge, what is left of one that resumes where the rate is so low that nothing of the machine is known. */
#define RESUMED_PART 10u
#define MOST_PREFIX_DEBT (2 * NEAP_SECOND) /* above what is its share for a second, so that it stops at it */

/* A prefix has the rate divided by this, when there is not enough for all. */
static const neap_time shares[ADMISSION_PREFIXES] = {[ADMISSION_NETWORK] = 4, [ADMISSION_PROVIDER] = 2};

static neap_time debt(neap_time paid_at, neap_time now)
{
    return paid_at > now ? paid_at - now : 0;
}

/* Returns how much was added. */
static neap_time add_debt(neap_time *paid_at, neap_time cost, neap_time most, neap_time now)
{
    neap_time owed = debt(*paid_at, now), room = owed < most ? most - owed : 0;
    neap_time added = cost < room ? cost : room;

    *paid_at = now + (owed < most ? owed : most) + added;
    return added;
}

/* The parts `left` of `cost` of what was added stay. What time has paid meanwhile is not owed twice. */
static void give_back(neap_time *paid_at, neap_time added, neap_time left, neap_time cost, neap_time now)
{
    neap_time owed = debt(*paid_at, now), back = added - added * left / cost;

    *paid_at = now + (owed > back ? owed - back : 0);
}

static uint64_t hash_prefix(const struct admission *a, const neap_address *peer, enum admission_prefix prefix)
{
    static const size_t sizes[ADMISSION_PREFIXES][2] = {{3, 6}, {2, 4}};
    uint8_t bytes[7] = {peer->family};
    size_t size = sizes[prefix][peer->family == 4 ? 0 : 1];

    memcpy(bytes + 1, peer->ip, size);
    return neap_siphash(a->key, span_of(bytes, 1 + size));
}

/* The places of a prefix in both rows of its cells. */
static void find_cells(const struct admission *a, const neap_address *peer, enum admission_prefix prefix,
                       size_t at[2])
{
    uint64_t hash = hash_prefix(a, peer, prefix);

    at[0] = (size_t)(hash & UINT32_MAX) % LIMIT_ADMISSION_CELLS;
    at[1] = (size_t)(hash >> 32) % LIMIT_ADMISSION_CELLS;
}

/* Of how many of its prefixes a client is that began more than their share in the last second. */
static unsigned count_over_share(const struct admission *a, const neap_address *peer, neap_time now)
{
    unsigned count = 0;

    for (enum admission_prefix prefix = 0; prefix < ADMISSION_PREFIXES; prefix++) {
        const neap_time(*cells)[LIMIT_ADMISSION_CELLS] = a->prefixes_paid_at[prefix];
        size_t at[2];

        find_cells(a, peer, prefix, at);
        count += debt(cells[0][at[0]], now) > NEAP_SECOND && debt(cells[1][at[1]], now) > NEAP_SECOND;
    }
    return count;
}

/* Half of what may begin in a second is for anybody; who is over its share stops a quarter earlier than others, so that
 * they find some left. Clients with a token have no such bound, but what they began is paid for before more of them
 * begin, in the order of their prefixes' quiet: at a flood a quiet one waits for nobody. */
enum admission_says neap_admission_ask(const struct admission *a, const neap_address *peer, bool validated,
                                       uint64_t rate, uint64_t half_open, neap_time now)
{
    unsigned over = rate > 0 ? count_over_share(a, peer, now) : 0;

    if (!validated) {
        neap_time most = over > 0 ? QUARTER : 2 * QUARTER;

        if (half_open >= LIMIT_HALF_OPEN_REFUSED)
            return ADMISSION_REFUSE;
        return half_open >= LIMIT_HALF_OPEN || (rate > 0 && debt(a->paid_at, now) > most) ? ADMISSION_RETRY
                                                                                          : ADMISSION_BEGIN;
    }
    if (half_open >= LIMIT_HALF_OPEN_MOST || (over > 0 && half_open >= LIMIT_HALF_OPEN_REFUSED))
        return ADMISSION_REFUSE;
    return rate > 0 && debt(a->all_paid_at, now) >= MOST_PROVED_DEBT - over * QUIET_DEBT ? ADMISSION_LATER
                                                                                         : ADMISSION_BEGIN;
}

static struct admission_charge add_charge(struct admission *a, const neap_address *peer, neap_time cost,
                                          neap_time now)
{
    struct admission_charge charge = {.cost = cost};

    charge.paid = add_debt(&a->paid_at, charge.cost, MOST_DEBT, now);
    charge.all_paid = add_debt(&a->all_paid_at, charge.cost, MOST_PROVED_DEBT, now);
    for (enum admission_prefix prefix = 0; prefix < ADMISSION_PREFIXES; prefix++) {
        size_t at[2];

        find_cells(a, peer, prefix, at);
        for (size_t i = 0; i < 2; i++)
            charge.prefixes[prefix][i] = add_debt(&a->prefixes_paid_at[prefix][i][at[i]],
                                                  charge.cost * shares[prefix], MOST_PREFIX_DEBT, now);
    }
    return charge;
}

struct admission_charge neap_admission_begun(struct admission *a, const neap_address *peer, uint64_t rate,
                                             neap_time now)
{
    return rate == 0 ? (struct admission_charge){0} : add_charge(a, peer, NEAP_SECOND / rate, now);
}

void neap_admission_worked(struct admission *a, const neap_address *peer, uint64_t rate, neap_time cost,
                           neap_time now)
{
    if (rate > 0)
        add_charge(a, peer, cost, now);
}

void neap_admission_resumed(struct admission *a, const neap_address *peer, struct admission_charge *charge,
                            neap_time least, neap_time now)
{
    neap_time cost = charge->cost, part = cost / RESUMED_PART, left = part > least ? part : least;

    charge->cost = 0;
    if (cost <= left)
        return;
    give_back(&a->paid_at, charge->paid, left, cost, now);
    give_back(&a->all_paid_at, charge->all_paid, left, cost, now);
    for (enum admission_prefix prefix = 0; prefix < ADMISSION_PREFIXES; prefix++) {
        size_t at[2];

        find_cells(a, peer, prefix, at);
        for (size_t i = 0; i < 2; i++)
            give_back(&a->prefixes_paid_at[prefix][i][at[i]], charge->prefixes[prefix][i], left, cost, now);
    }
}

bool neap_admission_reset(struct admission *a, const neap_address *peer, neap_time now)
{
    uint16_t *of_network =
        &a->resets_of_network[hash_prefix(a, peer, ADMISSION_NETWORK) % LIMIT_RESET_NETWORKS];

    if (now - a->reset_second >= NEAP_SECOND) {
        a->reset_second = now;
        a->resets = 0;
        memset(a->resets_of_network, 0, sizeof a->resets_of_network);
    }
    if (a->resets == LIMIT_RESET_RATE || *of_network == LIMIT_RESET_RATE_NETWORK)
        return false;
    a->resets++;
    ++*of_network;
    return true;
}

uint64_t neap_admission_hash(const struct admission *a, struct span dcid)
{
    return neap_siphash(a->key, dcid);
}

void neap_admission_spend(struct admission *a, uint64_t hash, neap_time now)
{
    a->spent[hash % LIMIT_SPENT_DESTINATIONS].hash = hash;
    a->spent[hash % LIMIT_SPENT_DESTINATIONS].until = now + LIMIT_SPENT_SECONDS * NEAP_SECOND;
}

bool neap_admission_is_spent(const struct admission *a, uint64_t hash, neap_time now)
{
    return a->spent[hash % LIMIT_SPENT_DESTINATIONS].hash == hash &&
           now < a->spent[hash % LIMIT_SPENT_DESTINATIONS].until;
}
