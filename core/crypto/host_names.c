/* Host names and addresses against a certificate's subjectAltName (RFC 9525 §6), and these names against the
 * constraints of authorities (RFC 5280 §4.2.1.10). */
#include "crypto/certificate.h"

#include "crypto/der.h"

#include <arpa/inet.h>

#define NAME_DNS 2u
#define NAME_IP 7u

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

static bool equal_ignoring_case(struct span a, struct span b)
{
    if (a.size != b.size)
        return false;
    for (size_t i = 0; i < a.size; i++) {
        if (lower(a.data[i]) != lower(b.data[i]))
            return false;
    }
    return true;
}

static struct span after(struct span s, size_t count)
{
    return span_of(s.data + count, s.size - count);
}

bool neap_dns_name_covers(struct span pattern, struct span host)
{
    if (host.size > 0 && host.data[host.size - 1] == '.') /* the root label is implied */
        host.size--;
    if (host.size == 0 || pattern.size == 0)
        return false;
    if (pattern.size < 3 || pattern.data[0] != '*' || pattern.data[1] != '.')
        return equal_ignoring_case(pattern, host);
    /* A wildcard is a whole left-most label and covers exactly one; what is below it must have two labels. */
    const uint8_t *dot = memchr(host.data, '.', host.size);
    if (!dot || dot == host.data)
        return false;
    struct span rest = after(pattern, 2), host_rest = after(host, (size_t)(dot - host.data) + 1);
    return memchr(rest.data, '.', rest.size) != NULL && equal_ignoring_case(rest, host_rest);
}

/* The bytes of an IP address literal; 0 when `host` is none. */
static size_t parse_address(const char *host, uint8_t out[16])
{
    if (inet_pton(AF_INET, host, out) == 1)
        return 4;
    return inet_pton(AF_INET6, host, out) == 1 ? 16 : 0;
}

bool neap_certificate_has_host(const struct certificate *certificate, const char *host)
{
    uint8_t address[16];
    size_t address_size = parse_address(host, address);
    struct reader names = reader_of(certificate->names);

    while (!names.bad && reader_left(&names) > 0) {
        struct span value;
        uint8_t tag = neap_der_next(&names, &value, NULL);

        if (address_size == 0 && tag == DER_CONTEXT(NAME_DNS) &&
            neap_dns_name_covers(value, span_of_string(host)))
            return true;
        if (address_size > 0 && tag == DER_CONTEXT(NAME_IP) &&
            span_equal(value, span_of(address, address_size)))
            return true;
    }
    return false;
}

/* A DNS constraint covers its name and everything below it; one that begins with a dot only what is below. */
static bool dns_in_subtree(struct span name, struct span base)
{
    if (base.size == 0)
        return true;
    if (name.size < base.size || !equal_ignoring_case(after(name, name.size - base.size), base))
        return false;
    return name.size == base.size || base.data[0] == '.' || name.data[name.size - base.size - 1] == '.';
}

/* An address constraint is an address and a mask. */
static bool address_in_subtree(struct span address, struct span base)
{
    if (base.size != 2 * address.size)
        return false;
    for (size_t i = 0; i < address.size; i++) {
        if ((address.data[i] ^ base.data[i]) & base.data[address.size + i])
            return false;
    }
    return true;
}

/* How one name stands to a list of subtrees. */
struct subtree_match {
    bool has_kind, matches;
};

static struct subtree_match match_subtrees(struct span subtrees, uint8_t tag, struct span name)
{
    struct subtree_match match = {0};
    struct reader list = reader_of(subtrees);

    while (!list.bad && reader_left(&list) > 0) {
        struct reader subtree = reader_of(neap_der_expect(&list, DER_SEQUENCE));
        struct span base;

        if (neap_der_next(&subtree, &base, NULL) != tag)
            continue;
        match.has_kind = true;
        if (tag == DER_CONTEXT(NAME_DNS) ? dns_in_subtree(name, base) : address_in_subtree(name, base))
            match.matches = true;
    }
    return match;
}

bool neap_name_constraints_allow(struct span constraints, const struct certificate *leaf)
{
    struct reader names = reader_of(leaf->names);

    while (!names.bad && reader_left(&names) > 0) {
        struct span name, subtrees;
        uint8_t tag = neap_der_next(&names, &name, NULL);
        struct reader lists = reader_of(constraints);

        if (tag != DER_CONTEXT(NAME_DNS) && tag != DER_CONTEXT(NAME_IP))
            continue;
        while (!lists.bad && reader_left(&lists) > 0) {
            bool is_permitted = neap_der_next(&lists, &subtrees, NULL) == DER_CONTEXT_CONSTRUCTED(0);
            struct subtree_match match = match_subtrees(subtrees, tag, name);

            if (is_permitted ? match.has_kind && !match.matches : match.matches)
                return false;
        }
    }
    return true;
}
