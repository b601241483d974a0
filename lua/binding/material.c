/* What of a config is text: protocols, certificates, roots, pins, secrets, the register of early data, the keylog. What is not PEM or DER is the
 * path of a file that holds it. */
#include "binding.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define ALPN_MAX 16
#define GROUPS_MAX 4
#define SUITES_MAX 3
#define TICKET_KEYS_MAX 4
#define FILE_SIZE_MAX (1u << 20) /* of a certificate chain, a key, a bundle of roots */
#define STALE_AT 3               /* of the stack, while credentials are set: a list of texts */

static bool is_material(const char *text, size_t size)
{
    static const char mark[] = "-----BEGIN";

    if (size > 0 && text[0] == 0x30) /* a DER SEQUENCE; no path begins with "0" and control characters */
        return size > 32;
    for (size_t i = 0; i + sizeof mark - 1 <= size; i++) {
        if (text[i] == '-' && memcmp(text + i, mark, sizeof mark - 1) == 0)
            return true;
    }
    return false;
}

/* Pushes the bytes of a file; 0, or an errno. */
static int push_file(lua_State *L, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int number = 0;
    struct stat info;
    luaL_Buffer buffer;
    size_t total = 0;

    if (fd < 0)
        return errno;
    if (fstat(fd, &info) == 0 && S_ISDIR(info.st_mode)) {
        close(fd);
        return EISDIR;
    }
    luaL_buffinit(L, &buffer);
    for (;;) {
        char chunk[4096];
        ssize_t got = read(fd, chunk, sizeof chunk);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            number = got < 0 ? errno : 0;
            break;
        }
        total += (size_t)got;
        if (total > FILE_SIZE_MAX) {
            number = EFBIG;
            break;
        }
        luaL_addlstring(&buffer, chunk, (size_t)got);
    }
    close(fd);
    luaL_pushresult(&buffer);
    if (number != 0)
        lua_pop(L, 1);
    return number;
}

/* Replace the path on top of the stack by what is in the file. 0, or the count of results of a failure. */
static int load_material(lua_State *L, const char *name)
{
    size_t size;
    const char *text = lua_tolstring(L, -1, &size);

    if (text == NULL)
        luaL_error(L, "'%s' must be a path or the text of a PEM file", name);
    if (is_material(text, size))
        return 0;
    int number = push_file(L, text);
    if (number != 0)
        return neap_lua_system_error(L, text, number);
    lua_remove(L, -2);
    return 0;
}

static int material_error(lua_State *L, int result, const char *name, const char *why)
{
    char message[200];

    snprintf(message, sizeof message, "%s: %s", name, why != NULL ? why : neap_strerror(result));
    return neap_lua_error_text(L, result, message);
}

/* ocsp_file of the table at `index`, for the certificate that was added last. 0, or the count of results of a failure. */
static int set_ocsp_response(lua_State *L, struct config_core *core, int index)
{
    const char *why = NULL;
    size_t size;

    lua_getfield(L, index, "ocsp_file");
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        return 0;
    }
    const char *path = lua_tostring(L, -1);
    if (path == NULL)
        luaL_error(L, "'ocsp_file' must be a path");
    int number = push_file(L, path);
    if (number != 0)
        return neap_lua_system_error(L, path, number);
    const char *bytes = lua_tolstring(L, -1, &size);
    int result = neap_config_set_ocsp_response(core->config, bytes, size, &why);
    if (result != NEAP_OK)
        return material_error(L, result, path, why);
    lua_pop(L, 2);
    return 0;
}

void neap_lua_check_known(lua_State *L, const char *option, const char *one, const char *two,
                          const char *three)
{
    lua_pushnil(L);
    while (lua_next(L, -2) != 0) {
        const char *field = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : luaL_typename(L, -2);
        bool is_known = strcmp(field, one) == 0 || strcmp(field, two) == 0;
        if (!is_known && (three == NULL || strcmp(field, three) != 0))
            luaL_error(L, "option '%s': unknown field '%s'", option, field);
        lua_pop(L, 1);
    }
}

/* cert and key of the table at `index`; nothing when it has none. 0, or the count of results of a failure. */
static int add_certificate(lua_State *L, struct config_core *core, int index)
{
    const char *why = NULL;
    size_t chain_size, key_size;
    int failed;

    lua_getfield(L, 1, "sign");
    bool is_signed_elsewhere = !lua_isnil(L, -1);
    lua_pop(L, 1);
    lua_getfield(L, index, "cert");
    lua_getfield(L, index, "key");
    bool has_cert = !lua_isnil(L, -2), has_key = !lua_isnil(L, -1);
    if (has_cert != has_key && !(has_cert && is_signed_elsewhere))
        luaL_error(L, "'%s' needs '%s'", has_cert ? "cert" : "key", has_cert ? "key" : "cert");
    if (!has_cert) {
        lua_pop(L, 2);
        return 0;
    }
    char where[120];
    const char *cert = lua_tostring(L, -2);
    snprintf(where, sizeof where, "%.100s",
             cert != NULL && !is_material(cert, strlen(cert)) ? cert : "certificate");
    if (has_key && (failed = load_material(L, "key")) != 0)
        return failed;
    lua_insert(L, -2);
    if ((failed = load_material(L, "cert")) != 0)
        return failed;
    const char *chain = lua_tolstring(L, -1, &chain_size);
    const char *key = lua_tolstring(L, -2, &key_size);
    int result = has_key ? neap_config_add_certificate(core->config, chain, chain_size, key, key_size, &why)
                         : neap_config_add_certificate_without_key(core->config, chain, chain_size, &why);
    lua_pop(L, 2);
    return result == NEAP_OK ? set_ocsp_response(L, core, index) : material_error(L, result, where, why);
}

static int add_certificates(lua_State *L, struct config_core *core)
{
    int failed = add_certificate(L, core, 1);

    if (failed != 0)
        return failed;
    lua_getfield(L, 1, "certs");
    if (!lua_isnil(L, -1) && (!lua_istable(L, -1) || lua_rawlen(L, -1) == 0))
        luaL_error(L, "option 'certs' must be a list of { cert =, key = }, one at least");
    for (int i = 1; lua_istable(L, -1) && i <= (int)lua_rawlen(L, -1); i++) {
        lua_rawgeti(L, -1, i);
        if (!lua_istable(L, -1))
            luaL_error(L, "option 'certs' must be a list of { cert =, key = }");
        neap_lua_check_known(L, "certs", "cert", "key", "ocsp_file");
        failed = add_certificate(L, core, lua_gettop(L));
        if (failed != 0)
            return failed;
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return 0;
}

/* Whom roots vouch for. */
struct roots_option {
    const char *name;
    int (*add)(neap_config *config, const void *roots, size_t size, const char **why);
    int (*add_path)(neap_config *config, const char *path, const char **why);
};

/* The roots on top of the stack: a path or PEM. */
static int add_roots(lua_State *L, struct config_core *core, const struct roots_option *option)
{
    size_t size;
    const char *text = lua_tolstring(L, -1, &size);
    const char *why = NULL;
    int result;

    if (is_material(text, size)) {
        result = option->add(core->config, text, size, &why);
        return result == NEAP_OK ? 0 : material_error(L, result, option->name, why);
    }
    if (access(text, R_OK) != 0)
        return neap_lua_system_error(L, text, errno);
    result = option->add_path(core->config, text, &why);
    return result == NEAP_OK ? 0 : material_error(L, result, text, why);
}

/* Texts about the lists of `name` that are not current, those behind the first `index`: into the list at STALE_AT. */
static void note_stale(lua_State *L, struct config_core *core, const char *name, size_t index)
{
    const char *why = NULL;
    int is_current;

    while ((is_current = neap_config_crl_is_current(core->config, index++, &why)) >= 0) {
        if (is_current)
            continue;
        lua_pushfstring(L, "%s: %s", name, why);
        lua_rawseti(L, STALE_AT, (int)lua_rawlen(L, STALE_AT) + 1);
    }
}

/* The revocation list on top of the stack: a path, PEM or DER. */
static int add_crl(lua_State *L, struct config_core *core)
{
    size_t size;
    const char *text = lua_tolstring(L, -1, &size);
    const char *why = NULL;

    if (text == NULL)
        luaL_error(L, "option 'crl' must be a path, the text of a PEM file or a list of these");
    bool is_text = is_material(text, size);
    size_t before = 0;
    while (neap_config_crl_is_current(core->config, before, NULL) >= 0)
        before++;
    if (!is_text && access(text, R_OK) != 0)
        return neap_lua_system_error(L, text, errno);
    int result = is_text ? neap_config_add_crl(core->config, text, size, &why)
                         : neap_config_add_crl_file(core->config, text, &why);
    if (result != NEAP_OK)
        return material_error(L, result, is_text ? "crl" : text, why);
    note_stale(L, core, is_text ? "crl" : text, before);
    return 0;
}

/* Those of servers; true for the system's. */
static int add_ca(lua_State *L, struct config_core *core)
{
    static const struct roots_option option = {"ca", neap_config_add_ca, neap_config_add_ca_path};
    const char *why = NULL;

    if (lua_isboolean(L, -1) && lua_toboolean(L, -1)) {
        int result = neap_config_add_system_ca(core->config, &why);
        return result == NEAP_OK ? 0 : material_error(L, result, "ca", why);
    }
    if (!lua_isstring(L, -1))
        luaL_error(
            L, "option 'ca' must be a path, the text of a PEM file, true for the system's roots, or a list");
    return add_roots(L, core, &option);
}

static int add_client_ca(lua_State *L, struct config_core *core)
{
    static const struct roots_option option = {"client_ca", neap_config_add_client_ca,
                                               neap_config_add_client_ca_path};

    if (!lua_isstring(L, -1))
        luaL_error(L, "option 'client_ca' must be a path, the text of a PEM file or a list of these");
    return add_roots(L, core, &option);
}

/* Who says what a client's certificate must be, and forgets to ask for one, would take anyone. */
static void check_client_certificate(lua_State *L)
{
    static const char *const names[] = {"client_ca", "verify_client"};

    lua_getfield(L, 1, "client_certificate");
    for (size_t i = 0; i < sizeof names / sizeof names[0] && lua_isnil(L, -1); i++) {
        lua_getfield(L, 1, names[i]);
        if (!lua_isnil(L, -1))
            luaL_error(L, "option '%s' needs 'client_certificate'", names[i]);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* Who gives an empty list means something by it, and it would be as if there were none. */
static void check_list(lua_State *L, const char *name)
{
    if (lua_istable(L, -1) && lua_rawlen(L, -1) == 0)
        luaL_error(L, "option '%s' is an empty list", name);
}

/* Calls `add` for the value of option `name`, or for each of its list. */
static int for_each(lua_State *L, struct config_core *core, const char *name,
                    int (*add)(lua_State *, struct config_core *))
{
    int failed = 0;

    lua_getfield(L, 1, name);
    check_list(L, name);
    if (lua_istable(L, -1)) {
        for (int i = 1; failed == 0 && i <= (int)lua_rawlen(L, -1); i++) {
            lua_rawgeti(L, -1, i);
            failed = add(L, core);
            if (failed == 0)
                lua_pop(L, 1);
        }
    } else if (!lua_isnil(L, -1)) {
        failed = add(L, core);
    }
    if (failed == 0)
        lua_pop(L, 1);
    return failed;
}

/* 64 hex digits. */
static bool read_hex(const char *text, uint8_t out[32])
{
    for (size_t i = 0; i < 32; i++) {
        unsigned value;
        char pair[3] = {text[2 * i], text[2 * i + 1], '\0'};

        if (strspn(pair, "0123456789abcdefABCDEF") != 2 || sscanf(pair, "%2x", &value) != 1)
            return false;
        out[i] = (uint8_t)value;
    }
    return true;
}

/* 32 bytes, or 64 hex digits. */
static bool read_32(const char *text, size_t size, uint8_t out[32])
{
    if (size == 32)
        memcpy(out, text, 32);
    return size == 32 || (size == 64 && read_hex(text, out));
}

static int add_pin(lua_State *L, struct config_core *core)
{
    uint8_t pin[32];
    size_t size = 0;
    const char *text = lua_isstring(L, -1) ? lua_tolstring(L, -1, &size) : NULL;

    if (text == NULL || (!neap_lua_pin_read(text, size, pin) && !read_32(text, size, pin)))
        luaL_error(L, "option 'pins' must be sha256//BASE64, 32 bytes or 64 hex digits, or a list of these");
    int result = neap_config_add_pin(core->config, pin);
    return result == NEAP_OK ? 0 : neap_lua_error(L, result);
}

static void set_static_secret(lua_State *L, struct config_core *core)
{
    uint8_t secret[32];
    size_t size = 0;

    lua_getfield(L, 1, "static_secret");
    if (!lua_isnil(L, -1)) {
        const char *text = lua_isstring(L, -1) ? lua_tolstring(L, -1, &size) : NULL;
        if (text == NULL || !read_32(text, size, secret))
            luaL_error(L, "option 'static_secret' must be 32 bytes or 64 hex digits");
        neap_config_set_static_secret(core->config, secret);
    }
    lua_pop(L, 1);
}

/* Lines of 64 hex digits; how many, 0 for anything else. */
static size_t read_ticket_keys(const char *text, const char *end, uint8_t keys[TICKET_KEYS_MAX][32])
{
    size_t count = 0;

    while (text < end) {
        size_t size = strcspn(text, "\r\n");

        if ((size == 0 && *text == '\0') ||
            (size > 0 && (size != 64 || count == TICKET_KEYS_MAX || !read_hex(text, keys[count++]))))
            return 0;
        text += size + strspn(text + size, "\r\n");
    }
    return count;
}

/* The keys in the file of option `name`, given to `set`. 0, or the count of results of a failure; `state`: what NEAP_ERR_STATE
 * means there. */
static int set_keys(lua_State *L, struct config_core *core, const char *name,
                    int (*set)(neap_config *config, const uint8_t (*keys)[32], size_t count),
                    const char *state)
{
    uint8_t keys[TICKET_KEYS_MAX][32];

    lua_getfield(L, 1, name);
    if (!lua_isnil(L, -1)) {
        const char *path = lua_tostring(L, -1);
        if (path == NULL)
            luaL_error(L, "option '%s' must be a path", name);
        int number = push_file(L, path);
        if (number != 0)
            return neap_lua_system_error(L, path, number);
        size_t size;
        const char *text = lua_tolstring(L, -1, &size);
        size_t count = read_ticket_keys(text, text + size, keys);
        int result = count > 0 ? set(core->config, (const uint8_t(*)[32])keys, count) : NEAP_OK;
        explicit_bzero(keys, sizeof keys);
        if (count == 0)
            return material_error(L, NEAP_ERR_ARGUMENT, path, "it must be 1 to 4 lines of 64 hex digits");
        if (result != NEAP_OK)
            return material_error(L, result, path, state);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return 0;
}

/* The names of option `name`, a string or a list of them: how many. They are good as long as the value, which stays on
 * the stack, is not changed. */
static size_t read_names(lua_State *L, const char *name, size_t most, const char **names)
{
    size_t count = 0;

    lua_getfield(L, 1, name);
    check_list(L, name);
    if (lua_type(L, -1) == LUA_TSTRING) {
        names[count++] = lua_tostring(L, -1);
    } else if (lua_istable(L, -1)) {
        size_t size = lua_rawlen(L, -1);
        if (size > most)
            luaL_error(L, "option '%s' has more than %d names", name, (int)most);
        for (; count < size; count++) {
            lua_rawgeti(L, -1, (int)count + 1);
            if (lua_type(L, -1) != LUA_TSTRING)
                luaL_error(L, "option '%s' must be a string or a list of strings", name);
            names[count] = lua_tostring(L, -1); /* the list keeps it alive */
            lua_pop(L, 1);
        }
    } else if (!lua_isnil(L, -1)) {
        luaL_error(L, "option '%s' must be a string or a list of strings", name);
    }
    return count;
}

static void set_alpn(lua_State *L, struct config_core *core)
{
    const char *names[ALPN_MAX];
    size_t count = read_names(L, "alpn", ALPN_MAX, names);

    if (count > 0 && neap_config_set_alpn(core->config, names, count) != NEAP_OK)
        luaL_error(L, "option 'alpn': names have 1 to 255 bytes");
    lua_pop(L, 1);
}

/* 0, or the count of results of a failure. */
static int set_groups(lua_State *L, struct config_core *core)
{
    const char *names[GROUPS_MAX];
    size_t count = read_names(L, "groups", GROUPS_MAX, names);
    int result = count > 0 ? neap_config_set_groups(core->config, names, count) : NEAP_OK;

    if (result == NEAP_ERR_UNSUPPORTED)
        return material_error(L, result, "groups", "X25519MLKEM768 needs a build with OpenSSL 3.5 or newer");
    if (result != NEAP_OK)
        luaL_error(L, "option 'groups' names X25519MLKEM768, x25519, secp256r1 or secp384r1, each once");
    lua_pop(L, 1);
    return 0;
}

static void set_cipher_suites(lua_State *L, struct config_core *core)
{
    const char *names[SUITES_MAX];
    size_t count = read_names(L, "cipher_suites", SUITES_MAX, names);

    if (count > 0 && neap_config_set_cipher_suites(core->config, names, count) != NEAP_OK)
        luaL_error(L, "option 'cipher_suites' names TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384 or "
                      "TLS_CHACHA20_POLY1305_SHA256, each once");
    lua_pop(L, 1);
}

/* One write a line, so that processes may share the file; and from where the line is, which is wiped there. */
static void write_keylog(void *context, const char *line)
{
    const struct config_core *core = context;
    struct iovec parts[] = {{(void *)(uintptr_t)line, strlen(line)}, {(void *)(uintptr_t) "\n", 1}};

    /* A full disk must not end a connection. */
    if (writev(core->keylog_fd, parts, 2) < 0)
        return;
}

void neap_lua_survive_full_files(void)
{
    struct sigaction now;

    if (sigaction(SIGXFSZ, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
        signal(SIGXFSZ, SIG_IGN);
}

static int set_keylog(lua_State *L, struct config_core *core)
{
    lua_getfield(L, 1, "keylog");
    if (!lua_isnil(L, -1)) {
        const char *path = lua_tostring(L, -1);
        if (path == NULL)
            luaL_error(L, "option 'keylog' must be a path");
        core->keylog_fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        if (core->keylog_fd < 0)
            return neap_lua_system_error(L, path, errno);
        neap_lua_survive_full_files();
        neap_config_set_keylog(core->config, write_keylog, core);
    }
    lua_pop(L, 1);
    return 0;
}

/* What a server reads early is noted: in the file, or in memory. */
static int set_strikes(lua_State *L, struct config_core *core, enum config_role role)
{
    static const char *const may_serve[] = {"cert", "certs", "certificate", "psk"};
    const char *why = NULL;
    bool is_server = role == ROLE_SERVER;

    for (size_t i = 0; role == ROLE_ANY && i < sizeof may_serve / sizeof may_serve[0]; i++) {
        lua_getfield(L, 1, may_serve[i]);
        is_server = is_server || !lua_isnil(L, -1);
        lua_pop(L, 1);
    }
    lua_getfield(L, 1, "early_data");
    bool reads_early = lua_toboolean(L, -1) && is_server;
    lua_pop(L, 1);
    lua_getfield(L, 1, "strike_file");
    const char *path = lua_tostring(L, -1);
    if (path == NULL && !lua_isnil(L, -1))
        luaL_error(L, "option 'strike_file' must be a path");
    if (!reads_early) {
        lua_pop(L, 1);
        return 0;
    }
    errno = 0;
    int result = neap_config_use_strikes(core->config, path, &why);
    if (result == NEAP_ERR_SYSTEM)
        return neap_lua_system_error(L, path, errno);
    lua_pop(L, 1);
    if (result == NEAP_ERR_STATE)
        return material_error(
            L, NEAP_ERR_ARGUMENT, "early_data",
            "with ticket_key_file it needs strike_file, the path of a file that all servers with these keys share");
    return result == NEAP_OK ? 0 : material_error(L, result, path != NULL ? path : "early_data", why);
}

int neap_lua_certificate_pin(lua_State *L)
{
    const neap_config *config = neap_lua_check_config(L, 1)->config;
    uint8_t pin[32];
    size_t size;

    lua_settop(L, 2);
    luaL_checkstring(L, 2);
    int failed = load_material(L, "certificate");
    if (failed != 0)
        return failed;
    const char *text = lua_tolstring(L, 2, &size);
    int result = neap_certificate_pin(config, text, size, pin);
    if (result != NEAP_OK)
        return neap_lua_error(L, result);
    neap_lua_push_pin(L, pin);
    return 1;
}

/* Functions are Lua's business; here it counts that they are there. */
static bool has_function(lua_State *L, const char *name)
{
    lua_getfield(L, 1, name);
    bool is_there = !lua_isnil(L, -1);
    if (is_there && !lua_isfunction(L, -1))
        luaL_error(L, "option '%s' must be a function", name);
    lua_pop(L, 1);
    return is_there;
}

static void set_questions(lua_State *L, struct config_core *core)
{
    unsigned kinds = 0;

    has_function(L, "sign");
    lua_getfield(L, 1, "psk");
    if (lua_isfunction(L, -1))
        kinds |= NEAP_ASK_PSK;
    lua_pop(L, 1);
    bool is_asked_of_servers = has_function(L, "verify_server");
    if (has_function(L, "verify_client") || is_asked_of_servers)
        kinds |= NEAP_ASK_PEER;
    if (has_function(L, "certificate"))
        kinds |= NEAP_ASK_CERTIFICATE;
    neap_config_ask(core->config, kinds);
}

/* What may be read again while connections go on. */
static int set_credentials(lua_State *L, struct config_core *core)
{
    int failed = set_keys(L, core, "ticket_key_file", neap_config_set_ticket_keys,
                          "with early_data they need strike_file from the start");

    if (failed == 0)
        failed = set_keys(L, core, "token_key_file", neap_config_set_token_keys, NULL);
    if (failed == 0)
        failed = add_certificates(L, core);
    if (failed == 0)
        failed = for_each(L, core, "ca", add_ca);
    if (failed == 0)
        failed = for_each(L, core, "client_ca", add_client_ca);
    if (failed == 0)
        failed = for_each(L, core, "crl", add_crl);
    if (failed == 0)
        failed = for_each(L, core, "pins", add_pin);
    return failed;
}

/* The list at STALE_AT, or the results of a failure. */
static int read_credentials(lua_State *L)
{
    lua_newtable(L);
    int failed = set_credentials(L, lua_touserdata(L, 2));
    return failed != 0 ? failed : 1;
}

int neap_lua_stale(lua_State *L, int index)
{
    if (lua_rawlen(L, index) == 0)
        return 0;
    lua_pushvalue(L, index);
    return 1;
}

/* config:reload(options) -> true[, texts] | nil, message, code; also an error leaves what there was before. */
int neap_lua_config_reload(lua_State *L)
{
    struct config_core *core = neap_lua_check_config(L, 1);

    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    int result = neap_config_begin_reload(core->config);
    if (result != NEAP_OK)
        return neap_lua_error(L, result);
    lua_pushcfunction(L, read_credentials);
    lua_pushvalue(L, 2);
    lua_pushlightuserdata(L, core);
    int status = lua_pcall(L, 2, LUA_MULTRET, 0);
    bool is_good = status == 0 && lua_gettop(L) == STALE_AT;
    neap_config_end_reload(core->config, is_good);
    if (status != 0)
        return lua_error(L);
    if (!is_good)
        return lua_gettop(L) - 2;
    lua_pushboolean(L, 1);
    return 1 + neap_lua_stale(L, STALE_AT);
}

int neap_lua_set_material(lua_State *L, struct config_core *core, enum config_role role)
{
    set_alpn(L, core);
    set_cipher_suites(L, core);
    set_questions(L, core);
    set_static_secret(L, core);
    neap_lua_set_ids(L, core);
    check_client_certificate(L);
    lua_newtable(L);
    int failed = set_groups(L, core);
    if (failed == 0)
        failed = set_credentials(L, core);
    if (failed == 0)
        failed = neap_lua_set_psks(L, core, role);
    if (failed == 0)
        failed = set_strikes(L, core, role);
    if (failed == 0)
        failed = set_keylog(L, core);
    if (failed == 0)
        failed = neap_lua_set_qlog(L, core);
    return failed;
}
