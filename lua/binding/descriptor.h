/* A descriptor in Lua that never waits: files of any kind that can be waited for, and sockets. */
#ifndef NEAP_BINDING_DESCRIPTOR_H
#define NEAP_BINDING_DESCRIPTOR_H

#include "binding.h"

struct descriptor {
    int fd; /* -1: closed */
    bool is_socket;
    bool is_borrowed; /* somebody else closes it */
    struct loop_core *loop;
    neap_watch *watch;
};

/** A new userdata on top; its descriptor is still to come. */
struct descriptor *neap_lua_new_descriptor(lua_State *L);
/** The first argument; NULL when it is closed. */
struct descriptor *neap_lua_check_descriptor(lua_State *L);
/** What errno says: "again" for what is to be tried later. */
int neap_lua_descriptor_error(lua_State *L, const char *what);
/** Methods of sockets. */
extern const luaL_Reg neap_lua_socket_methods[];
/** A method of descriptors of processes. */
int neap_lua_signal_process(lua_State *L);

#endif
