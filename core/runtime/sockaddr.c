/* Addresses of the kernel and of neap.h. */
#include "runtime/sockaddr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

socklen_t neap_sockaddr_write(const neap_address *address, struct sockaddr_storage *out)
{
    *out = (struct sockaddr_storage){0};
    if (address->family == 4) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(address->port)};
        memcpy(&in.sin_addr, address->ip, sizeof in.sin_addr);
        memcpy(out, &in, sizeof in);
        return sizeof in;
    }
    if (address->family == 6) {
        struct sockaddr_in6 in6 = {
            .sin6_family = AF_INET6, .sin6_port = htons(address->port), .sin6_scope_id = address->scope};
        memcpy(&in6.sin6_addr, address->ip, sizeof in6.sin6_addr);
        memcpy(out, &in6, sizeof in6);
        return sizeof in6;
    }
    return 0;
}

neap_address neap_sockaddr_parse(const struct sockaddr_storage *address)
{
    neap_address out = {0};

    if (address->ss_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof in);
        out.family = 4;
        out.port = ntohs(in.sin_port);
        memcpy(out.ip, &in.sin_addr, sizeof in.sin_addr);
    } else if (address->ss_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, address, sizeof in6);
        out.family = 6;
        out.port = ntohs(in6.sin6_port);
        out.scope = in6.sin6_scope_id;
        memcpy(out.ip, &in6.sin6_addr, sizeof in6.sin6_addr);
    }
    return out;
}

bool neap_address_is_wildcard(const neap_address *address)
{
    static const uint8_t zero[16];
    return memcmp(address->ip, zero, sizeof zero) == 0;
}
