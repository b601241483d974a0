/* What is common to heads of both kinds: lines, fields, and those fields that are the connection's own. */
#include "tcp/http1_head.h"

#include "base/limits.h"
#include "base/pool.h"
#include "tcp/http1_lines.h"
#include "tcp/messages.h"

#define NAME_IS(text) (memcmp(name, text, sizeof(text) - 1) == 0)

int64_t neap_head_find_end(struct head_scan *scan, struct span bytes, bool has_first_line,
                           uint64_t max_section)
{
    while (scan->seen < bytes.size) {
        const uint8_t *from = bytes.data + scan->seen;
        const uint8_t *found = memchr(from, '\n', bytes.size - scan->seen);
        size_t end = found ? (size_t)(found - bytes.data) + 1 : bytes.size;
        bool is_first = has_first_line && scan->lines == 0;

        scan->seen = end;
        if (is_first && end > LIMIT_HTTP1_LINE)
            return -414;
        if (end - scan->first_line > max_section + (is_first ? LIMIT_HTTP1_LINE : 0))
            return -431;
        if (!found)
            return 0;
        if (end - scan->line < 2 || bytes.data[end - 2] != '\r')
            return -400;
        bool is_blank = end - scan->line == 2;
        scan->line = end;
        if (is_blank && !is_first)
            return (int64_t)end;
        if (is_first)
            scan->first_line = end;
        if (++scan->lines > LIMIT_FIELDS + has_first_line)
            return -431;
    }
    return 0;
}

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

struct span neap_lines_trim(struct span s)
{
    while (s.size > 0 && is_blank(s.data[0]))
        s = span_after(s, 1);
    while (s.size > 0 && is_blank(s.data[s.size - 1]))
        s.size--;
    return s;
}

bool neap_lines_equal_any_case(struct span a, struct span b)
{
    if (a.size != b.size)
        return false;
    for (size_t i = 0; i < a.size; i++) {
        uint8_t differ = a.data[i] ^ b.data[i], lower = a.data[i] | 0x20;
        if (differ != 0 && (differ != 0x20 || lower < 'a' || lower > 'z'))
            return false;
    }
    return true;
}

static bool says(struct span s, const char *text)
{
    return neap_lines_equal_any_case(s, span_of_string(text));
}

/* The next element of a comma-separated list, without the blanks around it; it may be empty. */
static struct span next_element(struct span *rest)
{
    const uint8_t *comma = rest->size ? memchr(rest->data, ',', rest->size) : NULL;
    struct span element = span_of(rest->data, comma ? (size_t)(comma - rest->data) : rest->size);

    *rest = comma ? span_after(*rest, element.size + 1) : span_of(NULL, 0);
    return neap_lines_trim(element);
}

/* RFC 9110 §7.6.1. A name that frames or routes the message is none that a hop may take out. */
static int take_connection(struct lines *l, struct span value)
{
    while (value.size > 0) {
        struct span option = next_element(&value);

        if (option.size == 0)
            continue;
        if (says(option, "close")) {
            l->says_close = true;
        } else if (says(option, "keep-alive")) {
            l->says_keep_alive = true;
        } else if (says(option, "upgrade")) {
            l->says_upgrade = true;
        } else if (says(option, "host") || says(option, "content-length")) {
            return neap_fail(l->why, 400, "connection names a field that is not its own");
        } else {
            if (l->option_count == LIMIT_HTTP1_OPTIONS)
                return neap_fail(l->why, 431, "too many names in connection");
            l->options[l->option_count++] = option;
        }
    }
    return NEAP_OK;
}

/* RFC 9112 §6.1. Chunked alone is known; where it is not the last coding, or more than one line, or a coding has parameters, nobody can
 * say where the body ends. */
static int take_transfer_encoding(struct lines *l, struct span value)
{
    struct span last = {0};
    size_t count = 0;

    if (value.size > 0 && value.data[value.size - 1] == ',')
        return neap_fail(l->why, 400, "transfer-encoding with an empty coding");
    if (l->has_transfer_encoding)
        return neap_fail(l->why, 400, "transfer-encoding twice");
    l->has_transfer_encoding = true;
    do {
        last = next_element(&value);
        if (says(last, "chunked") && value.size > 0)
            return neap_fail(l->why, 400, "chunked is not the last coding");
        count++;
    } while (value.size > 0);
    if (!says(last, "chunked"))
        return neap_fail(l->why, 400, "the last coding is not chunked");
    return count == 1 ? NEAP_OK : neap_fail(l->why, 501, "unknown transfer-encoding");
}

static int take_host(struct lines *l, struct span value)
{
    if (l->has_host)
        return neap_fail(l->why, 400, "host twice");
    l->has_host = true;
    l->host = value;
    return NEAP_OK;
}

/* What becomes of a field line. */
enum taken {
    TAKEN_BY_CONNECTION, /* the application does not get it */
    TAKEN_AS_FIELD,
    TAKEN_UPGRADE, /* it may get it */
};

/* A field that is the connection's, or the request's target: what it says is noted. */
static int take_line(struct lines *l, const neap_field *f, enum taken *taken)
{
    const char *name = f->name;
    struct span value = span_of(f->value, f->value_size);

    *taken = TAKEN_AS_FIELD;
    if (l->kind == SECTION_TRAILERS)
        return NEAP_OK;
    *taken = TAKEN_BY_CONNECTION;
    switch (f->name_size) {
    case 2:
        if (NAME_IS("te") && !(l->kind == SECTION_REQUEST && says(value, "trailers")))
            return NEAP_OK;
        break;
    case 4:
        if (NAME_IS("host") && l->kind == SECTION_REQUEST)
            return take_host(l, value);
        break;
    case 6:
        if (NAME_IS("expect") && l->kind == SECTION_REQUEST)
            l->expects_100 = l->expects_100 || says(value, "100-continue");
        break;
    case 7:
        if (!NAME_IS("upgrade"))
            break;
        *taken = l->has_upgrade ? TAKEN_BY_CONNECTION : TAKEN_UPGRADE;
        l->has_upgrade = true;
        return NEAP_OK;
    case 10:
        if (NAME_IS("connection"))
            return take_connection(l, value);
        if (NAME_IS("keep-alive"))
            return NEAP_OK;
        break;
    case 16:
        if (NAME_IS("proxy-connection"))
            return NEAP_OK;
        break;
    case 17:
        if (NAME_IS("transfer-encoding"))
            return take_transfer_encoding(l, value);
        break;
    default: break;
    }
    *taken = TAKEN_AS_FIELD;
    return NEAP_OK;
}

/* One line, without its end: name, colon, value. The name is made lower case where it lies; what it may consist of is looked at later. */
static bool split_line(uint8_t *at, uint8_t *end, neap_field *out)
{
    uint8_t *colon = memchr(at, ':', (size_t)(end - at));

    if (!colon || colon == at)
        return false;
    for (uint8_t *c = at; c < colon; c++) {
        if (*c >= 'A' && *c <= 'Z')
            *c |= 0x20;
    }
    struct span value = neap_lines_trim(span_of(colon + 1, (size_t)(end - colon) - 1));
    *out = (neap_field){.name = (char *)at,
                        .name_size = (size_t)(colon - at),
                        .value = (const char *)value.data,
                        .value_size = value.size};
    return true;
}

/* The lines of a section up to its empty one, each of which ends in CR LF. */
static int take_lines(struct lines *l, uint8_t *at, uint8_t *end)
{
    while (end - at > 2) {
        uint8_t *feed = memchr(at, '\n', (size_t)(end - at));
        neap_field *field = &l->list->fields[l->list->count];
        enum taken taken;

        if (is_blank(*at))
            return neap_fail(l->why, 400, "folded line");
        if (!split_line(at, feed - 1, field))
            return neap_fail(l->why, 400, "line without a name");
        at = feed + 1;
        int err = take_line(l, field, &taken);
        if (err)
            return err;
        if (taken != TAKEN_AS_FIELD && !neap_fields_is_value(span_of(field->value, field->value_size)))
            return neap_fail(l->why, 400, "invalid field value");
        if (taken == TAKEN_UPGRADE)
            l->upgrade = *field;
        if (taken == TAKEN_AS_FIELD)
            l->list->count++;
    }
    return NEAP_OK;
}

/* Room for all lines of a section, and for what comes before and behind them. */
static int make_room(struct lines *l, const uint8_t *at, const uint8_t *end)
{
    size_t lines = 0;

    while (end - at > 2) {
        at = (const uint8_t *)memchr(at, '\n', (size_t)(end - at)) + 1;
        lines++;
    }
    /* One more, into which a line is split that is not kept. */
    size_t wanted = LINES_PSEUDO + lines + 1;
    if (l->list->capacity >= wanted)
        return NEAP_OK;
    neap_field_list_free(l->list, l->pool);
    l->list->fields = neap_pool_alloc_unset(l->pool, wanted * sizeof(neap_field));
    if (!l->list->fields)
        return NEAP_ERR_NO_MEMORY;
    l->list->capacity = (uint32_t)wanted;
    return NEAP_OK;
}

int neap_lines_read(struct lines *l, uint8_t *at, uint8_t *end)
{
    int err = make_room(l, at, end);

    l->list->count = l->kind == SECTION_TRAILERS ? 0 : LINES_PSEUDO;
    return err ? err : take_lines(l, at, end);
}

void neap_lines_put_pseudo(struct lines *l, const neap_field *pseudo, size_t count)
{
    size_t gap = LINES_PSEUDO - count;

    memcpy(l->list->fields + gap, pseudo, count * sizeof *pseudo);
    if (gap > 0)
        memmove(l->list->fields, l->list->fields + gap, (l->list->count - gap) * sizeof *pseudo);
    l->list->count -= (uint32_t)gap;
}

int neap_lines_check(struct lines *l, struct section_info *info, uint64_t max_section)
{
    struct failure why = {0};

    if (neap_fields_check(l->list->fields, l->list->count, l->kind, false, info, &why))
        return neap_fail(l->why, 400, why.reason);
    if (neap_fields_size(l->list->fields, l->list->count) > max_section)
        return neap_fail(l->why, 431, "too many fields");
    return NEAP_OK;
}

static bool is_named(const struct lines *l, const neap_field *f)
{
    for (size_t i = 0; i < l->option_count; i++) {
        if (neap_lines_equal_any_case(l->options[i], span_of(f->name, f->name_size)))
            return true;
    }
    return false;
}

void neap_lines_drop_named(struct lines *l)
{
    uint32_t kept = 0;

    if (l->option_count == 0)
        return;
    for (uint32_t i = 0; i < l->list->count; i++) {
        const neap_field *f = &l->list->fields[i];
        bool is_te = f->name_size == 2 && memcmp(f->name, "te", 2) == 0;
        if (is_te || !is_named(l, f))
            l->list->fields[kept++] = *f;
    }
    l->list->count = kept;
}

int neap_lines_version(struct span s)
{
    bool is_version = s.size == 8 && memcmp(s.data, "HTTP/", 5) == 0 && s.data[6] == '.' &&
                      s.data[5] >= '0' && s.data[5] <= '9' && s.data[7] >= '0' && s.data[7] <= '9';

    return is_version ? (s.data[5] - '0') * 10 + s.data[7] - '0' : -1;
}

int neap_head_read_trailers(struct field_list *list, struct pool *pool, uint8_t *bytes, size_t size,
                            uint64_t max_section, struct failure *why)
{
    struct lines l = {.kind = SECTION_TRAILERS, .list = list, .pool = pool, .why = why};
    struct section_info info;
    int err = neap_lines_read(&l, bytes, bytes + size);

    if (!err)
        err = neap_lines_check(&l, &info, max_section);
    if (!err && !neap_trailers_allowed(list->fields, list->count))
        err = neap_fail(why, 400, "trailers that frame the message");
    return err;
}
