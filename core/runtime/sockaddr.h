/* Addresses of the kernel and of neap.h. */
#ifndef NEAP_RUNTIME_SOCKADDR_H
#define NEAP_RUNTIME_SOCKADDR_H

#include "neap.h"

#include <sys/socket.h>

/** Fill `out` for the kernel; returns its size, 0 when the address has no family. */
socklen_t neap_sockaddr_write(const neap_address *address, struct sockaddr_storage *out);

/** All zero for a family that is neither IPv4 nor IPv6. */
neap_address neap_sockaddr_parse(const struct sockaddr_storage *address);

/** 0.0.0.0 or ::. */
bool neap_address_is_wildcard(const neap_address *address);

#endif
