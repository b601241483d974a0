/* Filling a caller's struct that may be of an older or a newer neap.h: what both know is copied, what only the caller
 * knows is zero. Such structs grow at their end only. */
#ifndef NEAP_BASE_FILL_H
#define NEAP_BASE_FILL_H

#include <stddef.h>
#include <string.h>

static inline void fill_sized(void *out, size_t size, const void *known, size_t known_size)
{
    memcpy(out, known, size < known_size ? size : known_size);
    if (size > known_size)
        memset((char *)out + known_size, 0, size - known_size);
}

#endif
