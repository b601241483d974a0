/* What the files of the module share. The objects behind userdata are counted in C: a userdata is one reference, and
 * an object holds references to those it needs, so that they may be collected in any order. */
#ifndef NEAP_BINDING_BINDING_H
#define NEAP_BINDING_BINDING_H

#include "compat.h"
#include "neap.h"
#include "neap_runtime.h"
#include "runtime/link.h"

#define TYPE_CONFIG "neap.config"
#define TYPE_CONN "neap.conn"
#define TYPE_H3 "neap.h3"
#define TYPE_ENDPOINT "neap.endpoint"
#define TYPE_LINK "neap.link"
#define TYPE_LISTENER "neap.listener"
#define TYPE_LOOP "neap.loop"
#define TYPE_UDP "neap.udp"
#define TYPE_FILE "neap.file"

#define UDP_PAYLOAD_ROOM 65536 /* any UDP payload */

struct qlog_folder;
struct trace_ring;

#define DATE_SIZE 29 /* bytes of "Sun, 06 Nov 1994 08:49:37 GMT" */

struct config_core {
    unsigned references;
    neap_config *config;
    int keylog_fd;                 /* -1: none */
    struct qlog_folder *qlog;      /* NULL: none */
    unsigned rings, rings_waiting; /* of trace events for Lua; of clients without proof */
    uint64_t random_state;         /* with the option `seed` */
    int64_t wall_clock;            /* with the option `wall_clock` */
    int64_t date_at;               /* what `date` says */
    char date[DATE_SIZE + 1];
    bool has_wall_clock;
    bool has_dates; /* responses of servers with it have one */
};

struct loop_core {
    unsigned references;
    neap_loop *loop; /* NULL: closed */
};

struct config_list {
    struct config_list *next;
    struct config_core *config;
};

struct endpoint_core {
    unsigned references;
    neap_endpoint *endpoint; /* NULL: closed */
    struct config_core *config;
    struct config_list *more_configs; /* those that connections were made with */
    struct loop_core *loop;           /* NULL: the script moves the datagrams */
    struct conn_core *conns;          /* those that Lua has seen and that are alive */
    bool is_server;
};

struct conn_core {
    unsigned references;
    neap_conn *conn;                /* NULL: dead */
    neap_h3 *h3;                    /* made on demand, freed before conn */
    struct config_core *config;     /* of the script's own; an endpoint keeps those of its connections */
    struct endpoint_core *endpoint; /* NULL: the script's own connection */
    struct conn_core *next, **from; /* in endpoint->conns */
    int anchor;                /* an endpoint's: reference in the registry that keeps the userdata alive */
    struct close_copy *closed; /* of a dead connection, why it ended */
    struct trace_ring *trace;  /* NULL: Lua takes no events of it */
    uint64_t question_seen;    /* id of the last question that Lua was told of */
};

/* --- module.c */

/** nil, message, code; NEAP_ERR_AGAIN is nil, "done", "again". Returns 3. */
int neap_lua_error(lua_State *L, int64_t error);
/** The same with a message of the caller's. */
int neap_lua_error_text(lua_State *L, int64_t error, const char *message);
/** nil, "what: strerror", "system", errno. Returns 4. */
int neap_lua_system_error(lua_State *L, const char *what, int error_number);
/** true, or as neap_lua_error when `result` is negative. */
int neap_lua_result(lua_State *L, int64_t result);
/** The count, or as neap_lua_error when it is negative. */
int neap_lua_count(lua_State *L, int64_t count);

/** Seconds as nanoseconds; what is too large is NEAP_NEVER. Raises for what is no time. */
neap_time neap_lua_check_time(lua_State *L, int index);
neap_time neap_lua_to_time(lua_State *L, lua_Number seconds);
void neap_lua_push_time(lua_State *L, neap_time time);
/** Seconds from now until `time`, not below 0; nil for NEAP_NEVER. */
void neap_lua_push_timeout(lua_State *L, neap_time time, neap_time now);
/** A whole number from 0. */
uint64_t neap_lua_check_u64(lua_State *L, int index);
uint64_t neap_lua_opt_u64(lua_State *L, int index, uint64_t otherwise);
void neap_lua_set_u64(lua_State *L, const char *name, uint64_t value);
/** A new metatable `type` whose methods are its __index; `gc` also serves as __close. */
void neap_lua_new_type(lua_State *L, const char *type, const luaL_Reg *methods, lua_CFunction gc,
                       lua_CFunction to_string);

/* --- address.c: the functions on headers, tokens, addresses, put into the module's table */

void neap_lua_open_address(lua_State *L);
void neap_lua_check_address(lua_State *L, int index, neap_address *out);
void neap_lua_push_address(lua_State *L, const neap_address *address);
/** Field `name` of the table at `index` as an address; without the field `*out` stays. */
void neap_lua_address_field(lua_State *L, int index, const char *name, neap_address *out);
/** Field `name` as a time; raises when it is missing. */
neap_time neap_lua_time_field(lua_State *L, int index, const char *name);
void neap_lua_check_cid(lua_State *L, int index, neap_cid *out);
void neap_lua_push_cid(lua_State *L, const neap_cid *cid);
/** A table as header_info gives; what it points to lives as long as the table. */
void neap_lua_check_header(lua_State *L, int index, neap_header *out);
/** from, to, at, ecn into a new table, or the one at `index` when it is one; leaves it on top. */
void neap_lua_push_send_info(lua_State *L, int index, const neap_send_info *info);

/* --- config.c */

void neap_lua_open_config(lua_State *L);
struct config_core *neap_lua_check_config(lua_State *L, int index);
struct config_core *neap_lua_config_retain(struct config_core *core);
void neap_lua_config_release(struct config_core *core);

/* --- material.c */

enum config_role { ROLE_ANY, ROLE_CLIENT, ROLE_SERVER };

/** The options qlog… of the table at index 1. 0, or what is to be returned. */
int neap_lua_set_qlog(lua_State *L, struct config_core *core);
/** Connections that the endpoint accepts are traced, where the config says so; a connection is, from here on. */
void neap_lua_qlog_accepts(struct config_core *config, neap_endpoint *endpoint);
void neap_lua_qlog_conn(struct config_core *config, neap_conn *conn, neap_time now);
/** The method of config that tells of its folder. */
int neap_lua_qlog_stats(lua_State *L);
/** Whether the peer has proved its address; a server's need not. */
bool neap_lua_is_proved(const neap_conn *conn);
/** NULL is nothing. */
void neap_lua_qlog_release(struct qlog_folder *folder);
/** Writing to a file that may not grow (RLIMIT_FSIZE) is an error then, and does not end the process; unless the program has
 * said what SIGXFSZ is to do. */
void neap_lua_survive_full_files(void);
/** alpn, groups, static_secret, cert, key, certs, ca, client_ca, pins, keylog of the options at index 1, of a stack of two. 0, and
 * at index 3 a list of texts about what is not as new as it should be, or the count of results (nil, message, code) when a file
 * or its content cannot be used. */
int neap_lua_set_material(lua_State *L, struct config_core *core, enum config_role role);
/** The fields of the table on top, which is of an option, are `one`, `two` and `three` (NULL: no more), or an error. */
void neap_lua_check_known(lua_State *L, const char *option, const char *one, const char *two,
                          const char *three);
/** `psk` of the options at index 1: a table, or a server's function, which is asked. 0, or the count of results of a failure. */
int neap_lua_set_psks(lua_State *L, struct config_core *core, enum config_role role);
/** Pushes that list, unless it is empty: how many results that is. */
int neap_lua_stale(lua_State *L, int index);
int neap_lua_config_reload(lua_State *L);
/** config:certificate_pin(path, PEM or DER) → its pin as text | nil, message, code. */
int neap_lua_certificate_pin(lua_State *L);

/* --- ids.c */

/** core.quic_lb_decode. */
void neap_lua_open_ids(lua_State *L);
/** connection_id_prefix and quic_lb of the options at index 1. */
void neap_lua_set_ids(lua_State *L, struct config_core *core);
/** Methods for the metatables of config and conn. */
extern const luaL_Reg neap_lua_config_id_methods[], neap_lua_conn_id_methods[];

/* --- issue.c: methods of config */

int neap_lua_make_key(lua_State *L);
int neap_lua_make_request(lua_State *L);
int neap_lua_read_request(lua_State *L);
int neap_lua_issue_certificate(lua_State *L);

/* --- pin.c */

/** Reads sha256//BASE64; false for any other text, pin is scratch then. */
bool neap_lua_pin_read(const char *text, size_t size, uint8_t pin[32]);
void neap_lua_push_pin(lua_State *L, const uint8_t pin[32]);

/* --- certificate.c */

/** core.certificate. */
void neap_lua_open_certificate(lua_State *L);
/** The method peer_certificates of conn. */
int neap_lua_conn_peer_certificates(lua_State *L);

/* --- conn.c, stream.c */

void neap_lua_open_conn(lua_State *L);
/** The methods on streams, for the metatable of conn. */
extern const luaL_Reg neap_lua_stream_methods[];
extern const luaL_Reg neap_lua_datagram_methods[];
/** May be dead: then ->conn is NULL. */
struct conn_core *neap_lua_check_conn(lua_State *L, int index);
/** A new userdata on top whose core has no connection yet. `endpoint` NULL: the script's own. */
struct conn_core *neap_lua_new_conn(lua_State *L, struct config_core *config, struct endpoint_core *endpoint);
/** Give it its connection. */
void neap_lua_conn_start(struct conn_core *core, neap_conn *conn);
static inline struct config_core *neap_lua_conn_config(const struct conn_core *core)
{
    return core->endpoint != NULL ? core->endpoint->config : core->config;
}
/** Copy why it ended, free its HTTP/3, forget it: what becomes of the connection is the caller's. */
void neap_lua_conn_die(struct conn_core *core);
void neap_lua_conn_release(struct conn_core *core);
/** The endpoint keeps the userdata at `index` alive until the connection is given back. */
void neap_lua_conn_anchor(lua_State *L, struct conn_core *core, int index);
void neap_lua_conn_unanchor(lua_State *L, struct conn_core *core);
/** After a call that may have left something to send. */
static inline void neap_lua_conn_touch(struct conn_core *core)
{
    if (core->endpoint != NULL)
        neap_endpoint_touch(core->endpoint->endpoint, core->conn);
}

/* --- paths.c */

/** The methods on paths, for the metatable of conn. */
extern const luaL_Reg neap_lua_path_methods[];
/** Methods of endpoint. */
int neap_lua_endpoint_follow_routes(lua_State *L);
int neap_lua_endpoint_listen_also(lua_State *L);
/** preferred_address of the options at index 1. */
void neap_lua_set_preferred_address(lua_State *L, struct config_core *core);

/* --- trace.c */

/** The methods on trace events, for the metatable of conn. */
extern const luaL_Reg neap_lua_trace_methods[];
/** As neap_conn_set_tracer, below the events that Lua takes. */
void neap_lua_set_tracer(neap_conn *conn, const neap_tracer *tracer);
/** Its object in Lua is gone; NULL: there was none. */
void neap_lua_trace_release(struct trace_ring *ring);

/* --- steer.c */

/** The methods on congestion control, for the metatable of conn. */
extern const luaL_Reg neap_lua_steer_methods[];

/* --- question.c */

/** The methods on questions, for the metatable of conn. */
extern const luaL_Reg neap_lua_question_methods[];
/** "sha256" (also nil) or "sha384" as 256 or 384. */
unsigned neap_lua_check_psk_hash(lua_State *L, int index);
/** The method of config that signs for others. */
int neap_lua_sign(lua_State *L);
/** Whether the handshake asks something that Lua was not told of: from now on it was. */
bool neap_lua_conn_is_asking_anew(struct conn_core *core);

/* --- h3.c, events.c, answers.c, fields.c */

void neap_lua_open_h3(lua_State *L);
/** core.field_list, core.field_set and the method events of h3. */
void neap_lua_open_events(lua_State *L);
/** core.answer. */
void neap_lua_open_answers(lua_State *L);
/** The method respond of transports: h3 and link. */
int neap_lua_respond(lua_State *L);
typedef int (*neap_lua_poll_fn)(void *from, neap_h3_event *out);
/** What the method events of a transport does, with the list at index 2: the first two of its results. */
int neap_lua_take_events(lua_State *L, neap_lua_poll_fn poll, void *from, bool is_server);
/** Adds the method to a type of transports: such functions alone may call the one above. */
void neap_lua_add_events(lua_State *L, const char *type, lua_CFunction events);
/** The connection behind the userdata; its h3 is there as long as the connection lives. */
struct conn_core *neap_lua_check_h3(lua_State *L, int index);
/** An error code of HTTP/3: a number, or its name of RFC 9114 §8.1 without H3_ and in small letters. */
uint64_t neap_lua_check_code(lua_State *L, int index);
/* What core.h3 is told: the table at `index`, or none. */
void neap_lua_check_h3_config(lua_State *L, int index, neap_h3_config *out);
/* --- date.c */

/** Add the date to a final response's fields, of which there is room for FIELDS_MAX, unless it is there, or is not known: their
 * count. It is valid until the next call for the config; NULL is fine. */
size_t neap_lua_add_date(struct config_core *config, neap_field *fields, size_t count);
int neap_lua_config_set_dates(lua_State *L);

#define FIELDS_MAX 256 /* field lines that one call may send; more is refused by the core too */
/** The flat array at `index` as fields, after the `count` that `out` has; raises for what is no field section. The
 * strings live as long as the table and the values pushed here. Returns the count. */
size_t neap_lua_check_fields(lua_State *L, int index, neap_field *out, size_t count);
/** A flat array of fields. */
void neap_lua_push_fields(lua_State *L, const neap_field *fields, size_t count);

/* --- link.c, listener.c: TCP connections */

void neap_lua_open_link(lua_State *L);
void neap_lua_open_listener(lua_State *L);
/** Whether the value is a link; *out is NULL for one that is over. */
bool neap_lua_to_link(lua_State *L, int index, struct link **out, struct config_core **config);
/** Method of loop. */
int neap_lua_loop_listen_tcp(lua_State *L);
int neap_lua_loop_connect_tcp(lua_State *L);

/* --- json.c: core.json */

void neap_lua_open_json(lua_State *L);

/* ---- secret.c */

void neap_lua_open_secret(lua_State *L);
void neap_lua_open_encoder(lua_State *L);
void neap_lua_open_service(lua_State *L);
void neap_lua_open_dns(lua_State *L);

/* --- turns.c */

void neap_lua_open_turns(lua_State *L);
/** The loop has something to do. */
void neap_lua_turn_begins(lua_State *L);
/** It is done. True when it was long enough to be looked at: then its seconds are on top. */
bool neap_lua_turn_ends(lua_State *L);

/* --- endpoint.c */

void neap_lua_open_endpoint(lua_State *L);
/** A new userdata on top with its endpoint, or NULL without memory. */
struct endpoint_core *neap_lua_new_endpoint(lua_State *L, struct config_core *config, bool is_server,
                                            const char **why);
void neap_lua_endpoint_release(struct endpoint_core *core);
/** The core behind the userdata; its endpoint may be closed. */
struct endpoint_core *neap_lua_check_endpoint(lua_State *L, int index);
/** Frees the endpoint, its connections and sockets; the core stays until nobody holds it. */
void neap_lua_endpoint_close(struct endpoint_core *core);

/* --- loop.c, udp.c, files.c */

void neap_lua_open_loop(lua_State *L);
#define FDS_MAX 6
/** A descriptor, or a list of them. */
size_t neap_lua_check_fds(lua_State *L, int index, int out[FDS_MAX]);
/** nil, message of the loop, code, errno where there is one. */
int neap_lua_loop_error(lua_State *L, const neap_loop *loop, int64_t error);
void neap_lua_loop_release(struct loop_core *core);
void neap_lua_open_udp(lua_State *L);
/** The loop behind the userdata; it may be closed. */
struct loop_core *neap_lua_check_loop(lua_State *L, int index);
void neap_lua_open_files(lua_State *L);
/** The descriptor of a file that is open. */
int neap_lua_check_file(lua_State *L, int index);

/* --- figures.c */

/** A member of a struct of the API, a uint64_t or neap_time, by its name. */
struct figure {
    const char *name;
    size_t offset;
    bool is_time; /* seconds in Lua */
};
/* Another size is no constant here, and does not compile. */
#define FIGURE_OF(type, member, has_unit)                                                       \
    {                                                                                           \
        .name = #member, .is_time = has_unit,                                                   \
        .offset = offsetof(type, member) / (sizeof(((type *)NULL)->member) == sizeof(uint64_t)) \
    }
#define FIGURE(type, member) FIGURE_OF(type, member, false)
#define FIGURE_TIME(type, member) FIGURE_OF(type, member, true)
#define FIGURES(list) (list), sizeof(list) / sizeof(list)[0]
/** Put those of *from into the table on top of the stack. */
void neap_lua_set_figures(lua_State *L, const void *from, const struct figure *figures, size_t count);
/** Methods of connections that tell their figures. */
extern const luaL_Reg neap_lua_figure_methods[];

/* --- transfer.c */

/** The methods between bodies and files, for the metatable of h3. */
extern const luaL_Reg neap_lua_transfer_methods[];
/** All of `bytes`, waiting where it has to; 0 or an errno. */
int neap_lua_write_all(int fd, const void *bytes, size_t size);

/* --- descriptor.c, socket.c, unix.c, process.c: see descriptor.h */

void neap_lua_open_descriptor(lua_State *L);
void neap_lua_open_socket(lua_State *L);
void neap_lua_open_unix(lua_State *L);
void neap_lua_open_process(lua_State *L);
/** Method of loop. */
int neap_lua_loop_watch(lua_State *L);
/** Pushes the number of the next descriptor that is ready, or nil. */
int neap_lua_next_watch(lua_State *L, neap_loop *loop);

/* --- tls.c: core.tls_side */

void neap_lua_open_tls(lua_State *L);

/* --- bench.c */

void neap_lua_open_load(lua_State *L);

#endif
