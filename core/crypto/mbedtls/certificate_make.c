/* A self-signed development certificate with a fresh ECDSA P-256 key, written by Mbed TLS; the extensions that 2.28
 * cannot write are built here. */
#include "crypto/backend.h"

#include "base/limits.h"
#include "base/writer.h"
#include "crypto/der.h"
#include "crypto/mbedtls/compat.h"
#include "crypto/mbedtls/random.h"
#include "neap.h"

#include <arpa/inet.h>
#include <mbedtls/asn1.h>
#include <mbedtls/base64.h>
#include <mbedtls/oid.h>
#include <mbedtls/x509_crt.h>
#include <stdio.h>
#include <time.h>

#define NAME_MAX_SIZE 253u /* a DNS name (RFC 1035 §2.3.4 without the length bytes) */
#define NAMES_ROOM (LIMIT_CERTIFICATE_NAMES * (NAME_MAX_SIZE + 3))
#define SERIAL_SIZE 16u
#define SUBJECT "CN=neap development certificate"
#define TAG_DNS 0x82u
#define TAG_IP 0x87u

static void write_der(struct writer *w, uint8_t tag, const void *bytes, size_t size)
{
    write_u8(w, tag);
    if (size < 0x80) {
        write_u8(w, (uint8_t)size);
    } else {
        size_t count = size > 0xff ? 2 : 1;

        write_u8(w, (uint8_t)(0x80 | count));
        write_uint(w, size, count);
    }
    write_bytes(w, bytes, size);
}

static bool name_is_sane(const char *name)
{
    size_t size = name ? strlen(name) : 0;

    for (size_t i = 0; i < size; i++) {
        if (name[i] < 0x21 || name[i] > 0x7e)
            return false;
    }
    return size > 0 && size <= NAME_MAX_SIZE;
}

static int write_names(struct writer *w, const char *const *names, size_t count)
{
    uint8_t room[NAMES_ROOM], address[16];
    struct writer list = writer_of(room, sizeof(room));

    if (count == 0 || count > LIMIT_CERTIFICATE_NAMES)
        return NEAP_ERR_ARGUMENT;
    for (size_t i = 0; i < count; i++) {
        if (!name_is_sane(names[i]))
            return NEAP_ERR_ARGUMENT;
        if (inet_pton(AF_INET, names[i], address) == 1)
            write_der(&list, TAG_IP, address, 4);
        else if (inet_pton(AF_INET6, names[i], address) == 1)
            write_der(&list, TAG_IP, address, 16);
        else
            write_der(&list, TAG_DNS, names[i], strlen(names[i]));
    }
    write_der(w, DER_SEQUENCE, room, writer_size(&list));
    return list.full || w->full ? NEAP_ERR_LIMIT : 0;
}

/* "YYYYMMDDhhmmss", as the writer wants it. */
static bool format_time(int64_t seconds, char out[15])
{
    time_t at = (time_t)seconds;
    struct tm parts;

    if (at != seconds || seconds < 0 || !gmtime_r(&at, &parts) || parts.tm_year > 9999 - 1900)
        return false;
    return strftime(out, 15, "%Y%m%d%H%M%S", &parts) == 14;
}

static int set_serial(mbedtls_x509write_cert *certificate, struct crypto *crypto)
{
    uint8_t serial[SERIAL_SIZE];

    neap_random_bytes(&crypto->random, serial, sizeof(serial));
    serial[0] = (uint8_t)((serial[0] & 0x3f) | 0x40); /* positive, and always of this size */
#if MBED_IS_3
    return mbedtls_x509write_crt_set_serial_raw(certificate, serial, sizeof(serial));
#else
    mbedtls_mpi number;
    mbedtls_mpi_init(&number);
    int error = mbedtls_mpi_read_binary(&number, serial, sizeof(serial));
    if (!error)
        error = mbedtls_x509write_crt_set_serial(certificate, &number);
    mbedtls_mpi_free(&number);
    return error;
#endif
}

static int set_extensions(mbedtls_x509write_cert *certificate, struct span names)
{
    static const uint8_t both_sides[] = {0x30, 0x14, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03,
                                         0x01, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02};
    int error = mbedtls_x509write_crt_set_basic_constraints(certificate, 0, -1);

    if (!error)
        error = mbedtls_x509write_crt_set_key_usage(certificate, MBEDTLS_X509_KU_DIGITAL_SIGNATURE);
    if (!error)
        error = mbedtls_x509write_crt_set_extension(certificate, MBEDTLS_OID_EXTENDED_KEY_USAGE,
                                                    MBEDTLS_OID_SIZE(MBEDTLS_OID_EXTENDED_KEY_USAGE), 0,
                                                    both_sides, sizeof(both_sides));
    if (!error)
        error = mbedtls_x509write_crt_set_extension(certificate, MBEDTLS_OID_SUBJECT_ALT_NAME,
                                                    MBEDTLS_OID_SIZE(MBEDTLS_OID_SUBJECT_ALT_NAME), 0,
                                                    names.data, names.size);
    return error;
}

struct making {
    mbedtls_x509write_cert certificate;
    mbedtls_pk_context key;
};

static int fill(struct making *m, struct crypto *crypto, struct span names, const char *from, const char *to)
{
    int error = mbedtls_pk_setup(&m->key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY));

    if (!error)
        error = mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(m->key), mbed_random, crypto);
    if (error)
        return error;
    mbedtls_x509write_crt_set_version(&m->certificate, MBEDTLS_X509_CRT_VERSION_3);
    mbedtls_x509write_crt_set_md_alg(&m->certificate, MBEDTLS_MD_SHA256);
    mbedtls_x509write_crt_set_subject_key(&m->certificate, &m->key);
    mbedtls_x509write_crt_set_issuer_key(&m->certificate, &m->key);
    error = mbedtls_x509write_crt_set_subject_name(&m->certificate, SUBJECT);
    if (!error)
        error = mbedtls_x509write_crt_set_issuer_name(&m->certificate, SUBJECT);
    if (!error)
        error = mbedtls_x509write_crt_set_validity(&m->certificate, from, to);
    if (!error)
        error = set_serial(&m->certificate, crypto);
    return error ? error : set_extensions(&m->certificate, names);
}

static int write_pem(struct making *m, struct crypto *crypto, char *certificate, size_t certificate_size,
                     char *key, size_t key_size, struct failure *why)
{
    int error = mbedtls_x509write_crt_pem(&m->certificate, (unsigned char *)certificate, certificate_size,
                                          mbed_random, crypto);

    if (error == MBEDTLS_ERR_BASE64_BUFFER_TOO_SMALL || error == MBEDTLS_ERR_ASN1_BUF_TOO_SMALL)
        return neap_fail(why, NEAP_ERR_BUFFER_TOO_SHORT, "the room for the certificate is too small");
    if (error)
        return neap_fail(why, NEAP_ERR_CRYPTO, "the certificate could not be signed");
    error = mbedtls_pk_write_key_pem(&m->key, (unsigned char *)key, key_size);
    if (error == MBEDTLS_ERR_BASE64_BUFFER_TOO_SMALL)
        return neap_fail(why, NEAP_ERR_BUFFER_TOO_SHORT, "the room for the key is too small");
    return error ? neap_fail(why, NEAP_ERR_CRYPTO, "the key could not be written") : 0;
}

int neap_certificate_make(struct crypto *crypto, const char *const *names, size_t count, int64_t not_before,
                          int64_t not_after, char *certificate, size_t certificate_size, char *key,
                          size_t key_size, struct failure *why)
{
    uint8_t room[NAMES_ROOM + 4];
    struct writer w = writer_of(room, sizeof(room));
    struct making m;
    char from[15], to[15];

    if (write_names(&w, names, count))
        return neap_fail(why, NEAP_ERR_ARGUMENT,
                         "names of a certificate: 1 to 32 of 1 to 253 printable characters");
    if (not_after < not_before || !format_time(not_before, from) || !format_time(not_after, to))
        return neap_fail(why, NEAP_ERR_ARGUMENT, "the dates of a certificate must lie between 1970 and 9999");
    mbedtls_x509write_crt_init(&m.certificate);
    mbedtls_pk_init(&m.key);
    int error = fill(&m, crypto, span_of(room, writer_size(&w)), from, to);
    if (error)
        neap_fail(why, error = NEAP_ERR_CRYPTO, "the certificate could not be made");
    else
        error = write_pem(&m, crypto, certificate, certificate_size, key, key_size, why);
    mbedtls_x509write_crt_free(&m.certificate);
    mbedtls_pk_free(&m.key);
    return error;
}
