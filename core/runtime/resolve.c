/* Name resolution: getaddrinfo blocks, so each question runs in a thread of its own, a bounded number at a time. The
 * state is shared under a lock and freed by whoever leaves last, the loop or a thread that is still asking. */
#include "runtime/runtime.h"
#include "runtime/sockaddr.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define THREAD_STACK (256u << 10) /* getaddrinfo with its plug-ins needs more than the smallest stack */

struct question {
    struct resolver *resolver;
    struct question *next;
    char host[LIMIT_HOST_NAME + 1];
    uint16_t port;
    neap_resolved answer;
};

struct resolver {
    pthread_mutex_t lock;
    unsigned references; /* the loop and each running thread */
    unsigned open;       /* questions whose answer was not taken yet */
    bool closed;         /* the loop is gone */
    int wake_fd;
    uint64_t last_id;
    struct question *answered, **answered_end;
};

struct resolver *neap_resolver_new(int wake_fd)
{
    struct resolver *resolver = calloc(1, sizeof *resolver);

    if (resolver == NULL)
        return NULL;
    if (pthread_mutex_init(&resolver->lock, NULL) != 0) {
        free(resolver);
        return NULL;
    }
    resolver->references = 1;
    resolver->wake_fd = wake_fd;
    resolver->answered_end = &resolver->answered;
    return resolver;
}

/* With the lock held; lets it go. */
static void release(struct resolver *resolver)
{
    bool last = --resolver->references == 0;

    pthread_mutex_unlock(&resolver->lock);
    if (!last)
        return;
    while (resolver->answered != NULL) {
        struct question *question = resolver->answered;
        resolver->answered = question->next;
        free(question);
    }
    pthread_mutex_destroy(&resolver->lock);
    free(resolver);
}

void neap_resolver_free(struct resolver *resolver)
{
    pthread_mutex_lock(&resolver->lock);
    resolver->closed = true;
    release(resolver);
}

bool neap_resolver_has_answer(struct resolver *resolver)
{
    pthread_mutex_lock(&resolver->lock);
    bool has = resolver->answered != NULL;
    pthread_mutex_unlock(&resolver->lock);
    return has;
}

/* The lock is held. */
static void append_answer(struct resolver *resolver, struct question *question)
{
    uint64_t one = 1;

    *resolver->answered_end = question;
    resolver->answered_end = &question->next;
    /* The descriptor is the loop's: written only while it lives. A full counter is readable already. */
    if (!resolver->closed && write(resolver->wake_fd, &one, sizeof one) < 0)
        return;
}

/* "localhost" and what ends in ".localhost" is the loopback, whatever the system's files say (RFC 6761 §6.3). */
static bool is_localhost(const char *host)
{
    size_t size = strlen(host), name_size = strlen("localhost");

    return size >= name_size && strcasecmp(host + size - name_size, "localhost") == 0 &&
           (size == name_size || host[size - name_size - 1] == '.');
}

static void look_up(struct question *question, int flags)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM, .ai_flags = flags};
    struct addrinfo *list = NULL;
    neap_resolved *answer = &question->answer;
    /* Without a name the loopback addresses are given; then a service is needed. */
    int failed = is_localhost(question->host) ? getaddrinfo(NULL, "443", &hints, &list)
                                              : getaddrinfo(question->host, NULL, &hints, &list);

    if (failed != 0) {
        snprintf(answer->error, sizeof answer->error, "%s",
                 failed == EAI_SYSTEM ? strerror(errno) : gai_strerror(failed));
        return;
    }
    for (struct addrinfo *at = list; at != NULL && answer->count < NEAP_RESOLVED_ADDRESSES;
         at = at->ai_next) {
        struct sockaddr_storage name = {0};
        if (at->ai_addrlen > sizeof name)
            continue;
        memcpy(&name, at->ai_addr, at->ai_addrlen);
        neap_address address = neap_sockaddr_parse(&name);
        address.port = question->port;
        if (address.family != 0)
            answer->addresses[answer->count++] = address;
    }
    freeaddrinfo(list);
    if (answer->count == 0)
        snprintf(answer->error, sizeof answer->error, "the name has no address");
}

static void *run(void *argument)
{
    struct question *question = argument;
    struct resolver *resolver = question->resolver;

    look_up(question, AI_ADDRCONFIG);
    pthread_mutex_lock(&resolver->lock);
    append_answer(resolver, question);
    release(resolver);
    return NULL;
}

/* Without signals: they are the application's, and the loop's from when it takes them. */
static int start_thread(struct question *question)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;
    int failed = pthread_attr_init(&attributes);

    if (failed != 0)
        return failed;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, THREAD_STACK);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&thread, &attributes, run, question);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return failed;
}

int64_t neap_loop_resolve(neap_loop *loop, const char *host, uint16_t port)
{
    struct resolver *resolver = loop->resolver;
    size_t size = host ? strlen(host) : 0;

    if (size == 0 || size > LIMIT_HOST_NAME)
        return neap_loop_fail(loop, NEAP_ERR_ARGUMENT, 0, "a host name has 1 to 253 bytes");
    struct question *question = calloc(1, sizeof *question);
    if (question == NULL)
        return neap_loop_fail(loop, NEAP_ERR_NO_MEMORY, ENOMEM, "a question for a name");
    memcpy(question->host, host, size);
    question->port = port;
    question->resolver = resolver;
    look_up(question, AI_NUMERICHOST);
    bool numeric = question->answer.count > 0;

    pthread_mutex_lock(&resolver->lock);
    bool full = resolver->open >= LIMIT_RESOLVES;
    int64_t id = 0;
    if (!full) {
        id = (int64_t)(question->answer.id = ++resolver->last_id);
        resolver->open++;
        if (numeric) {
            append_answer(resolver, question);
        } else {
            question->answer.error[0] = '\0';
            resolver->references++;
        }
    }
    pthread_mutex_unlock(&resolver->lock);
    if (full) {
        free(question);
        return neap_loop_fail(loop, NEAP_ERR_LIMIT, 0, "too many names are being looked up");
    }
    if (numeric)
        return id;
    int failed = start_thread(question);
    if (failed != 0) {
        free(question);
        pthread_mutex_lock(&resolver->lock);
        resolver->open--;
        release(resolver);
        return neap_loop_fail(loop, NEAP_ERR_SYSTEM, failed, "pthread_create");
    }
    return id;
}

bool neap_loop_resolved(neap_loop *loop, neap_resolved *out)
{
    struct resolver *resolver = loop->resolver;

    pthread_mutex_lock(&resolver->lock);
    struct question *question = resolver->answered;
    if (question != NULL) {
        resolver->answered = question->next;
        if (resolver->answered == NULL)
            resolver->answered_end = &resolver->answered;
        resolver->open--;
    }
    pthread_mutex_unlock(&resolver->lock);
    if (question == NULL)
        return false;
    *out = question->answer;
    free(question);
    return true;
}
