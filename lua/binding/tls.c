/* TLS over a stream of bytes in Lua, without its socket: lua/neap/socket_tls.lua moves the bytes. */
#include "binding.h"

#include <string.h>

#include "tcp/tls.h"

#define TYPE_SIDE "neap.tls_side"
#define TYPE_STREAM "neap.tls_stream"
#define BYTES_MOST 16384 /* that one call gives */

struct side_box {
    struct config_core *config;
    struct tls_side *side; /* NULL: closed */
};

struct stream_box {
    struct config_core *config; /* the stream's config calls its functions */
    struct tls_stream *stream;  /* NULL: closed */
};

static int why_not(lua_State *L, const struct failure *why)
{
    return neap_lua_error_text(L, why->code > 0 ? NEAP_ERR_CRYPTO : why->code,
                               why->reason && why->reason[0] ? why->reason : neap_strerror(why->code));
}

static int free_side(lua_State *L)
{
    struct side_box *box = luaL_checkudata(L, 1, TYPE_SIDE);

    neap_tls_side_free(box->side);
    neap_lua_config_release(box->config);
    *box = (struct side_box){0};
    return 0;
}

static int free_stream(lua_State *L)
{
    struct stream_box *box = luaL_checkudata(L, 1, TYPE_STREAM);

    neap_tls_stream_free(box->stream);
    neap_lua_config_release(box->config);
    *box = (struct stream_box){0};
    return 0;
}

/* core.tls_side(config, is_server[, protocols]) -> side */
static int new_side(lua_State *L)
{
    struct config_core *config = neap_lua_check_config(L, 1);
    const char *protocols[8] = {0};
    struct failure why = {0};

    if (!lua_isnoneornil(L, 3)) {
        luaL_checktype(L, 3, LUA_TTABLE);
        for (int i = 0; i < 7; i++) {
            lua_rawgeti(L, 3, i + 1);
            if (lua_isnil(L, -1))
                break;
            protocols[i] = luaL_checkstring(L, -1);
        }
    }
    struct side_box *box = lua_newuserdata(L, sizeof *box);
    *box = (struct side_box){0};
    luaL_getmetatable(L, TYPE_SIDE);
    lua_setmetatable(L, -2);
    box->side = neap_tls_side_new(config->config, lua_toboolean(L, 2), protocols, &why);
    if (!box->side)
        return why_not(L, &why);
    box->config = neap_lua_config_retain(config);
    return 1;
}

/* side:stream([name]) -> stream */
static int new_stream(lua_State *L)
{
    struct side_box *side = luaL_checkudata(L, 1, TYPE_SIDE);
    const char *name = luaL_optstring(L, 2, NULL);
    struct failure why = {0};

    if (!side->side)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    struct stream_box *box = lua_newuserdata(L, sizeof *box);
    *box = (struct stream_box){0};
    luaL_getmetatable(L, TYPE_STREAM);
    lua_setmetatable(L, -2);
    box->stream = neap_tls_stream_new(side->side, name, &why);
    if (!box->stream)
        return why_not(L, &why);
    box->config = neap_lua_config_retain(side->config);
    return 1;
}

static struct tls_stream *check_stream(lua_State *L)
{
    struct stream_box *box = luaL_checkudata(L, 1, TYPE_STREAM);

    if (!box->stream)
        luaL_error(L, "the stream is freed");
    return box->stream;
}

static struct span check_bytes(lua_State *L)
{
    size_t size;
    const char *bytes = luaL_checklstring(L, 2, &size);
    uint64_t from = neap_lua_opt_u64(L, 3, 1);

    luaL_argcheck(L, from >= 1 && from <= size + 1, 3, "not a place in the bytes");
    return span_after(span_of(bytes, size), (size_t)from - 1);
}

/* stream:receive(bytes[, from = 1]) -> count taken */
static int receive(lua_State *L)
{
    struct tls_stream *stream = check_stream(L);
    struct span bytes = check_bytes(L);

    lua_pushinteger(L, (lua_Integer)neap_tls_stream_receive(stream, bytes.data, bytes.size));
    return 1;
}

static int end_of_input(lua_State *L)
{
    neap_tls_stream_end_of_input(check_stream(L));
    return 0;
}

static int pull(lua_State *L, size_t (*give)(struct tls_stream *, uint8_t *, size_t))
{
    struct tls_stream *stream = check_stream(L);
    uint64_t most = neap_lua_opt_u64(L, 2, BYTES_MOST);
    uint8_t bytes[BYTES_MOST];
    size_t count = give(stream, bytes, most < sizeof bytes ? (size_t)most : sizeof bytes);

    lua_pushlstring(L, (const char *)bytes, count);
    explicit_bzero(bytes, count);
    return 1;
}

/* stream:send([most = 16384]) -> bytes, "" when there are none */
static int send_bytes(lua_State *L)
{
    return pull(L, neap_tls_stream_send);
}

/* stream:read([most = 16384]) -> plaintext, "" when there is none now */
static int read_plain(lua_State *L)
{
    return pull(L, neap_tls_stream_read);
}

/* stream:write(plaintext[, from = 1]) -> count taken */
static int write_plain(lua_State *L)
{
    struct tls_stream *stream = check_stream(L);
    struct span bytes = check_bytes(L);

    lua_pushinteger(L, (lua_Integer)neap_tls_stream_write(stream, bytes.data, bytes.size));
    return 1;
}

static int end_output(lua_State *L)
{
    neap_tls_stream_end_output(check_stream(L));
    return 0;
}

static int close_stream(lua_State *L)
{
    neap_tls_stream_close(check_stream(L));
    return 0;
}

/* stream:state() -> "handshake", "open", "ended", "closed" | "failed", message, code, alert */
static int push_state(lua_State *L)
{
    static const char *const words[] = {"handshake", "open", "ended", "closed", "failed"};
    const struct tls_stream *stream = check_stream(L);
    enum tls_stream_state state = neap_tls_stream_state(stream);
    const struct failure *failure = neap_tls_stream_failure(stream);

    lua_pushstring(L, words[state]);
    if (state != TLS_STREAM_FAILED)
        return 1;
    why_not(L, failure);
    lua_remove(L, -3); /* the nil */
    if (failure->code < NEAP_CRYPTO_ERROR)
        return 3;
    lua_pushinteger(L, failure->code - NEAP_CRYPTO_ERROR);
    return 4;
}

/* stream:info() -> protocol, version, suite, server_name; "" for what is not there */
static int push_info(lua_State *L)
{
    const struct tls_stream *stream = check_stream(L);

    lua_pushstring(L, neap_tls_stream_protocol(stream));
    lua_pushstring(L, neap_tls_stream_version(stream));
    lua_pushstring(L, neap_tls_stream_suite(stream));
    lua_pushstring(L, neap_tls_stream_server_name(stream));
    return 4;
}

/* stream:peer_certificate([index = 1]) -> DER, nil behind the last */
static int push_certificate(lua_State *L)
{
    const struct tls_stream *stream = check_stream(L);
    uint64_t index = neap_lua_opt_u64(L, 2, 1);
    struct span der = index ? neap_tls_stream_peer_certificate(stream, (size_t)index - 1) : (struct span){0};

    if (der.size)
        lua_pushlstring(L, (const char *)der.data, der.size);
    else
        lua_pushnil(L);
    return 1;
}

void neap_lua_open_tls(lua_State *L)
{
    static const luaL_Reg side_methods[] = {{"stream", new_stream}, {"close", free_side}, {NULL, NULL}};
    static const luaL_Reg stream_methods[] = {
        {"receive", receive},
        {"end_of_input", end_of_input},
        {"send", send_bytes},
        {"read", read_plain},
        {"write", write_plain},
        {"close", close_stream},
        {"end_output", end_output},
        {"state", push_state},
        {"info", push_info},
        {"free", free_stream},
        {"peer_certificate", push_certificate},
        {NULL, NULL},
    };

    neap_lua_new_type(L, TYPE_SIDE, side_methods, free_side, NULL);
    neap_lua_new_type(L, TYPE_STREAM, stream_methods, free_stream, NULL);
    lua_pushcfunction(L, new_side);
    lua_setfield(L, -2, "tls_side");
    lua_pushboolean(L, neap_tls_stream_is_available());
    lua_setfield(L, -2, "has_tls_streams");
}
