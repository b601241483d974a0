/* The key schedule of RFC 8446 §7.1, and the transcript hash that feeds it (§4.4.1). */
#ifndef NEAP_TLS_SCHEDULE_H
#define NEAP_TLS_SCHEDULE_H

#include "crypto/crypto.h"

struct schedule {
    enum crypto_suite suite;
    enum crypto_hash hash;
    bool started;
    struct hash_state transcript;
    uint8_t secret[CRYPTO_MAX_HASH]; /* the handshake secret, then the master secret */
    uint8_t client_handshake[CRYPTO_MAX_HASH], server_handshake[CRYPTO_MAX_HASH];
    uint8_t client_application[CRYPTO_MAX_HASH], server_application[CRYPTO_MAX_HASH];
};

/** Choose the hash by the suite and start the transcript. */
void neap_schedule_start(struct schedule *s, enum crypto_suite suite);
/** Add a message with its header to the transcript. */
void neap_schedule_add(struct schedule *s, struct span message);
/** After a first ClientHello that a HelloRetryRequest answers: the transcript becomes message_hash (RFC 8446 §4.4.1). */
void neap_schedule_retry(struct schedule *s);
/** The binder of a pre-shared key, of an earlier session's or an external one, over the transcript so far and a
 * ClientHello up to its binders (§4.2.11.2), crypto_hash_size(hash) bytes. The schedule need not have started: then
 * nothing came before. */
void neap_schedule_binder(const struct schedule *s, enum crypto_hash hash, struct span psk, bool is_external,
                          struct span hello, uint8_t *out);
/** The secret of early data from the pre-shared key and the whole first ClientHello (§7.1), crypto_hash_size(hash) bytes. */
void neap_schedule_early(enum crypto_hash hash, struct span psk, struct span hello, uint8_t *out);
/** Handshake traffic secrets from the pre-shared key (empty: none) and the (EC)DHE secret; the transcript ends with
 * ServerHello. */
void neap_schedule_handshake(struct schedule *s, struct span psk, struct span shared);
/** Application traffic secrets; the transcript ends with the server's Finished. */
void neap_schedule_application(struct schedule *s);
/** The exporter's, right behind them, for whom it may concern. */
void neap_schedule_exporter(const struct schedule *s, uint8_t *out);
/** The resumption master secret; the transcript ends with the client's Finished, or `finished` is it. Before
 * neap_schedule_forget_handshake. */
void neap_schedule_resumption(const struct schedule *s, struct span finished, uint8_t *out);
/** The pre-shared key of a ticket, of crypto_hash_size(hash) bytes, from that (§4.6.1). */
void neap_resumption_psk(enum crypto_hash hash, const uint8_t *resumption, struct span nonce, uint8_t *out);
/** verify_data of a Finished under the sender's handshake traffic secret over the transcript so far. */
void neap_schedule_finished(const struct schedule *s, const uint8_t *traffic_secret, uint8_t *mac);
/** The transcript's hash so far. */
void neap_schedule_peek(const struct schedule *s, uint8_t *out);
/** What Finished needed is over: forget the handshake and master secrets. */
void neap_schedule_forget_handshake(struct schedule *s);
void neap_schedule_free(struct schedule *s);

#endif
