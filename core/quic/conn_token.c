/* Tokens of NEW_TOKEN frames (RFC 9000 §8.1.3, §19.7): a server gives one when the handshake is complete and another when the
 * client's new address is proved; a client keeps them by the server's name, and shows each once. */
#include "quic/conn_token.h"

/* Empty where the socket takes packets for every address. */
static struct span local_ip(const neap_conn *c)
{
    const neap_address *local = &conn_path(c)->address.local;

    return span_of(local->ip, local->family == 4 ? 4 : local->family == 6 ? 16 : 0);
}

static bool keeps_tokens(const neap_conn *c)
{
    return !c->is_server && config_option(c->config, OPTION_address_tokens) != 0;
}

void neap_conn_keep_token(neap_conn *c, struct span token)
{
    const char *name = neap_conn_server_name(c);

    if (!keeps_tokens(c) || token.size > LIMIT_TOKEN || c->tokens_taken >= LIMIT_TOKENS_TAKEN)
        return;
    if (!neap_sessions_put_token(&c->config->sessions, span_of_string(name), c->server_port,
                                 c->version->number, local_ip(c), neap_config_wall_clock(c->config), token))
        return;
    c->tokens_taken++;
    c->progress++;
}

void neap_conn_show_token(neap_conn *c)
{
    struct handshake *h = c->handshake;

    if (keeps_tokens(c))
        h->shown_token = neap_sessions_take_token(
            &c->config->sessions, span_of_string(neap_conn_server_name(c)), c->server_port,
            c->version->number, local_ip(c), neap_config_wall_clock(c->config), &h->token_was_shown);
}

void neap_conn_end_token(neap_conn *c, bool was_answered)
{
    struct handshake *h = c->handshake;

    if (h->shown_token.size > 0 && !was_answered && !h->token_was_shown)
        neap_sessions_put_token_back(&c->config->sessions, span_of_string(neap_conn_server_name(c)),
                                     c->server_port, h->shown_token);
    neap_session_drop(c->pool, &h->shown_token);
}

void neap_conn_owe_token(neap_conn *c)
{
    c->owes_token = c->is_server && neap_config_token_lifetime(c->config) > 0 &&
                    time_is_known(neap_config_wall_clock(c->config));
}

bool neap_conn_write_token(neap_conn *c, struct draft *d)
{
    uint8_t token[LIMIT_TOKEN];
    const struct path *path = neap_conn_proved_path(c);

    if (writer_left(&d->w) < TOKEN_OF_FRAME_SIZE + 3u)
        return false;
    c->owes_token = false;
    if (!path || !path->address.validated)
        return false;
    int64_t size = neap_frame_token_seal(c->crypto, &c->config->tokens, c->version->number,
                                         &path->address.peer, neap_config_wall_clock(c->config),
                                         neap_config_token_lifetime(c->config), token, sizeof token);
    if (size <= 0)
        return false;
    neap_write_new_token(&d->w, span_of(token, (size_t)size));
    return true;
}
