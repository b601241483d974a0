/* Host names and addresses against a certificate's subjectAltName (RFC 9525 §6). */
#include "crypto/certificate.h"

#include "crypto/der.h"

#include <arpa/inet.h>

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
