/* qlog into files: one for each connection of a config, in a folder that the option `qlog` names. */
#include "binding.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIMIT_QLOG_TRACES \
    256u /* connections that are traced at a time: 16 KiB and a file each; others are not */
#define LIMIT_QLOG_BYTES (64u << 20) /* of a trace, unless the option qlog_limit says otherwise */
#define NAME_ROOM (2 * 20 + sizeof "_client.sqlog")

struct qlog_folder {
    unsigned references;
    int fd;
    uint64_t every, limit;
    uint64_t seen; /* connections, of which one in `every` is traced */
    unsigned open; /* traces */
    neap_tracer accepts;
};

/* Its memory is behind it. */
struct qlog_trace {
    struct qlog_folder *folder;
    neap_qlog *qlog;
    int fd; /* -1: writing failed, so that nothing more is written */
};

void neap_lua_qlog_release(struct qlog_folder *folder)
{
    if (folder == NULL || --folder->references > 0)
        return;
    close(folder->fd);
    free(folder);
}

static void write_trace(void *context, const char *bytes, size_t size)
{
    struct qlog_trace *trace = context;

    while (size > 0 && trace->fd >= 0) {
        ssize_t written = write(trace->fd, bytes, size);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) { /* a full disk must not end a connection */
            close(trace->fd);
            trace->fd = -1;
            return;
        }
        bytes += written;
        size -= (size_t)written;
    }
}

static void end_trace(void *context)
{
    struct qlog_trace *trace = context;

    if (trace->fd >= 0)
        close(trace->fd);
    trace->folder->open--;
    neap_lua_qlog_release(trace->folder);
    free(trace);
}

/* Hexadecimal digits only, whatever the peer chose; a name that is there already is somebody else's. */
static int open_file(const struct qlog_folder *folder, const neap_conn *conn)
{
    static const char digits[] = "0123456789abcdef";
    char name[NAME_ROOM];
    neap_cid source, destination, original;
    size_t at = 0;

    neap_conn_ids(conn, &source, &destination, &original);
    for (size_t i = 0; i < original.size; i++) {
        name[at++] = digits[original.bytes[i] >> 4];
        name[at++] = digits[original.bytes[i] & 15];
    }
    strcpy(name + at, neap_conn_is_server(conn) ? "_server.sqlog" : "_client.sqlog");
    return openat(folder->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
}

/* NULL: it is not traced. */
static neap_qlog *begin_trace(struct qlog_folder *folder, neap_conn *conn)
{
    if (folder->seen++ % folder->every != 0 || folder->open >= LIMIT_QLOG_TRACES)
        return NULL;
    struct qlog_trace *trace = malloc(sizeof *trace + NEAP_QLOG_MEMORY);
    if (trace == NULL)
        return NULL;
    *trace = (struct qlog_trace){.folder = folder, .fd = open_file(folder, conn)};
    if (trace->fd < 0) {
        free(trace);
        return NULL;
    }
    neap_qlog_config config = {
        .write = write_trace, .end = end_trace, .context = trace, .max_bytes = folder->limit};
    trace->qlog = neap_qlog_init(trace + 1, NEAP_QLOG_MEMORY, &config);
    folder->open++;
    folder->references++;
    neap_conn_set_qlog(conn, trace->qlog);
    return trace->qlog;
}

/* Sees what an endpoint accepts until it is known whether that is a connection: its first packet opened. */
static void on_accept(void *context, const neap_trace_event *event)
{
    if (event->conn == NULL || event->kind != NEAP_TRACE_PACKET_RECEIVED)
        return;
    neap_conn_set_tracer(event->conn, NULL);
    neap_qlog *qlog = begin_trace(context, event->conn);
    if (qlog != NULL)
        neap_qlog_event(qlog, event);
}

void neap_lua_qlog_accepts(struct config_core *config, neap_endpoint *endpoint)
{
    if (config->qlog != NULL)
        neap_endpoint_set_tracer(endpoint, &config->qlog->accepts);
}

void neap_lua_qlog_conn(struct config_core *config, neap_conn *conn)
{
    if (config->qlog != NULL)
        begin_trace(config->qlog, conn);
}

static uint64_t number_of(lua_State *L, const char *name, uint64_t preset, uint64_t least)
{
    uint64_t value = preset;

    lua_getfield(L, 1, name);
    if (!lua_isnil(L, -1)) {
        lua_Number number = lua_isnumber(L, -1) ? lua_tonumber(L, -1) : -1;

        if (!(number >= (lua_Number)least && number <= 1e15) || number != (lua_Number)(uint64_t)number)
            luaL_error(L, "option '%s' must be a whole number from %d on", name, (int)least);
        value = (uint64_t)number;
    }
    lua_pop(L, 1);
    return value;
}

int neap_lua_set_qlog(lua_State *L, struct config_core *core)
{
    uint64_t every = number_of(L, "qlog_every", 1, 1);
    uint64_t limit = number_of(L, "qlog_limit", LIMIT_QLOG_BYTES, 0);

    lua_getfield(L, 1, "qlog");
    if (!lua_isnil(L, -1)) {
        const char *path = lua_tostring(L, -1);
        if (path == NULL)
            luaL_error(L, "option 'qlog' must be a folder's path");
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
            return neap_lua_system_error(L, path, errno);
        core->qlog = calloc(1, sizeof *core->qlog);
        if (core->qlog == NULL) {
            close(fd);
            return neap_lua_error(L, NEAP_ERR_NO_MEMORY);
        }
        *core->qlog = (struct qlog_folder){.references = 1, .fd = fd, .every = every, .limit = limit};
        core->qlog->accepts = (neap_tracer){.emit = on_accept, .context = core->qlog};
    }
    lua_pop(L, 1);
    return 0;
}
