/* qlog into files: one for each connection of a config, in a folder that the option `qlog` names. Anybody can begin connections
 * with a server, from addresses that are not his: their traces are gathered in memory, for a few of them, and none gets a
 * file before the client's address is proved (RFC 9000 §8.1). */
#include "binding.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIMIT_QLOG_TRACES \
    256u /* connections that are traced at a time: 16 KiB and a file each; others are not */
#define LIMIT_QLOG_WAITING \
    32u /* clients without proof whose events are gathered; the traces of others begin with the proof */
#define LIMIT_QLOG_BYTES (64u << 20) /* of a trace, unless the option qlog_limit says otherwise */
#define LIMIT_QLOG_FILES 10000u      /* in the folder, unless the option qlog_files says otherwise */
#define LIMIT_QLOG_TOTAL (1u << 30)  /* bytes in the folder, unless the option qlog_total says otherwise */
#define COUNT_AGAIN (10 * NEAP_SECOND)
#define NAME_ROOM (2 * 20 + sizeof "_client.sqlog")

/* What happened in all, for people who look. */
struct qlog_counters {
    uint64_t traced, refused, failed; /* connections; those beyond a bound; files that could not be written */
};

struct qlog_folder {
    unsigned references;
    int fd;
    uint64_t every, limit;
    uint64_t seen;          /* connections, of which one in `every` is traced */
    unsigned open, waiting; /* traces with a file; of clients without proof */
    uint64_t files, bytes, most_files, most_bytes;
    neap_time count_at; /* then the folder is looked at again, if it is full */
    struct qlog_counters counters;
    neap_tracer accepts; /* of a connection that is new */
    neap_tracer late;    /* of one that is traced as soon as its client is proved */
};

/* Its memory is behind it. */
struct qlog_trace {
    neap_tracer tracer;
    struct qlog_folder *folder;
    neap_qlog *qlog;
    int fd; /* -1: nothing is written, since it waits or writing failed */
    bool is_waiting;
    bool is_too_long; /* more came than waits in memory */
};

void neap_lua_qlog_release(struct qlog_folder *folder)
{
    if (folder == NULL || --folder->references > 0)
        return;
    close(folder->fd);
    free(folder);
}

/* ---- the folder */

static bool is_trace(const char *name)
{
    static const char suffix[] = ".sqlog";
    size_t size = strlen(name);

    return size >= sizeof suffix && strcmp(name + size - (sizeof suffix - 1), suffix) == 0;
}

/* What is there, of whomever it is: also what other processes wrote meanwhile, and what somebody took away. */
static void count_folder(struct qlog_folder *folder)
{
    int fd = openat(folder->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *entry;
    struct stat info;

    if (dir == NULL) {
        if (fd >= 0)
            close(fd);
        return;
    }
    folder->files = folder->bytes = 0;
    while ((entry = readdir(dir)) != NULL) {
        if (!is_trace(entry->d_name) || fstatat(folder->fd, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        folder->files++;
        folder->bytes += (uint64_t)info.st_size;
    }
    closedir(dir);
}

static bool is_above(uint64_t value, uint64_t most)
{
    return most > 0 && value > most;
}

static bool is_full(const struct qlog_folder *folder)
{
    return is_above(folder->files + 1, folder->most_files) || is_above(folder->bytes + 1, folder->most_bytes);
}

/* Whether another file may be made. */
static bool has_room(struct qlog_folder *folder, neap_time now)
{
    if (is_full(folder) && now >= folder->count_at) {
        folder->count_at = now + COUNT_AGAIN;
        count_folder(folder);
    }
    return !is_full(folder);
}

/* ---- one trace */

static void stop_writing(struct qlog_trace *trace, uint64_t *counter)
{
    ++*counter;
    close(trace->fd);
    trace->fd = -1;
}

static void write_trace(void *context, const char *bytes, size_t size)
{
    struct qlog_trace *trace = context;
    struct qlog_folder *folder = trace->folder;

    trace->is_too_long |= trace->is_waiting;
    if (trace->fd >= 0 && is_above(folder->bytes + size, folder->most_bytes))
        stop_writing(trace, &folder->counters.refused);
    while (size > 0 && trace->fd >= 0) {
        ssize_t written = write(trace->fd, bytes, size);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) { /* a full disk must not end a connection */
            stop_writing(trace, &folder->counters.failed);
            return;
        }
        folder->bytes += (uint64_t)written;
        bytes += written;
        size -= (size_t)written;
    }
}

static void free_trace(struct qlog_trace *trace)
{
    struct qlog_folder *folder = trace->folder;

    if (trace->fd >= 0)
        close(trace->fd);
    if (trace->is_waiting)
        folder->waiting--;
    else
        folder->open--;
    free(trace);
    neap_lua_qlog_release(folder);
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

/* Give the trace its file. False: there is none for it. */
static bool begin_file(struct qlog_trace *trace, const neap_conn *conn, neap_time now)
{
    struct qlog_folder *folder = trace->folder;

    if (folder->open >= LIMIT_QLOG_TRACES || !has_room(folder, now)) {
        folder->counters.refused++;
        return false;
    }
    trace->fd = open_file(folder, conn);
    if (trace->fd < 0) {
        folder->counters.failed++;
        return false;
    }
    if (trace->is_waiting)
        folder->waiting--;
    trace->is_waiting = false;
    folder->open++;
    folder->files++;
    folder->counters.traced++;
    return true;
}

bool neap_lua_is_proved(const neap_conn *conn)
{
    neap_path_info path = {0};

    if (!neap_conn_is_server(conn))
        return true;
    neap_conn_paths(conn, 0, &path, sizeof path);
    return path.state == NEAP_PATH_VALIDATED;
}

static void on_event(void *context, const neap_trace_event *event)
{
    struct qlog_trace *trace = context;
    struct qlog_folder *folder = trace->folder;
    bool is_gone = event->kind == NEAP_TRACE_GONE;

    if (trace->is_waiting && !is_gone && neap_lua_is_proved(event->conn) &&
        !begin_file(trace, event->conn, event->now)) {
        neap_lua_set_tracer(event->conn, NULL);
        free_trace(trace);
        return;
    }
    neap_qlog_event(trace->qlog, event);
    if (is_gone) {
        free_trace(trace);
    } else if (trace->is_too_long && trace->is_waiting) {
        neap_lua_set_tracer(event->conn, &folder->late);
        free_trace(trace);
    }
}

/* NULL: without memory. It waits until it has its file. */
static struct qlog_trace *new_trace(struct qlog_folder *folder)
{
    struct qlog_trace *trace = malloc(sizeof *trace + NEAP_QLOG_MEMORY);
    neap_qlog_config config = {.write = write_trace, .context = trace, .max_bytes = folder->limit};

    if (trace == NULL)
        return NULL;
    *trace = (struct qlog_trace){.tracer = {on_event, trace}, .folder = folder, .fd = -1, .is_waiting = true};
    trace->qlog = neap_qlog_init(trace + 1, NEAP_QLOG_MEMORY, &config);
    folder->waiting++;
    folder->references++;
    return trace;
}

/* ---- whose */

static bool is_chosen(struct qlog_folder *folder)
{
    return folder->seen++ % folder->every == 0;
}

/* What sees the connection from now on, or NULL. */
static const neap_tracer *begin_trace(struct qlog_folder *folder, neap_conn *conn, neap_time now)
{
    bool is_late = !neap_lua_is_proved(conn) && folder->waiting >= LIMIT_QLOG_WAITING;
    struct qlog_trace *trace = is_late ? NULL : new_trace(folder);
    const neap_tracer *to = is_late ? &folder->late : NULL;

    if (trace != NULL && neap_lua_is_proved(conn) && !begin_file(trace, conn, now)) {
        free_trace(trace);
        trace = NULL;
    }
    if (trace != NULL)
        to = &trace->tracer;
    neap_lua_set_tracer(conn, to);
    return to;
}

/* Sees what an endpoint accepts until it is known whether that is a connection: its first packet opened. */
static void on_accept(void *context, const neap_trace_event *event)
{
    struct qlog_folder *folder = context;

    if (event->conn == NULL || event->kind != NEAP_TRACE_PACKET_RECEIVED)
        return;
    if (!is_chosen(folder)) {
        neap_lua_set_tracer(event->conn, NULL);
        return;
    }
    const neap_tracer *tracer = begin_trace(folder, event->conn, event->now);
    if (tracer != NULL)
        tracer->emit(tracer->context, event);
}

static void on_late(void *context, const neap_trace_event *event)
{
    struct qlog_folder *folder = context;

    if (event->kind == NEAP_TRACE_GONE || !neap_lua_is_proved(event->conn))
        return;
    const neap_tracer *tracer = begin_trace(folder, event->conn, event->now);
    if (tracer != NULL)
        tracer->emit(tracer->context, event);
}

void neap_lua_qlog_accepts(struct config_core *config, neap_endpoint *endpoint)
{
    if (config->qlog != NULL)
        neap_endpoint_set_tracer(endpoint, &config->qlog->accepts);
}

void neap_lua_qlog_conn(struct config_core *config, neap_conn *conn, neap_time now)
{
    if (config->qlog != NULL && is_chosen(config->qlog))
        begin_trace(config->qlog, conn, now);
}

/* ---- the options, the counters */

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
    uint64_t most_files = number_of(L, "qlog_files", LIMIT_QLOG_FILES, 0);
    uint64_t most_bytes = number_of(L, "qlog_total", LIMIT_QLOG_TOTAL, 0);

    lua_getfield(L, 1, "qlog");
    if (!lua_isnil(L, -1)) {
        const char *path = lua_tostring(L, -1);
        if (path == NULL)
            luaL_error(L, "option 'qlog' must be a folder's path");
#ifdef NEAP_NO_QLOG
        return neap_lua_error_text(L, NEAP_ERR_UNSUPPORTED, "built without qlog");
#endif
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
            return neap_lua_system_error(L, path, errno);
        core->qlog = calloc(1, sizeof *core->qlog);
        if (core->qlog == NULL) {
            close(fd);
            return neap_lua_error(L, NEAP_ERR_NO_MEMORY);
        }
        *core->qlog = (struct qlog_folder){.references = 1,
                                           .fd = fd,
                                           .every = every,
                                           .limit = limit,
                                           .most_files = most_files,
                                           .most_bytes = most_bytes,
                                           .accepts = {on_accept, core->qlog},
                                           .late = {on_late, core->qlog}};
        count_folder(core->qlog);
        neap_lua_survive_full_files();
    }
    lua_pop(L, 1);
    return 0;
}

int neap_lua_qlog_stats(lua_State *L)
{
    const struct qlog_folder *folder = neap_lua_check_config(L, 1)->qlog;

    if (folder == NULL)
        return 0;
    lua_createtable(L, 0, 7);
    neap_lua_set_u64(L, "open", folder->open);
    neap_lua_set_u64(L, "waiting", folder->waiting);
    neap_lua_set_u64(L, "files", folder->files);
    neap_lua_set_u64(L, "bytes", folder->bytes);
    neap_lua_set_u64(L, "traced", folder->counters.traced);
    neap_lua_set_u64(L, "refused", folder->counters.refused);
    neap_lua_set_u64(L, "failed", folder->counters.failed);
    return 1;
}
