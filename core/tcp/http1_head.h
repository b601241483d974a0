/* Field sections of HTTP/1.1 that have come whole: first lines, fields, what they say of the connection and of the body. */
#ifndef NEAP_TCP_HTTP1_HEAD_H
#define NEAP_TCP_HTTP1_HEAD_H

#include "base/failure.h"
#include "http/fields.h"

#include <stdbool.h>

struct pool;

/* Where a section ends is looked for as its bytes come, each once. Zeroed: nothing was looked at. */
struct head_scan {
    size_t seen;       /* bytes that were looked at */
    size_t line;       /* where the line begins that is not whole */
    size_t first_line; /* bytes of the first one with its end, 0 while it is not whole */
    uint32_t lines;    /* whole ones */
};

/* What a first line and the fields say beside those that the application gets. */
struct http1_head {
    struct section_info info;
    bool is_old;      /* HTTP/1.0 */
    bool is_chunked;  /* the body */
    bool keeps;       /* the connection stays for another message */
    bool expects_100; /* a request: the client waits for a 100 before it sends the body */
    bool upgrades;    /* it has a field `upgrade` that counts */
};

/** Look on for the end of a section in `bytes`, all that came of it: its size when it is whole, 0 when it is not. Minus the
 * status that refuses it: 400 for a line that does not end in CR LF, 414 and 431 for a bound. `has_first_line`: a request line or
 * status line comes before the fields. */
int64_t neap_head_find_end(struct head_scan *scan, struct span bytes, bool has_first_line,
                           uint64_t max_section);

/** Read a whole request head: its fields, as an application gets them, in `list`, which was empty; they point into `bytes`, which are
 * changed. 0; the status that refuses it, and the reason; NEAP_ERR_NO_MEMORY. `is_secure`: it came over TLS. */
int neap_head_read_request(struct http1_head *head, struct field_list *list, struct pool *pool,
                           uint8_t *bytes, size_t size, bool is_secure, uint64_t max_section,
                           struct failure *why);

/** The same for the head of a response; what refuses it is 502. */
int neap_head_read_response(struct http1_head *head, struct field_list *list, struct pool *pool,
                            uint8_t *bytes, size_t size, uint64_t max_section, struct failure *why);

/** The same for trailers, which may be none: 0, 400, 431, NEAP_ERR_NO_MEMORY. */
int neap_head_read_trailers(struct field_list *list, struct pool *pool, uint8_t *bytes, size_t size,
                            uint64_t max_section, struct failure *why);

#endif
