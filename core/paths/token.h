/* Address validation tokens (RFC 9000 §8.1), of Retry packets and of NEW_TOKEN frames, and stateless reset tokens (§10.3.2).
 * The keys of the former change with time, as those of session tickets do: from each secret comes one for every epoch. */
#ifndef NEAP_PATHS_TOKEN_H
#define NEAP_PATHS_TOKEN_H

#include "base/limits.h"
#include "crypto/crypto.h"
#include "neap.h"

struct pool;

#define TOKEN_RETRY_LIFETIME 10 /* seconds */
#define TOKEN_CLOCK_TOLERANCE 5 /* seconds that the clocks of machines with one secret may be apart */
#define TOKEN_RETRY_EPOCH 3600  /* seconds that tokens of Retry packets have one key */
#define TOKEN_KEYS_MOST 4u

enum token_kind {
    TOKEN_OF_RETRY, /* §8.1.2: bound to address and port, for a moment */
    TOKEN_OF_FRAME, /* §8.1.3: bound to the address, good once, for as long as the server says */
    TOKEN_KINDS,
};

#define TOKEN_OF_FRAME_SIZE (4u + 4u + 1u + CRYPTO_IV + 4u + 8u + CRYPTO_TAG)

/* The first secret seals, all open. */
struct token_keys {
    uint8_t secrets[TOKEN_KEYS_MOST][32];
    uint8_t names[TOKEN_KEYS_MOST][4]; /* the same in all tokens of a secret, so that they link nobody */
    size_t count;
    struct {
        int64_t epoch; /* that the key of the first secret was derived for; negative: of none */
        uint8_t key[16];
    } sealing[TOKEN_KINDS];
    struct hmac_state reset; /* HMAC-SHA256, stateless reset tokens */
};

/** Both kinds of keys from one secret. */
void neap_token_keys_derive(struct token_keys *keys, const uint8_t secret[32]);
/** Other secrets for address validation tokens, TOKEN_KEYS_MOST at most. */
void neap_token_keys_set(struct token_keys *keys, const uint8_t (*secrets)[32], size_t count);

struct retry_token {
    neap_cid original_dcid, retry_scid;
    uint32_t version;
    int64_t issued; /* seconds since 1970: of the clock that machines share */
};
/** Seal: bound to the peer's address (IP and port) as associated data; the nonce is random and stands in front.
 * Returns the size, or negative. `out` has LIMIT_TOKEN bytes. */
int64_t neap_retry_token_seal(struct crypto *crypto, struct token_keys *keys, const struct retry_token *token,
                              const neap_address *peer, uint8_t *out, size_t size);
/** Whether this is from a Retry of ours, whatever its secret: by size and mark, nothing is opened. A token of somebody
 * else passes once in 2^32. */
bool neap_is_retry_token(struct span bytes);
/** Open: NEAP_ERR_TOKEN when it is not ours, of another address, or older than TOKEN_RETRY_LIFETIME at `now` (seconds
 * since 1970), give or take TOKEN_CLOCK_TOLERANCE. The caller compares version and retry_scid. One opening at most. */
int neap_retry_token_open(struct crypto *crypto, struct token_keys *keys, struct span bytes,
                          const neap_address *peer, int64_t now, struct retry_token *out);

/** Seal one for a NEW_TOKEN frame, at `now`, for a client at this IP address that speaks this version. `lifetime`: seconds.
 * Returns the size, or negative. */
int64_t neap_frame_token_seal(struct crypto *crypto, struct token_keys *keys, uint32_t version,
                              const neap_address *peer, int64_t now, uint32_t lifetime, uint8_t *out,
                              size_t size);
/** As neap_is_retry_token. */
bool neap_is_frame_token(struct span bytes);
/** 0 and until when it is good (seconds since 1970); NEAP_ERR_TOKEN when it is not ours, of another IP address or version, or
 * over. One opening at most. */
int neap_frame_token_open(struct crypto *crypto, struct token_keys *keys, struct span bytes, uint32_t version,
                          const neap_address *peer, int64_t now, uint32_t lifetime, int64_t *expires);

/** The stateless reset token of one of our connection IDs, where it leads to the server of this ID (at most 15 bytes; empty: any
 * server with these keys). */
void neap_reset_token(const struct token_keys *keys, const neap_cid *cid, struct span server_id,
                      uint8_t out[16]);

/* ---- tokens that were used: each proves an address once (§8.1.4). One table that never grows; what still counts is never
 * overwritten, so that what finds no room is refused. */

struct used_tokens {
    struct used_token *entries; /* NULL until the first */
    size_t count;               /* a power of two, and of those that are looked at for one */
};
/** Note that a token was used, known by the hash of its bytes, until `expires`. False: it was before, or that cannot be said
 * (no room, no memory). Looks at LIMIT_USED_TOKENS_ROW entries. */
bool neap_used_tokens_note(struct used_tokens *used, struct pool *pool, size_t most, const uint8_t id[32],
                           int64_t expires, int64_t now);
void neap_used_tokens_free(struct used_tokens *used, struct pool *pool);

#endif
