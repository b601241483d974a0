/* The names of certificates against the constraints of the authorities above them (RFC 5280 §4.2.1.10, §6.1.4). */
#include "crypto/certificate.h"

#include "crypto/der.h"

/* One name is held against one list of subtrees. */
struct list_match {
    bool has_kind, matches;
    bool is_unclear; /* there is a subtree of this kind whose rules we do not know */
};

/* A DNS constraint covers its name and everything below it; one that begins with a dot only what is below. */
static bool dns_in_subtree(struct span name, struct span base)
{
    if (base.size == 0)
        return true;
    if (name.size < base.size || !neap_dns_names_equal(span_after(name, name.size - base.size), base))
        return false;
    return name.size == base.size || base.data[0] == '.' || name.data[name.size - base.size - 1] == '.';
}

/* Whether one of the names that a wildcard stands for is the base itself: one label more than the rest has. */
static bool wildcard_meets(struct span name, struct span base)
{
    if (name.size < 3 || name.data[0] != '*' || name.data[1] != '.')
        return false;
    const uint8_t *dot = base.size ? memchr(base.data, '.', base.size) : NULL;

    return dot && dot != base.data &&
           neap_dns_names_equal(span_after(name, 2), span_after(base, (size_t)(dot - base.data) + 1));
}

static bool dns_matches(struct span name, struct span base, bool is_permitted)
{
    /* An empty first label is in no subtree; and an authority that excludes a name excludes what could be it. */
    if (is_permitted)
        return name.size > 0 && name.data[0] != '.' && dns_in_subtree(name, base);
    return dns_in_subtree(name, base) || wildcard_meets(name, base);
}

static bool equal_under(const uint8_t *mask, const uint8_t *a, const uint8_t *b, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if ((a[i] ^ b[i]) & mask[i])
            return false;
    }
    return true;
}

/* An address constraint is an address and a mask. An IPv4 address written as an IPv6 one (RFC 4291 §2.5.5.2) is both:
 * what leads to a host is in the subtrees of that host. */
static bool address_in_subtree(struct span address, struct span base)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    static const uint8_t all[12] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    size_t size = base.size / 2;
    const uint8_t *mask = base.data + size;

    if (address.size == size)
        return equal_under(mask, address.data, base.data, size);
    if (address.size == 16 && size == 4)
        return memcmp(address.data, mapped, 12) == 0 && equal_under(mask, address.data + 12, base.data, 4);
    return address.size == 4 && size == 16 && memcmp(base.data, mapped, 12) == 0 &&
           memcmp(mask, all, 12) == 0 && equal_under(mask + 12, address.data, base.data + 12, 4);
}

/* A directory name is in the subtree of one that it begins with. The bytes are compared, not what §7.1 makes of them:
 * the same name spelled otherwise is not found. */
static bool directory_in_subtree(struct span name, struct span base)
{
    struct reader names = reader_of(name), bases = reader_of(base);
    struct span whole = neap_der_expect(&names, DER_SEQUENCE), start = neap_der_expect(&bases, DER_SEQUENCE);

    return !names.bad && !bases.bad && start.size <= whole.size &&
           (start.size == 0 || memcmp(start.data, whole.data, start.size) == 0);
}

static void match_subtree(struct list_match *match, uint8_t kind, struct span name, struct span base,
                          bool is_permitted)
{
    bool matches = false;

    match->has_kind = true;
    switch (kind) {
    case NAME_DNS: matches = dns_matches(name, base, is_permitted); break;
    case NAME_ADDRESS: matches = address_in_subtree(name, base); break;
    case NAME_DIRECTORY:
        matches = directory_in_subtree(name, base);
        match->is_unclear = match->is_unclear || (!is_permitted && !matches);
        break;
    default: match->is_unclear = true;
    }
    match->matches = match->matches || matches;
}

/* Each subtree costs one, and one more for every 16 bytes. */
static bool pay(unsigned *budget, struct span base)
{
    size_t price = 1 + base.size / 16;

    if (*budget < price) {
        *budget = 0;
        return false;
    }
    *budget -= (unsigned)price;
    return true;
}

static enum names_verdict check_name(const struct certificate *authority, uint8_t kind, struct span name,
                                     unsigned *budget)
{
    struct reader lists = reader_of(authority->constraints);

    /* What such a base was meant to cover nobody knows; that it covers nothing least of all. */
    if (kind == NAME_DNS && authority->has_odd_dns_constraints)
        return NAMES_UNCLEAR;
    while (!lists.bad && reader_left(&lists) > 0) {
        struct span subtrees, base;
        bool is_permitted = neap_der_next(&lists, &subtrees, NULL) == DER_CONTEXT_CONSTRUCTED(0);
        struct reader list = reader_of(subtrees);
        struct list_match match = {0};

        while (!list.bad && reader_left(&list) > 0) {
            struct reader subtree = reader_of(neap_der_expect(&list, DER_SEQUENCE));
            uint8_t base_kind = neap_der_next(&subtree, &base, NULL);

            if (!pay(budget, base))
                return NAMES_TOO_MANY;
            if (base_kind == kind)
                match_subtree(&match, kind, name, base, is_permitted);
        }
        if (match.is_unclear && authority->has_critical_constraints)
            return NAMES_UNCLEAR;
        if (is_permitted ? match.has_kind && !match.matches && !match.is_unclear : match.matches)
            return NAMES_FORBIDDEN;
    }
    return NAMES_ALLOWED;
}

enum names_verdict neap_names_check(const struct certificate *authority, const struct certificate *below,
                                    unsigned *budget)
{
    struct reader names = reader_of(below->names);
    struct reader subject = reader_of(below->subject);

    if (authority->constraints.size == 0)
        return NAMES_ALLOWED;
    /* The subject is a directory name, unless it is empty. */
    if (neap_der_expect(&subject, DER_SEQUENCE).size > 0) {
        enum names_verdict verdict = check_name(authority, NAME_DIRECTORY, below->subject, budget);
        if (verdict != NAMES_ALLOWED)
            return verdict;
    }
    while (!names.bad && reader_left(&names) > 0) {
        struct span name;
        uint8_t kind = neap_der_next(&names, &name, NULL);
        enum names_verdict verdict = check_name(authority, kind, name, budget);

        if (verdict != NAMES_ALLOWED)
            return verdict;
    }
    return NAMES_ALLOWED;
}
