/* Why something failed: a code and a static reason. Parts fill one that the caller lends, so that they can fail
 * without knowing the connection; one place turns it into CONNECTION_CLOSE. */
#ifndef NEAP_BASE_FAILURE_H
#define NEAP_BASE_FAILURE_H

#include <stdint.h>

struct failure {
    int code;           /* 0 none; negative: NEAP_ERR_*, ours; positive: the wire code of the peer's fault */
    const char *reason; /* static text */
};

/* Say why and hand the code back, so that callers can `return neap_fail(...)`. The first reason wins. */
static inline int neap_fail(struct failure *why, int code, const char *reason)
{
    if (why && why->code == 0)
        *why = (struct failure){.code = code, .reason = reason};
    return code;
}

/* Builds without reasons have the codes, and names for them, but not one text for each way to fail. Texts of tables are
 * REASON_TEXT(text). */
#ifdef NEAP_NO_REASONS
#define neap_fail(why, code, reason) neap_fail(why, code, ((void)(reason), ""))
#define REASON_TEXT(text) ""
#else
#define REASON_TEXT(text) text
#endif

#endif
