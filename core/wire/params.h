/* Transport parameters (RFC 9000 §18): parsed with every check that needs no connection, written whole. */
#ifndef NEAP_WIRE_PARAMS_H
#define NEAP_WIRE_PARAMS_H

#include "base/failure.h"
#include "base/writer.h"
#include "neap.h"

struct preferred_address {
    neap_address v4, v6;
    neap_cid cid;
    uint8_t token[16];
};

struct transport_params {
    bool has_original_dcid, has_initial_scid, has_retry_scid, has_reset_token, has_preferred_address;
    bool disable_active_migration;
    neap_cid original_dcid, initial_scid, retry_scid;
    uint8_t reset_token[16];
    struct preferred_address preferred_address;
    uint64_t max_idle_timeout_ms; /* 0: none */
    uint64_t max_udp_payload_size;
    uint64_t max_data, max_stream_data_bidi_local, max_stream_data_bidi_remote, max_stream_data_uni;
    uint64_t max_streams_bidi, max_streams_uni;
    uint64_t ack_delay_exponent, max_ack_delay_ms, active_connection_id_limit;
};

/** The defaults that RFC 9000 §18.2 gives to absent parameters. */
struct transport_params neap_params_default(void);

/** Parse what the peer sent. `from_server` false: parameters that only a server may send are an error. Unknown ones
 * are ignored. 0 or TRANSPORT_PARAMETER_ERROR with *why. Presence of initial_source_connection_id and equality of
 * connection IDs are the caller's to check (RFC 9000 §7.3). */
int neap_params_parse(struct span bytes, bool from_server, struct transport_params *out, struct failure *why);

/** Write ours; `grease` adds a reserved parameter of 31*N+27 form with this random number (0: none). */
void neap_params_write(struct writer *w, const struct transport_params *p, bool from_server, uint64_t grease);

#endif
