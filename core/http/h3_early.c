/* HTTP/3 and 0-RTT: the settings that are remembered with a TLS session (RFC 9114 §7.2.4.2, RFC 9204 §3.2.3), and how a
 * client begins again when its early data was not read. */
#include "base/limits.h"
#include "base/pool.h"
#include "base/reader.h"
#include "http/h3.h"
#include "quic/quic.h"

#define FORMAT 1u /* of what is remembered */

/* What a client of ours may have to comply with; others are not remembered, for it does not know them. */
static const uint64_t remembered_ids[] = {SETTING_QPACK_MAX_TABLE_CAPACITY, SETTING_MAX_FIELD_SECTION_SIZE,
                                          SETTING_QPACK_BLOCKED_STREAMS, SETTING_ENABLE_CONNECT_PROTOCOL,
                                          SETTING_H3_DATAGRAM};
#define REMEMBERED (sizeof(remembered_ids) / sizeof(remembered_ids[0]))
#define REMEMBERED_SIZE (1 + REMEMBERED * 2 * 8)
_Static_assert(REMEMBERED_SIZE <= LIMIT_SESSION_DATA, "settings fit into what a session keeps");

static const struct h3_setting *find(const struct h3_setting *settings, size_t count, uint64_t id)
{
    for (size_t i = 0; i < count; i++)
        if (settings[i].id == id)
            return &settings[i];
    return NULL;
}

/* ---- what is kept */

static void write_setting(struct writer *w, uint64_t id, uint64_t value)
{
    write_varint(w, id);
    write_varint(w, value);
}

void neap_h3_remember_settings(struct neap_h3 *h3)
{
    uint8_t room[REMEMBERED_SIZE];
    struct writer w = writer_of(room, sizeof room);

    write_u8(&w, FORMAT);
    for (size_t i = 0; i < REMEMBERED; i++) {
        const struct h3_setting *setting = find(h3->settings, h3->setting_count, remembered_ids[i]);

        if (setting)
            write_setting(&w, setting->id, setting->value);
    }
    /* Where nobody will send early, or memory is short, there is nothing to remember. */
    neap_conn_set_session_data(h3->conn, room, writer_size(&w));
}

int neap_config_set_h3(neap_config *config, const neap_h3_config *h3)
{
    uint8_t room[REMEMBERED_SIZE];
    struct writer w = writer_of(room, sizeof room);

    write_u8(&w, FORMAT);
    write_setting(&w, SETTING_MAX_FIELD_SECTION_SIZE, neap_h3_field_section_size(h3));
    return neap_config_set_session_data(config, room, writer_size(&w));
}

/* Into `out`, which has REMEMBERED rows: how many, or -1 for what we did not write. */
static int read_remembered(struct span bytes, struct h3_setting *out)
{
    struct reader r = reader_of(bytes);
    size_t count = 0;

    if (read_u8(&r) != FORMAT)
        return -1;
    while (reader_left(&r) > 0 && count < REMEMBERED) {
        out[count].id = read_varint(&r);
        out[count++].value = read_varint(&r);
    }
    return r.bad || reader_left(&r) > 0 ? -1 : (int)count;
}

void neap_h3_drop_settings(struct neap_h3 *h3)
{
    if (h3->settings)
        neap_pool_free(h3->pool, h3->settings, h3->setting_count * sizeof(*h3->settings));
    h3->settings = NULL;
    h3->setting_count = 0;
    h3->has_remembered = false;
    h3->peer_max_field_section_size = VARINT_MAX;
}

/* Without what the server told then, the defaults hold. */
void neap_h3_begin_early(struct neap_h3 *h3)
{
    struct h3_setting remembered[REMEMBERED];
    size_t size = 0;

    if (h3->is_server || !neap_conn_is_early(h3->conn))
        return;
    h3->may_be_rejected = true;
    const void *data = neap_conn_session_data(h3->conn, &size);
    int count = data ? read_remembered(span_of(data, size), remembered) : -1;
    if (count < 0)
        return;
    H3_TRACE(h3, .kind = NEAP_TRACE_H3_SETTINGS, .payload = (const uint8_t *)data + 1,
             .payload_size = size - 1, .values = {NEAP_TRACE_REMEMBERED});
    const struct h3_setting *most = find(remembered, (size_t)count, SETTING_MAX_FIELD_SECTION_SIZE);
    if (most)
        h3->peer_max_field_section_size = most->value;
    if (count > 0) {
        h3->settings = neap_pool_alloc_lasting(h3->pool, (size_t)count * sizeof(remembered[0]));
        if (!h3->settings)
            return; /* they are complied with, and the server's word is not held against them */
        memcpy(h3->settings, remembered, (size_t)count * sizeof(remembered[0]));
    }
    h3->setting_count = (uint32_t)count;
    h3->has_remembered = true;
}

/* ---- what the server says then */

static uint64_t value_or_default(const struct h3_setting *setting, uint64_t id)
{
    if (setting)
        return setting->value;
    return id == SETTING_MAX_FIELD_SECTION_SIZE ? VARINT_MAX : 0;
}

/* 0, or the error that a setting is whose value was `then`. */
static uint64_t setting_fault(const struct h3_setting *now, uint64_t id, uint64_t then)
{
    uint64_t value = value_or_default(now, id);

    if (id == SETTING_QPACK_MAX_TABLE_CAPACITY)
        return then != 0 && value != then ? NEAP_QPACK_DECODER_STREAM_ERROR : 0;
    return value < then || (!now && then != value_or_default(NULL, id)) ? NEAP_H3_SETTINGS_ERROR : 0;
}

int neap_h3_check_early_settings(struct neap_h3 *h3, const struct h3_setting *settings, size_t count)
{
    if (!h3->has_remembered || neap_conn_early(h3->conn) != NEAP_EARLY_ACCEPTED)
        return 0;
    for (size_t i = 0; i < REMEMBERED; i++) {
        uint64_t id = remembered_ids[i];
        uint64_t then = value_or_default(find(h3->settings, h3->setting_count, id), id);
        uint64_t fault = setting_fault(find(settings, count, id), id, then);

        if (fault)
            return neap_h3_fail(h3, fault, "a setting that early data relied on was changed");
    }
    return 0;
}

/* ---- early data that was not read */

/* All requests are told to be REJECTED, and their streams let go of, before the first stream has its ID again. */
static void reject_all(struct neap_h3 *h3)
{
    h3->is_starting_again = true;
    neap_h3_drop_settings(h3);
    for (struct list_link *l = h3->requests.next; l != &h3->requests; l = l->next)
        neap_h3_request_abort(LIST_OWNER(l, struct h3_request, link), NEAP_H3_REQUEST_CANCELLED,
                              NEAP_H3_REQUEST_REJECTED);
}

void neap_h3_settle_early(struct neap_h3 *h3)
{
    if (!h3->may_be_rejected || neap_conn_early(h3->conn) == NEAP_EARLY_OFFERED || neap_h3_is_closed(h3))
        return;
    if (neap_conn_early(h3->conn) == NEAP_EARLY_REJECTED) {
        if (!h3->is_starting_again)
            reject_all(h3);
        if (!list_empty(&h3->requests))
            return;
        if (h3->control_id != NO_STREAM)
            neap_conn_release(h3->conn, h3->control);
        h3->control_id = NO_STREAM;
        h3->control = NULL;
        neap_conn_streams_begin_again(h3->conn);
        h3->is_starting_again = false;
    }
    h3->may_be_rejected = false;
}
