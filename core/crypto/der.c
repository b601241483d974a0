/* DER elements and times. */
#include "crypto/der.h"

uint8_t neap_der_next(struct reader *r, struct span *content, struct span *whole)
{
    const uint8_t *start = r->at;
    uint8_t tag = read_u8(r);
    uint64_t size = read_u8(r);

    if (size >= 0x80) {
        size_t count = (size_t)(size & 0x7f);

        if (count < 1 || count > 4)
            r->bad = true;
        size = r->bad ? 0 : read_uint(r, count);
        /* The shortest form is the only one (X.690 §10.1). */
        if (size < 0x80 || (count > 1 && size >> (8 * (count - 1)) == 0))
            r->bad = true;
    }
    if ((tag & 0x1f) == 0x1f) /* tags of several bytes are nowhere in what we read */
        r->bad = true;
    *content = read_bytes(r, size);
    if (whole)
        *whole = r->bad ? (struct span){0} : span_of(start, (size_t)(r->at - start));
    return r->bad ? 0 : tag;
}

struct span neap_der_expect(struct reader *r, uint8_t tag)
{
    struct span content;

    if (neap_der_next(r, &content, NULL) != tag)
        r->bad = true;
    return r->bad ? (struct span){0} : content;
}

struct span neap_der_expect_whole(struct reader *r, uint8_t tag)
{
    struct span content, whole;

    if (neap_der_next(r, &content, &whole) != tag)
        r->bad = true;
    return r->bad ? (struct span){0} : whole;
}

bool neap_der_is_next(const struct reader *r, uint8_t tag)
{
    return reader_left(r) > 0 && *r->at == tag;
}

struct span neap_der_integer(struct reader *r)
{
    struct span bytes = neap_der_expect(r, DER_INTEGER);

    /* Neither nothing, nor a first byte that only repeats the sign. */
    if (bytes.size == 0 || (bytes.size > 1 && bytes.data[0] == (bytes.data[1] & 0x80 ? 0xff : 0)))
        r->bad = true;
    return r->bad ? (struct span){0} : bytes;
}

struct span neap_der_bits(struct reader *r)
{
    struct reader bits = reader_of(neap_der_expect(r, DER_BIT_STRING));

    if (read_u8(&bits) != 0 || bits.bad)
        r->bad = true;
    return r->bad ? (struct span){0} : read_rest(&bits);
}

/* `count` decimal digits. */
static int64_t read_digits(struct reader *r, size_t count)
{
    int64_t value = 0;

    for (size_t i = 0; i < count; i++) {
        uint8_t digit = read_u8(r);

        if (digit < '0' || digit > '9')
            r->bad = true;
        value = 10 * value + (digit - '0');
    }
    return r->bad ? 0 : value;
}

static int64_t days_in_month(int64_t year, int64_t month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return days[month - 1] + (month == 2 && leap);
}

/* Days from 1970-01-01 in the Gregorian calendar; years are counted from March so that leap days come last. */
static int64_t days_since_1970(int64_t year, int64_t month, int64_t day)
{
    int64_t march_year = month > 2 ? year : year - 1;
    int64_t march_month = month > 2 ? month - 3 : month + 9;
    int64_t leaps = march_year / 4 - march_year / 100 + march_year / 400;

    return 365 * march_year + leaps + (153 * march_month + 2) / 5 + day - 719469;
}

int64_t neap_der_time(struct reader *r)
{
    struct span content;
    uint8_t tag = neap_der_next(r, &content, NULL);
    struct reader text = reader_of(content);
    int64_t year = 0;

    if (tag == DER_UTC_TIME) {
        year = read_digits(&text, 2);
        year += year < 50 ? 2000 : 1900;
    } else if (tag == DER_GENERALIZED_TIME) {
        year = read_digits(&text, 4);
    } else {
        r->bad = true;
    }
    int64_t month = read_digits(&text, 2), day = read_digits(&text, 2);
    int64_t hour = read_digits(&text, 2), minute = read_digits(&text, 2), second = read_digits(&text, 2);
    bool ends = read_u8(&text) == 'Z' && reader_left(&text) == 0;

    if (text.bad || !ends || month < 1 || month > 12 || hour > 23 || minute > 59 || second > 59)
        r->bad = true;
    if (!r->bad && (day < 1 || day > days_in_month(year, month)))
        r->bad = true;
    return r->bad ? 0 : ((days_since_1970(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
}

size_t neap_der_begin(struct writer *w, uint8_t tag)
{
    write_u8(w, tag);
    write_u8(w, 0);
    return writer_size(w);
}

void neap_der_end(struct writer *w, size_t begun)
{
    size_t size = writer_size(w) - begun, count = 0;

    if (size >= 0x80)
        count = size > 0xffff ? 3 : size > 0xff ? 2 : 1;
    write_room(w, count);
    if (w->full)
        return;
    uint8_t *content = w->start + begun;
    content[-1] = (uint8_t)(count > 0 ? 0x80 | count : size);
    if (count > 0)
        memmove(content + count, content, size);
    for (size_t i = 0; i < count; i++)
        content[i] = (uint8_t)(size >> (8 * (count - 1 - i)));
}

void neap_der_write(struct writer *w, uint8_t tag, struct span content)
{
    size_t begun = neap_der_begin(w, tag);

    write_span(w, content);
    neap_der_end(w, begun);
}
