/* Keys, certification requests and certificates: methods of config (see lua/neap/x509.lua). */
#include "binding.h"

#include <string.h>

#define PEM_ROOM 20480 /* as neap.h says of the largest certificate, and some */
#define NAMES_MAX 32

/* Field `name` of the table at 2 stays on the stack, which keeps its bytes; NULL when it is nil. */
static const char *text_field(lua_State *L, const char *name, size_t *size)
{
    const char *text;

    lua_getfield(L, 2, name);
    if (lua_isnil(L, -1))
        return NULL;
    if (lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, "'%s' is a string", name);
    text = lua_tolstring(L, -1, size);
    return text;
}

/* A text that ends with its NUL, and has no other. */
static const char *word_field(lua_State *L, const char *name)
{
    size_t size;
    const char *text = text_field(L, name, &size);

    if (text != NULL && strlen(text) != size)
        return ""; /* refused like one that is empty */
    return text;
}

static unsigned number_field(lua_State *L, const char *name, unsigned otherwise, unsigned greatest)
{
    lua_Number number = otherwise;

    lua_getfield(L, 2, name);
    if (!lua_isnil(L, -1)) {
        number = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
        if (!(number >= 0 && number <= greatest) || (lua_Number)(unsigned)number != number)
            luaL_error(L, "'%s' is a whole number from 0 to %d", name, (int)greatest);
    }
    lua_pop(L, 1);
    return (unsigned)number;
}

static size_t names_field(lua_State *L, const char *names[NAMES_MAX])
{
    lua_getfield(L, 2, "names");
    if (lua_isnil(L, -1))
        return 0;
    luaL_checktype(L, -1, LUA_TTABLE);
    size_t count = lua_rawlen(L, -1);
    if (count > NAMES_MAX)
        luaL_error(L, "'names' has 32 names at most");
    luaL_checkstack(L, (int)count + LUA_MINSTACK, NULL);
    int list = lua_gettop(L);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, list, (int)i + 1);
        if (lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "'names' must be strings");
        names[i] = lua_tostring(L, -1);
        if (strlen(names[i]) != lua_rawlen(L, -1))
            names[i] = "";
    }
    return count;
}

/* The table at 2; the strings stay on the stack. */
static neap_certificate_plan check_plan(lua_State *L, const char *names[NAMES_MAX])
{
    neap_certificate_plan plan = {0};

    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    plan.days = number_field(L, "days", 365, 36500);
    plan.uses = number_field(L, "uses", NEAP_USE_CLIENT, 7);
    plan.path_length = (int)number_field(L, "path_length", 1000, 1000);
    if (plan.path_length == 1000)
        plan.path_length = -1;
    plan.common_name = word_field(L, "common_name");
    plan.organization = word_field(L, "organization");
    plan.request = text_field(L, "request", &plan.request_size);
    plan.key = text_field(L, "key", &plan.key_size);
    plan.authority = text_field(L, "ca_cert", &plan.authority_size);
    plan.authority_key = text_field(L, "ca_key", &plan.authority_key_size);
    plan.name_count = names_field(L, names);
    plan.names = names;
    return plan;
}

/* config:make_key() -> PEM */
int neap_lua_make_key(lua_State *L)
{
    char key[512];
    int error = neap_make_key(neap_lua_check_config(L, 1)->config, key, sizeof key);

    if (error)
        return neap_lua_error(L, error);
    lua_pushstring(L, key);
    return 1;
}

typedef int64_t make_fn(neap_config *config, const neap_certificate_plan *plan, size_t plan_size, char *out,
                        size_t room, const char **why);

static int make(lua_State *L, make_fn *maker)
{
    const char *names[NAMES_MAX], *why = NULL;
    neap_config *config = neap_lua_check_config(L, 1)->config;
    neap_certificate_plan plan = check_plan(L, names);
    char *pem = lua_newuserdata(L, PEM_ROOM);
    int64_t size = maker(config, &plan, sizeof plan, pem, PEM_ROOM, &why);

    if (size < 0)
        return neap_lua_error_text(L, size, why);
    lua_pushlstring(L, pem, (size_t)size);
    return 1;
}

/* config:make_request{ key =, common_name =, organization =, names = } -> PEM */
int neap_lua_make_request(lua_State *L)
{
    return make(L, neap_make_request);
}

/* config:issue_certificate{ request = | key =, common_name =, organization =, names =, days =, uses =, path_length =,
 * ca_cert =, ca_key = } -> PEM */
int neap_lua_issue_certificate(lua_State *L)
{
    return make(L, neap_issue_certificate);
}

static void set_word(lua_State *L, const char *name, const char *word)
{
    if (word[0] == '\0')
        return;
    lua_pushstring(L, word);
    lua_setfield(L, -2, name);
}

/* config:read_request(PEM or DER) -> { common_name =, organization =, names =, pin = } */
int neap_lua_read_request(lua_State *L)
{
    size_t size;
    const char *why = NULL, *request = luaL_checklstring(L, 2, &size);
    neap_request_info info;
    int error =
        neap_read_request(neap_lua_check_config(L, 1)->config, request, size, &info, sizeof info, &why);

    if (error)
        return neap_lua_error_text(L, error, why);
    lua_createtable(L, 0, 4);
    set_word(L, "common_name", info.common_name);
    set_word(L, "organization", info.organization);
    neap_lua_push_pin(L, info.public_key_sha256);
    lua_setfield(L, -2, "pin");
    lua_createtable(L, (int)info.name_count, 0);
    const char *name = info.names;
    for (size_t i = 0; i < info.name_count; i++, name += strlen(name) + 1) {
        lua_pushstring(L, name);
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_setfield(L, -2, "names");
    return 1;
}
