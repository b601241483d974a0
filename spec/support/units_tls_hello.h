/* What of a spec's config of TLS shows in its ClientHello or answers it; and compression of certificates, for specs that make
 * what no server would send. */
#ifndef NEAP_UNITS_TLS_HELLO_H
#define NEAP_UNITS_TLS_HELLO_H

#include <lua.h>

#include "tls/tls.h"

/** suites, groups, ocsp (1: if present, 2: required), compression, grease of the table at 1. */
void unit_hello_fields(lua_State *L, struct tls_config *tls);
/** compress(), has_compression() into the table on top. */
void neap_units_tls_compression(lua_State *L);

#endif
