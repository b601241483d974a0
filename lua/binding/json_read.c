/* Lua values from JSON (RFC 8259), and nothing that is none: no comments, no NaN, no zeros in front. */
#include "json.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <string.h>

struct decoder {
    lua_State *L;
    const char *text; /* a Lua string: a NUL follows it */
    size_t size, at;
    const char *why; /* what is wrong at `at` */
    struct json_text room;
};

static bool fail(struct decoder *d, size_t at, const char *why)
{
    d->at = at;
    d->why = why;
    return false;
}

static void skip(struct decoder *d)
{
    while (d->at < d->size) {
        char c = d->text[d->at];
        if (c != ' ' && c != '\t' && c != '\r' && c != '\n')
            break;
        d->at++;
    }
}

/* ---- strings */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four hexadecimal digits, or -1; behind the text is a NUL, which is none. */
static int32_t hex4(const char *text)
{
    int32_t value = 0;

    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(text[i]);
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

static void append_utf8(struct decoder *d, uint32_t code)
{
    char out[4];
    size_t size = 0;

    if (code < 0x80) {
        out[size++] = (char)code;
    } else if (code < 0x800) {
        out[size++] = (char)(0xc0 | code >> 6);
        out[size++] = (char)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        out[size++] = (char)(0xe0 | code >> 12);
        out[size++] = (char)(0x80 | (code >> 6 & 0x3f));
        out[size++] = (char)(0x80 | (code & 0x3f));
    } else {
        out[size++] = (char)(0xf0 | code >> 18);
        out[size++] = (char)(0x80 | (code >> 12 & 0x3f));
        out[size++] = (char)(0x80 | (code >> 6 & 0x3f));
        out[size++] = (char)(0x80 | (code & 0x3f));
    }
    neap_lua_json_append(d->L, &d->room, out, size);
}

/* What follows \u; a character beyond 16 bits is a pair of them. */
static bool read_unicode(struct decoder *d)
{
    size_t start = d->at;
    int32_t code = hex4(d->text + start);

    if (code < 0)
        return fail(d, start, "bad \\u escape");
    d->at += 4;
    if (code >= 0xdc00 && code < 0xe000)
        return fail(d, start, "half of a surrogate pair");
    if (code >= 0xd800 && code < 0xdc00) {
        bool is_escape = d->text[d->at] == '\\' && d->text[d->at + 1] == 'u';
        int32_t low = is_escape ? hex4(d->text + d->at + 2) : -1;
        if (low < 0xdc00 || low >= 0xe000)
            return fail(d, start, "half of a surrogate pair");
        code = 0x10000 + (code - 0xd800) * 1024 + (low - 0xdc00);
        d->at += 6;
    }
    append_utf8(d, (uint32_t)code);
    return true;
}

static bool read_escape(struct decoder *d)
{
    static const char letters[] = "\"\\/bfnrt";
    static const char meant[] = "\"\\/\b\f\n\r\t";
    char c = d->text[d->at + 1];

    if (c == 'u') {
        d->at += 2;
        return read_unicode(d);
    }
    const char *letter = c != '\0' ? strchr(letters, c) : NULL;
    if (letter == NULL)
        return fail(d, d->at, "bad escape");
    neap_lua_json_append(d->L, &d->room, &meant[letter - letters], 1);
    d->at += 2;
    return true;
}

static size_t plain_run(const struct decoder *d)
{
    size_t at = d->at;

    while (at < d->size) {
        unsigned char c = (unsigned char)d->text[at];
        if (c < 0x20 || c == '"' || c == '\\')
            break;
        at++;
    }
    return at - d->at;
}

/* From its first quotation mark; pushes it. */
static bool read_string(struct decoder *d)
{
    d->at++;
    d->room.size = 0;
    for (;;) {
        const char *start = d->text + d->at;
        size_t run = plain_run(d);
        d->at += run;
        if (d->at == d->size)
            return fail(d, d->size - 1, "string without an end");
        char c = d->text[d->at];
        if (c == '"' && d->room.size == 0) {
            lua_pushlstring(d->L, start, run);
            break;
        }
        neap_lua_json_append(d->L, &d->room, start, run);
        if (c == '"') {
            lua_pushlstring(d->L, d->room.at, d->room.size);
            break;
        }
        if (c != '\\')
            return fail(d, d->at, "control character in a string");
        if (!read_escape(d))
            return false;
    }
    d->at++;
    return true;
}

/* ---- numbers */

static size_t digits_at(const char *text)
{
    size_t count = 0;

    while (text[count] >= '0' && text[count] <= '9')
        count++;
    return count;
}

/* Any decimal, by the C library: its point is the locale's. */
static double parse_slowly(struct decoder *d, const char *start, size_t size)
{
    d->room.size = 0;
    neap_lua_json_append(d->L, &d->room, start, size);
    neap_lua_json_append(d->L, &d->room, "", 1);
    char *point = memchr(d->room.at, '.', size);
    if (point != NULL)
        *point = localeconv()->decimal_point[0];
    return strtod(d->room.at, NULL);
}

static bool push_number(struct decoder *d, const char *start, size_t whole, size_t fraction,
                        bool has_exponent)
{
    static const double powers[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    bool is_negative = start[0] == '-';
    const char *end = d->text + d->at;
    uint64_t digits = 0;

    /* Of up to 15 digits both numbers of the quotient are exact, and division rounds correctly. */
    if (has_exponent || whole + fraction > 15) {
#if LUA_VERSION_NUM >= 503
        if (!has_exponent && fraction == 0) {
            errno = 0;
            long long integer = strtoll(start, NULL, 10);
            if (errno == 0) {
                lua_pushinteger(d->L, integer);
                return true;
            }
        }
#endif
        double value = parse_slowly(d, start, (size_t)(end - start));
        if (isinf(value))
            return fail(d, (size_t)(start - d->text), "number out of range");
        lua_pushnumber(d->L, value);
        return true;
    }
    for (const char *at = start + is_negative; at < end; at++) {
        if (*at != '.')
            digits = digits * 10 + (uint64_t)(*at - '0');
    }
#if LUA_VERSION_NUM >= 503
    if (fraction == 0) {
        lua_pushinteger(d->L, is_negative ? -(lua_Integer)digits : (lua_Integer)digits);
        return true;
    }
#endif
    double value = (double)digits / powers[fraction];
    lua_pushnumber(d->L, is_negative ? -value : value);
    return true;
}

static bool read_number(struct decoder *d)
{
    const char *start = d->text + d->at, *at = start + (*start == '-');
    size_t whole = *at == '0' ? 1 : digits_at(at), fraction = 0;
    bool has_exponent = false;

    if (whole == 0)
        return fail(d, d->at, "unexpected character");
    at += whole;
    if (*at == '.' && digits_at(at + 1) > 0) {
        fraction = digits_at(at + 1);
        at += 1 + fraction;
    }
    if (*at == 'e' || *at == 'E') {
        const char *exponent = at + 1 + (at[1] == '+' || at[1] == '-');
        size_t count = digits_at(exponent);
        has_exponent = count > 0;
        if (has_exponent)
            at = exponent + count;
    }
    d->at = (size_t)(at - d->text);
    return push_number(d, start, whole, fraction, has_exponent);
}

/* ---- arrays, objects, words */

static bool read_value(struct decoder *d, int depth);

/* Skips to what must be there and takes it: 1 for `more`, 0 for `end`, -1 for neither. */
static int read_separator(struct decoder *d, char more, char end)
{
    skip(d);
    char c = d->text[d->at];
    if (c != more && c != end)
        return -1;
    d->at++;
    return c == more;
}

static bool read_array(struct decoder *d, int depth)
{
    int count = 0, next;

    lua_newtable(d->L);
    lua_pushvalue(d->L, lua_upvalueindex(JSON_ARRAY));
    lua_setmetatable(d->L, -2);
    d->at++;
    skip(d);
    if (d->text[d->at] == ']') {
        d->at++;
        return true;
    }
    do {
        skip(d);
        if (!read_value(d, depth))
            return false;
        lua_rawseti(d->L, -2, ++count);
        next = read_separator(d, ',', ']');
    } while (next > 0);
    return next == 0 || fail(d, d->at, "expected , or ]");
}

static bool read_object(struct decoder *d, int depth)
{
    int next;

    lua_newtable(d->L);
    d->at++;
    skip(d);
    if (d->text[d->at] == '}') {
        d->at++;
        return true;
    }
    do {
        skip(d);
        if (d->text[d->at] != '"')
            return fail(d, d->at, "expected a name");
        if (!read_string(d))
            return false;
        skip(d);
        if (d->text[d->at] != ':')
            return fail(d, d->at, "expected :");
        d->at++;
        skip(d);
        if (!read_value(d, depth))
            return false;
        lua_rawset(d->L, -3);
        next = read_separator(d, ',', '}');
    } while (next > 0);
    return next == 0 || fail(d, d->at, "expected , or }");
}

static bool is_word(const struct decoder *d, const char *word, size_t size)
{
    return d->size - d->at >= size && memcmp(d->text + d->at, word, size) == 0;
}

/* Pushes the value that begins here. */
static bool read_value(struct decoder *d, int depth)
{
    if (depth > JSON_MAX_DEPTH)
        return fail(d, d->at, "nested too deep");
    luaL_checkstack(d->L, 8, "JSON");
    switch (d->text[d->at]) {
    case '{': return read_object(d, depth + 1);
    case '[': return read_array(d, depth + 1);
    case '"': return read_string(d);
    case 't':
        if (!is_word(d, "true", 4))
            break;
        d->at += 4;
        lua_pushboolean(d->L, 1);
        return true;
    case 'f':
        if (!is_word(d, "false", 5))
            break;
        d->at += 5;
        lua_pushboolean(d->L, 0);
        return true;
    case 'n':
        if (!is_word(d, "null", 4))
            break;
        d->at += 4;
        lua_pushvalue(d->L, lua_upvalueindex(JSON_NULL));
        return true;
    default: break;
    }
    return read_number(d);
}

int neap_lua_json_decode(lua_State *L)
{
    struct decoder d = {.L = L};

    d.text = luaL_checklstring(L, 1, &d.size);
    lua_settop(L, 1);
    neap_lua_json_begin(L, &d.room);
    skip(&d);
    bool is_read = read_value(&d, 0);
    if (is_read)
        skip(&d);
    neap_lua_json_end(L, &d.room);
    if (is_read && d.at == d.size)
        return 1;
    lua_pushnil(L);
    if (is_read) {
        lua_pushfstring(L, "more text behind the value at byte %d", (int)(d.at + 1));
    } else {
        int line = 1;
        for (size_t i = 0; i <= d.at && i < d.size; i++)
            line += d.text[i] == '\n';
        lua_pushfstring(L, "%s at byte %d (line %d)", d.why, (int)(d.at + 1), line);
    }
    lua_pushliteral(L, "json");
    return 3;
}
