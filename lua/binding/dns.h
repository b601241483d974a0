/* Names by c-ares: the questions (dns.c) and what is in the answers (dns_message.c). */
#ifndef NEAP_BINDING_DNS_H
#define NEAP_BINDING_DNS_H

#include "binding.h"

/** The number of a type of records (RFC 1035 §3.2.2) by its name; an error for another one. */
unsigned neap_lua_check_dns_type(lua_State *L, int index);
void neap_lua_open_dns_message(lua_State *L);

#endif
