/* The head of a response: its line, and what its fields say (RFC 9112 §4). */
#include "tcp/http1_head.h"

#include "tcp/http1_lines.h"

#include <string.h>

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

/* version SP status [SP reason], without the end of the line; some leave out the space before a reason that is empty. */
static int read_line(struct http1_head *head, struct span line, struct span *status, struct failure *why)
{
    int version = line.size >= 12 && line.data[8] == ' ' ? neap_lines_version(span_of(line.data, 8)) : -1;

    if (version / 10 != 1)
        return neap_fail(why, 502, "invalid status line");
    *status = span_of(line.data + 9, 3);
    for (size_t i = 0; i < 3; i++) {
        if (!is_digit(status->data[i]))
            return neap_fail(why, 502, "invalid status line");
    }
    if (line.size > 12 &&
        (line.data[12] != ' ' || !neap_fields_is_value(neap_lines_trim(span_after(line, 13)))))
        return neap_fail(why, 502, "invalid status line");
    head->is_old = version == 10;
    return NEAP_OK;
}

/* The check is that of HTTP/3, which has no status 101. */
static int check(struct lines *l, struct http1_head *head, struct span status, uint64_t max_section)
{
    bool is_switch = memcmp(status.data, "101", 3) == 0;
    neap_field pseudo = {.name = ":status",
                         .name_size = 7,
                         .value = is_switch ? "200" : (const char *)status.data,
                         .value_size = 3};

    neap_lines_put_pseudo(l, &pseudo, 1);
    int err = neap_lines_check(l, &head->info, max_section);
    if (err)
        return err;
    neap_lines_drop_named(l);
    head->is_chunked = l->has_transfer_encoding;
    if (head->is_chunked && (head->info.content_length >= 0 || head->is_old))
        return neap_fail(l->why, 502, "content-length beside transfer-encoding");
    if (!is_switch)
        return NEAP_OK;
    if (!l->has_upgrade || !l->says_upgrade)
        return neap_fail(l->why, 502, "101 without upgrade");
    head->info.status = 101;
    head->upgrades = true;
    l->list->fields[0].value = (const char *)status.data;
    l->list->fields[l->list->count++] = l->upgrade;
    return NEAP_OK;
}

int neap_head_read_response(struct http1_head *head, struct field_list *list, struct pool *pool,
                            uint8_t *bytes, size_t size, uint64_t max_section, struct failure *why)
{
    struct lines l = {.kind = SECTION_RESPONSE, .list = list, .pool = pool, .why = why};
    size_t line = (size_t)((uint8_t *)memchr(bytes, '\n', size) - bytes) + 1;
    struct span status;

    *head = (struct http1_head){0};
    int err = read_line(head, span_of(bytes, line - 2), &status, why);
    if (!err)
        err = neap_lines_read(&l, bytes + line, bytes + size);
    if (!err)
        err = check(&l, head, status, max_section);
    if (err)
        return err;
    head->keeps = !l.says_close && (!head->is_old || l.says_keep_alive);
    return NEAP_OK;
}
