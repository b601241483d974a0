/* What the application says and hears over a link: the calls of its transport, and what sets links in motion afterwards. When a
 * message has ended, or has no room, the application is to look again: a request that was sent ahead may be next, or there is room. */
#include "runtime/link_inner.h"

#include "base/limits.h"

#include <string.h>

/* Its transport while it is there, and the application may use it. */
static struct transport *of(const struct link *link)
{
    return link->state != LINK_CLOSED ? link->transport : NULL;
}

int neap_link_poll(struct link *link, neap_h3_event *out)
{
    /* What came before the end is told behind it too. */
    int result = link->transport != NULL ? link->transport->ops->poll(link->transport, out) : NEAP_ERR_AGAIN;

    if (result != NEAP_OK)
        link_touch(link); /* there may be room for what was kept */
    return result;
}

static bool has_name(const neap_field *fields, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (fields[i].name_size == strlen(name) && memcmp(fields[i].name, name, fields[i].name_size) == 0)
            return true;
    }
    return false;
}

/* Whether a response is the last for its request: its first field is :status. */
static bool is_final(const neap_field *fields, size_t count)
{
    return count > 0 && fields[0].value_size > 0 && fields[0].value[0] != '1';
}

int64_t neap_link_send_request(struct link *link, const neap_field *fields, size_t count, bool fin)
{
    struct transport *transport = of(link);

    if (transport == NULL)
        return link->state == LINK_CLOSED ? NEAP_ERR_CLOSED : NEAP_ERR_STATE;
    link_touch(link);
    return transport->ops->send_request(transport, fields, count, fin);
}

int neap_link_send_response(struct link *link, uint64_t stream, const neap_field *fields, size_t count,
                            bool fin)
{
    struct transport *transport = of(link);
    const char *alt_svc = link->listener->options.alt_svc;
    neap_field more[LIMIT_LINK_FIELDS];

    if (transport == NULL)
        return NEAP_ERR_CLOSED;
    if (alt_svc != NULL && count < LIMIT_LINK_FIELDS && is_final(fields, count) &&
        !has_name(fields, count, "alt-svc")) {
        memcpy(more, fields, count * sizeof *fields);
        more[count++] =
            (neap_field){.name = "alt-svc", .name_size = 7, .value = alt_svc, .value_size = strlen(alt_svc)};
        fields = more;
    }
    link->wants_look = link->wants_look || fin;
    link_touch(link);
    return transport->ops->send_response(transport, stream, fields, count, fin);
}

int64_t neap_link_respond(struct link *link, uint64_t stream, const neap_field *fields, size_t count,
                          const void *body, size_t size)
{
    int result = neap_link_send_response(link, stream, fields, count, size == 0);

    if (result != NEAP_OK || size == 0)
        return result;
    int64_t taken = neap_link_send_body(link, stream, body, size, true);
    return taken == NEAP_ERR_AGAIN ? 0 : taken;
}

int64_t neap_link_send_body(struct link *link, uint64_t stream, const void *bytes, size_t size, bool fin)
{
    struct transport *transport = of(link);

    if (transport == NULL)
        return NEAP_ERR_CLOSED;
    int64_t taken = transport->ops->send_body(transport, stream, bytes, size, fin);
    if (fin || taken == NEAP_ERR_AGAIN || (taken >= 0 && (size_t)taken < size))
        link->wants_look = true;
    link_touch(link);
    return taken;
}

int64_t neap_link_body_capacity(const struct link *link, uint64_t stream)
{
    const struct transport *transport = of(link);

    return transport != NULL ? transport->ops->body_capacity(transport, stream) : NEAP_ERR_CLOSED;
}

int64_t neap_link_recv_body(struct link *link, uint64_t stream, void *out, size_t size)
{
    if (link->transport == NULL)
        return NEAP_ERR_CLOSED;
    link_touch(link);
    return link->transport->ops->recv_body(link->transport, stream, out, size);
}

int neap_link_send_trailers(struct link *link, uint64_t stream, const neap_field *fields, size_t count)
{
    struct transport *transport = of(link);

    if (transport == NULL)
        return NEAP_ERR_CLOSED;
    link->wants_look = true;
    link_touch(link);
    return transport->ops->send_trailers(transport, stream, fields, count);
}

int neap_link_cancel(struct link *link, uint64_t stream, uint64_t code)
{
    struct transport *transport = of(link);

    if (transport == NULL)
        return NEAP_ERR_CLOSED;
    link->wants_look = true;
    link_touch(link);
    return transport->ops->cancel(transport, stream, code);
}

int neap_link_stop_body(struct link *link, uint64_t stream, uint64_t code)
{
    struct transport *transport = of(link);

    if (transport == NULL)
        return NEAP_ERR_CLOSED;
    link->wants_look = true;
    link_touch(link);
    return transport->ops->stop_body(transport, stream, code);
}

int neap_link_goaway(struct link *link)
{
    struct transport *transport = of(link);

    link_touch(link);
    if (link->state == LINK_CLOSED)
        return NEAP_ERR_CLOSED;
    if (transport != NULL)
        return transport->ops->goaway(transport);
    link->state = LINK_ENDING; /* a handshake that is under way */
    return NEAP_OK;
}

uint64_t neap_link_open_requests(const struct link *link)
{
    const struct transport *transport = of(link);

    return transport != NULL ? transport->ops->open_requests(transport) : 0;
}

/* ---- what it is */

void neap_link_set_user(struct link *link, void *user)
{
    link->user = user;
}

void *neap_link_user(const struct link *link)
{
    return link->user;
}

neap_address neap_link_peer(const struct link *link)
{
    return link->peer;
}

const char *neap_link_protocol(const struct link *link)
{
    return link->transport != NULL ? link->transport->ops->protocol : "";
}

struct span neap_link_peer_certificate(const struct link *link, size_t index)
{
    return link->tls != NULL ? neap_tls_stream_peer_certificate(link->tls, index) : (struct span){0};
}

bool neap_link_is_closed(const struct link *link)
{
    return link->state == LINK_CLOSED;
}

bool neap_link_is_flushed(const struct link *link)
{
    return link->state >= LINK_LINGERING ||
           (link->unsent.size == 0 && link->plain_out.size == 0 && !list_linked(&link->dirty));
}

void neap_link_close(struct link *link)
{
    if (link->state == LINK_OPEN)
        link->state = LINK_ENDING;
    link_touch(link);
}
