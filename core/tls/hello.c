#include "tls/hello.h"

#include "base/limits.h"
#include "base/reader.h"
#include "tls/state.h"

/* SHA-256 of "HelloRetryRequest" (RFC 8446 §4.1.3). */
const uint8_t neap_hello_retry_random[32] = {
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
};

/* ---- lists */

bool neap_hello_lists(struct span pairs, uint16_t number)
{
    for (size_t i = 0; i + 1 < pairs.size; i += 2)
        if ((pairs.data[i] << 8 | pairs.data[i + 1]) == number)
            return true;
    return false;
}

bool neap_hello_lists_protocol(struct span protocols, struct span name)
{
    struct reader r = reader_of(protocols);

    while (reader_left(&r) > 0)
        if (span_equal(read_vector(&r, 1), name))
            return true;
    return false;
}

bool neap_hello_find_share(struct span shares, uint16_t group, struct span *key)
{
    struct reader r = reader_of(shares);

    while (reader_left(&r) > 0) {
        uint16_t number = read_u16(&r);
        struct span data = read_vector(&r, 2);
        if (number == group && !r.bad) {
            *key = data;
            return true;
        }
    }
    return false;
}

/* An extension that is one vector with a length of `length_size` bytes and nothing behind it. */
static bool read_sole_vector(struct span data, size_t length_size, struct span *out)
{
    struct reader r = reader_of(data);

    *out = read_vector(&r, length_size);
    return !r.bad && reader_left(&r) == 0;
}

/* A vector of 16-bit numbers, at least one. */
static bool read_pairs(struct span data, size_t length_size, struct span *out)
{
    return read_sole_vector(data, length_size, out) && out->size > 0 && out->size % 2 == 0;
}

/* ---- ClientHello */

static int malformed(struct failure *why, const char *reason)
{
    return neap_tls_alert(why, ALERT_DECODE_ERROR, reason);
}

/* A name is 1 to 255 bytes of printable ASCII (RFC 6066 §3); its form is otherwise the certificates' business. */
static int read_server_name(struct span data, struct span *name, struct failure *why)
{
    struct span list;

    if (!read_sole_vector(data, 2, &list) || list.size == 0)
        return malformed(why, "server_name of a wrong form");
    struct reader r = reader_of(list);
    while (reader_left(&r) > 0) {
        uint8_t type = read_u8(&r);
        struct span text = read_vector(&r, 2);
        if (r.bad || text.size == 0)
            return malformed(why, "server_name of a wrong form");
        if (type != 0)
            continue;
        if (name->size > 0)
            return neap_tls_alert(why, ALERT_ILLEGAL_PARAMETER, "two host names in server_name");
        *name = text;
    }
    if (name->size > LIMIT_SERVER_NAME)
        return neap_tls_alert(why, ALERT_ILLEGAL_PARAMETER, "host name too long");
    for (size_t i = 0; i < name->size; i++)
        if (name->data[i] <= 0x20 || name->data[i] >= 0x7f)
            return neap_tls_alert(why, ALERT_ILLEGAL_PARAMETER, "host name with a byte that no name has");
    return 0;
}

/* Names of 1 to 255 bytes, at least one (RFC 7301 §3.1). */
static int read_protocols(struct span data, struct span *protocols, struct failure *why)
{
    if (!read_sole_vector(data, 2, protocols) || protocols->size == 0)
        return malformed(why, "ALPN of a wrong form");
    struct reader r = reader_of(*protocols);
    while (reader_left(&r) > 0) {
        struct span name = read_vector(&r, 1);
        if (r.bad || name.size == 0)
            return malformed(why, "ALPN of a wrong form");
    }
    return 0;
}

/* Entries that can be read; those of groups we know also in supported_groups and once (RFC 8446 §4.2.8). */
static int read_shares(struct span data, struct span groups, struct span *shares, struct failure *why)
{
    uint16_t seen[TLS_MAX_GROUPS] = {0};
    size_t count = 0;

    if (!read_sole_vector(data, 2, shares))
        return malformed(why, "key_share of a wrong form");
    struct reader r = reader_of(*shares);
    while (reader_left(&r) > 0) {
        uint16_t group = read_u16(&r);
        struct span key = read_vector(&r, 2);
        if (r.bad || key.size == 0)
            return malformed(why, "key_share of a wrong form");
        if (!neap_group_is_known(group))
            continue;
        for (size_t i = 0; i < count; i++)
            if (seen[i] == group)
                return neap_tls_alert(why, ALERT_ILLEGAL_PARAMETER, "two key shares of one group");
        if (!neap_hello_lists(groups, group))
            return neap_tls_alert(why, ALERT_ILLEGAL_PARAMETER, "key share of a group that is not offered");
        if (count < TLS_MAX_GROUPS)
            seen[count++] = group;
    }
    return 0;
}

/* RFC 8446 §4.2.1: only supported_versions counts, and only 1.3 is spoken here (RFC 9001 §4.2). */
static int check_versions(const struct client_hello *hello, uint16_t legacy, struct failure *why)
{
    struct span versions;

    if (legacy <= SSL_3_0)
        return neap_tls_alert(why, ALERT_PROTOCOL_VERSION, "ClientHello of SSL");
    if (!extension_present(&hello->ext, EXT_SUPPORTED_VERSIONS))
        return neap_tls_alert(why, ALERT_PROTOCOL_VERSION, "client does not offer TLS 1.3");
    if (!read_pairs(hello->ext.data[EXT_SUPPORTED_VERSIONS], 1, &versions))
        return malformed(why, "supported_versions of a wrong form");
    if (!neap_hello_lists(versions, TLS_1_3))
        return neap_tls_alert(why, ALERT_PROTOCOL_VERSION, "client does not offer TLS 1.3");
    return 0;
}

/* What must be there (RFC 8446 §9.2, RFC 9001 §8.1, §8.2). */
static int check_presence(const struct extensions *ext, bool needs_params, struct failure *why)
{
    static const enum extension needed[] = {EXT_SUPPORTED_GROUPS, EXT_KEY_SHARE, EXT_SIGNATURE_ALGORITHMS,
                                            EXT_QUIC_PARAMETERS};

    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
        if (!extension_present(ext, needed[i]) && (needed[i] != EXT_QUIC_PARAMETERS || needs_params))
            return neap_tls_alert(why, ALERT_MISSING_EXTENSION,
                                  "ClientHello lacks an extension that it needs");
    if (!extension_present(ext, EXT_ALPN))
        return neap_tls_alert(why, ALERT_NO_APPLICATION_PROTOCOL, "client names no application protocol");
    if (!extension_present(ext, EXT_PRE_SHARED_KEY))
        return 0;
    if (ext->last != NUMBER_PRE_SHARED_KEY)
        return neap_tls_alert(why, ALERT_ILLEGAL_PARAMETER, "pre_shared_key is not the last extension");
    if (!extension_present(ext, EXT_PSK_MODES))
        return neap_tls_alert(why, ALERT_MISSING_EXTENSION, "pre_shared_key without psk_key_exchange_modes");
    return 0;
}

/* CertificateStatusRequest (RFC 6066 §8): other types than OCSP have a form that we do not know. Whom the client would like
 * to answer, and with which extensions, cannot be had from a response that is there already. */
static int read_status_request(struct span data, bool *takes_ocsp, struct failure *why)
{
    struct reader r = reader_of(data);
    uint8_t type = read_u8(&r);

    if (!r.bad && type != STATUS_OCSP)
        return 0;
    read_vector(&r, 2);
    read_vector(&r, 2);
    if (r.bad || reader_left(&r) > 0)
        return malformed(why, "status_request of a wrong form");
    *takes_ocsp = true;
    return 0;
}

#define PSK_DHE_KE 1u
#define BINDER_LEAST 32u

static int read_psk_modes(struct span data, bool *takes_dhe, struct failure *why)
{
    struct span modes;

    if (!read_sole_vector(data, 1, &modes) || modes.size == 0)
        return malformed(why, "psk_key_exchange_modes of a wrong form");
    *takes_dhe = memchr(modes.data, PSK_DHE_KE, modes.size) != NULL;
    return 0;
}

/* Identities with their ages, and a binder for each (RFC 8446 §4.2.11). */
static int read_psk(struct client_hello *hello, struct failure *why)
{
    struct reader r = reader_of(hello->ext.data[EXT_PRE_SHARED_KEY]);
    size_t identities = 0, binders = 0;

    hello->psk_identities = read_vector(&r, 2);
    hello->psk_binders = read_vector(&r, 2);
    if (r.bad || reader_left(&r) > 0)
        return malformed(why, "pre_shared_key of a wrong form");
    for (r = reader_of(hello->psk_identities); reader_left(&r) > 0; identities++) {
        struct span identity = read_vector(&r, 2);
        read_u32(&r);
        if (r.bad || identity.size == 0)
            return malformed(why, "pre_shared_key of a wrong form");
    }
    for (r = reader_of(hello->psk_binders); reader_left(&r) > 0; binders++)
        if (read_vector(&r, 1).size < BINDER_LEAST || r.bad)
            return malformed(why, "pre_shared_key of a wrong form");
    if (identities == 0 || binders == 0)
        return malformed(why, "pre_shared_key of a wrong form");
    if (identities != binders)
        return neap_tls_alert(why, ALERT_ILLEGAL_PARAMETER,
                              "pre_shared_key with too many or too few binders");
    return 0;
}

bool neap_hello_psk(const struct client_hello *hello, size_t index, struct offered_psk *out)
{
    struct reader identities = reader_of(hello->psk_identities), binders = reader_of(hello->psk_binders);

    while (reader_left(&identities) > 0) {
        out->identity = read_vector(&identities, 2);
        out->obfuscated_age = read_u32(&identities);
        out->binder = read_vector(&binders, 1);
        if (index-- == 0)
            return true;
    }
    return false;
}

static int read_client_extensions(struct client_hello *hello, struct failure *why)
{
    const struct span *data = hello->ext.data;

    if (!read_pairs(data[EXT_SUPPORTED_GROUPS], 2, &hello->groups))
        return malformed(why, "supported_groups of a wrong form");
    if (!read_pairs(data[EXT_SIGNATURE_ALGORITHMS], 2, &hello->schemes))
        return malformed(why, "signature_algorithms of a wrong form");
    hello->certificate_schemes = hello->schemes;
    if (extension_present(&hello->ext, EXT_SIGNATURE_ALGORITHMS_CERT) &&
        !read_pairs(data[EXT_SIGNATURE_ALGORITHMS_CERT], 2, &hello->certificate_schemes))
        return malformed(why, "signature_algorithms_cert of a wrong form");
    hello->params = data[EXT_QUIC_PARAMETERS];
    int rc = read_shares(data[EXT_KEY_SHARE], hello->groups, &hello->shares, why);
    if (!rc)
        rc = read_protocols(data[EXT_ALPN], &hello->protocols, why);
    if (!rc && extension_present(&hello->ext, EXT_SERVER_NAME))
        rc = read_server_name(data[EXT_SERVER_NAME], &hello->server_name, why);
    if (!rc && data[EXT_EARLY_DATA].size > 0)
        rc = malformed(why, "early_data of a wrong form");
    if (!rc && extension_present(&hello->ext, EXT_STATUS_REQUEST))
        rc = read_status_request(data[EXT_STATUS_REQUEST], &hello->takes_staple, why);
    if (!rc)
        rc = neap_tls_read_compression(&hello->ext, &hello->takes_zlib, why);
    if (!rc && extension_present(&hello->ext, EXT_PSK_MODES))
        rc = read_psk_modes(data[EXT_PSK_MODES], &hello->takes_psk_dhe, why);
    if (!rc && extension_present(&hello->ext, EXT_PRE_SHARED_KEY))
        rc = read_psk(hello, why);
    return rc;
}

int neap_hello_read_client(struct span body, bool needs_params, struct client_hello *out, struct failure *why)
{
    struct reader r = reader_of(body);

    *out = (struct client_hello){0};
    uint16_t legacy = read_u16(&r);
    out->random = read_bytes(&r, 32).data;
    struct span session = read_vector(&r, 1);
    out->suites = read_vector(&r, 2);
    struct span compressions = read_vector(&r, 1);
    out->fixed = span_of(body.data, body.size - reader_left(&r));
    /* A hello from before TLS 1.3 may end here. */
    if (reader_left(&r) > 0)
        out->extensions = read_vector(&r, 2);
    if (r.bad || reader_left(&r) > 0 || session.size > 32 || out->suites.size < 2 || out->suites.size % 2 ||
        compressions.size == 0)
        return malformed(why, "ClientHello of a wrong form");
    int rc = neap_extensions_parse(out->extensions, IN_CLIENT_HELLO, 0, &out->ext, why);
    if (!rc)
        rc = check_versions(out, legacy, why);
    if (rc)
        return rc;
    if (compressions.size != 1 || compressions.data[0] != 0)
        return neap_tls_alert(why, ALERT_ILLEGAL_PARAMETER, "ClientHello with compression");
    if (session.size > 0) /* RFC 9001 §8.4 */
        return neap_fail(why, NEAP_PROTOCOL_VIOLATION, "ClientHello with a session id");
    rc = check_presence(&out->ext, needs_params, why);
    return rc ? rc : read_client_extensions(out, why);
}

/* ---- ServerHello */

static int read_server_extensions(struct server_hello *hello, struct failure *why)
{
    const struct extensions *ext = &hello->ext;
    struct reader r;

    if (extension_present(ext, EXT_PRE_SHARED_KEY)) {
        r = reader_of(ext->data[EXT_PRE_SHARED_KEY]);
        hello->psk_index = read_u16(&r);
        if (r.bad || reader_left(&r) > 0)
            return malformed(why, "pre_shared_key of a wrong form");
        hello->takes_psk = true;
    }
    if (extension_present(ext, EXT_KEY_SHARE)) {
        r = reader_of(ext->data[EXT_KEY_SHARE]);
        hello->group = read_u16(&r);
        if (!hello->is_retry)
            hello->key = read_vector(&r, 2);
        if (r.bad || reader_left(&r) > 0 || (!hello->is_retry && hello->key.size == 0))
            return malformed(why, "key_share of a wrong form");
    } else if (hello->takes_psk) { /* the one mode that we offered has one (RFC 8446 §4.2.11) */
        return neap_tls_alert(why, ALERT_ILLEGAL_PARAMETER, "server took the key without a key share");
    } else if (!hello->is_retry) {
        return neap_tls_alert(why, ALERT_MISSING_EXTENSION, "ServerHello without a key share");
    }
    if (extension_present(ext, EXT_COOKIE) &&
        (!read_sole_vector(ext->data[EXT_COOKIE], 2, &hello->cookie) || hello->cookie.size == 0))
        return malformed(why, "cookie of a wrong form");
    return 0;
}

/* RFC 8446 §4.2.1: the version is looked at before the rest. */
static int check_selected_version(const struct extensions *ext, uint16_t legacy, struct failure *why)
{
    if (legacy <= SSL_3_0 || !extension_present(ext, EXT_SUPPORTED_VERSIONS))
        return neap_tls_alert(why, ALERT_PROTOCOL_VERSION, "server did not choose TLS 1.3");
    struct reader r = reader_of(ext->data[EXT_SUPPORTED_VERSIONS]);
    uint16_t version = read_u16(&r);
    if (r.bad || reader_left(&r) > 0)
        return malformed(why, "supported_versions of a wrong form");
    if (version != TLS_1_3)
        return neap_tls_alert(why, ALERT_ILLEGAL_PARAMETER, "server chose a version that was not offered");
    return 0;
}

int neap_hello_read_server(struct span body, uint32_t asked, struct server_hello *out, struct failure *why)
{
    struct reader r = reader_of(body);

    *out = (struct server_hello){0};
    uint16_t legacy = read_u16(&r);
    struct span random = read_bytes(&r, 32);
    struct span session = read_vector(&r, 1);
    out->suite = read_u16(&r);
    uint8_t compression = read_u8(&r);
    struct span block = {0};
    if (reader_left(&r) > 0)
        block = read_vector(&r, 2);
    if (r.bad || reader_left(&r) > 0 || session.size > 32)
        return malformed(why, "ServerHello of a wrong form");
    out->is_retry = span_equal(random, span_of(neap_hello_retry_random, 32));
    int rc = neap_extensions_parse(block, out->is_retry ? IN_RETRY_REQUEST : IN_SERVER_HELLO, asked,
                                   &out->ext, why);
    if (!rc)
        rc = check_selected_version(&out->ext, legacy, why);
    if (rc)
        return rc;
    if (session.size > 0)
        return neap_tls_alert(why, ALERT_ILLEGAL_PARAMETER, "server echoes a session id that was not sent");
    if (compression != 0)
        return neap_tls_alert(why, ALERT_ILLEGAL_PARAMETER, "server chose compression");
    return read_server_extensions(out, why);
}
