/* Certificates, roots, pins, lists and ticket keys of a config that are read again while it serves. */
#include "quic/config.h"

/* What a reload takes the place of, until it is sure that it does. */
struct credentials {
    struct identity_set identities;
    struct trust *trust, *client_trust;
    struct revocations *revocations;
    struct ticket_keys tickets;
    struct token_keys tokens;
    uint64_t handshake_rate;
};

int neap_config_begin_reload(neap_config *config)
{
    if (config->kept)
        return NEAP_ERR_STATE;
    struct trust *trust = neap_trust_new(config->crypto);
    struct credentials *kept = trust ? neap_pool_alloc(config->pool, sizeof *kept) : NULL;
    if (!kept) {
        neap_trust_free(trust);
        return NEAP_ERR_NO_MEMORY;
    }
    *kept = (struct credentials){.identities = config->identities,
                                 .trust = config->tls.trust,
                                 .client_trust = config->tls.client_trust,
                                 .revocations = config->revocations,
                                 .tickets = config->tls.tickets,
                                 .tokens = config->tokens,
                                 .handshake_rate = config->options[OPTION_handshake_rate]};
    config->kept = kept;
    config->tls.reloads++;
    config->identities = (struct identity_set){.pool = config->pool};
    config->tls.trust = trust;
    config->tls.client_trust = NULL;
    config->revocations = NULL;
    return 0;
}

static void free_trust(struct trust *trust, struct trust *client_trust, struct revocations *revocations)
{
    neap_trust_free(trust);
    neap_trust_free(client_trust);
    neap_revocations_free(revocations);
}

void neap_config_end_reload(neap_config *config, bool take)
{
    struct credentials *kept = config->kept;

    if (!kept)
        return;
    if (take) {
        neap_identity_set_clear(&kept->identities);
        free_trust(kept->trust, kept->client_trust, kept->revocations);
    } else {
        neap_identity_set_clear(&config->identities);
        free_trust(config->tls.trust, config->tls.client_trust, config->revocations);
        config->identities = kept->identities;
        config->tls.trust = kept->trust;
        config->tls.client_trust = kept->client_trust;
        config->revocations = kept->revocations;
        config->tls.tickets = kept->tickets;
        config->tokens = kept->tokens;
        config->options[OPTION_handshake_rate] = kept->handshake_rate;
    }
    neap_pool_free_secret(config->pool, kept, sizeof *kept);
    config->kept = NULL;
}

int neap_config_add_ca_source(neap_config *config, struct span text, const struct root_source *source,
                              const char **why)
{
    struct failure failure = {0};
    int rc = neap_trust_add_source(config->tls.trust, text, source, &failure);

    return (int)neap_config_say(rc, &failure, why);
}
