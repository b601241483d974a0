/* Distinguished names: their strings read, and held against each other as RFC 5280 §7.1 says. */
#include "crypto/name.h"

#include "crypto/der.h"

#define STRING_UTF8 0x0cu
#define STRING_PRINTABLE 0x13u
#define STRING_TELETEX 0x14u
#define STRING_IA5 0x16u
#define STRING_UNIVERSAL 0x1cu
#define STRING_BMP 0x1eu

/* Of names that are held against others: an authority and whom it issued for do not make each other's comparisons long. */
#define PAIRS_MOST 8u    /* of a relative name; more than two are hardly found */
#define SKIPPED_MOST 16u /* characters of a value that say nothing; one space between two others does */

struct name_pair neap_name_pair(struct reader *set)
{
    struct reader fields = reader_of(neap_der_expect(set, DER_SEQUENCE));
    struct name_pair p = {.oid = neap_der_expect(&fields, DER_OID)};

    p.tag = neap_der_next(&fields, &p.value, &p.whole);
    if (fields.bad || reader_left(&fields) > 0)
        set->bad = true;
    return p;
}

/* ---- strings */

/* The next character of UTF-8 (RFC 3629); false for what is none. */
static bool read_utf8(struct reader *r, uint32_t *c)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    uint8_t first = read_u8(r);
    size_t more = first < 0x80 ? 0 : first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : first >= 0xc0 ? 1 : 4;

    if (more > 3 || first >= 0xf8)
        return false;
    *c = more == 0 ? first : first & (0x3fu >> more);
    for (size_t i = 0; i < more; i++) {
        uint8_t next = read_u8(r);

        if (r->bad || (next & 0xc0) != 0x80)
            return false;
        *c = *c << 6 | (next & 0x3f);
    }
    return !r->bad && *c >= least[more] && *c <= 0x10ffff && (*c < 0xd800 || *c > 0xdfff);
}

bool neap_string_character(struct reader *r, uint8_t tag, uint32_t *c)
{
    switch (tag) {
    case STRING_UTF8: return read_utf8(r, c);
    case STRING_BMP: *c = read_u16(r); break;
    case STRING_UNIVERSAL: *c = read_u32(r); break;
    default: *c = read_u8(r); break; /* teletex as Latin-1, which is what it has been used for */
    }
    return !r->bad && *c <= 0x10ffff && (*c < 0xd800 || *c > 0xdfff) &&
           (*c < 0x80 || (tag != STRING_PRINTABLE && tag != STRING_IA5));
}

bool neap_string_is_text(uint8_t tag)
{
    return tag == STRING_UTF8 || tag == STRING_PRINTABLE || tag == STRING_TELETEX || tag == STRING_IA5 ||
           tag == STRING_UNIVERSAL || tag == STRING_BMP;
}

/* ---- matching */

/* A value on its way through the preparation of RFC 4518. */
struct prepared {
    struct reader r;
    uint8_t tag;
    uint32_t held;    /* the character behind a space that was given; 0: none */
    unsigned skipped; /* characters that say nothing */
    bool has_begun;
    bool has_others; /* characters beyond ASCII, so far; */
    bool is_broken;  /* what is none, or more that says nothing than we go through */
};

/* The next character that says something; 0 at the end. */
static uint32_t next_significant(struct prepared *p, bool *is_after_space)
{
    uint32_t c;

    while (reader_left(&p->r) > 0) {
        if (p->skipped > SKIPPED_MOST || !neap_string_character(&p->r, p->tag, &c)) {
            p->is_broken = true;
            return 0;
        }
        bool is_space = c == ' ' || (c >= '\t' && c <= '\r');
        if (!is_space && c >= ' ' && c != 0x7f)
            return c;
        if (is_space && !*is_after_space)
            *is_after_space = true;
        else
            p->skipped++;
    }
    return 0;
}

/* The next character as it is compared; 0 at the end. Letters of ASCII are small, its controls go (RFC 4518 §2.2), and
 * white space is one space between others (§2.6.1). */
static uint32_t next_character(struct prepared *p)
{
    bool is_after_space = false;
    uint32_t c = p->held;

    p->held = 0;
    if (c == 0)
        c = next_significant(p, &is_after_space);
    p->has_others = p->has_others || c >= 0x80;
    if (c >= 'A' && c <= 'Z')
        c += 'a' - 'A';
    if (is_after_space && p->has_begun && c > 0) {
        p->held = c;
        c = ' ';
    }
    p->has_begun = true;
    return c;
}

/* The first difference decides: what comes behind two different characters of ASCII makes them the same in no form of
 * normalisation. It takes time as the shorter of the two is long. */
static enum match match_values(const struct name_pair *a, const struct name_pair *b)
{
    struct prepared pa = {.r = reader_of(a->value), .tag = a->tag},
                    pb = {.r = reader_of(b->value), .tag = b->tag};
    uint32_t ca, cb;

    if (span_equal(a->whole, b->whole))
        return MATCH_YES;
    if (!neap_string_is_text(a->tag) || !neap_string_is_text(b->tag))
        return MATCH_UNCLEAR;
    do {
        ca = next_character(&pa);
        cb = next_character(&pb);
    } while (ca == cb && ca != 0);
    if (pa.is_broken || pb.is_broken)
        return MATCH_UNCLEAR;
    if (ca == cb)
        return MATCH_YES;
    return pa.has_others || pb.has_others ? MATCH_UNCLEAR : MATCH_NO;
}

/* The pair of this type, if there is one. */
static const struct name_pair *find_pair(const struct name_pair *pairs, size_t count, struct span oid)
{
    for (size_t i = 0; i < count; i++) {
        if (span_equal(pairs[i].oid, oid))
            return &pairs[i];
    }
    return NULL;
}

/* The pairs of a relative name, each of another type (X.501): how many; 0 where they cannot be read, or are too many. */
static size_t read_pairs(struct span set, struct name_pair out[PAIRS_MOST])
{
    struct reader r = reader_of(set);
    size_t count = 0;

    while (!r.bad && reader_left(&r) > 0) {
        struct name_pair pair = neap_name_pair(&r);

        if (count == PAIRS_MOST || find_pair(out, count, pair.oid))
            return 0;
        out[count++] = pair;
    }
    return r.bad ? 0 : count;
}

/* The order of pairs is that of their bytes, which differ where what they say is the same. */
static enum match match_relative(struct span a, struct span b)
{
    struct name_pair as[PAIRS_MOST], bs[PAIRS_MOST];
    enum match all = MATCH_YES;

    if (span_equal(a, b))
        return MATCH_YES;
    size_t count_b = read_pairs(b, bs), count = count_b ? read_pairs(a, as) : 0;
    if (count == 0)
        return MATCH_UNCLEAR;
    if (count != count_b)
        return MATCH_NO;
    for (size_t i = 0; i < count && all != MATCH_NO; i++) {
        const struct name_pair *other = find_pair(bs, count, as[i].oid);
        enum match match = other ? match_values(&as[i], other) : MATCH_NO;

        all = match < all ? match : all;
    }
    return all;
}

/* The relative names of `base` against the first of `name`; *is_longer: that has more. */
static enum match match_start(struct span name, struct span base, bool *is_longer)
{
    struct reader outer = reader_of(name), base_outer = reader_of(base);
    struct reader names = reader_of(neap_der_expect(&outer, DER_SEQUENCE));
    struct reader bases = reader_of(neap_der_expect(&base_outer, DER_SEQUENCE));
    enum match all = MATCH_YES;

    while (all != MATCH_NO && !bases.bad && reader_left(&bases) > 0 && reader_left(&names) > 0) {
        struct span a = neap_der_expect(&names, DER_SET), b = neap_der_expect(&bases, DER_SET);
        enum match match = names.bad ? MATCH_UNCLEAR : match_relative(a, b);

        all = match < all ? match : all;
    }
    *is_longer = reader_left(&names) > 0;
    if (outer.bad || base_outer.bad || names.bad || bases.bad)
        return MATCH_UNCLEAR;
    return reader_left(&bases) > 0 ? MATCH_NO : all;
}

enum match neap_name_match(struct span a, struct span b)
{
    bool is_longer;

    if (span_equal(a, b))
        return MATCH_YES;
    enum match match = match_start(a, b, &is_longer);
    return is_longer ? MATCH_NO : match;
}

enum match neap_name_is_below(struct span name, struct span base)
{
    bool is_longer;

    return match_start(name, base, &is_longer);
}
