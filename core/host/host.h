/* What the files of this folder share. */
#ifndef NEAP_HOST_HOST_H
#define NEAP_HOST_HOST_H

#include "neap.h"

/** Put the reason where the caller wants it, if he does, and hand the code back. */
static inline int neap_say(const char **why, int code, const char *reason)
{
    if (why)
        *why = reason;
    return code;
}

/** A whole file in memory, to be freed; NULL with *why (which may be NULL). */
void *neap_file_read(const char *path, size_t *size, const char **why);

/** Bytes of memory that this process may have: the machine's, or its cgroup's limit when that is less; 0 unknown. `root`
 * stands before every path: "". */
uint64_t neap_host_memory(const char *root);

#endif
