/* The head of a request: its line, and the target in its four forms (RFC 9112 §3). */
#include "tcp/http1_head.h"

#include "tcp/http1_lines.h"

#include <string.h>

struct request_line {
    struct span method, scheme, authority, path; /* empty: there is none */
    bool is_connect;
};

static struct span text(const char *s)
{
    return span_of_string(s);
}

static neap_field field(const char *name, struct span value)
{
    return (neap_field){
        .name = name, .name_size = strlen(name), .value = (const char *)value.data, .value_size = value.size};
}

static size_t skip_to(const uint8_t *at, size_t size, uint8_t byte)
{
    const uint8_t *found = size ? memchr(at, byte, size) : NULL;

    return found ? (size_t)(found - at) : size;
}

/* absolute-form: scheme "://" authority path-and-query. A path that is not there is a slash, or the asterisk of OPTIONS; the
 * authority moves by a byte to make room for a slash before a query. */
static int read_absolute(struct request_line *r, uint8_t *target, size_t size, bool is_secure,
                         struct failure *why)
{
    struct span scheme = is_secure ? text("https") : text("http");
    size_t scheme_size = skip_to(target, size, ':'), rest = scheme_size + 3;
    struct span said = span_of(target, scheme_size);

    if (size < rest || memcmp(target + scheme_size, "://", 3) != 0)
        return neap_fail(why, 400, "invalid request target");
    if (!neap_lines_equal_any_case(said, scheme)) {
        bool is_http =
            neap_lines_equal_any_case(said, text("http")) || neap_lines_equal_any_case(said, text("https"));
        return neap_fail(why, is_http ? 421 : 400, "target of another scheme");
    }
    size_t authority_size = skip_to(target + rest, size - rest, '/');
    size_t query = skip_to(target + rest, authority_size, '?');
    bool has_path = query == authority_size && rest + authority_size < size;
    r->scheme = scheme;
    if (has_path) {
        r->authority = span_of(target + rest, authority_size);
        r->path = span_of(target + rest + authority_size, size - rest - authority_size);
    } else if (query == authority_size) {
        r->authority = span_of(target + rest, authority_size);
        r->path = span_equal(r->method, text("OPTIONS")) ? text("*") : text("/");
    } else {
        memmove(target + rest - 1, target + rest, query);
        target[rest + query - 1] = '/';
        r->authority = span_of(target + rest - 1, query);
        r->path = span_of(target + rest + query - 1, size - rest - query + 1);
    }
    return r->authority.size > 0 ? NEAP_OK : neap_fail(why, 400, "target without an authority");
}

static int read_target(struct request_line *r, uint8_t *target, size_t size, bool is_secure,
                       struct failure *why)
{
    if (size == 0)
        return neap_fail(why, 400, "no request target");
    r->is_connect = span_equal(r->method, text("CONNECT"));
    if (r->is_connect) {
        r->authority = span_of(target, size);
        return NEAP_OK;
    }
    if (target[0] != '/' && !(size == 1 && target[0] == '*'))
        return read_absolute(r, target, size, is_secure, why);
    r->scheme = is_secure ? text("https") : text("http");
    r->path = span_of(target, size);
    return NEAP_OK;
}

/* method SP target SP version, without the end of the line; a blank more is none of these (RFC 9112 §3). */
static int read_line(struct request_line *r, struct http1_head *head, uint8_t *line, size_t size,
                     bool is_secure, struct failure *why)
{
    size_t method = skip_to(line, size, ' ');

    if (method == size)
        return neap_fail(why, 400, "invalid request line");
    size_t target = method + 1, target_size = skip_to(line + target, size - target, ' ');
    size_t version_at = target + target_size + 1;
    int version = version_at < size ? neap_lines_version(span_of(line + version_at, size - version_at)) : -1;
    if (version < 0)
        return neap_fail(why, 400, "invalid request line");
    if (version / 10 != 1)
        return neap_fail(why, 505, "another version of HTTP");
    head->is_old = version == 10;
    r->method = span_of(line, method);
    return read_target(r, line + target, target_size, is_secure, why);
}

/* Host and target say the same; the answer is in r->authority (RFC 9112 §3.2). */
static int settle_authority(struct request_line *r, const struct lines *l, bool is_old)
{
    if (!l->has_host && !is_old)
        return neap_fail(l->why, 400, "no host");
    if (l->has_host && l->host.size == 0)
        return neap_fail(l->why, 400, "empty host");
    if (r->authority.size == 0)
        r->authority = l->host;
    else if (l->has_host && !neap_lines_equal_any_case(r->authority, l->host))
        return neap_fail(l->why, 400, "host and target differ");
    return NEAP_OK;
}

/* What the fields say of the body (RFC 9112 §6.3), and whether they may. */
static int settle_body(struct http1_head *head, const struct lines *l)
{
    bool has_length = head->info.content_length >= 0;

    head->is_chunked = l->has_transfer_encoding;
    if (head->is_chunked && (has_length || head->is_old))
        return neap_fail(l->why, 400,
                         has_length ? "content-length beside transfer-encoding"
                                    : "HTTP/1.0 with transfer-encoding");
    if (head->info.is_connect && (head->is_chunked || has_length))
        return neap_fail(l->why, 400, "CONNECT with a body");
    return NEAP_OK;
}

/* Pseudo-header fields before, the field `upgrade` behind the others. For the check a request without an authority has one, and
 * `upgrade`, which HTTP/3 does not have, another name. */
static int finish(struct http1_head *head, struct lines *l, struct request_line *r, uint64_t max_section)
{
    struct span nobody = text("nobody");
    bool has_authority = r->authority.size > 0;
    neap_field pseudo[LINES_PSEUDO] = {field(":method", r->method)};
    size_t count = 1;

    if (!r->is_connect)
        pseudo[count++] = field(":scheme", r->scheme);
    size_t authority_at = count;
    pseudo[count++] = field(":authority", has_authority ? r->authority : nobody);
    if (!r->is_connect)
        pseudo[count++] = field(":path", r->path);
    neap_lines_put_pseudo(l, pseudo, count);

    int err = neap_lines_check(l, &head->info, max_section);
    if (!err)
        err = settle_body(head, l);
    if (err)
        return err;
    neap_lines_drop_named(l);
    neap_field *fields = l->list->fields;
    if (!has_authority) {
        l->list->count--;
        memmove(&fields[authority_at], &fields[authority_at + 1],
                (l->list->count - authority_at) * sizeof *fields);
    }
    head->upgrades = l->has_upgrade && l->says_upgrade && !head->is_old && !head->is_chunked &&
                     head->info.content_length <= 0 && !r->is_connect;
    if (head->upgrades)
        fields[l->list->count++] = l->upgrade;
    return NEAP_OK;
}

int neap_head_read_request(struct http1_head *head, struct field_list *list, struct pool *pool,
                           uint8_t *bytes, size_t size, bool is_secure, uint64_t max_section,
                           struct failure *why)
{
    struct lines l = {.kind = SECTION_REQUEST, .list = list, .pool = pool, .why = why};
    struct request_line r = {0};
    size_t line = skip_to(bytes, size, '\n') + 1;

    *head = (struct http1_head){0};
    int err = read_line(&r, head, bytes, line - 2, is_secure, why);
    if (!err)
        err = neap_lines_read(&l, bytes + line, bytes + size);
    if (!err)
        err = settle_authority(&r, &l, head->is_old);
    if (!err)
        err = finish(head, &l, &r, max_section);
    if (err)
        return err;
    head->keeps = !l.says_close && (!head->is_old || l.says_keep_alive);
    head->expects_100 = l.expects_100 && !head->is_old;
    return neap_fields_join_cookies(list, pool);
}
