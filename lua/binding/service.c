/* What a program says to who manages it (sd_notify(3)), and that it gives up what only its start needed. */
#include "binding.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ENTRY_MAX 16384 /* bytes of an entry of passwd(5) or group(5) with its names */

/* core.notify(address, text) -> true: one datagram to a Unix socket; "@name" is an abstract one. Never waits. */
static int core_notify(lua_State *L)
{
    size_t address_size, size;
    const char *address = luaL_checklstring(L, 1, &address_size);
    const char *text = luaL_checklstring(L, 2, &size);
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd, error_number = 0;

    luaL_argcheck(L,
                  address_size > 1 && address_size < sizeof to.sun_path && strchr("/@", address[0]) != NULL,
                  1, "a path, or @ and a name");
    memcpy(to.sun_path, address, address_size);
    if (address[0] == '@')
        to.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return neap_lua_system_error(L, "socket", errno);
    if (sendto(fd, text, size, MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&to,
               (socklen_t)(offsetof(struct sockaddr_un, sun_path) + address_size)) < 0)
        error_number = errno;
    close(fd);
    if (error_number != 0)
        return neap_lua_system_error(L, address, error_number);
    lua_pushboolean(L, 1);
    return 1;
}

static int no_such(lua_State *L, const char *what, const char *name)
{
    lua_pushnil(L);
    lua_pushfstring(L, "there is no %s named %s", what, name);
    lua_pushliteral(L, "argument");
    return 3;
}

/* core.drop_privileges(user[, group]) -> true: from now on the process is that user's, with the groups that it has (or this
 * one as the first of them), and nothing that it starts gets more rights. */
static int core_drop_privileges(lua_State *L)
{
    const char *user = luaL_checkstring(L, 1), *group = luaL_optstring(L, 2, NULL);
    char entry[ENTRY_MAX];
    struct passwd as_user, *found_user = NULL;
    struct group as_group, *found_group = NULL;

    (void)getpwnam_r(user, &as_user, entry, sizeof entry, &found_user);
    if (found_user == NULL)
        return no_such(L, "user", user);
    uid_t uid = as_user.pw_uid;
    gid_t gid = as_user.pw_gid;
    if (group != NULL) {
        (void)getgrnam_r(group, &as_group, entry, sizeof entry, &found_group);
        if (found_group == NULL)
            return no_such(L, "group", group);
        gid = as_group.gr_gid;
    }
    if (initgroups(user, gid) != 0)
        return neap_lua_system_error(L, "initgroups", errno);
    if (setresgid(gid, gid, gid) != 0)
        return neap_lua_system_error(L, "setresgid", errno);
    if (setresuid(uid, uid, uid) != 0)
        return neap_lua_system_error(L, "setresuid", errno);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return neap_lua_system_error(L, "prctl", errno);
    /* What was given up stays given up, or nothing was. */
    if (uid != 0 && (setuid(0) == 0 || getuid() != uid || geteuid() != uid || getegid() != gid))
        return neap_lua_system_error(L, "setresuid", EPERM);
    lua_pushboolean(L, 1);
    return 1;
}

void neap_lua_open_service(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"notify", core_notify}, {"drop_privileges", core_drop_privileges}, {NULL, NULL}};

    neap_lua_set_functions(L, functions);
}
