/* Which version of QUIC a connection speaks (RFC 9368, RFC 9369 §4): chosen by a Version Negotiation packet, or by the server
 * within the handshake, each once; and whether somebody has tampered with that. */
#include "quic/conn_token.h"

void neap_conn_set_version(neap_conn *c, uint32_t number)
{
    c->version = neap_version_find(number);
    c->labels = neap_version_labels(number);
}

/* The destination that the Initial keys are made of. */
static const neap_cid *keys_destination(const neap_conn *c)
{
    return c->handshake->retried ? &c->handshake->retry_scid : &c->original_dcid;
}

/* What is wrong with the parameters is said by who reads them all; then nothing is chosen. */
uint32_t neap_config_choose_version(const void *config, uint32_t version, struct span theirs, uint8_t *ours,
                                    size_t size)
{
    const neap_config *c = config;
    struct transport_params p;
    struct failure ignored = {0};

    if (neap_params_parse(theirs, false, &p, &ignored) || !params_has(&p, PARAM_version_information) ||
        p.versions.chosen != version)
        return version;
    uint32_t chosen = neap_version_choose(c->versions, c->version_count, p.versions.available);
    if (chosen == 0 || !neap_version_is_compatible(version, chosen))
        return version;
    neap_params_set_chosen_version(ours, size, chosen);
    return chosen;
}

/* ---- the first flight */

/* RFC 9368 §2.5: what the server most likely understands, since it costs no round trip to go over to another one. Sessions are
 * of one version, and who gave them speaks it (RFC 9369 §6). */
uint32_t neap_conn_first_version(const neap_config *config, const char *server_name, uint16_t port)
{
    uint32_t of_session = 0;

    if (server_name && config->tls.resumption)
        of_session = neap_sessions_version(&config->sessions, span_of_string(server_name), port,
                                           neap_config_wall_clock(config));
    if (neap_config_has_version(config, of_session))
        return of_session;
    size_t count;
    const struct version *all = neap_versions(&count);

    for (size_t i = 0; i < count && config_option(config, OPTION_original_version) == 0; i++)
        if (neap_config_has_version(config, all[i].number))
            return all[i].number;
    return config->versions[0];
}

struct span neap_conn_list_versions(const neap_conn *c, uint8_t room[VERSION_LIST_ROOM])
{
    struct writer w = writer_of(room, VERSION_LIST_ROOM);

    for (size_t i = 0; i < c->config->version_count; i++)
        write_u32(&w, c->config->versions[i]);
    if (config_option(c->config, OPTION_grease))
        write_u32(&w, version_reserved((uint32_t)neap_random_u64(neap_conn_random(c))));
    return span_of(room, writer_size(&w));
}

/* ---- Version Negotiation packets */

/* Nothing of the first attempt counts any more but its deadline. */
static void forget_first_attempt(neap_conn *c)
{
    struct handshake *h = c->handshake;
    struct number_space *s = &h->spaces[SPACE_INITIAL];

    if (c->early == NEAP_EARLY_OFFERED) {
        neap_conn_take_back_early(c);
        c->awaits_again = false; /* the application hears of it with the limits that hold then */
    }
    neap_conn_discard_space(c, SPACE_INITIAL);
    neap_conn_init_space(s, conn_path(c)->recovery.cc.ops->keeps_records);
    neap_crypto_stream_init(s->crypto);
    neap_recovery_on_retry(&c->recovery, c->now);
}

void neap_conn_begin_anew(neap_conn *c, struct span versions, const char **wrong)
{
    struct handshake *h = c->handshake;
    struct failure why = {0};
    uint32_t before = c->version->number;

    neap_conn_set_version(c, neap_version_choose(c->config->versions, c->config->version_count, versions));
    h->is_second_flight = true;
    struct tls *tls = neap_conn_renew_tls(c, &why);
    if (!tls) {
        neap_conn_set_version(c, before);
        h->is_second_flight = false;
        *wrong = "no memory to begin anew";
        return;
    }
    neap_tls_end_offer(h->tls, false);
    neap_tls_free(h->tls);
    h->tls = tls;
    neap_conn_end_token(c, true); /* RFC 9369 §5: it is of the version before, and the server has seen it */
    neap_conn_show_token(c);
    c->first_version = c->version;
    c->is_unreachable = false;
    forget_first_attempt(c);
    neap_conn_invent_destination(c);
    neap_peer_cids_replace_first(&c->peer_cids, &c->original_dcid);
    neap_conn_set_initial_keys(c, &c->original_dcid);
    TRACE(c->tracer, .conn = c, .kind = NEAP_TRACE_HANDSHAKE_STATE, .now = c->now,
          .why = "begun anew in another version");
    if (neap_conn_take_tls(c, &why))
        neap_conn_end_by(c, &why, 0);
}

/* ---- going over to another version within the handshake */

/* What a client offered, while the server may still take it up. */
static bool may_go_over(const neap_conn *c, const struct packet_header *h)
{
    return !c->handshake->version_settled && h->type != NEAP_PACKET_RETRY &&
           neap_config_has_version(c->config, h->version) &&
           neap_version_is_compatible(c->version->number, h->version);
}

const char *neap_conn_refuse_version(const neap_conn *c, const struct packet_header *h)
{
    static const char other[] = "another version";

    if (h->type == NEAP_PACKET_0RTT)
        return h->version == c->first_version->number ? NULL : other;
    if (h->version == c->version->number)
        return NULL;
    if (!c->handshake)
        return other;
    if (!c->is_server)
        return may_go_over(c, h) ? NULL : other;
    /* RFC 9369 §4.1: Initials of the first flight, for as long as there are Initial keys. */
    return h->type == NEAP_PACKET_INITIAL && c->handshake->other_version &&
                   h->version == c->handshake->other_version->number
               ? NULL
               : other;
}

struct packet_key *neap_conn_other_key(neap_conn *c, uint32_t version)
{
    struct handshake *h = c->handshake;
    struct packet_key client;

    /* A server has it since it went over; a client makes it once for each version that it offered. */
    if (h->other_version && h->other_version->number == version)
        return &h->other_read;
    neap_packet_key_wipe(c->crypto, &h->other_read);
    h->other_version = neap_version_find(version);
    neap_packet_key_initial(&client, &h->other_read, neap_version_labels(version),
                            cid_span(keys_destination(c)));
    neap_packet_key_wipe(c->crypto, &client);
    return &h->other_read;
}

static void go_over(neap_conn *c, uint32_t version)
{
    struct number_space *s = &c->handshake->spaces[SPACE_INITIAL];

    neap_packet_key_wipe(c->crypto, &s->read);
    neap_packet_key_wipe(c->crypto, &s->write);
    neap_conn_set_version(c, version);
    neap_conn_set_initial_keys(c, keys_destination(c));
    c->handshake->version_settled = true;
    TRACE(c->tracer, .conn = c, .kind = NEAP_TRACE_HANDSHAKE_STATE, .now = c->now,
          .why = "goes on in another version");
}

void neap_conn_learn_version(neap_conn *c, uint32_t version)
{
    if (c->is_server)
        return;
    neap_packet_key_wipe(c->crypto, &c->handshake->other_read);
    c->handshake->other_version = NULL;
    neap_tls_set_version(c->handshake->tls, version);
    go_over(c, version);
}

void neap_conn_follow_version(neap_conn *c)
{
    struct handshake *h = c->handshake;
    uint32_t version = neap_tls_version(h->tls);

    if (version == c->version->number)
        return;
    h->other_version = c->version;
    h->other_read = h->spaces[SPACE_INITIAL].read;
    h->spaces[SPACE_INITIAL].read = (struct packet_key){0};
    go_over(c, version);
}

/* ---- downgrades */

static int bad_version(struct failure *why, const char *reason)
{
    return neap_fail(why, NEAP_VERSION_NEGOTIATION_ERROR, reason);
}

/* Whether a genuine Version Negotiation packet would have led here as well. */
static bool is_genuine(const neap_conn *c, const struct version_information *v)
{
    const neap_config *config = c->config;

    if (v->available.size == 0)
        return false;
    for (size_t i = 0; i < config->version_count; i++)
        if (config->versions[i] == c->version->number ||
            neap_version_is_listed(v->available, config->versions[i]))
            return config->versions[i] == c->first_version->number;
    return false;
}

int neap_conn_check_versions(const neap_conn *c, const struct transport_params *p, struct failure *why)
{
    static const uint8_t only_version_1[] = {0, 0, 0, 1};
    bool is_second = c->handshake->is_second_flight;
    struct version_information v = p->versions;

    if (!params_has(p, PARAM_version_information)) {
        if (c->version != c->first_version || (is_second && c->version->number != NEAP_QUIC_V1))
            return bad_version(why, "version_information is missing");
        /* RFC 9368 §8: so a server that knows version 1 alone. */
        v = (struct version_information){NEAP_QUIC_V1, span_of(only_version_1, sizeof only_version_1)};
    } else if (v.chosen != (c->is_server ? c->first_version : c->version)->number) {
        return bad_version(why, "the peer says that it chose another version than is spoken");
    }
    if (is_second && !is_genuine(c, &v))
        return bad_version(why,
                           "the server has a version that we prefer: somebody else sent Version Negotiation");
    return 0;
}
