/* One exchange: what came and is told, how it ends. */
#include "base/pool.h"
#include "tcp/http2_session.h"

struct http2_stream *neap_http2_stream_new(struct http2 *h2, int32_t id)
{
    struct http2_stream *s = neap_pool_alloc(h2->pool, sizeof(*s));

    if (!s)
        return NULL;
    s->id = id;
    s->send_left = -1;
    neap_map_add(&h2->streams, h2->pool, &s->node, (uint64_t)id);
    list_append(&h2->all, &s->link);
    h2->stream_count++;
    h2->open_requests++;
    h2->requests++;
    h2->stats->requests++;
    return s;
}

struct http2_section *neap_http2_section_new(struct http2 *h2)
{
    struct http2_section *section = h2->spare;

    if (!section)
        return neap_pool_alloc(h2->pool, sizeof(*section));
    h2->spare = NULL;
    return section;
}

void neap_http2_section_free(struct http2 *h2, struct http2_section *section)
{
    if (!section)
        return;
    neap_field_list_clear(&section->list, h2->pool);
    if (!h2->spare) {
        *section = (struct http2_section){.list = section->list};
        h2->spare = section;
        return;
    }
    neap_field_list_free(&section->list, h2->pool);
    neap_pool_free(h2->pool, section, sizeof(*section));
}

static struct http2_section *take_section(struct http2 *h2, struct http2_stream *s)
{
    struct http2_section *section = s->first;

    s->first = section->next;
    if (!s->first)
        s->last = NULL;
    h2->sections_size -= section->size;
    return section;
}

void neap_http2_stream_drop_received(struct http2 *h2, struct http2_stream *s)
{
    size_t unread = s->body.size;

    while (s->first)
        neap_http2_section_free(h2, take_section(h2, s));
    neap_chunk_queue_drop(&s->body, h2->pool);
    if (unread > 0 && !h2->is_broken)
        neap_http2_break(h2, nghttp2_session_consume_connection(h2->session, unread));
}

static void drop_unsent(struct http2 *h2, struct http2_stream *s)
{
    h2->unsent_size -= s->unsent.size;
    neap_chunk_queue_drop(&s->unsent, h2->pool);
    ring_remove(&h2->waiting, &s->waiting_link);
    s->marks &= (uint8_t)~MARK_WRITABLE;
    s->sending = SENDING_OVER;
}

static void mark_done(struct http2 *h2, struct http2_stream *s)
{
    if (s->is_done)
        return;
    s->is_done = true;
    h2->is_just_settled = --h2->open_requests == 0;
}

void neap_http2_stream_free(struct http2 *h2, struct http2_stream *s)
{
    mark_done(h2, s);
    h2->late_count -= s->ends_late;
    if (h2->coming_to == s)
        h2->coming_to = NULL;
    list_remove(&s->link);
    ring_remove(&h2->ready, &s->ready_link);
    neap_map_remove(&h2->streams, h2->pool, &s->node);
    h2->stream_count--;
    while (s->first)
        neap_http2_section_free(h2, take_section(h2, s));
    neap_chunk_queue_drop(&s->body, h2->pool);
    drop_unsent(h2, s);
    neap_pool_free(h2->pool, s->trailers, s->trailers_size);
    neap_pool_free(h2->pool, s, sizeof(*s));
}

struct http2_stream *neap_http2_stream_find(const struct http2 *h2, uint64_t id)
{
    struct map_node *node = neap_map_find(&h2->streams, id);
    struct http2_stream *s = node ? LIST_OWNER(node, struct http2_stream, node) : NULL;

    return s && !s->is_gone ? s : NULL;
}

/* All of the peer's message that there will be was told and read. */
static bool is_received(const struct http2_stream *s)
{
    return (s->is_ended || s->is_cut || s->is_closed) && !s->first && s->body.size == 0;
}

bool neap_http2_stream_settle(struct http2 *h2, struct http2_stream *s)
{
    bool is_answered = s->sending == SENDING_OVER && !s->marks;

    if (is_answered && (is_received(s) || s->is_unwanted))
        mark_done(h2, s);
    if (!s->is_closed || !is_answered || !is_received(s) || s->is_held)
        return false;
    neap_http2_stream_free(h2, s);
    return true;
}

void neap_http2_stream_ready(struct http2 *h2, struct http2_stream *s)
{
    if (!s->is_gone && !list_linked(&s->ready_link))
        ring_append(&h2->ready, &s->ready_link);
}

/* A mark that the application is to be told, in this order: why it was stopped before the end of the stream. */
static bool take_mark(struct http2_stream *s, neap_h3_event *out)
{
    static const struct {
        enum http2_mark mark;
        enum neap_h3_event_type type;
    } order[] = {
        {MARK_STOPPED, NEAP_H3_STOPPED},
        {MARK_WRITABLE, NEAP_H3_WRITABLE},
        {MARK_RESET, NEAP_H3_RESET},
        {MARK_FINISHED, NEAP_H3_FINISHED},
    };

    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        if (!(s->marks & order[i].mark))
            continue;
        if (order[i].mark == MARK_FINISHED && (s->first || s->body.size > 0))
            continue;
        s->marks &= (uint8_t)~order[i].mark;
        *out = (neap_h3_event){.type = order[i].type, .stream = (uint64_t)s->id};
        if (order[i].mark == MARK_STOPPED)
            out->code = s->stop_code;
        else if (order[i].mark == MARK_RESET)
            out->code = s->reset_code;
        return true;
    }
    return false;
}

static void tell_section(struct http2 *h2, struct http2_stream *s, neap_h3_event *out)
{
    struct http2_section *section = h2->told = take_section(h2, s);

    *out = (neap_h3_event){
        .type = section->is_trailers ? NEAP_H3_TRAILERS : NEAP_H3_HEADERS,
        .stream = (uint64_t)s->id,
        .fields = section->list.fields,
        .field_count = section->list.count,
        .is_informational = section->is_informational,
        .fin = section->fin,
    };
    s->is_held = s->is_held || (h2->config.is_server && !s->is_reported);
    s->is_reported = true;
}

bool neap_http2_stream_event(struct http2 *h2, struct http2_stream *s, neap_h3_event *out)
{
    if (s->first && (!s->first->is_trailers || s->body.size == 0)) {
        tell_section(h2, s, out);
        return true;
    }
    if (s->body.size > 0 && !s->data_reported) {
        s->data_reported = true;
        *out = (neap_h3_event){.type = NEAP_H3_DATA, .stream = (uint64_t)s->id};
        return true;
    }
    return take_mark(s, out);
}

void neap_http2_stream_cut(struct http2 *h2, struct http2_stream *s, uint64_t code)
{
    if (s->is_cut)
        return;
    bool is_waited_for = !s->is_gone && !(s->is_unwanted && s->sending == SENDING_OVER);

    s->is_cut = true;
    /* A request that nobody has looked at need not be worked on. */
    if (!s->is_ended || (h2->config.is_server && !s->is_reported)) {
        neap_http2_stream_drop_received(h2, s);
        s->marks &= (uint8_t)~MARK_FINISHED;
        s->reset_code = code;
        if (is_waited_for && !s->is_unwanted)
            s->marks |= MARK_RESET;
    }
    if (s->sending != SENDING_OVER && is_waited_for && s->is_reported) {
        s->stop_code = code;
        s->marks |= MARK_STOPPED;
    }
    s->is_stopped = s->is_stopped || s->sending != SENDING_OVER;
    drop_unsent(h2, s);
    neap_http2_stream_ready(h2, s);
}

void neap_http2_stream_abort(struct http2 *h2, struct http2_stream *s, uint32_t code)
{
    if (!s->is_closed && !s->is_cut && !h2->is_broken)
        neap_http2_break(h2, nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE, s->id, code));
    neap_http2_stream_cut(h2, s, neap_http2_code_from(code));
}

/* Have the peer send no more, without a word to the application. */
static void end_received(struct http2 *h2, struct http2_stream *s)
{
    if (s->is_ended || s->is_cut || s->is_closed || h2->is_broken)
        return;
    neap_http2_stream_drop_received(h2, s);
    s->is_cut = true;
    neap_http2_break(h2, nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE, s->id, s->end_code));
}

void neap_http2_stream_end_sent(struct http2 *h2, struct http2_stream *s)
{
    s->is_end_sent = true;
    if ((s->is_unwanted || s->is_gone) && !s->ends_late) {
        s->ends_late = true;
        h2->late_count++;
    }
}

void neap_http2_end_late(struct http2 *h2)
{
    for (struct list_link *l = h2->all.next; l != &h2->all && h2->late_count > 0; l = l->next) {
        struct http2_stream *s = LIST_OWNER(l, struct http2_stream, link);

        if (!s->ends_late)
            continue;
        s->ends_late = false;
        h2->late_count--;
        end_received(h2, s);
    }
}

int64_t neap_http2_recv_body(struct transport *t, uint64_t stream, void *out, size_t size)
{
    struct http2 *h2 = neap_http2_of(t);
    struct http2_stream *s = neap_http2_stream_find(h2, stream);

    if (h2->failed || h2->closed_reported)
        return NEAP_ERR_CLOSED;
    if (!s || s->is_unwanted)
        return NEAP_ERR_STREAM_STATE;
    size_t got = neap_chunk_queue_take(&s->body, h2->pool, out, size);
    if (got > 0)
        neap_http2_break(h2, nghttp2_session_consume(h2->session, s->id, got));
    /* The end or trailers may be next, or more bytes come. */
    if (got < size)
        s->data_reported = false;
    neap_http2_stream_ready(h2, s);
    if (got > 0 || size == 0)
        return (int64_t)got;
    return is_received(s) && !s->marks ? NEAP_ERR_STREAM_STATE : NEAP_ERR_AGAIN;
}

int neap_http2_cancel(struct transport *t, uint64_t stream, uint64_t code)
{
    struct http2 *h2 = neap_http2_of(t);
    struct http2_stream *s = neap_http2_stream_find(h2, stream);

    if (code > (UINT64_C(1) << 62) - 1)
        return NEAP_ERR_ARGUMENT;
    if (!s || h2->failed || h2->closed_reported)
        return NEAP_ERR_STREAM_STATE;
    s->is_gone = true;
    s->is_held = false;
    ring_remove(&h2->ready, &s->ready_link);
    neap_http2_stream_drop_received(h2, s);
    /* What is queued to its end still leaves; with it what the peer sends ends. */
    s->end_code = neap_http2_code_to(code);
    if (s->sending != SENDING_OVER)
        neap_http2_stream_abort(h2, s, s->end_code);
    else if (s->is_end_sent)
        end_received(h2, s);
    s->marks = 0;
    mark_done(h2, s);
    neap_http2_stream_settle(h2, s);
    return NEAP_OK;
}

int neap_http2_stop_body(struct transport *t, uint64_t stream, uint64_t code)
{
    struct http2 *h2 = neap_http2_of(t);
    struct http2_stream *s = neap_http2_stream_find(h2, stream);

    if (code > (UINT64_C(1) << 62) - 1)
        return NEAP_ERR_ARGUMENT;
    if (!s || s->is_unwanted || !s->is_reported || h2->failed || h2->closed_reported)
        return NEAP_ERR_STREAM_STATE;
    if (is_received(s) && !(s->marks & MARK_FINISHED))
        return NEAP_ERR_STREAM_STATE;
    s->is_unwanted = true;
    s->marks &= (uint8_t)~MARK_FINISHED;
    s->end_code = neap_http2_code_to(code);
    neap_http2_stream_drop_received(h2, s);
    if (s->is_end_sent)
        end_received(h2, s);
    if (!neap_http2_stream_settle(h2, s) && s->marks)
        neap_http2_stream_ready(h2, s);
    return NEAP_OK;
}
