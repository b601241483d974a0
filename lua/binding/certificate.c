/* What certificates say, as tables. */
#include "binding.h"

#include <arpa/inet.h>
#include <string.h>

#define TEXT_MOST 65536u /* bytes of a name as text; no certificate of a peer is as large */
#define TYPE_MOST 128u   /* of the type of a part */

static void set_hex(lua_State *L, const char *name, const uint8_t *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    luaL_Buffer buffer;

    luaL_buffinit(L, &buffer);
    for (size_t i = 0; i < size; i++) {
        luaL_addchar(&buffer, digits[bytes[i] >> 4]);
        luaL_addchar(&buffer, digits[bytes[i] & 15]);
    }
    luaL_pushresult(&buffer);
    lua_setfield(L, -2, name);
}

/* The parts of a name as a list of { type =, value = }, without a value where that is no text. False, and nothing, for a
 * name that cannot be read to its end. `room` is scratch. */
static bool push_parts(lua_State *L, neap_view name, char *room)
{
    char type[TYPE_MOST];
    int64_t size;

    lua_newtable(L);
    for (size_t i = 0;
         (size = neap_name_part(name, i, type, sizeof type, room, TEXT_MOST)) != NEAP_ERR_ARGUMENT; i++) {
        if (size < 0 && size != NEAP_ERR_UNSUPPORTED) {
            lua_pop(L, 1);
            return false;
        }
        lua_createtable(L, 0, 2);
        lua_pushstring(L, type);
        lua_setfield(L, -2, "type");
        if (size >= 0) {
            lua_pushlstring(L, room, (size_t)size);
            lua_setfield(L, -2, "value");
        }
        lua_rawseti(L, -2, (int)i + 1);
    }
    return true;
}

/* The name as text and as its parts: both of them, or none. */
static void set_name(lua_State *L, neap_view name, const char *text_field, const char *parts_field,
                     char *room)
{
    if (!push_parts(L, name, room))
        return;
    int64_t size = neap_name_text(name, room, TEXT_MOST);

    if (size < 0) {
        lua_pop(L, 1);
        return;
    }
    lua_setfield(L, -2, parts_field);
    lua_pushlstring(L, room, (size_t)size);
    lua_setfield(L, -2, text_field);
}

static void append(lua_State *L, const char *list)
{
    lua_getfield(L, -2, list);
    lua_insert(L, -2);
    lua_rawseti(L, -2, (int)lua_rawlen(L, -2) + 1);
    lua_pop(L, 1);
}

static void push_ip(lua_State *L, neap_view address)
{
    char text[INET6_ADDRSTRLEN] = "";

    if (address.size == 4 || address.size == 16)
        inet_ntop(address.size == 4 ? AF_INET : AF_INET6, address.bytes, text, sizeof text);
    lua_pushstring(L, text);
}

/* names = { dns = {}, email = {}, uri = {}, ip = {} } */
static void set_names(lua_State *L, const neap_certificate *certificate)
{
    static const char *const lists[] = {[NEAP_NAME_DNS] = "dns",
                                        [NEAP_NAME_EMAIL] = "email",
                                        [NEAP_NAME_URI] = "uri",
                                        [NEAP_NAME_ADDRESS] = "ip"};
    enum neap_name_kind kind;
    neap_view name;

    lua_createtable(L, 0, 4);
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        if (lists[i] != NULL) {
            lua_newtable(L);
            lua_setfield(L, -2, lists[i]);
        }
    }
    for (size_t i = 0; neap_certificate_name(certificate, i, &kind, &name); i++) {
        if (kind == NEAP_NAME_OTHER)
            continue;
        if (kind == NEAP_NAME_ADDRESS)
            push_ip(L, name);
        else
            lua_pushlstring(L, name.bytes, name.size);
        append(L, lists[kind]);
    }
    lua_setfield(L, -2, "names");
}

/* core.certificate(der) -> what it says | nil, message, "certificate" */
static int core_certificate(lua_State *L)
{
    size_t size;
    const char *der = luaL_checklstring(L, 1, &size);
    neap_certificate certificate;
    int result = neap_certificate_read(der, size, &certificate, sizeof certificate);

    if (result != NEAP_OK)
        return neap_lua_error_text(L, result, "this is no certificate in DER");
    char *room = lua_newuserdata(L, TEXT_MOST);
    lua_createtable(L, 0, 13);
    set_name(L, certificate.subject, "subject", "subject_parts", room);
    set_name(L, certificate.issuer, "issuer", "issuer_parts", room);
    set_hex(L, "serial", certificate.serial.bytes, certificate.serial.size);
    lua_pushnumber(L, (lua_Number)certificate.not_before);
    lua_setfield(L, -2, "not_before");
    lua_pushnumber(L, (lua_Number)certificate.not_after);
    lua_setfield(L, -2, "not_after");
    lua_pushboolean(L, certificate.is_authority);
    lua_setfield(L, -2, "is_authority");
    set_hex(L, "sha256", certificate.sha256, sizeof certificate.sha256);
    set_hex(L, "public_key_sha256", certificate.public_key_sha256, sizeof certificate.public_key_sha256);
    neap_lua_push_pin(L, certificate.public_key_sha256);
    lua_setfield(L, -2, "pin");
    set_names(L, &certificate);
    return 1;
}

/* conn:peer_certificates() -> list of DERs, leaf first | nil */
int neap_lua_conn_peer_certificates(lua_State *L)
{
    const struct conn_core *core = neap_lua_check_conn(L, 1);
    size_t size;
    const uint8_t *der;

    if (core->conn == NULL || neap_conn_peer_certificate(core->conn, 0, &size) == NULL) {
        lua_pushnil(L);
        return 1;
    }
    lua_newtable(L);
    for (size_t i = 0; (der = neap_conn_peer_certificate(core->conn, i, &size)) != NULL; i++) {
        lua_pushlstring(L, (const char *)der, size);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

void neap_lua_open_certificate(lua_State *L)
{
    static const luaL_Reg functions[] = {{"certificate", core_certificate}, {NULL, NULL}};

    neap_lua_set_functions(L, functions);
}
