/* Content codings (RFC 9110 §8.4.1) for bodies that are sent: gzip by zlib, br and zstd where their libraries were found. */
#include "binding.h"

#include <string.h>

#ifdef NEAP_HAVE_ZLIB
#include <zlib.h>
#endif
#ifdef NEAP_HAVE_BROTLI
#include <brotli/encode.h>
#endif
#ifdef NEAP_HAVE_ZSTD
#include <zstd.h>
#endif

#define TYPE_ENCODER "neap.encoder"
#define STEP_SIZE 16384 /* bytes of output at a time */
#define ZSTD_WINDOW_LOG \
    20 /* 1 MiB: what an encoder keeps, and what a decoder must; RFC 8878 §3.1.1.1.2 has them take 8 */
#define BROTLI_WINDOW_LOG 18

enum finish { GO_ON, FLUSH, FINISH };

struct encoder;

struct coding {
    const char *name;
    int least, preset, most; /* levels */
    bool (*begin)(struct encoder *e, int level);
    /* Takes bytes of `in`, gives bytes to `out`: false when it failed; *is_done when there is nothing more to give. */
    bool (*step)(struct encoder *e, const char **in, size_t *in_size, char *out, size_t *out_size,
                 enum finish how, bool *is_done);
    void (*end)(struct encoder *e);
};

struct encoder {
    const struct coding *coding; /* NULL: it has ended */
    union {
#ifdef NEAP_HAVE_ZLIB
        z_stream zlib;
#endif
#ifdef NEAP_HAVE_BROTLI
        BrotliEncoderState *brotli;
#endif
#ifdef NEAP_HAVE_ZSTD
        ZSTD_CCtx *zstd;
#endif
        int none;
    } state;
};

#ifdef NEAP_HAVE_ZLIB
static bool gzip_begin(struct encoder *e, int level)
{
    e->state.zlib = (z_stream){0};
    return deflateInit2(&e->state.zlib, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK;
}

static bool gzip_step(struct encoder *e, const char **in, size_t *in_size, char *out, size_t *out_size,
                      enum finish how, bool *is_done)
{
    static const int flushes[] = {[GO_ON] = Z_NO_FLUSH, [FLUSH] = Z_SYNC_FLUSH, [FINISH] = Z_FINISH};
    z_stream *z = &e->state.zlib;
    size_t offered = *in_size < STEP_SIZE ? *in_size : STEP_SIZE;
    bool is_last = offered == *in_size;

    z->next_in = (z_const Bytef *)(uintptr_t)*in;
    z->avail_in = (uInt)offered;
    z->next_out = (Bytef *)out;
    z->avail_out = (uInt)*out_size;
    int result = deflate(z, is_last ? flushes[how] : Z_NO_FLUSH);
    *in += offered - z->avail_in;
    *in_size -= offered - z->avail_in;
    *is_done = is_last && z->avail_in == 0 && (how == FINISH ? result == Z_STREAM_END : z->avail_out > 0);
    *out_size -= z->avail_out;
    return result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR;
}

static void gzip_end(struct encoder *e)
{
    (void)deflateEnd(&e->state.zlib);
}
#endif

#ifdef NEAP_HAVE_BROTLI
static bool brotli_begin(struct encoder *e, int level)
{
    e->state.brotli = BrotliEncoderCreateInstance(NULL, NULL, NULL);
    return e->state.brotli != NULL &&
           BrotliEncoderSetParameter(e->state.brotli, BROTLI_PARAM_QUALITY, (uint32_t)level) &&
           BrotliEncoderSetParameter(e->state.brotli, BROTLI_PARAM_LGWIN, BROTLI_WINDOW_LOG);
}

static bool brotli_step(struct encoder *e, const char **in, size_t *in_size, char *out, size_t *out_size,
                        enum finish how, bool *is_done)
{
    static const BrotliEncoderOperation operations[] = {[GO_ON] = BROTLI_OPERATION_PROCESS,
                                                        [FLUSH] = BROTLI_OPERATION_FLUSH,
                                                        [FINISH] = BROTLI_OPERATION_FINISH};
    size_t room = *out_size;
    const uint8_t *next_in = (const uint8_t *)*in;
    uint8_t *next_out = (uint8_t *)out;
    bool ok = BrotliEncoderCompressStream(e->state.brotli, operations[how], in_size, &next_in, &room,
                                          &next_out, NULL);

    *in = (const char *)next_in;
    *out_size -= room;
    *is_done = *in_size == 0 && !BrotliEncoderHasMoreOutput(e->state.brotli) &&
               (how != FINISH || BrotliEncoderIsFinished(e->state.brotli));
    return ok;
}

static void brotli_end(struct encoder *e)
{
    BrotliEncoderDestroyInstance(e->state.brotli);
}
#endif

#ifdef NEAP_HAVE_ZSTD
static bool zstd_begin(struct encoder *e, int level)
{
    e->state.zstd = ZSTD_createCCtx();
    return e->state.zstd != NULL &&
           !ZSTD_isError(ZSTD_CCtx_setParameter(e->state.zstd, ZSTD_c_compressionLevel, level)) &&
           !ZSTD_isError(ZSTD_CCtx_setParameter(e->state.zstd, ZSTD_c_windowLog, ZSTD_WINDOW_LOG));
}

static bool zstd_step(struct encoder *e, const char **in, size_t *in_size, char *out, size_t *out_size,
                      enum finish how, bool *is_done)
{
    static const ZSTD_EndDirective directives[] = {
        [GO_ON] = ZSTD_e_continue, [FLUSH] = ZSTD_e_flush, [FINISH] = ZSTD_e_end};
    ZSTD_inBuffer input = {*in, *in_size, 0};
    ZSTD_outBuffer output = {out, *out_size, 0};
    size_t left = ZSTD_compressStream2(e->state.zstd, &output, &input, directives[how]);

    *in += input.pos;
    *in_size -= input.pos;
    *out_size = output.pos;
    *is_done = input.pos == input.size && (how == GO_ON || left == 0);
    return !ZSTD_isError(left);
}

static void zstd_end(struct encoder *e)
{
    (void)ZSTD_freeCCtx(e->state.zstd);
}
#endif

static const struct coding codings[] = {
#ifdef NEAP_HAVE_ZSTD
    {"zstd", 1, 3, 19, zstd_begin, zstd_step, zstd_end},
#endif
#ifdef NEAP_HAVE_BROTLI
    {"br", 0, 4, 11, brotli_begin, brotli_step, brotli_end},
#endif
#ifdef NEAP_HAVE_ZLIB
    {"gzip", 1, 6, 9, gzip_begin, gzip_step, gzip_end},
#endif
    {NULL, 0, 0, 0, NULL, NULL, NULL},
};

static void end(struct encoder *e)
{
    if (e->coding != NULL)
        e->coding->end(e);
    e->coding = NULL;
}

static int encoder_gc(lua_State *L)
{
    end(luaL_checkudata(L, 1, TYPE_ENCODER));
    return 0;
}

/* core.encoder(coding[, level]) -> encoder; nil, message, "unsupported" for one that this build has not */
static int core_encoder(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    const struct coding *coding = codings;

    while (coding->name != NULL && strcmp(coding->name, name) != 0)
        coding++;
    if (coding->name == NULL)
        return neap_lua_error(L, NEAP_ERR_UNSUPPORTED);
    lua_Integer level = luaL_optinteger(L, 2, coding->preset);
    luaL_argcheck(L, level >= coding->least && level <= coding->most, 2, "not a level of this coding");
    struct encoder *e = lua_newuserdata(L, sizeof *e);
    e->coding = NULL;
    luaL_getmetatable(L, TYPE_ENCODER);
    lua_setmetatable(L, -2);
    if (!coding->begin(e, (int)level))
        return neap_lua_error(L, NEAP_ERR_NO_MEMORY);
    e->coding = coding;
    return 1;
}

/* core.codings() -> the names of those there are, best first */
static int core_codings(lua_State *L)
{
    lua_newtable(L);
    for (int i = 0; codings[i].name != NULL; i++) {
        lua_pushstring(L, codings[i].name);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

/* encoder:write(bytes[, "flush" or "finish"]) -> what is to be sent: of what was written so far ("flush": all of it), and
 * the end ("finish": nothing can be written after it) */
static int encoder_write(lua_State *L)
{
    static const char *const names[] = {"", "flush", "finish", NULL};
    struct encoder *e = luaL_checkudata(L, 1, TYPE_ENCODER);
    size_t size;
    const char *bytes = luaL_checklstring(L, 2, &size);
    enum finish how = (enum finish)luaL_checkoption(L, 3, "", names);
    bool is_done = false;
    luaL_Buffer buffer;

    if (e->coding == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    luaL_buffinit(L, &buffer);
    while (!is_done) {
        char out[STEP_SIZE];
        size_t got = sizeof out;

        if (!e->coding->step(e, &bytes, &size, out, &got, how, &is_done)) {
            end(e);
            return neap_lua_error(L, NEAP_ERR_NO_MEMORY);
        }
        luaL_addlstring(&buffer, out, got);
    }
    if (how == FINISH)
        end(e);
    luaL_pushresult(&buffer);
    return 1;
}

void neap_lua_open_encoder(lua_State *L)
{
    static const luaL_Reg methods[] = {{"write", encoder_write}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"encoder", core_encoder}, {"codings", core_codings}, {NULL, NULL}};

    neap_lua_new_type(L, TYPE_ENCODER, methods, encoder_gc, NULL);
    neap_lua_set_functions(L, functions);
}
