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

/* h3:respond(stream, status[, fields[, body[, length]]]) -> count of body bytes taken */
static int respond(lua_State *L)
{
    struct conn_core *core = neap_lua_check_h3(L, 1);
    uint64_t stream = neap_lua_check_u64(L, 2);
    uint64_t status = neap_lua_check_u64(L, 3);
    neap_field fields[FIELDS_MAX];
    char status_text[24], length_text[24];
    size_t count = 0, size = 0;
    const char *body = luaL_optlstring(L, 5, "", &size);

    luaL_argcheck(L, status >= 200 && status <= 999, 3, "a final status, 200 to 999");
    fields[count++] = NUMBER_FIELD(":status", status, status_text);
    if (!lua_isnoneornil(L, 6))
        fields[count++] = NUMBER_FIELD("content-length", neap_lua_check_u64(L, 6), length_text);
    if (!lua_isnoneornil(L, 4))
        count = neap_lua_check_fields(L, 4, fields, count);
    if (core->h3 == NULL)
        return neap_lua_error(L, NEAP_ERR_CLOSED);
    int64_t taken = neap_h3_respond(core->h3, stream, fields, count, body, size);
    neap_lua_conn_touch(core);
    return neap_lua_count(L, taken);
}

/* What answers in a row have alike: it is looked at once for all of them. */
struct row {
    const void *box;   /* the userdata of h3 */
    const void *table; /* of the fields, NULL: none are here */
    struct conn_core *core;
    size_t count; /* of the fields, the two before them included */
    neap_field fields[FIELDS_MAX];
};

/* The connection of the h3 at the top, which is taken away. */
static void take_h3(lua_State *L, struct row *row)
{
    const void *box = lua_touserdata(L, -1);

    if (box == NULL || box != row->box) {
        row->core = neap_lua_check_h3(L, lua_gettop(L));
        row->box = box;
    }
    lua_pop(L, 1);
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

/* core.answer(list, first, last) -> the first place behind the answers that were taken whole, past `last` when all were;
 * else how much of the next one's body was taken, or nil, message, code. An answer is h3, stream, status, fields or false,
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
        take_h3(L, &row);
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
        int64_t taken = NEAP_ERR_CLOSED;
        if (row.core->h3 != NULL) {
            taken = neap_h3_respond(row.core->h3, stream, row.fields, row.count, body, size);
            neap_lua_conn_touch(row.core);
        }
        if (taken != (int64_t)size) {
            lua_pushinteger(L, at);
            return 1 + neap_lua_count(L, taken);
        }
    }
    lua_pushinteger(L, at);
    return 1;
}

const luaL_Reg neap_lua_answer_methods[] = {
    {"respond", respond},
    {NULL, NULL},
};

void neap_lua_open_answers(lua_State *L)
{
    lua_pushcfunction(L, answer);
    lua_setfield(L, -2, "answer");
}
