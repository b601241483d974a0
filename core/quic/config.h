/* A config's inside: what connections and endpoints made with it share. Reference counted: the caller holds one
 * reference, each connection and endpoint one. */
#ifndef NEAP_QUIC_CONFIG_H
#define NEAP_QUIC_CONFIG_H

#include "base/pool.h"
#include "neap.h"
#include "paths/token.h"
#include "tls/tls.h"

#define RESET_TOKEN_SIZE 16u
#define RESET_LEAST 21u /* RFC 9000 §10.3: bytes of the least stateless reset, and of what is taken for one */

/* name, default, least, greatest: units as in neap.h */
#define OPTION_LIST(X)                                               \
    X(max_idle_timeout, 30000, 0, VARINT_LIMIT)                      \
    X(max_udp_payload_size, 65527, 1200, VARINT_LIMIT)               \
    X(max_send_udp_payload_size, 1200, 1200, 65527)                  \
    X(initial_max_data, 10485760, 0, VARINT_LIMIT)                   \
    X(initial_max_stream_data_bidi_local, 1048576, 0, VARINT_LIMIT)  \
    X(initial_max_stream_data_bidi_remote, 1048576, 0, VARINT_LIMIT) \
    X(initial_max_stream_data_uni, 1048576, 0, VARINT_LIMIT)         \
    X(initial_max_streams_bidi, 100, 0, UINT64_C(1) << 60)           \
    X(initial_max_streams_uni, 100, 0, UINT64_C(1) << 60)            \
    X(ack_delay_exponent, 3, 0, 20)                                  \
    X(max_ack_delay, 25, 0, 16383)                                   \
    X(active_connection_id_limit, 4, 2, 8)                           \
    X(disable_active_migration, 0, 0, 1)                             \
    X(max_connection_window, 25165824, 0, VARINT_LIMIT)              \
    X(max_stream_window, 16777216, 0, VARINT_LIMIT)                  \
    X(send_buffer, 262144, 1, UINT32_MAX)                            \
    X(handshake_timeout, 10000, 1, UINT32_MAX)                       \
    X(initial_rtt, 333, 1, 60000)                                    \
    X(retry, 0, 0, 1)                                                \
    X(verify_peer, 1, 0, 1)                                          \
    X(source_connection_id_size, 8, 0, 20)                           \
    X(pacing, 1, 0, 1)                                               \
    X(grease, 1, 0, 1)

#define VARINT_LIMIT ((UINT64_C(1) << 62) - 1)

enum option {
#define X(name, preset, least, greatest) OPTION_##name,
    OPTION_LIST(X)
#undef X
        OPTIONS
};

struct neap_config {
    struct pool *pool;
    uint64_t references;
    neap_env env; /* complete: no member is NULL */
    struct crypto *crypto;
    struct tls_config tls;
    struct token_keys tokens;
    uint64_t options[OPTIONS];
};

static inline uint64_t config_option(const neap_config *config, enum option which)
{
    return config->options[which];
}

/** A new config; every function of `env` is there. NULL without memory or randomness. */
neap_config *neap_config_create(const neap_env *env);
neap_config *neap_config_retain(neap_config *config);
/** Whether a client with this config would verify, but has nothing to verify with. */
bool neap_config_lacks_trust(const neap_config *config);

/** neap_connect and neap_endpoint_connect for a config that is complete: the public ones see to its roots first. */
neap_conn *neap_conn_new_client(neap_config *config, const char *server_name, const neap_address *local,
                                const neap_address *peer, neap_time now, const char **why);
neap_conn *neap_endpoint_new_client(neap_endpoint *endpoint, neap_config *config, const char *server_name,
                                    const neap_address *local, const neap_address *peer, neap_time now,
                                    const char **why);
neap_config *neap_endpoint_config(const neap_endpoint *endpoint);

/** Write an Initial packet that refuses the connection of `header` with a transport error, without any state
 * (RFC 9000 §5.2.2, §8.1.2). Returns its size or a negative error. */
int64_t neap_refuse(neap_config *config, const neap_header *header, uint64_t code, uint8_t *out, size_t size);

#endif
