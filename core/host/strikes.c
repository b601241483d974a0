/* The strike register: a table of words in memory that processes share. A word is a fingerprint of what was noted and the
 * second when it may go; an identifier has its place in one bucket. There are no locks, so that a program which dies or
 * stops half way keeps nobody waiting: a word is taken by compare and swap, and who took one looks whether somebody else
 * took another for the same at that moment. Nothing that still counts is ever overwritten. */
#include "host/strikes.h"

#include "host/host.h"
#include "quic/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLOTS 16u /* of a bucket: a cache line */
#define BUCKETS_MOST (UINT32_C(1) << 24)
#define TIME_BITS 12u
#define TIME_MASK ((UINT32_C(1) << TIME_BITS) - 1)
#define CLOCK_STEP 2 /* seconds that processes may see the time apart, who read it one after the other */
#define KEPT_LONGER (CLOCK_STEP + 1)
#define STARTED_SOMETIME UINT32_MAX /* it was not known when */
#define TRIES 64u                   /* for a free slot that others take meanwhile */

static const char mark[8] = {'n', 'e', 'a', 'p', 's', 't', 'r', 'k'};
#define FORM 1u /* in the byte order of the machine: of another one it is another number */

struct header {
    char mark[8]; /* last of all that is written: without it nobody has used the file */
    uint32_t form;
    uint32_t buckets;
    char boot[40];             /* which start of the machine wrote the entries: what it had not written to the
                                  disk when it ended is gone */
    _Atomic(uint32_t) started; /* seconds since 1970: what came before is not known here. 0: nothing came; or
                                  STARTED_SOMETIME */
    _Atomic(uint32_t) latest;  /* the latest time that was told: what was over then is gone */
};

struct bucket {
    _Atomic(uint32_t) slots[SLOTS]; /* fingerprint above TIME_BITS; 0: never used */
};

_Static_assert(sizeof(struct header) == sizeof(struct bucket), "the header is as large as a bucket");
_Static_assert(STRIKES_LIFETIME_MOST + KEPT_LONGER < TIME_MASK / 4,
               "seconds in a slot are told from those around them");

struct strikes {
    struct header *header;
    struct bucket *buckets;
    uint32_t mask; /* of a bucket's index */
    size_t size;
    int fd; /* -1: in memory */
};

/* ---- opening */

static uint32_t buckets_for(uint64_t entries)
{
    uint32_t count = 1;

    while (count < BUCKETS_MOST && (uint64_t)count * SLOTS < entries)
        count *= 2;
    return count;
}

/* The kernel's name for this start of the machine; all zero when it says none, which is as good as another one each time. */
static void read_boot(char out[40])
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, out, 40);

    if (fd >= 0)
        close(fd);
    memset(out + (got > 0 ? got : 0), 0, (size_t)(40 - (got > 0 ? got : 0)));
}

static int map(struct strikes *s, int flags, const char **why)
{
    void *memory = mmap(NULL, s->size, PROT_READ | PROT_WRITE, MAP_SHARED | flags, s->fd, 0);

    if (memory == MAP_FAILED)
        return neap_say(why, NEAP_ERR_NO_MEMORY, "no memory for the strike register");
    s->header = memory;
    s->buckets = (struct bucket *)(s->header + 1);
    return 0;
}

static uint32_t start_time(int64_t now)
{
    return now > 0 && now < STARTED_SOMETIME ? (uint32_t)now : STARTED_SOMETIME;
}

/* A file that has just been made, or whose maker died before the mark was there. */
static void begin(struct strikes *s, const char boot[40], int64_t now)
{
    memcpy(s->header->boot, boot, sizeof s->header->boot);
    s->header->form = FORM;
    s->header->buckets = s->mask + 1;
    atomic_store(&s->header->latest, now > 0 ? (uint32_t)now : 0);
    atomic_store(&s->header->started, start_time(now));
    memcpy(s->header->mark, mark, sizeof mark);
}

/* With the file's lock: no other program opens it meanwhile. */
static int set_up(struct strikes *s, int64_t now, const char **why)
{
    static const char nothing[8];
    char boot[40];
    struct stat info;

    if (fstat(s->fd, &info))
        return neap_say(why, NEAP_ERR_SYSTEM, "the strike register cannot be looked at");
    if (!S_ISREG(info.st_mode) || info.st_mode & (S_IWGRP | S_IWOTH))
        return neap_say(why, NEAP_ERR_ARGUMENT,
                        "a strike register is a regular file that its owner alone may write");
    if (info.st_size != 0 && (size_t)info.st_size != s->size)
        return neap_say(why, NEAP_ERR_ARGUMENT,
                        "it is no strike register of so many entries (strike_entries)");
    /* All of it now: a disk that is full later would end the process. */
    if (info.st_size == 0 && (errno = posix_fallocate(s->fd, 0, (off_t)s->size)) != 0)
        return neap_say(why, NEAP_ERR_SYSTEM, "no room for the strike register");
    int rc = map(s, 0, why);
    if (rc)
        return rc;
    read_boot(boot);
    if (memcmp(s->header->mark, nothing, sizeof nothing) == 0)
        begin(s, boot, now);
    if (memcmp(s->header->mark, mark, sizeof mark) != 0 || s->header->form != FORM ||
        s->header->buckets != s->mask + 1)
        return neap_say(why, NEAP_ERR_ARGUMENT, "it is no strike register that this version writes");
    if (!boot[0] || memcmp(s->header->boot, boot, sizeof boot) != 0) {
        atomic_store(&s->header->started, start_time(now));
        memcpy(s->header->boot, boot, sizeof boot);
    }
    return 0;
}

static int open_file(struct strikes *s, const char *path, int64_t now, const char **why)
{
    s->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, S_IRUSR | S_IWUSR);
    if (s->fd < 0)
        return neap_say(why, NEAP_ERR_SYSTEM, "the strike register cannot be opened");
    while (flock(s->fd, LOCK_EX))
        if (errno != EINTR)
            return neap_say(why, NEAP_ERR_SYSTEM, "the strike register cannot be locked");
    int rc = set_up(s, now, why), kept = errno;
    flock(s->fd, LOCK_UN);
    errno = kept;
    return rc;
}

int neap_strikes_open(const char *path, uint64_t entries, int64_t now, struct strikes **out, const char **why)
{
    struct strikes *s = calloc(1, sizeof *s);

    if (!s)
        return neap_say(why, NEAP_ERR_NO_MEMORY, "no memory for the strike register");
    s->mask = buckets_for(entries) - 1;
    s->size = sizeof(struct header) + ((size_t)s->mask + 1) * sizeof(struct bucket);
    s->fd = -1;
    int rc = path ? open_file(s, path, now, why) : map(s, MAP_ANONYMOUS, why);
    if (rc == 0) {
        *out = s;
        return 0;
    }
    int kept = errno;
    neap_strikes_close(s);
    errno = kept;
    return rc;
}

void neap_strikes_close(struct strikes *s)
{
    if (!s)
        return;
    if (s->header)
        munmap(s->header, s->size);
    if (s->fd >= 0)
        close(s->fd);
    free(s);
}

/* ---- noting */

/* Whether the word of a slot still counts. Of the seconds it has the lowest bits, so that one which is over for an hour and
 * more may count for a minute again, in vain. */
static bool is_live(uint32_t word, uint32_t now)
{
    uint32_t left = (word + KEPT_LONGER - now) & TIME_MASK;

    return word != 0 && left > 0 && left <= STRIKES_LIFETIME_MOST + KEPT_LONGER;
}

static uint32_t read_word(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* How many live words have this fingerprint; *place is the first slot that is free, and *held what is in it. SLOTS: none. */
static unsigned look(struct bucket *bucket, uint32_t print, uint32_t now, unsigned *place, uint32_t *held)
{
    unsigned found = 0;

    *place = SLOTS;
    for (unsigned i = 0; i < SLOTS; i++) {
        uint32_t word = atomic_load(&bucket->slots[i]);

        if (is_live(word, now)) {
            found += word >> TIME_BITS == print;
        } else if (*place == SLOTS) {
            *place = i;
            *held = word;
        }
    }
    return found;
}

/* A clock that went back meets ClientHellos again that were taken when it was that late first, and whose entries have gone:
 * nothing is known until it is as late again. */
static bool is_clock_fine(struct strikes *s, uint32_t now)
{
    uint32_t latest = atomic_load(&s->header->latest), started = atomic_load(&s->header->started);

    /* It began when nobody knew what time it was: that is now, by the first who knows. */
    if (started == STARTED_SOMETIME && atomic_compare_exchange_strong(&s->header->started, &started, now))
        started = now;
    if (latest > now + CLOCK_STEP || (started != 0 && now < started + STRIKES_START))
        return false;
    while (latest < now && !atomic_compare_exchange_weak(&s->header->latest, &latest, now))
        ;
    return true;
}

/* Programs that have a removed file open, and those that make it anew, would know nothing of each other. */
static bool is_removed(const struct strikes *s)
{
    struct stat info;

    return s->fd >= 0 && (fstat(s->fd, &info) || info.st_nlink == 0);
}

bool neap_strikes_note(struct strikes *s, const uint8_t id[32], int64_t expires, int64_t now)
{
    struct bucket *bucket = &s->buckets[read_word(id) & s->mask];
    uint32_t print = read_word(id + 4) >> TIME_BITS, seconds = (uint32_t)now, held = 0;
    unsigned place;

    if (now <= 0 || now > UINT32_MAX - STRIKES_START || expires <= now ||
        expires - now > STRIKES_LIFETIME_MOST || is_removed(s) || !is_clock_fine(s, seconds))
        return false;
    if (print == 0)
        print = 1; /* so that no word is 0 */
    uint32_t word = print << TIME_BITS | ((uint32_t)expires & TIME_MASK);
    for (unsigned i = 0; i < TRIES; i++) {
        if (look(bucket, print, seconds, &place, &held) > 0 || place == SLOTS)
            return false;
        /* Who reads the clock a second apart may find another slot free, and take that one: then both see two. */
        if (atomic_compare_exchange_strong(&bucket->slots[place], &held, word))
            return look(bucket, print, seconds, &place, &held) == 1;
    }
    return false;
}

/* ---- of a config */

struct config_strikes {
    const neap_config *config;
    struct strikes *strikes;
};

static int strike(void *context, const uint8_t id[32], int64_t expires)
{
    struct config_strikes *own = context;

    return neap_strikes_note(own->strikes, id, expires, neap_config_wall_clock(own->config));
}

static void release(void *context)
{
    struct config_strikes *own = context;

    neap_strikes_close(own->strikes);
    free(own);
}

int neap_config_use_strikes(neap_config *config, const char *path, const char **why)
{
    struct config_strikes *own;

    if (!path && config->has_ticket_keys)
        return neap_say(why, NEAP_ERR_STATE,
                        "others may have these ticket keys, so that a register in memory knows too little");
    own = calloc(1, sizeof *own);
    if (!own)
        return neap_say(why, NEAP_ERR_NO_MEMORY, "no memory for the strike register");
    own->config = config;
    int rc = neap_strikes_open(path, config_option(config, OPTION_strike_entries),
                               neap_config_wall_clock(config), &own->strikes, why);
    if (rc) {
        int kept = errno;
        free(own);
        errno = kept;
        return rc;
    }
    neap_config_own_strike(config, strike, own, release, !path);
    return 0;
}
