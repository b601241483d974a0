/* Certificates (RFC 5280) that an authority here signs, or that sign themselves. */
#include "base/limits.h"
#include "base/pool.h"
#include "crypto/crypto.h"
#include "crypto/der.h"
#include "crypto/issue.h"
#include "neap.h"

#define DEVELOPMENT_SUBJECT "neap development certificate"
#define SERIAL_SIZE 16u
#define KEY_ID_SIZE 20u
#define NAMES_ROOM (LIMIT_CERTIFICATE_NAMES * (LIMIT_HOST_NAME + 3) + 8)
#define CERTIFICATE_ROOM (NAMES_ROOM + 4096) /* an authority's Name and two keys of RSA-4096 have room */
#define SUBJECT_ROOM 256u
#define PATH_LENGTH_MAX 127

enum { /* 2.5.29.x */
       ID_SUBJECT_KEY = 14,
       ID_KEY_USAGE = 15,
       ID_ALTERNATIVE_NAME = 17,
       ID_BASIC_CONSTRAINTS = 19,
       ID_AUTHORITY_KEY = 35,
       ID_EXTENDED_USAGE = 37
};

/* What goes into a certificate, found and checked. */
struct issuing {
    struct crypto *crypto;
    const neap_certificate_plan *plan;
    struct failure *why;
    int64_t now, not_before, not_after;
    int path_length; /* -1: no bound */
    struct key_info key;
    struct span subject, issuer; /* whole Names */
    uint8_t subject_room[SUBJECT_ROOM];
    /* Of what came as text; empty where there was none. */
    struct span request_der, authority_der;
    struct certificate_request request;
    struct certificate authority;
    struct private_key own, authority_key;
    const struct private_key *signs;
};

static int refuse(struct issuing *i, int code, const char *reason)
{
    return neap_fail(i->why, code, reason);
}

static bool is_authority(const struct issuing *i)
{
    return (i->plan->uses & NEAP_USE_AUTHORITY) != 0;
}

#ifndef NEAP_NO_ISSUING

static int open_request(struct issuing *i)
{
    struct span text = span_of(i->plan->request, i->plan->request_size);
    int error = neap_request_take(i->crypto->pool, text, &i->request_der, i->why);

    if (!error)
        error = neap_request_parse(i->crypto, i->request_der, &i->request, i->why);
    i->key = i->request.key;
    return error;
}

/* It is written anew, so that nothing else of the request's Name gets in. */
static int write_subject_of_request(struct issuing *i, struct writer *w)
{
    char common_name[NEAP_SUBJECT_ROOM], organization[NEAP_SUBJECT_ROOM];

    if (!neap_request_subject(&i->request, common_name, organization))
        return refuse(i, NEAP_ERR_CERTIFICATE, "the request's subject is no text of 64 bytes or less");
    return neap_write_subject(w, common_name[0] ? common_name : NULL, organization[0] ? organization : NULL,
                              i->why);
}

static int check_authority(struct issuing *i)
{
    const struct certificate *c = &i->authority;
    const struct key_info *key = &i->authority_key.public;

    if (!c->is_authority || (c->has_usage && !(c->usage & USAGE_CERTIFICATE_SIGN)))
        return refuse(i, NEAP_ERR_CERTIFICATE, "the certificate that is to issue is no authority's");
    if (c->key_error || c->key.kind != key->kind || !span_equal(c->key.key, key->key))
        return refuse(i, NEAP_ERR_CERTIFICATE, "the private key does not fit the authority's certificate");
    if (i->now > c->not_after)
        return refuse(i, NEAP_ERR_CERTIFICATE, "the authority's certificate has ended");
    if (is_authority(i) && c->path_length == 0)
        return refuse(i, NEAP_ERR_CERTIFICATE, "the authority's path may have no other authority behind it");
    return 0;
}

static int open_authority(struct issuing *i)
{
    const neap_certificate_plan *plan = i->plan;
    struct span text = span_of(plan->authority, plan->authority_size);
    int taken = neap_certificate_take(i->crypto->pool, &text, neap_pem_is(text), &i->authority_der);

    if (taken == NEAP_ERR_NO_MEMORY)
        return refuse(i, taken, "no memory for the authority's certificate");
    if (taken <= 0 || neap_certificate_parse(i->authority_der, &i->authority))
        return refuse(i, NEAP_ERR_CERTIFICATE, "the authority's certificate cannot be parsed");
    int error = neap_private_key_open(i->crypto, span_of(plan->authority_key, plan->authority_key_size),
                                      &i->authority_key, i->why);
    i->signs = &i->authority_key;
    i->issuer = i->authority.subject;
    return error ? error : check_authority(i);
}

#else

static int open_request(struct issuing *i)
{
    return refuse(i, NEAP_ERR_UNSUPPORTED, "this build issues no certificates (NEAP_WITH_ISSUING)");
}

static int write_subject_of_request(struct issuing *i, struct writer *w)
{
    (void)w;
    return open_request(i);
}

static int open_authority(struct issuing *i)
{
    return open_request(i);
}

#endif

static int find_key(struct issuing *i)
{
    const neap_certificate_plan *plan = i->plan;

    if ((plan->request_size > 0) == (plan->key_size > 0))
        return refuse(i, NEAP_ERR_ARGUMENT, "a certificate is for a request, or for a key");
    if (plan->request_size > 0)
        return open_request(i);
    int error = neap_private_key_open(i->crypto, span_of(plan->key, plan->key_size), &i->own, i->why);
    i->key = i->own.public;
    return error;
}

static int find_subject(struct issuing *i)
{
    const neap_certificate_plan *plan = i->plan;
    struct writer w = writer_of(i->subject_room, sizeof(i->subject_room));
    bool is_told = plan->common_name || plan->organization || plan->request_size == 0;
    int error = is_told ? neap_write_subject(&w, plan->common_name, plan->organization, i->why)
                        : write_subject_of_request(i, &w);

    i->subject = span_of(i->subject_room, writer_size(&w));
    /* It is nobody's: clients look at no common name (RFC 9525 §2). */
    if (!error && plan->name_count == 0 && (plan->uses & NEAP_USE_SERVER))
        return refuse(i, NEAP_ERR_ARGUMENT, "no client takes a server's certificate without names");
    return error;
}

static int find_issuer(struct issuing *i)
{
    if (i->plan->authority_size > 0)
        return open_authority(i);
    if (i->plan->key_size == 0)
        return refuse(i, NEAP_ERR_ARGUMENT, "what signs itself needs its key");
    i->signs = &i->own;
    i->issuer = i->subject;
    return 0;
}

/* No path goes on, and nothing is good, for longer than the authority's. */
static int find_bounds(struct issuing *i)
{
    const struct certificate *authority = i->authority_der.size > 0 ? &i->authority : NULL;
    int path_length = i->plan->path_length;

    if (i->not_after < i->not_before || path_length > PATH_LENGTH_MAX)
        return refuse(i, NEAP_ERR_ARGUMENT,
                      "a certificate is good for a day or more, and a path has 127 at most");
    if (authority && authority->not_after < i->not_after)
        i->not_after = authority->not_after;
    if (authority && authority->path_length > 0 && (path_length < 0 || path_length >= authority->path_length))
        path_length = authority->path_length - 1;
    i->path_length = path_length;
    return 0;
}

/* The identifier of a key: 160 bits of a hash of it (RFC 7093 §2). */
static void write_key_id(struct writer *w, uint8_t tag, const struct key_info *key)
{
    uint8_t digest[32];

    neap_hash(HASH_SHA256, key->key, digest);
    neap_der_write(w, tag, span_of(digest, KEY_ID_SIZE));
}

static void write_authority_key_id(struct writer *w, const struct issuing *i)
{
    size_t id = neap_der_begin(w, DER_SEQUENCE);

    if (i->authority.subject_key_id.size > 0)
        neap_der_write(w, DER_CONTEXT(0), i->authority.subject_key_id);
    else
        write_key_id(w, DER_CONTEXT(0), &i->authority.key);
    neap_der_end(w, id);
}

static void write_basic_constraints(struct writer *w, const struct issuing *i)
{
    static const uint8_t yes = 0xff;
    const uint8_t path_length = (uint8_t)i->path_length;
    size_t constraints = neap_der_begin(w, DER_SEQUENCE);

    if (is_authority(i)) {
        neap_der_write(w, DER_BOOLEAN, span_of(&yes, 1));
        if (i->path_length >= 0)
            neap_der_write(w, DER_INTEGER, span_of(&path_length, 1));
    }
    neap_der_end(w, constraints);
}

static void write_extended_usage(struct writer *w, unsigned uses)
{
    static const uint8_t server[] = {0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01};
    static const uint8_t client[] = {0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02};
    size_t list = neap_der_begin(w, DER_SEQUENCE);

    if (uses & NEAP_USE_SERVER)
        neap_der_write(w, DER_OID, span_of(server, sizeof(server)));
    if (uses & NEAP_USE_CLIENT)
        neap_der_write(w, DER_OID, span_of(client, sizeof(client)));
    neap_der_end(w, list);
}

/* Every value is written into one room, one after the other. */
static int write_extensions(struct writer *w, struct issuing *i)
{
    static const uint8_t signs_handshakes[] = {0x03, 0x02, 0x07, 0x80};
    static const uint8_t signs_certificates[] = {0x03, 0x02, 0x01, 0x06}; /* and revocation lists */
    const neap_certificate_plan *plan = i->plan;
    uint8_t room[NAMES_ROOM];
    struct writer value = writer_of(room, sizeof(room));
    size_t wrapper = neap_der_begin(w, DER_CONTEXT_CONSTRUCTED(3)), list = neap_der_begin(w, DER_SEQUENCE);

#define FLUSH(id, is_critical)                                                        \
    do {                                                                              \
        neap_write_extension(w, id, is_critical, span_of(room, writer_size(&value))); \
        value.at = value.start;                                                       \
    } while (0)
    write_basic_constraints(&value, i);
    FLUSH(ID_BASIC_CONSTRAINTS, true);
    write_bytes(&value, is_authority(i) ? signs_certificates : signs_handshakes, sizeof(signs_handshakes));
    FLUSH(ID_KEY_USAGE, true);
    if (!is_authority(i)) {
        write_extended_usage(&value, plan->uses);
        FLUSH(ID_EXTENDED_USAGE, false);
    }
    write_key_id(&value, DER_OCTET_STRING, &i->key);
    FLUSH(ID_SUBJECT_KEY, false);
    if (i->authority_der.size > 0) {
        write_authority_key_id(&value, i);
        FLUSH(ID_AUTHORITY_KEY, false);
    }
    int error = plan->name_count > 0 ? neap_write_names(&value, plan->names, plan->name_count, i->why) : 0;
    if (plan->name_count > 0)
        FLUSH(ID_ALTERNATIVE_NAME, false);
#undef FLUSH
    neap_der_end(w, list);
    neap_der_end(w, wrapper);
    if (!error && value.full)
        error = refuse(i, NEAP_ERR_LIMIT, "more than a certificate holds");
    return error;
}

static int write_tbs(struct writer *w, struct issuing *i)
{
    static const uint8_t version_3[] = {0xa0, 0x03, 0x02, 0x01, 0x02};
    struct signature_algorithm algorithm;
    uint8_t serial[SERIAL_SIZE];

    write_bytes(w, version_3, sizeof(version_3));
    neap_random_bytes(&i->crypto->random, serial, sizeof(serial));
    serial[0] = (uint8_t)((serial[0] & 0x3f) | 0x40); /* positive, and always of this size */
    neap_der_write(w, DER_INTEGER, span_of(serial, sizeof(serial)));
    write_span(w, neap_signature_identifier(i->signs->public.kind, &algorithm));
    write_span(w, i->issuer);
    size_t validity = neap_der_begin(w, DER_SEQUENCE);
    if (!neap_write_time(w, i->not_before) || !neap_write_time(w, i->not_after))
        return refuse(i, NEAP_ERR_ARGUMENT, "the dates of a certificate must lie between 1970 and 9999");
    neap_der_end(w, validity);
    write_span(w, i->subject);
    write_span(w, i->key.spki);
    return write_extensions(w, i);
}

static int write_certificate(struct writer *w, struct issuing *i)
{
    size_t certificate = neap_der_begin(w, DER_SEQUENCE), tbs = neap_der_begin(w, DER_SEQUENCE);
    int error = write_tbs(w, i);

    neap_der_end(w, tbs);
    if (!error)
        error = neap_write_signature(i->crypto, w, certificate, i->signs, i->why);
    neap_der_end(w, certificate);
    return error || !w->full ? error : refuse(i, NEAP_ERR_LIMIT, "more than a certificate holds");
}

static int64_t write_pem(struct issuing *i, char *out, size_t room)
{
    uint8_t *der = neap_pool_alloc(i->crypto->pool, CERTIFICATE_ROOM);

    if (!der)
        return refuse(i, NEAP_ERR_NO_MEMORY, "no memory for the certificate");
    struct writer w = writer_of(der, CERTIFICATE_ROOM);
    int64_t result = write_certificate(&w, i);
    if (result == 0)
        result = neap_pem_write("-----BEGIN CERTIFICATE-----\n", "-----END CERTIFICATE-----\n",
                                span_of(der, writer_size(&w)), out, room);
    if (result == NEAP_ERR_BUFFER_TOO_SHORT)
        refuse(i, NEAP_ERR_BUFFER_TOO_SHORT, "the room for the certificate is too small");
    neap_pool_free(i->crypto->pool, der, CERTIFICATE_ROOM);
    return result;
}

static void release(struct pool *pool, struct span der)
{
    if (der.data)
        neap_certificate_release(pool, der);
}

int64_t neap_certificate_issue(struct crypto *crypto, const neap_certificate_plan *plan,
                               const struct issue_times *times, char *out, size_t room, struct failure *why)
{
    struct issuing i = {.crypto = crypto,
                        .plan = plan,
                        .why = why,
                        .now = times->now,
                        .not_before = times->not_before,
                        .not_after = times->not_after};
    int64_t result = find_key(&i);

    if (result == 0)
        result = find_subject(&i);
    if (result == 0)
        result = find_issuer(&i);
    if (result == 0)
        result = find_bounds(&i);
    if (result == 0)
        result = write_pem(&i, out, room);
    release(crypto->pool, i.request_der);
    release(crypto->pool, i.authority_der);
    neap_private_key_close(&i.own);
    neap_private_key_close(&i.authority_key);
    return result;
}

int neap_certificate_make(struct crypto *crypto, const char *const *names, size_t count, int64_t not_before,
                          int64_t not_after, char *certificate, size_t certificate_size, char *key,
                          size_t key_size, struct failure *why)
{
    const struct issue_times times = {not_before, not_before, not_after};
    neap_certificate_plan plan = {.common_name = DEVELOPMENT_SUBJECT,
                                  .names = names,
                                  .name_count = count,
                                  .uses = NEAP_USE_SERVER | NEAP_USE_CLIENT};

    if (count == 0)
        return neap_fail(why, NEAP_ERR_ARGUMENT, "a development certificate is for 1 to 32 names");
    int error = neap_private_key_make(crypto, key, key_size, why);
    if (error)
        return error;
    plan.key = key;
    plan.key_size = strlen(key);
    int64_t made = neap_certificate_issue(crypto, &plan, &times, certificate, certificate_size, why);
    return made < 0 ? (int)made : 0;
}
