/* The option table: an option is one row here, and the code that asks config_option() for it. The enum, the rules of
 * neap_config_set, the options of Lua with their units, `neap options`, docs/options.md and the types for editors all
 * come from the row. */
#ifndef NEAP_QUIC_OPTIONS_H
#define NEAP_QUIC_OPTIONS_H

#include "base/limits.h"
#include "neap.h"

#define VARINT_LIMIT ((UINT64_C(1) << 62) - 1)
#define STREAMS_LIMIT (LIMIT_STREAMS_KEPT / 2) /* of either kind, so that what is announced is kept */

/* name, unit (enum neap_unit), default, least, greatest, what it does. Names that RFC 9000 §18.2 has are transport
 * parameters of ours. */
#define OPTION_LIST(X)                                                                                       \
    X(max_idle_timeout, MILLISECONDS, 30000, 0, VARINT_LIMIT,                                                \
      "a connection on which nothing came for so long ends; 0: never")                                       \
    X(max_udp_payload_size, BYTES, 65527, 1200, 65527, "the largest UDP payload that we take")               \
    X(max_send_udp_payload_size, BYTES, 1452, 1200, 65527,                                                   \
      "where the search for the UDP payload that a path takes ends; 20 less over IPv6; 1200: none")          \
    X(initial_max_data, BYTES, 10485760, 0, VARINT_LIMIT, "credit of the whole connection at its start")     \
    X(initial_max_stream_data_bidi_local, BYTES, 1048576, 0, VARINT_LIMIT,                                   \
      "credit of a bidirectional stream that we open")                                                       \
    X(initial_max_stream_data_bidi_remote, BYTES, 1048576, 0, VARINT_LIMIT,                                  \
      "credit of a bidirectional stream that the peer opens")                                                \
    X(initial_max_stream_data_uni, BYTES, 1048576, 0, VARINT_LIMIT,                                          \
      "credit of a unidirectional stream that the peer opens")                                               \
    X(initial_max_streams_bidi, COUNT, 100, 0, STREAMS_LIMIT,                                                \
      "bidirectional streams that the peer may have open")                                                   \
    X(initial_max_streams_uni, COUNT, 100, 0, STREAMS_LIMIT,                                                 \
      "unidirectional streams that the peer may have open")                                                  \
    X(ack_delay_exponent, COUNT, 3, 0, 20, "delays in our ACK frames are shifted right by so many bits")     \
    X(max_ack_delay, MILLISECONDS, 25, 0, 16383, "how long an acknowledgement of ours may wait")             \
    X(ack_frequency, BOOLEAN, 1, 0, 1,                                                                       \
      "acknowledgements come as often as their receiver asks (draft-ietf-quic-ack-frequency)")               \
    X(ecn, BOOLEAN, 1, 0, 1,                                                                                 \
      "packets leave marked with ECT(0) where the path and the peer carry that, and CE marks are taken for " \
      "losses; what comes marked is acknowledged as such anyway")                                            \
    X(key_update_packets, COUNT, 0, 0, VARINT_LIMIT,                                                         \
      "packets after which 1-RTT keys are updated (RFC 9001 §6); 0: with AES-GCM as for four millions, "    \
      "which is the most, with ChaCha20-Poly1305 any number")                                                \
    X(key_update_bytes, BYTES, 0, 0, VARINT_LIMIT, "likewise bytes of what is sent; 0: any number")          \
    X(active_connection_id_limit, COUNT, 4, 2, 8, "connection IDs of the peer that we keep")                 \
    X(disable_active_migration, BOOLEAN, 0, 0, 1,                                                            \
      "tells the peer not to move to another address; what a NAT does to it is followed")                    \
    X(initial_max_path_id, COUNT, 0, 0, LIMIT_PATH_IDS - 1,                                                  \
      "paths beside the first that a connection may use at a time (draft-ietf-quic-multipath); 0: none")     \
    X(path_scheduler, CHOICE, 0, 0, 1,                                                                       \
      "which of several paths the next packet takes. min_rtt: the one with the least round-trip time that "  \
      "has room in its window; redundant: what is in flight on one is sent on the others, too")              \
    X(couple_paths, BOOLEAN, 1, 0, 1,                                                                        \
      "several paths grow as one connection, in case they share a bottleneck (RFC 6356); false: each as if " \
      "it were alone, where one knows that they do not")                                                     \
    X(use_preferred_address, BOOLEAN, 1, 0, 1,                                                               \
      "a client goes to the address that its server prefers, once that is proved")                           \
    X(max_connection_window, BYTES, 25165824, 0, VARINT_LIMIT,                                               \
      "the window of the whole connection grows by itself up to this")                                       \
    X(max_stream_window, BYTES, 16777216, 0, VARINT_LIMIT,                                                   \
      "the window of a stream grows by itself up to this")                                                   \
    X(send_buffer, BYTES, 0, 0, UINT32_MAX,                                                                  \
      "bytes of a stream kept until they are acknowledged; 0: as the congestion window asks for")            \
    X(reset_stream_at, BOOLEAN, 1, 0, 1,                                                                     \
      "resets that leave the beginning of a stream are taken (draft-ietf-quic-reliable-stream-reset)")       \
    X(max_datagram_frame_size, BYTES, 0, 0, 65535,                                                           \
      "DATAGRAM frames (RFC 9221) of up to so many bytes are taken; 65535: of any size; 0: none")            \
    X(datagram_send_count, COUNT, 256, 1, 65536, "datagrams that wait to be sent; the oldest gives way")     \
    X(datagram_send_bytes, BYTES, 262144, 1, UINT32_MAX, "bytes of memory that they have")                   \
    X(datagram_receive_count, COUNT, 256, 1, 65536,                                                          \
      "datagrams that came and no one has read; the oldest gives way")                                       \
    X(datagram_receive_bytes, BYTES, 262144, 1, UINT32_MAX, "bytes of memory that these have")               \
    X(max_send_buffer, BYTES, 0, 0, VARINT_LIMIT,                                                            \
      "bytes of all streams of a connection kept until they are acknowledged; each that holds none may "     \
      "have 2 KiB beside that; 0: as memory_limit allows")                                                   \
    X(keep_alive, MILLISECONDS, 0, 0, UINT32_MAX,                                                            \
      "a PING when nothing came for so long; 0: only while somebody asks for it")                            \
    X(handshake_timeout, MILLISECONDS, 10000, 1, UINT32_MAX, "a handshake that takes longer fails")          \
    X(max_connections, COUNT, 65536, 1, UINT32_MAX,                                                          \
      "connections of a server's endpoint; above it new ones are refused")                                   \
    X(handshake_rate, COUNT, 500, 0, 1000000,                                                                \
      "handshakes that a server can sign in a second: near it addresses are proved first, by Retry; "        \
      "0: any number; not set: follows the kind of its keys and the library that signs")                     \
    X(initial_rtt, MILLISECONDS, 333, 1, 60000, "the round-trip time before one is measured")                \
    X(retry, CHOICE, 0, 0, 2,                                                                                \
      "whether a server has addresses proved by Retry before it begins a handshake: auto: near "             \
      "handshake_rate, above retry_above, and when memory is short; always; never: whom auto would ask is "  \
      "not heard until it comes again. In Lua also false (auto), true (always), a number: retry_above, or "  \
      "of a server that listens a function: docs/addresses.md")                                              \
    X(retry_above, COUNT, LIMIT_HALF_OPEN, 0, LIMIT_HALF_OPEN,                                               \
      "handshakes under way from which on every new address is asked by Retry")                              \
    X(verify_peer, BOOLEAN, 1, 0, 1, "a client verifies the server's certificate; pins hold without")        \
    X(certificate_compression, BOOLEAN, 1, 0, 1,                                                             \
      "certificates travel compressed (RFC 8879) between peers that have zlib")                              \
    X(ocsp, BOOLEAN, 0, 0, 1,                                                                                \
      "a client that verifies asks for an OCSP response with the certificate, and checks it if it comes")    \
    X(ocsp_required, BOOLEAN, 0, 0, 1, "it does so, and refuses servers that show none")                     \
    X(client_certificate, CHOICE, 0, 0, 2,                                                                   \
      "whether a server asks its clients for certificates, which have to lead to `client_ca`; require: "     \
      "it refuses those that have none")                                                                     \
    X(keep_certificates, BOOLEAN, 0, 0, 1,                                                                   \
      "a client's connections keep what the server showed; a server's keep what a client did anyway")        \
    X(source_connection_id_size, BYTES, 8, 0, 20, "size of our connection IDs; a server's are at least 4")   \
    X(congestion_control, CHOICE, 1, 0, 3,                                                                   \
      "what says how much may be in flight: newreno of RFC 9002, cubic of RFC 9438, bbr: BBRv3 "             \
      "(draft-ietf-ccwg-bbr), steered: the application; in Lua also a name that neap.cc.register was given") \
    X(pacing, BOOLEAN, 1, 0, 1, "packets leave spread over time")                                            \
    X(resumption, BOOLEAN, 1, 0, 1,                                                                          \
      "a client keeps sessions and resumes them, a server gives tickets for that and takes them")            \
    X(early_data, BOOLEAN, 0, 0, 1,                                                                          \
      "0-RTT: a client that resumes may send at once, a server may read that; others may send it again")     \
    X(strike_entries, COUNT, 65536, 16, 268435456,                                                           \
      "ClientHellos with early data that a strike register keeps for half a minute, 4 bytes each")           \
    X(ticket_lifetime, MILLISECONDS, 86400000, 0, 604800000,                                                 \
      "a server's session tickets are good for so long, in whole seconds, rounded up; 0: it gives none")     \
    X(token_lifetime, MILLISECONDS, 86400000, 0, 604800000,                                                  \
      "tokens that a server gives its clients prove their address for so long, once each, when they come "   \
      "again; 0: it gives none")                                                                             \
    X(token_entries, COUNT, 4096, 8, 16777216,                                                               \
      "tokens that were used and are remembered, 16 bytes each; what has no room proves nothing")            \
    X(address_tokens, BOOLEAN, 1, 0, 1,                                                                      \
      "a client keeps such tokens by its servers' names, and shows each once")                               \
    X(certificate_ttl, MILLISECONDS, 3600000, 0, 31536000000,                                                \
      "what the function `certificate` gave for a name is used for so long before it is asked again, or "    \
      "until it is over, of up to 256 names; 0: it is asked for every handshake")                            \
    X(crl_grace, MILLISECONDS, 0, 0, 31536000000,                                                            \
      "a revocation list is good for so long after the time of its next update; then its issuer's "          \
      "certificates are refused")                                                                            \
    X(clock_floor, COUNT, 0, 0, UINT64_C(1) << 40,                                                           \
      "a wall clock that says less, in seconds since 1970, was not set: the time is unknown, and dates are " \
      "checked as soon as it is known; 0: it is believed")                                                   \
    X(grease, BOOLEAN, 1, 0, 1,                                                                              \
      "reserved values are sent, in TLS as well by clients, so that peers stay used to unknown ones, and "   \
      "the QUIC Bit is drawn for peers that allow it (RFC 9287)")                                            \
    X(original_version, CHOICE, 0, 0, 1,                                                                     \
      "the QUIC version of a client's first packets. oldest: of those in `versions` the one that most "      \
      "servers speak; preferred: the first of them. A session's goes before either")                         \
    X(spin_bit, BOOLEAN, 0, 0, 1,                                                                            \
      "observers may measure the round-trip time (RFC 9000 §17.4), but for one path in 16")

/* The words of choices, by value. */
#define OPTION_WORDS_LIST(X)                            \
    X(original_version, "oldest", "preferred")          \
    X(path_scheduler, "min_rtt", "redundant")           \
    X(client_certificate, "none", "request", "require") \
    X(retry, "auto", "always", "never")                 \
    X(congestion_control, "newreno", "cubic", "bbr", "steered")

enum option {
#define X(name, unit, preset, least, greatest, text) OPTION_##name,
    OPTION_LIST(X)
#undef X
        OPTIONS
};

#endif
