/* struct neap_config: options, identities, trust, keys of tokens (neap.h "environment and configuration"). */
#include "quic/config.h"

#include "base/fill.h"
#include "base/limits.h"
#include "base/writer.h"
#include "crypto/engine.h"
#include "recovery/cc.h"

#define X(name, ...) static const char *const words_of_##name[] = {__VA_ARGS__};
OPTION_WORDS_LIST(X)
#undef X

#define WORDS_COUNT(name) NULL
#define WORDS_BYTES(name) NULL
#define WORDS_MILLISECONDS(name) NULL
#define WORDS_BOOLEAN(name) NULL
#define WORDS_CHOICE(name) words_of_##name
static const neap_option rules[OPTIONS] = {
#define X(name, unit, preset, least, greatest, text) \
    {#name, NEAP_UNIT_##unit, preset, least, greatest, REASON_TEXT(text), WORDS_##unit(name)},
    OPTION_LIST(X)
#undef X
};

static int start_crypto(neap_config *config)
{
    uint8_t seed[32];
    uint8_t secret[32];

    if (config->env.random(config->env.context, seed, sizeof seed))
        return NEAP_ERR_RANDOM;
    config->crypto = neap_crypto_new(config->pool, seed);
    neap_wipe(seed, sizeof seed);
    if (!config->crypto)
        return NEAP_ERR_NO_MEMORY;
    struct random_source source = {
        .random = config->env.random, .generation = config->env.generation, .context = config->env.context};
    neap_random_set_source(neap_crypto_random(config->crypto), &source,
                           config->env.wall_clock(config->env.context));
    neap_random_bytes(neap_crypto_random(config->crypto), secret, sizeof secret);
    neap_token_keys_derive(&config->tokens, secret);
    neap_random_bytes(neap_crypto_random(config->crypto), secret, sizeof secret);
    neap_ticket_keys_set(&config->tls.tickets, (const uint8_t(*)[32]) & secret, 1);
    neap_wipe(secret, sizeof secret);
    config->tls.trust = neap_trust_new(config->crypto);
    return config->tls.trust ? 0 : NEAP_ERR_NO_MEMORY;
}

int64_t neap_config_wall_clock(const neap_config *config)
{
    int64_t now = config->env.wall_clock(config->env.context);

    return now >= (int64_t)config_option(config, OPTION_clock_floor) ? now : TIME_UNKNOWN;
}

/* What TLS reads of the options. */
static void tell_tls(neap_config *config)
{
    if (config->revocations)
        neap_revocations_set_grace(config->revocations,
                                   (int64_t)(config_option(config, OPTION_crl_grace) / 1000));
    config->tls.verify_peer = config_option(config, OPTION_verify_peer) != 0;
    config->tls.certificate_ttl = (uint32_t)(config_option(config, OPTION_certificate_ttl) / 1000);
    config->tls.staple = config_option(config, OPTION_ocsp_required) ? STAPLE_REQUIRED
                         : config_option(config, OPTION_ocsp)        ? STAPLE_IF_PRESENT
                                                                     : STAPLE_IGNORED;
    config->tls.grease = config_option(config, OPTION_grease) != 0;
    config->tls.compression = config_option(config, OPTION_certificate_compression) != 0;
    config->tls.client_certificate =
        (enum certificate_demand)config_option(config, OPTION_client_certificate);
    config->tls.resumption = config_option(config, OPTION_resumption) != 0;
    config->tls.early_data = config_option(config, OPTION_early_data) != 0;
    config->tls.ticket_lifetime = (uint32_t)((config_option(config, OPTION_ticket_lifetime) + 999) / 1000);
}

static void speak_all(neap_config *config)
{
    size_t count;
    const struct version *all = neap_versions(&count);

    for (size_t i = 0; i < count; i++)
        config->versions[i] = all[i].number;
    config->version_count = (uint8_t)count;
}

neap_config *neap_config_create(const neap_env *env)
{
    return neap_config_create_in(neap_pool_new(env->realloc, env->context, env->memory_limit), env);
}

neap_config *neap_config_create_in(struct pool *pool, const neap_env *env)
{
    neap_config *config = pool ? neap_pool_alloc_lasting(pool, sizeof *config) : NULL;

    if (!config) {
        if (pool)
            neap_pool_release(pool);
        return NULL;
    }
    config->pool = pool;
    config->references = 1;
    config->env = *env;
    config->budget.receive_most = env->memory_limit / LIMIT_RECEIVE_SHARE;
    config->budget.send_most = env->memory_limit / LIMIT_SEND_SHARE;
    for (size_t i = 0; i < OPTIONS; i++)
        config->options[i] = rules[i].default_value;
    speak_all(config);
    if (start_crypto(config)) {
        neap_config_free(config);
        return NULL;
    }
    config->tls.crypto = config->crypto;
    config->tls.pool = pool;
    config->sessions.pool = pool;
    config->identities.pool = pool;
    config->tls.identities = &config->identities;
    config->tls.store = &config->sessions;
    neap_psks_start(&config->psks, pool, neap_crypto_random(config->crypto));
    config->tls.psks = &config->psks;
    tell_tls(config);
    return config;
}

void neap_config_choose_engine(neap_config *config, const char *engine)
{
    neap_crypto_choose(config->crypto, engine);
}

const char *neap_config_engine(const neap_config *config)
{
    return neap_crypto_engine(config->crypto);
}

const char *neap_engine_name(size_t index)
{
    const struct engine *engine = neap_engine_at(index);

    return engine ? engine->name : NULL;
}

neap_config *neap_config_retain(neap_config *config)
{
    config->references++;
    return config;
}

static void drop_strike(neap_config *config)
{
    if (config->strike_release)
        config->strike_release(config->tls.strike_context);
    config->strike_release = NULL;
}

void neap_config_free(neap_config *config)
{
    if (!config || --config->references > 0)
        return;
    neap_config_end_reload(config, false);
    neap_identity_set_clear(&config->identities);
    neap_sessions_free(&config->sessions);
    neap_psks_free(&config->psks);
    neap_used_tokens_free(&config->used_tokens, config->pool);
    drop_strike(config);
    if (config->tls.trust)
        neap_trust_free(config->tls.trust);
    neap_trust_free(config->tls.client_trust);
    neap_revocations_free(config->revocations);
    if (config->crypto)
        neap_crypto_free(config->crypto);
    struct pool *pool = config->pool;
    neap_pool_free(pool, config->shared, config->shared_size);
    neap_pool_free_secret(pool, config, sizeof *config);
    neap_pool_release(pool);
}

static enum option find_option(const char *name)
{
    size_t i = 0;

    while (i < OPTIONS && strcmp(rules[i].name, name) != 0)
        i++;
    return (enum option)i;
}

/* What connections and endpoints have read of it must not change under them. */
bool neap_config_is_in_use(const neap_config *config)
{
    return config->references > 1;
}

int neap_config_set(neap_config *config, const char *name, uint64_t value)
{
    enum option option = name ? find_option(name) : OPTIONS;

    if (option == OPTIONS || value < rules[option].least || value > rules[option].greatest)
        return NEAP_ERR_ARGUMENT;
    if (option == OPTION_source_connection_id_size && neap_config_cids_refuse_size(config, value))
        return NEAP_ERR_ARGUMENT;
    if (option == OPTION_congestion_control && !neap_cc_by_choice[value])
        return NEAP_ERR_UNSUPPORTED;
    if (neap_config_is_in_use(config))
        return NEAP_ERR_STATE;
    config->options[option] = value;
    if (option == OPTION_handshake_rate)
        config->has_handshake_rate = true;
    tell_tls(config);
    return 0;
}

const neap_option *neap_config_option(size_t index)
{
    return index < OPTIONS ? &rules[index] : NULL;
}

int neap_config_set_alpn(neap_config *config, const char *const *names, size_t count)
{
    uint8_t list[sizeof config->tls.alpn];
    struct writer w = writer_of(list, sizeof list);

    if (count == 0 || count > TLS_MAX_ALPN)
        return NEAP_ERR_ARGUMENT;
    for (size_t i = 0; i < count; i++) {
        size_t size = names[i] ? strlen(names[i]) : 0;

        if (size == 0 || size > LIMIT_ALPN)
            return NEAP_ERR_ARGUMENT;
        write_u8(&w, (uint8_t)size);
        write_bytes(&w, names[i], size);
    }
    if (w.full)
        return NEAP_ERR_LIMIT;
    if (neap_config_is_in_use(config))
        return NEAP_ERR_STATE;
    config->tls.alpn_size = writer_size(&w);
    memcpy(config->tls.alpn, list, config->tls.alpn_size);
    return 0;
}

static bool is_reachable(const neap_address *a, unsigned family)
{
    static const uint8_t any[16];

    return !a ||
           (a->family == family && a->port != 0 && a->scope == 0 && memcmp(a->ip, any, sizeof any) != 0);
}

int neap_config_set_preferred_address(neap_config *config, const neap_address *v4, const neap_address *v6)
{
    if (!is_reachable(v4, 4) || !is_reachable(v6, 6))
        return NEAP_ERR_ARGUMENT;
    if (neap_config_is_in_use(config))
        return NEAP_ERR_STATE;
    config->preferred_v4 = v4 ? *v4 : (neap_address){0};
    config->preferred_v6 = v6 ? *v6 : (neap_address){0};
    return 0;
}

bool neap_config_has_version(const neap_config *config, uint32_t version)
{
    for (size_t i = 0; i < config->version_count; i++)
        if (config->versions[i] == version)
            return true;
    return false;
}

int neap_config_set_versions(neap_config *config, const uint32_t *versions, size_t count)
{
    if (!versions || count == 0 || count > LIMIT_VERSIONS)
        return NEAP_ERR_ARGUMENT;
    for (size_t i = 0; i < count; i++) {
        if (!neap_version_find(versions[i]))
            return NEAP_ERR_ARGUMENT;
        for (size_t k = 0; k < i; k++)
            if (versions[k] == versions[i])
                return NEAP_ERR_ARGUMENT;
    }
    if (neap_config_is_in_use(config))
        return NEAP_ERR_STATE;
    memcpy(config->versions, versions, count * sizeof *versions);
    config->version_count = (uint8_t)count;
    config->tls.choose_version = neap_config_choose_version;
    config->tls.version_context = config;
    return 0;
}

int neap_config_set_groups(neap_config *config, const char *const *names, size_t count)
{
    uint16_t groups[TLS_MAX_GROUPS] = {0};

    if (count == 0 || count > TLS_MAX_GROUPS)
        return NEAP_ERR_ARGUMENT;
    for (size_t i = 0; i < count; i++) {
        groups[i] = names[i] ? neap_group_find(names[i]) : 0;
        if (!groups[i])
            return NEAP_ERR_ARGUMENT;
        for (size_t k = 0; k < i; k++)
            if (groups[k] == groups[i])
                return NEAP_ERR_ARGUMENT;
        if (!neap_group_is_supported(config->crypto, groups[i]))
            return NEAP_ERR_UNSUPPORTED;
    }
    if (neap_config_is_in_use(config))
        return NEAP_ERR_STATE;
    memcpy(config->tls.groups, groups, sizeof groups);
    return 0;
}

int neap_config_set_cipher_suites(neap_config *config, const char *const *names, size_t count)
{
    uint16_t suites[sizeof config->tls.suites / sizeof config->tls.suites[0]] = {0};

    if (count == 0 || count > sizeof suites / sizeof suites[0])
        return NEAP_ERR_ARGUMENT;
    for (size_t i = 0; i < count; i++) {
        suites[i] = names[i] ? neap_suite_find(names[i]) : 0;
        if (!suites[i])
            return NEAP_ERR_ARGUMENT;
        for (size_t k = 0; k < i; k++)
            if (suites[k] == suites[i])
                return NEAP_ERR_ARGUMENT;
    }
    if (neap_config_is_in_use(config))
        return NEAP_ERR_STATE;
    memcpy(config->tls.suites, suites, sizeof suites);
    return 0;
}

int64_t neap_config_say(int64_t result, const struct failure *failure, const char **why)
{
    if (result < 0 && why)
        *why = failure->reason && failure->reason[0] ? failure->reason : neap_strerror(result);
    return result;
}

/* A failure of the crypto seam, to a caller who wants text. */
static int say_why(const struct failure *failure, const char **why)
{
    return (int)neap_config_say(failure->code < 0 ? failure->code : NEAP_ERR_CERTIFICATE, failure, why);
}

/* Whichever certificate clients ask for: the rate is that of the key that takes longest. */
static void follow_key(neap_config *config, const struct identity *identity)
{
    uint64_t *rate = &config->options[OPTION_handshake_rate], known = neap_identity_handshake_rate(identity);

    if (!config->has_handshake_rate && known > 0 && (config->identities.count == 0 || known < *rate))
        *rate = known;
}

int neap_config_make_identity(neap_config *config, struct span chain, struct span key, struct span response,
                              struct identity **out, const char **why)
{
    struct failure failure = {0};

    *out = key.data ? neap_identity_new(config->crypto, chain, key, &failure)
                    : neap_identity_new_without_key(config->crypto, chain, &failure);
    if (*out && (response.size == 0 || neap_identity_set_staple(*out, response, &failure) == 0))
        return 0;
    neap_identity_free(*out);
    *out = NULL;
    neap_fail(&failure, NEAP_ERR_NO_MEMORY, "no memory for the certificate");
    return say_why(&failure, why);
}

static int add_certificate(neap_config *config, struct span chain, struct span key, const char **why)
{
    struct failure failure = {0};
    struct identity *identity;

    int rc = neap_config_make_identity(config, chain, key, (struct span){0}, &identity, why);
    if (rc)
        return rc;
    follow_key(config, identity);
    rc = neap_identity_set_add(&config->identities, identity);
    if (rc == 0)
        return 0;
    neap_identity_free(identity);
    neap_fail(&failure, rc, rc == NEAP_ERR_LIMIT ? "too many certificates" : "no memory for the certificate");
    return say_why(&failure, why);
}

int neap_config_add_certificate(neap_config *config, const void *chain, size_t chain_size, const void *key,
                                size_t key_size, const char **why)
{
    /* An empty key is none, and an error. */
    return add_certificate(config, span_of(chain, chain_size), span_of(key ? key : "", key_size), why);
}

int neap_config_add_certificate_without_key(neap_config *config, const void *chain, size_t chain_size,
                                            const char **why)
{
    return add_certificate(config, span_of(chain, chain_size), (struct span){0}, why);
}

int neap_config_read_psk(struct span key, unsigned hash, struct psk_key *out)
{
    if ((hash != 256 && hash != 384) || !neap_psk_is_valid(span_of_string("identity"), key))
        return NEAP_ERR_ARGUMENT;
    *out = (struct psk_key){.hash = hash == 256 ? HASH_SHA256 : HASH_SHA384, .size = (uint8_t)key.size};
    memcpy(out->bytes, key.data, key.size);
    return 0;
}

int neap_config_add_psk(neap_config *config, const void *identity, size_t identity_size, const void *key,
                        size_t key_size, unsigned hash)
{
    struct span name = span_of(identity, identity_size), bytes = span_of(key, key_size);
    struct psk_key read;

    if (!neap_psk_is_valid(name, bytes) || neap_config_read_psk(bytes, hash, &read))
        return NEAP_ERR_ARGUMENT;
    int rc = neap_psks_add(&config->psks, name, &read);
    neap_wipe(&read, sizeof read);
    return rc;
}

int64_t neap_sign(neap_config *config, const void *key, size_t key_size, uint16_t scheme, const void *message,
                  size_t size, void *out, size_t room, const char **why)
{
    struct failure failure = {0};
    struct signature made;

    if (neap_key_sign(config->crypto, span_of(key, key_size), scheme, span_of(message, size), &made,
                      &failure)) {
        neap_fail(&failure, NEAP_ERR_NO_MEMORY, "no memory for the private key");
        return say_why(&failure, why);
    }
    if (made.size > room)
        return NEAP_ERR_BUFFER_TOO_SHORT;
    memcpy(out, made.bytes, made.size);
    return (int64_t)made.size;
}

int neap_config_ask(neap_config *config, unsigned kinds)
{
    if (kinds & ~(unsigned)(NEAP_ASK_PSK | NEAP_ASK_CERTIFICATE | NEAP_ASK_PEER))
        return NEAP_ERR_ARGUMENT;
    if (neap_config_is_in_use(config))
        return NEAP_ERR_STATE;
    config->tls.asks = kinds;
    return 0;
}

int neap_config_set_ocsp_response(neap_config *config, const void *response, size_t size, const char **why)
{
    struct failure failure = {0};
    const struct identity_set *set = &config->identities;

    if (set->count == 0)
        neap_fail(&failure, NEAP_ERR_STATE, "there is no certificate that it could be for");
    else if (!neap_identity_set_staple(set->list[set->count - 1], span_of(response, size), &failure))
        return 0;
    return say_why(&failure, why);
}

int neap_config_add_ca(neap_config *config, const void *roots, size_t size, const char **why)
{
    struct failure failure = {0};
    int rc = neap_trust_add(config->tls.trust, span_of(roots, size), &failure);

    if (rc == 0)
        return 0;
    neap_fail(&failure, rc, "no certificate found");
    return say_why(&failure, why);
}

/* Lists of revoked certificates are for servers and clients alike. */
static void share_revocations(neap_config *config)
{
    neap_trust_set_revocations(config->tls.trust, config->revocations);
    if (config->tls.client_trust)
        neap_trust_set_revocations(config->tls.client_trust, config->revocations);
}

int neap_config_add_crl(neap_config *config, const void *lists, size_t size, const char **why)
{
    struct failure failure = {0};

    if (!config->revocations) {
        config->revocations = neap_revocations_new(config->crypto);
        if (!config->revocations) {
            neap_fail(&failure, NEAP_ERR_NO_MEMORY, "no memory for revocation lists");
            return say_why(&failure, why);
        }
        share_revocations(config);
        tell_tls(config);
    }
    int rc = neap_revocations_add(config->revocations, span_of(lists, size), &failure);
    return rc ? say_why(&failure, why) : 0;
}

int neap_config_crl_is_current(neap_config *config, size_t index, const char **why)
{
    struct failure failure = {0};
    int rc = neap_revocations_is_current(config->revocations, config->crypto, index,
                                         neap_config_wall_clock(config), &failure);

    if (rc == 0 && why)
        *why = failure.reason;
    return rc < 0 ? NEAP_ERR_ARGUMENT : rc;
}

int neap_config_add_client_ca(neap_config *config, const void *roots, size_t size, const char **why)
{
    struct failure failure = {0};

    if (!config->tls.client_trust) {
        config->tls.client_trust = neap_trust_new(config->crypto);
        if (!config->tls.client_trust) {
            neap_fail(&failure, NEAP_ERR_NO_MEMORY, "no memory for root certificates");
            return say_why(&failure, why);
        }
        share_revocations(config);
    }
    int rc = neap_trust_add(config->tls.client_trust, span_of(roots, size), &failure);
    return rc ? say_why(&failure, why) : 0;
}

int neap_config_add_pin(neap_config *config, const uint8_t sha256[32])
{
    return neap_trust_add_pin(config->tls.trust, sha256);
}

int neap_certificate_pin(const neap_config *config, const void *certificate, size_t size, uint8_t sha256[32])
{
    return neap_certificate_digest_key(config->crypto, span_of(certificate, size), sha256);
}

bool neap_config_lacks_trust(const neap_config *config)
{
    return config->tls.verify_peer && neap_trust_is_empty(config->tls.trust) &&
           !neap_psks_first(&config->psks);
}

bool neap_config_lacks_client_trust(const neap_config *config)
{
    return !neap_tls_may_verify_clients(&config->tls);
}

bool neap_config_has_idle_lists(const neap_config *config)
{
    const struct tls_config *tls = &config->tls;
    bool looks_at_servers = tls->verify_peer && neap_trust_count(tls->trust) > 0;
    bool has_client_roots = tls->client_trust && neap_trust_count(tls->client_trust) > 0;

    return neap_trust_has_revocations(tls->trust) && !looks_at_servers && !has_client_roots;
}

void neap_config_set_static_secret(neap_config *config, const uint8_t secret[32])
{
    neap_token_keys_derive(&config->tokens, secret);
}

int neap_config_set_ticket_keys(neap_config *config, const uint8_t (*keys)[32], size_t count)
{
    if (count == 0 || count > TICKET_KEYS_MOST)
        return NEAP_ERR_ARGUMENT;
    if (config->strikes_are_private)
        return NEAP_ERR_STATE;
    config->has_ticket_keys = true;
    neap_ticket_keys_set(&config->tls.tickets, keys, count);
    return 0;
}

int64_t neap_config_save_sessions(const neap_config *config, void *out, size_t size)
{
    return neap_sessions_save(&config->sessions, out, size);
}

int neap_config_load_sessions(neap_config *config, const void *saved, size_t size)
{
    return neap_sessions_load(&config->sessions, span_of(saved, size));
}

void neap_config_own_strike(neap_config *config,
                            int (*strike)(void *context, const uint8_t id[32], int64_t expires),
                            void *context, void (*release)(void *context), bool is_private)
{
    drop_strike(config);
    config->tls.strike = strike;
    config->tls.strike_context = context;
    config->strike_release = release;
    config->strikes_are_private = is_private;
}

void neap_config_set_strike(neap_config *config,
                            int (*strike)(void *context, const uint8_t id[32], int64_t expires),
                            void *context)
{
    neap_config_own_strike(config, strike, context, NULL, false);
}

int neap_config_set_session_data(neap_config *config, const void *data, size_t size)
{
    if (size > LIMIT_SESSION_DATA)
        return NEAP_ERR_ARGUMENT;
    if (neap_config_is_in_use(config))
        return NEAP_ERR_STATE;
    if (size)
        memcpy(config->tls.session_data, data, size);
    config->tls.session_data_size = (uint16_t)size;
    return 0;
}

void neap_config_set_keylog(neap_config *config, void (*log)(void *context, const char *line), void *context)
{
    config->tls.keylog = log;
    config->tls.keylog_context = context;
}

void neap_config_memory(const neap_config *config, neap_memory_stats *out, size_t size)
{
    struct pool_stats stats = neap_pool_stats(config->pool);
    const neap_memory_stats known = {.used = stats.used,
                                     .reserved = stats.reserved,
                                     .limit = stats.limit,
                                     .refused = stats.refused,
                                     .receive_held = config->budget.receive_held,
                                     .receive_most = config->budget.receive_most,
                                     .peak = stats.peak,
                                     .send_held = config->budget.send_held,
                                     .send_most = config->budget.send_most};

    fill_sized(out, size, &known, sizeof known);
}

void neap_config_bounds(const neap_config *config, neap_bound_stats *out, size_t size)
{
    neap_bound_stats known = config->bounds;

    known.send_budget = config->budget.waits_for_budget;
    known.send_ahead = config->budget.waits_for_credit;
    known.datagrams_refused = config->budget.datagrams_refused;
    fill_sized(out, size, &known, sizeof known);
}

void neap_random_cid(neap_config *config, size_t size, neap_cid *out)
{
    *out = (neap_cid){.size = (uint8_t)(size < NEAP_MAX_CONNECTION_ID ? size : NEAP_MAX_CONNECTION_ID)};
    neap_random_bytes(neap_crypto_random(config->crypto), out->bytes, out->size);
}
