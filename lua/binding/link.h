/* TCP connections in Lua: the listeners that take and make them (listener.c), and each of them (link.c). */
#ifndef NEAP_BINDING_LINK_H
#define NEAP_BINDING_LINK_H

#include "binding.h"

struct listener_core {
    unsigned references;
    struct listener *listener; /* NULL: closed */
    struct config_core *config;
    struct loop_core *loop;
    struct link_box *links; /* that Lua has seen and that are alive */
};

/* The userdata of a link. */
struct link_box {
    struct link *link; /* NULL: over */
    struct listener_core *owner;
    struct link_box *next, **from;
    int anchor; /* reference in the registry while it is alive */
    neap_address peer;
    const char *protocol;
    char *why; /* a client's that has ended: the reason, malloc'd; NULL: none, or no memory for it */
    int64_t code;
    int error_number;
};

/** It is over: the box stays. Once more is fine. */
void neap_lua_end_link(struct link_box *box);
/** One who holds it less; NULL is fine. */
void neap_lua_release_listener(struct listener_core *core);

#endif
