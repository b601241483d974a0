/* What Lua's io lacks: files below a folder that nothing can lead out of, their size and time, folders, terminals. */
#include "binding.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define READ_MAX 65536
#define LIST_MAX 1000
#define RESOLVE_BENEATH_FLAG UINT64_C(0x08) /* RESOLVE_BENEATH of openat2, Linux 5.6 */
#define RESOLVE_NO_MAGICLINKS_FLAG UINT64_C(0x02)
#define RESOLVE_NO_SYMLINKS_FLAG UINT64_C(0x04)
#define NAMES_TRIED 8  /* for a file beside another */
#define LOCK_TRIES 400 /* for a lock, with 5 ms between: who holds one writes a file meanwhile */

struct file {
    int fd; /* -1: closed */
};

/* A new userdata on top, whose descriptor is still to come. */
static struct file *new_file(lua_State *L)
{
    struct file *file = lua_newuserdata(L, sizeof *file);

    file->fd = -1;
    luaL_getmetatable(L, TYPE_FILE);
    lua_setmetatable(L, -2);
    return file;
}

static void close_file(struct file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
}

static int file_gc(lua_State *L)
{
    close_file(luaL_checkudata(L, 1, TYPE_FILE));
    return 0;
}

/* file:close() -> true; a file system may find out only now that it has no room */
static int file_close(lua_State *L)
{
    struct file *file = luaL_checkudata(L, 1, TYPE_FILE);
    int fd = file->fd;

    file->fd = -1;
    if (fd >= 0 && close(fd) != 0 && errno != EINTR)
        return neap_lua_system_error(L, "close", errno);
    lua_pushboolean(L, 1);
    return 1;
}

int neap_lua_check_file(lua_State *L, int index)
{
    struct file *file = luaL_checkudata(L, index, TYPE_FILE);

    if (file->fd < 0)
        luaL_error(L, "the file is closed");
    return file->fd;
}

/* Where symbolic links below a folder may lead. */
enum links { LINKS_INSIDE, LINKS_NOWHERE, LINKS_ANYWHERE };

/* Without openat2: one name at a time and no symbolic link at all, which is stricter and as safe. */
static int open_steps(int at, const char *path)
{
    char name[NAME_MAX + 1];
    int fd = dup(at);

    while (fd >= 0 && *path != '\0') {
        size_t size = strcspn(path, "/");
        bool last = path[size + strspn(path + size, "/")] == '\0';
        if (size > NAME_MAX || (size == 2 && memcmp(path, "..", 2) == 0)) {
            close(fd);
            errno = size > NAME_MAX ? ENAMETOOLONG : EXDEV;
            return -1;
        }
        memcpy(name, path, size);
        name[size] = '\0';
        if (size > 0) {
            int next =
                openat(fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | (last ? 0 : O_DIRECTORY));
            int number = errno;
            close(fd);
            errno = number;
            fd = next;
        }
        path += size + strspn(path + size, "/");
    }
    return fd;
}

static int open_below(int at, const char *path, enum links links)
{
    if (links == LINKS_ANYWHERE)
        return openat(at, *path != '\0' ? path : ".", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
#ifdef SYS_openat2
    struct {
        uint64_t flags, mode, resolve;
    } how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
             .resolve = RESOLVE_BENEATH_FLAG | RESOLVE_NO_MAGICLINKS_FLAG |
                        (links == LINKS_NOWHERE ? RESOLVE_NO_SYMLINKS_FLAG : 0)};
    long fd = syscall(SYS_openat2, at, *path != '\0' ? path : ".", &how, sizeof how);

    if (fd >= 0 || (errno != ENOSYS && errno != EPERM && errno != E2BIG))
        return (int)fd;
#endif
    return open_steps(at, path);
}

/* Whether a path has a segment that is `..`. */
static bool climbs(const char *path)
{
    for (; *path != '\0'; path += strspn(path, "/")) {
        size_t size = strcspn(path, "/");
        if (size == 2 && memcmp(path, "..", 2) == 0)
            return true;
        path += size;
    }
    return false;
}

/* core.open_beneath(directory, path[, links]) -> file; links: "inside", "nowhere" or "anywhere" */
static int open_beneath(lua_State *L)
{
    static const char *const words[] = {"inside", "nowhere", "anywhere", NULL};
    enum links links = (enum links)luaL_checkoption(L, 3, "inside", words);
    const char *directory = luaL_checkstring(L, 1);
    size_t size;
    const char *path = luaL_checklstring(L, 2, &size);
    struct file *file = new_file(L);
    struct stat info;

    if (strlen(path) != size || path[0] == '/' || (links == LINKS_ANYWHERE && climbs(path)))
        return neap_lua_system_error(L, "path", EXDEV);
    int at = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (at < 0)
        return neap_lua_system_error(L, directory, errno);
    file->fd = open_below(at, path, links);
    int number = errno;
    close(at);
    if (file->fd < 0)
        return neap_lua_system_error(L, path, number);
    /* A device or a pipe could block, or act when it is read. */
    if (fstat(file->fd, &info) != 0 || !(S_ISREG(info.st_mode) || S_ISDIR(info.st_mode))) {
        close_file(file);
        return neap_lua_system_error(L, path, EACCES);
    }
    return 1;
}

/* Whether the string at `index` names a file: one with a NUL byte would be cut there, and name another. */
static bool is_path(lua_State *L, int index)
{
    size_t size;
    const char *path = luaL_checklstring(L, index, &size);

    return strlen(path) == size;
}

static int refuse_path(lua_State *L)
{
    lua_pushnil(L);
    lua_pushliteral(L, "a path has no NUL byte");
    lua_pushliteral(L, "argument");
    return 3;
}

/* core.open_file(path) -> file: a regular file to be read */
static int open_file(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    if (!is_path(L, 1))
        return refuse_path(L);
    struct file *file = new_file(L);
    struct stat info;

    /* A device or a pipe could block, or act when it is read. */
    file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file->fd < 0 || fstat(file->fd, &info) != 0)
        return neap_lua_system_error(L, path, errno);
    if (S_ISREG(info.st_mode))
        return 1;
    close_file(file);
    return neap_lua_system_error(L, path, S_ISDIR(info.st_mode) ? EISDIR : EACCES);
}

/* core.open_descriptor(fd or file of io) -> file: the same regular file once more, with a descriptor of its own */
static int open_descriptor(lua_State *L)
{
    int fd;
    struct stat info;

    if (lua_type(L, 1) == LUA_TUSERDATA) {
        FILE **stream = luaL_checkudata(L, 1, "FILE*"); /* what both Luas have first in it */
        luaL_argcheck(L, *stream != NULL, 1, "the file is closed");
        fd = fileno(*stream);
    } else {
        uint64_t number = neap_lua_check_u64(L, 1);
        luaL_argcheck(L, number <= INT_MAX, 1, "no descriptor");
        fd = (int)number;
    }
    struct file *file = new_file(L);
    file->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (file->fd < 0 || fstat(file->fd, &info) != 0)
        return neap_lua_system_error(L, "descriptor", errno);
    if (S_ISREG(info.st_mode))
        return 1;
    close_file(file);
    return neap_lua_system_error(L, "descriptor", S_ISDIR(info.st_mode) ? EISDIR : EACCES);
}

/* core.create_file(path[, appends[, is_own]]) -> file to be written, empty now, or with what it has, and no link where it is to be
 * our own; without a path: standard output */
static int create_file(lua_State *L)
{
    const char *path = luaL_optstring(L, 1, NULL);
    if (path != NULL && !is_path(L, 1))
        return refuse_path(L);
    /* Before the file takes that place of the stack. */
    int how = (lua_toboolean(L, 2) ? O_APPEND : O_TRUNC) | (lua_toboolean(L, 3) ? O_NOFOLLOW : 0);
    struct file *file = new_file(L);

    file->fd = path != NULL ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC | how, 0666)
                            : fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
    if (file->fd < 0)
        return neap_lua_system_error(L, path != NULL ? path : "standard output", errno);
    return 1;
}

/* Whether a path leads to this file still: who had the lock before may have put another in its place. */
static bool is_at(int fd, const char *path)
{
    struct stat ours, there;

    return fstat(fd, &ours) == 0 && stat(path, &there) == 0 && ours.st_dev == there.st_dev &&
           ours.st_ino == there.st_ino;
}

/* core.lock_file(path) -> the file, to be read, which is made where there is none: nobody else has it so until it is closed. It may
 * be replaced meanwhile. */
static int lock_file(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    const struct timespec pause = {.tv_nsec = 5000000};

    if (!is_path(L, 1))
        return refuse_path(L);
    struct file *file = new_file(L);

    for (int i = 0; i < LOCK_TRIES; i++) {
        file->fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW, 0600);
        if (file->fd < 0)
            return neap_lua_system_error(L, path, errno);
        bool is_locked = flock(file->fd, LOCK_EX | LOCK_NB) == 0;
        if (is_locked && is_at(file->fd, path))
            return 1;
        close_file(file);
        if (!is_locked)
            nanosleep(&pause, NULL);
    }
    return neap_lua_system_error(L, path, EBUSY);
}

static int push_stat(lua_State *L, const struct stat *info)
{
    lua_createtable(L, 0, 5);
    lua_pushstring(L, S_ISREG(info->st_mode) ? "file" : S_ISDIR(info->st_mode) ? "directory" : "other");
    lua_setfield(L, -2, "type");
    neap_lua_set_u64(L, "size", (uint64_t)info->st_size);
    lua_pushnumber(L, (lua_Number)info->st_mtim.tv_sec + (lua_Number)info->st_mtim.tv_nsec / 1e9);
    lua_setfield(L, -2, "mtime");
    neap_lua_set_u64(L, "mtime_nanoseconds", (uint64_t)info->st_mtim.tv_nsec);
    neap_lua_set_u64(L, "inode", info->st_ino);
    return 1;
}

static int file_stat(lua_State *L)
{
    struct stat info;

    if (fstat(neap_lua_check_file(L, 1), &info) != 0)
        return neap_lua_system_error(L, "stat", errno);
    return push_stat(L, &info);
}

/* file:list([most = 1000]) of a folder -> { { name =, type =, size =, mtime =, … }, … } in no order, and whether there are more.
 * Files and folders alone: no links, nothing special. */
static int file_list(lua_State *L)
{
    int fd = neap_lua_check_file(L, 1);
    uint64_t most = neap_lua_opt_u64(L, 2, LIST_MAX);
    int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = own >= 0 ? fdopendir(own) : NULL;
    uint64_t count = 0;
    bool is_more = false;

    if (folder == NULL) {
        int number = errno;
        if (own >= 0)
            close(own);
        return neap_lua_system_error(L, "folder", number);
    }
    lua_newtable(L);
    for (struct dirent *entry = readdir(folder); entry != NULL && !is_more; entry = readdir(folder)) {
        struct stat info;
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
            fstatat(fd, name, &info, AT_SYMLINK_NOFOLLOW) != 0 ||
            !(S_ISREG(info.st_mode) || S_ISDIR(info.st_mode)))
            continue;
        is_more = count == most;
        if (is_more)
            break;
        push_stat(L, &info);
        lua_pushstring(L, name);
        lua_setfield(L, -2, "name");
        lua_rawseti(L, -2, (int)++count);
    }
    closedir(folder);
    lua_pushboolean(L, is_more);
    return 2;
}

/* file:read(count[, offset]) -> bytes */
static int file_read(lua_State *L)
{
    int fd = neap_lua_check_file(L, 1);
    uint64_t count = neap_lua_check_u64(L, 2);
    char bytes[READ_MAX];
    ssize_t got;

    count = count < sizeof bytes ? count : sizeof bytes;
    do {
        if (lua_isnoneornil(L, 3))
            got = read(fd, bytes, (size_t)count);
        else
            got = pread(fd, bytes, (size_t)count, (off_t)neap_lua_check_u64(L, 3));
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return neap_lua_system_error(L, "read", errno);
    lua_pushlstring(L, bytes, (size_t)got);
    return 1;
}

/* file:write(…) -> true */
static int file_write(lua_State *L)
{
    int fd = neap_lua_check_file(L, 1);

    for (int i = 2; i <= lua_gettop(L); i++) {
        size_t size;
        const char *bytes = luaL_checklstring(L, i, &size);
        int failed = neap_lua_write_all(fd, bytes, size);
        if (failed != 0)
            return neap_lua_system_error(L, "write", failed);
    }
    lua_pushboolean(L, 1);
    return 1;
}

/* core.stat(path[, of_link]) -> table; of_link: of a symbolic link itself */
static int core_stat(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    struct stat info;

    if (!is_path(L, 1))
        return refuse_path(L);
    if ((lua_toboolean(L, 2) ? lstat(path, &info) : stat(path, &info)) != 0)
        return neap_lua_system_error(L, path, errno);
    return push_stat(L, &info);
}

static int make_one(const char *path, mode_t mode)
{
    struct stat info;

    if (mkdir(path, mode) == 0)
        return 0;
    if (errno != EEXIST)
        return errno;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode) ? 0 : ENOTDIR;
}

/* core.mkdir(path[, mode]) -> true; makes the folders above it too */
static int core_mkdir(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    mode_t mode = (mode_t)neap_lua_opt_u64(L, 2, 0700);
    char part[PATH_MAX];
    size_t size = strlen(path);
    int failed = 0;

    if (!is_path(L, 1))
        return refuse_path(L);
    if (size == 0 || size >= sizeof part)
        return neap_lua_system_error(L, path, ENAMETOOLONG);
    for (size_t i = 1; i <= size && failed == 0; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        failed = make_one(part, mode);
    }
    if (failed != 0)
        return neap_lua_system_error(L, path, failed);
    lua_pushboolean(L, 1);
    return 1;
}

/* All of `bytes`, on the disk; 0 or an errno. */
static int write_synced(int fd, const char *bytes, size_t size)
{
    int failed = neap_lua_write_all(fd, bytes, size);

    if (failed != 0)
        return failed;
    return fsync(fd) == 0 || errno == EINVAL ? 0 : errno;
}

/* A new file beside `path`, for us alone: no one may have made it, or a link of its name, before. Its descriptor, or -1
 * and errno; `name` has room for PATH_MAX bytes. */
static int create_beside(const char *path, char *name)
{
    for (int i = 0; i < NAMES_TRIED; i++) {
        uint64_t number;
        if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
            return -1;
        if (snprintf(name, PATH_MAX, "%s.%016llx.new", path, (unsigned long long)number) >= PATH_MAX) {
            errno = ENAMETOOLONG;
            return -1;
        }
        int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}

/* core.write_file(path, bytes[, mode]) -> true; nobody sees half of it */
static int core_write_file(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    size_t size;
    const char *bytes = luaL_checklstring(L, 2, &size);
    mode_t mode = (mode_t)neap_lua_opt_u64(L, 3, 0600);
    char beside[PATH_MAX];

    if (!is_path(L, 1))
        return refuse_path(L);
    int fd = create_beside(path, beside);
    if (fd < 0)
        return neap_lua_system_error(L, path, errno);
    int failed = write_synced(fd, bytes, size);
    if (failed == 0 && fchmod(fd, mode) != 0)
        failed = errno;
    close(fd);
    if (failed == 0 && rename(beside, path) != 0)
        failed = errno;
    if (failed != 0) {
        unlink(beside);
        return neap_lua_system_error(L, path, failed);
    }
    lua_pushboolean(L, 1);
    return 1;
}

static int core_realpath(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    char resolved[PATH_MAX];

    if (!is_path(L, 1))
        return refuse_path(L);
    if (realpath(path, resolved) == NULL)
        return neap_lua_system_error(L, path, errno);
    lua_pushstring(L, resolved);
    return 1;
}

/* core.list(path) -> names in a folder, in order */
static int core_list(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    struct dirent **entries;
    int at = 0;

    if (!is_path(L, 1))
        return refuse_path(L);
    int count = scandir(path, &entries, NULL, alphasort);
    if (count < 0)
        return neap_lua_system_error(L, path, errno);
    lua_createtable(L, count, 0);
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0) {
            lua_pushstring(L, name);
            lua_rawseti(L, -2, ++at);
        }
        free(entries[i]);
    }
    free(entries);
    return 1;
}

/* core.isatty(fd) -> boolean, columns */
static int core_isatty(lua_State *L)
{
    int fd = (int)neap_lua_check_u64(L, 1);
    struct winsize size;

    lua_pushboolean(L, isatty(fd));
    if (ioctl(fd, TIOCGWINSZ, &size) != 0)
        return 1;
    lua_pushinteger(L, size.ws_col);
    return 2;
}

/* core.is_open(fd) -> whether a number is that of an open descriptor */
static int core_is_open(lua_State *L)
{
    lua_pushboolean(L, fcntl((int)neap_lua_check_u64(L, 1), F_GETFD) >= 0);
    return 1;
}

/* core.most_open() -> how many descriptors the process may have open (RLIMIT_NOFILE) */
static int core_most_open(lua_State *L)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > INT_MAX)
        limit.rlim_cur = INT_MAX;
    lua_pushinteger(L, (lua_Integer)limit.rlim_cur);
    return 1;
}

void neap_lua_open_files(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"open_beneath", open_beneath},
        {"open_file", open_file},
        {"create_file", create_file},
        {"stat", core_stat},
        {"mkdir", core_mkdir},
        {"write_file", core_write_file},
        {"realpath", core_realpath},
        {"list", core_list},
        {"isatty", core_isatty},
        {"is_open", core_is_open},
        {"most_open", core_most_open},
        {"lock_file", lock_file},
        {"open_descriptor", open_descriptor},
        {NULL, NULL},
    };
    static const luaL_Reg methods[] = {
        {"stat", file_stat},   {"list", file_list},   {"read", file_read},
        {"write", file_write}, {"close", file_close}, {NULL, NULL},
    };

    neap_lua_new_type(L, TYPE_FILE, methods, file_gc, NULL);
    neap_lua_set_functions(L, functions);
}
