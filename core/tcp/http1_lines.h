/* The lines of one section while it is read, for the files that read heads. */
#ifndef NEAP_TCP_HTTP1_LINES_H
#define NEAP_TCP_HTTP1_LINES_H

#include "base/failure.h"
#include "base/limits.h"
#include "http/fields.h"

#include <stdbool.h>

#define LINES_PSEUDO 4u /* places for pseudo-header fields before the others */

struct lines {
    enum section_kind kind;
    struct field_list *list;
    struct pool *pool;
    struct failure *why;
    bool has_transfer_encoding, has_host, has_upgrade, expects_100;
    bool says_close, says_keep_alive, says_upgrade; /* in connection */
    struct span host;
    neap_field upgrade;
    size_t option_count; /* other names in connection */
    struct span options[LIMIT_HTTP1_OPTIONS];
};

/** Read the lines in [at, end), the last of which is empty, behind LINES_PSEUDO places: 0, a status with its reason,
 * NEAP_ERR_NO_MEMORY. What fields may be is looked at by neap_lines_check. */
int neap_lines_read(struct lines *l, uint8_t *at, uint8_t *end);

/** Put pseudo-header fields before them, at most LINES_PSEUDO. */
void neap_lines_put_pseudo(struct lines *l, const neap_field *pseudo, size_t count);

/** Hold all fields against the rules: 0 and *info, 400 or 431. */
int neap_lines_check(struct lines *l, struct section_info *info, uint64_t max_section);

/** Take out the fields that connection names. */
void neap_lines_drop_named(struct lines *l);

/** 10 times the major and the minor version of "HTTP/1.1"; -1 when it is none. */
int neap_lines_version(struct span s);

/** Without the blanks around it (OWS, RFC 9110 §5.6.3). */
struct span neap_lines_trim(struct span s);

bool neap_lines_equal_any_case(struct span a, struct span b);

#endif
