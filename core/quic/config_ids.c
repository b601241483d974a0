/* How connection IDs of ours are made: random, behind a prefix, by the application, or for a load balancer (QUIC-LB). And the
 * stateless reset tokens that go with them. */
#include "base/fill.h"
#include "quic/config.h"

static bool has_scheme(const struct cid_scheme *s)
{
    return s->generate || s->prefix_size > 0 || s->has_quic_lb;
}

int neap_config_set_cid_generator(neap_config *config, int (*generate)(void *context, neap_cid *id),
                                  void *context)
{
    struct cid_scheme *s = &config->cids;

    if (neap_config_is_in_use(config) || (!s->generate && has_scheme(s)))
        return NEAP_ERR_STATE;
    s->generate = generate;
    s->context = context;
    return 0;
}

int neap_config_set_cid_prefix(neap_config *config, const void *prefix, size_t size)
{
    struct cid_scheme *s = &config->cids;

    if (neap_config_is_in_use(config) || (s->prefix_size == 0 && has_scheme(s)))
        return NEAP_ERR_STATE;
    if (size > 0 &&
        size + LIMIT_CONNECTION_ID_RANDOM > config_option(config, OPTION_source_connection_id_size))
        return NEAP_ERR_ARGUMENT;
    if (size > 0)
        memcpy(s->prefix, prefix, size);
    s->prefix_size = (uint8_t)size;
    return 0;
}

bool neap_config_cids_refuse_size(const neap_config *config, uint64_t size)
{
    const struct cid_scheme *s = &config->cids;

    return (s->prefix_size > 0 && s->prefix_size + LIMIT_CONNECTION_ID_RANDOM > size) ||
           (s->has_quic_lb && quic_lb_size(&s->lb.config) > size);
}

/* ---- QUIC-LB */

/* Behind a fork both would count on from the same nonce. */
static void follow_generation(neap_config *config)
{
    struct cid_scheme *s = &config->cids;
    uint64_t generation = config->env.generation(config->env.context);

    if (generation == s->generation)
        return;
    s->generation = generation;
    neap_quic_lb_restart(&s->lb);
    for (size_t i = 0; i < s->left_count; i++)
        neap_quic_lb_restart(&s->left_behind[i]);
}

/* The configuration is given up. */
static void leave_quic_lb(struct cid_scheme *s)
{
    if (s->has_quic_lb && s->lb.has_begun) {
        if (s->left_count == QUIC_LB_CONFIGS)
            memmove(s->left_behind, s->left_behind + 1, --s->left_count * sizeof *s->left_behind);
        s->left_behind[s->left_count++] = s->lb;
    }
    s->has_quic_lb = false;
    neap_wipe(&s->lb, sizeof s->lb);
}

/* One that comes back counts on: under a key a nonce comes once. */
static void start_quic_lb(struct cid_scheme *s, const neap_quic_lb *config)
{
    neap_quic_lb_start(&s->lb, config);
    s->has_quic_lb = true;
    for (size_t i = 0; i < s->left_count; i++) {
        struct quic_lb *before = &s->left_behind[i];

        if (!neap_quic_lb_shares_nonces(&before->config, config))
            continue;
        s->lb = *before;
        s->lb.config = *config;
        memmove(before, before + 1, (--s->left_count - i) * sizeof *before);
        neap_wipe(&s->left_behind[s->left_count], sizeof *before);
        return;
    }
}

/* While connections live, one with the same number would be taken for the other. */
static int check_change(const neap_config *config, const neap_quic_lb *lb)
{
    const struct cid_scheme *s = &config->cids;

    if (!neap_config_is_in_use(config))
        return 0;
    bool is_same_number =
        s->has_quic_lb && s->lb.config.config_id == lb->config_id && lb->config_id != NEAP_QUIC_LB_UNROUTABLE;
    return is_same_number || quic_lb_size(lb) > config_option(config, OPTION_source_connection_id_size)
               ? NEAP_ERR_STATE
               : 0;
}

int neap_config_set_quic_lb(neap_config *config, const neap_quic_lb *lb, size_t size)
{
    struct cid_scheme *s = &config->cids;
    neap_quic_lb known = {0};

    if (s->generate || s->prefix_size > 0)
        return NEAP_ERR_STATE;
    if (!lb) {
        leave_quic_lb(s);
        return 0;
    }
    memcpy(&known, lb, size < sizeof known ? size : sizeof known);
    if (!neap_quic_lb_is_valid(&known))
        return NEAP_ERR_ARGUMENT;
    int error = check_change(config, &known);
    if (error)
        return error;
    if (quic_lb_size(&known) > config_option(config, OPTION_source_connection_id_size))
        config->options[OPTION_source_connection_id_size] = quic_lb_size(&known);
    follow_generation(config);
    leave_quic_lb(s);
    start_quic_lb(s, &known);
    if (known.config_id != NEAP_QUIC_LB_UNROUTABLE) {
        s->server_ids[known.config_id].size = known.server_id_length;
        memcpy(s->server_ids[known.config_id].bytes, known.server_id, known.server_id_length);
    }
    neap_wipe(&known, sizeof known);
    return 0;
}

bool neap_config_has_single_ids(const neap_config *config)
{
    const struct cid_scheme *s = &config->cids;

    return s->has_quic_lb && (!s->lb.config.has_key || neap_quic_lb_is_unroutable(&s->lb));
}

/* ---- making one */

uint64_t neap_config_mark_cids(neap_config *config)
{
    if (!config->cids.has_quic_lb)
        return 0;
    follow_generation(config);
    return neap_quic_lb_left(&config->cids.lb);
}

void neap_config_give_cids_back(neap_config *config, uint64_t mark)
{
    if (config->cids.has_quic_lb)
        neap_quic_lb_give_back(&config->cids.lb, mark);
}

static bool make_quic_lb(neap_config *config, size_t size, neap_cid *out)
{
    struct cid_scheme *s = &config->cids;

    follow_generation(config);
    s->stats.unroutable += neap_quic_lb_is_unroutable(&s->lb);
    return neap_quic_lb_make(&s->lb, neap_crypto_random(config->crypto), size, out) == 0;
}

static bool make(neap_config *config, size_t size, neap_cid *out)
{
    struct cid_scheme *s = &config->cids;

    if (s->has_quic_lb && size >= quic_lb_size(&s->lb.config))
        return make_quic_lb(config, size, out);
    neap_random_cid(config, size, out);
    if (s->generate && size > 0 && (s->generate(s->context, out) || out->size != size)) {
        s->stats.refused++;
        return false;
    }
    if (s->prefix_size > 0 && s->prefix_size < size)
        memcpy(out->bytes, s->prefix, s->prefix_size);
    return true;
}

bool neap_config_new_cid(neap_config *config, size_t size,
                         bool (*is_taken)(void *context, const neap_cid *id), void *context, neap_cid *out)
{
    for (size_t i = 0; i < LIMIT_CONNECTION_ID_TRIES; i++) {
        if (!make(config, size, out))
            continue;
        if (size > 0 && is_taken && is_taken(context, out)) {
            config->cids.stats.collisions++;
            continue;
        }
        config->cids.stats.made++;
        return true;
    }
    return false;
}

int neap_new_cid(neap_config *config, neap_cid *out)
{
    size_t size = (size_t)config_option(config, OPTION_source_connection_id_size);

    return neap_config_new_cid(config, size, NULL, NULL, out) ? 0 : NEAP_ERR_LIMIT;
}

void neap_config_cid_stats(const neap_config *config, neap_cid_stats *out, size_t size)
{
    neap_cid_stats known = config->cids.stats;

    known.nonces_left = config->cids.has_quic_lb ? neap_quic_lb_left(&config->cids.lb) : UINT64_MAX;
    fill_sized(out, size, &known, sizeof known);
}

/* ---- the tokens that go with them */

void neap_config_reset_token(const neap_config *config, const neap_cid *cid, uint8_t out[RESET_TOKEN_SIZE])
{
    unsigned id = cid->size > 0 ? quic_lb_config_id(cid) : NEAP_QUIC_LB_UNROUTABLE;
    const uint8_t *bytes = config->cids.server_ids[id].bytes;

    /* RFC 9000 §21.11: another server with this secret has another token for it, so that it cannot be asked for ours. */
    neap_reset_token(&config->tokens, cid, span_of(bytes, config->cids.server_ids[id].size), out);
}
