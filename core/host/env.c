/* The default environment: memory, randomness and the wall clock of the system. */
#include "neap.h"

#include "quic/config.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

static void *default_realloc(void *context, void *pointer, size_t size)
{
    (void)context;
    if (size == 0) {
        free(pointer);
        return NULL;
    }
    return realloc(pointer, size);
}

static int default_random(void *context, uint8_t *out, size_t size)
{
    (void)context;
    while (size > 0) {
        ssize_t got = getrandom(out, size, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return -1;
        out += got;
        size -= (size_t)got;
    }
    return 0;
}

static int64_t default_wall_clock(void *context)
{
    (void)context;
    return (int64_t)time(NULL);
}

neap_config *neap_config_new(const neap_env *env)
{
    neap_env complete = env ? *env : (neap_env){0};

    if (!complete.realloc)
        complete.realloc = default_realloc;
    if (!complete.random)
        complete.random = default_random;
    if (!complete.wall_clock)
        complete.wall_clock = default_wall_clock;
    return neap_config_create(&complete);
}
