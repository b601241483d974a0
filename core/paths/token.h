/* Address validation tokens (RFC 9000 §8.1) and stateless reset tokens (§10.3.2), under keys derived from one static
 * secret by separate labels. */
#ifndef NEAP_PATHS_TOKEN_H
#define NEAP_PATHS_TOKEN_H

#include "crypto/crypto.h"
#include "neap.h"

#define TOKEN_RETRY_LIFETIME 10 /* seconds */
#define TOKEN_CLOCK_TOLERANCE 5 /* seconds that the clocks of machines with one static secret may be apart */

struct token_keys {
    uint8_t seal[16];        /* AES-128-GCM, Retry tokens */
    struct hmac_state reset; /* HMAC-SHA256, stateless reset tokens */
};

void neap_token_keys_derive(struct token_keys *keys, const uint8_t secret[32]);

struct retry_token {
    neap_cid original_dcid, retry_scid;
    uint32_t version;
    int64_t issued; /* seconds since 1970: of the clock that machines share */
};
/** Seal: bound to the peer's address (IP and port) as associated data; the nonce is random and stands in front.
 * Returns the size, or negative. `out` has LIMIT_TOKEN bytes. */
int64_t neap_retry_token_seal(struct crypto *crypto, const struct token_keys *keys,
                              const struct retry_token *token, const neap_address *peer, uint8_t *out,
                              size_t size);
/** Whether this is from a Retry of ours, whatever its secret: by size and mark, nothing is opened. A token of somebody
 * else passes once in 2^32. */
bool neap_is_retry_token(struct span bytes);
/** Open: NEAP_ERR_TOKEN when it is not ours, of another address, or older than TOKEN_RETRY_LIFETIME at `now` (seconds
 * since 1970), give or take TOKEN_CLOCK_TOLERANCE. The caller compares version and retry_scid. */
int neap_retry_token_open(struct crypto *crypto, const struct token_keys *keys, struct span bytes,
                          const neap_address *peer, int64_t now, struct retry_token *out);
/** The stateless reset token of one of our connection IDs, where it leads to the server of this ID (at most 15 bytes; empty: any
 * server with these keys). */
void neap_reset_token(const struct token_keys *keys, const neap_cid *cid, struct span server_id,
                      uint8_t out[16]);

#endif
