/* What the units of core/tls have of early data: a register, limits. */
#ifndef NEAP_SPEC_UNITS_TLS_EARLY_H
#define NEAP_SPEC_UNITS_TLS_EARLY_H

#include <lua.h>

#include "tls/tls.h"

#define STRUCK_MOST 64u

struct unit_early {
    uint64_t limits[SESSION_LIMITS]; /* of a server's; a client's: what it takes for them */
    uint8_t struck[STRUCK_MOST][32]; /* the last ids that the register has noted */
    size_t struck_count, strikes;
    int64_t expires; /* of the last question */
};

/** Fields of the config's table at index 1. early: whether there is early data, with a register unless `no_register`; limits:
 * SESSION_LIMITS numbers. */
void unit_early_fields(lua_State *L, struct tls_config *config, struct unit_early *early, struct span data);
/** Of the session that early data is offered with: { limits }, data; or nothing. */
int unit_push_offered(lua_State *L, const struct tls *tls);
/** tail:set_data(bytes) -> whether there is where it is kept. */
int unit_set_data(lua_State *L, struct tls_tail *tail);
/** How often the register was asked, when what it was asked for last expires. */
int unit_push_strikes(lua_State *L, const struct unit_early *early);
void unit_push_early(lua_State *L, enum neap_early early);

#endif
