/* Reading ClientHello, ServerHello and HelloRetryRequest (RFC 8446 §4.1): syntax, and what holds in every handshake.
 * What they mean for this handshake is decided in server.c and client.c. All spans point into the message. */
#ifndef NEAP_TLS_HELLO_H
#define NEAP_TLS_HELLO_H

#include "tls/extensions.h"

#define TLS_1_3 0x0304u
#define TLS_1_2 0x0303u /* what the version fields of old say */
#define SSL_3_0 0x0300u

/* The random of a ServerHello that is a HelloRetryRequest. */
extern const uint8_t neap_hello_retry_random[32];

struct client_hello {
    struct span fixed;     /* from the version to the compression methods: the same in a second ClientHello */
    const uint8_t *random; /* 32 bytes */
    struct span suites;    /* big-endian pairs */
    struct span extensions; /* the whole block */
    struct extensions ext;
    struct span groups;              /* supported_groups, pairs */
    struct span schemes;             /* signature_algorithms, pairs */
    struct span certificate_schemes; /* signature_algorithms_cert, else the same */
    struct span shares;              /* key_share entries */
    struct span protocols;           /* ALPN names with their lengths, not empty */
    struct span server_name;         /* host name, empty when none */
    struct span params;              /* quic_transport_parameters */
    struct span psk_identities;      /* with their ages; empty: no pre-shared key is offered */
    struct span psk_binders;         /* as many */
    bool takes_psk_dhe;              /* psk_key_exchange_modes has psk_dhe_ke */
    bool takes_staple;               /* status_request asks for OCSP */
    bool takes_zlib;                 /* compress_certificate has zlib */
};
/** Read a ClientHello's body. 0, or the alert that RFC 8446 says (RFC 9001 §8 for what QUIC adds). `needs_params`: it must
 * have transport parameters. */
int neap_hello_read_client(struct span body, bool needs_params, struct client_hello *out,
                           struct failure *why);

/** Is this 16-bit number one of a list of pairs? */
bool neap_hello_lists(struct span pairs, uint16_t number);
/** Is this protocol one of ALPN's names? */
bool neap_hello_lists_protocol(struct span protocols, struct span name);
/** Find the key that a ClientHello shares for a group: true and *key. `shares` was checked before. */
bool neap_hello_find_share(struct span shares, uint16_t group, struct span *key);

/* A pre-shared key that is offered. */
struct offered_psk {
    struct span identity, binder;
    uint32_t obfuscated_age; /* milliseconds, with the ticket's age_add */
};
/** The index-th of a ClientHello that offers any; false behind the last. */
bool neap_hello_psk(const struct client_hello *hello, size_t index, struct offered_psk *out);

struct server_hello {
    bool is_retry, takes_psk;
    uint16_t psk_index; /* with takes_psk: which of those offered, if it is one */
    uint16_t suite;
    struct extensions ext;
    uint16_t group;     /* of the share, or the one a retry asks for; 0 when a retry has none */
    struct span key;    /* the server's share */
    struct span cookie; /* of a retry */
};
/** Read the body of a ServerHello or HelloRetryRequest that answers a hello without session id, which asked for
 * `asked` (bits by enum extension). */
int neap_hello_read_server(struct span body, uint32_t asked, struct server_hello *out, struct failure *why);

#endif
