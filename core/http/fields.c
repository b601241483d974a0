/* Names, values, pseudo-header fields and the few regular fields that frame a message. */
#include "http/fields.h"

#include "base/pool.h"
#include "base/span.h"
#include "base/writer.h"
#include "http/qpack_static.h"

#include <string.h>

#define LINE_OVERHEAD 32u
#define COOKIE_JOINT "; "
#define COOKIE_JOINT_SIZE (sizeof COOKIE_JOINT - 1)

enum byte_class {
    BYTE_NAME = 1,      /* a token's byte in lower case (RFC 9110 §5.6.2) */
    BYTE_UPPER = 2,     /* a token's byte in upper case */
    BYTE_PATH = 4,      /* visible, and not what begins a fragment */
    BYTE_AUTHORITY = 8, /* host and port (RFC 3986 §3.2): no userinfo, no comma that joins lists */
};

/* Of ASCII; the other bytes have no class. */
static const uint8_t byte_classes[256] = {
    /* clang-format off */
     0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,
     0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,
     0, 13,  4,  1, 13, 13, 13, 13, 12, 12, 13, 13,  4, 13, 13,  4,
    13, 13, 13, 13, 13, 13, 13, 13, 13, 13, 12, 12,  4, 12,  4,  4,
     4, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14,
    14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 12,  4, 12,  5, 13,
     5, 13, 13, 13, 13, 13, 13, 13, 13, 13, 13, 13, 13, 13, 13, 13,
    13, 13, 13, 13, 13, 13, 13, 13, 13, 13, 13,  4,  5,  4, 13,  0,
    /* clang-format on */
};

enum pseudo {
    PSEUDO_METHOD = 1 << 0,
    PSEUDO_SCHEME = 1 << 1,
    PSEUDO_AUTHORITY = 1 << 2,
    PSEUDO_PATH = 1 << 3,
    PSEUDO_STATUS = 1 << 4,
};

#define PSEUDO_OF_REQUEST (PSEUDO_METHOD | PSEUDO_SCHEME | PSEUDO_AUTHORITY | PSEUDO_PATH)

struct checking {
    enum section_kind kind;
    struct section_info *info;
    struct failure *why;
    bool is_decoded; /* pointers into the static table tell what needs no look */
    unsigned seen;   /* enum pseudo */
    bool has_regular, has_host;
    struct span method, scheme, authority, path, host;
};

static int malformed(struct checking *c, const char *reason)
{
    return neap_fail(c->why, NEAP_H3_MESSAGE_ERROR, reason);
}

/* ---- eight bytes at a time: what is common passes so, everything else is looked at byte by byte */

#define EACH (UINT64_MAX / 255) /* one byte in all places */
#define TOP_BITS (EACH * 0x80)

static uint64_t load_word(const uint8_t *bytes)
{
    uint64_t word;

    memcpy(&word, bytes, sizeof word);
    return word;
}

/* 1 to 7 bytes, some of them twice, and letters. */
static uint64_t load_short(const uint8_t *bytes, size_t size)
{
    uint32_t low, high;

    if (size < sizeof low)
        return 0x6161616161000000 | bytes[0] | (uint64_t)bytes[size / 2] << 8 |
               (uint64_t)bytes[size - 1] << 16;
    memcpy(&low, bytes, sizeof low);
    memcpy(&high, bytes + size - sizeof high, sizeof high);
    return low | (uint64_t)high << 32;
}

/* The top bits of the bytes in [first, last]; all bytes of `word` and `last` are below 0x80. */
static uint64_t between(uint64_t word, uint8_t first, uint8_t last)
{
    return (word + EACH * (0x80u - first)) & ~(word + EACH * (0x7fu - last)) & TOP_BITS;
}

static bool has_zero(uint64_t word)
{
    return (word - EACH) & ~word & TOP_BITS;
}

static bool has_byte(uint64_t word, uint8_t byte)
{
    return has_zero(word ^ EACH * byte);
}

/* Whether there is a byte below `limit`, which is at most 0x80. */
static bool has_below(uint64_t word, uint8_t limit)
{
    return (word - EACH * limit) & ~word & TOP_BITS;
}

/* Whether every byte is surely one of these classes. */
static bool is_plain(uint64_t word, uint8_t classes)
{
    if (word & TOP_BITS)
        return false;
    if (classes & BYTE_PATH)
        return !has_below(word, 0x21) && !has_byte(word, 0x7f) && !has_byte(word, '#');
    /* Letters in lower case, digits, what stands between words, and before a port. */
    uint64_t fits = between(word, 'a', 'z') | between(word, '-', classes & BYTE_AUTHORITY ? ':' : '9');
    return fits == TOP_BITS && !has_byte(word, '/');
}

static bool each_of(const uint8_t *bytes, size_t size, uint8_t classes)
{
    for (size_t i = 0; i < size; i++) {
        if (!(byte_classes[bytes[i]] & classes))
            return false;
    }
    return true;
}

static inline bool all_of(struct span s, uint8_t classes)
{
    size_t at = 0;

    for (; s.size - at >= 8; at += 8) {
        if (!is_plain(load_word(s.data + at), classes) && !each_of(s.data + at, 8, classes))
            return false;
    }
    return at == s.size || is_plain(load_short(s.data + at, s.size - at), classes) ||
           each_of(s.data + at, s.size - at, classes);
}

static bool equals(struct span s, const char *text)
{
    return span_equal(s, span_of_string(text));
}

/* `text` is in lower case. */
static bool equals_any_case(struct span s, const char *text)
{
    struct span t = span_of_string(text);

    if (s.size != t.size)
        return false;
    for (size_t i = 0; i < s.size; i++) {
        uint8_t byte = s.data[i] >= 'A' && s.data[i] <= 'Z' ? (uint8_t)(s.data[i] | 0x20) : s.data[i];
        if (byte != t.data[i])
            return false;
    }
    return true;
}

static bool is_plain_value(uint64_t word)
{
    return !has_below(word, 0x20) && !has_byte(word, 0x7f);
}

static bool each_of_value(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if ((bytes[i] < 0x20 && bytes[i] != '\t') || bytes[i] == 0x7f)
            return false;
    }
    return true;
}

/* Visible bytes, obs-text, and space or tab between them. */
bool neap_fields_is_value(struct span s)
{
    if (s.size == 0)
        return true;
    uint8_t first = s.data[0], last = s.data[s.size - 1];
    if (first == ' ' || first == '\t' || last == ' ' || last == '\t')
        return false;
    size_t at = 0;
    for (; s.size - at >= 8; at += 8) {
        if (!is_plain_value(load_word(s.data + at)) && !each_of_value(s.data + at, 8))
            return false;
    }
    return at == s.size || is_plain_value(load_short(s.data + at, s.size - at)) ||
           each_of_value(s.data + at, s.size - at);
}

/* 1*DIGIT below 2^62; a list of equal numbers is refused too, as RFC 9110 §8.6 allows. */
static int check_content_length(struct checking *c, struct span value)
{
    uint64_t length = 0;

    if (c->info->content_length >= 0)
        return malformed(c, "content-length twice");
    if (value.size == 0)
        return malformed(c, "empty content-length");
    for (size_t i = 0; i < value.size; i++) {
        if (value.data[i] < '0' || value.data[i] > '9')
            return malformed(c, "content-length is no number");
        uint64_t digit = (uint64_t)(value.data[i] - '0');
        if (length > (VARINT_MAX - digit) / 10)
            return malformed(c, "content-length too large");
        length = length * 10 + digit;
    }
    c->info->content_length = (int64_t)length;
    return NEAP_OK;
}

/* RFC 9114 §4.2: what belongs to a connection of HTTP/1.1 has no place; te may say "trailers" in a request. */
static bool is_connection_specific(const struct checking *c, struct span name, struct span value)
{
    switch (name.size) {
    case 2: return equals(name, "te") && (c->kind != SECTION_REQUEST || !equals_any_case(value, "trailers"));
    case 7: return equals(name, "upgrade");
    case 10: return equals(name, "connection") || equals(name, "keep-alive");
    case 16: return equals(name, "proxy-connection");
    case 17: return equals(name, "transfer-encoding");
    default: return false;
    }
}

/* No name of the static table belongs to a connection. */
static bool is_static(const struct checking *c, struct span text)
{
    return c->is_decoded && neap_qpack_static_holds(text.data);
}

static int check_name(struct checking *c, struct span name, struct span value)
{
    if (!all_of(name, BYTE_NAME))
        return malformed(c, each_of(name.data, name.size, BYTE_NAME | BYTE_UPPER)
                                ? "upper case in a field name"
                                : "invalid field name");
    if (is_connection_specific(c, name, value))
        return malformed(c, "connection-specific field");
    return NEAP_OK;
}

static int check_regular(struct checking *c, struct span name, struct span value)
{
    int err;

    c->has_regular = true;
    if (!is_static(c, value) && !neap_fields_is_value(value))
        return malformed(c, "invalid field value");
    if (!is_static(c, name) && (err = check_name(c, name, value)) != NEAP_OK)
        return err;
    if (c->kind == SECTION_TRAILERS)
        return NEAP_OK;
    if (equals(name, "content-length"))
        return check_content_length(c, value);
    if (equals(name, "priority"))
        neap_priority_parse(value, &c->info->priority);
    if (c->kind == SECTION_REQUEST && equals(name, "host")) {
        if (c->has_host)
            return malformed(c, "host twice");
        c->has_host = true;
        c->host = value;
    }
    return NEAP_OK;
}

static unsigned pseudo_of(struct span name)
{
    switch (name.size) {
    case 5: return equals(name, ":path") ? PSEUDO_PATH : 0;
    case 7:
        return equals(name, ":method")   ? PSEUDO_METHOD
               : equals(name, ":scheme") ? PSEUDO_SCHEME
               : equals(name, ":status") ? PSEUDO_STATUS
                                         : 0;
    case 10: return equals(name, ":authority") ? PSEUDO_AUTHORITY : 0;
    default: return 0;
    }
}

/* Three digits; 101 does not exist in HTTP/3 (RFC 9114 §4.5). */
static int check_status(struct checking *c, struct span value)
{
    unsigned status = 0;

    if (value.size != 3 || value.data[0] == '0')
        return malformed(c, "invalid :status");
    for (size_t i = 0; i < 3; i++) {
        if (value.data[i] < '0' || value.data[i] > '9')
            return malformed(c, "invalid :status");
        status = status * 10 + (unsigned)(value.data[i] - '0');
    }
    if (status == 101)
        return malformed(c, "status 101");
    c->info->status = (uint16_t)status;
    return NEAP_OK;
}

static int check_pseudo(struct checking *c, struct span name, struct span value)
{
    unsigned pseudo = pseudo_of(name);
    unsigned allowed = c->kind == SECTION_REQUEST    ? PSEUDO_OF_REQUEST
                       : c->kind == SECTION_RESPONSE ? PSEUDO_STATUS
                                                     : 0u;

    if (!(pseudo & allowed))
        return malformed(c, "pseudo-header field that is not defined here");
    if (c->has_regular)
        return malformed(c, "pseudo-header field after regular fields");
    if (c->seen & pseudo)
        return malformed(c, "pseudo-header field twice");
    c->seen |= pseudo;
    if (pseudo == PSEUDO_METHOD)
        c->method = value;
    else if (pseudo == PSEUDO_SCHEME)
        c->scheme = value;
    else if (pseudo == PSEUDO_AUTHORITY)
        c->authority = value;
    else if (pseudo == PSEUDO_PATH)
        c->path = value;
    else
        return check_status(c, value);
    return NEAP_OK;
}

/* RFC 3986 §3.1. */
static bool is_scheme(struct span s)
{
    for (size_t i = 0; i < s.size; i++) {
        uint8_t letter = s.data[i] | 0x20;
        bool is_letter = letter >= 'a' && letter <= 'z';
        bool is_other = (s.data[i] >= '0' && s.data[i] <= '9') || s.data[i] == '+' || s.data[i] == '-' ||
                        s.data[i] == '.';
        if (!is_letter && (i == 0 || !is_other))
            return false;
    }
    return s.size > 0;
}

/* RFC 9114 §4.3.1: authority and path of a URI with this scheme. */
static int check_target(struct checking *c)
{
    bool is_http = equals(c->scheme, "https") || equals_any_case(c->scheme, "https") ||
                   equals_any_case(c->scheme, "http");
    bool has_authority = c->seen & PSEUDO_AUTHORITY;

    if (is_http && !has_authority && !c->has_host)
        return malformed(c, "neither :authority nor host");
    if ((has_authority && c->authority.size == 0) || (c->has_host && c->host.size == 0))
        return malformed(c, "empty authority");
    if (has_authority && c->has_host && !span_equal(c->authority, c->host))
        return malformed(c, ":authority and host differ");
    if (!all_of(has_authority ? c->authority : c->host, BYTE_AUTHORITY))
        return malformed(c, "invalid authority");
    if (!is_static(c, c->path) && !all_of(c->path, BYTE_PATH))
        return malformed(c, "invalid :path");
    if (!is_http)
        return NEAP_OK;
    if (c->path.size == 0)
        return malformed(c, "empty :path");
    bool is_asterisk = equals(c->path, "*") && equals(c->method, "OPTIONS");
    if (c->path.data[0] != '/' && !is_asterisk)
        return malformed(c, ":path does not begin with a slash");
    return NEAP_OK;
}

/* A host and a port: the authority form of a request target (RFC 9110 §7.1). */
static bool ends_in_port(struct span s)
{
    size_t at = s.size;

    while (at > 0 && s.data[at - 1] >= '0' && s.data[at - 1] <= '9')
        at--;
    return at > 1 && at < s.size && s.data[at - 1] == ':';
}

static int check_request(struct checking *c)
{
    const unsigned needed = PSEUDO_METHOD | PSEUDO_SCHEME | PSEUDO_PATH;

    if (!(c->seen & PSEUDO_METHOD))
        return malformed(c, "no :method");
    if (c->method.size == 0 ||
        (!is_static(c, c->method) && !each_of(c->method.data, c->method.size, BYTE_NAME | BYTE_UPPER)))
        return malformed(c, "invalid :method");
    c->info->is_head = equals(c->method, "HEAD");
    c->info->is_connect = equals(c->method, "CONNECT");
    if (c->info->is_connect) { /* RFC 9114 §4.4 */
        if (c->seen != (PSEUDO_METHOD | PSEUDO_AUTHORITY))
            return malformed(c, "CONNECT with other pseudo-header fields than :authority");
        if (!ends_in_port(c->authority))
            return malformed(c, "CONNECT without a port");
        return check_target(c);
    }
    if ((c->seen & needed) != needed)
        return malformed(c, "no :scheme or no :path");
    if (!equals(c->scheme, "https") && !is_scheme(c->scheme))
        return malformed(c, "invalid :scheme");
    return check_target(c);
}

int neap_fields_check(const neap_field *fields, size_t count, enum section_kind kind, bool is_decoded,
                      struct section_info *info, struct failure *why)
{
    struct checking c = {.kind = kind, .is_decoded = is_decoded, .info = info, .why = why};
    int err = NEAP_OK;

    *info = (struct section_info){.content_length = -1, .priority = {.urgency = PRIORITY_URGENCY}};
    for (size_t i = 0; i < count && err == NEAP_OK; i++) {
        struct span name = span_of(fields[i].name, fields[i].name_size);
        struct span value = span_of(fields[i].value, fields[i].value_size);
        if (name.size == 0)
            err = malformed(&c, "empty field name");
        else if (name.data[0] == ':')
            err = check_pseudo(&c, name, value);
        else
            err = check_regular(&c, name, value);
    }
    if (err)
        return err;
    if (kind == SECTION_REQUEST)
        return check_request(&c);
    if (kind == SECTION_RESPONSE && !(c.seen & PSEUDO_STATUS))
        return malformed(&c, "no :status");
    return NEAP_OK;
}

static bool is_cookie(const neap_field *f)
{
    return equals(span_of(f->name, f->name_size), "cookie");
}

/* What one line of all would hold; how many lines there are. */
static size_t count_cookies(const struct field_list *list, size_t *size)
{
    size_t lines = 0;

    *size = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (!is_cookie(&list->fields[i]))
            continue;
        *size += list->fields[i].value_size + (lines++ > 0 ? COOKIE_JOINT_SIZE : 0);
    }
    return lines;
}

int neap_fields_join_cookies(struct field_list *list, struct pool *pool)
{
    neap_field *joined = NULL;
    uint32_t kept = 0;
    size_t size;

    if (count_cookies(list, &size) < 2)
        return NEAP_OK;
    char *text = neap_pool_alloc(pool, size);
    if (!text)
        return NEAP_ERR_NO_MEMORY;
    list->cookie = text;
    list->cookie_size = size;
    for (size_t i = 0; i < list->count; i++) {
        neap_field line = list->fields[i];

        if (!is_cookie(&line)) {
            list->fields[kept++] = line;
            continue;
        }
        if (joined) {
            memcpy(text, COOKIE_JOINT, COOKIE_JOINT_SIZE);
            text += COOKIE_JOINT_SIZE;
        } else {
            joined = &list->fields[kept++];
            *joined = line;
        }
        memcpy(text, line.value, line.value_size);
        text += line.value_size;
        joined->never_indexed |= line.never_indexed;
    }
    joined->value = list->cookie;
    joined->value_size = size;
    list->count = kept;
    return NEAP_OK;
}

uint64_t neap_fields_size(const neap_field *fields, size_t count)
{
    uint64_t size = 0;

    for (size_t i = 0; i < count; i++)
        size += fields[i].name_size + fields[i].value_size + LINE_OVERHEAD;
    return size;
}
