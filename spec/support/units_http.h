/* Fields, and the methods of a pair that work in a stream's own memory. */
#ifndef NEAP_SPEC_UNITS_HTTP_H
#define NEAP_SPEC_UNITS_HTTP_H

#include "neap.h"
#include <lua.h>

/** (_, _, _, size, bytes, fin [, parts]) -> reserved, what commit said | nil, error. The bytes are put into memory that was
 * reserved for `size`; nil: none, and nothing is committed. */
int neap_units_fill_body(lua_State *L, neap_h3 *h3, uint64_t stream);
/** (_, _, _, consume [, views]) -> bytes, what consume said | nil, error. `consume` nil: all that is seen. */
int neap_units_peek_body(lua_State *L, neap_h3 *h3, uint64_t stream);
/** {{name, value}, ...} at `at`; they live to the end of the call. */
neap_field *neap_units_pair_fields(lua_State *L, int at, size_t *count);

/** Pushes an event as a table. */
void neap_units_push_event(lua_State *L, const neap_h3_event *event);

/** Pushes two tables: the bounds of HTTP/3 that the config counts, and neap_h3_stats. */
int neap_units_h3_counts(lua_State *L, const neap_config *config, const neap_h3 *h3);

#endif
