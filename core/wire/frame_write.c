/* Writers of frames (RFC 9000 §19), the mirror of frame.c. */
#include "wire/frame.h"

#include "base/limits.h"
#include "base/range_set.h"

static void write_type(struct writer *w, enum frame_type type)
{
    write_varint(w, (uint64_t)type); /* in its shortest form (RFC 9000 §12.4) */
}

/* Bytes of the ranges below the newest, from the one at `i` + 1 down to the one at `i`. */
static size_t range_size(const struct range *ranges, size_t i)
{
    return varint_size(ranges[i + 1].start - ranges[i].end - 1) +
           varint_size(ranges[i].end - ranges[i].start - 1);
}

#define NO_PATH_ID UINT64_MAX
#define ACK_MOST (64u + 16u * LIMIT_ACK_RANGES_SENT) /* bytes: more than any takes */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* How many of the newest ranges have room; at most LIMIT_ACK_RANGES_SENT, so that one byte counts them. */
static size_t ranges_that_fit(size_t room, uint64_t path_id, const struct range *ranges, size_t count,
                              uint64_t delay, const uint64_t *ecn)
{
    const struct range *newest = &ranges[count - 1];
    size_t size = 1 + (path_id != NO_PATH_ID ? varint_size(path_id) : 0) + varint_size(newest->end - 1) +
                  varint_size(delay) + 1 + varint_size(newest->end - newest->start - 1);
    size_t fitting = 0;

    for (size_t i = 0; ecn && i < 3; i++)
        size += varint_size(ecn[i]);
    while (size <= room && ++fitting < least(count, LIMIT_ACK_RANGES_SENT))
        size += range_size(ranges, count - 1 - fitting);
    return fitting;
}

/* An ACK, or where there is a path ID a PATH_ACK. */
static void write_ack(struct writer *w, uint64_t path_id, const struct range *ranges, size_t count,
                      uint64_t delay, const uint64_t *ecn)
{
    const struct range *newest = &ranges[count - 1];
    size_t sent = writer_left(w) >= ACK_MOST
                      ? least(count, LIMIT_ACK_RANGES_SENT)
                      : ranges_that_fit(writer_left(w), path_id, ranges, count, delay, ecn);

    if (sent == 0) {
        w->full = true;
        return;
    }
    size_t more = sent - 1; /* ranges below the newest */
    if (path_id != NO_PATH_ID) {
        write_type(w, ecn ? FRAME_PATH_ACK_ECN : FRAME_PATH_ACK);
        write_varint(w, path_id);
    } else {
        write_type(w, ecn ? FRAME_ACK_ECN : FRAME_ACK);
    }
    write_varint(w, newest->end - 1);
    write_varint(w, delay);
    write_varint(w, more);
    write_varint(w, newest->end - newest->start - 1);
    for (size_t i = count - 1; i > count - 1 - more; i--) {
        write_varint(w, ranges[i].start - ranges[i - 1].end - 1);
        write_varint(w, ranges[i - 1].end - ranges[i - 1].start - 1);
    }
    for (size_t i = 0; ecn && i < 3; i++)
        write_varint(w, ecn[i]);
}

void neap_write_ack(struct writer *w, const struct range *ranges, size_t count, uint64_t delay,
                    const uint64_t *ecn)
{
    write_ack(w, NO_PATH_ID, ranges, count, delay, ecn);
}

void neap_write_path_ack(struct writer *w, uint64_t path_id, const struct range *ranges, size_t count,
                         uint64_t delay, const uint64_t *ecn)
{
    write_ack(w, path_id, ranges, count, delay, ecn);
}

void neap_write_padding(struct writer *w, size_t size)
{
    uint8_t *room = write_room(w, size);

    if (room && size)
        memset(room, FRAME_PADDING, size);
}

void neap_write_ping(struct writer *w)
{
    write_type(w, FRAME_PING);
}

void neap_write_reset_stream(struct writer *w, uint64_t id, uint64_t code, uint64_t final_size)
{
    write_type(w, FRAME_RESET_STREAM);
    write_varint(w, id);
    write_varint(w, code);
    write_varint(w, final_size);
}

void neap_write_reset_stream_at(struct writer *w, const struct frame_reset_stream *f)
{
    write_varint(w, FRAME_RESET_STREAM_AT);
    write_varint(w, f->id);
    write_varint(w, f->code);
    write_varint(w, f->final_size);
    write_varint(w, f->reliable_size);
}

void neap_write_stop_sending(struct writer *w, uint64_t id, uint64_t code)
{
    write_type(w, FRAME_STOP_SENDING);
    write_varint(w, id);
    write_varint(w, code);
}

void neap_write_crypto_header(struct writer *w, uint64_t offset, size_t size)
{
    write_type(w, FRAME_CRYPTO);
    write_varint(w, offset);
    write_varint(w, size);
}

size_t neap_crypto_header_size(uint64_t offset, size_t size)
{
    return 1 + varint_size(offset) + varint_size(size);
}

void neap_write_new_token(struct writer *w, struct span token)
{
    write_type(w, FRAME_NEW_TOKEN);
    write_varint(w, token.size);
    write_span(w, token);
}

void neap_write_stream_header(struct writer *w, uint64_t id, uint64_t offset, size_t size, bool fin)
{
    write_u8(w, (uint8_t)(FRAME_STREAM | STREAM_LEN | (offset ? STREAM_OFF : 0) | (fin ? STREAM_FIN : 0)));
    write_varint(w, id);
    if (offset)
        write_varint(w, offset);
    write_varint(w, size);
}

size_t neap_stream_header_size(uint64_t id, uint64_t offset, size_t size)
{
    return 1 + varint_size(id) + (offset ? varint_size(offset) : 0) + varint_size(size);
}

void neap_write_number(struct writer *w, enum frame_type type, uint64_t value)
{
    write_type(w, type);
    write_varint(w, value);
}

void neap_write_stream_number(struct writer *w, enum frame_type type, uint64_t id, uint64_t value)
{
    write_type(w, type);
    write_varint(w, id);
    write_varint(w, value);
}

static void write_id(struct writer *w, const struct frame_new_connection_id *f)
{
    write_varint(w, f->sequence);
    write_varint(w, f->retire_prior_to);
    write_u8(w, f->cid.size);
    write_bytes(w, f->cid.bytes, f->cid.size);
    write_bytes(w, f->token, sizeof f->token);
}

void neap_write_new_connection_id(struct writer *w, const struct frame_new_connection_id *f)
{
    write_type(w, FRAME_NEW_CONNECTION_ID);
    write_id(w, f);
}

void neap_write_path_new_connection_id(struct writer *w, uint64_t path_id,
                                       const struct frame_new_connection_id *f)
{
    write_type(w, FRAME_PATH_NEW_CONNECTION_ID);
    write_varint(w, path_id);
    write_id(w, f);
}

void neap_write_path(struct writer *w, enum frame_type type, const uint8_t data[8])
{
    write_type(w, type);
    write_bytes(w, data, 8);
}

/* At most `room` bytes of a text, not cutting a UTF-8 sequence in two. */
static size_t cut_text(struct span text, size_t room)
{
    size_t size = text.size < room ? text.size : room;

    while (size > 0 && size < text.size && (text.data[size] & 0xc0) == 0x80)
        size--;
    return size;
}

void neap_write_close(struct writer *w, const struct frame_close *f)
{
    write_type(w, f->is_application ? FRAME_CONNECTION_CLOSE_APP : FRAME_CONNECTION_CLOSE);
    write_varint(w, f->code);
    if (!f->is_application)
        write_varint(w, f->frame_type);
    size_t room = writer_left(w);

    if (room > LIMIT_CLOSE_REASON + 2)
        room = LIMIT_CLOSE_REASON + 2; /* the length takes one or two bytes */
    size_t length_size = room > 64 ? 2 : 1;
    size_t size = cut_text(f->reason, room > length_size ? room - length_size : 0);
    write_varint(w, size);
    write_bytes(w, f->reason.data, size);
}

void neap_write_handshake_done(struct writer *w)
{
    write_type(w, FRAME_HANDSHAKE_DONE);
}

void neap_write_immediate_ack(struct writer *w)
{
    write_type(w, FRAME_IMMEDIATE_ACK);
}

void neap_write_datagram(struct writer *w, struct span data)
{
    write_varint(w, FRAME_DATAGRAM | DATAGRAM_LEN);
    write_varint(w, data.size);
    write_span(w, data);
}

void neap_write_ack_frequency(struct writer *w, const struct frame_ack_frequency *f)
{
    write_type(w, FRAME_ACK_FREQUENCY);
    write_varint(w, f->sequence);
    write_varint(w, f->threshold);
    write_varint(w, f->max_delay_us);
    write_varint(w, f->reordering);
}
