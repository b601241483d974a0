/* What the files of the units of core/tls share. */
#ifndef SPEC_UNITS_TLS_H
#define SPEC_UNITS_TLS_H

#include <lauxlib.h>
#include <lua.h>

#include "base/pool.h"
#include "neap.h"
#include "tls/state.h"
#include "units_tls_early.h"

struct environment {
    long until_failure; /* allocations that still work; negative: all */
    size_t largest;     /* bytes of the largest request so far */
};

struct unit_config {
    unsigned references;
    struct environment environment;
    struct pool *pool;
    struct tls_config tls;
    struct session_store sessions;
    struct psk_store psks;
    struct revocations *revocations;
    struct unit_early early;
    struct identity_set identities;
    char *log;
    size_t log_size;
};

struct unit_handshake {
    struct unit_config *config;
    struct tls *tls;
};

struct unit_handshake *unit_tls_check_handshake(lua_State *L);
int unit_tls_push_failure(lua_State *L, int code, const char *reason);
void unit_tls_set_span(lua_State *L, const char *name, struct span s);
/* The methods of handshakes in units_tls_question.c. */
int unit_tls_question(lua_State *L);
int unit_tls_answer(lua_State *L);

#endif
