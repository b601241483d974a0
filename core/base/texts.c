/* Texts for people: the version, errors of ours, and the RFCs' names of codes on the wire. */
#include "neap.h"

const char *neap_version(void)
{
    return NEAP_VERSION;
}

const char *neap_strerror(int64_t error)
{
    if (error >= 0)
        return "no error";
    if (error < NEAP_ERR_CONNECTION_IDS)
        return "unknown error";
    switch ((enum neap_error)error) {
    case NEAP_OK: break;
    case NEAP_ERR_AGAIN: return "nothing to do now";
    case NEAP_ERR_NO_MEMORY: return "out of memory";
    case NEAP_ERR_ARGUMENT: return "a value is out of range or a name unknown";
    case NEAP_ERR_CLOSED: return "the connection is closed";
    case NEAP_ERR_BUFFER_TOO_SHORT: return "the buffer is too short";
    case NEAP_ERR_UNKNOWN_VERSION: return "unknown QUIC version";
    case NEAP_ERR_INVALID_PACKET: return "not a QUIC packet";
    case NEAP_ERR_STREAM_STATE: return "no such stream, or not in this direction";
    case NEAP_ERR_STREAM_LIMIT: return "the peer allows no more streams";
    case NEAP_ERR_STREAM_RESET: return "the peer reset the stream";
    case NEAP_ERR_STREAM_STOPPED: return "the peer does not want more of the stream";
    case NEAP_ERR_CRYPTO: return "a cryptographic operation failed";
    case NEAP_ERR_CERTIFICATE: return "the certificate or key cannot be used";
    case NEAP_ERR_UNSUPPORTED: return "not supported by this build or by the peer";
    case NEAP_ERR_LIMIT: return "a limit is reached";
    case NEAP_ERR_SYSTEM: return "a system call failed";
    case NEAP_ERR_RANDOM: return "no randomness";
    case NEAP_ERR_TOKEN: return "the address validation token is not valid";
    case NEAP_ERR_STATE: return "not now: it is in use";
    case NEAP_ERR_MIGRATION: return "the peer does not let us use other addresses";
    case NEAP_ERR_CONNECTION_IDS: return "the peer has given no connection ID that is not used yet";
    }
    return "unknown error";
}

struct code_name {
    uint64_t code;
    const char *name;
};

static const struct code_name transport_names[] = {
    {NEAP_NO_ERROR, "NO_ERROR"},
    {NEAP_INTERNAL_ERROR, "INTERNAL_ERROR"},
    {NEAP_CONNECTION_REFUSED, "CONNECTION_REFUSED"},
    {NEAP_FLOW_CONTROL_ERROR, "FLOW_CONTROL_ERROR"},
    {NEAP_STREAM_LIMIT_ERROR, "STREAM_LIMIT_ERROR"},
    {NEAP_STREAM_STATE_ERROR, "STREAM_STATE_ERROR"},
    {NEAP_FINAL_SIZE_ERROR, "FINAL_SIZE_ERROR"},
    {NEAP_FRAME_ENCODING_ERROR, "FRAME_ENCODING_ERROR"},
    {NEAP_TRANSPORT_PARAMETER_ERROR, "TRANSPORT_PARAMETER_ERROR"},
    {NEAP_CONNECTION_ID_LIMIT_ERROR, "CONNECTION_ID_LIMIT_ERROR"},
    {NEAP_PROTOCOL_VIOLATION, "PROTOCOL_VIOLATION"},
    {NEAP_INVALID_TOKEN, "INVALID_TOKEN"},
    {NEAP_APPLICATION_ERROR, "APPLICATION_ERROR"},
    {NEAP_CRYPTO_BUFFER_EXCEEDED, "CRYPTO_BUFFER_EXCEEDED"},
    {NEAP_KEY_UPDATE_ERROR, "KEY_UPDATE_ERROR"},
    {NEAP_AEAD_LIMIT_REACHED, "AEAD_LIMIT_REACHED"},
    {NEAP_NO_VIABLE_PATH, "NO_VIABLE_PATH"},
    {NEAP_VERSION_NEGOTIATION_ERROR, "VERSION_NEGOTIATION_ERROR"},
};

static const struct code_name application_names[] = {
    {NEAP_H3_DATAGRAM_ERROR, "H3_DATAGRAM_ERROR"},
    {NEAP_H3_NO_ERROR, "H3_NO_ERROR"},
    {NEAP_H3_GENERAL_PROTOCOL_ERROR, "H3_GENERAL_PROTOCOL_ERROR"},
    {NEAP_H3_INTERNAL_ERROR, "H3_INTERNAL_ERROR"},
    {NEAP_H3_STREAM_CREATION_ERROR, "H3_STREAM_CREATION_ERROR"},
    {NEAP_H3_CLOSED_CRITICAL_STREAM, "H3_CLOSED_CRITICAL_STREAM"},
    {NEAP_H3_FRAME_UNEXPECTED, "H3_FRAME_UNEXPECTED"},
    {NEAP_H3_FRAME_ERROR, "H3_FRAME_ERROR"},
    {NEAP_H3_EXCESSIVE_LOAD, "H3_EXCESSIVE_LOAD"},
    {NEAP_H3_ID_ERROR, "H3_ID_ERROR"},
    {NEAP_H3_SETTINGS_ERROR, "H3_SETTINGS_ERROR"},
    {NEAP_H3_MISSING_SETTINGS, "H3_MISSING_SETTINGS"},
    {NEAP_H3_REQUEST_REJECTED, "H3_REQUEST_REJECTED"},
    {NEAP_H3_REQUEST_CANCELLED, "H3_REQUEST_CANCELLED"},
    {NEAP_H3_REQUEST_INCOMPLETE, "H3_REQUEST_INCOMPLETE"},
    {NEAP_H3_MESSAGE_ERROR, "H3_MESSAGE_ERROR"},
    {NEAP_H3_CONNECT_ERROR, "H3_CONNECT_ERROR"},
    {NEAP_H3_VERSION_FALLBACK, "H3_VERSION_FALLBACK"},
    {NEAP_QPACK_DECOMPRESSION_FAILED, "QPACK_DECOMPRESSION_FAILED"},
    {NEAP_QPACK_ENCODER_STREAM_ERROR, "QPACK_ENCODER_STREAM_ERROR"},
    {NEAP_QPACK_DECODER_STREAM_ERROR, "QPACK_DECODER_STREAM_ERROR"},
};

/* TLS alerts (RFC 8446 §6), which stand behind CRYPTO_ERROR. */
static const struct code_name alert_names[] = {
    {0, "close_notify"},
    {10, "unexpected_message"},
    {20, "bad_record_mac"},
    {22, "record_overflow"},
    {40, "handshake_failure"},
    {42, "bad_certificate"},
    {43, "unsupported_certificate"},
    {44, "certificate_revoked"},
    {45, "certificate_expired"},
    {46, "certificate_unknown"},
    {47, "illegal_parameter"},
    {48, "unknown_ca"},
    {49, "access_denied"},
    {50, "decode_error"},
    {51, "decrypt_error"},
    {70, "protocol_version"},
    {71, "insufficient_security"},
    {80, "internal_error"},
    {86, "inappropriate_fallback"},
    {90, "user_canceled"},
    {109, "missing_extension"},
    {110, "unsupported_extension"},
    {112, "unrecognized_name"},
    {113, "bad_certificate_status_response"},
    {115, "unknown_psk_identity"},
    {116, "certificate_required"},
    {120, "no_application_protocol"},
};

static const char *find_name(const struct code_name *names, size_t count, uint64_t code)
{
    for (size_t i = 0; i < count; i++)
        if (names[i].code == code)
            return names[i].name;
    return "unknown";
}

#define FIND(names, code) find_name(names, sizeof names / sizeof names[0], code)

const char *neap_wire_error_name(uint64_t code, bool is_application)
{
    if (is_application)
        return FIND(application_names, code);
    if (code >= NEAP_CRYPTO_ERROR && code <= NEAP_CRYPTO_ERROR + 0xff)
        return FIND(alert_names, code - NEAP_CRYPTO_ERROR);
    return FIND(transport_names, code);
}
