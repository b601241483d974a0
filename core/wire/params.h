/* Transport parameters (RFC 9000 §18): parsed with every check that needs no connection, written whole. A parameter is
 * one row of the table here and a field of struct transport_params. */
#ifndef NEAP_WIRE_PARAMS_H
#define NEAP_WIRE_PARAMS_H

#include "base/failure.h"
#include "base/span.h"
#include "base/writer.h"
#include "neap.h"

/* Name in RFC 9000 §18.2, or in the extension that has it; identifier; form of its value (read_… and write_… in params.c); who may send it; field of
 * struct transport_params; and of a number its least, its greatest, and what it is where it is absent. A flag is only
 * present or not. */
#define PARAM_LIST(X)                                                                                       \
    X(original_destination_connection_id, 0x00, cid, SERVER, original_dcid, 0, 0, 0)                        \
    X(max_idle_timeout, 0x01, number, BOTH, max_idle_timeout_ms, 0, VARINT_MAX, 0)                          \
    X(stateless_reset_token, 0x02, reset_token, SERVER, reset_token, 0, 0, 0)                               \
    X(max_udp_payload_size, 0x03, number, BOTH, max_udp_payload_size, NEAP_MIN_UDP_PAYLOAD, VARINT_MAX,     \
      65527)                                                                                                \
    X(initial_max_data, 0x04, number, BOTH, max_data, 0, VARINT_MAX, 0)                                     \
    X(initial_max_stream_data_bidi_local, 0x05, number, BOTH, max_stream_data_bidi_local, 0, VARINT_MAX, 0) \
    X(initial_max_stream_data_bidi_remote, 0x06, number, BOTH, max_stream_data_bidi_remote, 0, VARINT_MAX,  \
      0)                                                                                                    \
    X(initial_max_stream_data_uni, 0x07, number, BOTH, max_stream_data_uni, 0, VARINT_MAX, 0)               \
    X(initial_max_streams_bidi, 0x08, number, BOTH, max_streams_bidi, 0, UINT64_C(1) << 60, 0)              \
    X(initial_max_streams_uni, 0x09, number, BOTH, max_streams_uni, 0, UINT64_C(1) << 60, 0)                \
    X(ack_delay_exponent, 0x0a, number, BOTH, ack_delay_exponent, 0, 20, 3)                                 \
    X(max_ack_delay, 0x0b, number, BOTH, max_ack_delay_ms, 0, (1u << 14) - 1, 25)                           \
    X(disable_active_migration, 0x0c, flag, BOTH, present, 0, 0, 0)                                         \
    X(preferred_address, 0x0d, preferred_address, SERVER, preferred_address, 0, 0, 0)                       \
    X(active_connection_id_limit, 0x0e, number, BOTH, active_connection_id_limit, 2, VARINT_MAX, 2)         \
    X(initial_source_connection_id, 0x0f, cid, BOTH, initial_scid, 0, 0, 0)                                 \
    X(retry_source_connection_id, 0x10, cid, SERVER, retry_scid, 0, 0, 0)                                   \
    X(reset_stream_at, 0x1d, flag, BOTH, present, 0, 0, 0)                                                  \
    X(max_datagram_frame_size, 0x20, number, BOTH, max_datagram_frame_size, 0, VARINT_MAX, 0)               \
    X(initial_max_path_id, 0x3e, number, BOTH, max_path_id, 0, UINT32_MAX, NO_PATH_IDS)                     \
    X(version_information, 0x11, versions, BOTH, versions, 0, 0, 0)                                         \
    X(grease_quic_bit, 0x2ab2, flag, BOTH, present, 0, 0, 0)                                                \
    X(min_ack_delay, 0xff04de1b, number, BOTH, min_ack_delay_us, 0, VARINT_MAX, NO_MIN_ACK_DELAY)

/* The peer takes no ACK_FREQUENCY (draft-ietf-quic-ack-frequency-14 §3). */
#define NO_MIN_ACK_DELAY UINT64_MAX

/* The peer knows no path IDs (draft-ietf-quic-multipath, by the identifier that it suggests). */
#define NO_PATH_IDS UINT64_MAX

enum param {
#define X(name, id, form, sender, field, least, greatest, absent) PARAM_##name,
    PARAM_LIST(X)
#undef X
        PARAMS
};

struct preferred_address {
    neap_address v4, v6;
    neap_cid cid;
    uint8_t token[16];
};

/* Version Information (RFC 9368 §3). */
struct version_information {
    uint32_t chosen;
    struct span available; /* VERSION_SIZE bytes each; of the peer's: in what was parsed */
};

struct transport_params {
    uint64_t present; /* a bit for each row: that the parameter came, or is to be sent */
    neap_cid original_dcid, initial_scid, retry_scid;
    uint8_t reset_token[16];
    struct preferred_address preferred_address;
    struct version_information versions;
    uint64_t max_idle_timeout_ms; /* 0: none */
    uint64_t max_udp_payload_size;
    uint64_t max_data, max_stream_data_bidi_local, max_stream_data_bidi_remote, max_stream_data_uni;
    uint64_t max_streams_bidi, max_streams_uni;
    uint64_t ack_delay_exponent, max_ack_delay_ms, active_connection_id_limit;
    uint64_t max_datagram_frame_size; /* bytes (RFC 9221 §3); 0: none is taken */
    uint64_t min_ack_delay_us;        /* NO_MIN_ACK_DELAY: none */
    uint64_t max_path_id;             /* initial_max_path_id; NO_PATH_IDS: none */
};

static inline bool params_has(const struct transport_params *p, enum param which)
{
    return p->present >> which & 1;
}

/** The parameter, which is no number, is to be sent. */
static inline void params_add(struct transport_params *p, enum param which)
{
    p->present |= UINT64_C(1) << which;
}

/** The values that RFC 9000 §18.2 gives to absent parameters. */
struct transport_params neap_params_default(void);

/** Parse what the peer sent. `from_server` false: parameters that only a server may send are an error. Unknown ones
 * are ignored. 0 or TRANSPORT_PARAMETER_ERROR with *why. Presence of initial_source_connection_id and equality of
 * connection IDs are the caller's to check (RFC 9000 §7.3). */
int neap_params_parse(struct span bytes, bool from_server, struct transport_params *out, struct failure *why);

/** Write ours: numbers that differ from their absence, and what else is present. `grease` adds a reserved parameter of
 * 31*N+27 form with this random number (0: none). */
void neap_params_write(struct writer *w, const struct transport_params *p, bool from_server, uint64_t grease);

/** Say another Chosen Version in version_information, which is in these parameters. */
void neap_params_set_chosen_version(uint8_t *bytes, size_t size, uint32_t version);

#endif
