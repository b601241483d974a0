/* The names of all certificates in one sorted list: a handshake looks its name up twice, as it is and with a wildcard for
 * its first label, however many certificates there are. */
#include "crypto/identity_set.h"

#include "base/limits.h"
#include "base/pool.h"
#include "crypto/certificate.h"
#include "crypto/der.h"
#include "crypto/identity.h"
#include "neap.h"

#define FIRST_IDENTITIES 4u
#define FIRST_NAMES 8u

struct identity_name {
    struct span name; /* in the identity's leaf */
    enum name_kind kind;
    uint32_t index; /* of the identity */
};

struct answered_identity {
    struct identity *identity; /* NULL: a free place */
    int64_t since, until, used;
    uint8_t name_size;
    char name[LIMIT_SERVER_NAME];
};

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

/* Any order will do; it is one for names of any case. */
static int compare(enum name_kind a_kind, struct span a, enum name_kind b_kind, struct span b)
{
    if (a_kind != b_kind)
        return a_kind < b_kind ? -1 : 1;
    if (a.size != b.size)
        return a.size < b.size ? -1 : 1;
    for (size_t i = 0; i < a.size; i++) {
        uint8_t x = a_kind == NAME_DNS ? lower(a.data[i]) : a.data[i];
        uint8_t y = a_kind == NAME_DNS ? lower(b.data[i]) : b.data[i];

        if (x != y)
            return x < y ? -1 : 1;
    }
    return 0;
}

/* The first place that is not before this name. */
static size_t find_place(const struct identity_set *set, enum name_kind kind, struct span name)
{
    size_t low = 0, high = set->names_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (compare(set->names[middle].kind, set->names[middle].name, kind, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Behind those that are equal: they stay in the order in which they were added. */
static void insert_name(struct identity_set *set, enum name_kind kind, struct span name, uint32_t index)
{
    size_t at = find_place(set, kind, name);

    while (at < set->names_count && compare(set->names[at].kind, set->names[at].name, kind, name) == 0)
        at++;
    memmove(set->names + at + 1, set->names + at, (set->names_count - at) * sizeof *set->names);
    set->names[at] = (struct identity_name){.name = name, .kind = kind, .index = index};
    set->names_count++;
}

/* The next name of a leaf that a client can ask for; false at the end. */
static bool next_name(struct reader *r, enum name_kind *kind, struct span *name)
{
    while (!r->bad && reader_left(r) > 0) {
        uint8_t tag = neap_der_next(r, name, NULL);

        *kind = tag == NAME_ADDRESS ? NAME_ADDRESS : NAME_DNS;
        if ((tag == NAME_DNS || tag == NAME_ADDRESS) && name->size > 0)
            return true;
    }
    return false;
}

/* Of that of before and the leaf's, so that an addition costs the same however many there are. */
static void add_to_digest(struct identity_set *set, const struct identity *identity)
{
    uint8_t both[32 + 32];

    memcpy(both, set->digest, 32);
    memcpy(both + 32, neap_identity_digest(identity), 32);
    neap_hash(HASH_SHA256, span_of(both, sizeof both), set->digest);
}

int neap_identity_set_add(struct identity_set *set, struct identity *identity)
{
    const struct certificate *leaf = neap_identity_leaf(identity);
    struct reader names = reader_of(leaf->names);
    struct span name = neap_certificate_common_name(leaf);
    enum name_kind kind;
    size_t count = 1;

    while (next_name(&names, &kind, &name))
        count++;
    if (set->count == LIMIT_IDENTITIES || count + set->names_count > LIMIT_IDENTITY_NAMES)
        return NEAP_ERR_LIMIT;
    struct identity **list = neap_pool_grow(set->pool, set->list, &set->capacity, set->count + 1,
                                            sizeof *set->list, FIRST_IDENTITIES);
    if (!list)
        return NEAP_ERR_NO_MEMORY;
    set->list = list;
    struct identity_name *all = neap_pool_grow(set->pool, set->names, &set->names_capacity,
                                               set->names_count + count, sizeof *set->names, FIRST_NAMES);
    if (!all)
        return NEAP_ERR_NO_MEMORY;
    set->names = all;
    names = reader_of(leaf->names);
    if (!leaf->has_names && name.size > 0) /* of old: a common name stands in */
        insert_name(set, NAME_DNS, name, (uint32_t)set->count);
    while (next_name(&names, &kind, &name))
        insert_name(set, kind, name, (uint32_t)set->count);
    set->list[set->count++] = identity;
    add_to_digest(set, identity);
    return 0;
}

void neap_identity_set_clear(struct identity_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        neap_identity_free(set->list[i]);
    for (size_t i = 0; set->answered && i < LIMIT_ANSWERED_IDENTITIES; i++)
        neap_identity_free(set->answered[i].identity);
    neap_pool_free(set->pool, set->list, set->capacity * sizeof *set->list);
    neap_pool_free(set->pool, set->names, set->names_capacity * sizeof *set->names);
    neap_pool_free(set->pool, set->answered, LIMIT_ANSWERED_IDENTITIES * sizeof *set->answered);
    *set = (struct identity_set){.pool = set->pool};
}

/* ---- choosing */

static bool is_better(const struct identity_choice *choice, const struct identity *identity, bool suits)
{
    if (!choice->identity || choice->suits != suits)
        return !choice->identity || suits;
    return neap_identity_is_rsa(choice->identity) && !neap_identity_is_rsa(identity);
}

/* Take an identity if its key fits, and is better than what was found before. */
static void consider(struct identity_choice *choice, struct identity *identity,
                     const struct identity_wish *wish, bool is_named)
{
    bool suits = neap_identity_suits(identity, wish->certificate_schemes);

    if (!is_better(choice, identity, suits))
        return;
    uint16_t scheme = neap_identity_scheme(identity, wish->schemes);
    if (scheme)
        *choice = (struct identity_choice){
            .identity = identity, .scheme = scheme, .is_named = is_named, .suits = suits};
}

/* The best of those that have exactly this name in them. */
static struct identity_choice choose_named(const struct identity_set *set, enum name_kind kind,
                                           struct span name, const struct identity_wish *wish)
{
    struct identity_choice choice = {0};

    for (size_t i = find_place(set, kind, name);
         i < set->names_count && compare(set->names[i].kind, set->names[i].name, kind, name) == 0; i++)
        consider(&choice, set->list[set->names[i].index], wish, true);
    return choice;
}

static struct identity_choice choose_wildcard(const struct identity_set *set, struct span host,
                                              const struct identity_wish *wish)
{
    uint8_t pattern[LIMIT_SERVER_NAME + 1] = "*";
    const uint8_t *dot = memchr(host.data, '.', host.size);
    size_t size = dot ? host.size - (size_t)(dot - host.data) : 0;

    if (!dot || 1 + size > sizeof pattern)
        return (struct identity_choice){0};
    memcpy(pattern + 1, dot, size);
    struct span wanted = span_of(pattern, 1 + size);
    return neap_dns_name_covers(wanted, host) ? choose_named(set, NAME_DNS, wanted, wish)
                                              : (struct identity_choice){0};
}

struct identity_choice neap_identity_set_choose(const struct identity_set *set,
                                                const struct identity_wish *wish)
{
    struct identity_choice choice = {0};
    struct span host = span_of_string(wish->name);

    if (host.size > 0 && host.data[host.size - 1] == '.') /* the root label is implied */
        host.size--;
    if (host.size > 0) {
        choice = choose_named(set, NAME_DNS, host, wish);
        if (!choice.identity)
            choice = choose_wildcard(set, host, wish);
    } else if (wish->address.size > 0) {
        choice = choose_named(set, NAME_ADDRESS, wish->address, wish);
    }
    for (size_t i = 0; i < set->count && !choice.identity; i++)
        consider(&choice, set->list[i], wish, false);
    return choice;
}

/* ---- what the application gave for a name */

static struct answered_identity *find_answered(const struct identity_set *set, struct span name)
{
    for (size_t i = 0; set->answered && i < LIMIT_ANSWERED_IDENTITIES; i++) {
        struct answered_identity *a = &set->answered[i];

        if (a->identity && neap_dns_names_equal(span_of(a->name, a->name_size), name))
            return a;
    }
    return NULL;
}

static void drop_answered(struct answered_identity *a)
{
    neap_identity_free(a->identity);
    a->identity = NULL;
}

void neap_identity_set_remember(struct identity_set *set, const char *name, struct identity *identity,
                                int64_t now, int64_t until)
{
    struct span key = span_of_string(name);

    if (key.size > LIMIT_SERVER_NAME || until <= now || !time_is_known(now))
        return;
    if (!set->answered)
        set->answered = neap_pool_alloc_lasting(set->pool, LIMIT_ANSWERED_IDENTITIES * sizeof *set->answered);
    if (!set->answered)
        return;
    struct answered_identity *a = find_answered(set, key), *oldest = set->answered;
    for (size_t i = 0; !a && i < LIMIT_ANSWERED_IDENTITIES; i++) {
        struct answered_identity *other = &set->answered[i];

        if (!other->identity)
            a = other;
        else if (other->used < oldest->used)
            oldest = other;
    }
    if (!a)
        a = oldest;
    drop_answered(a);
    a->identity = neap_identity_retain(identity);
    a->since = a->used = now;
    a->until = until;
    a->name_size = (uint8_t)key.size;
    memcpy(a->name, key.data, key.size);
}

struct identity *neap_identity_set_recall(struct identity_set *set, const char *name, int64_t now)
{
    struct answered_identity *a = find_answered(set, span_of_string(name));

    if (!a)
        return NULL;
    if (now < a->since || now >= a->until) { /* old, or the clock went back */
        drop_answered(a);
        return NULL;
    }
    a->used = now;
    return a->identity;
}
