#include "tls/assembly.h"

#include "base/limits.h"
#include "base/pool.h"
#include "neap.h"
#include "tls/state.h"

/* The whole size of the message that starts with these bytes; only for at least MESSAGE_HEADER of them. */
static size_t message_size(const uint8_t *header)
{
    return MESSAGE_HEADER + ((size_t)header[1] << 16 | (size_t)header[2] << 8 | header[3]);
}

/* Room doubles with what arrived, so that a declared length costs its sender as much as us. */
static bool make_room(struct assembly *a, struct pool *pool, size_t need)
{
    if (need <= a->room)
        return true;
    size_t room = a->room ? a->room : 64;
    while (room < need)
        room *= 2;
    uint8_t *data = a->data ? neap_pool_resize(pool, a->data, a->room, room) : neap_pool_alloc(pool, room);
    if (!data)
        return false;
    a->data = data;
    a->room = (uint32_t)room;
    return true;
}

static bool append(struct assembly *a, struct pool *pool, struct span *in, size_t upto)
{
    size_t size = upto - a->size < in->size ? upto - a->size : in->size;

    if (size == 0)
        return true;
    if (!make_room(a, pool, a->size + size))
        return false;
    memcpy(a->data + a->size, in->data, size);
    a->size += (uint32_t)size;
    *in = span_of(in->data + size, in->size - size);
    return true;
}

static int too_large(struct failure *why)
{
    return neap_tls_alert(why, ALERT_ILLEGAL_PARAMETER, "handshake message above the limit");
}

int neap_assembly_next(struct assembly *a, struct pool *pool, size_t most, struct span *in,
                       struct span *message, struct failure *why)
{
    if (a->size == 0 && in->size >= MESSAGE_HEADER) {
        size_t size = message_size(in->data);
        if (size > most)
            return too_large(why);
        if (size <= in->size) {
            *message = span_of(in->data, size);
            *in = span_of(in->data + size, in->size - size);
            return 1;
        }
    }
    if (a->size < MESSAGE_HEADER && !append(a, pool, in, MESSAGE_HEADER))
        return neap_fail(why, NEAP_ERR_NO_MEMORY, "no memory for a handshake message");
    if (a->size < MESSAGE_HEADER)
        return 0;
    size_t size = message_size(a->data);
    if (size > most)
        return too_large(why);
    if (!append(a, pool, in, size))
        return neap_fail(why, NEAP_ERR_NO_MEMORY, "no memory for a handshake message");
    if (a->size < size)
        return 0;
    *message = span_of(a->data, size);
    return 1;
}

void neap_assembly_done(struct assembly *a, struct pool *pool)
{
    neap_pool_free(pool, a->data, a->room);
    *a = (struct assembly){0};
}
