/* A strike register: which ClientHellos with early data were taken, so that none is taken twice (RFC 8446 §8.2). */
#ifndef NEAP_HOST_STRIKES_H
#define NEAP_HOST_STRIKES_H

#include "neap.h"

#define STRIKES_LIFETIME_MOST 60 /* seconds from now that an entry may be kept for */
#define STRIKES_START 30         /* seconds for which a register that began empty knows of nothing */

struct strikes;

/** Open the register in a file, which is made when there is none, and which programs of one machine share; or one in
 * memory (`path` NULL), which forks of this process share. `entries` is how many it keeps at a time, rounded up to a power
 * of two. `now`: seconds since 1970; negative, where that is not known, it begins with the first note. 0 and *out, which
 * neap_strikes_close frees; NEAP_ERR_SYSTEM (errno), NEAP_ERR_ARGUMENT (the file is something else, others may write it,
 * or it has another number of entries) or NEAP_ERR_NO_MEMORY, with *why, which may be NULL. */
int neap_strikes_open(const char *path, uint64_t entries, int64_t now, struct strikes **out,
                      const char **why);
/** NULL is fine. The file stays. */
void neap_strikes_close(struct strikes *s);

/** True: `id` was not here before, and is noted until `expires`. False: it was, or it cannot be said: the register is full
 * there, began less than STRIKES_START ago, its file was removed, the clock went back, or `expires` is not in the next
 * STRIKES_LIFETIME_MOST seconds. Looks at 16 entries, whatever their number. */
bool neap_strikes_note(struct strikes *s, const uint8_t id[32], int64_t expires, int64_t now);

#endif
