/* The names of certificates against the constraints of the authorities above them (RFC 5280 §4.2.1.10, §6.1.4). */
#include "crypto/certificate.h"

#include "crypto/der.h"
#include "crypto/name.h"

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

/* ---- hosts of URIs and of mail addresses */

/* Whether it is the name of a host: labels, the last of which begins with a letter (RFC 1123 §2.1). An address is none. */
static bool is_host(struct span name)
{
    if (name.size == 0 || name.data[0] == '.' || !neap_dns_is_constraint(name))
        return false;
    size_t last = name.size;
    while (last > 0 && name.data[last - 1] != '.')
        last--;
    uint8_t c = name.data[last] | 0x20;
    return c >= 'a' && c <= 'z';
}

/* What is before the first of these bytes; all, where there is none. */
static struct span before(struct span text, const char *ends)
{
    size_t size = 0;

    while (size < text.size && (text.data[size] == '\0' || !strchr(ends, text.data[size])))
        size++;
    return span_of(text.data, size);
}

static bool consists_of(struct span text, const char *bytes)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '\0' || !strchr(bytes, text.data[i]))
            return false;
    }
    return true;
}

#define DIGITS "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* The host in a URI (RFC 3986 §3.2); empty where it has none that is named. */
static struct span uri_host(struct span uri)
{
    struct span scheme = before(uri, ":"), rest = span_after(uri, scheme.size);

    if (!consists_of(scheme, LETTERS DIGITS "+-.") || rest.size < 3 || memcmp(rest.data, "://", 3) != 0)
        return (struct span){0};
    struct span authority = before(span_after(rest, 3), "/?#"), user = before(authority, "@");
    if (user.size < authority.size)
        authority = span_after(authority, user.size + 1);
    struct span host = before(authority, ":");
    if (host.size < authority.size && !consists_of(span_after(authority, host.size + 1), DIGITS))
        return (struct span){0};
    if (host.size > 0 && host.data[host.size - 1] == '.') /* the root label is implied */
        host.size--;
    return is_host(host) ? host : (struct span){0};
}

#define LOCAL_MOST 64u /* bytes before the @ (RFC 5321 §4.5.3.1.1) */

/* The host of a mail address (RFC 5321 §4.1.2); empty where what is before it is anything but a plain word, or the host has
 * no name. */
static struct span mail_host(struct span address)
{
    struct span local = before(address, "@");

    if (local.size == 0 || local.size > LOCAL_MOST || local.size == address.size ||
        !consists_of(local, LETTERS DIGITS ".!#$%&'*+-/=?^_`{|}~"))
        return (struct span){0};
    struct span host = span_after(address, local.size + 1);
    return is_host(host) ? host : (struct span){0};
}

/* A host, or with a dot before it those below. */
static bool host_in_subtree(struct span host, struct span base)
{
    if (base.size > 0 && base.data[0] != '.')
        return neap_dns_names_equal(host, base);
    return host.size > base.size && neap_dns_names_equal(span_after(host, host.size - base.size), base);
}

/* An address, or a host as above. What is before the @ is compared byte by byte (RFC 5280 §7.5). */
static bool mail_in_subtree(struct span address, struct span host, struct span base)
{
    struct span local = before(base, "@");

    if (local.size == base.size)
        return host_in_subtree(host, base);
    return span_equal(span_of(address.data, address.size - host.size - 1), local) &&
           neap_dns_names_equal(host, span_after(base, local.size + 1));
}

/* ---- all kinds */

bool neap_constraint_is_known(uint8_t kind, struct span base)
{
    switch (kind) {
    case NAME_EMAIL: return neap_dns_is_constraint(base) || mail_host(base).size > 0;
    case NAME_DNS:
    case NAME_URI: return neap_dns_is_constraint(base);
    case NAME_ADDRESS:
    case NAME_DIRECTORY: return true;
    default: return false;
    }
}

/* A name on its way through subtrees. */
struct held_name {
    uint8_t kind;
    struct span name;
    struct span host; /* of a URI or a mail address; empty: it has none that constraints could be about */
};

static struct held_name hold(uint8_t kind, struct span name)
{
    struct span host = kind == NAME_URI     ? uri_host(name)
                       : kind == NAME_EMAIL ? mail_host(name)
                                            : (struct span){0};

    return (struct held_name){kind, name, host};
}

static enum match match_subtree(const struct held_name *held, struct span base, bool is_permitted)
{
    bool is_hostless = held->host.size == 0; /* then it is nowhere permitted, and everywhere excluded */
    bool matches = false;

    switch (held->kind) {
    case NAME_EMAIL:
        matches = is_hostless ? !is_permitted : mail_in_subtree(held->name, held->host, base);
        break;
    case NAME_DNS: matches = dns_matches(held->name, base, is_permitted); break;
    case NAME_URI: matches = is_hostless ? !is_permitted : host_in_subtree(held->host, base); break;
    case NAME_ADDRESS: matches = address_in_subtree(held->name, base); break;
    case NAME_DIRECTORY: return neap_name_is_below(held->name, base);
    }
    return matches ? MATCH_YES : MATCH_NO;
}

static bool pay(unsigned *budget, size_t price)
{
    if (*budget < price) {
        *budget = 0;
        return false;
    }
    *budget -= (unsigned)price;
    return true;
}

/* What a name pays at a subtree: a directory name is read character by character, its relative names pair by pair. */
static size_t subtree_price(uint8_t kind, struct span name, uint8_t base_kind, struct span base)
{
    if (base_kind != NAME_DIRECTORY)
        return 1 + base.size / 16;
    return 8 + base.size / 4 + (kind == NAME_DIRECTORY ? name.size / 16 : 0);
}

static enum names_verdict check_name(const struct certificate *authority, uint8_t kind, struct span name,
                                     unsigned *budget)
{
    struct reader lists = reader_of(authority->constraints);
    uint32_t bit = name_kind_bit(kind);

    if (!(authority->constrained_kinds & bit))
        return NAMES_ALLOWED;
    /* What such a base was meant to cover nobody knows; that it covers nothing least of all. */
    if (authority->odd_constraints & bit)
        return NAMES_UNCLEAR;
    if ((kind == NAME_URI || kind == NAME_EMAIL) && !pay(budget, name.size / 4))
        return NAMES_TOO_MANY;
    struct held_name held = hold(kind, name);
    while (!lists.bad && reader_left(&lists) > 0) {
        struct span subtrees, base;
        bool is_permitted = neap_der_next(&lists, &subtrees, NULL) == DER_CONTEXT_CONSTRUCTED(0);
        bool has_kind = false;
        struct reader list = reader_of(subtrees);
        enum match best = MATCH_NO;

        while (!list.bad && reader_left(&list) > 0) {
            struct reader subtree = reader_of(neap_der_expect(&list, DER_SEQUENCE));
            uint8_t base_kind = neap_der_next(&subtree, &base, NULL);

            if (!pay(budget, subtree_price(kind, name, base_kind, base)))
                return NAMES_TOO_MANY;
            if (base_kind != kind)
                continue;
            enum match match = match_subtree(&held, base, is_permitted);
            best = match > best ? match : best;
            has_kind = true;
        }
        if (is_permitted ? has_kind && best != MATCH_YES : best == MATCH_YES)
            return NAMES_FORBIDDEN;
        if (!is_permitted && best == MATCH_UNCLEAR)
            return NAMES_UNCLEAR;
    }
    return NAMES_ALLOWED;
}

/* The mail addresses of a subject, for certificates that have no alternative ones. */
static enum names_verdict check_subject_addresses(const struct certificate *authority, struct span subject,
                                                  unsigned *budget)
{
    static const char oid[] = "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01"; /* emailAddress (RFC 2985) */
    struct reader outer = reader_of(subject);
    struct reader sets = reader_of(neap_der_expect(&outer, DER_SEQUENCE));
    enum names_verdict verdict = NAMES_ALLOWED;

    if (!(authority->constrained_kinds & name_kind_bit(NAME_EMAIL)))
        return NAMES_ALLOWED;
    if (!pay(budget, subject.size / 4))
        return NAMES_TOO_MANY;
    while (!sets.bad && reader_left(&sets) > 0) {
        struct reader set = reader_of(neap_der_expect(&sets, DER_SET));

        while (!set.bad && reader_left(&set) > 0) {
            struct name_pair pair = neap_name_pair(&set);

            if (span_equal(pair.oid, span_of(oid, sizeof oid - 1)))
                verdict = check_name(authority, NAME_EMAIL, pair.value, budget);
            if (verdict != NAMES_ALLOWED)
                return verdict;
        }
        sets.bad = sets.bad || set.bad;
    }
    return outer.bad || sets.bad ? NAMES_UNCLEAR : NAMES_ALLOWED;
}

enum names_verdict neap_names_check(const struct certificate *authority, const struct certificate *below,
                                    unsigned *budget)
{
    struct reader names = reader_of(below->names);
    struct reader subject = reader_of(below->subject);
    enum names_verdict verdict = NAMES_ALLOWED;
    bool has_address = false;

    if (authority->constraints.size == 0)
        return NAMES_ALLOWED;
    /* The subject is a directory name, unless it is empty. */
    if (neap_der_expect(&subject, DER_SEQUENCE).size > 0)
        verdict = check_name(authority, NAME_DIRECTORY, below->subject, budget);
    while (verdict == NAMES_ALLOWED && !names.bad && reader_left(&names) > 0) {
        struct span name;
        uint8_t kind = neap_der_next(&names, &name, NULL);

        has_address = has_address || kind == NAME_EMAIL;
        verdict = pay(budget, 1) ? check_name(authority, kind, name, budget) : NAMES_TOO_MANY;
    }
    if (verdict == NAMES_ALLOWED && !has_address)
        verdict = check_subject_addresses(authority, below->subject, budget);
    return verdict;
}
