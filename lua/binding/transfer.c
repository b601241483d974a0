/* Bodies between streams and files: the kernel reads into the stream's own memory and writes from it, so that no byte
 * becomes a Lua string or is copied again. */
#include "binding.h"

#include <errno.h>
#include <poll.h>
#include <sys/uio.h>

#define PARTS 32            /* of one system call: 128 KiB */
#define SAVE_MAX (1u << 18) /* bytes that one call writes, so that the loop has its turn */

/* Read until `size` bytes are there: how many there were before the end of the file, or -1 with errno. */
static int64_t read_parts(int fd, uint64_t offset, const neap_part *parts, size_t count, size_t size)
{
    struct iovec vectors[PARTS];
    size_t at = 0, done = 0;

    for (size_t i = 0; i < count; i++)
        vectors[i] = (struct iovec){.iov_base = parts[i].bytes, .iov_len = parts[i].size};
    while (done < size) {
        ssize_t got = preadv(fd, vectors + at, (int)(count - at), (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        done += (size_t)got;
        /* A short read goes on inside of a part. */
        size_t left = (size_t)got;
        while (at < count && left >= vectors[at].iov_len)
            left -= vectors[at++].iov_len;
        if (at < count)
            vectors[at] = (struct iovec){.iov_base = (uint8_t *)vectors[at].iov_base + left,
                                         .iov_len = vectors[at].iov_len - left};
    }
    return (int64_t)done;
}

/* What ended a file's transfer, as Lua gets it. */
enum outcome { OUTCOME_FINE, OUTCOME_STREAM, OUTCOME_SYSTEM, OUTCOME_TRUNCATED };

/* h3:send_file(stream, file, offset, count[, fin]) -> count taken; less: the stream is full, "writable" comes */
static int send_file(lua_State *L)
{
    struct conn_core *core = neap_lua_check_h3(L, 1);
    uint64_t stream = neap_lua_check_u64(L, 2);
    int fd = neap_lua_check_file(L, 3);
    uint64_t offset = neap_lua_check_u64(L, 4);
    uint64_t left = neap_lua_check_u64(L, 5), taken = 0;
    bool fin = lua_toboolean(L, 6);
    enum outcome outcome = OUTCOME_FINE;
    int64_t result = NEAP_OK;

    if (core->h3 == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    if (left == 0)
        result = neap_h3_commit_body(core->h3, stream, 0, fin);
    while (left > 0 && result >= 0 && outcome == OUTCOME_FINE) {
        neap_part parts[PARTS];
        size_t count = PARTS, size = left < SIZE_MAX ? (size_t)left : SIZE_MAX;
        result = neap_h3_reserve_body(core->h3, stream, size, parts, &count);
        if (result < 0)
            break;
        int64_t got = read_parts(fd, offset + taken, parts, count, (size_t)result);
        outcome = got < 0 ? OUTCOME_SYSTEM : got < result ? OUTCOME_TRUNCATED : OUTCOME_FINE;
        if (got <= 0)
            break;
        result = neap_h3_commit_body(core->h3, stream, (size_t)got, fin && (uint64_t)got == left);
        taken += (uint64_t)got;
        left -= (uint64_t)got;
    }
    int number = errno;
    neap_lua_conn_touch(core);
    if (outcome == OUTCOME_SYSTEM)
        return neap_lua_system_error(L, "reading a file", number);
    if (outcome == OUTCOME_TRUNCATED) {
        lua_pushnil(L);
        lua_pushliteral(L, "the file became shorter while it was sent");
        lua_pushliteral(L, "truncated");
        return 3;
    }
    if (result < 0 && (result != NEAP_ERR_AGAIN || taken == 0))
        return neap_lua_error(L, result);
    neap_lua_push_u64(L, taken);
    return 1;
}

/* Wait until a descriptor that does not block takes bytes: of a terminal or pipe that somebody else has set so. */
static void await_writable(int fd)
{
    struct pollfd entry = {.fd = fd, .events = POLLOUT};

    poll(&entry, 1, -1);
}

/* Write what can be written in one call: how much, or -1 with errno. */
static ssize_t write_views(int fd, const neap_view *views, size_t count)
{
    struct iovec vectors[PARTS];

    for (size_t i = 0; i < count; i++)
        vectors[i] = (struct iovec){.iov_base = (void *)(uintptr_t)views[i].bytes, .iov_len = views[i].size};
    for (;;) {
        ssize_t written = writev(fd, vectors, (int)count);
        if (written >= 0 || (errno != EINTR && errno != EAGAIN))
            return written;
        if (errno == EAGAIN)
            await_writable(fd);
    }
}

int neap_lua_write_all(int fd, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;

    while (size > 0) {
        neap_view view = {.bytes = at, .size = size};
        ssize_t written = write_views(fd, &view, 1);
        if (written < 0)
            return errno;
        at += written;
        size -= (size_t)written;
    }
    return 0;
}

/* h3:save_body(stream, file) -> count written */
static int save_body(lua_State *L)
{
    struct conn_core *core = neap_lua_check_h3(L, 1);
    uint64_t stream = neap_lua_check_u64(L, 2);
    int fd = neap_lua_check_file(L, 3);
    uint64_t saved = 0;
    int64_t result = NEAP_OK;
    int number = 0;

    if (core->h3 == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    while (saved < SAVE_MAX && result >= 0 && number == 0) {
        neap_view views[PARTS];
        size_t count = PARTS;
        result = neap_h3_peek_body(core->h3, stream, views, &count);
        if (result < 0)
            break;
        ssize_t written = write_views(fd, views, count);
        if (written < 0) {
            number = errno;
        } else {
            result = neap_h3_consume_body(core->h3, stream, (size_t)written);
            saved += (uint64_t)written;
        }
    }
    neap_lua_conn_touch(core);
    if (number != 0)
        return neap_lua_system_error(L, "write", number);
    if (result < 0 && saved == 0)
        return neap_lua_error(L, result);
    neap_lua_push_u64(L, saved);
    return 1;
}

const luaL_Reg neap_lua_transfer_methods[] = {
    {"send_file", send_file},
    {"save_body", save_body},
    {NULL, NULL},
};
