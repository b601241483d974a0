/* What happened on a connection's HTTP/3, many events in one call. A request comes as values; of its other fields Lua
 * gets the bytes, in one string, and makes what it reads of them. */
#include "binding.h"

#include <string.h>

#define EVENTS_MAX 32 /* of one call */
#define EVENT_WIDTH 11
#define BLOCK_ON_STACK 2048

enum text { /* the strings that are made once, in the table that is the upvalue */
            TEXT_REQUEST = 1,
            TEXT_HEADERS,
            TEXT_TRAILERS,
            TEXT_DATA,
            TEXT_FINISHED,
            TEXT_RESET,
            TEXT_STOPPED,
            TEXT_WRITABLE,
            TEXT_GOAWAY,
            TEXT_SETTINGS,
            TEXT_ESTABLISHED,
            TEXT_CLOSED,
            TEXT_GET,
            TEXT_HTTPS,
            TEXT_COUNT,
};

static const char *const texts[TEXT_COUNT] = {
    [TEXT_REQUEST] = "request",         [TEXT_HEADERS] = "headers",
    [TEXT_TRAILERS] = "trailers",       [TEXT_DATA] = "data",
    [TEXT_FINISHED] = "finished",       [TEXT_RESET] = "reset",
    [TEXT_STOPPED] = "stopped",         [TEXT_WRITABLE] = "writable",
    [TEXT_GOAWAY] = "goaway",           [TEXT_SETTINGS] = "settings",
    [TEXT_CLOSED] = "closed",           [TEXT_GET] = "GET",
    [TEXT_ESTABLISHED] = "established", [TEXT_HTTPS] = "https",
};

struct batch {
    lua_State *L; /* the list is at index 2 */
    int used;     /* places in it */
};

/* The value on top into the next place. */
static void put(struct batch *b)
{
    lua_rawseti(b->L, 2, ++b->used);
}

static void put_text(struct batch *b, enum text text)
{
    lua_rawgeti(b->L, lua_upvalueindex(1), (int)text);
    put(b);
}

static void put_number(struct batch *b, uint64_t value)
{
    neap_lua_push_u64(b->L, value);
    put(b);
}

static void put_boolean(struct batch *b, bool value)
{
    lua_pushboolean(b->L, value);
    put(b);
}

static bool is_name(const neap_field *field, const char *name, size_t size)
{
    return field->name_size == size && memcmp(field->name, name, size) == 0;
}

#define IS_NAME(field, name) is_name(field, name, sizeof(name) - 1)

/* A value of a pseudo-header field; false for one that is not there. */
static void put_value(struct batch *b, const neap_field *field)
{
    if (field == NULL)
        lua_pushboolean(b->L, 0);
    else if (field->value_size == 3 && memcmp(field->value, "GET", 3) == 0)
        lua_rawgeti(b->L, lua_upvalueindex(1), TEXT_GET);
    else if (field->value_size == 5 && memcmp(field->value, "https", 5) == 0)
        lua_rawgeti(b->L, lua_upvalueindex(1), TEXT_HTTPS);
    else
        lua_pushlstring(b->L, field->value_size > 0 ? field->value : "", field->value_size);
    put(b);
}

/* ---- field sections as one string: the count of lines, the sizes of name and value and their bytes, the last line first, so that the first
 * value of a name is the last that is put into a table */

struct line_sizes {
    uint32_t name, value;
};

static void put_block(struct batch *b, const neap_field *fields, size_t count)
{
    char on_stack[BLOCK_ON_STACK];
    uint32_t lines = (uint32_t)count;
    size_t size = sizeof lines, used = sizeof lines;

    if (count == 0) {
        put_boolean(b, false);
        return;
    }
    for (size_t i = 0; i < count; i++)
        size += sizeof(struct line_sizes) + fields[i].name_size + fields[i].value_size;
    char *block = size <= sizeof on_stack ? on_stack : lua_newuserdata(b->L, size);
    memcpy(block, &lines, sizeof lines);
    for (size_t i = count; i-- > 0;) {
        struct line_sizes sizes = {(uint32_t)fields[i].name_size, (uint32_t)fields[i].value_size};
        memcpy(block + used, &sizes, sizeof sizes);
        used += sizeof sizes;
        memcpy(block + used, fields[i].name, fields[i].name_size);
        used += fields[i].name_size;
        if (fields[i].value_size > 0)
            memcpy(block + used, fields[i].value, fields[i].value_size);
        used += fields[i].value_size;
    }
    lua_pushlstring(b->L, block, size);
    if (block != on_stack)
        lua_remove(b->L, -2);
    put(b);
}

struct block_line {
    const char *name, *value;
    struct line_sizes sizes;
};

/* The block at index 1: how many lines it has, and where they are. */
static uint32_t open_block(lua_State *L, const char **at, size_t *left)
{
    uint32_t lines = 0;

    *at = luaL_checklstring(L, 1, left);
    luaL_argcheck(L, *left >= sizeof lines, 1, "a block of fields");
    memcpy(&lines, *at, sizeof lines);
    *at += sizeof lines;
    *left -= sizeof lines;
    luaL_argcheck(L, lines <= *left / sizeof(struct line_sizes), 1, "a block of fields");
    return lines;
}

/* The next line of a block; raises where there is none. */
static void next_line(lua_State *L, const char **at, size_t *left, struct block_line *line)
{
    luaL_argcheck(L, *left >= sizeof line->sizes, 1, "a block of fields");
    memcpy(&line->sizes, *at, sizeof line->sizes);
    size_t size = sizeof line->sizes + line->sizes.name + line->sizes.value;
    luaL_argcheck(L, *left >= size, 1, "a block of fields");
    line->name = *at + sizeof line->sizes;
    line->value = line->name + line->sizes.name;
    *at += size;
    *left -= size;
}

/* core.field_list(block) -> { name, value, name, value, … } */
static int field_list(lua_State *L)
{
    const char *at;
    size_t left;
    uint32_t lines = open_block(L, &at, &left);
    struct block_line line;

    lua_createtable(L, (int)lines * 2, 0);
    for (uint32_t i = lines; i > 0; i--) {
        next_line(L, &at, &left, &line);
        lua_pushlstring(L, line.name, line.sizes.name);
        lua_rawseti(L, -2, (int)i * 2 - 1);
        lua_pushlstring(L, line.value, line.sizes.value);
        lua_rawseti(L, -2, (int)i * 2);
    }
    return 1;
}

/* core.field_set(block, except) -> { [name] = first value }, without the names that the table `except` has. */
static int field_set(lua_State *L)
{
    const char *at;
    size_t left;
    uint32_t lines = open_block(L, &at, &left);
    struct block_line line;

    luaL_checktype(L, 2, LUA_TTABLE);
    lua_createtable(L, 0, (int)lines);
    for (; lines > 0; lines--) {
        next_line(L, &at, &left, &line);
        lua_pushlstring(L, line.name, line.sizes.name);
        lua_pushvalue(L, -1);
        lua_rawget(L, 2);
        bool is_excepted = !lua_isnil(L, -1);
        lua_pop(L, 1);
        if (is_excepted) {
            lua_pop(L, 1);
            continue;
        }
        lua_pushlstring(L, line.value, line.sizes.value);
        lua_rawset(L, -3);
    }
    return 1;
}

/* core.segments(path) -> { segment, … } of a path that begins with a slash; nil when it has escapes or backslashes. */
static int segments(lua_State *L)
{
    size_t size;
    const char *path = luaL_checklstring(L, 1, &size);
    int count = 0;

    if (size == 0 || memchr(path, '%', size) != NULL || memchr(path, '\\', size) != NULL) {
        lua_pushnil(L);
        return 1;
    }
    lua_createtable(L, 4, 0);
    for (const char *at = path + 1, *end = path + size; at != NULL;) {
        const char *slash = memchr(at, '/', (size_t)(end - at));
        lua_pushlstring(L, at, (size_t)((slash != NULL ? slash : end) - at));
        lua_rawseti(L, -2, ++count);
        at = slash != NULL ? slash + 1 : NULL;
    }
    return 1;
}

/* ---- requests */

/* Whether a path is in the one spelling that Router.normalize gives: of segments that need no encoding (pchar of RFC
 * 3986 §3.3 without percent), none empty but the last, none that begins with a dot. */
static bool is_plain_path(const char *path, size_t size)
{
    if (size == 0 || path[0] != '/')
        return false;
    for (size_t i = 1; i < size; i++) {
        char c = path[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if ((c == '/' || c == '.') && path[i - 1] == '/')
            return false;
        if (!is_letter && (c == '\0' || strchr("/._~!$&'()*+,;=:@-", c) == NULL))
            return false;
    }
    return true;
}

/* target, path, query: the path without a query when it has its one spelling, else false. */
static void put_target(struct batch *b, const neap_field *field)
{
    const char *target = field != NULL && field->value_size > 0 ? field->value : "";
    size_t size = field != NULL ? field->value_size : 0;
    const char *mark = memchr(target, '?', size);
    size_t path_size = mark != NULL ? (size_t)(mark - target) : size;

    lua_pushlstring(b->L, target, size);
    lua_pushvalue(b->L, -1);
    put(b);
    if (!is_plain_path(target, path_size)) {
        lua_pop(b->L, 1);
        lua_pushboolean(b->L, 0);
    } else if (mark != NULL) {
        lua_pop(b->L, 1);
        lua_pushlstring(b->L, target, path_size);
    }
    put(b);
    if (mark != NULL)
        lua_pushlstring(b->L, mark + 1, size - path_size - 1);
    else
        lua_pushboolean(b->L, 0);
    put(b);
}

static void put_request(struct batch *b, const neap_h3_event *event)
{
    const neap_field *method = NULL, *scheme = NULL, *host = NULL, *target = NULL, *protocol = NULL;
    size_t first = 0;

    for (; first < event->field_count && event->fields[first].name[0] == ':'; first++) {
        const neap_field *field = &event->fields[first];
        if (IS_NAME(field, ":method"))
            method = field;
        else if (IS_NAME(field, ":scheme"))
            scheme = field;
        else if (IS_NAME(field, ":authority"))
            host = field;
        else if (IS_NAME(field, ":path"))
            target = field;
        else if (IS_NAME(field, ":protocol"))
            protocol = field;
    }
    for (size_t i = first; host == NULL && i < event->field_count; i++) {
        if (IS_NAME(&event->fields[i], "host"))
            host = &event->fields[i];
    }
    put_text(b, TEXT_REQUEST);
    put_number(b, event->stream);
    put_boolean(b, event->fin);
    put_value(b, method);
    put_target(b, target);
    put_value(b, host);
    put_value(b, scheme);
    put_block(b, event->fields + first, event->field_count - first);
    put_value(b, protocol);
}

/* ---- the others */

static void put_event(struct batch *b, const neap_h3_event *event, bool is_server)
{
    static const enum text kinds[] = {
        [NEAP_H3_HEADERS] = TEXT_HEADERS,   [NEAP_H3_DATA] = TEXT_DATA,
        [NEAP_H3_TRAILERS] = TEXT_TRAILERS, [NEAP_H3_FINISHED] = TEXT_FINISHED,
        [NEAP_H3_RESET] = TEXT_RESET,       [NEAP_H3_STOPPED] = TEXT_STOPPED,
        [NEAP_H3_WRITABLE] = TEXT_WRITABLE, [NEAP_H3_GOAWAY] = TEXT_GOAWAY,
        [NEAP_H3_SETTINGS] = TEXT_SETTINGS, [NEAP_H3_ESTABLISHED] = TEXT_ESTABLISHED,
        [NEAP_H3_CLOSED] = TEXT_CLOSED,
    };
    int first = b->used;

    if (event->type == NEAP_H3_HEADERS && is_server) {
        put_request(b, event);
    } else {
        put_text(b, kinds[event->type]);
        put_number(b, event->stream);
        if (event->type == NEAP_H3_HEADERS || event->type == NEAP_H3_TRAILERS) {
            neap_lua_push_fields(b->L, event->fields, event->field_count);
            put(b);
            put_boolean(b, event->fin);
            put_boolean(b, event->is_informational);
        } else if (event->type == NEAP_H3_RESET || event->type == NEAP_H3_STOPPED) {
            put_number(b, event->code);
        }
    }
    b->used = first + EVENT_WIDTH;
}

int neap_lua_take_events(lua_State *L, neap_lua_poll_fn poll, void *from, bool is_server)
{
    struct batch b = {.L = L};
    neap_h3_event event;
    uint64_t ended = UINT64_MAX;
    int result = NEAP_OK;

    while (b.used < EVENTS_MAX * EVENT_WIDTH) {
        result = poll(from, &event);
        if (result != NEAP_OK)
            break;
        if (event.type == NEAP_H3_FINISHED && event.stream == ended)
            continue;
        if (is_server && event.type == NEAP_H3_HEADERS && event.fin)
            ended = event.stream;
        put_event(&b, &event, is_server);
    }
    lua_pushinteger(L, b.used);
    lua_pushboolean(L, result == NEAP_OK);
    return 2;
}

static int poll_h3(void *from, neap_h3_event *out)
{
    return neap_h3_poll(from, out);
}

/* h3:events(list) -> how many places of the list are filled, whether there may be more events, and whether the requests
 * among them came by 0-RTT. Each takes 11: its kind, its stream, and what it brings. The end of a request that was told
 * with it is not told again. */
static int h3_events(lua_State *L)
{
    struct conn_core *core = neap_lua_check_h3(L, 1);

    luaL_checktype(L, 2, LUA_TTABLE);
    if (core->h3 == NULL) {
        lua_pushinteger(L, 0);
        return 1;
    }
    bool is_server = neap_conn_is_server(core->conn);
    neap_lua_take_events(L, poll_h3, core->h3, is_server);
    neap_lua_conn_touch(core); /* parsing may have left answers: credit, resets, a close */
    lua_pushboolean(L, is_server && !neap_conn_is_established(core->conn));
    return 3;
}

void neap_lua_add_events(lua_State *L, const char *type, lua_CFunction events)
{
    luaL_getmetatable(L, type);
    lua_getfield(L, -1, "__index");
    lua_createtable(L, TEXT_COUNT - 1, 0);
    for (int i = 1; i < TEXT_COUNT; i++) {
        lua_pushstring(L, texts[i]);
        lua_rawseti(L, -2, i);
    }
    lua_pushcclosure(L, events, 1);
    lua_setfield(L, -2, "events");
    lua_pop(L, 2);
}

void neap_lua_open_events(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"field_list", field_list}, {"field_set", field_set}, {"segments", segments}, {NULL, NULL}};

    neap_lua_set_functions(L, functions);
    neap_lua_add_events(L, TYPE_H3, h3_events);
}
