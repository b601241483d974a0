/* Addresses as text and their equality. */
#include "quic/quic.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define ADDRESS_TEXT 80u

static size_t ip_size(const neap_address *a)
{
    return a->family == 4 ? 4 : a->family == 6 ? 16 : 0;
}

bool neap_address_equal(const neap_address *a, const neap_address *b)
{
    return a->family == b->family && a->port == b->port && a->scope == b->scope &&
           memcmp(a->ip, b->ip, ip_size(a)) == 0;
}

bool neap_address_is_loopback(const neap_address *a)
{
    static const uint8_t six[16] = {[15] = 1};

    return a->family == 4 ? a->ip[0] == 127 : memcmp(a->ip, six, sizeof six) == 0;
}

int neap_address_format(const neap_address *address, char *out, size_t size)
{
    char ip[INET6_ADDRSTRLEN];
    char text[ADDRESS_TEXT];
    int length;

    if (address->family != 4 && address->family != 6) {
        length = snprintf(text, sizeof text, "-");
    } else {
        inet_ntop(address->family == 4 ? AF_INET : AF_INET6, address->ip, ip, sizeof ip);
        if (address->family == 4)
            length = snprintf(text, sizeof text, "%s:%u", ip, (unsigned)address->port);
        else if (address->scope)
            length = snprintf(text, sizeof text, "[%s%%%u]:%u", ip, (unsigned)address->scope,
                              (unsigned)address->port);
        else
            length = snprintf(text, sizeof text, "[%s]:%u", ip, (unsigned)address->port);
    }
    if ((size_t)length >= size)
        return NEAP_ERR_BUFFER_TOO_SHORT;
    memcpy(out, text, (size_t)length + 1);
    return length;
}

/* Digits up to the end of the text; false for anything else or more than `most`. */
static bool parse_number(const char *text, size_t size, uint64_t most, uint64_t *out)
{
    uint64_t value = 0;

    if (size == 0 || size > 10)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(text[i] - '0');
    }
    *out = value;
    return value <= most;
}

static bool parse_ip(const char *text, size_t size, neap_address *out)
{
    char ip[INET6_ADDRSTRLEN];
    const char *percent = memchr(text, '%', size);
    size_t ip_length = percent ? (size_t)(percent - text) : size;
    uint64_t scope = 0;

    if (ip_length == 0 || ip_length >= sizeof ip)
        return false;
    memcpy(ip, text, ip_length);
    ip[ip_length] = 0;
    if (!percent && inet_pton(AF_INET, ip, out->ip) == 1) {
        out->family = 4;
        return true;
    }
    if (percent && !parse_number(percent + 1, size - ip_length - 1, UINT32_MAX, &scope))
        return false;
    if (inet_pton(AF_INET6, ip, out->ip) != 1)
        return false;
    out->family = 6;
    out->scope = (uint32_t)scope;
    return true;
}

int neap_address_parse(const char *text, uint16_t default_port, neap_address *out)
{
    neap_address address = {.port = default_port};
    size_t size = text ? strnlen(text, ADDRESS_TEXT) : ADDRESS_TEXT;
    const char *ip = text, *port = NULL;
    size_t ip_length = size;
    uint64_t number = default_port;

    if (size == ADDRESS_TEXT)
        return NEAP_ERR_ARGUMENT;
    if (text[0] == '[') {
        const char *bracket = strchr(text, ']');

        if (!bracket || (bracket[1] != 0 && bracket[1] != ':'))
            return NEAP_ERR_ARGUMENT;
        ip = text + 1;
        ip_length = (size_t)(bracket - ip);
        port = bracket[1] ? bracket + 2 : NULL;
    } else {
        const char *colon = strchr(text, ':');

        /* More than one colon without brackets is an IPv6 address without a port. */
        if (colon && !strchr(colon + 1, ':')) {
            ip_length = (size_t)(colon - text);
            port = colon + 1;
        }
    }
    if (port && !parse_number(port, strlen(port), UINT16_MAX, &number))
        return NEAP_ERR_ARGUMENT;
    address.port = (uint16_t)number;
    if (!parse_ip(ip, ip_length, &address) || (text[0] == '[' && address.family != 6))
        return NEAP_ERR_ARGUMENT;
    *out = address;
    return 0;
}
