/* Questions to name servers by c-ares, which asks, repeats, goes over to TCP, and knows the system's files. Its sockets are in
 * an epoll descriptor of their own: that one alone is waited for in Lua (lua/neap/dns.lua), and its sockets come and go unseen.
 * What was answered is kept until it is taken, as C calls no Lua. */
#include "dns.h"

#ifdef NEAP_HAVE_CARES
#define CARES_NO_DEPRECATED
#include <ares.h>
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <unistd.h>

#define TYPE_DNS "neap.dns"
#define EVENTS 16
#define NAME_MOST 1024   /* bytes of a name with its escapes */
#define SEARCH_MOST 6    /* as many as resolv.conf may have */
#define UDP_PAYLOAD 1232 /* EDNS: what passes everywhere without fragments */
#define CLASS_IN 1

struct question {
    struct question *next;
    struct dns *dns;
    uint64_t id;
    int status;
    struct ares_addrinfo *addresses;
    uint8_t *message;
    size_t size;
};

struct dns {
    ares_channel channel; /* NULL: closed */
    int epoll_fd;
    struct question *answered, **answered_end;
};

static struct dns *check_any(lua_State *L)
{
    return luaL_checkudata(L, 1, TYPE_DNS);
}

static struct dns *check_open(lua_State *L)
{
    struct dns *dns = check_any(L);

    if (dns->channel == NULL)
        luaL_error(L, "the resolver is closed");
    return dns;
}

static void free_question(struct question *question)
{
    ares_freeaddrinfo(question->addresses);
    free(question->message);
    free(question);
}

static void append_answer(struct question *question)
{
    struct dns *dns = question->dns;

    *dns->answered_end = question;
    dns->answered_end = &question->next;
}

static void on_addresses(void *user, int status, int timeouts, struct ares_addrinfo *addresses)
{
    struct question *question = user;

    (void)timeouts;
    question->status = status;
    question->addresses = addresses;
    append_answer(question);
}

static void on_message(void *user, int status, int timeouts, unsigned char *bytes, int size)
{
    struct question *question = user;

    (void)timeouts;
    question->status = status;
    if (bytes != NULL && size > 0) {
        question->message = malloc((size_t)size);
        if (question->message != NULL) {
            memcpy(question->message, bytes, (size_t)size);
            question->size = (size_t)size;
        } else {
            question->status = ARES_ENOMEM;
        }
    }
    append_answer(question);
}

/* A socket that cannot be waited for is found out by the time-out of its question. */
static void on_socket(void *user, ares_socket_t fd, int reads, int writes)
{
    struct dns *dns = user;
    struct epoll_event event = {.data.fd = fd};

    if (reads)
        event.events |= EPOLLIN;
    if (writes)
        event.events |= EPOLLOUT;
    if (event.events == 0)
        epoll_ctl(dns->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    else if (epoll_ctl(dns->epoll_fd, EPOLL_CTL_MOD, fd, &event) != 0 && errno == ENOENT)
        epoll_ctl(dns->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static int close_dns(lua_State *L)
{
    struct dns *dns = check_any(L);

    if (dns->channel != NULL)
        ares_destroy(dns->channel); /* has each question answered */
    dns->channel = NULL;
    if (dns->epoll_fd >= 0)
        close(dns->epoll_fd);
    dns->epoll_fd = -1;
    while (dns->answered != NULL) {
        struct question *question = dns->answered;
        dns->answered = question->next;
        free_question(question);
    }
    dns->answered_end = &dns->answered;
    return 0;
}

/* nil, text, "resolve". */
static int push_failure(lua_State *L, int status)
{
    lua_pushnil(L);
    lua_pushstring(L, ares_strerror(status));
    lua_pushliteral(L, "resolve");
    return 3;
}

/* A list of domains; the strings are the table's. */
static int check_search(lua_State *L, int index, char *out[SEARCH_MOST])
{
    size_t count = lua_rawlen(L, index);

    if (count > SEARCH_MOST)
        luaL_error(L, "search has %d domains at most", SEARCH_MOST);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, index, (int)i + 1);
        if (lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "search is a list of domains");
        out[i] = (char *)(uintptr_t)lua_tostring(L, -1); /* c-ares copies them */
        lua_pop(L, 1);
    }
    return (int)count;
}

/* core.dns(servers or nil, seconds of the first try, tries, search or nil) -> dns: servers as "192.0.2.1:53,[2001:db8::1]:53";
 * nil: those of the system, and its search list. */
static int core_dns(lua_State *L)
{
    const char *servers = luaL_optstring(L, 1, NULL);
    lua_Number seconds = luaL_checknumber(L, 2);
    uint64_t tries = neap_lua_check_u64(L, 3);
    char *search[SEARCH_MOST];
    struct ares_options options = {.flags = ARES_FLAG_EDNS, .ednspsz = UDP_PAYLOAD};
    int mask =
        ARES_OPT_FLAGS | ARES_OPT_EDNSPSZ | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;

    luaL_argcheck(L, seconds >= 0.001 && seconds <= 60, 2, "0.001 to 60 seconds expected");
    luaL_argcheck(L, tries >= 1 && tries <= 10, 3, "1 to 10 tries expected");
    if (!lua_isnoneornil(L, 4)) {
        luaL_checktype(L, 4, LUA_TTABLE);
        options.ndomains = check_search(L, 4, search);
        options.domains = search;
        mask |= ARES_OPT_DOMAINS;
    }
#ifdef ARES_OPT_QUERY_CACHE
    options.qcache_max_ttl = 0; /* what is kept is kept in Lua */
    mask |= ARES_OPT_QUERY_CACHE;
#endif
    struct dns *dns = lua_newuserdata(L, sizeof *dns);
    *dns = (struct dns){.epoll_fd = -1};
    dns->answered_end = &dns->answered;
    luaL_getmetatable(L, TYPE_DNS);
    lua_setmetatable(L, -2);
    dns->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (dns->epoll_fd < 0)
        return neap_lua_system_error(L, "epoll_create1", errno);
    options.timeout = (int)(seconds * 1000);
    options.tries = (int)tries;
    options.sock_state_cb = on_socket;
    options.sock_state_cb_data = dns;
    int status = ares_init_options(&dns->channel, &options, mask);
    if (status != ARES_SUCCESS) {
        dns->channel = NULL;
        return push_failure(L, status);
    }
    if (servers != NULL && (status = ares_set_servers_ports_csv(dns->channel, servers)) != ARES_SUCCESS)
        return push_failure(L, status);
    return 1;
}

/* A link-local address, which each link has, reaches nothing that has a name in DNS. */
static bool reaches_ipv6(const struct sockaddr *name)
{
    return name->sa_family == AF_INET6 &&
           !IN6_IS_ADDR_LINKLOCAL(&((const struct sockaddr_in6 *)(const void *)name)->sin6_addr);
}

/* The family that a machine asks for when it has addresses of one alone, the loopback's aside. */
static int family_of_machine(void)
{
    struct ifaddrs *all;
    bool has_ipv4 = false, has_ipv6 = false;

    if (getifaddrs(&all) != 0)
        return AF_UNSPEC;
    for (struct ifaddrs *at = all; at != NULL; at = at->ifa_next) {
        if (at->ifa_addr == NULL || (at->ifa_flags & IFF_LOOPBACK) != 0)
            continue;
        has_ipv4 = has_ipv4 || at->ifa_addr->sa_family == AF_INET;
        has_ipv6 = has_ipv6 || reaches_ipv6(at->ifa_addr);
    }
    freeifaddrs(all);
    return has_ipv4 == has_ipv6 ? AF_UNSPEC : has_ipv4 ? AF_INET : AF_INET6;
}

static const char *check_name(lua_State *L, int index)
{
    size_t size;
    const char *name = luaL_checklstring(L, index, &size);

    luaL_argcheck(L, size > 0 && size <= NAME_MOST && strlen(name) == size, index,
                  "a name of 1 to 1024 bytes expected");
    return name;
}

static struct question *new_question(lua_State *L, struct dns *dns, int id_index)
{
    uint64_t id = neap_lua_check_u64(L, id_index);
    struct question *question = calloc(1, sizeof *question);

    if (question == NULL)
        luaL_error(L, "no memory for a question");
    question->dns = dns;
    question->id = id;
    return question;
}

/* dns:lookup(id, host[, family 4 or 6]): addresses by the system's files and by name servers, in the order of RFC 6724 */
static int dns_lookup(lua_State *L)
{
    struct dns *dns = check_open(L);
    const char *host = check_name(L, 3);
    uint64_t family = neap_lua_opt_u64(L, 4, 0);
    struct ares_addrinfo_hints hints = {.ai_socktype = SOCK_STREAM};

    luaL_argcheck(L, family == 0 || family == 4 || family == 6, 4, "4 or 6 expected");
    hints.ai_family = family == 4 ? AF_INET : family == 6 ? AF_INET6 : family_of_machine();
    ares_getaddrinfo(dns->channel, host, NULL, &hints, on_addresses, new_question(L, dns, 2));
    return 0;
}

/* dns:query(id, name, type): the message that answers it */
static int dns_query(lua_State *L)
{
    struct dns *dns = check_open(L);
    const char *name = check_name(L, 3);
    unsigned type = neap_lua_check_dns_type(L, 4);

    ares_query(dns->channel, name, CLASS_IN, (int)type, on_message, new_question(L, dns, 2));
    return 0;
}

/* dns:process(): reads and sends what can be, and repeats questions whose time is over */
static int dns_process(lua_State *L)
{
    struct dns *dns = check_open(L);
    struct epoll_event events[EVENTS];
    int count = epoll_wait(dns->epoll_fd, events, EVENTS, 0);

    for (int i = 0; i < count; i++) {
        bool reads = (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0;
        bool writes = (events[i].events & (EPOLLOUT | EPOLLERR)) != 0;
        ares_process_fd(dns->channel, reads ? events[i].data.fd : ARES_SOCKET_BAD,
                        writes ? events[i].data.fd : ARES_SOCKET_BAD);
    }
    if (count <= 0)
        ares_process_fd(dns->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    return 0;
}

/* dns:timeout() -> seconds until dns:process() has to be called in any case; nil: no question is under way */
static int dns_timeout(lua_State *L)
{
    struct dns *dns = check_open(L);
    struct timeval tv;

    if (ares_timeout(dns->channel, NULL, &tv) == NULL)
        lua_pushnil(L);
    else
        lua_pushnumber(L, (lua_Number)tv.tv_sec + (lua_Number)tv.tv_usec / 1e6);
    return 1;
}

/* What a failure is called: the names of RFC 1035's and RFC 2308's, where they have one. */
static const char *reason_of(int status)
{
    switch (status) {
    case ARES_ENOTFOUND: return "NXDOMAIN";
    case ARES_ENODATA: return "NODATA";
    case ARES_ESERVFAIL: return "SERVFAIL";
    case ARES_EREFUSED: return "REFUSED";
    case ARES_EFORMERR: return "FORMERR";
    case ARES_ENOTIMP: return "NOTIMP";
    case ARES_ECANCELLED:
    case ARES_EDESTRUCTION: return "cancelled";
    case ARES_ETIMEOUT: return "timeout";
    case ARES_ENOMEM: return "memory";
    default: return "failed";
    }
}

/* A list, and the seconds for which it may be kept: 0 where it is the system's files that say so. */
static void push_addresses(lua_State *L, const struct ares_addrinfo *found)
{
    int count = 0, ttl = INT32_MAX;
    char text[INET6_ADDRSTRLEN];

    lua_newtable(L);
    for (const struct ares_addrinfo_node *at = found->nodes; at != NULL; at = at->ai_next) {
        const void *bytes =
            at->ai_family == AF_INET
                ? (const void *)&((const struct sockaddr_in *)(const void *)at->ai_addr)->sin_addr
                : (const void *)&((const struct sockaddr_in6 *)(const void *)at->ai_addr)->sin6_addr;
        if ((at->ai_family != AF_INET && at->ai_family != AF_INET6) || count == NEAP_RESOLVED_ADDRESSES)
            continue;
        lua_pushstring(L, inet_ntop(at->ai_family, bytes, text, sizeof text));
        lua_rawseti(L, -2, ++count);
        ttl = at->ai_ttl < ttl ? at->ai_ttl : ttl;
    }
    for (const struct ares_addrinfo_cname *at = found->cnames; at != NULL; at = at->next)
        ttl = at->ttl < ttl ? at->ttl : ttl;
    lua_pushinteger(L, ttl < 0 || count == 0 ? 0 : ttl);
}

/* dns:answer() -> id, { address, … }, ttl | id, message | id, nil, text, reason, message where there is one; nil when none is
 * ready */
static int dns_answer(lua_State *L)
{
    struct dns *dns = check_open(L);
    struct question *question = dns->answered;

    if (question == NULL) {
        lua_pushnil(L);
        return 1;
    }
    neap_lua_push_u64(L, question->id);
    if (question->status == ARES_SUCCESS && question->addresses != NULL) {
        push_addresses(L, question->addresses);
    } else if (question->status == ARES_SUCCESS) {
        lua_pushlstring(L, (const char *)question->message, question->size);
        lua_pushnil(L);
    } else {
        lua_pushnil(L);
        lua_pushstring(L, ares_strerror(question->status));
    }
    lua_pushstring(L, question->status == ARES_SUCCESS ? NULL : reason_of(question->status));
    lua_pushlstring(L, (const char *)question->message, question->size);
    dns->answered = question->next;
    if (dns->answered == NULL)
        dns->answered_end = &dns->answered;
    free_question(question);
    return 5;
}

/* dns:cancel(): all that is under way is answered as cancelled */
static int dns_cancel(lua_State *L)
{
    ares_cancel(check_open(L)->channel);
    return 0;
}

static int dns_fd(lua_State *L)
{
    lua_pushinteger(L, check_open(L)->epoll_fd);
    return 1;
}

void neap_lua_open_dns(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"lookup", dns_lookup},   {"query", dns_query},   {"process", dns_process},
        {"timeout", dns_timeout}, {"answer", dns_answer}, {"cancel", dns_cancel},
        {"fd", dns_fd},           {"close", close_dns},   {NULL, NULL},
    };

    if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
        return;
    neap_lua_new_type(L, TYPE_DNS, methods, close_dns, NULL);
    lua_pushcfunction(L, core_dns);
    lua_setfield(L, -2, "dns");
    neap_lua_open_dns_message(L);
}
#else
void neap_lua_open_dns(lua_State *L)
{
    (void)L;
}
#endif
