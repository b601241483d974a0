/* Host names and addresses against a certificate's subjectAltName (RFC 9525 §6). */
#include "crypto/certificate.h"

#include "crypto/der.h"

#include <arpa/inet.h>

#define DNS_LABEL_MAX 63u /* RFC 1035 §2.3.4 */
#define DNS_NAME_MAX 253u /* the 255 bytes of the wire without the first length and the root */

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

bool neap_dns_names_equal(struct span a, struct span b)
{
    if (a.size != b.size)
        return false;
    for (size_t i = 0; i < a.size; i++) {
        if (lower(a.data[i]) != lower(b.data[i]))
            return false;
    }
    return true;
}

static bool is_label_byte(uint8_t c)
{
    return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static bool are_labels(struct span name)
{
    size_t label = 0;

    if (name.size > DNS_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.size; i++) {
        if (name.data[i] == '.' ? label == 0 : !is_label_byte(name.data[i]) || label == DNS_LABEL_MAX)
            return false;
        label = name.data[i] == '.' ? 0 : label + 1;
    }
    return label > 0;
}

bool neap_dns_is_constraint(struct span base)
{
    if (base.size == 0)
        return true;
    return are_labels(base.data[0] == '.' ? span_after(base, 1) : base);
}

bool neap_dns_is_presented(struct span name)
{
    bool is_wildcard = name.size > 2 && name.data[0] == '*' && name.data[1] == '.';
    bool has_dot = false, is_number = true;
    struct span labels = is_wildcard ? span_after(name, 2) : name;

    if (name.size > DNS_NAME_MAX || !are_labels(labels))
        return false;
    for (size_t i = 0; i < labels.size; i++) {
        bool is_dot = labels.data[i] == '.';
        has_dot = has_dot || is_dot;
        is_number = is_dot || (is_number && labels.data[i] >= '0' && labels.data[i] <= '9');
    }
    return !is_number && (has_dot || !is_wildcard);
}

bool neap_dns_name_covers(struct span pattern, struct span host)
{
    if (host.size > 0 && host.data[host.size - 1] == '.') /* the root label is implied */
        host.size--;
    if (host.size == 0 || pattern.size == 0)
        return false;
    if (pattern.size < 3 || pattern.data[0] != '*' || pattern.data[1] != '.')
        return neap_dns_names_equal(pattern, host);
    /* A wildcard is a whole left-most label and covers exactly one; what is below it must have two labels. */
    const uint8_t *dot = memchr(host.data, '.', host.size);
    if (!dot || dot == host.data)
        return false;
    struct span rest = span_after(pattern, 2), host_rest = span_after(host, (size_t)(dot - host.data) + 1);
    return memchr(rest.data, '.', rest.size) != NULL && neap_dns_names_equal(rest, host_rest);
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

        if (address_size == 0 && tag == NAME_DNS && neap_dns_name_covers(value, span_of_string(host)))
            return true;
        if (address_size > 0 && tag == NAME_ADDRESS && span_equal(value, span_of(address, address_size)))
            return true;
    }
    return false;
}
