#ifndef SPEC_UNITS_TLS_FIELDS_H
#define SPEC_UNITS_TLS_FIELDS_H

#include <lua.h>

#include "units_tls.h"

struct span unit_span_field(lua_State *L, int table, const char *name);
void unit_alpn_field(lua_State *L, struct tls_config *tls);
int unit_identities_field(lua_State *L, struct tls_config *tls, struct failure *why);
void unit_psk_fields(lua_State *L, struct unit_config *c);
int unit_trust_fields(lua_State *L, struct tls_config *tls, struct failure *why);
/** Whether a server asks for certificates, and whom it believes. */
int unit_client_fields(lua_State *L, struct tls_config *tls, struct failure *why);

#endif
