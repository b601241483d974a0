/* HTTP/3 that costs nothing, for scripts/bench lua: each turn brings REQUESTS requests, every answer is taken, and
 * nothing is parsed or sent. What is measured on top is the binding and Lua. The linker puts what is wrapped here in the
 * place of core/http; nothing else of it may be called.
 * bench_lua FILE [args]: an interpreter with neap.core on top of that. */
#include "compat.h"
#include "neap.h"

#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUESTS 100 /* a turn */

struct neap_h3 {
    uint64_t stream; /* of the next request */
    unsigned left;   /* requests of this turn */
    bool is_told;    /* HEADERS of `stream`, not FINISHED */
    uint64_t answers, body_bytes;
    neap_field fields[10];
};

#define FIELD(n, v) {.name = n, .value = v, .name_size = sizeof n - 1, .value_size = sizeof v - 1}

neap_h3 *__wrap_neap_h3_new(neap_conn *conn, const neap_h3_config *config)
{
    static const neap_field fields[] = {
        FIELD(":method", "GET"),
        FIELD(":scheme", "https"),
        FIELD(":authority", "bench.example:4433"),
        FIELD(":path", "/hello"),
        FIELD("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        FIELD("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        FIELD("accept-language", "en-GB,en;q=0.5"),
        FIELD("accept-encoding", "gzip, deflate, br, zstd"),
        FIELD("referer", "https://bench.example:4433/start"),
        FIELD("cookie", "session=5f2b1c9e7a3d4860"),
    };
    neap_h3 *h3 = calloc(1, sizeof *h3);
    const char *path = getenv("NEAP_BENCH_PATH");

    (void)conn;
    (void)config;
    if (h3 == NULL)
        return NULL;
    memcpy(h3->fields, fields, sizeof fields);
    if (path != NULL) {
        h3->fields[3].value = path;
        h3->fields[3].value_size = strlen(path);
    }
    h3->left = REQUESTS;
    return h3;
}

void __wrap_neap_h3_free(neap_h3 *h3)
{
    free(h3);
}

int __wrap_neap_h3_poll(neap_h3 *h3, neap_h3_event *out)
{
    if (h3->is_told) {
        *out = (neap_h3_event){.type = NEAP_H3_FINISHED, .stream = h3->stream};
        h3->is_told = false;
        h3->stream += 4;
        return NEAP_OK;
    }
    if (h3->left == 0) {
        h3->left = REQUESTS;
        return NEAP_ERR_AGAIN;
    }
    h3->left--;
    h3->is_told = true;
    *out = (neap_h3_event){
        .type = NEAP_H3_HEADERS,
        .stream = h3->stream,
        .fields = h3->fields,
        .field_count = sizeof h3->fields / sizeof h3->fields[0],
        .fin = true,
    };
    return NEAP_OK;
}

int __wrap_neap_h3_send_response(neap_h3 *h3, uint64_t stream, const neap_field *fields, size_t count, bool fin)
{
    (void)stream;
    (void)fields;
    (void)count;
    if (fin)
        h3->answers++;
    return NEAP_OK;
}

int64_t __wrap_neap_h3_send_body(neap_h3 *h3, uint64_t stream, const void *data, size_t size, bool fin)
{
    (void)stream;
    (void)data;
    h3->body_bytes += size;
    if (fin)
        h3->answers++;
    return (int64_t)size;
}

int64_t __wrap_neap_h3_respond(neap_h3 *h3, uint64_t stream, const neap_field *fields, size_t count, const void *body,
                               size_t size)
{
    (void)stream;
    (void)fields;
    (void)count;
    (void)body;
    h3->body_bytes += size;
    h3->answers++;
    return (int64_t)size;
}

bool __wrap_neap_conn_is_server(const neap_conn *conn)
{
    (void)conn;
    return true;
}

/* The settings of this peer are the figures of the run: 1 answers that were ended, 2 bytes of bodies. */
int __wrap_neap_h3_peer_setting(const neap_h3 *h3, uint64_t id, uint64_t *value)
{
    *value = id == 1 ? h3->answers : h3->body_bytes;
    return NEAP_OK;
}

int luaopen_neap_core(lua_State *L);

int main(int argc, char **argv)
{
    lua_State *L = luaL_newstate();

    if (L == NULL || argc < 2)
        return EXIT_FAILURE;
    luaL_openlibs(L);
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "preload");
    lua_pushcfunction(L, luaopen_neap_core);
    lua_setfield(L, -2, "neap.core");
    lua_settop(L, 0);
    int failed = luaL_loadfile(L, argv[1]);
    for (int i = 2; !failed && i < argc; i++)
        lua_pushstring(L, argv[i]);
    if (failed || lua_pcall(L, argc - 2, 0, 0)) {
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
        return EXIT_FAILURE;
    }
    lua_close(L);
    return EXIT_SUCCESS;
}
