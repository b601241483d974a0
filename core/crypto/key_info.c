/* What kind of key a SubjectPublicKeyInfo or a PKCS#8 structure holds. */
#include "crypto/certificate.h"

#include "crypto/der.h"
#include "neap.h"

#define OID(bytes) span_of(bytes, sizeof(bytes) - 1)

#define OID_RSA "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"
#define OID_EC "\x2a\x86\x48\xce\x3d\x02\x01"
#define OID_P256 "\x2a\x86\x48\xce\x3d\x03\x01\x07"
#define OID_P384 "\x2b\x81\x04\x00\x22"
#define OID_P521 "\x2b\x81\x04\x00\x23"
#define OID_ED25519 "\x2b\x65\x70"

/* The bytes of an INTEGER that is not negative, without the zero before them. */
static struct span positive(struct reader *r)
{
    struct span bytes = neap_der_integer(r);

    if (r->bad || bytes.data[0] & 0x80)
        r->bad = true;
    else if (bytes.data[0] == 0)
        bytes = span_after(bytes, 1);
    return bytes;
}

/* RSAPublicKey (RFC 8017 §A.1.1). */
static int rsa_info(struct key_info *out)
{
    struct reader outer = reader_of(out->key);
    struct reader r = reader_of(neap_der_expect(&outer, DER_SEQUENCE));
    struct span modulus = positive(&r), exponent = positive(&r);

    if (outer.bad || r.bad || reader_left(&outer) > 0 || reader_left(&r) > 0 || modulus.size == 0)
        return NEAP_ERR_CERTIFICATE;
    out->kind = KEY_RSA;
    out->modulus = modulus;
    out->bits = 8 * modulus.size;
    for (uint8_t top = modulus.data[0]; !(top & 0x80); top = (uint8_t)(top << 1))
        out->bits--;
    for (size_t i = 0; i < exponent.size && exponent.size <= sizeof(out->exponent); i++)
        out->exponent = out->exponent << 8 | exponent.data[i];
    return 0;
}

static int curve_info(struct span curve, struct key_info *out)
{
    if (span_equal(curve, OID(OID_P256)))
        out->kind = KEY_P256;
    else if (span_equal(curve, OID(OID_P384)))
        out->kind = KEY_P384;
    else if (span_equal(curve, OID(OID_P521)))
        out->kind = KEY_P521;
    else
        return NEAP_ERR_UNSUPPORTED;
    return 0;
}

/* The parameters of RSA: NULL, and nothing behind it. */
static bool is_null(struct reader *algorithm)
{
    struct span content = neap_der_expect(algorithm, DER_NULL);

    return !algorithm->bad && content.size == 0 && reader_left(algorithm) == 0;
}

/* Parameters are exactly those of the algorithm (RFC 3279 §2.3.1, RFC 5480 §2.1.1, RFC 8410 §3): what is issued repeats them,
 * and whoever asks for a certificate would put there what he likes. */
int neap_key_info(struct span spki, struct key_info *out)
{
    struct reader outer = reader_of(spki);
    struct reader r = reader_of(neap_der_expect(&outer, DER_SEQUENCE));
    struct reader algorithm = reader_of(neap_der_expect(&r, DER_SEQUENCE));
    struct span oid = neap_der_expect(&algorithm, DER_OID);

    *out = (struct key_info){.spki = spki, .key = neap_der_bits(&r)};
    if (outer.bad || r.bad || algorithm.bad || reader_left(&r) > 0 || reader_left(&outer) > 0)
        return NEAP_ERR_CERTIFICATE;
    if (span_equal(oid, OID(OID_EC))) {
        struct span curve = neap_der_expect(&algorithm, DER_OID);

        if (algorithm.bad)
            return NEAP_ERR_UNSUPPORTED;
        return reader_left(&algorithm) > 0 ? NEAP_ERR_CERTIFICATE : curve_info(curve, out);
    }
    if (span_equal(oid, OID(OID_RSA)))
        return is_null(&algorithm) ? rsa_info(out) : NEAP_ERR_CERTIFICATE;
    if (!span_equal(oid, OID(OID_ED25519)))
        return NEAP_ERR_UNSUPPORTED;
    out->kind = KEY_ED25519;
    return out->key.size == 32 && reader_left(&algorithm) == 0 ? 0 : NEAP_ERR_CERTIFICATE;
}

bool neap_ed25519_seed(struct span pkcs8, struct span *seed)
{
    struct reader outer = reader_of(pkcs8);
    struct reader r = reader_of(neap_der_expect(&outer, DER_SEQUENCE));

    neap_der_integer(&r);
    struct reader algorithm = reader_of(neap_der_expect(&r, DER_SEQUENCE));
    struct span oid = neap_der_expect(&algorithm, DER_OID);
    struct reader key = reader_of(neap_der_expect(&r, DER_OCTET_STRING));
    *seed = neap_der_expect(&key, DER_OCTET_STRING);
    return !outer.bad && !r.bad && !algorithm.bad && !key.bad && span_equal(oid, OID(OID_ED25519)) &&
           seed->size == 32;
}
