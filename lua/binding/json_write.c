/* JSON from Lua values (RFC 8259). Tables are taken as they are, without metamethods. Finalizers run in between all the
 * same, in any allocation of Lua, and may change these tables: what is used later is on the stack. */
#include "json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define SMALL_OBJECT 24u /* fields that wait on the stack while their names are sorted */
#define MAX_HOLES 65536u /* nulls that a marked array may have for what is not there */

struct encoder {
    lua_State *L;
    struct json_text text;
};

struct member {
    const char *name; /* on the stack, or in the list of names */
    size_t size;
    int place; /* of the value on the stack, or of the key in the list of keys */
};

static int refuse(lua_State *L, const char *article, int type, const char *why)
{
    return luaL_error(L, "%s%s%s", article, lua_typename(L, type), why);
}

/* ---- strings */

/* The bytes that do not stand for themselves: control characters, with DEL, the quotation mark and the backslash. */
static const bool is_escaped[256] = {
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,         1,          1,          1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, ['"'] = 1, ['\\'] = 1, [0x7f] = 1,
};

/* Whether one of eight bytes may be such: a byte below 0x20 or above 0x7e, `"` or `\\`. */
static bool any_is_escaped(uint64_t bytes)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones * 0x80;
    uint64_t quote = bytes ^ ones * '"', slash = bytes ^ ones * '\\';

    return ((bytes | (bytes - ones * 0x20) | (bytes + ones) | (quote - ones) | (slash - ones)) & tops) != 0;
}

/* Where the run of bytes that stand for themselves ends. */
static size_t plain_run(const char *text, size_t size)
{
    size_t i = 0;

    for (uint64_t bytes; size - i >= sizeof bytes; i += sizeof bytes) {
        memcpy(&bytes, text + i, sizeof bytes);
        if (any_is_escaped(bytes))
            break;
    }
    while (i < size && !is_escaped[(unsigned char)text[i]])
        i++;
    return i;
}

static void write_escape(struct encoder *e, unsigned char c)
{
    static const char letters[] = "\"\\\b\f\n\r\t";
    static const char written[] = "\"\\bfnrt";
    static const char hex[] = "0123456789abcdef";
    const char *letter = c != 0 ? strchr(letters, c) : NULL;

    if (letter != NULL) {
        char two[2] = {'\\', written[letter - letters]};
        neap_lua_json_append(e->L, &e->text, two, sizeof two);
    } else {
        char six[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
        neap_lua_json_append(e->L, &e->text, six, sizeof six);
    }
}

static void write_string(struct encoder *e, const char *text, size_t size)
{
    size_t run = plain_run(text, size);

    if (run == size) { /* nearly always */
        char *out = neap_lua_json_room(e->L, &e->text, size + 2);
        out[0] = '"';
        memcpy(out + 1, text, size);
        out[size + 1] = '"';
        return;
    }
    neap_lua_json_append(e->L, &e->text, "\"", 1);
    for (;;) {
        neap_lua_json_append(e->L, &e->text, text, run);
        if (run == size)
            break;
        write_escape(e, (unsigned char)text[run]);
        text += run + 1;
        size -= run + 1;
        run = plain_run(text, size);
    }
    neap_lua_json_append(e->L, &e->text, "\"", 1);
}

/* ---- numbers */

static void write_integer(struct encoder *e, uint64_t value, bool is_negative)
{
    char digits[24];
    char *at = digits + sizeof digits;

    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    if (is_negative)
        *--at = '-';
    neap_lua_json_append(e->L, &e->text, at, (size_t)(digits + sizeof digits - at));
}

/* A decimal of few digits behind the point, such as 19.99. Both whole numbers of the quotient are exact, and division
 * rounds correctly: what reads back as the same number has at most 15 digits, so no other has as few. */
static bool write_short(struct encoder *e, double value)
{
    double size = fabs(value), power = 1;

    if (size < 1e-4 || size >= 1e9)
        return false;
    for (int digits = 1; digits <= 6; digits++) {
        power *= 10;
        double scaled = size * power, whole = floor(scaled + 0.5);
        if (whole / power != size)
            continue;
        char text[24];
        char *at = text + sizeof text;
        uint64_t rest = (uint64_t)whole;
        for (int i = 0; i < digits; i++, rest /= 10)
            *--at = (char)('0' + rest % 10);
        *--at = '.';
        write_integer(e, rest, value < 0);
        neap_lua_json_append(e->L, &e->text, at, (size_t)(text + sizeof text - at));
        return true;
    }
    return false;
}

/* The shortest text of a number that reads back as the same one. */
static void write_double(struct encoder *e, double value)
{
    char text[40];

    if (!isfinite(value))
        luaL_error(e->L, "NaN and infinity are no JSON");
    if (fabs(value) < 0x1p53 && floor(value) == value) {
        write_integer(e, (uint64_t)fabs(value), signbit(value));
        return;
    }
    if (write_short(e, value))
        return;
    /* Where numbers have their full precision, fewer than 15 digits come out of these as well. */
    int digits = fabs(value) < 0x1p-1022 ? 1 : 15;
    int size;
    do {
        size = snprintf(text, sizeof text, "%.*g", digits, value);
    } while (digits++ < 17 && strtod(text, NULL) != value);
    for (int i = 0; i < size; i++) { /* whatever the locale has for a point */
        if (strchr("0123456789+-e", text[i]) == NULL)
            text[i] = '.';
    }
    neap_lua_json_append(e->L, &e->text, text, (size_t)size);
}

static void write_number(struct encoder *e, int index)
{
#if LUA_VERSION_NUM >= 503
    if (lua_isinteger(e->L, index)) {
        lua_Integer value = lua_tointeger(e->L, index);
        write_integer(e, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, value < 0);
        return;
    }
#endif
    write_double(e, lua_tonumber(e->L, index));
}

/* ---- tables */

static void write_value(struct encoder *e, int depth);

static bool is_marked_array(lua_State *L)
{
    if (!lua_getmetatable(L, -1))
        return false;
    bool is_marked = lua_rawequal(L, -1, lua_upvalueindex(JSON_ARRAY));
    lua_pop(L, 1);
    return is_marked;
}

/* Whether the table on top is written as an array, of `*size` values: has the keys 1 to n and no others, or is marked as
 * one. The length that Lua gives is that of any of the runs in a table with holes. */
static bool is_array(lua_State *L, size_t *size)
{
    bool is_marked = is_marked_array(L);
    lua_Number largest = 0, count = 0;

    lua_pushnil(L);
    while (lua_next(L, -2) != 0) {
        lua_Number key = lua_type(L, -2) == LUA_TNUMBER ? lua_tonumber(L, -2) : 0;
        lua_pop(L, 1);
        if (key >= 1 && floor(key) == key) {
            largest = key > largest ? key : largest;
            count++;
        } else if (!is_marked) {
            lua_pop(L, 1);
            return false;
        }
    }
    if (is_marked && largest - count > MAX_HOLES)
        luaL_error(L, "an array with so many holes is no JSON");
    *size = is_marked || largest == count ? (size_t)largest : 0;
    return is_marked || (count > 0 && largest == count);
}

static void write_array(struct encoder *e, size_t count, int depth)
{
    neap_lua_json_append(e->L, &e->text, "[", 1);
    for (size_t i = 1; i <= count; i++) {
        if (i > 1)
            neap_lua_json_append(e->L, &e->text, ",", 1);
        lua_rawgeti(e->L, -1, (int)i);
        write_value(e, depth);
        lua_pop(e->L, 1);
    }
    neap_lua_json_append(e->L, &e->text, "]", 1);
}

static int compare_members(const void *left, const void *right)
{
    const struct member *a = left, *b = right;
    size_t size = a->size < b->size ? a->size : b->size;
    int order = memcmp(a->name, b->name, size);

    return order != 0 ? order : (a->size > b->size) - (a->size < b->size);
}

/* Few, and nearly always nearly sorted. */
static void sort_few(struct member *members, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct member one = members[i];
        size_t at = i;
        for (; at > 0 && compare_members(&one, &members[at - 1]) < 0; at--)
            members[at] = members[at - 1];
        members[at] = one;
    }
}

static void write_name(struct encoder *e, const struct member *member, bool is_first)
{
    if (!is_first)
        neap_lua_json_append(e->L, &e->text, ",", 1);
    write_string(e, member->name, member->size);
    neap_lua_json_append(e->L, &e->text, ":", 1);
}

/* An object of any size: its keys in a list, their names in another one. */
static void write_large_object(struct encoder *e, int depth)
{
    lua_State *L = e->L;
    int table = lua_gettop(L), count = 0;

    lua_newtable(L); /* keys */
    lua_newtable(L); /* names */
    lua_pushnil(L);
    while (lua_next(L, table) != 0) {
        int type = lua_type(L, -2);
        if (type != LUA_TSTRING && type != LUA_TNUMBER)
            refuse(L, "a ", type, " cannot be a name in JSON");
        lua_pop(L, 1);
        count++;
        lua_pushvalue(L, -1);
        lua_rawseti(L, table + 1, count);
        lua_pushvalue(L, -1);
        lua_tolstring(L, -1, NULL);
        lua_rawseti(L, table + 2, count);
    }
    struct member *members = lua_newuserdata(L, ((size_t)count + 1) * sizeof *members);
    for (int i = 0; i < count; i++) {
        lua_rawgeti(L, table + 2, i + 1);
        members[i].name = lua_tolstring(L, -1, &members[i].size);
        members[i].place = i + 1;
        lua_pop(L, 1);
    }
    qsort(members, (size_t)count, sizeof *members, compare_members);
    for (int i = 0; i < count; i++) {
        write_name(e, &members[i], i == 0);
        lua_rawgeti(L, table + 1, members[i].place);
        lua_rawget(L, table);
        write_value(e, depth);
        lua_pop(L, 1);
    }
    lua_settop(L, table);
}

/* An object of few fields whose names are strings: false, with the stack as it was, for any other. */
static bool write_small_object(struct encoder *e, int depth)
{
    lua_State *L = e->L;
    int table = lua_gettop(L);
    struct member members[SMALL_OBJECT];
    size_t count = 0;

    if (!lua_checkstack(L, 2 * (int)SMALL_OBJECT + 8))
        return false;
    lua_pushnil(L);
    while (lua_next(L, table) != 0) {
        if (count == SMALL_OBJECT || lua_type(L, -2) != LUA_TSTRING) {
            lua_settop(L, table);
            return false;
        }
        members[count].name = lua_tolstring(L, -2, &members[count].size);
        members[count++].place = lua_gettop(L);
        lua_pushvalue(L, -2); /* for lua_next to take; name and value stay */
    }
    sort_few(members, count);
    for (size_t i = 0; i < count; i++) {
        write_name(e, &members[i], i == 0);
        lua_pushvalue(L, members[i].place);
        write_value(e, depth);
        lua_pop(L, 1);
    }
    lua_settop(L, table);
    return true;
}

static void write_table(struct encoder *e, int depth)
{
    if (depth > JSON_MAX_DEPTH)
        luaL_error(e->L, "a table nested too deep, or in itself, is no JSON");
    luaL_checkstack(e->L, 16, "JSON");
    size_t count;
    if (is_array(e->L, &count)) {
        write_array(e, count, depth);
        return;
    }
    neap_lua_json_append(e->L, &e->text, "{", 1);
    if (!write_small_object(e, depth))
        write_large_object(e, depth);
    neap_lua_json_append(e->L, &e->text, "}", 1);
}

/* The value on top of the stack, which stays there. */
static void write_value(struct encoder *e, int depth)
{
    lua_State *L = e->L;
    int type = lua_type(L, -1);

    switch (type) {
    case LUA_TNIL: neap_lua_json_append(L, &e->text, "null", 4); return;
    case LUA_TBOOLEAN:
        if (lua_toboolean(L, -1))
            neap_lua_json_append(L, &e->text, "true", 4);
        else
            neap_lua_json_append(L, &e->text, "false", 5);
        return;
    case LUA_TNUMBER: write_number(e, -1); return;
    case LUA_TSTRING: {
        size_t size;
        const char *text = lua_tolstring(L, -1, &size);
        write_string(e, text, size);
        return;
    }
    case LUA_TTABLE:
        if (lua_rawequal(L, -1, lua_upvalueindex(JSON_NULL)))
            neap_lua_json_append(L, &e->text, "null", 4);
        else
            write_table(e, depth + 1);
        return;
    default: refuse(L, "a ", type, " is no JSON");
    }
}

int neap_lua_json_encode(lua_State *L)
{
    struct encoder e = {.L = L};

    lua_settop(L, 1);
    neap_lua_json_begin(L, &e.text);
    lua_pushvalue(L, 1);
    write_value(&e, 0);
    lua_pushlstring(L, e.text.at, e.text.size);
    neap_lua_json_end(L, &e.text);
    return 1;
}
