/* Whole responses, one in a call or many. */
#include "binding.h"

#define ANSWER_WIDTH 6 /* places of an answer in the list of core.answer */

/* The decimal digits of a number as a field's value. */
static neap_field number_field(const char *name, size_t name_size, uint64_t number, char text[24])
{
    char *at = text + 24;

    do {
        *--at = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return (neap_field){
        .name = name, .name_size = name_size, .value = at, .value_size = (size_t)(text + 24 - at)};
}

#define NUMBER_FIELD(name, number, text) number_field(name, sizeof(name) - 1, number, text)

/* What answers in a row have alike: it is looked at once for all of them. */
struct row {
    const void *box;   /* the userdata of h3 */
    const void *table; /* of the fields, NULL: none are here */
    struct conn_core *core;
    struct link *link;          /* in its place, of HTTP/1.1 and HTTP/2 */
    struct config_core *config; /* of either */
    size_t count;               /* of the fields, the two before them included */
    neap_field fields[FIELDS_MAX];
};

/* The transport at the top, which is taken away. */
static void take_transport(lua_State *L, struct row *row)
{
    const void *box = lua_touserdata(L, -1);

    if (box == NULL || box != row->box) {
        bool is_link = neap_lua_to_link(L, lua_gettop(L), &row->link, &row->config);
        row->core = is_link ? NULL : neap_lua_check_h3(L, lua_gettop(L));
        if (!is_link)
            row->config = neap_lua_conn_config(row->core);
        row->box = box;
    }
    lua_pop(L, 1);
}

/* The answer whose fields the row has: how much of its body was taken, or an error. */
static int64_t give(struct row *row, uint64_t stream, const char *body, size_t size)
{
    size_t count = neap_lua_add_date(row->config, row->fields, row->count);

    if (row->core == NULL)
        return row->link != NULL ? neap_link_respond(row->link, stream, row->fields, count, body, size)
                                 : NEAP_ERR_CLOSED;
    if (row->core->h3 == NULL)
        return NEAP_ERR_CLOSED;
    int64_t taken = neap_h3_respond(row->core->h3, stream, row->fields, count, body, size);
    neap_lua_conn_touch(row->core);
    return taken;
}

/* The fields at the top, which are taken away with what reading them left on the stack: the list holds them. */
static void take_fields(lua_State *L, struct row *row)
{
    int top = lua_gettop(L);
    const void *table = lua_topointer(L, top);

    if (!lua_toboolean(L, top)) {
        row->table = NULL;
        row->count = 2;
    } else if (table == NULL || table != row->table) {
        row->count = neap_lua_check_fields(L, top, row->fields, 2);
        /* The texts of numbers are on the stack, and go. */
        row->table = lua_gettop(L) == top ? table : NULL;
        if (row->table == NULL)
            return;
    }
    lua_settop(L, top - 1);
}

/* transport:respond(stream, status[, fields[, body[, length]]]) -> count of body bytes taken */
int neap_lua_respond(lua_State *L)
{
    struct row row; /* its fields are many, and stay unset */
    uint64_t stream = neap_lua_check_u64(L, 2);
    uint64_t status = neap_lua_check_u64(L, 3);
    char status_text[24], length_text[24];
    size_t size = 0;
    const char *body = luaL_optlstring(L, 5, "", &size);

    luaL_argcheck(L, status >= 200 && status <= 999, 3, "a final status, 200 to 999");
    row.box = NULL;
    row.count = 0;
    row.fields[row.count++] = NUMBER_FIELD(":status", status, status_text);
    if (!lua_isnoneornil(L, 6))
        row.fields[row.count++] = NUMBER_FIELD("content-length", neap_lua_check_u64(L, 6), length_text);
    if (!lua_isnoneornil(L, 4))
        row.count = neap_lua_check_fields(L, 4, row.fields, row.count);
    lua_pushvalue(L, 1);
    take_transport(L, &row);
    return neap_lua_count(L, give(&row, stream, body, size));
}

/* core.answer(list, first, last) -> the first place behind the answers that were taken whole, past `last` when all were;
 * else how much of the next one's body was taken, or nil, message, code. An answer is a transport, stream, status, fields or false,
 * body, and a place of the caller's; its content-length is the body's size. */
static int answer(lua_State *L)
{
    struct row row; /* its fields are many, and stay unset */
    char status_text[24], length_text[24];

    row.box = row.table = NULL;
    row.count = 2;
    luaL_checktype(L, 1, LUA_TTABLE);
    int at = (int)luaL_checkinteger(L, 2), last = (int)luaL_checkinteger(L, 3);
    for (; at <= last; at += ANSWER_WIDTH) {
        lua_settop(L, 3);
        lua_rawgeti(L, 1, at);
        take_transport(L, &row);
        lua_rawgeti(L, 1, at + 3);
        take_fields(L, &row);
        lua_rawgeti(L, 1, at + 1);
        uint64_t stream = neap_lua_check_u64(L, -1);
        lua_rawgeti(L, 1, at + 2);
        uint64_t status = neap_lua_check_u64(L, -1);
        size_t size;
        lua_rawgeti(L, 1, at + 4);
        const char *body = luaL_checklstring(L, -1, &size);
        row.fields[0] = NUMBER_FIELD(":status", status, status_text);
        row.fields[1] = NUMBER_FIELD("content-length", size, length_text);
        int64_t taken = give(&row, stream, body, size);
        if (taken != (int64_t)size) {
            lua_pushinteger(L, at);
            return 1 + neap_lua_count(L, taken);
        }
    }
    lua_pushinteger(L, at);
    return 1;
}

void neap_lua_open_answers(lua_State *L)
{
    lua_pushcfunction(L, answer);
    lua_setfield(L, -2, "answer");
}
