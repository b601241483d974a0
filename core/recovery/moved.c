/* What is in flight when a path goes on under another name: the same way, with another port (RFC 9000 §9.4). */
#include "recovery/loss.h"

/* Differences to the figures of a path hold, whatever these begin with. */
static void rebase(struct cc_record *record, uint64_t delivered, uint64_t lost)
{
    if (!record)
        return;
    record->delivered += delivered;
    record->lost += lost;
}

/* What the path sent before it was the other one: probes that were alone. */
static void join(struct cc_record *record, uint64_t delivered)
{
    rebase(record, delivered, 0);
    if (record)
        record->app_limited = true;
}

static void move_packet(struct recovery *r, struct sent_packet *p, uint8_t to)
{
    bool is_open = p->fate == FATE_IN_FLIGHT;

    if (is_open)
        neap_recovery_forget_mark(r, p); /* marks are tested on each path */
    if (is_open && p->in_flight) {
        r->paths[p->path]->bytes_in_flight -= p->size;
        r->paths[to]->bytes_in_flight += p->size;
    }
    p->path = to;
    p->is_marked = false;
    p->has_moved = true;
}

void neap_recovery_continue(struct recovery *r, uint8_t to, uint8_t from)
{
    struct path_recovery *path = r->paths[to], *old = r->paths[from];
    uint64_t delivered = old->delivered - path->delivered;
    uint64_t lost = path->counters.bytes_lost - old->counters.bytes_lost;

    if (old->bytes_in_flight > 0)
        path->flight_began_at = old->flight_began_at;
    for (enum space i = SPACE_INITIAL; i < recovery_spaces_end(r); i++) {
        struct space_recovery *s = recovery_space(r, i);
        struct sent_packet *p;

        for (uint32_t at = 0; s && (p = neap_sent_at(&s->sent, at)); at++) {
            if (p->path == to) {
                join(neap_sent_record(&s->sent, p), delivered);
            } else if (p->path == from && !p->is_size_probe) {
                rebase(neap_sent_record(&s->sent, p), 0, lost);
                move_packet(r, p, to);
            }
        }
        if (!s)
            continue;
        neap_sent_move_lost(&s->sent, from, to);
        if (s->lost.path == from)
            s->lost.path = to;
    }
    neap_path_recovery_continue(path, old);
}
