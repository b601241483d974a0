/* One line per site for a tracer (neap_trace_event in neap.h). Off: one load and an untaken branch. */
#ifndef NEAP_BASE_TRACE_H
#define NEAP_BASE_TRACE_H

#include "neap.h"

#define TRACE(tracer_, ...)                                                        \
    do {                                                                           \
        if (__builtin_expect((tracer_) != NULL, 0))                                \
            (tracer_)->emit((tracer_)->context, &(neap_trace_event){__VA_ARGS__}); \
    } while (0)

#endif
