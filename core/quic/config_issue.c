/* What an authority does with a config's randomness and clock: keys, requests, certificates (neap.h "certificates for
 * others"). */
#include "base/fill.h"
#include "base/limits.h"
#include "crypto/der.h"
#include "crypto/issue.h"
#include "quic/config.h"

#include <arpa/inet.h>

#define VALID_BEFORE 3600 /* seconds: clocks of peers may be behind */
#define DAY 86400

/* A caller's plan, of whichever age. */
static neap_certificate_plan plan_of(const neap_certificate_plan *plan, size_t size)
{
    neap_certificate_plan known = {0};

    fill_sized(&known, sizeof known, plan, size);
    return known;
}

int neap_make_key(neap_config *config, char *out, size_t room)
{
    struct failure failure = {0};

    return neap_private_key_make(config->crypto, out, room, &failure);
}

#ifndef NEAP_NO_ISSUING

int64_t neap_make_request(neap_config *config, const neap_certificate_plan *plan, size_t plan_size, char *out,
                          size_t room, const char **why)
{
    const neap_certificate_plan known = plan_of(plan, plan_size);
    struct failure failure = {0};

    return neap_config_say(neap_request_make(config->crypto, &known, out, room, &failure), &failure, why);
}

/* DNS names and addresses; others are left out. False for a name that is none, or without room. */
static bool list_names(struct span names, neap_request_info *info)
{
    struct reader r = reader_of(names);
    struct writer w = writer_of((uint8_t *)info->names, sizeof(info->names));
    char text[INET6_ADDRSTRLEN];

    while (!r.bad && reader_left(&r) > 0) {
        struct span name;
        uint8_t kind = neap_der_next(&r, &name, NULL);

        if (kind == NAME_ADDRESS && (name.size == 4 || name.size == 16)) {
            inet_ntop(name.size == 4 ? AF_INET : AF_INET6, name.data, text, sizeof text);
            name = span_of_string(text);
        } else if (kind != NAME_DNS) {
            continue;
        }
        if (!neap_name_is_sane(name) || info->name_count == LIMIT_CERTIFICATE_NAMES)
            return false;
        write_span(&w, name);
        write_u8(&w, 0);
        info->name_count++;
    }
    return !r.bad && !w.full;
}

static int read_info(const struct certificate_request *request, neap_request_info *info, struct failure *why)
{
    if (!neap_request_subject(request, info->common_name, info->organization))
        return neap_fail(why, NEAP_ERR_CERTIFICATE, "the request's subject is no text of 64 bytes or less");
    neap_hash(HASH_SHA256, request->key.spki, info->public_key_sha256);
    return list_names(request->names, info)
               ? 0
               : neap_fail(why, NEAP_ERR_CERTIFICATE, "the request's names are none, or more than 32");
}

int neap_read_request(neap_config *config, const void *request, size_t size, neap_request_info *out,
                      size_t out_size, const char **why)
{
    struct failure failure = {0};
    struct certificate_request parsed;
    neap_request_info info = {0};
    struct span der;
    int error = neap_request_take(config->pool, span_of(request, size), &der, &failure);

    if (error)
        return (int)neap_config_say(error, &failure, why);
    error = neap_request_parse(config->crypto, der, &parsed, &failure);
    if (!error)
        error = read_info(&parsed, &info, &failure);
    neap_certificate_release(config->pool, der);
    if (!error)
        fill_sized(out, out_size, &info, sizeof info);
    return (int)neap_config_say(error, &failure, why);
}

#else

int64_t neap_make_request(neap_config *config, const neap_certificate_plan *plan, size_t plan_size, char *out,
                          size_t room, const char **why)
{
    const struct failure failure = {.code = NEAP_ERR_UNSUPPORTED};

    (void)config, (void)plan, (void)plan_size, (void)out, (void)room;
    return neap_config_say(failure.code, &failure, why);
}

int neap_read_request(neap_config *config, const void *request, size_t size, neap_request_info *out,
                      size_t out_size, const char **why)
{
    const struct failure failure = {.code = NEAP_ERR_UNSUPPORTED};

    (void)config, (void)request, (void)size, (void)out, (void)out_size;
    return (int)neap_config_say(failure.code, &failure, why);
}

#endif

static struct issue_times times_of(const neap_config *config, unsigned days)
{
    int64_t now = neap_config_wall_clock(config);

    return (struct issue_times){.now = now,
                                .not_before = now > VALID_BEFORE ? now - VALID_BEFORE : 0,
                                .not_after = now + (int64_t)days * DAY};
}

int64_t neap_issue_certificate(neap_config *config, const neap_certificate_plan *plan, size_t plan_size,
                               char *out, size_t room, const char **why)
{
    const neap_certificate_plan known = plan_of(plan, plan_size);
    const struct issue_times times = times_of(config, known.days);
    struct failure failure = {0};

    if (known.days == 0)
        neap_fail(&failure, NEAP_ERR_ARGUMENT, "a certificate is good for a day or more");
    if (!time_is_known(times.now))
        neap_fail(&failure, NEAP_ERR_STATE, "nobody knows what time it is");
    int64_t made = failure.code ? failure.code
                                : neap_certificate_issue(config->crypto, &known, &times, out, room, &failure);
    return neap_config_say(made, &failure, why);
}

int neap_make_certificate(neap_config *config, const char *const *names, size_t count, unsigned days,
                          char *certificate, size_t certificate_size, char *key, size_t key_size)
{
    const struct issue_times times = times_of(config, days);
    struct failure failure = {0};

    if (count == 0 || days == 0)
        return NEAP_ERR_ARGUMENT;
    if (!time_is_known(times.now))
        return NEAP_ERR_STATE;
    return neap_certificate_make(config->crypto, names, count, times.not_before, times.not_after, certificate,
                                 certificate_size, key, key_size, &failure);
}
