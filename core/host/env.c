/* The default environment: memory, randomness and the wall clock of the system. */
#include "host/host.h"

#include "quic/config.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define PID_BITS 22 /* of a process ID, at most (PID_MAX_LIMIT) */

#define MEMORY_SHARE 4u /* of the memory that there is, for one config by default */

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

/* A number in a page that the kernel empties in the child of a fork, whichever way it was made. NULL: it cannot. */
static _Atomic(unsigned long) *fork_mark(void)
{
    static _Atomic(void *) known;
    void *page = atomic_load(&known), *none = NULL;

    if (page)
        return page == MAP_FAILED ? NULL : page;
    page = mmap(NULL, sizeof(unsigned long), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page != MAP_FAILED && madvise(page, sizeof(unsigned long), MADV_WIPEONFORK)) {
        munmap(page, sizeof(unsigned long));
        page = MAP_FAILED;
    }
    if (!atomic_compare_exchange_strong(&known, &none, page)) { /* another thread was first */
        if (page != MAP_FAILED)
            munmap(page, sizeof(unsigned long));
        page = none;
    }
    return page == MAP_FAILED ? NULL : page;
}

/* The process ID parts brothers, the count of forks parts a process from those before it that had its ID. */
static uint64_t default_generation(void *context)
{
    static _Atomic(unsigned long) count;
    _Atomic(unsigned long) *mark = fork_mark();
    unsigned long seen = mark ? atomic_load(mark) : (unsigned long)getpid();

    (void)context;
    if (seen)
        return seen;
    unsigned long fresh = (atomic_fetch_add(&count, 1) + 1) << PID_BITS | (unsigned long)getpid();
    return atomic_compare_exchange_strong(mark, &seen, fresh) ? fresh : seen;
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
    if (!complete.generation)
        complete.generation = default_generation;
    if (complete.memory_limit == 0)
        complete.memory_limit = (size_t)(neap_host_memory("") / MEMORY_SHARE);
    else if (complete.memory_limit == SIZE_MAX)
        complete.memory_limit = 0;
    neap_config *config = neap_config_create(&complete);
    const char *engine = getenv("NEAP_CRYPTO");
    if (config && engine)
        neap_config_choose_engine(config, engine);
    return config;
}
