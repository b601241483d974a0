/* What a trailer section must not say. */
#include "tcp/messages.h"

#include "base/span.h"

bool neap_trailers_allowed(const neap_field *fields, size_t count)
{
    static const char *const forbidden[] = {
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-range",
        "content-type",
        "cookie",
        "expect",
        "host",
        "keep-alive",
        "max-forwards",
        "proxy-authorization",
        "proxy-connection",
        "range",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    };

    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < sizeof forbidden / sizeof forbidden[0]; k++) {
            if (span_equal(span_of(fields[i].name, fields[i].name_size), span_of_string(forbidden[k])))
                return false;
        }
    }
    return true;
}
