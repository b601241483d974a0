/* Messages of DNS (RFC 1035 §4) as tables. What is in them comes from anywhere: a record that is not what its type says makes
 * the whole message malformed. Names are expanded by c-ares, which bounds their jumps and escapes what is odd in them. */
#include "dns.h"

#ifdef NEAP_HAVE_CARES
#define CARES_NO_DEPRECATED
#include <ares.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define NAME_SIZE 1100    /* 255 bytes of the wire, each as \DDD, and dots */
#define RECORDS_MOST 1000 /* of one answer: what one record costs is bounded, and so is the whole */
#define VALUES_MOST 64    /* of one record: strings, protocols, keys, addresses */
#define CLASS_IN 1

enum { TYPE_A = 1, TYPE_NS = 2, TYPE_CNAME = 5, TYPE_SOA = 6, TYPE_PTR = 12, TYPE_MX = 15, TYPE_TXT = 16 };
enum { TYPE_AAAA = 28, TYPE_SRV = 33, TYPE_SVCB = 64, TYPE_HTTPS = 65 };

static const struct {
    const char *name;
    uint16_t type;
} types[] = {{"A", TYPE_A},     {"AAAA", TYPE_AAAA}, {"HTTPS", TYPE_HTTPS}, {"SVCB", TYPE_SVCB},
             {"TXT", TYPE_TXT}, {"MX", TYPE_MX},     {"SRV", TYPE_SRV},     {"CNAME", TYPE_CNAME},
             {"PTR", TYPE_PTR}, {"NS", TYPE_NS},     {"SOA", TYPE_SOA}};

/* What is left of a message, or of one record: `bad` stays set once something was not there. */
struct rest {
    const uint8_t *message, *at, *end, *message_end;
    bool bad;
};

static bool has(struct rest *r, size_t size)
{
    if (r->bad || size > (size_t)(r->end - r->at))
        r->bad = true;
    return !r->bad;
}

static uint32_t read_number(struct rest *r, size_t size)
{
    uint32_t value = 0;

    if (!has(r, size))
        return 0;
    for (size_t i = 0; i < size; i++)
        value = value << 8 | *r->at++;
    return value;
}

/* The next `size` bytes as a reader of their own. */
static struct rest read_part(struct rest *r, size_t size)
{
    struct rest part = *r;

    part.end = has(r, size) ? r->at + size : r->at;
    part.bad = r->bad;
    r->at = part.end;
    return part;
}

/* Whether what begins here is labels alone: a name in the data of an SVCB record points nowhere (RFC 9460 §2.2). */
static bool is_plain_name(const struct rest *r)
{
    const uint8_t *at = r->at;

    while (at < r->end && *at != 0) {
        if (*at > 63)
            return false;
        at += *at + 1;
    }
    return at < r->end;
}

/* A name, of which what stands here has to lie in what is left; "." is the root's. */
static void read_name(struct rest *r, char out[NAME_SIZE])
{
    char *name = NULL;
    long used = 0;

    out[0] = '\0';
    if (!has(r, 1))
        return;
    int status = ares_expand_name(r->at, r->message, (int)(r->message_end - r->message), &name, &used);
    if (status != ARES_SUCCESS) {
        r->bad = true;
        return;
    }
    if (used <= 0 || used > r->end - r->at || strlen(name) >= NAME_SIZE)
        r->bad = true;
    else
        snprintf(out, NAME_SIZE, "%s", name[0] == '\0' ? "." : name);
    ares_free_string(name);
    r->at += r->bad ? 0 : used;
}

static void set_name(lua_State *L, struct rest *r, const char *field)
{
    char name[NAME_SIZE];

    read_name(r, name);
    lua_pushstring(L, name);
    lua_setfield(L, -2, field);
}

static void set_number(lua_State *L, struct rest *r, const char *field, size_t size)
{
    lua_pushinteger(L, (lua_Integer)read_number(r, size));
    lua_setfield(L, -2, field);
}

static void push_ip(lua_State *L, struct rest *r, int family)
{
    char text[INET6_ADDRSTRLEN] = "";
    struct rest ip = read_part(r, family == AF_INET ? 4 : 16);

    if (!ip.bad)
        inet_ntop(family, ip.at, text, sizeof text);
    lua_pushstring(L, text);
}

/* Calls push(L, r) until nothing is left, for a list: at least one, and VALUES_MOST at most. */
static void set_list(lua_State *L, struct rest *r, const char *field,
                     void (*push)(lua_State *L, struct rest *r))
{
    int count = 0;

    lua_newtable(L);
    do {
        push(L, r);
        lua_rawseti(L, -2, ++count);
    } while (!r->bad && r->at < r->end && count < VALUES_MOST);
    if (r->at < r->end)
        r->bad = true;
    lua_setfield(L, -2, field);
}

static void push_string(lua_State *L, struct rest *r)
{
    struct rest s = read_part(r, read_number(r, 1));

    lua_pushlstring(L, (const char *)s.at, (size_t)(s.end - s.at));
}

static void push_alpn(lua_State *L, struct rest *r)
{
    if (has(r, 1) && *r->at == 0)
        r->bad = true;
    push_string(L, r);
}

static void push_ipv4(lua_State *L, struct rest *r)
{
    push_ip(L, r, AF_INET);
}

static void push_ipv6(lua_State *L, struct rest *r)
{
    push_ip(L, r, AF_INET6);
}

/* ---- SVCB and HTTPS (RFC 9460) */

enum {
    KEY_MANDATORY,
    KEY_ALPN,
    KEY_NO_DEFAULT_ALPN,
    KEY_PORT,
    KEY_IPV4HINT,
    KEY_ECH,
    KEY_IPV6HINT,
    KEYS_KNOWN
};

static const char *const key_names[KEYS_KNOWN] = {"mandatory", "alpn", "no-default-alpn", "port",
                                                  "ipv4hint",  "ech",  "ipv6hint"};

static void push_key_name(lua_State *L, unsigned key)
{
    if (key < KEYS_KNOWN)
        lua_pushstring(L, key_names[key]);
    else
        lua_pushfstring(L, "key%d", (int)key);
}

static void push_key(lua_State *L, struct rest *r)
{
    push_key_name(L, read_number(r, 2));
}

static void set_param(lua_State *L, unsigned key, struct rest *value)
{
    switch (key) {
    case KEY_MANDATORY: set_list(L, value, "mandatory", push_key); return;
    case KEY_ALPN: set_list(L, value, "alpn", push_alpn); return;
    case KEY_NO_DEFAULT_ALPN:
        lua_pushboolean(L, true);
        lua_setfield(L, -2, "no_default_alpn");
        break;
    case KEY_PORT: set_number(L, value, "port", 2); break;
    case KEY_IPV4HINT: set_list(L, value, "ipv4hint", push_ipv4); return;
    case KEY_IPV6HINT: set_list(L, value, "ipv6hint", push_ipv6); return;
    default:
        if (key == KEY_ECH)
            lua_pushliteral(L, "ech");
        else
            push_key_name(L, key);
        lua_pushlstring(L, (const char *)value->at, (size_t)(value->end - value->at));
        lua_rawset(L, -3);
        return;
    }
    if (value->at != value->end)
        value->bad = true;
}

/* Those that a client must know (§8): in order, each of them there, and not "mandatory" itself. */
static bool is_mandatory_list_right(struct rest list, const uint16_t *keys, size_t count)
{
    size_t i = 0;
    unsigned before = KEY_MANDATORY;

    while (list.at < list.end) {
        unsigned key = read_number(&list, 2);
        if (list.bad || key <= before)
            return false;
        while (i < count && keys[i] < key)
            i++;
        if (i == count || keys[i] != key)
            return false;
        before = key;
    }
    return true;
}

static void read_svcb(lua_State *L, struct rest *r)
{
    uint16_t keys[VALUES_MOST];
    size_t count = 0;
    struct rest mandatory = {0};
    bool is_alias = has(r, 2) && r->at[0] == 0 && r->at[1] == 0;

    set_number(L, r, "priority", 2);
    if (!r->bad && !is_plain_name(r))
        r->bad = true;
    set_name(L, r, "target");
    if (is_alias) { /* what follows says nothing (§2.4.2) */
        r->at = r->end;
        return;
    }
    while (!r->bad && r->at < r->end) {
        unsigned key = read_number(r, 2);
        struct rest value = read_part(r, read_number(r, 2));
        if (r->bad || count == VALUES_MOST || (count > 0 && key <= keys[count - 1])) {
            r->bad = true;
            return;
        }
        keys[count++] = (uint16_t)key;
        if (key == KEY_MANDATORY)
            mandatory = value;
        set_param(L, key, &value);
        r->bad = value.bad;
    }
    bool has_alpn = false, has_no_default = false;
    for (size_t i = 0; i < count; i++) {
        has_alpn = has_alpn || keys[i] == KEY_ALPN;
        has_no_default = has_no_default || keys[i] == KEY_NO_DEFAULT_ALPN;
    }
    /* §7.1.1: to leave out the preset protocol without another one leaves none. */
    if ((has_no_default && !has_alpn) || !is_mandatory_list_right(mandatory, keys, count))
        r->bad = true;
}

/* ---- records */

static void read_txt(lua_State *L, struct rest *r)
{
    luaL_Buffer text;
    struct rest again = *r;
    int count = 0;

    /* As many strings as there may be, since texts such as keys are cut into pieces of 255 bytes. */
    lua_newtable(L);
    do {
        push_string(L, r);
        lua_rawseti(L, -2, ++count);
    } while (!r->bad && r->at < r->end);
    lua_setfield(L, -2, "strings");
    luaL_buffinit(L, &text);
    while (!again.bad && again.at < again.end) {
        struct rest s = read_part(&again, read_number(&again, 1));
        luaL_addlstring(&text, (const char *)s.at, (size_t)(s.end - s.at));
    }
    luaL_pushresult(&text);
    lua_setfield(L, -2, "text");
}

/* The data of a record, into the table on top. */
static void read_data(lua_State *L, unsigned type, struct rest *r)
{
    switch (type) {
    case TYPE_A:
    case TYPE_AAAA:
        push_ip(L, r, type == TYPE_A ? AF_INET : AF_INET6);
        lua_setfield(L, -2, "address");
        break;
    case TYPE_CNAME:
    case TYPE_NS:
    case TYPE_PTR: set_name(L, r, "target"); break;
    case TYPE_MX:
        set_number(L, r, "preference", 2);
        set_name(L, r, "exchange");
        break;
    case TYPE_TXT: read_txt(L, r); break;
    case TYPE_SRV:
        set_number(L, r, "priority", 2);
        set_number(L, r, "weight", 2);
        set_number(L, r, "port", 2);
        set_name(L, r, "target");
        break;
    case TYPE_SVCB:
    case TYPE_HTTPS: read_svcb(L, r); break;
    case TYPE_SOA:
        set_name(L, r, "primary");
        set_name(L, r, "mailbox");
        for (int i = 0; i < 4; i++) /* serial, refresh, retry, expire: of secondary servers */
            read_number(r, 4);
        set_number(L, r, "minimum", 4);
        break;
    default: return;
    }
    if (r->at != r->end)
        r->bad = true;
}

static void push_type(lua_State *L, unsigned type)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (types[i].type == type) {
            lua_pushstring(L, types[i].name);
            return;
        }
    }
    lua_pushfstring(L, "TYPE%d", (int)type);
}

/* A list of the next `count` records of class IN, as a field of the table on top. */
static void read_records(lua_State *L, struct rest *m, const char *field, unsigned count)
{
    char name[NAME_SIZE];
    int taken = 0;

    if (count > RECORDS_MOST)
        m->bad = true;
    lua_newtable(L);
    for (unsigned i = 0; i < count && !m->bad; i++) {
        read_name(m, name);
        unsigned type = read_number(m, 2), class = read_number(m, 2);
        uint32_t ttl = read_number(m, 4);
        struct rest data = read_part(m, read_number(m, 2));
        if (m->bad || class != CLASS_IN)
            continue;
        lua_createtable(L, 0, 5);
        lua_pushstring(L, name);
        lua_setfield(L, -2, "name");
        push_type(L, type);
        lua_setfield(L, -2, "type");
        /* A time with its highest bit set is none (RFC 2181 §8). */
        lua_pushinteger(L, ttl > INT32_MAX ? 0 : (lua_Integer)ttl);
        lua_setfield(L, -2, "ttl");
        read_data(L, type, &data);
        m->bad = data.bad;
        lua_rawseti(L, -2, ++taken);
    }
    lua_setfield(L, -2, field);
}

/* core.dns_message(bytes) -> { rcode =, answers = { record, … }, authority = { … } } | nil, message, "invalid" */
static int core_dns_message(lua_State *L)
{
    size_t size;
    const uint8_t *bytes = (const uint8_t *)luaL_checklstring(L, 1, &size);
    struct rest m = {.message = bytes, .at = bytes, .end = bytes + size, .message_end = bytes + size};
    char name[NAME_SIZE];

    m.bad = size > UINT16_MAX;
    read_number(&m, 2);
    unsigned flags = read_number(&m, 2), questions = read_number(&m, 2), answers = read_number(&m, 2);
    unsigned authority = read_number(&m, 2);
    read_number(&m, 2);
    if (questions > 1)
        m.bad = true;
    if (questions == 1) {
        read_name(&m, name);
        read_number(&m, 4);
    }
    lua_createtable(L, 0, 3);
    lua_pushinteger(L, flags & 15);
    lua_setfield(L, -2, "rcode");
    read_records(L, &m, "answers", answers);
    read_records(L, &m, "authority", m.bad ? 0 : authority);
    if (m.bad)
        return neap_lua_error_text(L, NEAP_ERR_INVALID_PACKET, "a malformed message of DNS");
    return 1;
}

unsigned neap_lua_check_dns_type(lua_State *L, int index)
{
    const char *name = luaL_checkstring(L, index);

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(types[i].name, name) == 0)
            return types[i].type;
    }
    luaL_argerror(L, index, "not a type of records that neap knows");
    return 0;
}

void neap_lua_open_dns_message(lua_State *L)
{
    lua_pushcfunction(L, core_dns_message);
    lua_setfield(L, -2, "dns_message");
}
#endif
