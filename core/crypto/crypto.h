/* The crypto seam: everything that neap needs of a cryptographic library, in our own nouns. Back ends live in folders
 * below (mbedtls/ or psa/ always, sodium/ where the build found it); nothing outside of core/crypto includes their headers.
 * A `struct crypto` belongs to one thread: it owns the random generator and says which engine computes AES-GCM. */
#ifndef NEAP_CRYPTO_CRYPTO_H
#define NEAP_CRYPTO_CRYPTO_H

#include "base/failure.h"
#include "base/random.h"
#include "base/span.h"

struct pool;
struct crypto;

#define CRYPTO_MAX_HASH 48u
#define CRYPTO_MAX_KEY 32u
#define CRYPTO_TAG 16u
#define CRYPTO_IV 12u
#define CRYPTO_MAX_SHARE 1216u    /* an encapsulation key of ML-KEM-768 and a key of X25519 */
#define CRYPTO_MAX_SIGNATURE 512u /* RSA-4096 */

/* ---- wall clocks: seconds since 1970, or negative where nobody knows what time it is */

#define TIME_UNKNOWN INT64_C(-1)

static inline bool time_is_known(int64_t wall_clock)
{
    return wall_clock >= 0;
}

/* When something is valid, both seconds included. */
struct validity {
    int64_t since, until;
};

static inline bool validity_has(const struct validity *validity, int64_t wall_clock)
{
    return wall_clock >= validity->since && wall_clock <= validity->until;
}

/* No longer than the other too. */
static inline void validity_narrow(struct validity *validity, const struct validity *other)
{
    if (other->since > validity->since)
        validity->since = other->since;
    if (other->until < validity->until)
        validity->until = other->until;
}

/* ---- one crypto of a config */

/** NULL without memory. `seed` starts the generator (see crypto_random). */
struct crypto *neap_crypto_new(struct pool *pool, const uint8_t seed[32]);
void neap_crypto_free(struct crypto *crypto);
struct random *neap_crypto_random(struct crypto *crypto);
/** Microseconds of a core of 2021 that a server's handshake takes, without the signature. */
unsigned neap_crypto_handshake_cost(const struct crypto *crypto);
/** Microseconds of the same core that peers' signatures have taken so far, and what key exchange took more than by X25519. */
uint64_t neap_crypto_work(const struct crypto *crypto);
/** Compute AES-GCM with the engine of this name (NULL, or one that is not here: the fastest of the machine's). Before
 * any key is used. */
void neap_crypto_choose(struct crypto *crypto, const char *engine);
const char *neap_crypto_engine(const struct crypto *crypto);
/** Whether that is in CPU instructions, and so faster than ChaCha20-Poly1305. */
bool neap_crypto_is_accelerated(const struct crypto *crypto);

/* ---- hashes, HMAC, HKDF (RFC 5869, RFC 8446 §7.1) */

enum crypto_hash { HASH_SHA256, HASH_SHA384 };

static inline size_t crypto_hash_size(enum crypto_hash hash)
{
    return hash == HASH_SHA256 ? 32 : 48;
}

/* A running hash that can be copied: the TLS transcript. It has room for the back end's largest context, so that
 * hashing never allocates and cannot fail. */
struct hash_state {
    enum crypto_hash hash;
    uint64_t context[32];
};
void neap_hash_start(struct hash_state *s, enum crypto_hash hash);
void neap_hash_update(struct hash_state *s, struct span data);
/** The hash of what was added so far; the state goes on. */
void neap_hash_peek(const struct hash_state *s, uint8_t *out);
/** The hash of all that was added; the state is over, and wiped. */
void neap_hash_end(struct hash_state *s, uint8_t *out);
/** Another state that goes on from the same place: only as much is copied as its hash takes. */
void neap_hash_copy(struct hash_state *to, const struct hash_state *from);
void neap_hash_free(struct hash_state *s);
void neap_hash(enum crypto_hash hash, struct span data, uint8_t *out);
void neap_hmac(enum crypto_hash hash, struct span key, struct span data, uint8_t *out);
void neap_hkdf_extract(enum crypto_hash hash, struct span salt, struct span secret, uint8_t *out);
void neap_hkdf_expand(enum crypto_hash hash, struct span prk, struct span info, uint8_t *out, size_t size);
/* HMAC with its two hashes behind the padded key, which is half of the work for short data: for keys that are used again. */
struct hmac_state {
    struct hash_state inner, outer;
};
void neap_hmac_start(struct hmac_state *h, enum crypto_hash hash, struct span key);
/** The MAC of `data`; the state serves for others. */
void neap_hmac_of(const struct hmac_state *h, struct span data, uint8_t *out);
/* A secret of crypto_hash_size bytes that several labels expand. */
struct hkdf_secret {
    struct hmac_state prk;
};
void neap_hkdf_secret_start(struct hkdf_secret *out, enum crypto_hash hash, const uint8_t *secret);
/** HKDF-Expand-Label with the "tls13 " prefix; size <= 255. */
void neap_hkdf_secret_expand(const struct hkdf_secret *secret, const char *label, struct span context,
                             uint8_t *out, size_t size);
void neap_hkdf_secret_wipe(struct hkdf_secret *secret);
/** The same for a secret with one label. */
void neap_hkdf_expand_label(enum crypto_hash hash, const uint8_t *secret, const char *label,
                            struct span context, uint8_t *out, size_t size);

/* ---- AEAD (RFC 8446 suites; 12-byte nonce, 16-byte tag) */

enum crypto_suite { /* the TLS cipher suites, by their wire numbers */
                    SUITE_AES_128_GCM_SHA256 = 0x1301,
                    SUITE_AES_256_GCM_SHA384 = 0x1302,
                    SUITE_CHACHA20_POLY1305_SHA256 = 0x1303,
};
bool neap_suite_is_known(uint16_t suite);
/** The suite of a name of IANA's registry (whatever the case of its letters), 0 when it is unknown. */
uint16_t neap_suite_find(const char *name);
/** The name, NULL for an unknown suite. */
const char *neap_suite_name(uint16_t suite);
size_t neap_suite_key_size(enum crypto_suite suite);
enum crypto_hash neap_suite_hash(enum crypto_suite suite);

/** One-shot seal: `out` gets size + 16 bytes and may be `in` itself. Retry integrity tags, tokens, tests. */
int neap_aead_seal(struct crypto *crypto, enum crypto_suite suite, const uint8_t *key, const uint8_t iv[12],
                   struct span aad, const uint8_t *in, size_t size, uint8_t *out);
/** Open in place or aside: `size` includes the tag; returns 0, or NEAP_ERR_CRYPTO when the tag does not fit. */
int neap_aead_open(struct crypto *crypto, enum crypto_suite suite, const uint8_t *key, const uint8_t iv[12],
                   struct span aad, const uint8_t *in, size_t size, uint8_t *out);

/** One block of AES-128 as it stands, without any mode: for connection IDs that a load balancer reads. `in` may be `out`.
 * 0 or NEAP_ERR_CRYPTO. */
int neap_aes128_block(const uint8_t key[16], bool decrypts, const uint8_t in[16], uint8_t out[16]);

/* ---- key exchange, shaped as a KEM: the client makes a share, the server answers with a share and a secret */

enum crypto_group {
    GROUP_SECP256R1 = 0x0017,
    GROUP_SECP384R1 = 0x0018,
    GROUP_X25519 = 0x001d,
    GROUP_X25519MLKEM768 = 0x11ec, /* draft-ietf-tls-ecdhe-mlkem */
};
/** Whether neap knows the group, with this build's libraries or others. */
bool neap_group_is_known(uint16_t group);
/** Whether shares of it can be made: ML-KEM is in the newest of libraries only. */
bool neap_group_is_supported(const struct crypto *crypto, uint16_t group);
/** The group of a name of IANA's registry (whatever the case of its letters), 0 when it is unknown. */
uint16_t neap_group_find(const char *name);
/** The name, NULL for an unknown group. */
const char *neap_group_name(uint16_t group);

struct key_share {
    uint16_t group;
    uint8_t private_key[96]; /* of ML-KEM its seed, then the one of X25519 */
    uint8_t public_key[CRYPTO_MAX_SHARE];
    size_t public_size, private_size;
};
/** Client: a fresh share. */
int neap_share_generate(struct crypto *crypto, uint16_t group, struct key_share *out);
/** Server: from the client's public key make ours and the shared secret (`secret` has 64 bytes of room).
 * NEAP_ERR_CRYPTO for a point not on the curve or an all-zero result. */
int neap_share_encapsulate(struct crypto *crypto, uint16_t group, struct span peer, struct key_share *ours,
                           uint8_t *secret, size_t *secret_size);
/** The share of X25519 that is a part of a hybrid one: both may be offered at once, with the same key
 * (draft-ietf-tls-hybrid-design §3.2). The caller wipes it. */
void neap_share_x25519(const struct key_share *hybrid, struct key_share *out);
/** Client: the shared secret from the server's public key. */
int neap_share_decapsulate(struct crypto *crypto, const struct key_share *ours, struct span peer,
                           uint8_t *secret, size_t *secret_size);

/* ---- signatures */

enum crypto_scheme { /* RFC 8446 §4.2.3 */
                     SCHEME_ECDSA_SECP256R1_SHA256 = 0x0403,
                     SCHEME_ECDSA_SECP384R1_SHA384 = 0x0503,
                     SCHEME_RSA_PSS_RSAE_SHA256 = 0x0804,
                     SCHEME_RSA_PSS_RSAE_SHA384 = 0x0805,
                     SCHEME_RSA_PSS_RSAE_SHA512 = 0x0806,
                     SCHEME_ED25519 = 0x0807,
};
/** Schemes that this build can verify, strongest wish first; count in *count; static. */
const uint16_t *neap_schemes(size_t *count);

/** A certificate chain with its private key: ours, for CertificateVerify. */
struct identity;
/** PEM or DER; checks that key and leaf fit: signs and verifies. NULL on failure with *why filled (NEAP_ERR_CERTIFICATE,
 * _UNSUPPORTED, _NO_MEMORY). An Ed25519 key without libsodium is NEAP_ERR_UNSUPPORTED. */
struct identity *neap_identity_new(struct crypto *crypto, struct span chain, struct span key,
                                   struct failure *why);
/** One more hold on it, for which neap_identity_free is called as well; NULL is fine. */
struct identity *neap_identity_retain(struct identity *identity);
void neap_identity_free(struct identity *identity);
size_t neap_identity_chain_count(const struct identity *identity);
/** SHA-256 of the leaf, 32 bytes: by it sessions are bound to the certificate, in every handshake. */
const uint8_t *neap_identity_digest(const struct identity *identity);
/** The DER of a certificate of the chain, leaf first. */
struct span neap_identity_chain(const struct identity *identity, size_t index);
/** An OCSP response about the leaf in DER (RFC 6960), to be shown with it: copied; empty: none any more. It has to be one of
 * success and about the leaf; whether its signature is good is for clients to find. 0; NEAP_ERR_CERTIFICATE, NEAP_ERR_LIMIT,
 * NEAP_ERR_NO_MEMORY: then the one before stays. */
int neap_identity_set_staple(struct identity *identity, struct span response, struct failure *why);
/** It, until the time of its next update; then and without one empty. */
struct span neap_identity_staple(const struct identity *identity, int64_t wall_clock);
/** The second since 1970 from which the leaf, or the OCSP response where there is one, is over. */
int64_t neap_identity_end(const struct identity *identity);
/** A message that was made of the chain once, with or without the staple, to be sent in every handshake: false before. Empty:
 * it was found not to be worth while. */
bool neap_identity_compressed(const struct identity *identity, bool with_staple, struct span *bytes);
/** Keep it: the identity's from now on, in a room of the pool's of exactly its size (or empty), and freed with it. */
void neap_identity_set_compressed(struct identity *identity, bool with_staple, struct span bytes);
/** About how many handshakes a core of a server signs in a second with this key and its library; 0: nobody knows, the key
 * lives elsewhere. Of the kind and the size of the key alone, so that it is the same on every machine. */
unsigned neap_identity_handshake_rate(const struct identity *identity);
/** The first of the peer's `schemes` (wire order, big-endian pairs) that this key can use, 0 when none. */
uint16_t neap_identity_scheme(const struct identity *identity, struct span schemes);
/** Whether its certificates, but those that are signed by themselves, are signed as these schemes say (RFC 8446 §4.4.2.2). */
bool neap_identity_suits(const struct identity *identity, struct span schemes);
/** Whether the authority of this name (a whole DER element) issued a certificate of the chain. */
bool neap_identity_is_issued_by(const struct identity *identity, struct span name);
struct signature {
    size_t size;
    uint8_t bytes[CRYPTO_MAX_SIGNATURE];
};
/** Sign `message` (not a hash) with the key of the identity. 0, NEAP_ERR_UNSUPPORTED (a scheme that the key cannot, or
 * the key is elsewhere) or NEAP_ERR_CRYPTO. */
int neap_identity_sign(struct identity *identity, uint16_t scheme, struct span message,
                       struct signature *out);
/** Sign `message` with a private key, PEM or DER, that belongs to no certificate here: for who signs for others. 0, or a
 * negative code with *why. */
int neap_key_sign(struct crypto *crypto, struct span key, uint16_t scheme, struct span message,
                  struct signature *out, struct failure *why);
/** A chain whose private key is elsewhere: it is not asked here for any signature. As neap_identity_new. */
struct identity *neap_identity_new_without_key(struct crypto *crypto, struct span chain, struct failure *why);
bool neap_identity_has_key(const struct identity *identity);
/** Its DER, where TLS over streams may need it; empty for a key that is elsewhere, for Ed25519, and in builds without. */
struct span neap_identity_key(const struct identity *identity);
/** Whether a signature that somebody else made over `message` is the leaf's. 0 or NEAP_ERR_CRYPTO. */
int neap_identity_verify(const struct identity *identity, uint16_t scheme, struct span message,
                         struct span signature);
#define CRYPTO_MAX_DIGEST 64u
/** What a device that signs digests is given for a scheme: the digest of `message`, and its size; 0 for Ed25519, which
 * signs messages. */
size_t neap_scheme_digest(uint16_t scheme, struct span message, uint8_t out[CRYPTO_MAX_DIGEST]);

/** Roots and pins that a peer's chain is checked against. */
struct trust;
struct trust *neap_trust_new(struct crypto *crypto);
void neap_trust_free(struct trust *trust);
/** Add a PEM bundle or one DER. Certificates that cannot be parsed are skipped when others are good. */
int neap_trust_add(struct trust *trust, struct span roots, struct failure *why);
/** Where roots stay: `read` fills `size` bytes from an offset, or is not 0; `release` (NULL: nothing) ends it. */
struct root_source {
    int (*read)(void *context, uint64_t offset, uint8_t *out, size_t size);
    void (*release)(void *context);
    void *context;
};
/** Trust the roots of PEM text that `source` gives again later, a few at a time: only an index is kept. The source is the
 * trust's when 0 is returned, which has one at most: NEAP_ERR_STATE for a second. Else as neap_trust_add. */
int neap_trust_add_source(struct trust *trust, struct span text, const struct root_source *source,
                          struct failure *why);
int neap_trust_add_pin(struct trust *trust, const uint8_t sha256[32]);
/** What a pin of the first certificate of PEM text or DER is. 0, NEAP_ERR_CERTIFICATE or NEAP_ERR_NO_MEMORY. */
int neap_certificate_digest_key(struct crypto *crypto, struct span certificate, uint8_t sha256[32]);
/** Revocation lists of authorities, of one or more trusts. */
struct revocations;
struct revocations *neap_revocations_new(struct crypto *crypto);
void neap_revocations_free(struct revocations *revocations);
/** Add PEM text with one or more lists, or DER. All of them must be good. */
int neap_revocations_add(struct revocations *revocations, struct span lists, struct failure *why);
/** Whether list `index`, in the order in which they were added, is one for `wall_clock`, whatever is granted to it beyond its
 * next update: 1, or 0 and a text in `why`, which lives until the next one with this crypto; -1: there are not so many. */
int neap_revocations_is_current(const struct revocations *revocations, struct crypto *crypto, size_t index,
                                int64_t wall_clock, struct failure *why);
/** How many seconds a list is good for after the time of its next update. */
void neap_revocations_set_grace(struct revocations *revocations, int64_t seconds);
/** Certificates are checked against these lists (NULL: none), which stay the caller's and outlive the trust. */
void neap_trust_set_revocations(struct trust *trust, struct revocations *revocations);
/** Whether there are such lists. `trust` may be NULL. */
bool neap_trust_has_revocations(const struct trust *trust);
size_t neap_trust_count(const struct trust *trust); /* roots */
size_t neap_trust_pin_count(const struct trust *trust);
/** Whether it has neither roots nor pins, so that nobody is believed by it. `trust` may be NULL. */
bool neap_trust_is_empty(const struct trust *trust);
/** The name of a root that neap_trust_add added: a whole DER element. */
struct span neap_trust_subject(const struct trust *trust, size_t index);
/* Whether a server is asked for an OCSP response (RFC 6960) about its certificate, and what it is without one. */
enum staple_demand { STAPLE_IGNORED, STAPLE_IF_PRESENT, STAPLE_REQUIRED };
/** A digest of all roots, pins and revocation lists with their grace, and of whether chains are verified, and how: what a
 * server was known by once it is known by again, as long as this is the same. `trust` may be NULL. That of what is in the trust
 * is kept, so that asking again costs nothing. */
void neap_trust_fingerprint(struct trust *trust, bool verifies, enum staple_demand demand, uint8_t out[32]);

/** A peer's parsed chain, while its handshake runs. */
struct peer_chain;
/** Parse (each DER is copied). Certificates behind the leaf that cannot be parsed are left out. On failure *why has the TLS
 * alert's code as NEAP_CRYPTO_ERROR + alert (bad_certificate 42, unsupported_certificate 43). */
struct peer_chain *neap_peer_chain_new(struct crypto *crypto, const struct span *ders, size_t count,
                                       struct failure *why);
void neap_peer_chain_free(struct peer_chain *chain);
/** Check name (DNS or IP literal, matched against the SAN; NULL: any), dates (`wall_clock`, seconds since 1970), key
 * and extended key usage for a server (is_server) or client peer, the path to a root, and pins. 0, or
 * NEAP_CRYPTO_ERROR + alert: unknown_ca 48, certificate_expired 45, certificate_revoked 44, bad_certificate 42,
 * unsupported_certificate 43, certificate_unknown 46; the reason lives until the next check with this crypto. What the
 * peer can make it cost is bounded by LIMIT_CHAIN_WORK and _NAMES. TIME_UNKNOWN: no dates are checked, neither of
 * certificates nor of lists and responses, all else is. */
int neap_peer_chain_verify(struct peer_chain *chain, const struct trust *trust, const char *name,
                           bool peer_is_server, int64_t wall_clock, struct failure *why);
/** The response that came (empty: none), which stays the caller's until the chain was verified. neap_peer_chain_verify then
 * refuses with certificate_revoked 44 or bad_certificate_status_response 113 as well; it takes two more signatures.
 * STAPLE_IF_PRESENT is STAPLE_REQUIRED of a leaf that says there is one (RFC 7633). */
void neap_peer_chain_set_staple(struct peer_chain *chain, struct span response, enum staple_demand demand);
/** Check nothing but that the leaf's key is one of the pins. 0 also when there are none (trust may be NULL), or
 * NEAP_CRYPTO_ERROR + certificate_unknown. */
int neap_peer_chain_verify_pins(const struct peer_chain *chain, const struct trust *trust,
                                struct failure *why);
/** What the last check took: signatures looked at, those of them that were verified before and remembered, and what
 * holding names against constraints cost. */
struct chain_cost {
    unsigned signatures, remembered, names;
};
struct chain_cost neap_peer_chain_cost(const struct peer_chain *chain);
/** Verify a CertificateVerify signature with the leaf's key; the scheme must fit the key. 0 or NEAP_ERR_CRYPTO. */
int neap_peer_chain_verify_signature(struct peer_chain *chain, uint16_t scheme, struct span message,
                                     struct span signature);
/** Whether the last check left out dates, and when its answer is as good as one that did not: *out. */
bool neap_peer_chain_is_unchecked(const struct peer_chain *chain, struct validity *out);
/** The end of the leaf's validity, seconds since 1970; of a chain that was verified up to a root no later than the first end on
 * that path, of the revocation lists that speak of it, with their grace, and of the OCSP response. */
int64_t neap_peer_chain_not_after(const struct peer_chain *chain);
/** DER of a certificate, leaf first; empty behind the last. */
struct span neap_peer_chain_at(const struct peer_chain *chain, size_t index);

#endif
