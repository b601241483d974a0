/* Packet number spaces, and the phases of the keys that all 1-RTT packets share. */
#ifndef NEAP_QUIC_SPACES_H
#define NEAP_QUIC_SPACES_H

#include "crypto/packet_keys.h"
#include "recovery/ack.h"
#include "recovery/loss.h"
#include "streams/crypto_stream.h"

/* One packet number space (RFC 9000 §12.3). Without keys it is dead: not begun, or over. */
struct number_space {
    struct packet_key read, write;
    struct ack_state ack;
    struct space_recovery recovery;
    struct crypto_stream *crypto; /* in the handshake block; of 1-RTT, NULL while there is nothing of it */
    uint64_t next_number;
    /* Of 1-RTT: where the phases of the keys begin (RFC 9001 §6). */
    uint64_t read_start;  /* lowest number received in the current read phase; UINT64_MAX none */
    uint64_t write_start; /* first number sent in the current write phase */
    uint64_t skip_at;     /* the next number that is left out on purpose (RFC 9000 §21.4); of 1-RTT only */
    uint8_t probes;       /* probe packets owed (RFC 9002 §6.2.4) */
    bool ack_again;   /* an ACK may have been lost: the next packet carries one, though nothing new came */
    uint8_t ack_only; /* packets in a row that nothing will acknowledge */
};

/* The phases of 1-RTT keys (RFC 9001 §6). The current keys are in the application space. */
struct key_phases {
    struct packet_key next_read; /* made ahead, so that an update takes no time that can be seen (§6.3) */
    uint8_t read_secret[CRYPTO_MAX_HASH];  /* of next_read */
    uint8_t write_secret[CRYPTO_MAX_HASH]; /* of the current write key */
    uint64_t forged;                       /* packets that did not open, of all phases */
    uint64_t updates;
    uint64_t bytes_before; /* sent before the current write phase */
    neap_time previous_until;
    neap_time confirmed_at; /* when a packet of the current write phase was first acknowledged; NEAP_NEVER */
    /* from here on: what packets touch */
    uint64_t sealed; /* packets sealed in the current write phase */
    bool read_phase, write_phase;
    bool answered;                    /* an ACK left in the current phase: the peer may update again */
    struct packet_key *previous_read; /* for packets that come late; NULL: none, as after previous_until */
};

#endif
